#![doc = include_str!("../../../../docs/log.md")]

mod checkpoint;
mod error;
mod files;
mod frame;
mod history;
pub mod merkle;
mod note;
mod open;
mod publish;
mod read;
mod report;
mod store;
mod tiles;
mod verify;

#[cfg(test)]
mod tests;

pub use checkpoint::{Checkpoint, SignedCheckpoint};
pub use error::LogError;
pub use note::{MAX_NOTE, Note, NoteError, Signed, VerifierKey};
pub use open::Recovery;
pub use read::{Entries, Entry, read, read_from};
pub use report::{Problem, Report};
pub use store::{Durability, Log, Options};
pub use tiles::Tiles;
pub use verify::{origin, origin_of, verify, verify_against};
