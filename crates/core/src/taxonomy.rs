//! Identifiers from the public taxonomies that attacks are mapped to.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A public taxonomy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Framework {
    /// MITRE ATLAS techniques, `AML.T0051.001`.
    Atlas,
    /// OWASP Top 10 for LLM applications, `LLM01`.
    Owasp,
    /// The Arcanum prompt-injection taxonomy.
    Arcanum,
}

impl Framework {
    /// The name that people know it by.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Atlas => "MITRE ATLAS",
            Self::Owasp => "OWASP LLM Top 10",
            Self::Arcanum => "Arcanum PI taxonomy",
        }
    }
}

/// One id of one taxonomy. Its shape has been checked; whether the taxonomy has it is for the library's own
/// list of known ids to say.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaxonomyId {
    framework: Framework,
    id: String,
}

/// Why a text is not an id of a taxonomy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{id:?} does not have the shape of a {} id", framework.name())]
pub struct TaxonomyIdError {
    framework: Framework,
    id: String,
}

impl TaxonomyId {
    /// Checks the shape of `id`.
    ///
    /// # Errors
    /// If `id` cannot be one of `framework`'s.
    pub fn new(framework: Framework, id: &str) -> Result<Self, TaxonomyIdError> {
        let digits = |text: &str, n: usize| text.len() == n && text.bytes().all(|b| b.is_ascii_digit());
        let fine = match framework {
            Framework::Atlas => id.strip_prefix("AML.T").is_some_and(|rest| match rest.split_once('.') {
                Some((technique, sub)) => digits(technique, 4) && digits(sub, 3),
                None => digits(rest, 4),
            }),
            Framework::Owasp => id.strip_prefix("LLM").is_some_and(|rest| digits(rest, 2)),
            Framework::Arcanum => {
                (1..=80).contains(&id.len())
                    && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b))
            }
        };
        let id = id.chars().take(80).collect();
        if fine { Ok(Self { framework, id }) } else { Err(TaxonomyIdError { framework, id }) }
    }

    /// The taxonomy.
    pub fn framework(&self) -> Framework {
        self.framework
    }

    /// The id within the taxonomy.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl fmt::Display for TaxonomyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes() {
        for (framework, id, fine) in [
            (Framework::Atlas, "AML.T0051", true),
            (Framework::Atlas, "AML.T0051.001", true),
            (Framework::Atlas, "AML.T51", false),
            (Framework::Atlas, "T1059", false),
            (Framework::Owasp, "LLM01", true),
            (Framework::Owasp, "LLM1", false),
            (Framework::Arcanum, "", false),
            (Framework::Arcanum, "a b", false),
        ] {
            assert_eq!(TaxonomyId::new(framework, id).is_ok(), fine, "{id}");
        }
    }
}
