//! Answers, put together from bytes.

use ostrom_core::Timestamp;
use ostrom_store::{Entry, Key, ManifestEntry};
use serde_json::{Value, json};

use super::{DATE_FIRST, DATE_LAST, MEDIA_TYPE};
use crate::service::{FULL, ServiceError};

/// An answer, for HTTP to carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status of HTTP.
    pub status: u16,
    /// Headers, beside the content type, which is always TAXII's.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// What went wrong inside: for the node's log, never for whoever asks.
    pub cause: Option<String>,
}

impl Answer {
    /// A resource.
    pub(super) fn json(status: u16, value: &Value) -> Self {
        Self { status, headers: Vec::new(), body: value.to_string().into_bytes(), cause: None }
    }

    /// An error (TAXII 2.1, section 3.6.1).
    pub fn error(status: u16, title: &str) -> Self {
        Self::json(status, &json!({ "title": title, "http_status": status.to_string() }))
    }

    /// What is not there, or not for whoever asks.
    pub(super) fn not_found() -> Self {
        Self::error(404, "there is no such resource")
    }

    /// The content type.
    pub const fn content_type(&self) -> &'static str {
        MEDIA_TYPE
    }

    fn because(mut self, error: &ServiceError) -> Self {
        self.cause = Some(error.to_string());
        self
    }

    fn dated(mut self, dates: Option<(Timestamp, Timestamp)>) -> Self {
        if let Some((first, last)) = dates {
            self.headers.push((DATE_FIRST, micros(first)));
            self.headers.push((DATE_LAST, micros(last)));
        }
        self
    }
}

impl From<&ServiceError> for Answer {
    fn from(error: &ServiceError) -> Self {
        match error {
            ServiceError::NotFound(_) => Self::not_found(),
            ServiceError::Forbidden(why) => Self::error(403, why),
            ServiceError::Read(error @ crate::stix::ReadError::TooLong { .. }) => {
                Self::error(413, &error.to_string())
            }
            ServiceError::Read(error) => Self::error(422, &error.to_string()),
            ServiceError::Type(error) => Self::error(422, &error.to_string()),
            ServiceError::Marks(error) => Self::error(422, &error.to_string()),
            full if full.is_full() => Self::error(507, FULL).because(full),
            ServiceError::Store(error) if error.is_temporary() => {
                let mut answer = Self::error(503, "this node is busy: try again");
                answer.headers.push(("retry-after", "2".to_owned()));
                answer
            }
            ServiceError::Store(ostrom_store::Error::Refused(why)) => Self::error(422, why),
            ServiceError::Store(_)
            | ServiceError::Log(_)
            | ServiceError::Commitment(_)
            | ServiceError::Internal(_) => {
                Self::error(500, "this node failed: ask whoever runs it").because(error)
            }
        }
    }
}

/// Times of arrival with all their digits, so that what they are compared with is what they were.
pub(super) fn micros(time: Timestamp) -> String {
    let text = time.to_string();
    match text.strip_suffix('Z') {
        Some(short) if text.len() == 24 => format!("{short}000Z"),
        _ => text,
    }
}

/// An envelope: the bodies as they are, between brackets.
pub(super) fn envelope(rows: &[Entry], next: Option<&str>) -> Answer {
    let bodies = rows.iter().map(|row| row.body.as_ref());
    let dates = dates(rows.iter().map(|row| &row.key));
    Answer { status: 200, headers: Vec::new(), body: listed("objects", bodies, next), cause: None }
        .dated(dates)
}

/// A manifest.
pub(super) fn manifest(rows: &[ManifestEntry], next: Option<&str>) -> Answer {
    let records: Vec<String> = rows
        .iter()
        .map(|row| {
            json!({
                "id": row.key.id,
                "date_added": micros(row.key.added),
                "version": row.key.version,
                "media_type": format!("application/stix+json;version={}", row.spec_version),
            })
            .to_string()
        })
        .collect();
    let dates = dates(rows.iter().map(|row| &row.key));
    let body = listed("objects", records.iter().map(String::as_bytes), next);
    Answer { status: 200, headers: Vec::new(), body, cause: None }.dated(dates)
}

/// Versions of one object.
pub(super) fn versions(rows: &[ManifestEntry], next: Option<&str>) -> Answer {
    let records: Vec<String> = rows.iter().map(|row| json!(row.key.version).to_string()).collect();
    let dates = dates(rows.iter().map(|row| &row.key));
    let body = listed("versions", records.iter().map(String::as_bytes), next);
    Answer { status: 200, headers: Vec::new(), body, cause: None }.dated(dates)
}

fn dates<'a>(keys: impl Iterator<Item = &'a Key>) -> Option<(Timestamp, Timestamp)> {
    let mut times = keys.map(|key| key.added);
    let first = times.next()?;
    Some((first, times.last().unwrap_or(first)))
}

/// `{"more":true,"next":"…","objects":[…]}`, or `{}` if there is nothing.
fn listed<'a>(name: &str, items: impl Iterator<Item = &'a [u8]>, next: Option<&str>) -> Vec<u8> {
    let mut body = Vec::new();
    for (index, item) in items.enumerate() {
        if index > 0 {
            body.push(b',');
        } else {
            let head = match next {
                Some(next) => format!("{{\"more\":true,\"next\":\"{next}\",\"{name}\":["),
                None => format!("{{\"more\":false,\"{name}\":["),
            };
            body.extend_from_slice(head.as_bytes());
        }
        body.extend_from_slice(item);
    }
    if body.is_empty() {
        return b"{}".to_vec();
    }
    body.extend_from_slice(b"]}");
    body
}

/// Media types of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Media;

impl Media {
    /// Whether an `Accept` header takes TAXII 2.1. None at all does.
    pub fn is_accepted(accept: Option<&str>) -> bool {
        let Some(accept) = accept else { return true };
        accept.split(',').any(|range| {
            let mut parts = range.split(';').map(|part| part.trim().to_ascii_lowercase());
            let kind = parts.next().unwrap_or_default();
            let mut version = None;
            let mut quality = true;
            for part in parts {
                match part.split_once('=') {
                    Some(("version", value)) => version = Some(value.trim_matches('"').to_owned()),
                    Some(("q", value)) => quality = value.parse::<f32>().is_ok_and(|q| q > 0.0),
                    _ => {}
                }
            }
            let fits = match kind.as_str() {
                "*/*" | "application/*" => true,
                "application/taxii+json" => version.is_none_or(|version| version == "2.1"),
                _ => false,
            };
            fits && quality
        })
    }

    /// Whether a `Content-Type` header says TAXII 2.1.
    pub fn is_ours(content_type: Option<&str>) -> bool {
        let Some(text) = content_type else { return false };
        let mut parts = text.split(';').map(|part| part.trim().to_ascii_lowercase());
        parts.next().as_deref() == Some("application/taxii+json")
            && parts.all(|part| match part.split_once('=') {
                Some(("version", value)) => value.trim_matches('"') == "2.1",
                Some(("charset", value)) => value.trim_matches('"') == "utf-8",
                _ => false,
            })
    }
}
