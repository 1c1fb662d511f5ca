//! Cookies.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

use crate::BaseUrl;

/// A cookie of this node, by the name that it has for this base URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cookie {
    /// The session of a person.
    Session,
    /// A visit without a session, which forms are bound to.
    Visit,
    /// Sign-in with a provider under way.
    Provider,
}

impl Cookie {
    /// With TLS, one that no other host and no plain connection can set.
    #[must_use]
    pub const fn name(self, base: &BaseUrl) -> &'static str {
        match (self, base.is_https()) {
            (Self::Session, true) => "__Host-ostrom",
            (Self::Session, false) => "ostrom",
            (Self::Visit, true) => "__Host-ostrom-visit",
            (Self::Visit, false) => "ostrom-visit",
            (Self::Provider, true) => "__Host-ostrom-provider",
            (Self::Provider, false) => "ostrom-provider",
        }
    }

    /// The header that sets it; without `seconds`, for as long as the browser runs.
    #[must_use]
    pub fn set(self, base: &BaseUrl, value: &str, seconds: Option<u64>) -> Option<HeaderValue> {
        let secure = if base.is_https() { "; Secure" } else { "" };
        let age = seconds.map_or_else(String::new, |seconds| format!("; Max-Age={seconds}"));
        let name = self.name(base);
        HeaderValue::from_str(&format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{age}")).ok()
    }

    /// The header that takes it away.
    #[must_use]
    pub fn clear(self, base: &BaseUrl) -> Option<HeaderValue> {
        self.set(base, "", Some(0))
    }
}

/// The cookie's value, if it was sent once.
#[must_use]
pub fn cookie<'a>(headers: &'a HeaderMap, base: &BaseUrl, which: Cookie) -> Option<&'a str> {
    let name = which.name(base);
    let pairs = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut found = pairs
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| value);
    let value = found.next()?;
    // Two of one name: somebody has planted one.
    found.next().is_none().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_tls_no_other_host_can_set_it() {
        let base: BaseUrl = "https://node.example".parse().unwrap();
        let set = Cookie::Session.set(&base, "x", None).unwrap();
        assert_eq!(set.to_str().unwrap(), "__Host-ostrom=x; Path=/; HttpOnly; SameSite=Lax; Secure");
    }

    #[test]
    fn a_planted_second_cookie_counts_as_none() {
        let base = BaseUrl::local(7400);
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, "a=b; ostrom=one".parse().unwrap());
        assert_eq!(cookie(&headers, &base, Cookie::Session), Some("one"));
        headers.append(COOKIE, "ostrom=two".parse().unwrap());
        assert_eq!(cookie(&headers, &base, Cookie::Session), None);
    }
}
