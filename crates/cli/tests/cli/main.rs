//! The binary itself, in a temporary directory, against an endpoint on loopback: no network, no model.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy takes only functions marked as tests for tests, not the helpers beside them"
)]

mod bundles;
mod commands;
mod endpoint;
#[cfg(unix)]
mod faults;
mod guard;
mod hub;
mod place;
mod runs;
mod supply;
