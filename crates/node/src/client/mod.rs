//! Talks to a node: what `ostrom report`, `incident`, `publish` and `sync` are made of.
//!
//! ```no_run
//! # async fn example() -> Result<(), ostrom_node::client::ClientError> {
//! use ostrom_node::client::{Client, NewObject};
//!
//! let client = Client::new("https://node.example", "ost_…")?;
//! let flaw = serde_json::json!({"name": "Repeats its system prompt", "description": "When asked twice."});
//! let written = client.report(&NewObject::new("flaws", "amber", flaw)).await?;
//! println!("{}", written.link);
//! # Ok(())
//! # }
//! ```

mod sealed;
mod sync;

use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use ostrom_core::{ObjectId, Timestamp};
use reqwest::Method;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::Zeroizing;

pub use sealed::{PublicSealingKey, SealedDraft, SealedTo};
pub use sync::Place;

use crate::BaseUrl;
use crate::net::{Fetch, FetchError, Reach, Reply};

/// The largest answer that is read.
const LARGEST: usize = 64 << 20;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The URL is not a node's.
    #[error("{0}")]
    Url(String),
    /// The token cannot be one.
    #[error(
        "the token is not one: it is ost_ and 43 characters, and a person makes it in the node's account page"
    )]
    Token,
    /// The node does not answer.
    #[error("{url}: {source}")]
    Reach {
        /// The node.
        url: String,
        /// Why.
        source: FetchError,
    },
    /// The node refuses.
    #[error("the node refuses ({status}): {detail}{}", .retry_after.map_or_else(String::new, |s| format!(" (in {s} s)")))]
    Refused {
        /// The status.
        status: u16,
        /// What it says.
        detail: String,
        /// After how many seconds to try again.
        retry_after: Option<u64>,
    },
    /// It was not sealed.
    #[error("nothing was shared: {0}")]
    Seal(String),
    /// The answer is not what a node answers.
    #[error("the answer is not one of a node: {0}")]
    Answer(String),
}

/// A node, as somebody with a token.
#[derive(Debug, Clone)]
pub struct Client {
    fetch: Fetch,
    base: BaseUrl,
    headers: HeaderMap,
}

/// Something to share.
#[derive(Debug, Clone, Serialize)]
pub struct NewObject {
    /// The collection, by its id or alias.
    pub collection: String,
    /// Who may read it: `{"tlp": "amber", "audience": […], "embargo": {…}}`.
    pub handling: Value,
    /// Its STIX properties, without those that the node gives.
    pub object: Value,
    /// STIX objects that must come with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub along: Vec<Value>,
}

impl NewObject {
    /// With a mark of the Traffic Light Protocol and nothing else.
    #[must_use]
    pub fn new(collection: &str, tlp: &str, object: Value) -> Self {
        Self { collection: collection.to_owned(), handling: json!({"tlp": tlp}), object, along: Vec::new() }
    }
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Written {
    /// Its id.
    pub id: ObjectId,
    /// Its version.
    pub version: Timestamp,
    /// Its permanent link.
    pub link: String,
    /// Where the commitment to it lies in the transparency log.
    pub leaf: Option<u64>,
}

/// An object in a list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Summary {
    /// Its id.
    pub id: ObjectId,
    /// Its version.
    pub version: Timestamp,
    /// When the node took it.
    pub added: Timestamp,
    /// Its title.
    pub title: String,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Summaries {
    /// The objects, newest first.
    pub items: Vec<Summary>,
    /// What to ask for the next page with.
    pub next: Option<String>,
}

/// A page of objects by TAXII.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
pub struct Envelope {
    /// The objects.
    #[serde(default)]
    pub objects: Vec<Value>,
    /// Whether there are more.
    #[serde(default)]
    pub more: bool,
    /// What to ask for the next page with.
    pub next: Option<String>,
    /// When the node took the last of these objects: after the last page, what to go on after.
    #[serde(skip)]
    pub added_last: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Refusal {
    detail: Option<String>,
    title: Option<String>,
}

impl Client {
    /// The node at `url`. Without TLS only on this machine.
    ///
    /// # Errors
    /// If it is not a node's URL, or the token cannot be one.
    pub fn new(url: &str, token: &str) -> Result<Self, ClientError> {
        let base: BaseUrl =
            url.parse().map_err(|error: crate::base::BaseUrlError| ClientError::Url(error.to_string()))?;
        let here = ["localhost", "127.0.0.1", "[::1]"].contains(&base.host());
        if !base.is_https() && !here {
            return Err(ClientError::Url(format!("{base} is not https: the token would be read on the way")));
        }
        let fetch = Fetch::new(Reach::All, here, PATIENCE);
        let fetch = fetch.map_err(|source| ClientError::Reach { url: base.to_string(), source })?;
        let bearer = Zeroizing::new(format!("Bearer {token}"));
        let mut bearer = HeaderValue::from_str(&bearer).map_err(|_| ClientError::Token)?;
        bearer.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, bearer);
        Ok(Self { fetch, base, headers })
    }

    /// The node's URL.
    #[must_use]
    pub const fn base(&self) -> &BaseUrl {
        &self.base
    }

    /// Reports a flaw.
    ///
    /// # Errors
    /// If the node does not take it.
    pub async fn report(&self, flaw: &NewObject) -> Result<Written, ClientError> {
        self.post("/api/v1/flaws", flaw).await
    }

    /// Reports an incident.
    ///
    /// # Errors
    /// If the node does not take it.
    pub async fn incident(&self, incident: &NewObject) -> Result<Written, ClientError> {
        self.post("/api/v1/incidents", incident).await
    }

    /// Publishes an evaluation, with the software that it is about in `along`.
    ///
    /// # Errors
    /// If the node does not take it.
    pub async fn publish(&self, evaluation: &NewObject) -> Result<Written, ClientError> {
        self.post("/api/v1/evaluations", evaluation).await
    }

    /// Brings in what others have published: `source` is `stix`, `genai-incidents` or `avid`, `tlp` how public it is. Gives the node's report.
    ///
    /// # Errors
    /// If the node does not take it.
    pub async fn import(
        &self,
        source: &str,
        collection: &str,
        tlp: &str,
        file: Vec<u8>,
    ) -> Result<Value, ClientError> {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("source", source).append_pair("collection", collection).append_pair("tlp", tlp);
        let path = format!("/api/v1/imports?{}", query.finish());
        read(&self.send(Method::POST, &path, Some(file), None).await?)
    }

    /// Opens a case of coordinated disclosure: its title and the report. Gives the case as the node shows it.
    ///
    /// # Errors
    /// If the node does not take it.
    pub async fn open_case(&self, title: &str, report: &str, anonymous: bool) -> Result<Value, ClientError> {
        self.post("/api/v1/cases", &json!({"title": title, "report": report, "anonymous": anonymous})).await
    }

    /// A page of a list: `flaws`, `incidents`, `techniques`, `mitigations`, `advisories`, `evaluations` or `objects`.
    ///
    /// # Errors
    /// If the node does not answer it.
    pub async fn list(
        &self,
        list: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Summaries, ClientError> {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("limit", &limit.to_string());
        if let Some(after) = after {
            query.append_pair("after", after);
        }
        self.get(&format!("/api/v1/{list}?{}", query.finish())).await
    }

    /// The last version of an object, byte for byte; `None` if there is none for us.
    ///
    /// # Errors
    /// If the node does not answer.
    pub async fn object(&self, id: &ObjectId) -> Result<Option<Vec<u8>>, ClientError> {
        match self.send(Method::GET, &format!("/api/v1/objects/{id}"), None, None).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(ClientError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A page of a collection's objects that were added after `added`, oldest first: what `ostrom sync` fetches.
    ///
    /// # Errors
    /// If the node does not answer it.
    pub async fn sync(
        &self,
        collection: &str,
        added: Option<Timestamp>,
        next: Option<&str>,
        limit: usize,
    ) -> Result<Envelope, ClientError> {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("limit", &limit.to_string());
        if let Some(added) = added {
            query.append_pair("added_after", &added.to_string());
        }
        if let Some(next) = next {
            query.append_pair("next", next);
        }
        let path = format!("/taxii2/api/collections/{collection}/objects/?{}", query.finish());
        let taxii = Some(ostrom_exchange::taxii::MEDIA_TYPE);
        let reply = self.ask(Method::GET, &path, None, taxii).await?;
        let last = reply.headers.get(ostrom_exchange::taxii::DATE_LAST);
        let added_last = last.and_then(|time| time.to_str().ok()?.parse().ok());
        Ok(Envelope { added_last, ..read(&reply.body)? })
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        read(&self.send(Method::GET, path, None, None).await?)
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(|error| ClientError::Answer(error.to_string()))?;
        read(&self.send(Method::POST, path, Some(body), None).await?)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
        accept: Option<&'static str>,
    ) -> Result<Vec<u8>, ClientError> {
        Ok(self.ask(method, path, body, accept).await?.body)
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
        accept: Option<&'static str>,
    ) -> Result<Reply, ClientError> {
        self.ask_as(method, path, body, accept, "application/json").await
    }

    async fn ask_as(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
        accept: Option<&'static str>,
        content: &'static str,
    ) -> Result<Reply, ClientError> {
        let mut headers = self.headers.clone();
        if body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content));
        }
        if let Some(accept) = accept {
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
        }
        let url = self.base.url(path);
        let asked = self.fetch.send(method, &url, headers, body, LARGEST);
        let reply =
            asked.await.map_err(|source| ClientError::Reach { url: self.base.to_string(), source })?;
        if (200..300).contains(&reply.status) {
            return Ok(reply);
        }
        let said: Option<Refusal> = serde_json::from_slice(&reply.body).ok();
        let detail = said.and_then(|said| said.detail.or(said.title));
        let detail = detail.unwrap_or_else(|| "it does not say why".to_owned()).chars().take(500).collect();
        let retry_after =
            reply.headers.get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        Err(ClientError::Refused { status: reply.status, detail, retry_after })
    }
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ClientError> {
    serde_json::from_slice(bytes).map_err(|error| ClientError::Answer(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_not_sent_in_the_clear_to_others_nor_printed() {
        assert!(matches!(Client::new("http://node.example", "ost_x"), Err(ClientError::Url(_))));
        assert!(matches!(Client::new("node.example", "ost_x"), Err(ClientError::Url(_))));
        assert!(matches!(Client::new("https://node.example", "ost_\n"), Err(ClientError::Token)));
        let client = Client::new("http://localhost:7400", "ost_secret").unwrap();
        assert!(!format!("{client:?}").contains("secret"));
    }
}
