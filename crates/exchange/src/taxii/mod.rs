//! TAXII 2.1, without HTTP: a [`Request`] in, an [`Answer`] out, for the node to carry.
//!
//! *Invariant:* an answer is made of what [`Reading`](ostrom_store::Reading) gave and of nothing else. Bodies are put together from stored
//! bytes, which are not parsed again.
//!
//! *Invariant:* a collection or object that the actor may not see, and one that is not there, have the same answer.

mod answer;
mod cursor;
mod query;
mod serve;
mod status;

#[cfg(test)]
mod tests;

pub use answer::{Answer, Media};
pub use cursor::CursorKey;
pub use query::{BadQuery, Query};
pub use serve::{Method, Request, Settings, Taxii};

/// The media type of every answer.
pub const MEDIA_TYPE: &str = "application/taxii+json;version=2.1";
/// What collections hold.
pub const STIX_MEDIA_TYPE: &str = "application/stix+json;version=2.1";
/// The header with the time at which the first object of a page was added.
pub const DATE_FIRST: &str = "x-taxii-date-added-first";
/// The header with the time at which the last object of a page was added.
pub const DATE_LAST: &str = "x-taxii-date-added-last";
