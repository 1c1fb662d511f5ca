//! Exports of one object, as the pages have them.

use axum::Json as Answer;
use axum::extract::State;
use axum::response::Response;
use ostrom_core::ObjectId;
use ostrom_exchange::service::Deed;
use serde::Serialize;
use utoipa::ToSchema;

use super::objects::{STIX, reading};
use crate::exports::{self, FORMS};
use crate::web::{Named, Named2};
use crate::who::Actor;
use crate::{App, Failure};

/// A form in which an object can be exported.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Form {
    /// The word in the address: `stix`, `avid`, `csaf`, `osv` or `oecd`.
    form: &'static str,
    /// Its name.
    name: &'static str,
    /// What it could not carry, and why.
    not_carried: Vec<Lost>,
    /// What the form asks for and nobody has said.
    missing: Vec<String>,
    /// Why there is no such export of this object, if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

/// Something that an export could not carry.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Lost {
    /// Which property of which object.
    field: String,
    /// Why.
    why: String,
}

/// The forms in which an object can be exported, and what each would lose.
#[utoipa::path(get, path = "/api/v1/objects/{id}/export", tag = "objects", params(("id" = String, Path)),
    responses((status = 200, body = Vec<Form>)))]
pub(super) async fn forms(
    State(app): State<App>,
    actor: Actor,
    Named(id): Named<ObjectId>,
) -> Result<Answer<Vec<Form>>, Failure> {
    let reading = reading(&app, &actor).await?;
    let object = reading.get(&id, None).await?.ok_or(Failure::NotFound)?;
    let (policy, _) = reading.explain(&id, None).await?.ok_or(Failure::NotFound)?;
    let record = exports::record(&object);
    let nothing = || (Vec::new(), Vec::new(), None);
    let stix = nothing();
    let mut forms =
        vec![Form { form: "stix", name: "STIX 2.1", not_carried: stix.0, missing: stix.1, refused: stix.2 }];
    for (form, name, _) in FORMS {
        let made = exports::form(&app, &reading, &object.head, record.as_ref(), &policy, form).await?;
        let (not_carried, missing, refused) = match made {
            None => continue,
            Some(Ok(export)) => {
                let lost = export.not_carried.into_iter().map(|it| Lost { field: it.field, why: it.why });
                (lost.collect(), export.missing, None)
            }
            Some(Err(error)) => (Vec::new(), Vec::new(), Some(error.to_string())),
        };
        forms.push(Form { form, name, not_carried, missing, refused });
    }
    Ok(Answer(forms))
}

/// An object in another form: `stix` (a bundle with its marks and what it refers to directly), `avid`, `csaf`, `osv` or `oecd`.
#[utoipa::path(get, path = "/api/v1/objects/{id}/export/{form}", tag = "objects",
    params(("id" = String, Path), ("form" = String, Path, description = "stix, avid, csaf, osv or oecd")),
    responses((status = 200, body = Object, content_type = "application/json")))]
pub(super) async fn export(
    State(app): State<App>,
    actor: Actor,
    Named2(id, form): Named2<ObjectId, String>,
) -> Result<Response, Failure> {
    let reading = reading(&app, &actor).await?;
    let object = reading.get(&id, None).await?.ok_or(Failure::NotFound)?;
    let (export, shown, media_type) = if form == "stix" {
        let (export, shown) = exports::bundle(&reading, &object).await?;
        (export, shown.len(), STIX)
    } else {
        let (policy, _) = reading.explain(&id, None).await?.ok_or(Failure::NotFound)?;
        let record = exports::record(&object);
        let made = exports::form(&app, &reading, &object.head, record.as_ref(), &policy, &form).await?;
        let made = made.ok_or(Failure::NotFound)?;
        let export = made.map_err(|error| Failure::Unprocessable(error.to_string()))?;
        (export, 1, "application/json")
    };
    let mut deed = Deed::new(&actor.asker(), "page", format!("api {form} export of {id}"), app.clock().now());
    deed.count = shown as u64;
    deed.sha256 = Some(ostrom_core::Digest::of(&export.bytes));
    app.exchange.note(deed).await?;
    exports::file(export, media_type)
}
