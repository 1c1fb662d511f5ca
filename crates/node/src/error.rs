//! What goes wrong, neutral to how it is told; it becomes a status and a body only here.

use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use ostrom_exchange::service::FULL;
use serde::Serialize;

/// Why a request is not answered with what it asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It does not exist, or the actor may not know that it does.
    #[error("there is nothing here")]
    NotFound,
    /// The request does not make sense; the text says what to change.
    #[error("{0}")]
    BadRequest(String),
    /// The request makes sense, but its content cannot be taken.
    #[error("{0}")]
    Unprocessable(String),
    /// Nobody has signed in, or with something that does not hold.
    #[error("sign in first, or send a token")]
    Unauthenticated,
    /// The actor's role or token does not allow this at all, whatever it is done to.
    #[error("{0}")]
    Forbidden(&'static str),
    /// It has changed in the meantime, or is there already.
    #[error("{0}")]
    Conflict(String),
    /// The page's form was too old, or came from somewhere else.
    #[error("the form has expired: go back, load the page again and send it once more")]
    Csrf,
    /// Too many requests.
    #[error("too many requests: try again in {} s", .0.as_secs().saturating_add(1))]
    TooMany(Duration),
    /// The body is larger than what is taken.
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    /// The body has another media type.
    #[error("the body must be {0}")]
    MediaType(&'static str),
    /// The answer would have another media type than those that the client takes.
    #[error("the answer is {0}, which the request does not accept")]
    NotAcceptable(&'static str),
    /// Another method.
    #[error("this method is not for this address")]
    Method(&'static str),
    /// It took too long.
    #[error("this took too long: ask for less, or try again")]
    Timeout,
    /// Busy, or a part that is needed cannot be reached.
    #[error("the node cannot do this at the moment: try again")]
    Unavailable,
    /// A disk is full.
    #[error("{}", FULL)]
    Full,
    /// A fault of the node. The text is for its log alone.
    #[error("the node failed; its log says more")]
    Internal(String),
}

/// The body of a failure (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// What kind of problem: always `about:blank`, the status says it.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The status's name.
    pub title: &'static str,
    /// The status.
    pub status: u16,
    /// What to do about it.
    pub detail: String,
}

impl Failure {
    /// A fault of the node.
    pub fn internal(error: impl std::fmt::Display) -> Self {
        Self::Internal(error.to_string())
    }

    /// The status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Unprocessable(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) | Self::Csrf => StatusCode::FORBIDDEN,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::MediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::NotAcceptable(_) => StatusCode::NOT_ACCEPTABLE,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Full => StatusCode::INSUFFICIENT_STORAGE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The body for machines.
    #[must_use]
    pub fn problem(&self) -> Problem {
        let status = self.status();
        Problem {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: self.to_string(),
        }
    }

    /// The headers that go with the status, whatever the body is.
    #[must_use]
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match self {
            Self::TooMany(wait) => {
                headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs().saturating_add(1)));
            }
            Self::Unavailable => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            Self::Unauthenticated => {
                headers.append(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"ostrom\""));
            }
            Self::Method(allowed) => {
                headers.insert(ALLOW, HeaderValue::from_static(allowed));
            }
            _ => {}
        }
        headers
    }

    /// Writes a fault of the node to standard error, which is its log.
    pub fn log(&self) {
        if let Self::Internal(why) = self {
            let why: String = why.chars().filter(|c| !c.is_control()).take(2000).collect();
            eprintln!("ostrom node: {why}");
        }
    }
}

impl From<ostrom_store::Error> for Failure {
    fn from(error: ostrom_store::Error) -> Self {
        use ostrom_store::Error;
        match error {
            Error::Busy => Self::Unavailable,
            Error::Taken { .. } => Self::Conflict(error.to_string()),
            Error::Missing { .. } | Error::Refused(_) => Self::Unprocessable(error.to_string()),
            Error::DiskFull => {
                Self::Internal(error.to_string()).log();
                Self::Full
            }
            Error::Unreachable { .. } => {
                Self::Internal(error.to_string()).log();
                Self::Unavailable
            }
            error => Self::Internal(error.to_string()),
        }
    }
}

impl From<ostrom_exchange::service::ServiceError> for Failure {
    fn from(error: ostrom_exchange::service::ServiceError) -> Self {
        use ostrom_exchange::service::ServiceError;
        match error {
            ServiceError::NotFound(_) => Self::NotFound,
            ServiceError::Forbidden(why) => Self::Forbidden(why),
            ServiceError::Read(_) | ServiceError::Type(_) | ServiceError::Marks(_) => {
                Self::Unprocessable(error.to_string())
            }
            ServiceError::Store(error) => error.into(),
            full if full.is_full() => {
                Self::Internal(full.to_string()).log();
                Self::Full
            }
            error => Self::Internal(error.to_string()),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        self.log();
        let body = serde_json::to_vec(&self.problem()).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status();
        response.headers_mut().extend(self.headers());
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        response
    }
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Others could reach it, and nobody chose how.
    #[error(
        "{0} can be reached by others: give --tls-cert and --tls-key, or --behind-proxy if a proxy speaks TLS, or --insecure to go without"
    )]
    Open(std::net::SocketAddr),
    /// Others can reach it, but under which name?
    #[error("say under which URL others reach this node (--base-url https://node.example)")]
    NoBase,
    /// The base URL's scheme does not fit.
    #[error("the base URL must be https where TLS is spoken or a proxy speaks it (--base-url)")]
    Scheme,
    /// The address cannot be had.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The data folder, or a file in it.
    #[error("{path}: {source}")]
    Folder {
        /// Where.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The certificate or its key.
    #[error("TLS: {0}")]
    Tls(String),
    /// The database, the logs or the keys.
    #[error("{0}")]
    State(String),
    /// OpenID Connect.
    #[error("OpenID Connect: {0}")]
    Oidc(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_of_the_node_is_not_told_to_clients() {
        let problem = Failure::internal("the disk at /secret/place is full").problem();
        assert_eq!(problem.status, 500);
        assert!(!problem.detail.contains("secret"));
    }

    #[test]
    fn whoever_must_wait_is_told_how_long() {
        let headers = Failure::TooMany(Duration::from_millis(1500)).headers();
        assert_eq!(headers.get(RETRY_AFTER).unwrap(), "2");
    }
}
