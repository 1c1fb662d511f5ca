//! The guard: an MCP gateway with deterministic information-flow control.
//!
//! The plan of the crate, with the rules that it enforces, is `docs/design/guard.md`.
//!
//! *Invariant:* the decision about a call is a pure function of recorded events ([`flow`]); no model, no heuristic and no
//! clock takes part but the times that are in the events.
//!
//! *Invariant:* a call leaves for a server only after its intent is on record.

pub mod audit;
pub mod back;
mod channel;
pub mod flow;
pub mod front;
pub mod gateway;
pub mod label;
pub mod pin;
pub mod plan;
pub mod policy;
pub mod relay;
pub mod sandbox;
pub mod serve;
pub mod wire;
