//! The names of the schema, parsed once.

use std::str::FromStr as _;
use std::sync::LazyLock;

use cedar_policy::{Entities, EntityId, EntityTypeName, EntityUid, Schema};

use super::question::Action;

/// The schema that policies are validated against.
pub const SCHEMA: &str = include_str!("schema.cedarschema");

struct Model {
    schema: Schema,
    actions: Entities,
    server: EntityTypeName,
    tool: EntityTypeName,
    resource: EntityTypeName,
    prompt: EntityTypeName,
    principal: EntityTypeName,
    run: EntityTypeName,
    arguments: EntityTypeName,
    action: EntityTypeName,
}

static MODEL: LazyLock<Model> = LazyLock::new(|| {
    let name = |text: &str| EntityTypeName::from_str(text).map_err(Box::new);
    #[expect(
        clippy::expect_used,
        reason = "constants of this crate, held by a test; without them there is no policy"
    )]
    let model = (|| -> Result<Model, Box<dyn std::error::Error>> {
        let schema = Schema::from_cedarschema_str(SCHEMA)?.0;
        Ok(Model {
            actions: schema.action_entities()?,
            schema,
            server: name("Server")?,
            tool: name("Tool")?,
            resource: name("Resource")?,
            prompt: name("Prompt")?,
            principal: name("Principal")?,
            run: name("Run")?,
            arguments: name("Arguments")?,
            action: name("Action")?,
        })
    })()
    .expect("the shipped schema is a schema");
    model
});

/// What can be asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    Tool,
    Resource,
    Prompt,
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Tool => "Tool",
            Self::Resource => "Resource",
            Self::Prompt => "Prompt",
        }
    }

    pub(super) fn of(type_name: &str) -> Option<Self> {
        [Self::Tool, Self::Resource, Self::Prompt].into_iter().find(|kind| kind.name() == type_name)
    }

    pub(super) fn entity_type(self) -> &'static EntityTypeName {
        match self {
            Self::Tool => &MODEL.tool,
            Self::Resource => &MODEL.resource,
            Self::Prompt => &MODEL.prompt,
        }
    }
}

pub(super) fn schema() -> &'static Schema {
    &MODEL.schema
}

/// The actions and what they are in: without them `action in …` is false.
pub(super) fn actions() -> &'static Entities {
    &MODEL.actions
}

pub(super) fn server_type() -> EntityTypeName {
    MODEL.server.clone()
}

pub(super) fn uid(type_name: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(type_name.clone(), EntityId::new(id))
}

pub(super) fn principal(id: &str) -> EntityUid {
    uid(&MODEL.principal, id)
}

pub(super) fn run(id: &str) -> EntityUid {
    uid(&MODEL.run, id)
}

pub(super) fn arguments() -> EntityUid {
    static UID: LazyLock<EntityUid> = LazyLock::new(|| uid(&MODEL.arguments, "of-this-call"));
    UID.clone()
}

pub(super) fn action(action: Action) -> EntityUid {
    uid(&MODEL.action, action.name())
}
