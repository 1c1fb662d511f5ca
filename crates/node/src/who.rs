//! Who asks: somebody unknown, a person in a session, a machine with a token.

use std::collections::BTreeSet;
use std::net::IpAddr;

use axum::extract::FromRequestParts;
use http::request::Parts;
use ostrom_core::handling::Reader;
use ostrom_core::{CollectionId, OrgId, PersonId, Timestamp, TokenId};
use ostrom_exchange::service;
pub use ostrom_store::Role;

use crate::sign_in::session;
use crate::web::Caller;
use crate::{App, Failure};

/// A person in a session.
#[derive(Debug, Clone)]
pub struct Person {
    /// The person.
    pub id: PersonId,
    /// The organisation.
    pub organisation: OrgId,
    /// The person's name.
    pub name: String,
    /// The address, with which they sign in.
    pub email: String,
    /// What the person may do.
    pub roles: BTreeSet<Role>,
    /// When they showed who they are, for this session; `None`: their provider said so without asking them anew.
    pub proved: Option<Timestamp>,
}

/// For how long after signing in a person may change how they or others sign in, in seconds.
pub const RECENT: i64 = 900;

impl Person {
    /// Whether the person has this role.
    #[must_use]
    pub fn is(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Whether the person signed in not long ago.
    #[must_use]
    pub fn is_recent(&self, now: Timestamp) -> bool {
        self.proved.is_some_and(|proved| now < proved.plus_seconds(RECENT))
    }
}

/// A machine with a token.
#[derive(Debug, Clone)]
pub struct Machine {
    /// The token.
    pub token: TokenId,
    /// The organisation.
    pub organisation: OrgId,
    /// The token's name.
    pub name: String,
    /// What it is for: `read`, `write`, `report`, `federate`.
    pub scopes: BTreeSet<String>,
    /// The collections it is for; `None`: all.
    pub collections: Option<BTreeSet<CollectionId>>,
}

impl Machine {
    /// Whether its token is for this.
    #[must_use]
    pub fn may(&self, scope: &str) -> bool {
        self.scopes.contains(scope)
    }
}

/// Who.
#[derive(Debug, Clone)]
pub enum Who {
    /// Nobody has signed in.
    Anonymous,
    /// A person.
    Person(Person),
    /// A machine.
    Machine(Machine),
}

/// Whoever asks, and with which eyes. An extractor: a token that does not hold is refused;
/// nothing sent, or a session that is over, is anonymous.
#[derive(Debug, Clone)]
pub struct Actor {
    /// Who.
    pub who: Who,
    /// What decides on what they may read.
    pub reader: Reader,
    /// From where.
    pub address: IpAddr,
}

impl Actor {
    /// Somebody who has not signed in.
    #[must_use]
    pub fn anonymous(caller: &Caller) -> Self {
        Self { who: Who::Anonymous, reader: Reader::anonymous(caller.encrypted), address: caller.address }
    }

    /// The person, if it is one.
    #[must_use]
    pub const fn person(&self) -> Option<&Person> {
        match &self.who {
            Who::Person(person) => Some(person),
            _ => None,
        }
    }

    /// The organisation, if they belong to one.
    #[must_use]
    pub const fn organisation(&self) -> Option<OrgId> {
        match &self.who {
            Who::Person(person) => Some(person.organisation),
            Who::Machine(machine) => Some(machine.organisation),
            Who::Anonymous => None,
        }
    }

    /// Whether a person with this role asks.
    #[must_use]
    pub fn is(&self, role: Role) -> bool {
        self.person().is_some_and(|person| person.is(role))
    }

    /// Whether a person of one of these roles, or a machine whose token is for this, asks.
    ///
    /// # Errors
    /// [`Failure::Unauthenticated`] if it is nobody, else [`Failure::Forbidden`].
    pub fn must(&self, roles: &[Role], scope: &str) -> Result<(), Failure> {
        match &self.who {
            Who::Anonymous => Err(Failure::Unauthenticated),
            Who::Person(person) if roles.iter().any(|role| person.is(*role)) => Ok(()),
            Who::Machine(machine) if machine.may(scope) => Ok(()),
            Who::Person(_) => Err(Failure::Forbidden("your role does not allow this")),
            Who::Machine(_) => Err(Failure::Forbidden("this token is not for this (scopes)")),
        }
    }

    /// Whether a person asks who signed in not long ago: a session that somebody left open, or took, is not enough to keep an account.
    ///
    /// # Errors
    /// [`Failure::Again`] if not, [`Failure::Unauthenticated`] if it is no person.
    pub fn recently(&self, now: Timestamp) -> Result<(), Failure> {
        match self.person() {
            Some(person) if person.is_recent(now) => Ok(()),
            Some(_) => Err(Failure::Again),
            None => Err(Failure::Unauthenticated),
        }
    }

    /// The same, as the services of the exchange know it.
    #[must_use]
    pub fn asker(&self) -> service::Actor {
        let reader = self.reader.clone();
        match &self.who {
            Who::Anonymous => service::Actor { reader, ..service::Actor::nobody(self.reader.encrypted) },
            Who::Person(person) => service::Actor::person(person.id, person.roles.clone(), reader),
            Who::Machine(machine) => service::Actor {
                who: service::Who::Token(machine.token),
                organisation: Some(machine.organisation),
                roles: BTreeSet::new(),
                scopes: Some(machine.scopes.clone()),
                collections: machine.collections.clone(),
                reader,
            },
        }
    }

    /// Whether a token does not keep the actor from this collection.
    #[must_use]
    pub fn may_use(&self, collection: CollectionId) -> bool {
        match &self.who {
            Who::Machine(machine) => {
                machine.may("read")
                    && machine.collections.as_ref().is_none_or(|list| list.contains(&collection))
            }
            _ => true,
        }
    }

    /// Whether this is somebody.
    #[must_use]
    pub const fn is_signed_in(&self) -> bool {
        !matches!(self.who, Who::Anonymous)
    }
}

impl FromRequestParts<App> for Actor {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        session::actor(parts, app).await
    }
}

/// A person in a session; anybody else is [`Failure::Unauthenticated`], which pages turn into the way to the sign-in page.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// The person.
    pub person: Person,
    /// With which eyes.
    pub actor: Actor,
}

impl FromRequestParts<App> for SignedIn {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let actor = Actor::from_request_parts(parts, app).await?;
        let person = actor.person().cloned().ok_or(Failure::Unauthenticated)?;
        Ok(Self { person, actor })
    }
}
