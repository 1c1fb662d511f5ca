//! STIX 2.1 objects: read within bounds, kept byte for byte, checked.
//!
//! [`Envelope::read`] takes a bundle or a TAXII envelope apart without touching the bytes of its objects; [`Object::read`] parses one and
//! finds its [`Facts`], which are all that the rest of a node needs to know. [`check()`] compares it with the specification. [`marking`]
//! says what its marks mean.
//!
//! *Invariant:* what is stored and served is the bytes that came. What is parsed is never written back.

mod check;
mod envelope;
mod id;
mod kinds;
pub mod marking;
mod object;
mod read;

#[cfg(test)]
mod tests;

pub use check::{Defect, check};
pub use envelope::{Envelope, Item};
pub use id::{NAMESPACE, derived_id, observable_id};
pub use kinds::{Class, class};
pub use object::{Facts, Object, SpecVersion};
pub use read::{Limits, ReadError, json};
