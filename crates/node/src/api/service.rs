//! The API's functions for the pages: what a form of a page does is what the API does, with the same checks and the same words.

use axum::Json as Answer;
use axum::extract::State;
use ostrom_core::{GroupId, ObjectId, PeerId, PersonId, TokenId, Uuid};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub(crate) use super::audit::deeds;
pub(crate) use super::cases::may_act;
use super::{collections, groups, members, peers, sealing, tokens, views, voices, write};
use crate::web::{Json, Named};
use crate::who::Actor;
use crate::{App, Failure};

fn form<T: DeserializeOwned>(value: Value) -> Result<Json<T>, Failure> {
    serde_json::from_value(value)
        .map(Json)
        .map_err(|error| Failure::Unprocessable(format!("the form: {error}")))
}

fn told<T: Serialize>(Answer(answer): Answer<T>) -> Result<Value, Failure> {
    serde_json::to_value(answer).map_err(Failure::internal)
}

macro_rules! made {
    ($($(#[$doc:meta])* $name:ident = $of:ident::$function:ident;)*) => {$(
        $(#[$doc])*
        pub(crate) async fn $name(app: &App, actor: &Actor, sent: Value) -> Result<Value, Failure> {
            let (_, answer) = $of::$function(State(app.clone()), actor.clone(), form(sent)?).await?;
            told(answer)
        }
    )*};
}

made! {
    /// A new organisation.
    new_organisation = members::new_organisation;
    /// A new person.
    new_person = members::new_person;
    /// A new trust group.
    new_group = groups::new_group;
    /// A new token, with the token itself.
    new_token = tokens::new_token;
    /// A new collection.
    new_collection = collections::new_collection;
    /// A new peer.
    new_peer = peers::new_peer;
    /// A key for sealing that is given out.
    new_sealing_key = sealing::new_key;
    /// An evaluation.
    new_evaluation = write::new_evaluation;
    /// A saved view.
    save_view = views::save;
}

macro_rules! changed {
    ($($(#[$doc:meta])* $name:ident = $of:ident::$function:ident, $id:ident;)*) => {$(
        $(#[$doc])*
        pub(crate) async fn $name(app: &App, actor: &Actor, id: $id, sent: Value) -> Result<Value, Failure> {
            told($of::$function(State(app.clone()), actor.clone(), Named(id), form(sent)?).await?)
        }
    )*};
}

changed! {
    /// Changes a person.
    change_person = members::change_person, PersonId;
}

/// Says something about an object.
pub(crate) async fn say(app: &App, actor: &Actor, about: ObjectId, sent: Value) -> Result<Value, Failure> {
    let (_, answer) = voices::say(State(app.clone()), actor.clone(), Named(about), form(sent)?).await?;
    told(answer)
}

/// A link of invitation.
pub(crate) async fn invite(app: &App, actor: &Actor, id: PersonId) -> Result<Value, Failure> {
    let (_, answer) = members::invite(State(app.clone()), actor.clone(), Named(id)).await?;
    told(answer)
}

macro_rules! ended {
    ($($(#[$doc:meta])* $name:ident = $of:ident::$function:ident, $id:ident;)*) => {$(
        $(#[$doc])*
        pub(crate) async fn $name(app: &App, actor: &Actor, id: $id) -> Result<(), Failure> {
            $of::$function(State(app.clone()), actor.clone(), Named(id)).await.map(|_| ())
        }
    )*};
}

ended! {
    /// Revokes a token.
    revoke_token = tokens::revoke, TokenId;
    /// Forgets a trust group.
    remove_group = groups::remove_group, GroupId;
    /// Forgets a peer.
    remove_peer = peers::remove_peer, PeerId;
    /// Retires a key for sealing.
    retire_sealing_key = sealing::retire, Uuid;
    /// Forgets a saved view.
    remove_view = views::remove, String;
}
