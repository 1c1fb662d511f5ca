//! Fetching a file that the user named, to disk.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use reqwest::Url;
use reqwest::redirect::Policy;

use super::url::is_loopback;
use crate::model::ModelError;

/// The largest file that is fetched, in bytes.
const MAX_FILE: u64 = 512 << 30;
/// Hubs answer with a redirect to where the bytes lie.
const MAX_REDIRECTS: usize = 5;
/// A download that stands still for so long has ended.
const STALL: Duration = Duration::from_secs(60);

/// Whether nobody on a network can change what comes from there.
fn is_safe(url: &Url) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && url.host_str().is_some_and(is_loopback))
}

/// Fetches `url` into the file at `path`, which is overwritten. Only https: is taken, and http: from this machine; the same
/// holds for redirects. `progress` hears how many bytes have come and how many there are.
///
/// # Errors
/// If the server does not give the whole file, or it cannot be written.
pub async fn download(url: &str, path: &Path, progress: impl Fn(u64, Option<u64>)) -> Result<(), ModelError> {
    let failed =
        |error: &dyn std::fmt::Display| ModelError::Unavailable { attempts: 1, last: error.to_string() };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let url = Url::parse(url).map_err(|error| failed(&error))?;
    if !is_safe(&url) {
        return Err(ModelError::Unsupported(format!(
            "{url} is not encrypted: models are fetched over https:"
        )));
    }
    let from_here = url.scheme() == "http";
    let redirects = Policy::custom(move |attempt| {
        if attempt.previous().len() > MAX_REDIRECTS {
            attempt.error("too many redirects")
        } else if attempt.url().scheme() == "https" || (from_here && is_safe(attempt.url())) {
            attempt.follow()
        } else {
            attempt.error("a redirect leads to where nothing is encrypted")
        }
    });
    let client = reqwest::Client::builder()
        .user_agent(concat!("ostrom/", env!("CARGO_PKG_VERSION")))
        .redirect(redirects)
        .no_proxy()
        .connect_timeout(Duration::from_secs(20))
        .read_timeout(STALL)
        .build()
        .map_err(|error| failed(&error))?;
    let mut response = client.get(url.clone()).send().await.map_err(|error| failed(&error.without_url()))?;
    if !response.status().is_success() {
        let (status, message) =
            (response.status().as_u16(), "is the name right, and is it public?".to_owned());
        return Err(ModelError::Rejected { status, message });
    }
    let total = response.content_length();
    let mut file = File::create(path).map_err(|error| failed(&error))?;
    let mut done = 0_u64;
    while let Some(chunk) = response.chunk().await.map_err(|error| failed(&error.without_url()))? {
        done += chunk.len() as u64;
        if done > MAX_FILE {
            return Err(failed(&"the file is larger than any model"));
        }
        file.write_all(&chunk).map_err(|error| failed(&error))?;
        progress(done, total);
    }
    match total {
        Some(total) if total != done => Err(failed(&format!("{done} of {total} bytes came"))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_encrypted_places_and_this_machine_are_safe() {
        let safe = |url: &str| is_safe(&Url::parse(url).unwrap());
        assert!(
            safe("https://models.example/x.gguf")
                && safe("http://127.0.0.1:8080/x")
                && safe("http://[::1]/x")
        );
        assert!(
            !safe("http://models.example/x.gguf")
                && !safe("ftp://127.0.0.1/x")
                && !safe("http://127.0.0.1.example/x")
        );
    }
}
