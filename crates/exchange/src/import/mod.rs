//! Bringing in what others have published: STIX bundles such as MITRE ATLAS, the records of genai-incidents, AVID's reports.
//!
//! An import keeps what it can and says of everything else why not. Of each record the SHA-256 of its bytes and its name at the source are
//! kept, as an external reference and beside the object. Ids follow from the source's names, so that what is imported twice is there once.

mod avid;
mod bundle;
mod genai;

#[cfg(test)]
mod tests;

use std::fmt;

use ostrom_core::handling::Tlp;
use ostrom_core::{Digest, OrgId, Timestamp};
use ostrom_store::Collection;
use serde::Serialize;
use serde_json::{Value, json};

use crate::service::{Actor, Exchange, Incoming, ServiceError, Strictness};
use crate::stix::{Object, ReadError};
use crate::types::Reference;
pub use avid::avid;
pub use bundle::bundle;
pub use genai::genai_incidents;

/// In whose name, and how marked, records become objects.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// The organisation that imports.
    pub by: OrgId,
    /// How public the source is. Bundles keep their own marks.
    pub tlp: Tlp,
}

/// A record that could not be taken as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Its name at the source, or its place.
    pub record: String,
    /// Whether it was kept all the same.
    pub kept: bool,
    /// What is wrong with it, or what could not be carried over.
    pub why: Vec<String>,
}

/// What an import has done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Where the records are from.
    pub source: String,
    /// Records that were found.
    pub read: usize,
    /// Records that are in the collection now, those with defects among them.
    pub taken: usize,
    /// Of these, how many were there already.
    pub same: usize,
    /// Records with defects, and those that were not kept.
    pub problems: Vec<Problem>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lost = self.problems.iter().filter(|problem| !problem.kept).count();
        let odd = self.problems.len().saturating_sub(lost);
        let Self { source, read, taken, same, .. } = self;
        write!(
            f,
            "{source}: {read} records, {taken} taken ({same} were there already), {odd} with defects, {lost} refused"
        )
    }
}

/// An object made of a record.
#[derive(Debug, Clone)]
pub struct Made {
    /// The object.
    pub object: Object,
    /// The record's name at the source.
    pub record: String,
    /// What to keep beside the object.
    pub provenance: Value,
    /// What could not be carried over.
    pub lost: Vec<String>,
    /// Whether it is a record, and not only something that records need.
    pub is_record: bool,
}

/// What was found in a source, and is not yet in a collection.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Where it is from.
    pub source: String,
    /// Records found.
    pub read: usize,
    /// What they became.
    pub made: Vec<Made>,
    /// What became nothing.
    pub problems: Vec<Problem>,
}

impl Found {
    fn refuse(&mut self, record: impl Into<String>, why: impl Into<String>) {
        self.problems.push(Problem { record: record.into(), kept: false, why: vec![why.into()] });
    }

    /// Takes it into a collection.
    ///
    /// # Errors
    /// As for [`Exchange::take`].
    pub async fn into_collection(
        self,
        exchange: &Exchange,
        actor: &Actor,
        collection: &Collection,
        now: Timestamp,
    ) -> Result<Report, ServiceError> {
        let Self { source, read, made, problems } = self;
        let mut report = Report { source, read, problems, ..Report::default() };
        let names: Vec<(String, Vec<String>, bool)> =
            made.iter().map(|made| (made.record.clone(), made.lost.clone(), made.is_record)).collect();
        let incoming = made
            .into_iter()
            .map(|made| Incoming { provenance: Some(made.provenance), ..made.object.into() })
            .collect();
        let outcomes = exchange.take(actor, collection, incoming, Strictness::Lenient, now).await?;
        for (outcome, (record, lost, is_record)) in outcomes.into_iter().zip(names) {
            let (kept, why) = match outcome.result {
                Ok(took) => {
                    report.taken += usize::from(is_record);
                    report.same += usize::from(is_record && took.added.is_none());
                    let unreadable = took.unreadable.map(|why| format!("nobody can read it: {why}"));
                    let defects = took.defects.iter().map(ToString::to_string);
                    (true, defects.chain(unreadable).chain(lost).collect())
                }
                Err(refusal) => (false, vec![refusal.to_string()]),
            };
            if !why.is_empty() {
                report.problems.push(Problem { record, kept, why });
            }
        }
        Ok(report)
    }
}

/// Whence a record is: for the aside of its object.
fn provenance(source: &str, version: &str, record: &str, digest: Digest) -> Value {
    json!({ "source": source, "version": version, "record": record, "sha256": digest })
}

/// The record itself, as an external reference.
fn original(source: &str, record: &str, description: &str, digest: Digest) -> Reference {
    let mut reference = Reference::id(source, record);
    reference.description = Some(description.to_owned());
    reference.hashes.insert("SHA-256".to_owned(), Value::String(digest.to_string()));
    reference
}

/// A reference to a URL, or, if it is none, to what stands in its place.
fn link(source: &str, url: &str) -> Reference {
    let fine = url.starts_with("https://") || url.starts_with("http://");
    let fine = fine && url.bytes().all(|b| b.is_ascii_graphic() && !b"<>\"{}|\\^`".contains(&b));
    if fine {
        return Reference::url(source, url);
    }
    let description: String = url.chars().take(1000).collect();
    Reference { source_name: source.to_owned(), description: Some(description), ..Reference::default() }
}

/// `CVE-2024-10829`, and nothing else.
fn is_cve(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    matches!(*parts.as_slice(), ["CVE", year, number] if year.len() == 4 && digits(year) && number.len() >= 4 && digits(number))
}

/// A date that may lack its day or month: its beginning, and how exact it is.
fn date(text: &str) -> Option<(Timestamp, &'static str)> {
    let (full, precision) = match text.len() {
        4 => (format!("{text}-01-01"), "year"),
        7 => (format!("{text}-01"), "month"),
        10 => (text.to_owned(), "day"),
        _ => return None,
    };
    Some((format!("{full}T00:00:00.000Z").parse().ok()?, precision))
}

/// A marking definition with a statement, whose id follows from it.
fn statement(text: &str, by: OrgId) -> Option<Object> {
    let id = crate::stix::derived_id("marking-definition", "statement", text).ok()?;
    let value = json!({
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": id,
        "created": "2026-01-01T00:00:00.000Z",
        "created_by_ref": format!("identity--{by}"),
        "name": "Licence",
        "definition_type": "statement",
        "definition": { "statement": text },
        // Who may read what is marked so is for other marks to say; the statement itself is for everybody.
        "object_marking_refs": [crate::stix::marking::tlp_id(Tlp::Clear)],
    });
    Object::read(value.to_string().as_bytes(), &crate::stix::Limits::default()).ok()
}

/// A text, cut to what fits.
fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

/// A file that is not what was expected.
fn unexpected(what: &str) -> ReadError {
    ReadError::Shape(what.to_owned())
}
