//! Exports, each with what it could not carry.

use std::collections::BTreeMap;

use axum::extract::Path;
use axum::response::{IntoResponse as _, Response};
use http::HeaderValue;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use ostrom_core::handling::Policy;
use ostrom_exchange::export::{
    self, Export, ExportError, IncidentReport, Publisher, PublisherCategory, Revision, SecurityAdvisory,
};
use ostrom_exchange::types::{Flaw, Mitigation, Record};
use ostrom_store::Reading;

use super::duties;
use super::names::Names;
use super::object::find;
use super::thing::Thing;
use super::visit::{Visit, show};
use crate::Failure;
use crate::ui::part::Badge;
use crate::ui::view::{ExportRow, ExportView, Kind};

/// The forms: the word in the address, the name, what it is good for.
const FORMS: [(&str, &str, &str); 4] = [
    ("avid", "AVID", "A report for the AI Vulnerability Database."),
    (
        "csaf",
        "CSAF 2.0",
        "A security advisory about the flaws that the advisory refers to, for scanners and asset managers.",
    ),
    ("osv", "OSV", "A record for tools that look after packages and model files."),
    ("oecd", "OECD reporting framework", "An incident report with the common framework's 29 criteria."),
];

/// One form of a thing: `None` if it is for another kind.
async fn form(
    visit: &Visit,
    reading: &Reading,
    thing: &Thing,
    policy: &Policy,
    form: &str,
) -> Result<Option<Result<Export, ExportError>>, Failure> {
    Ok(match (form, &thing.record) {
        ("avid", Some(Record::Flaw(flaw))) => Some(export::avid(flaw)),
        ("osv", Some(Record::Flaw(flaw))) => Some(export::osv(flaw)),
        ("oecd", Some(Record::Incident(incident))) => {
            let facts = duties::facts_of(thing);
            let answers = BTreeMap::new();
            Some(export::oecd(&IncidentReport { incident, facts: facts.as_ref(), answers: &answers }))
        }
        ("csaf", Some(Record::Advisory(advisory))) => {
            let (mut flaws, mut mitigations): (Vec<Flaw>, Vec<Mitigation>) = (Vec::new(), Vec::new());
            for object in reading.objects(&advisory.object_refs).await? {
                match Thing::read(object).record {
                    Some(Record::Flaw(flaw)) => flaws.push(flaw),
                    Some(Record::Mitigation(mitigation)) => mitigations.push(mitigation),
                    _ => {}
                }
            }
            let names = Names::read(&visit.app.store).await?;
            let publisher = Publisher {
                name: names.organisation(thing.head.owner),
                namespace: visit.app.base.origin(),
                category: PublisherCategory::Coordinator,
            };
            let mut revisions: Vec<Revision> = reading
                .history(&thing.head.key.id)
                .await?
                .into_iter()
                .map(|head| Revision { date: head.key.version, summary: head.title })
                .collect();
            revisions.reverse();
            let tracking_id = thing.head.key.id.to_string();
            Some(export::csaf(&SecurityAdvisory {
                advisory,
                flaws: &flaws,
                mitigations: &mitigations,
                publisher: &publisher,
                tracking_id: &tracking_id,
                revisions: &revisions,
                tlp: policy.tlp(),
            }))
        }
        _ => None,
    })
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
    let name: String = export
        .file_name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' })
        .collect();
    let disposition = format!("attachment; filename=\"{name}\"");
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (CONTENT_DISPOSITION, HeaderValue::from_str(&disposition).map_err(Failure::internal)?),
    ];
    Ok((headers, export.bytes).into_response())
}
