//! Exports, each with what it could not carry.

use axum::extract::Path;
use axum::response::Response;
use ostrom_core::handling::Policy;
use ostrom_exchange::export::{Export, ExportError};
use ostrom_store::Reading;

use super::object::find;
use super::thing::Thing;
use super::visit::{Visit, show};
use crate::Failure;
use crate::exports::{self, FORMS};
use crate::ui::part::Badge;
use crate::ui::view::{ExportRow, ExportView, Kind};

/// One form of a thing: `None` if it is for another kind.
async fn form(
    visit: &Visit,
    reading: &Reading,
    thing: &Thing,
    policy: &Policy,
    form: &str,
) -> Result<Option<Result<Export, ExportError>>, Failure> {
    exports::form(&visit.app, reading, &thing.head, thing.record.as_ref(), policy, form).await
}

/// `/flaws/{id}/export`
pub async fn menu(kind: Kind, visit: Visit, Path(id): Path<String>) -> Result<Response, Failure> {
    let reading = visit.reading().await?;
    let (thing, policy) = find(&reading, Some(kind), &id).await?;
    let href = thing.href();
    let mut rows = vec![ExportRow {
        name: "STIX 2.1".to_owned(),
        what: "A bundle with this, its marks, and everything that it refers to directly, as far as you may see it: each object byte for byte as this node has it.".to_owned(),
        href: Some(format!("{href}/stix")),
        lost: Vec::new(),
    }];
    let own = format!("{}: ", thing.head.key.id);
    for (word, name, what) in FORMS {
        let (href, lost, what) = match form(&visit, &reading, &thing, &policy, word).await? {
            None => continue,
            Some(Ok(export)) => {
                let mut lost: Vec<String> = export
                    .not_carried
                    .iter()
                    .take(60)
                    .map(|it| format!("{}: {}", it.field.trim_start_matches(&own), it.why))
                    .collect();
                lost.extend(export.missing.iter().take(60).map(|it| format!("Nobody has said: {it}")));
                (Some(format!("{href}/export/{word}")), lost, what.to_owned())
            }
            Some(Err(error)) => {
                (None, Vec::new(), format!("{what} {}", super::names::sentence(&error.to_string())))
            }
        };
        rows.push(ExportRow { name: name.to_owned(), what, href, lost });
    }
    let view = ExportView { kind, title: thing.title(), href, tlp: Badge::tlp(policy.tlp()), rows };
    show(&view.page(visit.chrome().await?))
}

/// `/flaws/{id}/export/{form}`
pub async fn file(
    kind: Kind,
    visit: Visit,
    Path((id, word)): Path<(String, String)>,
) -> Result<Response, Failure> {
    let reading = visit.reading().await?;
    let (thing, policy) = find(&reading, Some(kind), &id).await?;
    let made = form(&visit, &reading, &thing, &policy, &word).await?.ok_or(Failure::NotFound)?;
    let export = made.map_err(|error| Failure::Unprocessable(error.to_string()))?;
    visit.note(format!("{word} export"), &[&thing.head.key.id]).await?;
    exports::file(export, "application/json")
}
