//! Tokens of machines, as Bearer, or as the password of Basic for clients that know nothing else.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use http::HeaderMap;
use ostrom_core::handling::Reader;
use ostrom_core::{CollectionId, Digest, OrgId, PersonId, Timestamp, TokenId, Uuid};
use ostrom_store::Token;
use zeroize::Zeroizing;

use super::secret;
use crate::web::{Caller, single};
use crate::who::{Actor, Machine, Who};
use crate::{App, Failure};

/// What a token may be for.
pub const SCOPES: [&str; 5] = ["read", "write", "report", "federate", FEED];
/// The scope of a token that stands in the address of a feed, and is for nothing else.
pub const FEED: &str = "feed";
/// For how long an answer of the store is taken for true. Revoking one by this node's own pages and API takes effect at once.
const FRESH: Duration = Duration::from_secs(1);
/// How many are remembered.
const REMEMBERED: usize = 4096;
/// How long at most a token is good for, in seconds.
pub(crate) const LONGEST: i64 = 2 * 366 * 86_400;

/// By the token's hash and whether answers travel encrypted: whose it is, until when it holds, when that was read.
type Known = HashMap<([u8; 32], bool), (Machine, Reader, Timestamp, Instant)>;

/// Tokens that were used lately.
#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<Known>);

impl Recent {
    fn get(&self, key: &([u8; 32], bool), now: Timestamp) -> Option<(Machine, Reader)> {
        // Nothing that holds this lock can panic half-way.
        let recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (machine, reader, until, read) = recent.get(key)?;
        (read.elapsed() < FRESH && now < *until).then(|| (machine.clone(), reader.clone()))
    }

    fn put(&self, key: ([u8; 32], bool), machine: &Machine, reader: &Reader, until: Timestamp) {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() >= REMEMBERED {
            recent.retain(|_, (.., read)| read.elapsed() < FRESH);
            if recent.len() >= REMEMBERED {
                recent.clear();
            }
        }
        recent.insert(key, (machine.clone(), reader.clone(), until, Instant::now()));
    }

    /// Forgets all: a member, a group or a token has changed.
    pub(crate) fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Whose token it is.
pub(super) async fn actor(headers: &HeaderMap, caller: &Caller, app: &App) -> Result<Actor, Failure> {
    let sent = single(headers, "authorization").and_then(sent);
    let found = match sent {
        Some(token) => machine(&token, caller, app).await?,
        None => None,
    };
    match found {
        Some((machine, reader)) => Ok(Actor { who: Who::Machine(machine), reader, address: caller.address }),
        None => {
            app.sign_in.throttle.network(caller)?;
            Err(Failure::Unauthenticated)
        }
    }
}

/// Whoever asks for a feed by its address. What it gives is for reading that feed.
///
/// # Errors
/// [`Failure::NotFound`] if the token does not hold or is for something else, as if there were no such address.
pub(crate) async fn feed(token: &str, caller: &Caller, app: &App) -> Result<Actor, Failure> {
    let found = if is_token(token) { machine(token, caller, app).await? } else { None };
    match found.filter(|(machine, _)| machine.may(FEED)) {
        Some((machine, reader)) => {
            let machine = Machine { scopes: BTreeSet::from(["read".to_owned()]), ..machine };
            Ok(Actor { who: Who::Machine(machine), reader, address: caller.address })
        }
        None => {
            app.sign_in.throttle.network(caller)?;
            Err(Failure::NotFound)
        }
    }
}

fn is_token(text: &str) -> bool {
    text.len() == 47 && text.starts_with("ost_")
}

/// The token in an Authorization header.
fn sent(header: &str) -> Option<Zeroizing<String>> {
    let (scheme, rest) = header.split_once(' ')?;
    let token = if scheme.eq_ignore_ascii_case("bearer") {
        rest.trim().to_owned()
    } else if scheme.eq_ignore_ascii_case("basic") {
        let pair = String::from_utf8(BASE64.decode(rest.trim().as_bytes()).ok()?).ok()?;
        pair.split_once(':')?.1.to_owned()
    } else {
        return None;
    };
    is_token(&token).then(|| Zeroizing::new(token))
}

async fn machine(token: &str, caller: &Caller, app: &App) -> Result<Option<(Machine, Reader)>, Failure> {
    let now = app.clock().now();
    let hash = secret::hash(token);
    let key = (hash, caller.encrypted);
    if let Some(found) = app.recent.get(&key, now) {
        return Ok(Some(found));
    }
    let Some(token) = app.store.token(&Digest::from_bytes(hash)).await? else { return Ok(None) };
    if !token.is_valid(now) {
        return Ok(None);
    }
    // What somebody made who has left holds no longer.
    if let Some(person) = token.person
        && !app.store.person(person).await?.is_some_and(|person| person.active)
    {
        return Ok(None);
    }
    let Some(reader) = app.store.reader_of_organisation(token.organisation, caller.encrypted).await? else {
        return Ok(None);
    };
    note_use(&token, now, app);
    let machine = Machine {
        token: token.id,
        organisation: token.organisation,
        name: token.name,
        scopes: token.scopes,
        collections: token.collections,
    };
    app.recent.put(key, &machine, &reader, token.expires);
    Ok(Some((machine, reader)))
}

/// Notes that a token was used, beside the request, and once in a minute.
fn note_use(token: &Token, now: Timestamp, app: &App) {
    if token.last_used.is_some_and(|last| now < last.plus_seconds(60)) {
        return;
    }
    let (store, id) = (app.store.clone(), token.id);
    tokio::spawn(async move {
        let noted = async {
            let mut writing = store.writing(now).await?;
            writing.token_used(id).await?;
            writing.commit().await
        };
        // Only people look at it: a node that is busy has better things to do.
        let _noted: Result<(), ostrom_store::Error> = noted.await;
    });
}

/// A token to make.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// The organisation that its machine belongs to.
    pub organisation: OrgId,
    /// Who makes it.
    pub person: Option<PersonId>,
    /// What people call it.
    pub name: String,
    /// What it is for, of [`SCOPES`].
    pub scopes: BTreeSet<String>,
    /// The collections it is for; `None`: all.
    pub collections: Option<BTreeSet<CollectionId>>,
    /// For how many days it is good.
    pub days: u32,
}

impl NewToken {
    /// Makes it. Gives its id and, for the only time, the token itself.
    ///
    /// # Errors
    /// If its name, scopes or days do not fit.
    pub async fn make(self, app: &App) -> Result<(TokenId, Zeroizing<String>), Failure> {
        let wrong = |what: &str| Failure::Unprocessable(what.to_owned());
        if self.name.trim().is_empty() || self.name.chars().count() > 100 {
            return Err(wrong("a token needs a name of at most 100 characters"));
        }
        if self.scopes.is_empty() || self.scopes.iter().any(|scope| !SCOPES.contains(&scope.as_str())) {
            return Err(wrong(
                "a token's scopes are some of read, write, report and federate, or feed alone",
            ));
        }
        // It stands in addresses, which get around.
        if self.scopes.contains(FEED) && (self.scopes.len() > 1 || self.collections.is_some()) {
            return Err(wrong("a token for feeds is for nothing else (scopes: feed)"));
        }
        let seconds = i64::from(self.days).saturating_mul(86_400);
        if seconds <= 0 || seconds > LONGEST {
            return Err(wrong("a token is good for 1 to 732 days"));
        }
        let now = app.clock().now();
        let text = secret::secret("ost_")?;
        let id = TokenId::new(Uuid::from_bytes(secret::uuid()?));
        let token = Token {
            id,
            hash: Digest::from_bytes(secret::hash(&text)),
            organisation: self.organisation,
            person: self.person,
            name: self.name,
            scopes: self.scopes,
            collections: self.collections,
            created: now,
            expires: now.plus_seconds(seconds),
            last_used: None,
            revoked: None,
        };
        let mut writing = app.store.writing(now).await?;
        writing.add_token(&token).await?;
        writing.commit().await?;
        Ok((id, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_sent_as_bearer_or_as_a_password() {
        let token = format!("ost_{}", "a".repeat(43));
        let basic = |text: String| format!("Basic {}", BASE64.encode(text.as_bytes()));
        assert_eq!(sent(&format!("Bearer {token}")).as_deref(), Some(&token));
        assert_eq!(sent(&basic(format!("anybody:{token}"))).as_deref(), Some(&token));
        for bad in [
            token.clone(),
            format!("Digest {token}"),
            "Bearer ost_x".into(),
            basic(token),
            "Basic %".into(),
            "Bearer".into(),
        ] {
            assert!(sent(&bad).is_none(), "{bad}");
        }
    }
}
