//! Pins of MCP definitions: an agent is shown only what a person has approved, byte for byte in meaning.
//!
//! A definition (of a tool, prompt, resource or resource template) is text that every model obeys to some degree, and
//! that its server may change at any time. Each is named by the digest of its canonical JSON, whole, `_meta` included.
//! [`PinStore::check`] tells the approved from the new, the changed, those that shadow another's name, and those with
//! text that people do not see.
//!
//! *Invariant:* what is not [`Standing::Pinned`] is not shown to an agent. Names that look like another's and hidden
//! text are never trusted on first use.

mod definition;
mod diff;
mod hidden;
mod likeness;
mod store;

#[cfg(test)]
mod tests;

use std::fmt;

use ostrom_core::Digest;
use serde::{Deserialize, Serialize};

pub use definition::{Definition, DefinitionError, MAX_BYTES, MAX_DEPTH, MAX_VALUES};
pub use diff::Change;
pub use hidden::{HiddenText, escape, rendering};
pub use store::{ApproveError, MAX_DEFINITIONS, Pin, PinStore, StoreError};

/// What is defined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A tool, known by its `name`.
    Tool,
    /// A prompt, known by its `name`.
    Prompt,
    /// A resource, known by its `uri`.
    Resource,
    /// A resource template, known by its `uriTemplate`.
    ResourceTemplate,
}

impl Kind {
    /// The member by which a definition is known.
    pub fn key(self) -> &'static str {
        match self {
            Self::Tool | Self::Prompt => "name",
            Self::Resource => "uri",
            Self::ResourceTemplate => "uriTemplate",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tool => "tool",
            Self::Prompt => "prompt",
            Self::Resource => "resource",
            Self::ResourceTemplate => "resource template",
        })
    }
}

/// What becomes of definitions when a server is seen for the first time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FirstUse {
    /// Each waits for a person.
    #[default]
    Hold,
    /// What the server has then is pinned, but for what shadows or hides something. What it adds later waits.
    TrustOnFirstUse,
}

/// A definition that a server offers, or no longer does, and how it stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Checked {
    /// What it defines.
    pub kind: Kind,
    /// Its name, URI or URI template. May have hidden characters: show [`rendering`]s.
    pub name: String,
    /// The digest of what the server offers now. `None` if it offers nothing, or nothing that has a digest.
    pub digest: Option<Digest>,
    /// Approved, held, or gone.
    pub standing: Standing,
}

impl Checked {
    /// Whether agents may see it.
    pub fn is_shown(&self) -> bool {
        self.standing == Standing::Pinned
    }
}

/// How a definition stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It is what was approved.
    Pinned,
    /// It waits for a person, for these reasons.
    Held(Vec<Reason>),
    /// It was approved and is no longer offered.
    Removed,
}

/// Why a definition is held.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Nothing of this name was approved.
    New,
    /// It is not what was approved: these members differ.
    Changed(Vec<Change>),
    /// Its name is another's, or can be taken for it.
    Shadowing {
        /// The server that has the other.
        server: String,
        /// The other's name.
        name: String,
        /// Whether the names are equal, letter by letter.
        equal: bool,
    },
    /// It has text that people do not see.
    Hidden(Vec<HiddenText>),
    /// The server offers two of this name.
    Duplicate,
    /// It is not a definition, or not within bounds. This cannot be approved.
    Malformed(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New => f.write_str("it is new"),
            Self::Changed(changes) => {
                f.write_str("it has changed since it was approved:")?;
                changes.iter().try_for_each(|change| write!(f, " {change};"))
            }
            Self::Shadowing { server, name, equal } => {
                let how = if *equal { "is" } else { "can be taken for" };
                write!(f, "its name {how} that of {} of the server {server}", hidden::escape(name))
            }
            Self::Hidden(texts) => {
                f.write_str("it has text that people do not see:")?;
                texts.iter().try_for_each(|text| write!(f, " {text};"))
            }
            Self::Duplicate => f.write_str("the server offers two of this name"),
            Self::Malformed(why) => write!(f, "it is not acceptable: {why}"),
        }
    }
}
