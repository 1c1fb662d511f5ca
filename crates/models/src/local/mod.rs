//! Local inference.
pub mod kernel;
