//! Bringing in what others have published.

use axum::Json as Answer;
use axum::extract::{Request, State};
use ostrom_core::handling::Tlp;
use ostrom_exchange::import::{self, Found, Manner};
use ostrom_exchange::stix::{Limits, ReadError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::write::{asker, collection};
use crate::web::{Payload, Query, single};
use crate::who::Actor;
use crate::{App, Failure};

/// The most problems that an answer lists; it counts all of them.
const LISTED: usize = 1_000;

/// What is brought in, and how.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct How {
    source: Source,
    collection: String,
    tlp: Option<Tlp>,
}

/// Forms that are read.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Source {
    Stix,
    GenaiIncidents,
    Avid,
}

/// A record with defects, or one that was not taken.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProblemView {
    /// Its name at the source, or its place.
    record: String,
    /// Whether it was kept all the same.
    kept: bool,
    /// What is wrong with it, or what could not be carried over.
    why: Vec<String>,
}

/// What an import did.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Imported {
    /// Where the records are from.
    source: String,
    /// Records that were found.
    read: usize,
    /// Records that are in the collection now, those with defects among them.
    taken: usize,
    /// Of these, how many were there already.
    same: usize,
    /// Records that were kept with their defects on record.
    defective: usize,
    /// Records that were not kept.
    refused: usize,
    /// The first thousand of both, and why.
    problems: Vec<ProblemView>,
}

/// Takes what others have published: a STIX bundle (also of version 2.0, or a defective one) byte for byte, the records of genai-incidents, or AVID's
/// reports. What departs from the specification is kept with its defects on record. What is imported twice is there once.
#[utoipa::path(post, path = "/api/v1/imports", tag = "objects",
    params(("source" = String, Query, description = "stix, genai-incidents or avid"),
        ("collection" = String, Query, description = "The collection, by its id or alias."),
        ("tlp" = Option<String>, Query, description = "How public the source is: amber unless said otherwise. A STIX bundle keeps its own marks.")),
    request_body(content = serde_json::Value, content_type = "application/json"),
    responses((status = 200, body = Imported)))]
pub(super) async fn import(
    State(app): State<App>,
    actor: Actor,
    Query(how): Query<How>,
    request: Request,
) -> Result<Answer<Imported>, Failure> {
    let asker = asker(&actor, false)?;
    let collection = collection(&app, &asker, &how.collection).await?;
    let by = asker.organisation.ok_or(Failure::Unauthenticated)?;
    let kind = single(request.headers(), "content-type").and_then(|kind| kind.split(';').next());
    if !kind.is_some_and(|kind| ["application/json", "application/stix+json"].contains(&kind.trim())) {
        return Err(Failure::MediaType("application/json"));
    }
    let body = Payload::read(request, app.config.limits.objects_body).await?;
    let (now, manner) = (app.clock().now(), Manner { by, tlp: how.tlp.unwrap_or(Tlp::Amber) });
    let read = move || {
        let limits = Limits::default();
        match how.source {
            Source::Stix => import::bundle("STIX bundle", &body, &limits),
            Source::GenaiIncidents => import::genai_incidents(&body, manner, &limits),
            Source::Avid => import::avid(&body, manner, &limits, now),
        }
    };
    let found: Result<Found, ReadError> =
        tokio::task::spawn_blocking(read).await.map_err(Failure::internal)?;
    let found = found.map_err(|error| Failure::Unprocessable(error.to_string()))?;
    let report = found.into_collection(&app.exchange, &asker, &collection, now).await?;
    let import::Report { source, read, taken, same, problems } = report;
    let refused = problems.iter().filter(|problem| !problem.kept).count();
    let defective = problems.len().saturating_sub(refused);
    let listed = problems.into_iter().take(LISTED);
    let problems =
        listed.map(|import::Problem { record, kept, why }| ProblemView { record, kept, why }).collect();
    Ok(Answer(Imported { source, read, taken, same, defective, refused, problems }))
}
