//! Exports of one shared thing, for the pages and the API alike.

use std::collections::{BTreeMap, BTreeSet};

use axum::response::{IntoResponse as _, Response};
use http::HeaderValue;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use ostrom_core::ObjectId;
use ostrom_core::handling::Policy;
use ostrom_exchange::export::{
    self, Export, ExportError, IncidentReport, Publisher, PublisherCategory, Revision, SecurityAdvisory,
};
use ostrom_exchange::stix;
use ostrom_exchange::types::{Flaw, Mitigation, Record};
use ostrom_store::{Head, Object, Reading};

use crate::{App, Failure};

/// The forms: the word in the address, the name, what it is good for.
pub(crate) const FORMS: [(&str, &str, &str); 4] = [
    ("avid", "AVID", "A report for the AI Vulnerability Database."),
    (
        "csaf",
        "CSAF 2.0",
        "A security advisory about the flaws that the advisory refers to, for scanners and asset managers.",
    ),
    ("osv", "OSV", "A record for tools that look after packages and model files."),
    ("oecd", "OECD reporting framework", "An incident report with the common framework's 29 criteria."),
];

/// An object as one of Ostrom's types, if it is one.
pub(crate) fn record(object: &Object) -> Option<Record> {
    let object = stix::Object::read(&object.body, &stix::Limits::default()).ok()?;
    Record::parse(&object).ok()
}

/// One form of a thing: `None` if it is for another kind.
pub(crate) async fn form(
    app: &App,
    reading: &Reading,
    head: &Head,
    record: Option<&Record>,
    policy: &Policy,
    form: &str,
) -> Result<Option<Result<Export, ExportError>>, Failure> {
    Ok(match (form, record) {
        ("avid", Some(Record::Flaw(flaw))) => Some(export::avid(flaw)),
        ("osv", Some(Record::Flaw(flaw))) => Some(export::osv(flaw)),
        ("oecd", Some(Record::Incident(incident))) => {
            let answers = BTreeMap::new();
            Some(export::oecd(&IncidentReport { incident, facts: None, answers: &answers }))
        }
        ("csaf", Some(Record::Advisory(advisory))) => {
            let (mut flaws, mut mitigations): (Vec<Flaw>, Vec<Mitigation>) = (Vec::new(), Vec::new());
            for object in reading.objects(&advisory.object_refs).await? {
                match self::record(&object) {
                    Some(Record::Flaw(flaw)) => flaws.push(flaw),
                    Some(Record::Mitigation(mitigation)) => mitigations.push(mitigation),
                    _ => {}
                }
            }
            let organisations = app.store.organisations().await?;
            let owner = organisations.into_iter().find(|organisation| organisation.id == head.owner);
            let publisher = Publisher {
                name: owner.map_or_else(|| "An organisation of another node".to_owned(), |owner| owner.name),
                namespace: app.base.origin(),
                category: PublisherCategory::Coordinator,
            };
            let history = reading.history(&head.key.id).await?.into_iter();
            let mut revisions: Vec<Revision> =
                history.map(|head| Revision { date: head.key.version, summary: head.title }).collect();
            revisions.reverse();
            let tracking_id = head.key.id.to_string();
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

/// A thing with its marks and everything that it refers to directly, as far as the reader may see it: the bundle, and what is in it.
pub(crate) async fn bundle(reading: &Reading, object: &Object) -> Result<(Export, Vec<ObjectId>), Failure> {
    let id = &object.head.key.id;
    let read = stix::Object::read(&object.body, &stix::Limits::default()).ok();
    let mut ids = vec![id.clone()];
    ids.extend(reading.refers_to(id).await?.into_iter().map(|head| head.key.id));
    ids.extend(read.iter().flat_map(|object| object.facts().marks.iter().cloned()));
    let mut seen = BTreeSet::new();
    ids.retain(|id| seen.insert(id.clone()));
    let objects = reading.objects(&ids).await?;
    let shown = objects.iter().map(|object| object.head.key.id.clone()).collect();
    let read = objects.iter().filter_map(|object| {
        // What cannot be read any more is not shown as if it were STIX.
        stix::Object::read(&object.body, &stix::Limits::default()).ok()
    });
    let export = export::stix(id.uuid(), &read.collect::<Vec<_>>()).map_err(Failure::internal)?;
    Ok((Export { file_name: format!("{id}.json"), ..export }, shown))
}

/// The file.
pub(crate) fn file(export: Export, media_type: &'static str) -> Result<Response, Failure> {
    let fine = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let name: String = export.file_name.chars().map(fine).collect();
    let disposition = format!("attachment; filename=\"{name}\"");
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (CONTENT_DISPOSITION, HeaderValue::from_str(&disposition).map_err(Failure::internal)?),
    ];
    Ok((headers, export.bytes).into_response())
}
