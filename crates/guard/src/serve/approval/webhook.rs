//! The channel `webhook`: questions go to a service of the owner's, whose answers come back to us.
//!
//! Both ways are signed with one key, each for its own purpose, so that a question cannot be sent back as an answer. An answer
//! names the question by 128 random bits, and with it the digest of the request; it is taken once, within a few minutes of
//! its own time, and as long as the question waits.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::request::Parts;
use http::{Method, StatusCode};
use ostrom_core::Digest;
use reqwest::Url;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::page::{read, reply, single};
use super::session::random;
use crate::gateway::{Gateway, Request, now};
use crate::serve::intervene::{self, Unheard};
use crate::serve::servers::Log;

/// Seconds by which the time of an answer may be off.
pub(super) const WINDOW: u64 = 5 * 60;
/// Bytes of a key: those of the hash.
pub(super) const MIN_KEY: usize = 32;
/// Bytes of arguments in a question.
const MAX_ARGUMENTS: usize = 256 << 10;
/// Bytes of an answer.
const MAX_ANSWER: usize = 4 << 10;
/// Tries for each question.
const TRIES: u32 = 5;
/// Questions on their way at a time.
const AT_ONCE: usize = 8;
/// How long a try may take.
const TRY: Duration = Duration::from_secs(10);

pub(super) const TIMESTAMP: &str = "ostrom-timestamp";
pub(super) const SIGNATURE: &str = "ostrom-signature";

/// What is signed for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    Question,
    Answer,
}

/// The key of both sides.
#[derive(Clone)]
pub(super) struct Key(Vec<u8>);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

impl Key {
    pub(super) fn new(secret: &str) -> Result<Self, String> {
        if secret.len() < MIN_KEY {
            return Err(format!(
                "the key of the webhook has fewer than {MIN_KEY} characters; make one with `openssl rand -hex 32`"
            ));
        }
        Ok(Self(secret.as_bytes().to_vec()))
    }

    fn mac(&self, purpose: Purpose, timestamp: &str, body: &[u8]) -> Option<Hmac<Sha256>> {
        // Takes keys of any length.
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(match purpose {
            Purpose::Question => b"ostrom-approval-question-v1\n",
            Purpose::Answer => b"ostrom-approval-answer-v1\n".as_slice(),
        });
        mac.update(timestamp.as_bytes());
        mac.update(b"\n");
        mac.update(body);
        Some(mac)
    }

    pub(super) fn sign(&self, purpose: Purpose, timestamp: &str, body: &[u8]) -> Option<String> {
        let mac: [u8; 32] = self.mac(purpose, timestamp, body)?.finalize().into_bytes().into();
        Some(format!("v1={}", Digest::from_bytes(mac)))
    }

    /// In constant time.
    fn verify(&self, purpose: Purpose, timestamp: &str, body: &[u8], signature: &str) -> bool {
        let given = signature.strip_prefix("v1=").and_then(|hex| hex.parse::<Digest>().ok());
        let (Some(given), Some(mac)) = (given, self.mac(purpose, timestamp, body)) else { return false };
        mac.verify_slice(given.as_bytes()).is_ok()
    }
}

/// Where questions go.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) url: Url,
    pub(super) key: Key,
    /// The pause after the first try; each further one is twice as long.
    pub(super) pause: Duration,
}

/// A question that was put.
#[derive(Debug)]
struct Question {
    id: String,
    asked: u64,
    /// Whether its arguments were too long to be sent.
    is_cut: bool,
}

/// An answer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    question: String,
    request: Digest,
    approve: bool,
}

/// The channel.
pub(super) struct Webhook {
    gateway: Arc<Gateway>,
    settings: Settings,
    client: reqwest::Client,
    answer_to: String,
    by: String,
    questions: Mutex<HashMap<Digest, Question>>,
    places: Semaphore,
    log: Log,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("by", &self.by).finish_non_exhaustive()
    }
}

impl Webhook {
    pub(super) fn new(
        gateway: Arc<Gateway>,
        settings: Settings,
        answer_to: String,
        log: Log,
    ) -> Result<Self, String> {
        // Fails only if another part has installed one, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .user_agent(concat!("ostrom-guard/", env!("CARGO_PKG_VERSION")))
            .timeout(TRY)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .build()
            .map_err(|error| error.to_string())?;
        let by = format!("webhook:{}", settings.url.host_str().unwrap_or_default());
        let (questions, places) = (Mutex::default(), Semaphore::new(AT_ONCE));
        Ok(Self { gateway, settings, client, answer_to, by, questions, places, log })
    }

    pub(super) fn by(&self) -> &str {
        &self.by
    }

    fn questions(&self) -> MutexGuard<'_, HashMap<Digest, Question>> {
        self.questions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts each new question, for as long as it is polled. What waits is looked at anew each time, so nothing is queued and
    /// nothing lost; calls do not wait for any of this.
    pub(super) async fn run(self: Arc<Self>) {
        let news = self.gateway.shared.lock().approvals.news();
        let mut sending = JoinSet::new();
        loop {
            for (request, id, body) in self.fresh() {
                sending.spawn(self.clone().put(request, id, body));
            }
            tokio::select! {
                () = news.notified() => {}
                Some(_) = sending.join_next(), if !sending.is_empty() => {}
            }
        }
    }

    /// What waits and was not asked yet.
    fn fresh(&self) -> Vec<(Arc<Request>, String, Vec<u8>)> {
        let (waiting, seconds) = {
            let mut state = self.gateway.shared.lock();
            (state.approvals.waiting(now()), state.approvals.terms.seconds)
        };
        let asked: HashMap<Digest, u64> =
            waiting.iter().map(|request| (request.digest, request.at)).collect();
        let mut questions = self.questions();
        questions.retain(|digest, question| asked.get(digest) == Some(&question.asked));
        let mut fresh = Vec::new();
        for request in waiting {
            if questions.contains_key(&request.digest) {
                continue;
            }
            let id = match random() {
                Ok(id) => id,
                Err(error) => {
                    (self.log)(&error);
                    continue;
                }
            };
            let arguments = serde_json::to_value(&request.arguments).unwrap_or_default();
            let fits = serde_json::to_vec(&arguments).is_ok_and(|bytes| bytes.len() <= MAX_ARGUMENTS);
            let ends = request.at.saturating_add(seconds);
            let body = self.question(&request, &id, fits.then_some(arguments), ends);
            questions.insert(request.digest, Question { id: id.clone(), asked: request.at, is_cut: !fits });
            fresh.push((request, id, body.to_string().into_bytes()));
        }
        fresh
    }

    fn question(&self, request: &Request, id: &str, arguments: Option<Value>, ends: u64) -> Value {
        let because: Vec<String> = crate::flow::clauses(&request.violations);
        json!({
            "version": 1,
            "question": id,
            "request": request.digest,
            "server": request.server,
            "tool": request.tool,
            "prompt": request.prompt,
            "principal": request.context.principal,
            "run": request.context.run,
            "arguments-left-out": arguments.is_none(),
            "arguments": arguments,
            "label": request.label,
            "because": because,
            "asked": request.at,
            "expires": ends,
            "answer-to": self.answer_to,
        })
    }

    fn still_waits(&self, request: &Request, id: &str) -> bool {
        let waits = self.gateway.shared.lock().approvals.get(&request.digest, now());
        waits.is_some_and(|waiting| waiting.at == request.at)
            && self.questions().get(&request.digest).is_some_and(|question| question.id == id)
    }

    async fn put(self: Arc<Self>, request: Arc<Request>, id: String, body: Vec<u8>) {
        let mut pause = self.settings.pause;
        let mut why = String::new();
        for tried in 0..TRIES {
            if tried > 0 {
                tokio::time::sleep(pause).await;
                pause = pause.saturating_mul(2);
            }
            if !self.still_waits(&request, &id) {
                return;
            }
            match self.try_once(&body).await {
                Ok(()) => return,
                Err((text, again)) => {
                    why = text;
                    if !again {
                        break;
                    }
                }
            }
        }
        let short: String = request.digest.to_string().chars().take(12).collect();
        (self.log)(&format!("{} was not reached about request {short}, which still waits: {why}", self.by));
    }

    /// Why it did not work, and whether it may another time.
    async fn try_once(&self, body: &[u8]) -> Result<(), (String, bool)> {
        let _place = self.places.acquire().await.map_err(|error| (error.to_string(), false))?;
        let timestamp = now().to_string();
        let Some(signature) = self.settings.key.sign(Purpose::Question, &timestamp, body) else {
            return Err(("the question cannot be signed".to_owned(), false));
        };
        let sent = self
            .client
            .post(self.settings.url.clone())
            .header("content-type", "application/json")
            .header(TIMESTAMP, timestamp)
            .header(SIGNATURE, signature)
            .body(body.to_vec())
            .send()
            .await;
        let status = sent.map_err(|error| (error.without_url().to_string(), true))?.status();
        if status.is_success() {
            return Ok(());
        }
        let again = status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429);
        Err((format!("it answered {status}"), again))
    }

    /// Takes an answer.
    pub(super) async fn answered(&self, parts: &Parts, body: Body) -> Response {
        let say = |status: StatusCode, text: &str| {
            reply(status, "application/json", json!({"error": text}).to_string())
        };
        if parts.method != Method::POST {
            return say(StatusCode::METHOD_NOT_ALLOWED, "answers are posted");
        }
        let Some(body) = read(body, MAX_ANSWER).await else {
            return say(StatusCode::BAD_REQUEST, "an answer is short");
        };
        let headers = (single(&parts.headers, TIMESTAMP), single(&parts.headers, SIGNATURE));
        let (Some(timestamp), Some(signature)) = headers else {
            return say(
                StatusCode::UNAUTHORIZED,
                "an answer needs Ostrom-Timestamp and Ostrom-Signature, once",
            );
        };
        if !self.settings.key.verify(Purpose::Answer, timestamp, &body, signature) {
            return say(StatusCode::UNAUTHORIZED, "the signature is not right");
        }
        if !timestamp.parse::<u64>().is_ok_and(|at| at.abs_diff(now()) <= WINDOW) {
            return say(StatusCode::UNAUTHORIZED, "the time of the answer is too far from ours");
        }
        let Ok(answer) = serde_json::from_slice::<Answer>(&body) else {
            return say(
                StatusCode::BAD_REQUEST,
                "an answer has question, request and approve, and nothing else",
            );
        };
        let question = {
            let mut questions = self.questions();
            match questions.get(&answer.request) {
                Some(question) if question.id != answer.question => None,
                Some(question) if question.is_cut && answer.approve => {
                    let text = "its arguments were too long to be sent, so it can be approved only where they are seen";
                    return say(StatusCode::FORBIDDEN, text);
                }
                // Out at once: of two answers at the same time one counts.
                _ => questions.remove(&answer.request),
            }
        };
        let gone =
            || say(StatusCode::GONE, "this question does not wait any more: it was answered or has expired");
        let Some(question) = question else { return gone() };
        let asked = Some(question.asked);
        match intervene::answer(&self.gateway, answer.request, asked, answer.approve, &self.by).await {
            Ok(()) => reply(StatusCode::OK, "application/json", json!({"done": true}).to_string()),
            Err(Unheard::Failed(why)) => {
                // It may be said again once the log can be written.
                self.questions().entry(answer.request).or_insert(question);
                say(StatusCode::SERVICE_UNAVAILABLE, &why)
            }
            Err(Unheard::Gone | Unheard::Changed) => gone(),
        }
    }
}
