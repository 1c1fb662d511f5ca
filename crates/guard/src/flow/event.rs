//! Everything that changes what the guard knows, as it is written into the audit log.

use std::collections::BTreeMap;
use std::sync::Arc;

use ostrom_core::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::decide::Verdict;
use super::engine::ContextKey;
use super::facts::ToolFacts;
use crate::label::{Integrity, Label, Names, Readers};

/// The number of a call, counted by the guard from the log's beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallId(pub u64);

impl std::fmt::Display for CallId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What a handle is called in the log: the digest of its text, so that reading the log gives nobody a handle to use.
pub type HandleId = Digest;

/// What a person's intervention covers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Everything.
    All,
    /// One principal, in all runs.
    Principal(Arc<str>),
    /// One run.
    Run(Arc<str>),
    /// One tool, `SERVER/TOOL`.
    Tool(Arc<str>),
    /// One server.
    Server(Arc<str>),
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::All => f.write_str("everything"),
            Self::Principal(name) => write!(f, "principal {name}"),
            Self::Run(name) => write!(f, "run {name}"),
            Self::Tool(name) => write!(f, "tool {name}"),
            Self::Server(name) => write!(f, "server {name}"),
        }
    }
}

/// An argument of a call, without its value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArgumentRecord {
    /// SHA-256 over a random salt and the canonical JSON of the value as dispatched.
    pub commitment: Digest,
    /// Handles that were replaced in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub handles: Vec<HandleId>,
    /// What a plan's interpreter knows of it, beyond the control label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// Who may read strings in it that were seen before (rule 9).
    #[serde(default = "everyone", skip_serializing_if = "is_everyone")]
    pub matched: Readers,
    /// Who may have influenced those strings: to refuse the call for them tells that they were there.
    #[serde(default = "nobody", skip_serializing_if = "is_nobody")]
    pub matched_influencers: Integrity,
}

fn nobody() -> Integrity {
    Integrity::Of(Names::default())
}

fn is_nobody(influencers: &Integrity) -> bool {
    *influencers == nobody()
}

fn everyone() -> Readers {
    Readers::Everyone
}

fn is_everyone(readers: &Readers) -> bool {
    *readers == Readers::Everyone
}

/// A call that a plan makes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanStep {
    /// The call of `run_plan`; it must be under way.
    pub parent: CallId,
    /// The program-counter label: of everything that decided that the step runs. It covers the control label of the parent.
    pub pc: Label,
    /// All that decided how many calls the plan has made until then, if that is more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<Label>,
}

/// A call, and what was decided about it. If it was allowed, this is the record of intent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Its number.
    pub call: CallId,
    /// Whose call it is.
    pub context: ContextKey,
    /// The server.
    pub server: Arc<str>,
    /// The tool, by the server's own name.
    pub tool: Arc<str>,
    /// Which prompt it gets, if it gets one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<Arc<str>>,
    /// The step of a plan that makes it, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanStep>,
    /// Its arguments.
    pub arguments: BTreeMap<String, ArgumentRecord>,
    /// What the flow rules said.
    pub flow: Verdict,
    /// Cedar policies that forbade it; empty where they permitted it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forbidden_by: Vec<String>,
    /// The random name that the agent knows it by, if it did not go out. A number would say how many calls others have made, and plans up to
    /// values that the agent has not seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Arc<str>>,
    /// Arguments with handles in them that a policy looked at: whatever it said tells the agent something about values that it has not seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub looked_at: Vec<String>,
    /// The name of the request for approval that was made for it, if it waits for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Digest>,
    /// The request whose approval was used, if one was needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Digest>,
    /// Whether the call goes to the server.
    pub dispatched: bool,
    /// Seconds since 1970.
    pub at: u64,
}

/// A value that the guard keeps and the agent has a handle of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptValue {
    /// Its handle.
    pub handle: HandleId,
    /// Of the value.
    pub label: Label,
}

/// What came of a call that was dispatched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// The call.
    pub call: CallId,
    /// SHA-256 over a random salt and the canonical JSON of the result or error.
    pub commitment: Digest,
    /// Whether the server said that it failed, or did not answer.
    pub failed: bool,
    /// Of the result, as far as it is not kept; of a plan, of how many calls it has made.
    pub label: Label,
    /// The values of which the agent got handles: all of the result, or fields of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<KeptValue>,
    /// Whether the agent saw it, so that its label joined the context.
    pub revealed: bool,
    /// Strings in it, as rule 9 remembers them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seen: Vec<Digest>,
    /// Of the content that a read showed or a write gave, for rule 7.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Digest>,
    /// The object that was read or written, for rule 7.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<Arc<str>>,
}

/// What a client said to a server's question, and what was decided about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    /// The call that the server was working on.
    pub call: CallId,
    /// SHA-256 over a random salt and the JSON of what the client said.
    pub commitment: Digest,
    /// Who may read strings in it that were seen before (rule 9).
    #[serde(default = "everyone", skip_serializing_if = "is_everyone")]
    pub matched: Readers,
    /// What the flow rules said.
    pub flow: Verdict,
    /// Whether it went to the server.
    pub passed: bool,
    /// Seconds since 1970.
    pub at: u64,
}

/// Something that changes what the guard knows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum Event {
    /// The guard started, with this policy. Handles given before are gone.
    Started {
        /// Digest of the whole configuration in force.
        policy: Digest,
        /// Ostrom's version.
        version: String,
        /// `enforce` or `observe`.
        mode: String,
        /// Who may read what the principal says.
        readers: Readers,
        /// Seconds since 1970.
        at: u64,
    },
    /// A run was minted.
    Opened {
        /// Its context.
        context: ContextKey,
        /// Digest of the token that opens it. The token itself has 128 random bits and is on no record.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<Digest>,
        /// Seconds since 1970.
        at: u64,
    },
    /// A run ended: its token opens nothing any more.
    Closed {
        /// Its context.
        context: ContextKey,
        /// Seconds since 1970.
        at: u64,
    },
    /// The agent saw something that was not the result of a call: definitions, instructions, a resource, a prompt, a kept value.
    Revealed {
        /// Who saw it.
        context: ContextKey,
        /// What it was.
        what: String,
        /// Its label.
        label: Label,
        /// The kept value that it is, or is a part of.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        handle: Option<HandleId>,
        /// Seconds since 1970.
        at: u64,
    },
    /// The agent saw a part of a kept value that the policy endorses: its label did not join.
    Endorsed {
        /// Who saw it.
        context: ContextKey,
        /// What it was.
        what: String,
        /// The influence that remains, in bits.
        bits: f64,
        /// Seconds since 1970.
        at: u64,
    },
    /// A call was decided on.
    Decided(Box<Decision>),
    /// The client answered a question that a server asked while it worked on a call.
    Replied(Box<Reply>),
    /// A call came back.
    Finished(Box<Outcome>),
    /// An authenticated person took a context back to its beginning.
    Reset {
        /// The context.
        context: ContextKey,
        /// Who.
        by: String,
        /// Seconds since 1970.
        at: u64,
    },
    /// A person stopped something.
    Stopped {
        /// What.
        scope: Scope,
        /// Who.
        by: String,
        /// Seconds since 1970.
        at: u64,
    },
    /// A person took a stop back.
    Lifted {
        /// What.
        scope: Scope,
        /// Who.
        by: String,
        /// Seconds since 1970.
        at: u64,
    },
    /// A person revoked a source: what descends from it is quarantined.
    Revoked {
        /// `SERVER`, `SERVER/TOOL` or `SERVER#OBJECT`.
        source: String,
        /// Who.
        by: String,
        /// Seconds since 1970.
        at: u64,
    },
    /// A person answered a request for approval.
    Answered {
        /// The random name of the request. It tells nothing about the call, whose arguments may be redacted.
        request: Digest,
        /// What they said.
        approved: bool,
        /// Who.
        by: String,
        /// Seconds since 1970.
        at: u64,
    },
    /// A definition was pinned, or its pin changed.
    Pinned {
        /// The server.
        server: Arc<str>,
        /// `tool`, `resource`, `prompt`, and its name.
        what: String,
        /// Its canonical hash.
        digest: Digest,
        /// Who.
        by: String,
        /// Seconds since 1970.
        at: u64,
    },
    /// A person took a pin away: nobody sees the definition any more, and it is held if its server offers it.
    Unpinned {
        /// The server.
        server: Arc<str>,
        /// `tool`, `resource`, `prompt`, and its name.
        what: String,
        /// The canonical hash that was pinned.
        digest: Digest,
        /// Who.
        by: String,
        /// Seconds since 1970.
        at: u64,
    },
}

/// What a decision needs besides the engine: facts and, where they are at hand, values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) facts: &'a ToolFacts,
    pub(crate) values: Option<&'a BTreeMap<String, Value>>,
}
