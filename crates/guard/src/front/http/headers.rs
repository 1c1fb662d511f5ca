//! What the headers of a request must say.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, ORIGIN};
use http::{HeaderMap, StatusCode, Uri};
use serde_json::{Map, Value};

use crate::front::{Mirrored, metadata};
use crate::wire::{Request, RpcError};

/// Why a request is not let in, before anything of it is read.
pub(super) type Refusal = (StatusCode, &'static str);

/// Whose requests are let in.
#[derive(Debug, Clone)]
pub(super) struct Doors {
    /// Host names in lower case, without ports.
    pub(super) hosts: Vec<String>,
    /// Origins as browsers send them.
    pub(super) origins: Vec<String>,
    /// Whether this machine's own names and origins are let in: if only this machine can reach us.
    pub(super) is_local: bool,
}

impl Doors {
    /// Against DNS rebinding: a page of another site that has made its name point to us still names itself.
    ///
    /// # Errors
    /// If the request is for another host, or from a page of another origin.
    pub(super) fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
        let forbidden = |what| Err((StatusCode::FORBIDDEN, what));
        let Some(host) = single(headers, HOST.as_str()) else {
            return Err((StatusCode::BAD_REQUEST, "a request needs one Host header"));
        };
        if !self.is_our_host(host) || uri.host().is_some_and(|host| !self.is_our_host(host)) {
            return forbidden("this host name is not served here");
        }
        if headers.contains_key(ORIGIN) {
            match single(headers, ORIGIN.as_str()) {
                Some(origin) if self.is_our_origin(origin) => {}
                _ => return forbidden("pages of this origin are not let in (front.origins)"),
            }
        }
        Ok(())
    }

    fn is_our_host(&self, authority: &str) -> bool {
        let Some(host) = host_of(authority) else { return false };
        self.hosts.iter().any(|ours| ours.eq_ignore_ascii_case(host)) || (self.is_local && is_loopback(host))
    }

    fn is_our_origin(&self, origin: &str) -> bool {
        if self.origins.iter().any(|ours| ours.eq_ignore_ascii_case(origin)) {
            return true;
        }
        let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        self.is_local && authority.and_then(host_of).is_some_and(is_loopback)
    }
}

/// The host of `host`, `host:port` or `[address]:port`.
fn host_of(authority: &str) -> Option<&str> {
    let (host, rest) = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => match authority.split_once(':') {
            Some((host, _)) => (host, authority.get(host.len()..)?),
            None => (authority, ""),
        },
    };
    let is_port = rest.is_empty()
        || rest.strip_prefix(':').is_some_and(|port| port.bytes().all(|digit| digit.is_ascii_digit()));
    (is_port && !host.is_empty()).then_some(host)
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A header that stands there once, in visible ASCII, spaces and tabs.
pub(super) fn single<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Whether the query has an access token, which has no business there: queries are logged.
pub(super) fn has_token_in_query(uri: &Uri) -> bool {
    let names = |pair: &str| {
        let name = pair.split('=').next().unwrap_or_default();
        name.eq_ignore_ascii_case("access_token") || name.contains('%')
    };
    uri.query().is_some_and(|query| query.split(['&', ';']).any(names))
}

/// Whether the body is said to be JSON.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let essence = single(headers, CONTENT_TYPE.as_str()).and_then(|value| value.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

/// Whether the client takes all of these media types. One that does not say takes anything.
pub(super) fn accepts(headers: &HeaderMap, wanted: &[&str]) -> bool {
    if !headers.contains_key(ACCEPT) {
        return true;
    }
    let ranges = || {
        let lists = headers.get_all(ACCEPT).iter().filter_map(|list| list.to_str().ok());
        lists.flat_map(|list| list.split(',')).filter_map(|range| Some(range.split(';').next()?.trim()))
    };
    wanted.iter().all(|wanted| {
        let family = wanted.split('/').next().unwrap_or_default();
        ranges().any(|range| {
            range == "*/*"
                || range.eq_ignore_ascii_case(wanted)
                || range.strip_suffix("/*").is_some_and(|range| range.eq_ignore_ascii_case(family))
        })
    })
}

fn mismatch(what: &str) -> RpcError {
    RpcError::new(RpcError::HEADER_MISMATCH, what)
}

/// Holds the standard headers of the stateless revision against the body.
///
/// # Errors
/// [`RpcError::HEADER_MISMATCH`] if they differ or are missing.
pub(super) fn check_standard(headers: &HeaderMap, request: &Request) -> Result<(), RpcError> {
    let version = metadata::version(&request.params).and_then(Value::as_str);
    // Without one in the body there is nothing to compare, and the body is refused for that.
    if let Some(version) = version
        && single(headers, "mcp-protocol-version") != Some(version)
    {
        return Err(mismatch("the header MCP-Protocol-Version must say what the request's _meta says"));
    }
    if single(headers, "mcp-method") != Some(request.method.as_str()) {
        return Err(mismatch("the header Mcp-Method must be the request's method"));
    }
    let source = match request.method.as_str() {
        "tools/call" | "prompts/get" => "name",
        "resources/read" => "uri",
        _ => return Ok(()),
    };
    check_one(headers, "mcp-name", request.params.get(source)).then_some(()).ok_or_else(|| {
        mismatch("the header Mcp-Name must be the name of the tool or prompt, or the URI of the resource, in the request")
    })
}

/// Holds the headers that repeat arguments against them.
///
/// # Errors
/// [`RpcError::HEADER_MISMATCH`] if they differ, are missing, or are there without an argument.
pub(super) fn check_mirrored(
    headers: &HeaderMap,
    params: &Map<String, Value>,
    mirrored: &[Mirrored],
) -> Result<(), RpcError> {
    let arguments = params.get("arguments");
    match mirrored.iter().find(|one| !check_one(headers, one.header(), one.value(arguments))) {
        None => Ok(()),
        Some(wrong) => Err(mismatch(&format!(
            "the header {} must repeat the argument as the tool's input schema says; list the tools again",
            wrong.header()
        ))),
    }
}

/// Whether a header says what the body says, or both say nothing.
fn check_one(headers: &HeaderMap, name: &str, value: Option<&Value>) -> bool {
    if !headers.contains_key(name) {
        return value.is_none();
    }
    let (Some(header), Some(value)) = (single(headers, name).and_then(decode), value) else { return false };
    match value {
        Value::String(text) => *text == header,
        Value::Bool(flag) => header == if *flag { "true" } else { "false" },
        // As numbers: 42.0 and 42 are the same.
        Value::Number(number) => match (number.as_i64(), header.parse::<i64>()) {
            (Some(number), Ok(header)) => number == header,
            _ => {
                matches!((number.as_f64(), header.parse::<f64>()), (Some(number), Ok(header)) if number == header && number.fract() == 0.0)
            }
        },
        _ => false,
    }
}

/// The value of a header that may be in the form `=?base64?…?=`.
fn decode(value: &str) -> Option<String> {
    match value.strip_prefix("=?base64?").and_then(|value| value.strip_suffix("?=")) {
        None => Some(value.to_owned()),
        Some(encoded) => String::from_utf8(STANDARD.decode(encoded).ok()?).ok(),
    }
}

#[cfg(test)]
mod unit {
    use http::HeaderValue;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    #[test]
    fn values_are_compared_as_the_specification_says() {
        for (header, value) in [
            ("us-west1", json!("us-west1")),
            ("=?base64?SGVsbG8sIOS4lueVjA==?=", json!("Hello, 世界")),
            ("=?base64?IHBhZGRlZCA=?=", json!(" padded ")),
            ("=?base64?bGluZTEKbGluZTI=?=", json!("line1\nline2")),
            ("=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=", json!("=?base64?literal?=")),
            ("42.0", json!(42)),
            ("42", json!(42.0)),
            ("-7", json!(-7)),
            ("true", json!(true)),
            ("9007199254740993", json!(9_007_199_254_740_993_i64)),
        ] {
            assert!(check_one(&headers(&[("x", header)]), "x", Some(&value)), "{header} {value}");
        }
        for (header, value) in [
            ("US-West1", json!("us-west1")),
            ("=?base64?literal?=", json!("=?base64?literal?=")),
            ("=?BASE64?YQ==?=", json!("a")),
            ("=?base64?YQ?=", json!("a")),
            ("9007199254740992", json!(9_007_199_254_740_993_i64)),
            ("True", json!(true)),
            ("1", json!(true)),
            ("1.5", json!(1.5)),
            ("x", json!(["x"])),
        ] {
            assert!(!check_one(&headers(&[("x", header)]), "x", Some(&value)), "{header} {value}");
        }
        assert!(!check_one(&headers(&[("x", "a")]), "x", None));
        assert!(!check_one(&headers(&[]), "x", Some(&json!("a"))));
        assert!(!check_one(&headers(&[("x", "a"), ("x", "a")]), "x", Some(&json!("a"))));
    }

    #[test]
    fn only_our_own_hosts_and_origins_come_in() {
        let doors = Doors {
            hosts: vec!["guard.example".into()],
            origins: vec!["https://app.example".into()],
            is_local: true,
        };
        let check =
            |pairs: &[(&'static str, &str)]| doors.check(&Uri::from_static("/mcp"), &headers(pairs)).is_ok();
        for host in ["localhost", "localhost:80", "127.0.0.1:1", "[::1]:80", "[::1]", "GUARD.example:443"] {
            assert!(check(&[("host", host)]), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "localhost:80@evil",
            "[::2]",
            "",
            "[::1",
        ] {
            assert!(!check(&[("host", host)]), "{host}");
        }
        assert!(!check(&[]));
        assert!(!check(&[("host", "localhost"), ("host", "localhost")]));
        for origin in ["http://localhost:3000", "https://127.0.0.1", "https://app.example"] {
            assert!(check(&[("host", "localhost"), ("origin", origin)]), "{origin}");
        }
        for origin in [
            "null",
            "http://evil.example",
            "http://localhost.evil.example",
            "file://localhost",
            "https://app.example.evil",
        ] {
            assert!(!check(&[("host", "localhost"), ("origin", origin)]), "{origin}");
        }
        let absolute = Uri::from_static("http://evil.example/mcp");
        assert!(doors.check(&absolute, &headers(&[("host", "localhost")])).is_err());
        let public = Doors { is_local: false, ..doors };
        assert!(public.check(&Uri::from_static("/"), &headers(&[("host", "localhost")])).is_err());
    }

    #[test]
    fn media_types_are_understood() {
        let both = ["application/json", "text/event-stream"];
        let accepts = |value: &str| accepts(&headers(&[("accept", value)]), &both);
        assert!(accepts("application/json, text/event-stream"));
        assert!(accepts("application/*;q=0.5, TEXT/event-stream"));
        assert!(accepts("*/*"));
        assert!(!accepts("application/json"));
        assert!(!accepts("text/html"));
        assert!(is_json(&headers(&[("content-type", "application/json; charset=utf-8")])));
        assert!(!is_json(&headers(&[("content-type", "text/plain")])));
        assert!(!is_json(&headers(&[])));
    }

    #[test]
    fn a_token_in_the_query_is_seen() {
        assert!(has_token_in_query(&Uri::from_static("/mcp?a=b&access_token=x")));
        assert!(has_token_in_query(&Uri::from_static("/mcp?Access_Token=x")));
        assert!(has_token_in_query(&Uri::from_static("/mcp?%61ccess_token=x")));
        assert!(!has_token_in_query(&Uri::from_static("/mcp?a=access_token")));
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(bytes in proptest::collection::vec(32u8..=255, 0..80)) {
            let Ok(value) = HeaderValue::from_bytes(&bytes) else { return Ok(()) };
            let mut headers = HeaderMap::new();
            for name in [HOST, ORIGIN, ACCEPT, CONTENT_TYPE] {
                headers.insert(name, value.clone());
            }
            headers.insert("x", value);
            let doors = Doors { hosts: vec![], origins: vec![], is_local: true };
            let _either = doors.check(&Uri::from_static("/"), &headers);
            let _either = (accepts(&headers, &["a/b"]), is_json(&headers), check_one(&headers, "x", Some(&json!("a"))));
        }
    }
}
