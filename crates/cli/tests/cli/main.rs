//! The binary itself, in a temporary directory, against an endpoint on loopback: no network, no model.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "clippy takes only functions marked as tests for tests, not the helpers beside them"
)]

mod bad_endpoints;
mod bundles;
mod commands;
mod endpoint;
#[cfg(unix)]
mod faults;
mod guard;
mod hub;
mod local;
mod nodes;
mod place;
mod records;
mod runs;
mod sharing;
mod supply;
mod templates;
#[path = "../../../models/tests/tiny_gguf/mod.rs"]
mod tiny_gguf;
mod word;
