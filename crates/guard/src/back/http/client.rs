//! The HTTP client: no redirects, no proxies, no retries; TLS unless it is this machine; answers of bounded size.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;

use crate::back::Fault;
use crate::back::clean::quote;

/// Connections that wait for their next request.
const IDLE: usize = 256;
/// Node's servers close idle connections after five seconds; whoever sends at that moment cannot know whether the request ran.
const IDLE_SECONDS: u64 = 4;

/// Whether the host is this machine: `localhost`, 127.0.0.0/8 or ::1.
pub(in crate::back) fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    if host == "localhost" {
        return true;
    }
    address(host).is_some_and(|address| address.is_loopback())
}

/// The address that a host stands for by itself.
pub(in crate::back) fn address(host: &str) -> Option<std::net::IpAddr> {
    let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    host.parse().ok()
}

/// Checks that a URL may be used at all.
///
/// # Errors
/// What is wrong with it; never the URL itself, which may hold a password.
pub(in crate::back) fn check(url: &Url) -> Result<(), String> {
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the URL holds a user name or a password: leave them out".to_owned());
    }
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_loopback(url) => Ok(()),
        "http" => Err("plain http is for this machine only: use https".to_owned()),
        other => Err(format!("the URL starts with {}:, not https:", quote(other))),
    }
}

/// A client for this URL and those that lead on from it.
pub(in crate::back) fn build(tls: bool) -> Result<reqwest::Client, String> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("ostrom-guard/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .referer(false)
        // Whether a request may be sent again is decided here, and never by the transport.
        .retry(reqwest::retry::never())
        .connect_timeout(Duration::from_secs(10))
        .pool_max_idle_per_host(IDLE)
        .pool_idle_timeout(Duration::from_secs(IDLE_SECONDS))
        .tcp_nodelay(true)
        .http1_only();
    if tls {
        // reqwest takes the process's provider. If the program has installed one already, that one stays.
        let _installed = rustls::crypto::ring::default_provider().install_default();
    } else {
        // No root certificates are needed, or trusted, where nothing is reached by TLS.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        builder = builder.tls_backend_preconfigured(config);
    }
    builder.build().map_err(|error| cause(&error))
}

/// The innermost cause, which is the one that says something: `Connection refused`, not `error sending request`.
pub(in crate::back) fn cause(error: &reqwest::Error) -> String {
    let mut cause = error.source();
    let mut text = cause.map_or_else(|| "unknown".to_owned(), ToString::to_string);
    while let Some(inner) = cause.and_then(std::error::Error::source) {
        text = inner.to_string();
        cause = Some(inner);
    }
    quote(&text)
}

/// The fault of a request that failed on the way.
pub(in crate::back) fn broken(error: &reqwest::Error) -> Fault {
    if error.is_connect() {
        return Fault::Unreachable(format!("could not connect: {}", cause(error)));
    }
    Fault::Gone { reason: format!("broke the connection: {}", cause(error)), sent: true }
}

/// Reads a body of at most `limit` bytes.
///
/// # Errors
/// If it breaks off or is larger.
pub(in crate::back) async fn read(mut response: reqwest::Response, limit: usize) -> Result<Vec<u8>, Fault> {
    let announced = response.content_length().and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0);
    // What is announced is not believed beyond 64 KiB: memory comes with the bytes themselves.
    let mut body = Vec::with_capacity(announced.min(limit).min(64 << 10));
    while let Some(chunk) = response.chunk().await.map_err(|error| broken(&error))? {
        if body.len().saturating_add(chunk.len()) > limit {
            return Err(Fault::Protocol(format!("an answer of more than {limit} bytes (limits.bytes)")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_and_this_machine_are_reached() {
        let check = |text: &str| check(&Url::parse(text).unwrap());
        for text in
            ["https://a.example/mcp", "http://localhost:1/mcp", "http://127.0.0.9/", "http://[::1]:8/"]
        {
            assert_eq!(check(text), Ok(()), "{text}");
        }
        for text in [
            "http://a.example/mcp",
            "http://localhost.evil.example/",
            "http://10.0.0.1/",
            "ftp://localhost/",
            "https://user:hunter2@a.example/",
            "https://hunter2@a.example/",
        ] {
            let error = check(text).unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
