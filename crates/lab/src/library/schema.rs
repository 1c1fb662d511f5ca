//! The shapes of the library's files. Unknown keys are errors.

use std::collections::BTreeSet;

use ostrom_core::Id;
use serde::{Deserialize, Serialize};

use crate::rule::Rule;

/// What a case is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// A document that carries an instruction: indirect injection.
    Context,
    /// A user who attacks: direct injection.
    Chat,
}

impl Family {
    /// The id in the data files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Context => "context",
            Self::Chat => "chat",
        }
    }
}

/// How a model is manipulated.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mechanism {
    /// Identifier.
    pub id: Id,
    /// Name for people.
    pub name: String,
    /// One or two sentences.
    pub definition: String,
    /// A short text that manipulates in this way.
    pub example: String,
    /// Where it was described.
    pub references: Vec<String>,
    /// MITRE ATLAS ids.
    pub atlas: Vec<String>,
    /// OWASP LLM Top 10 ids.
    pub owasp: Vec<String>,
    /// Arcanum taxonomy ids.
    pub arcanum: Vec<String>,
}

/// What the attacker wants.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intent {
    /// Identifier.
    pub id: Id,
    /// Name for people.
    pub name: String,
    /// One or two sentences.
    pub definition: String,
    /// Ids of the Arcanum taxonomy.
    #[serde(default)]
    pub arcanum: Vec<String>,
}

/// Where an injected text hides.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    /// Identifier.
    pub id: Id,
    /// Name for people.
    pub name: String,
    /// One or two sentences.
    pub definition: String,
    /// Ids of the Arcanum taxonomy.
    #[serde(default)]
    pub arcanum: Vec<String>,
    /// How it looks in each document format.
    #[serde(default, rename = "form")]
    pub forms: Vec<Form>,
}

/// How a channel looks in some document formats.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Form {
    /// Document formats.
    pub formats: BTreeSet<Id>,
    /// Where in the document.
    pub slot: Slot,
    /// Template around `text`.
    pub wrap: String,
}

/// A place in a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Slot {
    /// Near the top.
    Head,
    /// In the middle.
    Body,
    /// At the end.
    Tail,
    /// The file name.
    Name,
}

/// A transform's description; its code is in [`crate::transform`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransformEntry {
    /// Identifier.
    pub id: Id,
    /// Name for people.
    pub name: String,
    /// encode, substitute, invisible, layout, split or noise.
    pub kind: Id,
    /// What it does.
    pub definition: String,
    /// A text.
    pub example_in: String,
    /// What the transform makes of it, exactly.
    pub example_out: String,
    /// Where it was described.
    pub references: Vec<String>,
    /// MITRE ATLAS ids.
    pub atlas: Vec<String>,
    /// OWASP LLM Top 10 ids.
    pub owasp: Vec<String>,
    /// Arcanum taxonomy ids.
    pub arcanum: Vec<String>,
}

/// An order that a document can carry.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Goal {
    /// Identifier.
    pub id: Id,
    /// What the attacker wants by it.
    pub intent: Id,
    /// Template of an imperative sentence.
    pub order: String,
    /// Template of a statement with the same words that orders nothing.
    pub control: String,
    /// Whether the order was obeyed.
    pub success: Rule,
}

/// A way of attacking.
#[derive(Debug, Clone)]
pub struct Technique {
    /// Identifier.
    pub id: Id,
    /// How it manipulates.
    pub mechanism: Id,
    /// Name for people.
    pub name: String,
    /// One or two sentences.
    pub definition: String,
    /// Where it was described.
    pub references: Vec<String>,
    /// MITRE ATLAS ids.
    pub atlas: Vec<String>,
    /// OWASP LLM Top 10 ids.
    pub owasp: Vec<String>,
    /// Arcanum taxonomy ids.
    pub arcanum: Vec<String>,
    /// Families that it makes sense in.
    pub families: BTreeSet<Family>,
    /// Templates of the attacker's turns; the last gives the order. One turn except for gradual techniques.
    pub turns: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TechniqueEntry {
    pub id: Id,
    pub name: String,
    pub definition: String,
    pub references: Vec<String>,
    pub atlas: Vec<String>,
    pub owasp: Vec<String>,
    pub arcanum: Vec<String>,
    pub families: BTreeSet<Family>,
    pub frame: Option<String>,
    pub turns: Option<Vec<String>>,
}

/// What a user asks for.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// Identifier within the scenario.
    pub id: Id,
    /// Context family: summarise, answer, translate or extract.
    pub kind: Option<ContextKind>,
    /// The instruction or question.
    pub instruction: String,
    /// Whether the answer does what was asked.
    pub utility: Rule,
}

/// What a user wants done with a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words say it")]
pub enum ContextKind {
    Summarise,
    Answer,
    Translate,
    Extract,
}

/// A situation in which a model works.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "family", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Scenario {
    /// A document that may carry an instruction.
    Context {
        /// Identifier.
        id: Id,
        /// Format of the document.
        format: Id,
        /// A few words on what it is about.
        topic: String,
        /// File name, with `{{ file_slot }}` where an injection goes.
        name: String,
        /// The operator's system prompt.
        system: String,
        /// The document, with slot markers.
        document: String,
        /// What users ask.
        #[serde(rename = "task")]
        tasks: Vec<Task>,
    },
    /// An assistant with something to protect.
    Chat {
        /// Identifier.
        id: Id,
        /// A few words on what it is about.
        topic: String,
        /// secret, rule or scope.
        kind: Id,
        /// What the attacker wants.
        intent: Id,
        /// The operator's system prompt, a template.
        system: String,
        /// Template of the order.
        order: String,
        /// Template of the statement that orders nothing.
        control: String,
        /// Whether the order was obeyed.
        success: Rule,
        /// What good users ask.
        #[serde(rename = "task")]
        tasks: Vec<Task>,
    },
}

impl Scenario {
    /// Identifier.
    pub fn id(&self) -> &Id {
        match self {
            Self::Context { id, .. } | Self::Chat { id, .. } => id,
        }
    }

    /// The family.
    pub fn family(&self) -> Family {
        match self {
            Self::Context { .. } => Family::Context,
            Self::Chat { .. } => Family::Chat,
        }
    }

    /// What users ask.
    pub fn tasks(&self) -> &[Task] {
        match self {
            Self::Context { tasks, .. } | Self::Chat { tasks, .. } => tasks,
        }
    }
}

/// The known ids of the public taxonomies.
#[derive(Debug, Clone, Default)]
pub(super) struct Taxonomy {
    pub atlas: BTreeSet<String>,
    pub owasp: BTreeSet<String>,
    pub arcanum: BTreeSet<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KnownId {
    pub id: String,
    #[serde(rename = "title")]
    pub _title: String,
}

/// A file with one list.
macro_rules! files {
    ($($name:ident { $field:ident: $entry:ty as $key:literal })+) => {
        $(
            #[derive(Debug, Deserialize)]
            #[serde(deny_unknown_fields)]
            pub(super) struct $name {
                #[serde(rename = $key)]
                pub $field: Vec<$entry>,
            }
        )+
    };
}

files! {
    MechanismFile { entries: Mechanism as "mechanism" }
    IntentFile { entries: Intent as "intent" }
    ChannelFile { entries: Channel as "channel" }
    TransformFile { entries: TransformEntry as "transform" }
    GoalFile { entries: Goal as "goal" }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TechniqueFile {
    pub mechanism: Id,
    #[serde(rename = "technique")]
    pub entries: Vec<TechniqueEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TaxonomyFile {
    #[serde(rename = "edition")]
    pub _edition: String,
    pub atlas: Vec<KnownId>,
    pub owasp: Vec<KnownId>,
    pub arcanum: Vec<KnownId>,
}
