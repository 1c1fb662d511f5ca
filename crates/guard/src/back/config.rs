//! How to reach a server, and what it may cost.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use serde_json::{Map, Value, json};

use super::{OAuth, Secret};
use crate::wire;

/// Makes the command of a server: called anew at each start.
pub type MakeCommand = Arc<dyn Fn() -> io::Result<Command> + Send + Sync>;

/// Gets a server's standard error, line by line, cleaned of control characters and shortened.
pub type StderrSink = Arc<dyn Fn(&str) + Send + Sync>;

/// The way to a server.
#[derive(Clone)]
pub enum Connection {
    /// A child process that speaks on its standard input and output.
    Command(MakeCommand),
    /// Streamable HTTP.
    Http {
        /// The MCP endpoint: https, or http to this machine.
        url: Url,
        /// How the guard shows who it is.
        auth: Auth,
        /// The PEM file of the authorities that alone may vouch for the server; this machine's, if there is none.
        ca: Option<PathBuf>,
    },
}

impl Connection {
    /// A child process.
    pub fn command(make: impl Fn() -> io::Result<Command> + Send + Sync + 'static) -> Self {
        Self::Command(Arc::new(make))
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command(_) => f.write_str("Command"),
            Self::Http { url, auth, .. } => {
                // A query may hold a key.
                write!(f, "Http({}, {auth:?})", url.host_str().unwrap_or("?"))
            }
        }
    }
}

/// How the guard shows an HTTP server who it is.
#[derive(Debug, Clone, Default)]
pub enum Auth {
    /// Not at all.
    #[default]
    None,
    /// A token that somebody else obtained.
    Bearer(Secret),
    /// A token that the guard obtains.
    OAuth(Box<OAuth>),
}

/// Which family of revisions a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Era {
    /// Find out.
    #[default]
    Detect,
    /// 2026-07-28: stateless.
    Modern,
    /// 2025-11-25 and earlier: a handshake first.
    Legacy,
}

/// What a server may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// One message.
    pub wire: wire::Limits,
    /// Requests under way at once; further ones fail.
    pub outstanding: usize,
    /// Notifications that belong to one request; a server that sends more is cut off.
    pub notifications: usize,
    /// Questions that one request may lead to, over all rounds.
    pub questions: usize,
    /// How often one request may end in `input_required`.
    pub rounds: usize,
    /// Mistakes of one process or session (lines that are no messages, answers that nobody waits for) before it is cut off.
    pub mistakes: usize,
    /// Unasked-for notifications at once; after that, a sixteenth of it a second. A server that sends more is cut off.
    pub burst: u32,
    /// From the command to the end of the handshake.
    pub start: Duration,
    /// How long a child process may leave `server/discover` unanswered before it is taken for an older one.
    pub probe: Duration,
    /// Starts that may fail one after the other before the server is given up.
    pub restarts: u32,
    /// The wait after the first failed start; it doubles, up to 64 times as long.
    pub backoff: Duration,
    /// How long a child process may take to end by itself, and then after a signal.
    pub stop: Duration,
    /// How long a server may still ask on behalf of a request that was given up.
    pub linger: Duration,
    /// Bytes of standard error that are kept for error messages.
    pub stderr: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            wire: wire::Limits::default(),
            outstanding: 1024,
            notifications: 10_000,
            questions: 32,
            rounds: 8,
            mistakes: 100,
            burst: 1024,
            start: Duration::from_secs(60),
            probe: Duration::from_secs(3),
            restarts: 5,
            backoff: Duration::from_millis(500),
            stop: Duration::from_secs(2),
            linger: Duration::from_secs(60),
            stderr: 8 << 10,
        }
    }
}

/// Everything about a server but how to reach it.
#[derive(Clone)]
pub struct Settings {
    /// What it may cost.
    pub limits: Limits,
    /// Which family of revisions it speaks.
    pub era: Era,
    /// What is declared in the handshake with an older server, which happens before any client is known: by default every kind
    /// of question. A question that the client of its request cannot answer is refused when it comes.
    pub capabilities: Map<String, Value>,
    /// Who else reads its standard error.
    pub stderr: Option<StderrSink>,
}

impl Default for Settings {
    fn default() -> Self {
        let all = json!({"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {}});
        let capabilities = if let Value::Object(all) = all { all } else { Map::new() };
        Self { limits: Limits::default(), era: Era::default(), capabilities, stderr: None }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("limits", &self.limits)
            .field("era", &self.era)
            .finish_non_exhaustive()
    }
}
