//! The transparency log for everybody: `/log/checkpoint` and `/log/tile/…` as C2SP tlog-tiles has them, and `/log/cosign` for
//! witnesses.

use std::path::PathBuf;
use std::sync::PoisonError;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use ostrom_trust::log::SignedCheckpoint;

use crate::web::Payload;
use crate::{App, Failure};

/// The largest note that a witness sends.
const LARGEST_NOTE: usize = 32 << 10;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/log/checkpoint", get(checkpoint))
        .route("/log/key", get(key))
        .route("/log/cosign", post(cosign))
        .route("/log/tile/{*rest}", get(tile))
}

fn answer(body: impl Into<Bytes>, kind: &'static str, cache: &'static str) -> Response {
    let body: Bytes = body.into();
    let mut response = body.into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    response
}

const TEXT: &str = "text/plain; charset=utf-8";

/// The latest checkpoint, with what witnesses have added.
async fn checkpoint(State(app): State<App>) -> Result<Response, Failure> {
    let path = app.logs.transparency.folder().join("checkpoint");
    Ok(answer(read(path).await?, TEXT, "no-cache"))
}

/// The log's key, as `ORIGIN+HASH+KEY`. Compare it with what the node's people tell you in another way.
async fn key(State(app): State<App>) -> Response {
    answer(format!("{}\n", app.logs.transparency.verifier()), TEXT, "no-cache")
}

/// A tile. Full ones never change; others stay true as long as they are there.
async fn tile(State(app): State<App>, request: Request) -> Result<Response, Failure> {
    let rest = request.uri().path().strip_prefix("/log/tile/").ok_or(Failure::NotFound)?;
    if !is_tile(rest) {
        return Err(Failure::NotFound);
    }
    let path = app.logs.transparency.folder().join("tile").join(rest);
    Ok(answer(read(path).await?, "application/octet-stream", "public, max-age=31536000, immutable"))
}

async fn read(path: PathBuf) -> Result<Vec<u8>, Failure> {
    match tokio::fs::read(path).await {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(Failure::NotFound),
        Err(error) => Err(Failure::internal(error)),
    }
}

/// Whether a path is one of a tile: `L/N`, where L is a level or `entries` and N is in groups of three digits, `x001/234`, with `.p/W` after it if
/// the tile is not full.
fn is_tile(rest: &str) -> bool {
    let digits = |text: &str, most: usize| {
        (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let Some((level, rest)) = rest.split_once('/') else { return false };
    let (index, width) = match rest.split_once(".p/") {
        Some((index, width)) => (index, Some(width)),
        None => (rest, None),
    };
    let mut groups: Vec<&str> = index.split('/').collect();
    let last = groups.pop().unwrap_or_default();
    let three = |text: &str| text.len() == 3 && digits(text, 3);
    (level == "entries" || digits(level, 2))
        && groups.len() <= 6
        && groups.iter().all(|group| group.strip_prefix('x').is_some_and(three))
        && three(last)
        && width.is_none_or(|width| digits(width, 3))
}

/// A witness hands in the latest checkpoint with its cosignature. Who it is, the signature says.
async fn cosign(State(app): State<App>, request: Request) -> Result<StatusCode, Failure> {
    let body = Payload::read(request, LARGEST_NOTE).await?;
    let refused = |error: ostrom_trust::log::NoteError| Failure::Unprocessable(error.to_string());
    let sent = SignedCheckpoint::open(&body, app.logs.transparency.verifier()).map_err(refused)?;
    let known =
        app.logs.witnesses.iter().filter(|witness| sent.cosigned(std::slice::from_ref(witness)).is_ok());
    let names: Vec<String> = known.map(|witness| witness.name().to_owned()).collect();
    if names.is_empty() {
        return Err(Failure::Unprocessable(
            "no witness that this node knows has cosigned (--witness)".to_owned(),
        ));
    }
    let published = tokio::task::spawn_blocking(move || publish(&app, &sent, &names));
    published.await.map_err(Failure::internal)?.map(|()| StatusCode::NO_CONTENT)
}

/// Adds these witnesses' lines to the checkpoint that is published. Lines of nobody known are left out, and those that are there stay.
pub(crate) fn publish(app: &App, sent: &SignedCheckpoint, names: &[String]) -> Result<(), Failure> {
    let log = &app.logs.transparency;
    // One after the other: each begins with what the one before has published.
    let _turn = app.logs.cosigning.lock().unwrap_or_else(PoisonError::into_inner);
    let current = std::fs::read_to_string(log.folder().join("checkpoint")).map_err(|_| Failure::NotFound)?;
    let sent = sent.to_string();
    let text = |note: &str| note.split_once("\n\n").map(|(text, _)| text.to_owned());
    if text(&current) != text(&sent) {
        return Err(Failure::Conflict("this is not the latest checkpoint: fetch it again".to_owned()));
    }
    let of = |name: &String| format!("\u{2014} {name} ");
    let mut note = current.clone();
    for name in names.iter().filter(|name| !current.contains(&of(name))) {
        for line in sent.lines().filter(|line| line.starts_with(&of(name))) {
            note.push_str(line);
            note.push('\n');
        }
    }
    let note = SignedCheckpoint::open(note.as_bytes(), log.verifier()).map_err(Failure::internal)?;
    log.publish(&note).map_err(|error| Failure::Conflict(error.to_string()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_tiles_are_served() {
        for good in ["0/000", "0/x001/234", "1/000.p/5", "entries/x001/x002/003.p/255"] {
            assert!(is_tile(good), "{good}");
        }
        for bad in [
            "",
            "0",
            "0/",
            "../000",
            "0/../../entries",
            "0/..%2f",
            "0/x001/../000",
            "0/000.p/",
            "0/000.p/../1",
            "entries",
            "0//000",
            "0/0000",
            "0/000/x001",
        ] {
            assert!(!is_tile(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_path_leaves_the_folder(path in "[0-9x./p%]{0,30}") {
            if is_tile(&path) {
                prop_assert!(!path.contains("..") && !path.starts_with('/'));
            }
        }
    }
}
