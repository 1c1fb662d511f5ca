//! Findings: what an examination saw, in one place, judged by one rule.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Id;

/// How bad a finding is if it is what it looks like. Ordered: `Info` is the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; nothing to do.
    Info,
    /// Unusual, and harmless by itself.
    Low,
    /// Helps an attacker, or hides something.
    Medium,
    /// Gives an attacker a foothold, or could not be decided.
    High,
    /// Runs an attacker's code.
    Critical,
}

impl Severity {
    /// All of them, least first.
    pub const ALL: [Self; 5] = [Self::Info, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The lower-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The text is not a severity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not a severity: use info, low, medium, high or critical")]
pub struct SeverityError {
    found: String,
}

impl FromStr for Severity {
    type Err = SeverityError;

    fn from_str(text: &str) -> Result<Self, SeverityError> {
        Self::ALL
            .into_iter()
            .find(|severity| severity.name() == text)
            .ok_or_else(|| SeverityError { found: text.chars().take(80).collect() })
    }
}

/// One thing that was found in one place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// How bad it is here; a rule has a usual severity, a place may raise or lower it.
    pub severity: Severity,
    /// The rule that it breaks.
    pub rule: Id,
    /// Where: the file's name relative to what was examined; members of containers follow after `!`.
    pub place: String,
    /// The byte in that file or member where it begins, where one can be named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// What was seen there, in a sentence. Untrusted text in it is escaped and shortened.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severities_are_ordered_and_named() {
        assert!(Severity::ALL.is_sorted());
        for severity in Severity::ALL {
            assert_eq!(severity.name().parse::<Severity>().unwrap(), severity);
            assert_eq!(serde_json::to_value(severity).unwrap(), severity.name());
        }
        assert!("HIGH".parse::<Severity>().is_err());
    }
}
