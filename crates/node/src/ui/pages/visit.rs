//! A visit to a page: who comes, with which colours, and what stands around what they get.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, COOKIE, LOCATION};
use http::{HeaderMap, HeaderValue, StatusCode};
use ostrom_core::{ObjectId, Timestamp};
use ostrom_exchange::service::Deed;
use ostrom_store::{Reading, Role};

use super::keep::failed;
use crate::ui::part::{Notice, Tone};
use crate::ui::view::{Chrome, Page, Theme, Viewer, navigation};
use crate::web::Csrf;
use crate::who::{Actor, Person};
use crate::{App, Failure};

/// The cookie with the colours. It says nothing about anybody, so scripts of ours could read it too.
pub const THEME_COOKIE: &str = "ostrom-colours";

/// A visit to a page.
pub struct Visit {
    /// The node.
    pub app: App,
    /// Who.
    pub actor: Actor,
    /// When.
    pub now: Timestamp,
    csrf: Csrf,
    theme: Theme,
    here: String,
}

/// The colours that a browser's cookie says.
pub fn theme(headers: &HeaderMap) -> Theme {
    let pairs = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut found = pairs
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| *name == THEME_COOKIE);
    found.next().map_or(Theme::System, |(_, value)| Theme::read(value))
}

impl FromRequestParts<App> for Visit {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let actor = Actor::from_request_parts(parts, app).await?;
        let csrf = Csrf::from_request_parts(parts, app).await?;
        let here = parts.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
        let theme = theme(&parts.headers);
        Ok(Self { app: app.clone(), actor, now: app.clock().now(), csrf, theme, here })
    }
}

impl Visit {
    /// The token for forms.
    pub fn csrf(&self) -> &str {
        self.csrf.token()
    }

    /// What the visitor may see.
    pub async fn reading(&self) -> Result<Reading, Failure> {
        // A machine's token may be for less than its organisation sees.
        crate::api::reading(&self.app, &self.actor).await
    }

    /// Writes down what the visitor is about to be shown. If it cannot be written, nothing is shown.
    pub async fn note(&self, what: impl Into<String>, shown: &[&ObjectId]) -> Result<(), Failure> {
        self.note_as("show", what, shown).await
    }

    /// Writes down what the visitor did.
    pub async fn note_as(
        &self,
        did: &'static str,
        what: impl Into<String>,
        shown: &[&ObjectId],
    ) -> Result<(), Failure> {
        let here: String = self.here.chars().take(500).collect();
        let mut deed = Deed::new(&self.actor.asker(), did, format!("{} {here}", what.into()), self.now);
        deed.count = shown.len() as u64;
        deed.first = shown.first().map(ToString::to_string);
        deed.last = shown.last().filter(|_| shown.len() > 1).map(ToString::to_string);
        self.app.exchange.note(deed).await.map_err(failed)
    }

    /// The person, who must have signed in.
    pub fn person(&self) -> Result<&Person, Failure> {
        self.actor.person().ok_or(Failure::Unauthenticated)
    }

    /// The person, who must have this role.
    pub fn with_role(&self, role: Role) -> Result<&Person, Failure> {
        let person = self.person()?;
        if person.is(role) {
            return Ok(person);
        }
        Err(Failure::Forbidden(match role {
            Role::Administrator => "only administrators of this node may do this",
            Role::Coordinator => "only coordinators may do this",
            Role::Contributor => "only contributors may do this",
            Role::Observer => "only members may do this",
        }))
    }

    /// Whether the visitor is a person with this role.
    pub fn is(&self, role: Role) -> bool {
        self.actor.person().is_some_and(|person| person.is(role))
    }

    /// What is around a page without navigation.
    pub fn bare(&self) -> Chrome {
        Chrome {
            node: self.app.config.title.clone(),
            theme: self.theme,
            csrf: self.csrf().to_owned(),
            here: self.here.clone(),
            bare: true,
            version: env!("CARGO_PKG_VERSION"),
            ..Chrome::default()
        }
    }

    /// What is around a page.
    pub async fn chrome(&self) -> Result<Chrome, Failure> {
        let mut chrome = Chrome { bare: false, ..self.bare() };
        let mut waiting = 0;
        if let Some(person) = self.actor.person() {
            let organisation = self.app.store.organisation(person.organisation).await?;
            let organisation = organisation.map(|found| found.name).unwrap_or_default();
            chrome.viewer = Some(Viewer { name: person.name.clone(), organisation });
            waiting = u32::try_from(self.reading().await?.unseen().await?).unwrap_or(u32::MAX);
        }
        let administrator = self.is(Role::Administrator);
        let audits = administrator || self.is(Role::Coordinator);
        chrome.nav = navigation(chrome.viewer.is_some(), administrator, audits, waiting, 0);
        Ok(chrome)
    }

    /// With what was just done, from the query's `done`.
    pub fn done(&self, chrome: &mut Chrome, known: &[(&str, &str)]) {
        let query = self.here.split_once('?').map_or("", |(_, query)| query);
        let done = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "done");
        let told = done.and_then(|(_, value)| known.iter().find(|(name, _)| *name == value));
        if let Some((_, text)) = told {
            chrome.notice = Some(Notice::new(Tone::Good, *text, ""));
        }
    }
}

/// A page as an answer.
pub fn show(page: &Page) -> Result<Response, Failure> {
    show_as(page, StatusCode::OK)
}

/// A page as an answer with a status.
pub fn show_as(page: &Page, status: StatusCode) -> Result<Response, Failure> {
    use askama::Template as _;
    let html = page.render().map_err(Failure::internal)?;
    let kind = (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    let keep = (CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok((status, [kind, keep], html).into_response())
}

/// Sends the browser on, after a form.
pub fn go(to: &str) -> Result<Response, Failure> {
    let to = HeaderValue::from_str(to).map_err(Failure::internal)?;
    let mut response = StatusCode::SEE_OTHER.into_response();
    response.headers_mut().insert(LOCATION, to);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// An address of this node; anything else is the front page.
pub fn local(back: &str) -> &str {
    if is_local(back) { back } else { "/" }
}

/// Whether this is an address of this node, from its first `/` on.
pub fn is_local(address: &str) -> bool {
    address.starts_with('/')
        && !address.starts_with("//")
        && address.len() <= 2_048
        && address.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

/// A part of an address, encoded.
pub fn encode(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
