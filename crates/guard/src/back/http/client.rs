//! What is asked of addresses: TLS unless it is this machine. And a client for authorization servers: no redirects, no proxies, no retries.

use std::error::Error;
use std::time::Duration;

use reqwest::Url;
use rustls::pki_types::CertificateDer;

use super::tls::believing_nobody;
use crate::back::Fault;
use crate::back::clean::quote;

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

/// A client for authorization servers, which are found by following addresses. Besides whom this machine believes it believes `authorities`.
pub(in crate::back) fn build(
    tls: bool,
    authorities: &[CertificateDer<'static>],
) -> Result<reqwest::Client, String> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("ostrom-guard/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .referer(false)
        // Whether a request may be sent again is decided here, and never by the transport.
        .retry(reqwest::retry::never())
        .connect_timeout(Duration::from_secs(10))
        .pool_idle_timeout(Duration::from_secs(IDLE_SECONDS))
        .tcp_nodelay(true)
        .http1_only();
    if tls {
        // reqwest takes the process's provider. If the program has installed one already, that one stays.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let more = authorities.iter().map(|der| reqwest::Certificate::from_der(der));
        let more = more.collect::<Result<Vec<_>, _>>().map_err(|error| cause(&error))?;
        if !more.is_empty() {
            builder = builder.tls_certs_merge(more);
        }
    } else {
        // No root certificates are needed, or trusted, where nothing is reached by TLS.
        builder = builder.tls_backend_preconfigured(believing_nobody()?);
    }
    builder.build().map_err(|error| cause(&error))
}

/// The innermost cause, which is the one that says something: `Connection refused`, not `error sending request`.
pub(in crate::back) fn cause(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(inner) = innermost.source() {
        innermost = inner;
    }
    quote(&innermost.to_string())
}

fn broken(error: &reqwest::Error) -> Fault {
    Fault::Gone { reason: format!("broke the connection: {}", cause(error)), sent: true }
}

/// Reads the body of an authorization server's answer, of at most `limit` bytes.
///
/// # Errors
/// If it breaks off or is larger.
pub(in crate::back) async fn read(mut response: reqwest::Response, limit: usize) -> Result<Vec<u8>, Fault> {
    let announced = response.content_length().and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0);
    // What is announced is not believed beyond 64 KiB: memory comes with the bytes themselves.
    let mut body = Vec::with_capacity(announced.min(limit).min(64 << 10));
    while let Some(chunk) = response.chunk().await.map_err(|error| broken(&error))? {
        if body.len().saturating_add(chunk.len()) > limit {
            return Err(Fault::Protocol(format!(
                "an answer of more than {limit} bytes (limits.message-bytes)"
            )));
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
