//! Why a call is refused, in one sentence that a developer understands.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::decide::Call;
use crate::label::{Integrity, Label, Names, Readers};

/// What part of a call a violation is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// That the call is made at all.
    Call,
    /// One argument.
    Argument(String),
}

impl Subject {
    /// Whether it is the argument of this name.
    #[must_use]
    pub fn is(&self, argument: &str) -> bool {
        matches!(self, Self::Argument(name) if name == argument)
    }
}

/// A reason to refuse a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "rule")]
pub enum Violation {
    /// Somebody who must not has possibly influenced it.
    TrustedAction {
        /// `SERVER/TOOL`.
        tool: String,
        /// What they influenced.
        subject: Subject,
        /// Who they are; empty means anyone.
        influencers: Names,
        /// Who may influence it.
        allowed: Names,
        /// Where it came from.
        #[serde(default, skip_serializing_if = "Names::is_empty")]
        provenance: Names,
    },
    /// Somebody would read it who must not.
    PermittedFlow {
        /// `SERVER/TOOL`.
        tool: String,
        /// What they would read.
        subject: Subject,
        /// Who they are; empty means everyone.
        audience: Names,
        /// Who may read it.
        readers: Names,
        /// Where it came from.
        #[serde(default, skip_serializing_if = "Names::is_empty")]
        provenance: Names,
    },
    /// It descends from a source that was revoked.
    Quarantined {
        /// The source.
        source: String,
    },
    /// A person stopped it.
    Stopped {
        /// What was stopped.
        what: String,
    },
    /// The run has ended.
    Ended,
    /// A step of a plan that is not under way, or that claims less than the plan was submitted under.
    OutsidePlan,
    /// A handle that this run was never given.
    UnknownHandle {
        /// The argument.
        argument: String,
    },
}

impl Violation {
    /// Whether it keeps a call back even where the guard only watches: what a person has stopped stays stopped, and where there is no
    /// value for a handle there is nothing to dispatch.
    #[must_use]
    pub const fn holds_always(&self) -> bool {
        matches!(self, Self::Stopped { .. } | Self::Ended | Self::UnknownHandle { .. } | Self::OutsidePlan)
    }

    pub(super) fn influenced(call: &Call<'_>, subject: Subject, label: &Label, allowed: &Integrity) -> Self {
        let allowed = match allowed {
            Integrity::Of(names) => names.clone(),
            Integrity::Anyone => Names::default(),
        };
        let influencers = match &label.integrity {
            Integrity::Of(names) => names.iter().filter(|name| !allowed.contains(name)).cloned().collect(),
            Integrity::Anyone => Names::default(),
        };
        let provenance = label.provenance.clone();
        Self::TrustedAction { tool: name(call), subject, influencers, allowed, provenance }
    }

    pub(super) fn leaks(call: &Call<'_>, subject: Subject, label: &Label, audience: &Readers) -> Self {
        let readers = match &label.readers {
            Readers::Only(names) => names.clone(),
            Readers::Everyone => Names::default(),
        };
        let audience = match audience {
            Readers::Only(names) => names.iter().filter(|name| !readers.contains(name)).cloned().collect(),
            Readers::Everyone => Names::default(),
        };
        let provenance = label.provenance.clone();
        Self::PermittedFlow { tool: name(call), subject, audience, readers, provenance }
    }
}

fn name(call: &Call<'_>) -> String {
    format!("{}/{}", call.server, call.tool)
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call => f.write_str("the call"),
            Self::Argument(name) => write!(f, "the argument {name}"),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or =
            |names: &Names, none: &str| if names.is_empty() { none.to_owned() } else { names.to_string() };
        let from = |names: &Names| if names.is_empty() { String::new() } else { format!(" (from {names})") };
        match self {
            Self::TrustedAction { tool, subject, influencers, allowed, provenance } => write!(
                f,
                "{tool} may be influenced by {} only, but {} may have influenced {subject}{}",
                or(allowed, "nobody"),
                or(influencers, "anyone"),
                from(provenance)
            ),
            Self::PermittedFlow { tool, subject, audience, readers, provenance } => write!(
                f,
                "{tool} would show {subject} to {}, but what it is made of{} may be read by {} only",
                or(audience, "everyone"),
                from(provenance),
                or(readers, "nobody")
            ),
            Self::Quarantined { source } => write!(f, "it descends from {source}, which was revoked"),
            Self::Stopped { what } => {
                // As `Scope` writes it.
                let (kind, name) = what.split_once(' ').unwrap_or(("all", ""));
                let name = if name.is_empty() { String::new() } else { format!(" {name}") };
                write!(f, "{what} was stopped (ostrom guard stop --{kind}{name} --lift takes it back)")
            }
            Self::Ended => f.write_str("its run has ended (ostrom guard mint begins another)"),
            Self::OutsidePlan => f.write_str("it is a step of a plan that is not under way"),
            Self::UnknownHandle { argument } => {
                write!(f, "the argument {argument} has a handle that this run was never given")
            }
        }
    }
}
