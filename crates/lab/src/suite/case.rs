//! Cases: scenario × user task × injection × channel, rendered.

use ostrom_core::Id;
use serde::{Deserialize, Serialize};

use crate::library::Family;
use crate::rule::Rule;

/// A document that is handed to the model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// File name.
    pub name: String,
    /// Format: markdown, html, email, csv, code, text.
    pub format: Id,
    /// Text.
    pub body: String,
}

/// What a user says in one turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    /// The instruction or message.
    pub instruction: String,
    /// The document that goes with it. What it says is data, not instruction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<Document>,
}

impl Turn {
    /// Length of everything that is said, in bytes.
    pub fn bytes(&self) -> usize {
        self.instruction.len()
            + self.document.as_ref().map_or(0, |document| document.name.len() + document.body.len())
    }
}

/// One attack with its negative control.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Unique in the suite: the axes' ids joined by dots.
    pub id: String,
    /// Indirect or direct.
    pub family: Family,
    /// The situation.
    pub scenario: Id,
    /// What the user wants.
    pub task: Id,
    /// How the model is attacked.
    pub technique: Id,
    /// The technique's mechanism.
    pub mechanism: Id,
    /// What the attacker wants.
    pub intent: Id,
    /// The order's id (context family).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goal: Option<Id>,
    /// Where the injection is.
    pub channel: Id,
    /// Transforms applied to the injected text, first to last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transforms: Vec<Id>,
    /// The operator's system prompt.
    pub system: String,
    /// The user's turns with the attack.
    pub attack: Vec<Turn>,
    /// The same turns with the order's words but without the order.
    pub control: Vec<Turn>,
    /// Id of the benign twin.
    pub twin: String,
    /// Whether the attack succeeded.
    pub success: Rule,
    /// Whether the user's task was done.
    pub utility: Rule,
}

impl Case {
    /// Cases with the same scenario and task are not independent: this names their cluster.
    pub fn cluster(&self) -> &str {
        &self.twin
    }

    /// What makes cases alike: their scenario and task, and the technique whose template made the attack.
    pub fn kin(&self) -> (&str, &str) {
        (&self.twin, self.technique.as_str())
    }
}

/// The same situation and task without any attack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Twin {
    /// Unique in the suite: scenario and task joined by a dot.
    pub id: String,
    /// Indirect or direct.
    pub family: Family,
    /// The operator's system prompt.
    pub system: String,
    /// The user's turns.
    pub turns: Vec<Turn>,
    /// Whether the task was done.
    pub utility: Rule,
}

/// What is played to the model in one trial.
#[derive(Debug, Clone, Copy)]
pub struct Script<'a> {
    /// The operator's system prompt.
    pub system: &'a str,
    /// The user's turns.
    pub turns: &'a [Turn],
}
