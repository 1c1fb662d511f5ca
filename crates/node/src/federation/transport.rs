//! Carries requests to a peer over HTTP.

use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderMap, HeaderValue};
use ostrom_exchange::federation::{MAX_PAGE, Request, Transport, TransportError};
use reqwest::Method;
use zeroize::Zeroizing;

use crate::net::Fetch;

/// The way to one peer.
#[derive(Clone)]
pub struct HttpTransport {
    fetch: Fetch,
    url: String,
    token: Zeroizing<String>,
}

impl std::fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpTransport").field("url", &self.url).finish_non_exhaustive()
    }
}

impl HttpTransport {
    /// To the node at `url`, with the token that it gave us.
    #[must_use]
    pub fn new(fetch: Fetch, url: String, token: Zeroizing<String>) -> Self {
        Self { fetch, url, token }
    }

    fn address(&self, request: &Request) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("from", &request.from);
        if let Some(after) = &request.after {
            query.append_pair("after", after);
        }
        query.append_pair("known", &request.known.to_string()).append_pair("nonce", &request.nonce);
        format!("{}/federation/v1/changes?{}", self.url, query.finish())
    }
}

impl Transport for HttpTransport {
    async fn fetch(&self, request: &Request) -> Result<Vec<u8>, TransportError> {
        let wrong = |why: &dyn std::fmt::Display| TransportError(why.to_string());
        let mut headers = HeaderMap::new();
        let bearer = Zeroizing::new(format!("Bearer {}", &*self.token));
        let mut bearer = HeaderValue::from_str(&bearer).map_err(|_| wrong(&"the token cannot be sent"))?;
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let address = self.address(request);
        let asked = self.fetch.send(Method::GET, &address, headers, None, MAX_PAGE);
        let reply = asked.await.map_err(|error| wrong(&error))?;
        match reply.status {
            200 => Ok(reply.body),
            401 => Err(wrong(&"it does not know our token: ask for another")),
            403 => Err(wrong(&"our token there is not for federation: ask for another")),
            409 => Err(wrong(&"its log has fewer entries than we saw: ask whoever runs it")),
            429 | 503 => Err(wrong(&"it is busy")),
            status => Err(wrong(&format!("it answered {status}"))),
        }
    }
}
