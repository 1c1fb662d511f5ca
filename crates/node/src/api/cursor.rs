//! Where a page ended, as a text that only this node can make.

use data_encoding::BASE64URL_NOPAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{App, Failure};

/// Bytes of the authentication code that are kept.
const TAG: usize = 16;
/// Objects of a page, if nobody says how many.
const USUAL: usize = 50;
/// Objects of a page at most.
const MOST: usize = 500;

/// What a page is asked with.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Paging {
    /// The `next` of the page before.
    pub(super) after: Option<String>,
    /// How many at most.
    pub(super) limit: Option<usize>,
}

/// How many, within reason.
pub(super) fn limit(asked: Option<usize>) -> Result<usize, Failure> {
    let limit = asked.unwrap_or(USUAL);
    if (1..=MOST).contains(&limit) {
        Ok(limit)
    } else {
        Err(Failure::BadRequest(format!("the query: limit must be 1 to {MOST}")))
    }
}

/// A cursor behind `place`, in the list of this name. What it says is hidden as well as authenticated.
pub(super) fn seal<T: Serialize>(app: &App, list: &str, place: &T) -> Result<String, Failure> {
    let mut bytes = serde_json::to_vec(place).map_err(Failure::internal)?;
    let tag = app.tag("cursor", &[list.as_bytes(), &bytes]);
    hide(app, &tag, &mut bytes);
    bytes.extend(tag.iter().take(TAG));
    Ok(BASE64URL_NOPAD.encode(&bytes))
}

/// What a cursor says, if this node made it for this list.
pub(super) fn open<T: DeserializeOwned>(app: &App, list: &str, cursor: &str) -> Result<T, Failure> {
    let wrong = || Failure::BadRequest("the query: after is not the next of a page before".to_owned());
    if cursor.len() > 1024 {
        return Err(wrong());
    }
    let bytes = BASE64URL_NOPAD.decode(cursor.as_bytes()).map_err(|_| wrong())?;
    let (hidden, tag) =
        bytes.len().checked_sub(TAG).and_then(|at| bytes.split_at_checked(at)).ok_or_else(wrong)?;
    let mut place = hidden.to_vec();
    hide(app, tag, &mut place);
    let found = app.tag("cursor", &[list.as_bytes(), &place]);
    // Compared by hashes of both, so that how long it takes says nothing.
    let short: Vec<u8> = found.iter().take(TAG).copied().collect();
    if app.tag("compare", &[&short]) != app.tag("compare", &[tag]) {
        return Err(wrong());
    }
    serde_json::from_slice(&place).map_err(|_| wrong())
}

/// Adds a keyed stream that begins with the tag (SIV): twice is as before.
fn hide(app: &App, tag: &[u8], bytes: &mut [u8]) {
    let tag: Vec<u8> = tag.iter().take(TAG).copied().collect();
    for (block, chunk) in bytes.chunks_mut(32).enumerate() {
        let stream = app.tag("cursor-stream", &[&tag, &(block as u64).to_be_bytes()]);
        for (byte, key) in chunk.iter_mut().zip(stream) {
            *byte ^= key;
        }
    }
}
