//! Who asks.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use crate::Failure;
use crate::who::{Actor, Who};

/// Who asks, as the node sees it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Me {
    /// `anonymous`, `person` or `machine`.
    kind: &'static str,
    /// The name.
    name: Option<String>,
    /// The organisation's id.
    organisation: Option<String>,
    /// The person's roles.
    roles: Vec<String>,
    /// The token's scopes.
    scopes: Vec<String>,
    /// The trust groups that they read as.
    groups: Vec<String>,
    /// Whether answers travel encrypted, or do not leave the machine.
    encrypted: bool,
}

/// Who asks, and as what they read.
#[utoipa::path(get, path = "/api/v1/me", tag = "members", responses((status = 200, body = Me)))]
pub(super) async fn me(actor: Actor) -> Result<Json<Me>, Failure> {
    let groups = actor.reader.groups.iter().map(ToString::to_string).collect();
    let (kind, name, roles, scopes) = match &actor.who {
        Who::Anonymous => ("anonymous", None, Vec::new(), Vec::new()),
        Who::Person(person) => {
            let roles = person.roles.iter().map(ToString::to_string).collect();
            ("person", Some(person.name.clone()), roles, Vec::new())
        }
        Who::Machine(machine) => {
            ("machine", Some(machine.name.clone()), Vec::new(), machine.scopes.iter().cloned().collect())
        }
    };
    let organisation = actor.organisation().map(|id| id.to_string());
    Ok(Json(Me { kind, name, organisation, roles, scopes, groups, encrypted: actor.reader.encrypted }))
}
