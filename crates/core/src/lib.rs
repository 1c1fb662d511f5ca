//! Ostrom's vocabulary: the words that every other crate shares.
//!
//! *Invariant:* nothing here does I/O, reads a clock or draws randomness, so nothing here can fail for reasons
//! outside its arguments.

mod digest;
mod finding;
pub mod handling;
mod hidden;
mod id;
mod key;
mod statement;
mod taxonomy;
mod time;

pub use digest::{Digest, DigestError};
pub use finding::{Finding, Severity, SeverityError};
pub use hidden::Hidden;
pub use id::{Id, IdError};
pub use key::{CaseId, CollectionId, GroupId, KeyError, ObjectId, OrgId, PeerId, PersonId, TokenId, Uuid};
pub use statement::{PredicateType, Statement, StatementError, Subject};
pub use taxonomy::{Framework, TaxonomyId, TaxonomyIdError};
pub use time::{Timestamp, TimestampError};
