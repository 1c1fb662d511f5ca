//! What is asked of the policies, and what they answer.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use cedar_policy::{Entities, Entity, EntityId, EntityUid, RestrictedExpression};
use serde_json::Value;

use super::model::{self, Kind};
use crate::label::Label;

/// What somebody wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Call a tool.
    Call,
    /// Read a resource.
    Read,
    /// Get a prompt.
    Get,
    /// Be told that it exists.
    List,
    /// See a value that was kept by reference.
    Reveal,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Call, Self::Read, Self::Get, Self::List, Self::Reveal];

    /// As policies write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Read => "read",
            Self::Get => "get",
            Self::List => "list",
            Self::Reveal => "reveal",
        }
    }

    /// What it can be done to.
    pub(super) const fn applies_to(self, kind: Kind) -> bool {
        match self {
            Self::Call => matches!(kind, Kind::Tool),
            Self::Read => matches!(kind, Kind::Resource),
            Self::Get => matches!(kind, Kind::Prompt),
            Self::List | Self::Reveal => true,
        }
    }
}

/// A tool, resource or prompt, ready for questions. Make one when its definition becomes known, and keep it.
#[derive(Clone)]
pub struct Target {
    pub(super) kind: Kind,
    pub(super) server: String,
    pub(super) id: String,
    pub(super) uid: EntityUid,
    pub(super) critical: bool,
    pub(super) entities: Entities,
    pub(super) with_actions: Entities,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{:?}", self.kind.name(), self.id)
    }
}

impl Target {
    /// A tool, by its server's own name for it.
    #[must_use]
    pub fn tool(server: &str, name: &str, critical: bool) -> Self {
        Self::new(Kind::Tool, server, name, critical)
    }

    /// A resource.
    #[must_use]
    pub fn resource(server: &str, uri: &str, critical: bool) -> Self {
        Self::new(Kind::Resource, server, uri, critical)
    }

    /// A prompt.
    #[must_use]
    pub fn prompt(server: &str, name: &str, critical: bool) -> Self {
        Self::new(Kind::Prompt, server, name, critical)
    }

    fn new(kind: Kind, server: &str, name: &str, critical: bool) -> Self {
        let id = format!("{server}/{name}");
        let uid = model::uid(kind.entity_type(), &id);
        let parent = EntityUid::from_type_name_and_id(model::server_type(), EntityId::new(server));
        let attributes = [
            ("name".to_owned(), RestrictedExpression::new_string(name.to_owned())),
            ("server".to_owned(), RestrictedExpression::new_string(server.to_owned())),
            ("critical".to_owned(), RestrictedExpression::new_bool(critical)),
        ];
        // Neither can fail: the attributes are literals and there is one entity. If they did, policies that look at the
        // target would fail to evaluate, which forbids.
        let entity = Entity::new(uid.clone(), attributes.into(), HashSet::from([parent.clone()]))
            .unwrap_or_else(|_| Entity::new_no_attrs(uid.clone(), HashSet::from([parent])));
        let within =
            |base: Entities| base.add_entities([entity.clone()], None).unwrap_or_else(|_| Entities::empty());
        let (entities, with_actions) = (within(Entities::empty()), within(model::actions().clone()));
        Self { kind, server: server.to_owned(), id, uid, critical, entities, with_actions }
    }
}

/// How many calls there were before this one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    /// In this run.
    pub run: u64,
    /// Of this tool, in this run.
    pub tool: u64,
    /// Of this principal, in the last hour.
    pub hour: u64,
}

/// A question.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Who runs the agent.
    pub principal: &'a str,
    /// The run, if there is one.
    pub run: Option<&'a str>,
    /// Whether a plan asks (`run_plan`), and not the agent step by step.
    pub plan: bool,
    /// What for.
    pub action: Action,
    /// Of what.
    pub target: &'a Target,
    /// The label of everything that decided about it.
    pub control: &'a Label,
    /// The label of the control and all arguments together; of the value, for [`Action::Reveal`].
    pub data: &'a Label,
    /// The arguments as the server would get them.
    pub arguments: &'a BTreeMap<String, Value>,
    /// Seconds since 1970, UTC.
    pub seconds: i64,
    /// Calls before this one.
    pub used: Used,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Whether it is permitted.
    pub permit: bool,
    /// The policies that decided: those that permit, or those that forbid. None if no policy permits.
    pub policies: Vec<String>,
    /// What went wrong; empty if it is permitted.
    pub errors: Vec<String>,
}

impl Decision {
    /// No policy permits it.
    pub(super) const fn silent() -> Self {
        Self { permit: false, policies: Vec::new(), errors: Vec::new() }
    }

    pub(super) fn error(message: impl Into<String>) -> Self {
        Self { permit: false, policies: Vec::new(), errors: vec![message.into()] }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let policies = self.policies.join(", ");
        match (self.permit, self.errors.first()) {
            (_, Some(error)) => write!(f, "forbidden, as a policy could not be evaluated: {error}"),
            (true, None) => write!(f, "permitted by {policies}"),
            (false, None) if policies.is_empty() => f.write_str("no policy permits this"),
            (false, None) => write!(f, "forbidden by {policies}"),
        }
    }
}
