//! Profiles: facts about the tools of common servers, as data.
//!
//! A profile says what a tool does, not whether its server is honest: it is chosen by the user, or from the command line
//! that the user wrote, and never from what a server says of itself.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::config::{SourceRules, ToolRules};
use super::problem::Problems;
use super::read::Document;

mod detect;
#[cfg(test)]
mod tests;

pub(crate) use detect::npm_name;
pub use detect::{Fetched, Registry, Wanted, fetched, profile_for};

/// The shipped files.
const FILES: [(&str, &str); 9] = [
    ("calendar", include_str!("../../profiles/calendar.toml")),
    ("email", include_str!("../../profiles/email.toml")),
    ("everything", include_str!("../../profiles/everything.toml")),
    ("fetch", include_str!("../../profiles/fetch.toml")),
    ("filesystem", include_str!("../../profiles/filesystem.toml")),
    ("git", include_str!("../../profiles/git.toml")),
    ("memory", include_str!("../../profiles/memory.toml")),
    ("payments", include_str!("../../profiles/payments.toml")),
    ("time", include_str!("../../profiles/time.toml")),
];

static ALL: LazyLock<(BTreeMap<&'static str, Profile>, Problems)> = LazyLock::new(|| {
    let mut problems = Problems::default();
    let mut profiles = BTreeMap::new();
    for (name, text) in FILES {
        match Document::parse(name, text) {
            Ok(document) => {
                profiles.insert(name, document.read(&mut problems));
            }
            Err(problem) => problems.push(problem),
        }
    }
    (profiles, problems)
});

/// A profile.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Profile {
    /// For which servers it is, and what it takes for granted.
    pub description: String,
    /// Programs whose tools it describes.
    pub programs: Vec<Program>,
    /// Facts about tools, by their names.
    pub tools: BTreeMap<String, ToolRules>,
    /// Facts about tools whose names match; the first that matches counts, for what comes back all.
    pub patterns: Vec<ProfilePattern>,
    /// Facts about all other tools.
    pub defaults: ToolRules,
    /// Facts about reading resources.
    pub resources: SourceRules,
    /// Facts about getting prompts.
    pub prompts: SourceRules,
}

/// A program that a command line may name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Program {
    /// Its package on npm.
    pub npm: Option<String>,
    /// Its package on PyPI.
    pub pypi: Option<String>,
    /// Its container image.
    pub image: Option<String>,
    /// The name of the executable.
    pub executable: Option<String>,
}

/// Facts about tools whose names match.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ProfilePattern {
    /// Globs (`*` only) over names in lower case, with `_` between words.
    pub names: Vec<String>,
    /// The facts.
    pub rules: ToolRules,
}

impl Profile {
    /// The shipped profile of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        ALL.0.get(name)
    }

    /// The names of the shipped profiles.
    pub fn names() -> impl Iterator<Item = &'static str> {
        FILES.iter().map(|(name, _)| *name)
    }

    fn all() -> impl Iterator<Item = (&'static str, &'static Self)> {
        ALL.0.iter().map(|(name, profile)| (*name, profile))
    }
}

impl ProfilePattern {
    /// Whether `folded` (see [`fold_name`]) is meant.
    pub(super) fn matches(&self, folded: &str) -> bool {
        self.names.iter().any(|glob| glob_matches(glob, folded))
    }
}

/// A tool's name in lower case with `_` between words: `sendEmail`, `send-email` and `Send Email` are `send_email`.
pub(super) fn fold_name(name: &str) -> String {
    let mut folded = String::with_capacity(name.len());
    let mut before_is_lower = false;
    for character in name.chars() {
        if character.is_uppercase() && before_is_lower {
            folded.push('_');
        }
        before_is_lower = character.is_lowercase() || character.is_ascii_digit();
        if character.is_alphanumeric() {
            folded.extend(character.to_lowercase());
        } else {
            folded.push('_');
        }
    }
    folded
}

/// `*` stands for any text. Linear but for one step back to the last `*`.
fn glob_matches(glob: &str, text: &str) -> bool {
    let (glob, text): (Vec<char>, Vec<char>) = (glob.chars().collect(), text.chars().collect());
    let (mut at, mut here) = (0_usize, 0_usize);
    let mut back: Option<(usize, usize)> = None;
    while let Some(&character) = text.get(here) {
        match glob.get(at) {
            Some('*') => {
                back = Some((at, here));
                at = at.saturating_add(1);
            }
            Some(&wanted) if wanted == character => {
                at = at.saturating_add(1);
                here = here.saturating_add(1);
            }
            _ => {
                let Some((star, from)) = back else { return false };
                back = Some((star, from.saturating_add(1)));
                at = star.saturating_add(1);
                here = from.saturating_add(1);
            }
        }
    }
    glob.iter().skip(at).all(|&rest| rest == '*')
}
