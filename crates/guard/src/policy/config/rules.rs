//! Facts as people write them: everything optional, so that what they say can lie over a profile.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::label::{Integrity, Names, Readers, USER};

/// In a list of names: the server that the facts are about.
pub const THIS_SERVER: &str = "server";
/// The word for everybody who may influence.
pub const ANYONE: &str = "anyone";
/// The word for everybody who may read.
pub const EVERYONE: &str = "everyone";

/// A list of names, or the one word that stands for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameSet<const INFLUENCERS: bool> {
    /// `"anyone"`, `"everyone"`.
    All,
    /// These.
    These(Vec<String>),
}

/// Who may influence: `"anyone"`, or a list.
pub type Influencers = NameSet<true>;
/// Who may read: `"everyone"`, or a list.
pub type ReaderSet = NameSet<false>;

#[expect(
    clippy::derivable_impls,
    reason = "for readers only: nobody is to get `anyone` by leaving influencers out"
)]
impl Default for ReaderSet {
    fn default() -> Self {
        Self::All
    }
}

impl<const INFLUENCERS: bool> NameSet<INFLUENCERS> {
    const WORD: &str = if INFLUENCERS { ANYONE } else { EVERYONE };

    /// The names, with the server's own put in.
    fn names(names: &[String], server: &str) -> Names {
        names
            .iter()
            .map(|name| if name == THIS_SERVER { format!("server:{server}") } else { name.clone() })
            .collect()
    }
}

impl Influencers {
    /// As a label has it.
    #[must_use]
    pub fn integrity(&self, server: &str) -> Integrity {
        match self {
            Self::All => Integrity::Anyone,
            Self::These(names) => Integrity::Of(Self::names(names, server)),
        }
    }
}

impl ReaderSet {
    /// As a label has it.
    #[must_use]
    pub fn readers(&self, server: &str) -> Readers {
        match self {
            Self::All => Readers::Everyone,
            Self::These(names) => Readers::Only(Self::names(names, server)),
        }
    }
}

impl<const INFLUENCERS: bool> Serialize for NameSet<INFLUENCERS> {
    fn serialize<S: Serializer>(&self, writer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => writer.serialize_str(Self::WORD),
            Self::These(names) => names.serialize(writer),
        }
    }
}

impl<'de, const INFLUENCERS: bool> Deserialize<'de> for NameSet<INFLUENCERS> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Words<const INFLUENCERS: bool>;
        impl<'de, const INFLUENCERS: bool> Visitor<'de> for Words<INFLUENCERS> {
            type Value = NameSet<INFLUENCERS>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "\"{}\" or a list of names", NameSet::<INFLUENCERS>::WORD)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                if text == NameSet::<INFLUENCERS>::WORD {
                    Ok(NameSet::All)
                } else {
                    Err(E::invalid_value(de::Unexpected::Str(text), &self))
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = seq.next_element()? {
                    names.push(name);
                }
                Ok(NameSet::These(names))
            }
        }
        reader.deserialize_any(Words::<INFLUENCERS>)
    }
}

/// `[servers.NAME.tools.TOOL]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ToolRules {
    /// Whether it does something that untrusted influencers must not decide.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub critical: Option<bool>,
    /// Who may have influenced the call and its arguments, if it is critical.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub influencers: Option<Influencers>,
    /// Who reads the arguments, besides the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience: Option<ReaderSet>,
    /// Arguments whose values name further readers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience_of: Option<Vec<String>>,
    /// What a violation becomes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otherwise: Option<Otherwise>,
    /// What differs for single arguments.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub arguments: BTreeMap<String, ArgumentRules>,
    /// What comes back.
    pub result: ResultRules,
    /// Whether it reads or writes stored objects; empty: it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryRules>,
}

/// `[servers.NAME.resources]` and `[servers.NAME.prompts]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct SourceRules {
    /// Whether asking for one does something that untrusted influencers must not decide.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub critical: Option<bool>,
    /// Who may have influenced that, if it is critical.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub influencers: Option<Influencers>,
    /// Who learns which one was asked for, besides the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience: Option<ReaderSet>,
    /// What a violation becomes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otherwise: Option<Otherwise>,
    /// What comes back.
    pub result: ResultRules,
}

/// `[servers.NAME.tools.TOOL.arguments.ARGUMENT]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ArgumentRules {
    /// Who may have influenced it; otherwise as for the tool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub influencers: Option<Influencers>,
    /// Values that are acceptable whoever influenced them; empty: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endorse: Option<EndorseRules>,
    /// Who reads this argument, besides the server; otherwise as for the tool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience: Option<ReaderSet>,
}

/// `endorse = { … }`: one of the three.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct EndorseRules {
    /// One of these values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub one_of: Option<Vec<Value>>,
    /// A whole number from the first to the second, both included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<(i64, i64)>,
    /// A number between two whole ones, with at most so many decimals: `{ min = 0, max = 2500, decimals = 2 }`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<NumberRules>,
    /// A text that this regular expression matches from end to end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
}

/// `endorse = { number = { … } }`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct NumberRules {
    /// The smallest.
    pub min: i64,
    /// The largest.
    pub max: i64,
    /// Digits behind the point; at most 9.
    pub decimals: u32,
}

/// `result = { … }`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ResultRules {
    /// Who may have influenced it, besides those who influenced the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub influencers: Option<Influencers>,
    /// Who may read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readers: Option<ReaderSet>,
    /// How much of it the agent sees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reveal: Option<Reveal>,
    /// Fields of a structured result that differ from the rest, by JSON pointer; `*` stands for every element or member.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, FieldRules>,
    /// Parts that the agent may see without the result's label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endorse: Option<Vec<EndorseRules>>,
}

/// `result.fields."/POINTER"`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct FieldRules {
    /// Who may have influenced it; otherwise as for the result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub influencers: Option<Influencers>,
    /// Who may read it; otherwise as for the result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readers: Option<ReaderSet>,
    /// How much of it the agent sees: `value` or `reference`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reveal: Option<Reveal>,
    /// Values that the agent may see without its label, and parts that it may ask for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endorse: Option<Vec<EndorseRules>>,
}

/// `memory = { … }`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct MemoryRules {
    /// Reads, or writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
    /// The argument that names the object; none means all of the server's objects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// For a write: the argument with all of the object's new content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}

/// What a violation becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Otherwise {
    /// A person may approve this very call.
    Ask,
    /// The call is refused.
    Deny,
}

/// How much of a result the agent sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reveal {
    /// All of it.
    Value,
    /// A handle.
    Reference,
    /// That the call succeeded or failed.
    Status,
}

/// Reads, or writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// The result shows the object.
    Read,
    /// The object is given what the arguments say.
    Write,
}

impl ToolRules {
    /// What holds for a tool of which nobody says anything: it is critical, for the user alone, and its result is its
    /// server's word.
    #[must_use]
    pub fn unknown() -> Self {
        Self {
            critical: Some(true),
            influencers: Some(NameSet::These(vec![USER.to_owned()])),
            audience: Some(NameSet::These(Vec::new())),
            audience_of: Some(Vec::new()),
            otherwise: Some(Otherwise::Ask),
            arguments: BTreeMap::new(),
            result: ResultRules {
                influencers: Some(NameSet::These(vec![THIS_SERVER.to_owned()])),
                readers: Some(NameSet::These(vec![USER.to_owned(), THIS_SERVER.to_owned()])),
                reveal: Some(Reveal::Value),
                ..ResultRules::default()
            },
            memory: Some(MemoryRules::default()),
        }
    }

    /// `self`, and where it says nothing, `base`.
    #[must_use]
    pub fn over(&self, base: &Self) -> Self {
        let mut arguments = base.arguments.clone();
        for (name, rules) in &self.arguments {
            let under = arguments.entry(name.clone()).or_default();
            *under = ArgumentRules {
                influencers: rules.influencers.clone().or_else(|| under.influencers.take()),
                endorse: rules.endorse.clone().or_else(|| under.endorse.take()),
                audience: rules.audience.clone().or_else(|| under.audience.take()),
            };
        }
        Self {
            critical: self.critical.or(base.critical),
            influencers: self.influencers.clone().or_else(|| base.influencers.clone()),
            audience: self.audience.clone().or_else(|| base.audience.clone()),
            audience_of: self.audience_of.clone().or_else(|| base.audience_of.clone()),
            otherwise: self.otherwise.or(base.otherwise),
            arguments,
            result: self.result.over(&base.result),
            memory: self.memory.clone().or_else(|| base.memory.clone()),
        }
    }
}

impl SourceRules {
    /// `self`, and where it says nothing, `base`.
    #[must_use]
    pub fn over(&self, base: &Self) -> Self {
        Self {
            critical: self.critical.or(base.critical),
            influencers: self.influencers.clone().or_else(|| base.influencers.clone()),
            audience: self.audience.clone().or_else(|| base.audience.clone()),
            otherwise: self.otherwise.or(base.otherwise),
            result: self.result.over(&base.result),
        }
    }

    /// The same as facts about a tool.
    #[must_use]
    pub fn as_tool(&self) -> ToolRules {
        ToolRules {
            critical: self.critical,
            influencers: self.influencers.clone(),
            audience: self.audience.clone(),
            otherwise: self.otherwise,
            result: self.result.clone(),
            ..ToolRules::default()
        }
    }
}

impl ResultRules {
    /// The same, influenced also by whom `other` names, and read only by those whom it names, too.
    pub(super) fn restricted(&self, other: &Self) -> Self {
        let influencers = match (&self.influencers, &other.influencers) {
            (Some(NameSet::These(own)), Some(NameSet::These(others))) => {
                let more = others.iter().filter(|name| !own.contains(name));
                Some(NameSet::These(own.iter().chain(more).cloned().collect()))
            }
            (Some(_), Some(_)) => Some(NameSet::All),
            (own, others) => own.clone().or_else(|| others.clone()),
        };
        let readers = match (&self.readers, &other.readers) {
            (Some(NameSet::These(own)), Some(NameSet::These(others))) => {
                Some(NameSet::These(own.iter().filter(|name| others.contains(name)).cloned().collect()))
            }
            (Some(NameSet::All), Some(others)) => Some(others.clone()),
            (own, others) => own.clone().or_else(|| others.clone()),
        };
        Self { influencers, readers, ..self.clone() }
    }

    fn over(&self, base: &Self) -> Self {
        // Field by field, like arguments: who says something of one has not looked at the others.
        let mut fields = base.fields.clone();
        for (pointer, rules) in &self.fields {
            let under = fields.entry(pointer.clone()).or_default();
            *under = FieldRules {
                influencers: rules.influencers.clone().or_else(|| under.influencers.take()),
                readers: rules.readers.clone().or_else(|| under.readers.take()),
                reveal: rules.reveal.or(under.reveal),
                endorse: rules.endorse.clone().or_else(|| under.endorse.take()),
            };
        }
        Self {
            influencers: self.influencers.clone().or_else(|| base.influencers.clone()),
            readers: self.readers.clone().or_else(|| base.readers.clone()),
            reveal: self.reveal.or(base.reveal),
            fields,
            endorse: self.endorse.clone().or_else(|| base.endorse.clone()),
        }
    }
}
