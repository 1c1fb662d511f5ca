//! The address of an endpoint.

use std::fmt;
use std::str::FromStr;

use reqwest::Url;
use serde::Deserialize;

/// A base URL such as `https://api.example/v1`: the part before `/chat/completions` or `/messages`.
///
/// It has no user information, query or fragment, and no slash at its end.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct BaseUrl {
    text: String,
    https: bool,
    loopback: bool,
}

/// Why a text is not a base URL. Never quotes the text, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BaseUrlError {
    /// It does not parse.
    #[error("not a URL ({0}): give one like https://host/v1")]
    Malformed(String),
    /// Neither `http` nor `https`.
    #[error("the URL starts with {scheme}:, not https: or http:")]
    Scheme {
        /// What it starts with.
        scheme: String,
    },
    /// A user name or password before the host.
    #[error(
        "the URL holds a user name or a password: leave them out; the key comes from an environment variable"
    )]
    UserInfo,
    /// Something after `?` or `#`.
    #[error("the URL holds a query or a fragment: leave out everything from ? or # on")]
    Query,
}

impl BaseUrl {
    /// The cleaned URL.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the connection is encrypted.
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// Whether the host is this machine: `localhost`, 127.0.0.0/8 or ::1.
    pub fn is_loopback(&self) -> bool {
        self.loopback
    }

    /// The URL of a resource under this base; `path` has no slash in front.
    pub(super) fn join(&self, path: &str) -> Result<Url, BaseUrlError> {
        Url::parse(&format!("{}/{path}", self.text))
            .map_err(|error| BaseUrlError::Malformed(error.to_string()))
    }
}

impl FromStr for BaseUrl {
    type Err = BaseUrlError;

    fn from_str(text: &str) -> Result<Self, BaseUrlError> {
        let url = Url::parse(text).map_err(|error| BaseUrlError::Malformed(error.to_string()))?;
        let https = match url.scheme() {
            "https" => true,
            "http" => false,
            scheme => return Err(BaseUrlError::Scheme { scheme: scheme.to_owned() }),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BaseUrlError::UserInfo);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(BaseUrlError::Query);
        }
        let loopback = url.host_str().is_some_and(is_loopback);
        Ok(Self { text: url.as_str().trim_end_matches('/').to_owned(), https, loopback })
    }
}

/// `host` as the URL parser writes it: lower case, numbers normalised, IPv6 in brackets.
pub(super) fn is_loopback(host: &str) -> bool {
    if host == "localhost" {
        return true;
    }
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl TryFrom<String> for BaseUrl {
    type Error = BaseUrlError;

    fn try_from(text: String) -> Result<Self, BaseUrlError> {
        text.parse()
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Result<&str, BaseUrlError>) {
        assert_eq!(text.parse::<BaseUrl>().map(|url| url.to_string()), expect.map(str::to_owned), "{text}");
    }

    #[test]
    fn a_slash_at_the_end_makes_no_difference() {
        check("http://localhost:8080/v1", Ok("http://localhost:8080/v1"));
        check("http://localhost:8080/v1/", Ok("http://localhost:8080/v1"));
        check("HTTPS://API.Example:443", Ok("https://api.example"));
        let url: BaseUrl = "http://localhost:8080/v1/".parse().unwrap();
        assert_eq!(
            url.join("chat/completions").unwrap().as_str(),
            "http://localhost:8080/v1/chat/completions"
        );
    }

    #[test]
    fn what_may_hold_a_secret_is_refused_and_not_quoted() {
        check("https://user:hunter2@api.example/v1", Err(BaseUrlError::UserInfo));
        check("https://hunter2@api.example/v1", Err(BaseUrlError::UserInfo));
        check("https://api.example/v1?key=hunter2", Err(BaseUrlError::Query));
        check("https://api.example/v1?", Err(BaseUrlError::Query));
        check("https://api.example/v1#hunter2", Err(BaseUrlError::Query));
        check("ftp://api.example", Err(BaseUrlError::Scheme { scheme: "ftp".to_owned() }));
        for text in ["https://user:hunter2@api.example", "hunter2", "https://hunter2:x@:99999999"] {
            let error = text.parse::<BaseUrl>().unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn loopback_is_told_from_names_that_look_like_it() {
        for text in ["http://localhost/v1", "http://127.0.0.9:1", "http://[::1]:8080/v1", "http://2130706433"]
        {
            assert!(text.parse::<BaseUrl>().unwrap().is_loopback(), "{text}");
        }
        for text in ["http://localhost.evil.example", "http://127.0.0.1.evil.example", "http://10.0.0.1"] {
            assert!(!text.parse::<BaseUrl>().unwrap().is_loopback(), "{text}");
        }
    }
}
