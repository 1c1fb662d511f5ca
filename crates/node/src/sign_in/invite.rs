//! One-time links: for the first administrator, for persons who are invited, for those who forgot their password.

use std::collections::BTreeSet;

use ostrom_core::handling::{Handling, Policy, Tlp};
use ostrom_core::{CollectionId, Digest, OrgId, PersonId, Timestamp, Uuid};
use ostrom_exchange::taxii::STIX_MEDIA_TYPE;
use ostrom_store::{Collection, Link, Organisation, Person, Role};
use zeroize::Zeroizing;

use super::{password, secret};
use crate::{App, Failure};

/// What a link of the first administrator is for.
pub(crate) const FIRST: &str = "first-administrator";
/// What a link of an invited person is for.
pub(crate) const INVITATION: &str = "invitation";
/// The setting that keeps which organisation runs the node.
pub(crate) const OPERATOR: &str = "operator";
/// For how long an invitation is good, in seconds.
const INVITED: i64 = 7 * 86_400;
/// For how long the first link is good, in seconds.
const FIRST_GOOD: i64 = 86_400;

/// What a link that still holds is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invitation {
    /// Whoever has it becomes the first administrator.
    First,
    /// This person may set a password, or sign in to add a passkey.
    Person(Person),
}

/// Who the first administrator is.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct FirstMember {
    /// The organisation that runs the node.
    pub organisation: String,
    /// The person's name.
    pub name: String,
    /// The person's address, with which they sign in.
    pub email: String,
}

fn link(hash: Digest, purpose: &str, person: Option<PersonId>, now: Timestamp, seconds: i64) -> Link {
    let expires = now.plus_seconds(seconds);
    Link { hash, purpose: purpose.to_owned(), person, data: String::new(), created: now, expires, used: None }
}

/// A link for the first administrator, while nobody has become it. The one before does not hold any more.
pub(crate) async fn first(app: &App) -> Result<Option<String>, Failure> {
    if !app.store.persons().await?.is_empty() {
        return Ok(None);
    }
    let now = app.clock().now();
    let text = secret::secret("")?;
    let mut writing = app.store.writing(now).await?;
    writing.revoke_links(FIRST, None).await?;
    writing.add_link(&link(Digest::from_bytes(secret::hash(&text)), FIRST, None, now, FIRST_GOOD)).await?;
    writing.commit().await?;
    Ok(Some(app.base.url(&format!("/invite/{}", &*text))))
}

/// A link by which this person signs in once, and sets a password or adds a passkey. Links before do not hold any more.
///
/// # Errors
/// If there is no such person.
pub async fn invite(app: &App, person: PersonId) -> Result<String, Failure> {
    let now = app.clock().now();
    let text = secret::secret("")?;
    let mut writing = app.store.writing(now).await?;
    writing.revoke_links(INVITATION, Some(person)).await?;
    let hash = Digest::from_bytes(secret::hash(&text));
    writing.add_link(&link(hash, INVITATION, Some(person), now, INVITED)).await?;
    writing.commit().await?;
    Ok(app.base.url(&format!("/invite/{}", &*text)))
}

/// What the link with this secret is for.
///
/// # Errors
/// [`Failure::NotFound`] if it was used, is over or never was.
pub async fn invitation(app: &App, text: &str) -> Result<Invitation, Failure> {
    let hash = Digest::from_bytes(secret::hash(text));
    let link = app.store.link(&hash, app.clock().now()).await?.ok_or(Failure::NotFound)?;
    match (link.purpose.as_str(), link.person) {
        (FIRST, None) => Ok(Invitation::First),
        (INVITATION, Some(person)) => {
            let person = app.store.person(person).await?.filter(|person| person.active);
            person.map(Invitation::Person).ok_or(Failure::NotFound)
        }
        _ => Err(Failure::NotFound),
    }
}

/// Uses a link up. Without a password, the person adds a passkey next.
pub(crate) async fn accept(
    app: &App,
    text: &str,
    member: Option<FirstMember>,
    password: Option<Zeroizing<String>>,
) -> Result<PersonId, Failure> {
    let phc = match password {
        Some(password) => Some(app.sign_in.passwords.hash(password).await?),
        None => None,
    };
    let hash = Digest::from_bytes(secret::hash(text));
    let invited = invitation(app, text).await?;
    let now = app.clock().now();
    let mut writing = app.store.writing(now).await?;
    let person = match invited {
        Invitation::Person(person) => {
            writing.use_link(&hash, INVITATION).await?.ok_or(Failure::NotFound)?;
            person.id
        }
        Invitation::First => {
            let member = member.ok_or_else(|| Failure::Unprocessable("say who you are".to_owned()))?;
            let (organisation, person) = member.records(now)?;
            writing.use_link(&hash, FIRST).await?.ok_or(Failure::NotFound)?;
            writing.put_organisation(&organisation).await?;
            writing.put_person(&person).await?;
            writing.set_setting(OPERATOR, Some(&organisation.id.to_string())).await?;
            writing.put_collection(&shared(organisation.id, now)?).await?;
            person.id
        }
    };
    if let Some(phc) = phc {
        writing.set_password(person, &phc).await?;
        // Whoever had the old one is out.
        writing.end_sessions(person).await?;
    }
    writing.commit().await?;
    app.recent.forget();
    Ok(person)
}

/// The collection that a node begins with: every member may write to it, and what carries no mark is its owner's alone.
fn shared(operator: OrgId, now: Timestamp) -> Result<Collection, Failure> {
    Ok(Collection {
        id: CollectionId::new(Uuid::from_bytes(secret::uuid()?)),
        alias: Some("shared".to_owned()),
        title: "Shared".to_owned(),
        description: "What the members of this node share with one another.".to_owned(),
        may_read: None,
        may_write: Some(Policy::new([Handling::new(operator, Tlp::Green)])),
        handling: Some(Handling::new(operator, Tlp::Amber)),
        media_types: vec![STIX_MEDIA_TYPE.to_owned()],
        created: now,
    })
}

impl FirstMember {
    fn records(&self, now: Timestamp) -> Result<(Organisation, Person), Failure> {
        let organisation = Organisation {
            id: OrgId::new(Uuid::from_bytes(secret::uuid()?)),
            name: name(&self.organisation)?,
            sectors: BTreeSet::new(),
            active: true,
            created: now,
        };
        let person = Person {
            id: PersonId::new(Uuid::from_bytes(secret::uuid()?)),
            organisation: organisation.id,
            name: name(&self.name)?,
            email: email(&self.email)?,
            roles: BTreeSet::from([Role::Administrator, Role::Coordinator, Role::Contributor]),
            active: true,
            created: now,
        };
        Ok((organisation, person))
    }
}

/// A name that people give somebody: one line that can be shown.
pub(crate) fn name(text: &str) -> Result<String, Failure> {
    let text = text.trim();
    let fine = !text.is_empty() && text.chars().count() <= 200 && !text.chars().any(char::is_control);
    if fine {
        Ok(text.to_owned())
    } else {
        Err(Failure::Unprocessable("a name is one line of 1 to 200 characters".to_owned()))
    }
}

/// An e-mail address, as far as a node needs to know.
pub(crate) fn email(text: &str) -> Result<String, Failure> {
    let text = text.trim();
    let parts = text.split_once('@');
    let fine = text.len() <= 254
        && !text.chars().any(|c| c.is_control() || c.is_whitespace())
        && parts.is_some_and(|(local, host)| !local.is_empty() && !host.is_empty() && !host.contains('@'));
    if fine {
        Ok(text.to_lowercase())
    } else {
        Err(Failure::Unprocessable("this is not an e-mail address".to_owned()))
    }
}

/// Whether a new password will do, before a link is used up for it.
pub(crate) fn optional_password(text: String) -> Result<Option<Zeroizing<String>>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    let text = Zeroizing::new(text);
    password::check(&text)?;
    Ok(Some(text))
}
