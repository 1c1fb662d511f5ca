//! Tokens of an organisation's machines.

use std::collections::BTreeSet;

use axum::Json as Answer;
use axum::extract::State;
use http::StatusCode;
use ostrom_core::{CollectionId, Timestamp, TokenId};
use ostrom_store::{Role, Token};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::note;
use crate::sign_in::NewToken;
use crate::web::{Json, Named};
use crate::who::{Actor, Person};
use crate::{App, Failure};

/// A token, without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TokenView {
    /// Its id.
    #[schema(value_type = String, format = "uuid")]
    id: TokenId,
    /// What people call it.
    name: String,
    /// What it is for.
    scopes: BTreeSet<String>,
    /// The collections it is for; all, if there is no such list.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    collections: Option<BTreeSet<CollectionId>>,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    created: Timestamp,
    /// Until when it holds.
    #[schema(value_type = String, format = DateTime)]
    expires: Timestamp,
    /// When it was used last, to the minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used: Option<Timestamp>,
    /// When it was revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked: Option<Timestamp>,
}

/// A token to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenForm {
    /// What people call it.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// What it is for: some of `read`, `write`, `report`, `federate`; or `feed` alone, for the address of a feed.
    #[schema(min_items = 1)]
    scopes: BTreeSet<String>,
    /// The collections it is for; all, if left out.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    collections: Option<BTreeSet<CollectionId>>,
    /// For how many days it holds.
    #[schema(minimum = 1, maximum = 732)]
    days: u32,
}

/// A token that was made.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MadeToken {
    /// Its id.
    #[schema(value_type = String, format = "uuid")]
    id: TokenId,
    /// The token itself. It is shown this once.
    token: String,
}

fn view(token: Token) -> TokenView {
    let Token { id, name, scopes, collections, created, expires, last_used, revoked, .. } = token;
    TokenView { id, name, scopes, collections, created, expires, last_used, revoked }
}

/// Tokens are people's business: a machine makes none and ends none.
fn person(actor: &Actor) -> Result<&Person, Failure> {
    match actor.person() {
        Some(person) => Ok(person),
        None if actor.is_signed_in() => Err(Failure::Forbidden("tokens are made and ended by people")),
        None => Err(Failure::Unauthenticated),
    }
}

/// The tokens of the actor's organisation.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "tokens", responses((status = 200, body = Vec<TokenView>)))]
pub(super) async fn tokens(State(app): State<App>, actor: Actor) -> Result<Answer<Vec<TokenView>>, Failure> {
    let person = person(&actor)?;
    Ok(Answer(app.store.tokens(person.organisation).await?.into_iter().map(view).collect()))
}

/// A new token for a machine of the actor's organisation. It reads as the organisation, never as the person.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "tokens", request_body = TokenForm,
    responses((status = 201, body = MadeToken)))]
pub(super) async fn new_token(
    State(app): State<App>,
    actor: Actor,
    Json(form): Json<TokenForm>,
) -> Result<(StatusCode, Answer<MadeToken>), Failure> {
    let person = person(&actor)?;
    // Nobody gives away more than they have.
    let writes = person.is(Role::Contributor) || person.is(Role::Coordinator);
    let trusted = person.is(Role::Coordinator) || person.is(Role::Administrator);
    for scope in &form.scopes {
        let may = match scope.as_str() {
            "write" | "report" => writes,
            "federate" => trusted,
            _ => true,
        };
        if !may {
            return Err(Failure::Forbidden("your role does not allow tokens of this scope"));
        }
    }
    actor.recently(app.clock().now())?;
    let scopes: Vec<&str> = form.scopes.iter().map(String::as_str).collect();
    let what = format!("token {}: for [{}], {} days", form.name, scopes.join(", "), form.days);
    note::own(&app, &actor, note::TOKEN, what).await?;
    let new = NewToken {
        organisation: person.organisation,
        person: Some(person.id),
        name: form.name,
        scopes: form.scopes,
        collections: form.collections,
        days: form.days,
    };
    let (id, token) = new.make(&app).await?;
    Ok((StatusCode::CREATED, Answer(MadeToken { id, token: token.to_string() })))
}

/// Revokes a token of the actor's organisation, for good.
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", tag = "tokens", params(("id" = String, Path, format = "uuid")),
    responses((status = 204)))]
pub(super) async fn revoke(
    State(app): State<App>,
    actor: Actor,
    Named(id): Named<TokenId>,
) -> Result<StatusCode, Failure> {
    let person = person(&actor)?;
    let mut writing = app.store.writing(app.clock().now()).await?;
    if !writing.revoke_token(person.organisation, id).await? {
        return Err(Failure::NotFound);
    }
    note::own(&app, &actor, note::TOKEN, format!("token {id} revoked")).await?;
    writing.commit().await?;
    app.members_changed();
    Ok(StatusCode::NO_CONTENT)
}
