//! The keys of `guard.toml`. `docs/guard-config.md` explains each of them; a test holds the two together.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::rules::{Influencers, NameSet, Otherwise, ReaderSet, SourceRules, ToolRules};
use crate::label::USER;

/// A whole file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct GuardFile {
    /// Further files with servers, relative to this one.
    pub include: Vec<String>,
    /// The guard itself.
    pub guard: Guard,
    /// Towards the agent.
    pub front: Front,
    /// Bounds.
    pub limits: Limits,
    /// What the user's own words are.
    pub run: Run,
    /// Who may submit plans.
    pub plans: Plans,
    /// The servers behind.
    pub servers: BTreeMap<String, Server>,
    /// Cedar.
    pub policy: CedarFiles,
    /// How a person answers.
    pub approval: Approval,
    /// The record.
    pub audit: Audit,
    /// How many calls.
    pub budgets: Budgets,
}

/// A file named by `include`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct IncludedFile {
    /// The servers behind.
    pub servers: BTreeMap<String, Server>,
}

/// `[guard]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Guard {
    /// Whether decisions are enforced.
    pub mode: Mode,
    /// Where the guard keeps its state; by default in the user's data folder.
    pub state: Option<PathBuf>,
    /// What happens to a definition that is not pinned.
    pub new_definitions: NewDefinitions,
}

/// Whether decisions are enforced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// A call that is not permitted does not leave.
    #[default]
    Enforce,
    /// Every call leaves; what would have been refused is written down.
    Observe,
}

/// What happens to a definition that is not pinned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NewDefinitions {
    /// It is held until a person approves it.
    #[default]
    Hold,
    /// The first definitions of a server are taken; later changes are held.
    TrustOnFirstUse,
}

/// `[front]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Front {
    /// `stdio`, or the address and port of the HTTP server.
    pub listen: String,
    /// The path of the MCP endpoint.
    pub path: String,
    /// Who is let in over HTTP.
    pub auth: Auth,
    /// The principal where there is no authentication (stdio, and HTTP on loopback).
    pub principal: String,
    /// For `auth = "tokens"`: principal = environment variable that holds its token.
    pub tokens: BTreeMap<String, String>,
    /// For `auth = "oauth"`.
    pub oauth: Option<FrontOauth>,
    /// Further web origins that may call.
    pub origins: Vec<String>,
}

impl Default for Front {
    fn default() -> Self {
        Self {
            listen: "stdio".to_owned(),
            path: "/mcp".to_owned(),
            auth: Auth::default(),
            principal: "local".to_owned(),
            tokens: BTreeMap::new(),
            oauth: None,
            origins: Vec::new(),
        }
    }
}

/// Who is let in over HTTP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Auth {
    /// Anybody on this machine; only where the address is a loopback address.
    #[default]
    NoneOnLoopback,
    /// Who has one of the tokens.
    Tokens,
    /// Who has an access token of the issuer for this audience.
    Oauth,
}

/// `[front.oauth]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct FrontOauth {
    /// The authorization server.
    pub issuer: String,
    /// The guard's own public URL, to which tokens must be bound.
    pub audience: String,
    /// Where the issuer's keys are: a URL, or a file.
    pub jwks: String,
    /// Scopes that a token must have.
    pub scopes: Vec<String>,
}

impl FrontOauth {
    /// Whether `jwks` is a file.
    #[must_use]
    pub fn has_file(&self) -> bool {
        !self.jwks.is_empty() && !self.jwks.contains("://")
    }
}

/// `[limits]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limits {
    /// Bytes of a message.
    pub message_bytes: u64,
    /// Levels of nesting in a message.
    pub depth: u64,
    /// Values in a message.
    pub values: u64,
    /// Seconds that a call may take.
    pub call_seconds: u64,
    /// Calls of a principal under way at a time.
    pub concurrent_calls: u64,
    /// Calls of a principal in a second.
    pub calls_per_second: u64,
    /// Runs that are remembered at a time.
    pub runs: u64,
    /// Values that are kept by reference for a run.
    pub kept_values: u64,
    /// Bytes that are kept by reference for a run.
    pub kept_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 16 << 20,
            depth: 64,
            values: 1 << 20,
            call_seconds: 120,
            concurrent_calls: 64,
            calls_per_second: 10_000,
            runs: 10_000,
            kept_values: 1_000,
            kept_bytes: 64 << 20,
        }
    }
}

/// `[run]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Run {
    /// Who may read what the user says.
    pub readers: ReaderSet,
}

/// `[servers.NAME]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Server {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The folder that the program starts in.
    pub cwd: Option<PathBuf>,
    /// Names of environment variables that the program gets; the way for secrets.
    pub env: Vec<String>,
    /// Environment variables with their values; not for secrets.
    pub variables: BTreeMap<String, String>,
    /// What the program may touch.
    pub sandbox: Sandbox,
    /// The address of a server over Streamable HTTP.
    pub url: Option<String>,
    /// The PEM file with the authorities that alone may vouch for `url`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// The environment variable with the bearer token for `url`.
    pub bearer_env: Option<String>,
    /// The OAuth client for `url`.
    pub oauth: Option<BackOauth>,
    /// The MCP revision to speak: `auto`, or one of the revisions.
    pub revision: Option<String>,
    /// Shipped facts for this kind of server.
    pub profile: Option<String>,
    /// Facts about single tools.
    pub tools: BTreeMap<String, ToolRules>,
    /// Facts about tools that neither `tools` nor the profile names.
    pub defaults: ToolRules,
    /// Facts about reading resources.
    pub resources: SourceRules,
    /// Facts about getting prompts.
    pub prompts: SourceRules,
}

/// `[servers.NAME.sandbox]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Sandbox {
    /// No sandbox at all.
    pub off: bool,
    /// Files and folders that the program may read.
    pub read: Vec<PathBuf>,
    /// Files and folders that it may read and change.
    pub write: Vec<PathBuf>,
    /// Files and folders that it may read, and whose programs it may run.
    pub execute: Vec<PathBuf>,
    /// Which network.
    pub network: Network,
    /// Whether it may use Unix sockets by name.
    pub unix_sockets: bool,
    /// What becomes of a change of modes, owners and extended attributes of files.
    pub modes: Modes,
    /// Whether to refuse to start it where the kernel cannot enforce all of this.
    pub require: bool,
    /// Bounds on what it uses.
    pub limits: SandboxLimits,
}

/// Which network a program may use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// None.
    #[default]
    None,
    /// A loopback interface of its own.
    Loopback,
    /// TCP connections to these ports.
    Ports(Vec<u16>),
    /// All.
    All,
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: serde::Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Network;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("\"none\", \"loopback\", \"all\" or a list of ports")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Network, E> {
                match text {
                    "none" => Ok(Network::None),
                    "loopback" => Ok(Network::Loopback),
                    "all" => Ok(Network::All),
                    other => Err(E::invalid_value(serde::de::Unexpected::Str(other), &self)),
                }
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Network, A::Error> {
                let mut ports = Vec::new();
                while let Some(port) = seq.next_element()? {
                    ports.push(port);
                }
                Ok(Network::Ports(ports))
            }
        }
        reader.deserialize_any(Visitor)
    }
}

/// What becomes of a change of a file's mode, owner or extended attributes: `false`, `true` or `"ignored"`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Modes {
    /// It fails.
    #[default]
    Refused,
    /// A change of a mode seems to succeed and changes nothing; the others fail.
    Ignored,
    /// It is done, whichever of the user's files it is about.
    Allowed,
}

impl Serialize for Modes {
    fn serialize<S: serde::Serializer>(&self, writer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Refused => writer.serialize_bool(false),
            Self::Ignored => writer.serialize_str("ignored"),
            Self::Allowed => writer.serialize_bool(true),
        }
    }
}

impl<'de> Deserialize<'de> for Modes {
    fn deserialize<D: serde::Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Modes;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("true, false or \"ignored\"")
            }

            fn visit_bool<E: serde::de::Error>(self, allowed: bool) -> Result<Modes, E> {
                Ok(if allowed { Modes::Allowed } else { Modes::Refused })
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Modes, E> {
                match text {
                    "ignored" => Ok(Modes::Ignored),
                    other => Err(E::invalid_value(serde::de::Unexpected::Str(other), &self)),
                }
            }
        }
        reader.deserialize_any(Visitor)
    }
}

/// `[servers.NAME.sandbox.limits]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct SandboxLimits {
    /// Open files at a time.
    pub open_files: Option<u64>,
    /// Bytes in a file that it writes.
    pub file_bytes: Option<u64>,
    /// Bytes of address space.
    pub memory_bytes: Option<u64>,
    /// Seconds of processor time.
    pub cpu_seconds: Option<u64>,
    /// Processes and threads of the user at a time.
    pub processes: Option<u64>,
}

/// `[servers.NAME.oauth]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct BackOauth {
    /// As registered with the authorization server.
    pub client_id: String,
    /// The environment variable with the client's secret, if it has one.
    pub client_secret_env: Option<String>,
    /// The authorization server that knows the client, and the only one that is sent its secret.
    pub issuer: Option<String>,
    /// Scopes to ask for.
    pub scopes: Vec<String>,
}

/// `[plans]`: the guard's own tool `run_plan`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Plans {
    /// Who may have influenced an agent that submits a plan.
    pub influencers: Influencers,
    /// What becomes of a plan that others may have influenced: a person may approve it as a whole, or it is refused.
    pub otherwise: Otherwise,
}

impl Default for Plans {
    fn default() -> Self {
        Self { influencers: NameSet::These(vec![USER.to_owned()]), otherwise: Otherwise::Ask }
    }
}

/// `[policy]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct CedarFiles {
    /// Files with policies, relative to this one. None: the shipped policy, which permits what the flow rules allow.
    pub cedar: Vec<String>,
}

/// `[approval]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Approval {
    /// Minutes until a question is taken for answered with no.
    pub minutes: u64,
    /// Where a person answers.
    pub channels: Vec<Channel>,
    /// Where the approval page listens; always a loopback address.
    pub web_listen: String,
    /// For the channel `webhook`.
    pub webhook: Option<Webhook>,
}

impl Default for Approval {
    fn default() -> Self {
        Self {
            minutes: 15,
            channels: vec![Channel::Terminal],
            web_listen: "127.0.0.1:0".to_owned(),
            webhook: None,
        }
    }
}

/// Where a person answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Channel {
    /// `ostrom guard approve`.
    Terminal,
    /// A page on this machine.
    Web,
    /// A service of yours.
    Webhook,
}

/// `[approval.webhook]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Webhook {
    /// Where questions are sent.
    pub url: String,
    /// The environment variable with the key under which both sides authenticate.
    pub secret_env: String,
}

/// `[audit]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Audit {
    /// What a power loss may take.
    pub mode: AuditMode,
    /// Where the log is; by default in the guard's state.
    pub folder: Option<PathBuf>,
    /// Days until the openings of commitments are deleted; by default they are kept.
    pub openings_days: Option<u64>,
}

/// What a power loss may take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuditMode {
    /// Nothing: a record is on the disk before its call leaves.
    Durable,
    /// The last moments; a crash of the guard alone takes nothing.
    #[default]
    Buffered,
}

/// `[budgets]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Budgets {
    /// Calls in a run.
    pub calls_per_run: Option<u64>,
    /// Calls of a principal in an hour.
    pub calls_per_hour: Option<u64>,
    /// Calls of single tools in a run: `"SERVER/TOOL" = calls`.
    pub tools: BTreeMap<String, u64>,
}
