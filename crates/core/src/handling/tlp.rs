//! The Traffic Light Protocol, version 2.0 of FIRST; marks of version 1.0 are read in.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A mark of the Traffic Light Protocol, from the most open to the strictest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tlp {
    /// For everybody.
    Clear,
    /// For the community: every member of the node.
    Green,
    /// For the recipients' organisations and their clients.
    Amber,
    /// For the recipients' organisations only.
    AmberStrict,
    /// For the named persons only.
    Red,
}

/// Why a text is not a mark.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{found:?} is not a mark of the Traffic Light Protocol: use clear, green, amber, amber+strict or red"
)]
pub struct TlpError {
    found: String,
}

impl Tlp {
    /// All, from the most open to the strictest.
    pub const ALL: [Self; 5] = [Self::Clear, Self::Green, Self::Amber, Self::AmberStrict, Self::Red];

    /// `amber+strict`, as in STIX.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clear => "clear",
            Self::Green => "green",
            Self::Amber => "amber",
            Self::AmberStrict => "amber+strict",
            Self::Red => "red",
        }
    }

    /// `TLP:AMBER+STRICT`, as people write it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Clear => "TLP:CLEAR",
            Self::Green => "TLP:GREEN",
            Self::Amber => "TLP:AMBER",
            Self::AmberStrict => "TLP:AMBER+STRICT",
            Self::Red => "TLP:RED",
        }
    }
}

impl fmt::Display for Tlp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.label())
    }
}

impl FromStr for Tlp {
    type Err = TlpError;

    /// Reads `amber`, `TLP:AMBER` and, of version 1.0, `white`.
    fn from_str(text: &str) -> Result<Self, TlpError> {
        let lower = text.to_ascii_lowercase();
        let name = lower.strip_prefix("tlp:").unwrap_or(&lower);
        let name = if name == "white" { "clear" } else { name };
        Self::ALL
            .into_iter()
            .find(|tlp| tlp.name() == name)
            .ok_or_else(|| TlpError { found: text.chars().take(40).collect() })
    }
}

impl Serialize for Tlp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Tlp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
