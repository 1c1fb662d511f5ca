//! One attempt at one request: bounded in time and in bytes, to one host, without redirects or proxies.

use std::error::Error as _;
use std::time::{Duration, SystemTime};

use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Request, Url};
use tokio::time::{Instant, timeout_at};

use super::config::{ConfigError, HttpConfig, Protocol};
use super::retry::{self, Verdict};
use super::{anthropic, clean};
use crate::secret::Secret;

/// As much of an error's body as is read.
const MAX_ERROR_BYTES: usize = 16 << 10;

/// How an attempt ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// A body with a status of success, not read yet as an answer.
    Answer(Vec<u8>),
    /// A status that is not success.
    Status {
        /// What it means.
        verdict: Verdict,
        /// The status.
        status: u16,
        /// How long the endpoint asked to be left alone.
        retry_after: Option<Duration>,
        /// What it said, cleaned.
        message: String,
    },
    /// The connection failed.
    Broken {
        /// Whether the endpoint may have got the request.
        sent: bool,
        /// What failed, cleaned.
        reason: String,
    },
    /// The time limit passed.
    TimedOut,
    /// The answer is larger than the limit.
    TooLarge,
}

/// The way to one endpoint.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    url: Url,
    key: Option<Secret>,
    timeout: Duration,
    max_answer_bytes: usize,
}

impl Client {
    pub(super) fn new(config: &HttpConfig) -> Result<Self, ConfigError> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("ostrom/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers(config.protocol, config.key.as_ref())?)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            // Retries are counted by the ledger, so none may happen underneath.
            .retry(reqwest::retry::never())
            .connect_timeout(config.connect_timeout)
            .pool_max_idle_per_host(config.concurrency)
            .tcp_nodelay(true)
            .http1_only();
        if config.base_url.is_https() {
            // reqwest takes the process's provider. If the program has installed one already, that one stays.
            let _ = rustls::crypto::ring::default_provider().install_default();
        } else {
            builder = builder.tls_backend_preconfigured(no_tls()?);
        }
        Ok(Self {
            http: builder.build().map_err(|error| tls_error(&error))?,
            url: config.base_url.join(config.protocol.path())?,
            key: config.key.clone(),
            timeout: config.timeout,
            max_answer_bytes: config.max_answer_bytes,
        })
    }

    /// A request with this JSON body. Attempts share the body.
    pub(super) fn request(&self, body: Vec<u8>) -> Request {
        let mut request = Request::new(Method::POST, self.url.clone());
        *request.body_mut() = Some(body.into());
        request
    }

    /// Sends a request made by [`Self::request`] once.
    pub(super) async fn attempt(&self, request: &Request) -> Outcome {
        let Some(request) = request.try_clone() else {
            // Only streamed bodies cannot be sent twice, and there are none here.
            return Outcome::Broken { sent: false, reason: "the request cannot be repeated".to_owned() };
        };
        let deadline = Instant::now() + self.timeout;
        let response = match timeout_at(deadline, self.http.execute(request)).await {
            Err(_) => return Outcome::TimedOut,
            Ok(Err(error)) => return self.broken(error),
            Ok(Ok(response)) => response,
        };
        match retry::verdict(response.status().as_u16()) {
            Verdict::Answer => match timeout_at(deadline, read(response, self.max_answer_bytes)).await {
                Err(_) => Outcome::TimedOut,
                Ok(Err(ReadError::Broken(error))) => self.broken(error),
                Ok(Err(ReadError::TooLarge(_))) => Outcome::TooLarge,
                Ok(Ok(body)) => Outcome::Answer(body),
            },
            verdict => self.failed(verdict, response, deadline).await,
        }
    }

    /// The status counts, even if its body breaks off, has no end or never comes.
    async fn failed(&self, verdict: Verdict, response: reqwest::Response, deadline: Instant) -> Outcome {
        let status = response.status();
        let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let retry_after = text(header::RETRY_AFTER).and_then(|value| retry::retry_after(value, now()));
        let message = if status.is_redirection() {
            let to = text(header::LOCATION).unwrap_or("nowhere");
            format!("redirects are not followed; this one leads to {to}")
        } else {
            let body = match timeout_at(deadline, read(response, MAX_ERROR_BYTES)).await {
                Ok(Ok(body) | Err(ReadError::TooLarge(body))) => body,
                Ok(Err(ReadError::Broken(_))) | Err(_) => Vec::new(),
            };
            clean::error_message(&body)
        };
        let message = clean::quote(&message, self.key.as_ref());
        Outcome::Status { verdict, status: status.as_u16(), retry_after, message }
    }

    fn broken(&self, error: reqwest::Error) -> Outcome {
        let sent = !error.is_connect();
        let what = if sent { "the connection broke" } else { "could not connect" };
        let reason = clean::quote(&format!("{what}: {}", cause(&error)), self.key.as_ref());
        Outcome::Broken { sent, reason }
    }
}

fn headers(protocol: Protocol, key: Option<&Secret>) -> Result<HeaderMap, ConfigError> {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    if protocol == Protocol::Anthropic {
        let name = HeaderName::from_static("anthropic-version");
        headers.insert(name, HeaderValue::from_static(anthropic::VERSION));
    }
    if let Some(key) = key {
        let (name, value) = match protocol {
            Protocol::OpenAi => (header::AUTHORIZATION, format!("Bearer {}", key.expose())),
            Protocol::Anthropic => (HeaderName::from_static("x-api-key"), key.expose().to_owned()),
        };
        let mut value = HeaderValue::from_str(&value).map_err(|_| ConfigError::Setting {
            name: "key",
            problem: "holds characters that no header can carry",
        })?;
        // Prints as `Sensitive` wherever headers are printed.
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

/// For endpoints that are reached without TLS: trusts nobody, and needs no root certificates on this machine.
fn no_tls() -> Result<rustls::ClientConfig, ConfigError> {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ConfigError::Tls { message: error.to_string() })?;
    Ok(config.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth())
}

fn tls_error(error: &reqwest::Error) -> ConfigError {
    ConfigError::Tls { message: cause(error) }
}

enum ReadError {
    /// Larger than the limit; holds as much as the limit allows.
    TooLarge(Vec<u8>),
    Broken(reqwest::Error),
}

/// Reads a body of at most `limit` bytes, and not a byte more into memory than one chunk beyond it.
async fn read(mut response: reqwest::Response, limit: usize) -> Result<Vec<u8>, ReadError> {
    let announced = response.content_length().and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0);
    // What is announced is not believed beyond 64 KiB: memory comes with the bytes themselves.
    let mut body = Vec::with_capacity(announced.min(limit).min(64 << 10));
    while let Some(chunk) = response.chunk().await.map_err(ReadError::Broken)? {
        let room = limit - body.len();
        if let Some(fits) = chunk.get(..room).filter(|fits| fits.len() < chunk.len()) {
            body.extend_from_slice(fits);
            return Err(ReadError::TooLarge(body));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The innermost cause, which is the one that says something: `Connection refused`, not `error sending request`.
fn cause(error: &reqwest::Error) -> String {
    let mut cause = error.source();
    let mut text = cause.map_or_else(|| "unknown".to_owned(), ToString::to_string);
    while let Some(inner) = cause.and_then(std::error::Error::source) {
        text = inner.to_string();
        cause = Some(inner);
    }
    text
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_and_its_requests_print_no_key() {
        for protocol in [Protocol::OpenAi, Protocol::Anthropic] {
            let config = HttpConfig {
                key: Secret::new("sk-very-secret"),
                ..HttpConfig::new("http://localhost/v1".parse().unwrap(), "m", protocol)
            };
            let client = Client::new(&config).unwrap();
            let shown = format!("{client:?} {:?}", client.request(Vec::new()));
            assert!(shown.contains("Sensitive") && !shown.contains("very-secret"), "{shown}");
        }
    }
}
