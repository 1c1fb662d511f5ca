//! What the policy says about a tool.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::endorse::Endorse;
use crate::label::{Integrity, Label, Names, Readers, USER};

/// What a violation becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum Otherwise {
    /// The call is refused.
    #[default]
    Deny,
    /// A person may approve this very call.
    Ask,
}

/// How much of a result the agent sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum Reveal {
    /// All of it; its label joins the context.
    #[default]
    Value,
    /// A handle; the context stays as it is.
    Reference,
    /// That the call succeeded or failed: one bit, declared.
    Status,
}

/// What the policy says about one tool. See `docs/design/guard.md`, rules 3 to 8.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ToolFacts {
    /// Whether it does something that untrusted influencers must not decide.
    pub critical: bool,
    /// Who may have influenced the call and its arguments, if it is critical.
    pub influencers: Integrity,
    /// Who reads the arguments, besides the server.
    pub audience: Readers,
    /// Arguments whose values (a string or a list of strings) name further readers.
    pub audience_of: Vec<String>,
    /// What a violation becomes.
    pub otherwise: Otherwise,
    /// What differs for single arguments.
    pub arguments: BTreeMap<String, ArgumentFacts>,
    /// What comes back.
    pub result: ResultFacts,
    /// Whether it reads or writes stored objects.
    pub memory: Option<MemoryFacts>,
    /// Whether the policy counts its run's calls: whether it lets one through then tells how many there were.
    #[serde(default)]
    pub counted: bool,
}

/// What differs for one argument.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ArgumentFacts {
    /// Who may have influenced it; otherwise as for the tool.
    pub influencers: Option<Integrity>,
    /// Values that are acceptable whoever influenced them.
    pub endorse: Option<Endorse>,
    /// Who reads this argument, besides the server; otherwise as for the tool, with those whom `audience_of` names.
    #[serde(default)]
    pub audience: Option<Readers>,
}

/// What comes back from a tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ResultFacts {
    /// Who may have influenced it, besides those who influenced the call.
    pub influencers: Integrity,
    /// Who may read it; its server always may.
    pub readers: Readers,
    /// How much of it the agent sees.
    pub reveal: Reveal,
    /// Fields of a structured result that differ from the rest, by JSON pointer; `*` stands for every element or member.
    #[serde(default)]
    pub fields: BTreeMap<String, FieldFacts>,
    /// Parts that the agent may see without their label: rule 5 at the source.
    #[serde(default)]
    pub endorse: Vec<Endorse>,
}

/// What differs for a field of a structured result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FieldFacts {
    /// Who may have influenced it, besides those who influenced the call.
    pub influencers: Integrity,
    /// Who may read it; otherwise as for the result.
    #[serde(default)]
    pub readers: Option<Readers>,
    /// How much of it the agent sees; a field cannot be shown as a status.
    #[serde(default)]
    pub reveal: Reveal,
    /// Values that the agent may see without their label, and parts that it may ask for.
    #[serde(default)]
    pub endorse: Vec<Endorse>,
}

/// How a tool touches stored objects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MemoryFacts {
    /// Reads, or writes.
    pub access: MemoryAccess,
    /// The argument that names the object; none means all of the server's objects.
    pub object: Option<String>,
    /// For a write: the argument with all of the object's new content.
    pub content: Option<String>,
}

/// Reads, writes, or takes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemoryAccess {
    /// The result shows the object.
    Read,
    /// The object is given (with `content`: all of) what the arguments say.
    Write,
}

impl ToolFacts {
    /// What holds for a tool of which the policy says nothing: critical, for the user only, and its result is its server's word.
    #[must_use]
    pub fn unknown(server: &str) -> Self {
        let server = server_name(server);
        Self {
            critical: true,
            influencers: Integrity::by(USER),
            audience: Readers::Only(Names::default()),
            audience_of: Vec::new(),
            otherwise: Otherwise::Ask,
            arguments: BTreeMap::new(),
            result: ResultFacts {
                influencers: Integrity::by(&server),
                readers: Readers::Only([USER, server.as_str()].into_iter().collect()),
                reveal: Reveal::Value,
                fields: BTreeMap::new(),
                endorse: Vec::new(),
            },
            memory: None,
            counted: false,
        }
    }

    /// Who may have influenced `argument`.
    #[must_use]
    pub fn influencers_of(&self, argument: &str) -> &Integrity {
        self.arguments.get(argument).and_then(|facts| facts.influencers.as_ref()).unwrap_or(&self.influencers)
    }
}

impl ResultFacts {
    /// The declared label of a result of `server`'s `tool`.
    #[must_use]
    pub fn label(&self, server: &str, tool: &str) -> Label {
        declared(&self.influencers, &self.readers, server, tool)
    }

    /// Of a result of which nobody can tell where its fields are: the labels of all of them.
    #[must_use]
    pub fn strictest(&self, server: &str, tool: &str) -> Label {
        let fields = self.fields.iter().map(|(at, field)| self.field_label(at, field, server, tool));
        fields.fold(self.label(server, tool), |all, label| all.join(&label))
    }

    /// The declared label of the field that the policy calls `at`.
    #[must_use]
    pub fn field_label(&self, at: &str, field: &FieldFacts, server: &str, tool: &str) -> Label {
        let readers = field.readers.as_ref().unwrap_or(&self.readers);
        let label = declared(&field.influencers, readers, server, tool);
        let origin = std::iter::once(format!("{server}/{tool}#{at}")).collect();
        Label { provenance: label.provenance.union(&origin), ..label }
    }
}

fn declared(influencers: &Integrity, readers: &Readers, server: &str, tool: &str) -> Label {
    let readers = match readers {
        Readers::Everyone => Readers::Everyone,
        // A server knows what it says.
        Readers::Only(names) => Readers::Only(names.union(&[server_name(server)].into_iter().collect())),
    };
    Label {
        integrity: influencers.clone(),
        readers,
        provenance: [format!("{server}/{tool}")].into_iter().collect(),
    }
}

/// A server as an influencer and reader.
#[must_use]
pub(crate) fn server_name(server: &str) -> String {
    format!("server:{server}")
}
