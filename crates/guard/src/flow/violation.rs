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

    /// What part of the call it is about, if it is about a part.
    const fn subject(&self) -> Option<&Subject> {
        match self {
            Self::TrustedAction { subject, .. } | Self::PermittedFlow { subject, .. } => Some(subject),
            _ => None,
        }
    }

    fn differs_in_subject_only(&self, other: &Self) -> bool {
        let mut same = other.clone();
        let place = match &mut same {
            Self::TrustedAction { subject, .. } | Self::PermittedFlow { subject, .. } => Some(subject),
            _ => None,
        };
        if let (Some(place), Some(own)) = (place, self.subject()) {
            *place = own.clone();
        }
        same == *self
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
        let provenance = label.sources();
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
        let provenance = label.sources();
        Self::PermittedFlow { tool: name(call), subject, audience, readers, provenance }
    }
}

/// Violations that say the same of several parts of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grouped<'a> {
    /// The first of them.
    pub first: &'a Violation,
    /// Whether one is about the call itself.
    pub is_of_call: bool,
    /// The arguments that they are about, in order.
    pub arguments: Vec<&'a str>,
}

/// Puts violations together that differ in nothing but the part of the call that they are about, in the order of the first ones.
#[must_use]
pub fn grouped(violations: &[Violation]) -> Vec<Grouped<'_>> {
    let mut groups: Vec<Grouped<'_>> = Vec::new();
    for violation in violations {
        let at = match groups.iter().position(|group| group.first.differs_in_subject_only(violation)) {
            Some(at) => at,
            None => {
                groups.push(Grouped { first: violation, is_of_call: false, arguments: Vec::new() });
                groups.len().saturating_sub(1)
            }
        };
        let Some(group) = groups.get_mut(at) else { continue };
        match violation.subject() {
            Some(Subject::Call) => group.is_of_call = true,
            Some(Subject::Argument(name)) => group.arguments.push(name),
            None => {}
        }
    }
    groups
}

/// Each group of violations in one clause.
#[must_use]
pub fn clauses(violations: &[Violation]) -> Vec<String> {
    grouped(violations).iter().map(ToString::to_string).collect()
}

impl fmt::Display for Grouped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.arguments.len() == 1 { "argument" } else { "arguments" };
        let names = self.arguments.join(", ");
        let subject = match (self.is_of_call, self.arguments.is_empty()) {
            (_, true) => "the call".to_owned(),
            (true, false) => format!("the call and its {word} {names}"),
            (false, false) => format!("the {word} {names}"),
        };
        self.first.describe(f, &subject)
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
        self.describe(f, &self.subject().map(ToString::to_string).unwrap_or_default())
    }
}

impl Violation {
    /// Says it of `what`: one part of the call, or several.
    fn describe(&self, f: &mut fmt::Formatter<'_>, what: &str) -> fmt::Result {
        let or =
            |names: &Names, none: &str| if names.is_empty() { none.to_owned() } else { names.to_string() };
        let from = |names: &Names| if names.is_empty() { String::new() } else { format!(" (from {names})") };
        match self {
            Self::TrustedAction { tool, influencers, allowed, provenance, .. } => write!(
                f,
                "{tool} may be influenced by {} only, but {} may have influenced {what}{}",
                or(allowed, "nobody"),
                or(influencers, "anyone"),
                from(provenance)
            ),
            Self::PermittedFlow { tool, audience, readers, provenance, .. } => write!(
                f,
                "{tool} would show {what} to {}, but what it is made of{} may be read by {} only",
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
