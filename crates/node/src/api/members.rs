//! Organisations and persons.

use std::collections::BTreeSet;

use axum::Json as Answer;
use axum::extract::State;
use http::StatusCode;
use ostrom_core::{OrgId, PersonId, Timestamp, Uuid};
use ostrom_store::{Organisation, Person, Role};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{administrator, member};
use crate::note;
use crate::sign_in::{self, email, name, secret};
use crate::web::{Json, Named};
use crate::who::Actor;
use crate::{App, Failure};

/// An organisation.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OrganisationView {
    /// Its id.
    #[schema(value_type = String, format = "uuid")]
    id: OrgId,
    /// Its name.
    name: String,
    /// The sectors it works in.
    sectors: BTreeSet<String>,
    /// Whether it is a member now.
    active: bool,
    /// Since when the node knows it.
    #[schema(value_type = String, format = DateTime)]
    created: Timestamp,
}

/// What an administrator says of an organisation.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OrganisationForm {
    /// Its name.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// The sectors it works in.
    #[serde(default)]
    sectors: BTreeSet<String>,
    /// Whether it is a member now. Nobody of an inactive one signs in.
    #[serde(default = "yes")]
    active: bool,
    /// The organisations whose client it is: TLP:AMBER reaches clients.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    client_of: BTreeSet<OrgId>,
}

/// A person. The address is told to administrators only.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PersonView {
    /// The person's id.
    #[schema(value_type = String, format = "uuid")]
    id: PersonId,
    /// The organisation.
    #[schema(value_type = String, format = "uuid")]
    organisation: OrgId,
    /// The name.
    name: String,
    /// The address.
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    /// What the person may do.
    #[schema(value_type = Vec<String>)]
    roles: BTreeSet<Role>,
    /// Whether the person may sign in.
    active: bool,
}

/// What an administrator says of a person.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PersonForm {
    /// The organisation.
    #[schema(value_type = String, format = "uuid")]
    organisation: OrgId,
    /// The name.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// The address, with which the person signs in.
    #[schema(min_length = 3, max_length = 254)]
    email: String,
    /// What the person may do: some of `administrator`, `coordinator`, `contributor`, `observer`.
    #[schema(value_type = Vec<String>)]
    roles: BTreeSet<Role>,
    /// Whether the person may sign in.
    #[serde(default = "yes")]
    active: bool,
}

/// A one-time link.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct InvitationLink {
    /// The person sets a password or adds a passkey with it. Good once, for seven days.
    link: String,
}

fn yes() -> bool {
    true
}

fn view(organisation: Organisation) -> OrganisationView {
    let Organisation { id, name, sectors, active, created } = organisation;
    OrganisationView { id, name, sectors, active, created }
}

fn view_person(person: Person, email: bool) -> PersonView {
    let Person { id, organisation, name, email: address, roles, active, .. } = person;
    PersonView { id, organisation, name, email: email.then_some(address), roles, active }
}

/// All organisations.
#[utoipa::path(get, path = "/api/v1/organisations", tag = "members", responses((status = 200, body = Vec<OrganisationView>)))]
pub(super) async fn organisations(
    State(app): State<App>,
    actor: Actor,
) -> Result<Answer<Vec<OrganisationView>>, Failure> {
    member(&actor)?;
    Ok(Answer(app.store.organisations().await?.into_iter().map(view).collect()))
}

/// One organisation.
#[utoipa::path(get, path = "/api/v1/organisations/{id}", tag = "members", params(("id" = String, Path, format = "uuid")),
    responses((status = 200, body = OrganisationView)))]
pub(super) async fn organisation(
    State(app): State<App>,
    actor: Actor,
    Named(id): Named<OrgId>,
) -> Result<Answer<OrganisationView>, Failure> {
    member(&actor)?;
    Ok(Answer(view(app.store.organisation(id).await?.ok_or(Failure::NotFound)?)))
}

/// A new organisation.
#[utoipa::path(post, path = "/api/v1/organisations", tag = "members", request_body = OrganisationForm,
    responses((status = 201, body = OrganisationView)))]
pub(super) async fn new_organisation(
    State(app): State<App>,
    actor: Actor,
    Json(form): Json<OrganisationForm>,
) -> Result<(StatusCode, Answer<OrganisationView>), Failure> {
    administrator(&actor)?;
    let id = OrgId::new(Uuid::from_bytes(secret::uuid()?));
    let kept = keep(&app, &actor, id, app.clock().now(), form).await?;
    Ok((StatusCode::CREATED, Answer(kept)))
}

/// Changes an organisation.
#[utoipa::path(put, path = "/api/v1/organisations/{id}", tag = "members", params(("id" = String, Path, format = "uuid")),
    request_body = OrganisationForm, responses((status = 200, body = OrganisationView)))]
pub(super) async fn change_organisation(
    State(app): State<App>,
    actor: Actor,
    Named(id): Named<OrgId>,
    Json(form): Json<OrganisationForm>,
) -> Result<Answer<OrganisationView>, Failure> {
    administrator(&actor)?;
    let known = app.store.organisation(id).await?.ok_or(Failure::NotFound)?;
    keep(&app, &actor, id, known.created, form).await.map(Answer)
}

async fn keep(
    app: &App,
    actor: &Actor,
    id: OrgId,
    created: Timestamp,
    form: OrganisationForm,
) -> Result<OrganisationView, Failure> {
    let sectors = form.sectors.iter().map(|sector| name(sector)).collect::<Result<_, _>>()?;
    let organisation = Organisation { id, name: name(&form.name)?, sectors, active: form.active, created };
    let mut writing = app.store.writing(app.clock().now()).await?;
    writing.put_organisation(&organisation).await?;
    writing.set_providers(id, &form.client_of).await?;
    let Organisation { name, active, .. } = &organisation;
    let clients: Vec<String> = form.client_of.iter().map(ToString::to_string).collect();
    let what =
        format!("organisation {id}: {name}, {}, client of [{}]", standing(*active), clients.join(", "));
    note::administration(app, actor, Some(id), what).await?;
    writing.commit().await?;
    app.members_changed();
    Ok(view(organisation))
}

/// Active or not.
const fn standing(active: bool) -> &'static str {
    if active { "active" } else { "inactive" }
}

/// All persons.
#[utoipa::path(get, path = "/api/v1/persons", tag = "members", responses((status = 200, body = Vec<PersonView>)))]
pub(super) async fn persons(
    State(app): State<App>,
    actor: Actor,
) -> Result<Answer<Vec<PersonView>>, Failure> {
    member(&actor)?;
    let all = actor.is(Role::Administrator);
    Ok(Answer(app.store.persons().await?.into_iter().map(|person| view_person(person, all)).collect()))
}

/// One person.
#[utoipa::path(get, path = "/api/v1/persons/{id}", tag = "members", params(("id" = String, Path, format = "uuid")),
    responses((status = 200, body = PersonView)))]
pub(super) async fn person(
    State(app): State<App>,
    actor: Actor,
    Named(id): Named<PersonId>,
) -> Result<Answer<PersonView>, Failure> {
    member(&actor)?;
    let person = app.store.person(id).await?.ok_or(Failure::NotFound)?;
    Ok(Answer(view_person(person, actor.is(Role::Administrator))))
}

/// A new person, who is invited with a link of its own.
#[utoipa::path(post, path = "/api/v1/persons", tag = "members", request_body = PersonForm,
    responses((status = 201, body = PersonView)))]
pub(super) async fn new_person(
    State(app): State<App>,
    actor: Actor,
    Json(form): Json<PersonForm>,
) -> Result<(StatusCode, Answer<PersonView>), Failure> {
    administrator(&actor)?;
    let id = PersonId::new(Uuid::from_bytes(secret::uuid()?));
    let kept = keep_person(&app, &actor, id, app.clock().now(), form).await?;
    Ok((StatusCode::CREATED, Answer(kept)))
}

/// Changes a person. Whoever may no longer sign in is signed out.
#[utoipa::path(put, path = "/api/v1/persons/{id}", tag = "members", params(("id" = String, Path, format = "uuid")),
    request_body = PersonForm, responses((status = 200, body = PersonView)))]
pub(super) async fn change_person(
    State(app): State<App>,
    actor: Actor,
    Named(id): Named<PersonId>,
    Json(form): Json<PersonForm>,
) -> Result<Answer<PersonView>, Failure> {
    administrator(&actor)?;
    let known = app.store.person(id).await?.ok_or(Failure::NotFound)?;
    let stays = form.active && form.roles.contains(&Role::Administrator);
    if actor.person().is_some_and(|person| person.id == id) && !stays {
        // Somebody must be left who can let people in.
        return Err(Failure::Conflict(
            "you cannot take your own administration away: ask another administrator".to_owned(),
        ));
    }
    keep_person(&app, &actor, id, known.created, form).await.map(Answer)
}

async fn keep_person(
    app: &App,
    actor: &Actor,
    id: PersonId,
    created: Timestamp,
    form: PersonForm,
) -> Result<PersonView, Failure> {
    let person = Person {
        id,
        organisation: form.organisation,
        name: name(&form.name)?,
        email: email(&form.email)?,
        roles: form.roles,
        active: form.active,
        created,
    };
    let mut writing = app.store.writing(app.clock().now()).await?;
    writing.put_person(&person).await?;
    if !person.active {
        writing.end_sessions(id).await?;
    }
    let roles: Vec<&str> = person.roles.iter().map(|role| role.name()).collect();
    let what =
        format!("person {id}: {}, {}, roles [{}]", person.name, standing(person.active), roles.join(", "));
    note::administration(app, actor, Some(person.organisation), what).await?;
    writing.commit().await?;
    app.members_changed();
    Ok(view_person(person, true))
}

/// A one-time link for a person, instead of the one before.
#[utoipa::path(post, path = "/api/v1/persons/{id}/invitation", tag = "members", params(("id" = String, Path, format = "uuid")),
    responses((status = 201, body = InvitationLink)))]
pub(super) async fn invite(
    State(app): State<App>,
    actor: Actor,
    Named(id): Named<PersonId>,
) -> Result<(StatusCode, Answer<InvitationLink>), Failure> {
    administrator(&actor)?;
    let person = app.store.person(id).await?.ok_or(Failure::NotFound)?;
    actor.recently(app.clock().now())?;
    let what = format!("link by which person {id}, {}, signs in once", person.name);
    note::administration(&app, &actor, Some(person.organisation), what).await?;
    let link = sign_in::invite(&app, id).await?;
    Ok((StatusCode::CREATED, Answer(InvitationLink { link })))
}
