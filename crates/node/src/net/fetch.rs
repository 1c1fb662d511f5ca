//! One request to another machine.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use reqwest::{Method, Url};

use super::guard::{Reach, Resolver, may_reach};

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The URL is none, or not one that may be asked.
    #[error("{0}")]
    Url(String),
    /// It could not be reached, or went away half-way.
    #[error("no answer: {0}")]
    Broken(String),
    /// It took too long.
    #[error("no answer in time")]
    Timeout,
    /// More bytes than are taken.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
}

/// Asks other machines.
#[derive(Debug, Clone)]
pub struct Fetch {
    http: reqwest::Client,
    reach: Reach,
    insecure: bool,
}

impl Fetch {
    /// `insecure`: URLs without TLS are taken.
    ///
    /// # Errors
    /// If TLS cannot be had.
    pub fn new(reach: Reach, insecure: bool, time: Duration) -> Result<Self, FetchError> {
        // Fails only if another part has installed one, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .user_agent(concat!("ostrom/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .retry(reqwest::retry::never())
            .connect_timeout(Duration::from_secs(10))
            .timeout(time)
            .dns_resolver(Arc::new(Resolver(reach)))
            .http1_only()
            .build()
            .map_err(|error| FetchError::Broken(cause(&error)))?;
        Ok(Self { http, reach, insecure })
    }

    /// Whether this URL may be asked, as far as that is known before its name is resolved.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, url: &str) -> Result<Url, FetchError> {
        let wrong = |why: &str| FetchError::Url(format!("{why}: give an https URL of another machine"));
        let parsed = Url::parse(url).map_err(|_| wrong("this is not a URL"))?;
        match parsed.scheme() {
            "https" => {}
            "http" if self.insecure => {}
            _ => return Err(wrong("this URL is not https")),
        }
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(wrong("this URL holds a name or a password"));
        }
        let host = parsed.host_str().ok_or_else(|| wrong("this URL has no host"))?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        // A name is checked when it is resolved; an address is not resolved.
        if let Ok(address) = bare.parse::<IpAddr>()
            && self.reach == Reach::Public
            && !may_reach(address)
        {
            return Err(wrong("this address is not one of the public Internet"));
        }
        Ok(parsed)
    }

    /// Asks once.
    ///
    /// # Errors
    /// If there is no answer of at most `most` bytes.
    pub async fn send(
        &self,
        method: Method,
        url: &str,
        headers: HeaderMap,
        body: Option<Vec<u8>>,
        most: usize,
    ) -> Result<Reply, FetchError> {
        let url = self.check(url)?;
        let mut request = self.http.request(method, url).headers(headers);
        if let Some(body) = body {
            request = request.body(body);
        }
        let mut response = request.send().await.map_err(broken)?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(broken)? {
            if body.len().saturating_add(piece.len()) > most {
                return Err(FetchError::TooLarge(most));
            }
            body.extend_from_slice(&piece);
        }
        Ok(Reply { status, headers, body })
    }
}

fn broken(error: reqwest::Error) -> FetchError {
    if error.is_timeout() { FetchError::Timeout } else { FetchError::Broken(cause(&error)) }
}

/// The innermost cause: what it says around that holds the URL.
fn cause(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn private_addresses_are_refused_as_numbers_and_as_names() {
        let fetch = Fetch::new(Reach::Public, true, Duration::from_secs(5)).unwrap();
        for bad in [
            "http://127.0.0.1/",
            "https://[::1]/",
            "http://2130706433/",
            "http://0x7f.1/",
            "ftp://a.example/",
            "https://u:p@a.example/",
            "x",
        ] {
            assert!(matches!(fetch.check(bad), Err(FetchError::Url(_))), "{bad}");
        }
        let asked = fetch.send(Method::GET, "http://localhost:9/", HeaderMap::new(), None, 10).await;
        assert!(
            matches!(&asked, Err(FetchError::Broken(why)) if why.contains("no address that may be asked")),
            "{asked:?}"
        );
        let strict = Fetch::new(Reach::Public, false, Duration::from_secs(5)).unwrap();
        assert!(strict.check("http://a.example/").is_err() && strict.check("https://a.example/").is_ok());
    }
}
