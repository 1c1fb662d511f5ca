//! One request's notifications and questions, on their way to the client and back.

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use serde_json::{Map, Value};

use super::Answer;
use crate::relay::Relay;
use crate::wire::{Id, Notification, RpcError};

/// What a server sends while it works on a request.
#[derive(Debug)]
pub(super) enum Inbound {
    /// Progress (with the caller's token), a log message.
    Notification(Notification),
    /// A question, with the server's id for it.
    Question {
        /// The server's.
        id: Id,
        /// Its method.
        method: String,
        /// Its parameters.
        params: Map<String, Value>,
    },
}

/// What a client can answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Abilities {
    form: bool,
    url: bool,
    sampling: bool,
    roots: bool,
}

impl Abilities {
    /// From the capabilities that the client declared.
    pub(super) fn of(capabilities: &Map<String, Value>) -> Self {
        let elicitation = capabilities.get("elicitation").and_then(Value::as_object);
        let url = elicitation.is_some_and(|modes| modes.contains_key("url"));
        Self {
            // An empty object is how forms were declared before there was anything else.
            form: elicitation.is_some_and(|modes| !url || modes.contains_key("form")),
            url,
            sampling: capabilities.contains_key("sampling"),
            roots: capabilities.contains_key("roots"),
        }
    }

    /// What both can answer.
    pub(super) const fn and(self, other: Self) -> Self {
        Self {
            form: self.form && other.form,
            url: self.url && other.url,
            sampling: self.sampling && other.sampling,
            roots: self.roots && other.roots,
        }
    }

    /// Those of the capabilities that such a client has.
    pub(super) fn within(self, capabilities: &Map<String, Value>) -> Map<String, Value> {
        let mut kept = capabilities.clone();
        kept.retain(|name, value| match name.as_str() {
            "elicitation" => {
                if let Some(modes) = value.as_object_mut() {
                    modes.retain(|mode, _| match mode.as_str() {
                        "form" => self.form,
                        "url" => self.url,
                        _ => true,
                    });
                }
                self.form || self.url
            }
            "sampling" => self.sampling,
            "roots" => self.roots,
            _ => true,
        });
        kept
    }

    /// Whether the client can answer this question.
    ///
    /// # Errors
    /// What to answer to the server if not.
    pub(super) fn check(self, method: &str, params: &Map<String, Value>) -> Result<(), RpcError> {
        let can = match method {
            "elicitation/create" => match params.get("mode").map(Value::as_str) {
                None | Some(Some("form")) => self.form,
                Some(Some("url")) => self.url,
                Some(_) => false,
            },
            "sampling/createMessage" => self.sampling,
            "roots/list" => self.roots,
            _ => false,
        };
        if can {
            return Ok(());
        }
        let code = if method == "elicitation/create" && (self.form || self.url) {
            RpcError::INVALID_PARAMS
        } else {
            RpcError::METHOD_NOT_FOUND
        };
        Err(RpcError::new(code, format!("the client of this request cannot answer {method}")))
    }
}

/// The questions of one request that wait for an answer.
pub(super) struct Exchange<'a> {
    relay: &'a Relay,
    asked: FuturesUnordered<BoxFuture<'a, (Id, Answer)>>,
}

impl<'a> Exchange<'a> {
    pub(super) fn new(relay: &'a Relay) -> Self {
        Self { relay, asked: FuturesUnordered::new() }
    }

    /// Passes on what the server sent. Waits while the client has too much to read.
    pub(super) async fn take(&mut self, inbound: Inbound) {
        match inbound {
            Inbound::Notification(notification) => self.relay.notify(notification).await,
            Inbound::Question { id, method, params } => {
                let relay = self.relay;
                self.asked.push(Box::pin(async move { (id, relay.ask(&method, params).await) }));
            }
        }
    }

    /// The next answer of the client; waits for ever while there is no question.
    pub(super) async fn answered(&mut self) -> (Id, Answer) {
        match self.asked.next().await {
            Some(answered) => answered,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(capabilities: Value, method: &str, params: Value, can: bool) {
        let abilities = Abilities::of(capabilities.as_object().unwrap());
        assert_eq!(
            abilities.check(method, params.as_object().unwrap()).is_ok(),
            can,
            "{capabilities} {method}"
        );
    }

    #[test]
    fn what_is_declared_for_a_client_is_what_it_can_answer() {
        let all = json!({"elicitation": {"form": {}, "url": {}}, "sampling": {"tools": {}}, "roots": {}});
        for (client, declared) in [
            (json!({}), json!({})),
            (json!({"sampling": {}}), json!({"sampling": {"tools": {}}})),
            (json!({"elicitation": {}}), json!({"elicitation": {"form": {}}})),
            (
                json!({"elicitation": {"url": {}}, "roots": {}}),
                json!({"elicitation": {"url": {}}, "roots": {}}),
            ),
            (all.clone(), all.clone()),
        ] {
            let abilities = Abilities::of(client.as_object().unwrap());
            let within = abilities.within(all.as_object().unwrap());
            assert_eq!(Value::Object(within.clone()), declared);
            assert_eq!(Abilities::of(&within), abilities, "{client}");
        }
    }

    #[test]
    fn a_client_is_asked_only_what_it_declared() {
        check(json!({}), "elicitation/create", json!({}), false);
        check(json!({"elicitation": {}}), "elicitation/create", json!({}), true);
        check(json!({"elicitation": {}}), "elicitation/create", json!({"mode": "url"}), false);
        check(json!({"elicitation": {"url": {}}}), "elicitation/create", json!({"mode": "form"}), false);
        check(json!({"elicitation": {"url": {}}}), "elicitation/create", json!({"mode": "url"}), true);
        check(json!({"elicitation": {"form": {}}}), "elicitation/create", json!({"mode": 7}), false);
        check(json!({"sampling": {}}), "sampling/createMessage", json!({}), true);
        check(json!({"sampling": {}}), "roots/list", json!({}), false);
        check(json!({"roots": {}}), "roots/list", json!({}), true);
        check(json!({"roots": {}, "tools": {}}), "tools/call", json!({}), false);
    }
}
