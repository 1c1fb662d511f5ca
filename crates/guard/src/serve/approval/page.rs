//! The approval page: plain HTML with forms, for whoever has opened a link that the guard gave its owner.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::body::Body;
use axum::response::Response;
use http::header::{self, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};
use ostrom_core::Digest;

use super::session::Sessions;
use super::view::{Everything, Notice, One};
use crate::flow::{Event, Scope};
use crate::gateway::{Gateway, now};
use crate::serve::intervene::{self, Named, Unheard};

/// Bytes of a form. They hold digests and tokens.
const MAX_FORM: usize = 16 << 10;
/// How long a body may take to come.
const BODY: Duration = Duration::from_secs(10);
/// Who answers here, as the audit log has it.
const BY: &str = "web";
/// No script at all, nothing from elsewhere, no frame around it.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
const STYLE: &str = include_str!("../../../templates/approval.css");

/// The page.
#[derive(Debug)]
pub(in crate::serve) struct Page {
    gateway: Arc<Gateway>,
    address: SocketAddr,
    /// What `Host` must be.
    hosts: Vec<String>,
    sessions: Sessions,
}

impl Page {
    pub(super) fn new(gateway: Arc<Gateway>, address: SocketAddr) -> Self {
        let mut hosts = vec![address.to_string(), format!("localhost:{}", address.port())];
        if address.port() == 80 {
            hosts.extend(["localhost".to_owned(), address.ip().to_string(), format!("[{}]", address.ip())]);
        }
        Self { gateway, address, hosts, sessions: Sessions::default() }
    }

    /// A link that opens the page once.
    ///
    /// # Errors
    /// If the system has no randomness.
    pub(in crate::serve) fn link(&self) -> Result<String, String> {
        Ok(format!("http://{}/enter/{}", self.address, self.sessions.link(now())?))
    }

    /// Answers a request.
    pub(super) async fn handle(&self, parts: &Parts, body: Body) -> Response {
        // A page elsewhere that has made its name lead here (DNS rebinding) still names itself.
        if !self.is_ours(parts) {
            return text(StatusCode::FORBIDDEN, "this host name is not served here");
        }
        let path: Vec<&str> = parts.uri.path().trim_start_matches('/').split('/').collect();
        match (&parts.method, path.as_slice()) {
            (&Method::GET, ["approval.css"]) => {
                reply(StatusCode::OK, "text/css; charset=utf-8", STYLE.to_owned())
            }
            (&Method::GET, ["enter", token]) => self.knock(token),
            (&Method::POST, ["enter"]) => self.enter(parts, body).await,
            (&Method::GET, ["s", id, rest @ ..]) => {
                let Some(csrf) = self.sessions.find(id, &parts.headers, now()) else { return closed() };
                self.show((base(id), csrf), rest, parts.uri.query().unwrap_or_default())
            }
            (&Method::POST, ["s", id, what]) => {
                let Some(csrf) = self.sessions.find(id, &parts.headers, now()) else { return closed() };
                self.act(&base(id), &csrf, what, parts, body).await
            }
            _ => notice(StatusCode::NOT_FOUND, "Nothing is here", "Open the approval page with its link."),
        }
    }

    fn is_ours(&self, parts: &Parts) -> bool {
        let is_host = |host: &str| self.hosts.iter().any(|ours| ours.eq_ignore_ascii_case(host));
        single(&parts.headers, header::HOST.as_str()).is_some_and(is_host)
            && parts.uri.authority().is_none_or(|authority| is_host(authority.as_str()))
    }

    /// Whether a form was sent by a page of ours, as far as the browser says.
    fn is_from_us(&self, headers: &HeaderMap) -> bool {
        let origin = !headers.contains_key(header::ORIGIN)
            || single(headers, header::ORIGIN.as_str())
                .and_then(|origin| origin.strip_prefix("http://"))
                .is_some_and(|host| self.hosts.iter().any(|ours| ours.eq_ignore_ascii_case(host)));
        let site = !headers.contains_key("sec-fetch-site")
            || single(headers, "sec-fetch-site") == Some("same-origin");
        origin && site
    }

    /// Shows what a link opens. The link is used up by the form, so that programs which only look at it do no harm.
    fn knock(&self, token: &str) -> Response {
        if !self.sessions.knows(token, now()) {
            return closed();
        }
        html(
            StatusCode::OK,
            &Notice {
                title: "Approvals",
                text: "Here you answer calls that wait for a person. This link works once, in this browser."
                    .to_owned(),
                token: Some(token.to_owned()),
                back: None,
            },
        )
    }

    async fn enter(&self, parts: &Parts, body: Body) -> Response {
        let Some(form) = self.form(parts, body).await else { return malformed() };
        match self.sessions.begin(form.get("token"), now()) {
            Ok(Some(begun)) => {
                let mut response = redirect(&base(&begun.id));
                if let Ok(cookie) = HeaderValue::from_str(&begun.cookie) {
                    response.headers_mut().insert(header::SET_COOKIE, cookie);
                }
                response
            }
            Ok(None) => closed(),
            Err(error) => notice(StatusCode::INTERNAL_SERVER_ERROR, "That did not work", &error),
        }
    }

    fn show(&self, (base, csrf): (String, String), rest: &[&str], query: &str) -> Response {
        match rest {
            [""] => {
                let said = query.strip_prefix("done=").and_then(said);
                let view = Everything::new(&self.gateway, (base, csrf), (said, query == "watch"), now());
                html(StatusCode::OK, &view)
            }
            ["call", digest] => {
                let at = now();
                let found = digest.parse::<Digest>().ok().and_then(|digest| {
                    let mut state = self.gateway.shared.lock();
                    let request = state.approvals.get(&digest, at)?;
                    let ends = state.approvals.expires(request.at);
                    Some((request, ends))
                });
                match found {
                    Some((request, ends)) => {
                        html(StatusCode::OK, &One::new(&request, (base, csrf), (ends, at)))
                    }
                    None => gone(base),
                }
            }
            _ => notice(StatusCode::NOT_FOUND, "Nothing is here", "Open the approval page with its link."),
        }
    }

    async fn act(&self, base: &str, csrf: &str, what: &str, parts: &Parts, body: Body) -> Response {
        let Some(form) = self.form(parts, body).await else { return malformed() };
        // Compared as digests, which tells nothing about how much of it was right.
        if Digest::of(form.get("csrf").as_bytes()) != Digest::of(csrf.as_bytes()) {
            return notice(
                StatusCode::FORBIDDEN,
                "This form is not from here",
                "Nothing was done. Open the page again and use its own buttons.",
            );
        }
        let done = match what {
            "answer" => self.answer(&form).await,
            "pin" => self.pin(&form).await,
            "stop" => {
                let event = Event::Stopped { scope: Scope::All, by: BY.to_owned(), at: now() };
                intervene::record(&self.gateway, event).await.map(|()| "stopped")
            }
            "lift" => self.lift(&form).await,
            _ => return malformed(),
        };
        match done {
            Ok(word) => redirect(&format!("{base}?done={word}")),
            Err(Unheard::Gone) => gone(base.to_owned()),
            Err(Unheard::Changed) => html(
                StatusCode::CONFLICT,
                &Notice {
                    title: "That is not there any more",
                    text:
                        "Nothing was done: what you were shown has changed or was answered. Look at it again."
                            .to_owned(),
                    token: None,
                    back: Some(base.to_owned()),
                },
            ),
            Err(Unheard::Failed(why)) => html(
                StatusCode::INTERNAL_SERVER_ERROR,
                &Notice { title: "That did not work", text: why, token: None, back: Some(base.to_owned()) },
            ),
        }
    }

    async fn answer(&self, form: &Form) -> Result<&'static str, Unheard> {
        let request: Digest = form.get("request").parse().map_err(|_| Unheard::Gone)?;
        let asked: u64 = form.get("asked").parse().map_err(|_| Unheard::Gone)?;
        let approved = match form.get("answer") {
            "approve" => true,
            "refuse" => false,
            _ => return Err(Unheard::Changed),
        };
        intervene::answer(&self.gateway, request, Some(asked), approved, BY).await?;
        Ok(if approved { "approved" } else { "refused" })
    }

    async fn pin(&self, form: &Form) -> Result<&'static str, Unheard> {
        let digest: Digest = form.get("digest").parse().map_err(|_| Unheard::Changed)?;
        // The digest names the definition whose rendering, with its marks, was on the page.
        let named = Named { server: form.get("server"), name: None, digest };
        intervene::pin(&self.gateway, named, BY).await?;
        Ok("pinned")
    }

    async fn lift(&self, form: &Form) -> Result<&'static str, Unheard> {
        let scope: Scope = serde_json::from_str(form.get("scope")).map_err(|_| Unheard::Changed)?;
        if !self.gateway.shared.lock().engine.stopped().any(|stopped| *stopped == scope) {
            return Err(Unheard::Changed);
        }
        intervene::record(&self.gateway, Event::Lifted { scope, by: BY.to_owned(), at: now() }).await?;
        Ok("lifted")
    }

    async fn form(&self, parts: &Parts, body: Body) -> Option<Form> {
        let kind = single(&parts.headers, header::CONTENT_TYPE.as_str())?;
        if !self.is_from_us(&parts.headers)
            || kind.split(';').next()?.trim() != "application/x-www-form-urlencoded"
        {
            return None;
        }
        let bytes = read(body, MAX_FORM).await?;
        Some(Form(form_urlencoded::parse(&bytes).into_owned().collect()))
    }
}

/// The fields of a form.
struct Form(Vec<(String, String)>);

impl Form {
    fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str()).unwrap_or_default()
    }
}

/// A body, if it is not too long and comes in time.
pub(super) async fn read(body: Body, max: usize) -> Option<bytes::Bytes> {
    tokio::time::timeout(BODY, axum::body::to_bytes(body, max)).await.ok()?.ok()
}

/// A header that stands there once.
pub(super) fn single<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

fn base(id: &str) -> String {
    format!("/s/{id}/")
}

/// What was done, in words.
fn said(word: &str) -> Option<&'static str> {
    Some(match word {
        "approved" => "Approved: the agent may make this very call once.",
        "refused" => "Refused. The call stays where it is.",
        "pinned" => "Approved: agents see this definition from now on.",
        "stopped" => "Everything is stopped: no call leaves until you lift this.",
        "lifted" => "Lifted.",
        _ => return None,
    })
}

fn gone(base: String) -> Response {
    html(
        StatusCode::CONFLICT,
        &Notice {
            title: "This call does not wait any more",
            text: "Nothing was done: it was answered already, or its time is over.".to_owned(),
            token: None,
            back: Some(base),
        },
    )
}

fn closed() -> Response {
    notice(
        StatusCode::FORBIDDEN,
        "This page opens with a link",
        "A link works once and for an hour, and only in the browser that has opened it. The command \
         “ostrom guard approve --page” prints a new one.",
    )
}

fn malformed() -> Response {
    notice(
        StatusCode::BAD_REQUEST,
        "That could not be read",
        "Nothing was done. Use the forms of the approval page.",
    )
}

fn notice(status: StatusCode, title: &'static str, text: &str) -> Response {
    html(status, &Notice { title, text: text.to_owned(), token: None, back: None })
}

fn html(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(page) => reply(status, "text/html; charset=utf-8", page),
        Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "this page cannot be shown"),
    }
}

pub(super) fn text(status: StatusCode, text: &str) -> Response {
    reply(status, "text/plain; charset=utf-8", format!("{text}\n"))
}

fn redirect(to: &str) -> Response {
    let mut response = text(StatusCode::SEE_OTHER, "go on");
    if let Ok(to) = HeaderValue::from_str(to) {
        response.headers_mut().insert(header::LOCATION, to);
    }
    response
}

pub(super) fn reply(status: StatusCode, kind: &'static str, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // Not `no-referrer`: browsers then send forms with `Origin: null`.
        (header::REFERRER_POLICY, "same-origin"),
        (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
