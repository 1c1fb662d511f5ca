//! What a client may cost.

use std::time::Duration;

use serde::Deserialize;

use crate::wire;

/// The bounds of a front. Times are in seconds.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes of a message.
    pub bytes: usize,
    /// Levels of nesting of a message.
    pub depth: usize,
    /// Values in a message.
    pub values: usize,
    /// How long a request may take, not counting the time that the client takes to answer questions.
    pub call_seconds: u64,
    /// How long the body of an HTTP request may take to arrive.
    pub body_seconds: u64,
    /// Requests of a principal that run at the same time.
    pub concurrent: usize,
    /// Streams of a principal that are open at the same time.
    pub streams: usize,
    /// Messages of a principal in a second; 0 for no limit.
    pub rate: u32,
    /// How many messages may come at once before `rate` holds.
    pub burst: u32,
    /// Calls that wait for a client's answers, in all.
    pub parked: usize,
    /// Calls of a principal that wait for its answers.
    pub parked_per_principal: usize,
    /// How long a call waits for a client's answers.
    pub parked_seconds: u64,
    /// How often a call may ask.
    pub rounds: u32,
    /// Questions to a client that are open at the same time, of a call or a session.
    pub questions: usize,
    /// Sessions of legacy clients, in all.
    pub sessions: usize,
    /// Sessions of a principal; a further one takes the place of the one that was idle longest.
    pub sessions_per_principal: usize,
    /// After how long without a message a session ends.
    pub session_seconds: u64,
    /// Resources that a client may watch with one subscription or in one session.
    pub watched: usize,
    /// How often a quiet stream shows that it is still there.
    pub keep_alive_seconds: u64,
    /// Connections that are open at the same time.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let wire::Limits { bytes, depth, values } = wire::Limits::default();
        Self {
            bytes,
            depth,
            values,
            call_seconds: 300,
            body_seconds: 30,
            concurrent: 64,
            streams: 16,
            rate: 1000,
            burst: 2000,
            parked: 1024,
            parked_per_principal: 64,
            parked_seconds: 600,
            rounds: 32,
            questions: 64,
            sessions: 1024,
            sessions_per_principal: 64,
            session_seconds: 1800,
            watched: 256,
            keep_alive_seconds: 15,
            connections: 1024,
        }
    }
}

impl Limits {
    pub(super) const fn wire(&self) -> wire::Limits {
        wire::Limits { bytes: self.bytes, depth: self.depth, values: self.values }
    }

    pub(super) const fn call(&self) -> Duration {
        Duration::from_secs(self.call_seconds)
    }
}
