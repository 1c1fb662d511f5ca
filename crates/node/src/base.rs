//! The URL under which people and machines reach a node.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::Uri;

/// `https://node.example`, or with a port. No path: a node has a host of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    https: bool,
    host: String,
    port: u16,
}

/// Why a text is not a base URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{found:?} is not a base URL: give scheme, host and port only, such as https://node.example or http://localhost:7400"
)]
pub struct BaseUrlError {
    found: String,
}

impl BaseUrl {
    /// `http://localhost:PORT`. A name and not an address, since browsers keep passkeys for names only.
    #[must_use]
    pub fn local(port: u16) -> Self {
        Self { https: false, host: "localhost".to_owned(), port }
    }

    /// Whether it is reached over TLS.
    #[must_use]
    pub const fn is_https(&self) -> bool {
        self.https
    }

    /// The host in lower case, without the port: also the relying party's id of passkeys.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The host as a Host header has it: with the port, unless it is the scheme's own.
    #[must_use]
    pub fn authority(&self) -> String {
        let usual = if self.https { 443 } else { 80 };
        if self.port == usual { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }

    /// The origin as browsers send it.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("{}://{}", if self.https { "https" } else { "http" }, self.authority())
    }

    /// The URL of a path that begins with a slash.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin())
    }

    /// Whether a Host header names this node. With `loopback`, this machine's own names do too, on the same port.
    #[must_use]
    pub fn is_host(&self, header: &str, loopback: bool) -> bool {
        if header.eq_ignore_ascii_case(&self.authority()) {
            return true;
        }
        let Some((host, port)) = split(header) else { return false };
        let usual = if self.https { 443 } else { 80 };
        let port = port.unwrap_or(usual);
        port == self.port && (host.eq_ignore_ascii_case(&self.host) || (loopback && is_loopback(host)))
    }

    /// Whether an Origin header is this node's own.
    #[must_use]
    pub fn is_origin(&self, header: &str, loopback: bool) -> bool {
        let scheme = if self.https { "https://" } else { "http://" };
        header.strip_prefix(scheme).is_some_and(|authority| self.is_host(authority, loopback))
    }
}

/// Host and port of `host`, `host:port` or `[address]:port`.
fn split(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, rest) = if let Some(rest) = authority.strip_prefix('[') {
        rest.split_once(']')?
    } else if let Some(at) = authority.find(':') {
        authority.split_at_checked(at)?
    } else {
        (authority, "")
    };
    let port = match rest.strip_prefix(':') {
        Some(digits) if digits.bytes().all(|digit| digit.is_ascii_digit()) => Some(digits.parse().ok()?),
        None if rest.is_empty() => None,
        _ => return None,
    };
    (!host.is_empty()).then_some((host, port))
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl FromStr for BaseUrl {
    type Err = BaseUrlError;

    fn from_str(text: &str) -> Result<Self, BaseUrlError> {
        let error = || BaseUrlError { found: text.chars().take(80).collect() };
        let uri: Uri = text.parse().map_err(|_| error())?;
        let https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(error()),
        };
        let authority = uri.authority().ok_or_else(error)?;
        let plain =
            matches!(uri.path(), "" | "/") && uri.query().is_none() && !authority.as_str().contains('@');
        let host = authority.host().to_ascii_lowercase();
        let port = match authority.port() {
            Some(_) => authority.port_u16().ok_or_else(error)?,
            None if https => 443,
            None => 80,
        };
        if plain && !host.is_empty() { Ok(Self { https, host, port }) } else { Err(error()) }
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.origin())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_scheme_a_host_and_a_port() {
        let base: BaseUrl = "https://Node.example/".parse().unwrap();
        assert_eq!(base.origin(), "https://node.example");
        assert_eq!("http://a.example:80".parse::<BaseUrl>().unwrap().origin(), "http://a.example");
        assert_eq!("http://localhost:7400".parse::<BaseUrl>().unwrap(), BaseUrl::local(7400));
        for bad in [
            "",
            "node.example",
            "ftp://a.example",
            "https://a.example/x",
            "https://a.example/?q",
            "https://u@a.example",
        ] {
            assert!(bad.parse::<BaseUrl>().is_err(), "{bad}");
        }
    }

    #[test]
    fn other_names_for_this_address_are_not_served() {
        let base: BaseUrl = "https://node.example".parse().unwrap();
        assert!(base.is_host("node.example", false) && base.is_host("NODE.example:443", false));
        for other in [
            "evil.example",
            "node.example:80",
            "node.example.evil.example",
            "localhost",
            "",
            "node.example:",
            "127.0.0.1",
        ] {
            assert!(!base.is_host(other, false), "{other}");
        }
        let local = BaseUrl::local(7400);
        assert!(local.is_host("127.0.0.1:7400", true) && local.is_host("[::1]:7400", true));
        assert!(!local.is_host("127.0.0.1:7400", false) && !local.is_host("127.0.0.1:7401", true));
        assert!(!local.is_host("evil.example:7400", true));
    }

    #[test]
    fn an_origin_has_our_scheme_and_our_host() {
        let base: BaseUrl = "https://node.example".parse().unwrap();
        assert!(base.is_origin("https://node.example", false));
        assert!(!base.is_origin("http://node.example", false) && !base.is_origin("null", false));
    }
}
