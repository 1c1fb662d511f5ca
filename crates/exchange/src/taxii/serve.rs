//! From requests to answers.

use ostrom_core::{Digest, ObjectId, Timestamp, Uuid};
use ostrom_store::{Collection, Key, Page, Posting, Reading, Versions};
use serde_json::{Value, json};

use super::answer::{self, Answer, Media};
use super::cursor::CursorKey;
use super::query::Query;
use super::{MEDIA_TYPE, status};
use crate::service::{Actor, Deed, Exchange, ServiceError, Strictness};

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reading.
    Get,
    /// Adding objects.
    Post,
    /// Removing an object.
    Delete,
}

/// A request, as HTTP brought it.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// What is done.
    pub method: Method,
    /// With what, from the host on: `/taxii2/`.
    pub path: &'a str,
    /// What stands behind the question mark.
    pub query: &'a str,
    /// The header `Accept`.
    pub accept: Option<&'a str>,
    /// The header `Content-Type`.
    pub content_type: Option<&'a str>,
    /// The body.
    pub body: &'a [u8],
}

impl<'a> Request<'a> {
    /// Reads a resource.
    pub const fn get(path: &'a str, query: &'a str) -> Self {
        Self { method: Method::Get, path, query, accept: None, content_type: None, body: &[] }
    }
}

/// How a server presents itself.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its title.
    pub title: String,
    /// What it is for.
    pub description: String,
    /// Whom to ask.
    pub contact: Option<String>,
    /// Scheme and host, `https://node.example`, for the links in the discovery resource.
    pub base: String,
    /// The path of discovery, `/taxii2/`.
    pub discovery: String,
    /// The path of the one API root, `/api/`.
    pub root: String,
    /// Objects of a page if nobody says how many.
    pub usual_limit: usize,
    /// Objects of a page at most.
    pub most: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            title: "Ostrom".to_owned(),
            description: String::new(),
            contact: None,
            base: String::new(),
            discovery: "/taxii2/".to_owned(),
            root: "/taxii2/api/".to_owned(),
            usual_limit: 100,
            most: 1000,
        }
    }
}

/// A TAXII server over an exchange.
#[derive(Debug, Clone)]
pub struct Taxii {
    exchange: Exchange,
    settings: Settings,
    cursors: CursorKey,
}

/// What a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resource<'a> {
    Discovery,
    Root,
    Collections,
    Collection(&'a str),
    Manifest(&'a str),
    Objects(&'a str),
    Object(&'a str, &'a str),
    Versions(&'a str, &'a str),
    Status(&'a str),
}

/// A page, as its endpoint asks for it.
struct Asked {
    query: Query,
    after: Option<Key>,
    limit: usize,
}

impl Taxii {
    /// A server.
    pub const fn new(exchange: Exchange, settings: Settings, cursors: CursorKey) -> Self {
        Self { exchange, settings, cursors }
    }

    /// The exchange.
    pub const fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    /// Answers a request. `id` is a random UUID (version 4), which a status gets.
    pub async fn answer(&self, actor: &Actor, request: &Request<'_>, now: Timestamp, id: Uuid) -> Answer {
        let Some(resource) = self.route(request.path) else { return Answer::not_found() };
        if !Media::is_accepted(request.accept) {
            return Answer::error(406, &format!("this server answers with {MEDIA_TYPE}"));
        }
        let done = match (request.method, resource) {
            (Method::Get, resource) => self.get(actor, resource, request.query, now).await,
            (Method::Post, Resource::Objects(collection)) => {
                if !Media::is_ours(request.content_type) {
                    return Answer::error(415, &format!("send {MEDIA_TYPE}"));
                }
                self.add(actor, collection, request.body, now, id).await
            }
            (Method::Delete, Resource::Object(collection, object)) => {
                self.delete(actor, collection, object, request.query, now).await
            }
            _ => {
                let mut answer = Answer::error(405, "this cannot be done with this resource");
                answer.headers.push(("allow", "GET".to_owned()));
                return answer;
            }
        };
        done.unwrap_or_else(|error| Answer::from(&error))
    }

    fn route<'a>(&self, path: &'a str) -> Option<Resource<'a>> {
        let is = |wanted: &str| path.trim_end_matches('/') == wanted.trim_end_matches('/');
        if is(&self.settings.discovery) {
            return Some(Resource::Discovery);
        }
        if is(&self.settings.root) {
            return Some(Resource::Root);
        }
        let rest = path.strip_prefix(&*self.settings.root)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let parts: Vec<&str> = rest.split('/').collect();
        match *parts.as_slice() {
            ["collections"] => Some(Resource::Collections),
            ["collections", id] => Some(Resource::Collection(id)),
            ["collections", id, "manifest"] => Some(Resource::Manifest(id)),
            ["collections", id, "objects"] => Some(Resource::Objects(id)),
            ["collections", id, "objects", object] => Some(Resource::Object(id, object)),
            ["collections", id, "objects", object, "versions"] => Some(Resource::Versions(id, object)),
            ["status", id] => Some(Resource::Status(id)),
            _ => None,
        }
    }

    async fn get(
        &self,
        actor: &Actor,
        resource: Resource<'_>,
        query: &str,
        now: Timestamp,
    ) -> Result<Answer, ServiceError> {
        match resource {
            Resource::Discovery => return Ok(self.discovery()),
            Resource::Root => return Ok(self.root()),
            Resource::Status(id) => return self.status(actor, id).await,
            _ => {}
        }
        // Collections are told to whoever may know of them, even by a token that may not read from them.
        let reading = self.exchange.store().reading(&actor.reader, now).await?;
        match resource {
            Resource::Collections => {
                let mut all = reading.collections().await?;
                all.retain(|collection| actor.is_for(collection.id));
                let all: Vec<Value> =
                    all.iter().map(|collection| described(actor, collection, now)).collect();
                let body = if all.is_empty() { json!({}) } else { json!({ "collections": all }) };
                Ok(Answer::json(200, &body))
            }
            Resource::Collection(name) => {
                let collection = known(&reading, actor, name).await?;
                Ok(Answer::json(200, &described(actor, &collection, now)))
            }
            Resource::Manifest(name)
            | Resource::Objects(name)
            | Resource::Object(name, _)
            | Resource::Versions(name, _) => {
                let collection = known(&reading, actor, name).await?;
                // Refuses tokens that are not for reading.
                self.exchange.reading(actor, now).await?;
                let asked = match self.asked(actor, &collection, query) {
                    Ok(asked) => asked,
                    Err(why) => return Ok(Answer::error(400, &why)),
                };
                let answer = self.page(actor, &reading, &collection, resource, &asked).await?;
                self.note(actor, resource, query, &answer, now).await?;
                Ok(answer.0)
            }
            Resource::Discovery | Resource::Root | Resource::Status(_) => Ok(Answer::not_found()),
        }
    }

    /// What a page is asked for.
    fn asked(&self, actor: &Actor, collection: &Collection, query: &str) -> Result<Asked, String> {
        let query = Query::parse(query).map_err(|error| error.to_string())?;
        let after = match &query.next {
            None => None,
            Some(next) => {
                let key = self.cursors.open(next, collection.id, &actor.who.to_string());
                Some(key.ok_or(
                    "the parameter next: this server did not make it for you; begin again without it",
                )?)
            }
        };
        let limit = query.limit.unwrap_or(self.settings.usual_limit).min(self.settings.most).max(1);
        Ok(Asked { query, after, limit })
    }

    async fn page(
        &self,
        actor: &Actor,
        reading: &Reading,
        collection: &Collection,
        resource: Resource<'_>,
        asked: &Asked,
    ) -> Result<(Answer, Shown), ServiceError> {
        let Asked { query, after, limit } = asked;
        let (after, mut filter) = (after.as_ref(), query.filter.clone());
        let next = |key: Option<&Key>| key.map(|key| self.cursors.seal(key, &actor.who.to_string()));
        match resource {
            Resource::Manifest(_) => {
                let page = reading.manifest(collection.id, &filter, after, *limit).await?;
                let shown = Shown::of(&page, |row| &row.key);
                Ok((answer::manifest(&page.rows, next(page.next.as_ref()).as_deref()), shown))
            }
            Resource::Versions(_, object) => {
                let Ok(id) = object.parse::<ObjectId>() else {
                    return Ok((Answer::not_found(), Shown::default()));
                };
                let page = reading.versions(collection.id, &id, &filter, after, *limit).await?;
                if page.rows.is_empty() && !self.is_there(reading, collection, &id).await? {
                    return Ok((Answer::not_found(), Shown::default()));
                }
                let shown = Shown::of(&page, |row| &row.key);
                Ok((answer::versions(&page.rows, next(page.next.as_ref()).as_deref()), shown))
            }
            Resource::Object(_, object) => {
                let Ok(id) = object.parse::<ObjectId>() else {
                    return Ok((Answer::not_found(), Shown::default()));
                };
                filter.ids = vec![id.clone()];
                filter.kinds = Vec::new();
                let page = reading.page(collection.id, &filter, after, *limit).await?;
                if page.rows.is_empty() && !self.is_there(reading, collection, &id).await? {
                    return Ok((Answer::not_found(), Shown::default()));
                }
                let shown = Shown::of(&page, |row| &row.key);
                Ok((answer::envelope(&page.rows, next(page.next.as_ref()).as_deref()), shown))
            }
            _ => {
                let page = reading.page(collection.id, &filter, after, *limit).await?;
                let shown = Shown::of(&page, |row| &row.key);
                Ok((answer::envelope(&page.rows, next(page.next.as_ref()).as_deref()), shown))
            }
        }
    }

    /// Whether the reader sees any version of an object in a collection.
    async fn is_there(
        &self,
        reading: &Reading,
        collection: &Collection,
        id: &ObjectId,
    ) -> Result<bool, ServiceError> {
        let filter = ostrom_store::Filter { versions: Versions::ALL, ..ostrom_store::Filter::default() };
        Ok(!reading.versions(collection.id, id, &filter, None, 1).await?.rows.is_empty())
    }

    async fn note(
        &self,
        actor: &Actor,
        resource: Resource<'_>,
        query: &str,
        (answer, shown): &(Answer, Shown),
        now: Timestamp,
    ) -> Result<(), ServiceError> {
        if self.exchange.audit().is_none() {
            return Ok(());
        }
        let mut deed = Deed::new(actor, "page", format!("{resource:?}?{query}"), now);
        deed.count = shown.count;
        deed.first.clone_from(&shown.first);
        deed.last.clone_from(&shown.last);
        deed.sha256 = Some(Digest::of(&answer.body));
        self.exchange.note(deed).await
    }

    fn discovery(&self) -> Answer {
        let Settings { title, description, contact, base, root, .. } = &self.settings;
        let root = format!("{base}{root}");
        let mut value = json!({ "title": title, "default": root, "api_roots": [root] });
        if let Value::Object(map) = &mut value {
            for (name, text) in [("description", Some(description)), ("contact", contact.as_ref())] {
                if let Some(text) = text.filter(|text| !text.is_empty()) {
                    map.insert(name.to_owned(), Value::String(text.clone()));
                }
            }
        }
        Answer::json(200, &value)
    }

    fn root(&self) -> Answer {
        let Settings { title, description, .. } = &self.settings;
        let length = self.exchange.limits().envelope;
        let mut value = json!({ "title": title, "versions": [MEDIA_TYPE], "max_content_length": length });
        if let (Value::Object(map), false) = (&mut value, description.is_empty()) {
            map.insert("description".to_owned(), Value::String(description.clone()));
        }
        Answer::json(200, &value)
    }

    async fn status(&self, actor: &Actor, id: &str) -> Result<Answer, ServiceError> {
        let Ok(id) = Uuid::try_parse(id) else { return Ok(Answer::not_found()) };
        let found = self.exchange.store().posting(id, &actor.who.to_string()).await?;
        Ok(match found {
            Some(posting) => {
                Answer { status: 200, headers: Vec::new(), body: posting.body.into_bytes(), cause: None }
            }
            None => Answer::not_found(),
        })
    }

    async fn add(
        &self,
        actor: &Actor,
        name: &str,
        body: &[u8],
        now: Timestamp,
        id: Uuid,
    ) -> Result<Answer, ServiceError> {
        let reading = self.exchange.store().reading(&actor.reader, now).await?;
        let collection = known(&reading, actor, name).await?;
        drop(reading);
        let outcomes = self.exchange.take_bytes(actor, &collection, body, Strictness::Strict, now).await?;
        let status = status::resource(id, &outcomes, now);
        let owner = actor.who.to_string();
        let posting = Posting { id, owner, requested: now, body: status.to_string() };
        let mut writing = self.exchange.store().writing(now).await?;
        writing.put_posting(&posting).await?;
        writing.commit().await?;
        Ok(Answer { status: 202, headers: Vec::new(), body: posting.body.into_bytes(), cause: None })
    }

    async fn delete(
        &self,
        actor: &Actor,
        name: &str,
        object: &str,
        query: &str,
        now: Timestamp,
    ) -> Result<Answer, ServiceError> {
        let reading = self.exchange.store().reading(&actor.reader, now).await?;
        let collection = known(&reading, actor, name).await?;
        let query = match Query::parse(query) {
            Ok(query) => query,
            Err(error) => return Ok(Answer::error(400, &error.to_string())),
        };
        let Ok(id) = object.parse::<ObjectId>() else { return Ok(Answer::not_found()) };
        let mut filter = query.filter;
        if !query.has_version {
            filter.versions = Versions::ALL;
        }
        filter.ids = vec![id.clone()];
        let page = reading.manifest(collection.id, &filter, None, 1000).await?;
        drop(reading);
        let mut removed = 0;
        for row in &page.rows {
            let version = Some(row.key.version);
            removed += self.exchange.remove(actor, &collection, &id, version, None, now).await?;
        }
        if page.rows.is_empty() {
            // Whether the actor may write there is told before whether the object is there.
            removed += self.exchange.remove(actor, &collection, &id, Some(Timestamp::MIN), None, now).await?;
        }
        Ok(if removed == 0 { Answer::not_found() } else { Answer::json(200, &json!({})) })
    }
}

/// What a page showed, for the audit log.
#[derive(Default)]
struct Shown {
    first: Option<String>,
    last: Option<String>,
    count: u64,
}

impl Shown {
    fn of<T>(page: &Page<T>, key: impl Fn(&T) -> &Key) -> Self {
        let id = |row: Option<&T>| row.map(|row| key(row).id.to_string());
        Self { first: id(page.rows.first()), last: id(page.rows.last()), count: page.rows.len() as u64 }
    }
}

/// A collection that the actor may know of, by its id or alias.
async fn known(reading: &Reading, actor: &Actor, name: &str) -> Result<Collection, ServiceError> {
    let found = reading.collection(name).await?.filter(|collection| actor.is_for(collection.id));
    found.ok_or(ServiceError::NotFound("collection"))
}

fn described(actor: &Actor, collection: &Collection, now: Timestamp) -> Value {
    let Collection { id, alias, title, description, media_types, .. } = collection;
    let mut value = json!({
        "id": id,
        "title": title,
        "can_read": actor.may_read(),
        "can_write": actor.may_write() && collection.writable(&actor.reader, now),
        "media_types": media_types,
    });
    if let Value::Object(map) = &mut value {
        for (name, text) in [("alias", alias.as_ref()), ("description", Some(description))] {
            if let Some(text) = text.filter(|text| !text.is_empty()) {
                map.insert(name.to_owned(), Value::String(text.clone()));
            }
        }
    }
    value
}
