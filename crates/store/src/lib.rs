//! Everything that a node keeps: SQLite or PostgreSQL behind one set of queries, with handling enforced on every read.
//!
//! There are three doors:
//!
//! - [`Reading`], made by [`Store::reading`] from a reader and a time, gives out what this reader may see then, and answers about all else
//!   as if it did not exist.
//! - [`Writing`], made by [`Store::writing`], is one transaction. Everything that changes, changes through it.
//! - [`Custody`], made by [`Store::custody`], sees everything. It is for the work of keeping: verification, the checks before a write, counters of what nobody may read.
//!   Nothing that answers a person or a peer may use it.
//!
//! Members, credentials, settings and the like are not shared things: [`Store`] itself reads them.
//!
//! *Invariant:* one process owns a database. What the store keeps in memory (policies, views, numbers) is true because of that.

mod backup;
mod case;
mod collection;
mod config;
mod credential;
mod custody;
mod db;
mod error;
mod member;
mod migrate;
mod note;
mod object;
mod peer;
mod policy;
mod posting;
mod reading;
mod reclaim;
mod saved;
mod sealing;
mod setting;
mod store;
#[cfg(feature = "testing")]
pub mod testing;
mod writing;

pub use backup::{backup_file, restore};
pub use case::{CaseEvent, CaseFile, CaseMessage, Due, NewDue, NewEvent, NewMessage};
pub use collection::Collection;
pub use config::{Config, ConfigError, Location, Lookup};
pub use credential::{Link, OidcLink, Passkey, Session, Token};
pub use custody::{Custody, Kept, Refused};
pub use error::Error;
pub use member::{Group, Organisation, Person, Role, UnknownRole};
pub use note::{NewNotification, Notification, Subject};
pub use object::{
    CheckReport, Entry, Filter, Head, Key, Logged, MAX_ANCESTORS, MAX_BODY, MAX_CLOSURE, MAX_REFERENCES,
    MAX_WORDS, ManifestEntry, NewObject, Object, Outcome, Page, Removal, Versions,
};
pub use peer::{Peer, PeerState};
pub use posting::Posting;
pub use reading::Reading;
pub use saved::SavedView;
pub use sealing::SealingKey;
pub use store::Store;
pub use writing::Writing;
