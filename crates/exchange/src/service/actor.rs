//! Who asks.

use std::collections::BTreeSet;
use std::fmt;

use ostrom_core::handling::Reader;
use ostrom_core::{CollectionId, OrgId, PeerId, PersonId, TokenId};
use ostrom_store::{Role, Token};

/// Whom a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Who {
    /// Nobody who is signed in.
    Nobody,
    /// A person.
    Person(PersonId),
    /// A machine.
    Token(TokenId),
    /// Another node.
    Peer(PeerId),
    /// This node itself.
    Node,
}

impl fmt::Display for Who {
    /// As it stands in the audit log and in the owner of a TAXII status.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => f.write_str("nobody"),
            Self::Person(id) => write!(f, "person:{id}"),
            Self::Token(id) => write!(f, "token:{id}"),
            Self::Peer(id) => write!(f, "peer:{id}"),
            Self::Node => f.write_str("node"),
        }
    }
}

/// What a machine's token may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// To read.
    Read,
    /// To write objects.
    Write,
    /// To report flaws and incidents.
    Report,
    /// To pull as a peer.
    Federate,
}

impl Scope {
    /// `read`
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Report => "report",
            Self::Federate => "federate",
        }
    }
}

/// Somebody who asks for something, with all that matters for the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Whom.
    pub who: Who,
    /// For which organisation. What the actor writes is the organisation's.
    pub organisation: Option<OrgId>,
    /// A person's roles.
    pub roles: BTreeSet<Role>,
    /// What a token is for; `None`: everything that its organisation may.
    pub scopes: Option<BTreeSet<String>>,
    /// The collections that a token is for; `None`: all.
    pub collections: Option<BTreeSet<CollectionId>>,
    /// Who reads.
    pub reader: Reader,
}

impl Actor {
    /// Nobody who is signed in.
    pub fn nobody(encrypted: bool) -> Self {
        Self {
            who: Who::Nobody,
            organisation: None,
            roles: BTreeSet::new(),
            scopes: None,
            collections: None,
            reader: Reader::anonymous(encrypted),
        }
    }

    /// A person with roles.
    pub fn person(id: PersonId, roles: BTreeSet<Role>, reader: Reader) -> Self {
        Self {
            who: Who::Person(id),
            organisation: reader.organisation,
            roles,
            scopes: None,
            collections: None,
            reader,
        }
    }

    /// A machine with a token, which must be valid.
    pub fn machine(token: &Token, reader: Reader) -> Self {
        Self {
            who: Who::Token(token.id),
            organisation: reader.organisation,
            roles: BTreeSet::new(),
            scopes: Some(token.scopes.clone()),
            collections: token.collections.clone(),
            reader,
        }
    }

    /// The node itself, for an organisation: imports, and what happens by itself.
    pub fn node(organisation: OrgId) -> Self {
        let reader = Reader { organisation: Some(organisation), ..Reader::anonymous(true) };
        Self {
            who: Who::Node,
            organisation: Some(organisation),
            roles: BTreeSet::new(),
            scopes: None,
            collections: None,
            reader,
        }
    }

    /// Whether it is the node itself, or a peer for which the node acts.
    pub(super) const fn is_node(&self) -> bool {
        matches!(self.who, Who::Node | Who::Peer(_))
    }

    fn has(&self, scope: Scope) -> bool {
        self.scopes.as_ref().is_none_or(|scopes| scopes.contains(scope.name()))
    }

    /// Whether the actor may read what the marks allow.
    pub fn may_read(&self) -> bool {
        self.has(Scope::Read)
    }

    /// Whether the actor may write objects of the organisation.
    pub fn may_write(&self) -> bool {
        let role = match self.who {
            Who::Nobody => false,
            Who::Person(_) => {
                self.roles.contains(&Role::Contributor) || self.roles.contains(&Role::Coordinator)
            }
            Who::Token(_) => self.scopes.is_some(),
            Who::Peer(_) | Who::Node => true,
        };
        role && self.organisation.is_some() && self.has(Scope::Write)
    }

    /// Whether a token is for this collection.
    pub fn is_for(&self, collection: CollectionId) -> bool {
        self.collections.as_ref().is_none_or(|all| all.contains(&collection))
    }
}
