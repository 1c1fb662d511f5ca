//! The shared testing environment: attacks as data, suites, runs, scoring, statistics, bundles and reports.
//!
//! *Invariant:* what a run sends and how it is scored are pure functions of suite, defences and replies
//! ([`script`], [`rule`], [`metrics`]): that is what lets anybody re-derive a result from its transcripts.

pub mod bundle;
pub mod compare;
pub mod defence;
pub mod export;
pub mod library;
pub mod metrics;
pub mod plan;
pub mod report;
pub mod rule;
pub mod run;
pub mod script;
#[cfg(test)]
mod scripted;
pub mod stats;
pub mod suite;
mod template;
pub mod transform;
pub mod trial;
