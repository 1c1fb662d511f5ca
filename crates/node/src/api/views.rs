//! Views that persons have saved: lists and searches of the pages under a name. Each person's own; machines have none.

use axum::Json as Answer;
use axum::extract::State;
use http::StatusCode;
use ostrom_core::{PersonId, Timestamp};
use ostrom_store::SavedView;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ui::is_local;
use crate::web::{Json, Named};
use crate::who::Actor;
use crate::{App, Failure};

/// Most views of a person.
const MOST: usize = 200;
/// The longest name, in characters.
const LONGEST: usize = 100;

/// A saved view.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct View {
    /// Its name, the person's own.
    name: String,
    /// The address on this node, with its query: `/flaws?tlp=amber`.
    of: String,
    /// The same as a link.
    link: String,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    created: Timestamp,
}

/// A view to save.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ViewForm {
    /// Its name. A view of that name is changed.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// The address on this node, with its query: `/flaws?tlp=amber`.
    #[schema(min_length = 1, max_length = 2048)]
    of: String,
}

fn person(actor: &Actor) -> Result<PersonId, Failure> {
    match actor.person() {
        Some(person) => Ok(person.id),
        None if actor.is_signed_in() => Err(Failure::Forbidden("views are saved by people, in a session")),
        None => Err(Failure::Unauthenticated),
    }
}

fn view(app: &App, view: SavedView) -> View {
    let SavedView { name, query, created } = view;
    View { name, link: app.base.url(&query), of: query, created }
}

/// The actor's saved views, by name.
#[utoipa::path(get, path = "/api/v1/views", tag = "views", responses((status = 200, body = Vec<View>)))]
pub(super) async fn views(State(app): State<App>, actor: Actor) -> Result<Answer<Vec<View>>, Failure> {
    let views = app.store.saved_views(person(&actor)?).await?;
    Ok(Answer(views.into_iter().map(|it| view(&app, it)).collect()))
}

/// Saves a view, or changes the one of that name.
#[utoipa::path(post, path = "/api/v1/views", tag = "views", request_body = ViewForm,
    responses((status = 201, body = View)))]
pub(crate) async fn save(
    State(app): State<App>,
    actor: Actor,
    Json(form): Json<ViewForm>,
) -> Result<(StatusCode, Answer<View>), Failure> {
    let person = person(&actor)?;
    let wrong = |why: &str| Failure::Unprocessable(why.to_owned());
    let name = form.name.trim().to_owned();
    if name.is_empty() || name.chars().count() > LONGEST || name.chars().any(char::is_control) {
        return Err(wrong("give the view a name of at most 100 characters"));
    }
    if !is_local(&form.of) {
        return Err(wrong(
            "a view is of a page of this node: its address from the first / on, such as /flaws?tlp=amber",
        ));
    }
    let known = app.store.saved_views(person).await?;
    let before = known.iter().find(|known| known.name == name).map(|known| known.created);
    if before.is_none() && known.len() >= MOST {
        return Err(wrong("there are 200 saved views already: remove one first"));
    }
    let now = app.clock().now();
    let mut writing = app.store.writing(now).await?;
    writing.save_view(person, &name, &form.of).await?;
    writing.commit().await?;
    let saved = SavedView { name, query: form.of, created: before.unwrap_or(now) };
    Ok((StatusCode::CREATED, Answer(view(&app, saved))))
}

/// Forgets a saved view.
#[utoipa::path(delete, path = "/api/v1/views/{name}", tag = "views",
    params(("name" = String, Path, description = "Its name, percent-encoded.")), responses((status = 204)))]
pub(crate) async fn remove(
    State(app): State<App>,
    actor: Actor,
    Named(name): Named<String>,
) -> Result<StatusCode, Failure> {
    let person = person(&actor)?;
    let mut writing = app.store.writing(app.clock().now()).await?;
    if !writing.remove_view(person, &name).await? {
        return Err(Failure::NotFound);
    }
    writing.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
