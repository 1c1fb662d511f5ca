//! Changes of lists and resources, for those who asked for them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde_json::{Map, Value, json};
use tokio::sync::broadcast::{self, error::RecvError};

use super::exchange::Step;
use super::inflight::Ticket;
use super::metadata::SUBSCRIPTION;
use super::session::{Listening, Session};
use super::{Caller, Hears, Watch};
use crate::wire::{Id, Message, Notification, Response, RpcError};

const TOOLS: &str = "notifications/tools/list_changed";
const PROMPTS: &str = "notifications/prompts/list_changed";
const RESOURCES: &str = "notifications/resources/list_changed";
const UPDATED: &str = "notifications/resources/updated";

/// What a client wants to hear of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Interest {
    tools: bool,
    prompts: bool,
    resources: bool,
    pub(super) uris: BTreeSet<String>,
}

impl Interest {
    /// Reads the parameter `notifications` of `subscriptions/listen`.
    pub(super) fn read(params: &Map<String, Value>, limit: usize) -> Result<Self, RpcError> {
        let invalid = |what: &str| RpcError::new(RpcError::INVALID_PARAMS, what);
        let Some(Value::Object(filter)) = params.get("notifications") else {
            return Err(invalid("subscriptions/listen needs params.notifications, an object"));
        };
        let flag = |name: &str| match filter.get(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(invalid("what params.notifications asks for is true or false, or a list of URIs")),
        };
        let mut uris = BTreeSet::new();
        match filter.get("resourceSubscriptions") {
            None => {}
            Some(Value::Array(list)) if list.len() <= limit => {
                for uri in list {
                    let uri =
                        uri.as_str().ok_or_else(|| invalid("resourceSubscriptions is a list of URIs"))?;
                    uris.insert(uri.to_owned());
                }
            }
            Some(Value::Array(_)) => {
                return Err(invalid("too many resourceSubscriptions in one subscription; use several"));
            }
            Some(_) => return Err(invalid("resourceSubscriptions is a list of URIs")),
        }
        Ok(Self {
            tools: flag("toolsListChanged")?,
            prompts: flag("promptsListChanged")?,
            resources: flag("resourcesListChanged")?,
            uris,
        })
    }

    /// The lists of whose changes somebody hears who was told of these capabilities.
    pub(super) fn in_lists(capabilities: Option<&Value>) -> Self {
        let mut all = Self { tools: true, prompts: true, resources: true, uris: BTreeSet::new() };
        all.limit_to(capabilities);
        all
    }

    /// What of it a server with these capabilities can tell.
    pub(super) fn limit_to(&mut self, capabilities: Option<&Value>) {
        let has = |part: &str, flag: &str| {
            capabilities.and_then(|all| all.get(part)?.get(flag)?.as_bool()).unwrap_or(false)
        };
        self.tools &= has("tools", "listChanged");
        self.prompts &= has("prompts", "listChanged");
        self.resources &= has("resources", "listChanged");
        if !has("resources", "subscribe") {
            self.uris.clear();
        }
    }

    fn to_filter(&self) -> Value {
        let mut filter = Map::new();
        for (name, wanted) in [
            ("toolsListChanged", self.tools),
            ("promptsListChanged", self.prompts),
            ("resourcesListChanged", self.resources),
        ] {
            if wanted {
                filter.insert(name.to_owned(), Value::Bool(true));
            }
        }
        if !self.uris.is_empty() {
            filter.insert("resourceSubscriptions".to_owned(), json!(self.uris));
        }
        Value::Object(filter)
    }
}

/// Whether `uri` is the watched one, or lies within it.
fn lies_within(uri: &str, watched: &str) -> bool {
    uri.strip_prefix(watched)
        .is_some_and(|rest| rest.is_empty() || watched.ends_with('/') || rest.starts_with(['/', '?', '#']))
}

/// Watched resources by URI.
#[derive(Default)]
pub(super) struct Watches(BTreeMap<String, Watch>);

impl Watches {
    pub(super) fn insert(&mut self, uri: String, watch: Watch) {
        self.0.insert(uri, watch);
    }

    pub(super) fn remove(&mut self, uri: &str) -> bool {
        self.0.remove(uri).is_some()
    }

    pub(super) fn contains(&self, uri: &str) -> bool {
        self.0.contains_key(uri)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The URIs that fit and may still be told of; watches that fit and may not are dropped.
    pub(super) fn still(
        &mut self,
        fits: impl Fn(&str) -> bool,
        hears: impl Fn(&Watch) -> bool,
    ) -> Vec<String> {
        let mut told = Vec::new();
        self.0.retain(|uri, watch| {
            if !fits(uri) {
                return true;
            }
            let stays = hears(watch);
            if stays {
                told.push(uri.clone());
            }
            stays
        });
        told
    }
}

/// For whom changes are.
enum For {
    /// A subscription, and the watches that go with it.
    Subscription { id: Id, caller: Arc<Caller>, interest: Interest, watches: Watches, acknowledged: bool },
    /// A session, whose interest in resources comes and goes.
    Session { session: Arc<Session>, _listening: Listening },
}

/// Changes for one client.
pub(super) struct Changes {
    whose: For,
    hears: Hears,
    receiver: broadcast::Receiver<Notification>,
    /// What goes out before anything new.
    backlog: VecDeque<Notification>,
    ticket: Option<Ticket>,
}

impl Changes {
    pub(super) fn of_subscription(
        (id, caller): (Id, Arc<Caller>),
        interest: Interest,
        watches: Watches,
        (receiver, hears): (broadcast::Receiver<Notification>, Hears),
        ticket: Option<Ticket>,
    ) -> Self {
        let whose = For::Subscription { id, caller, interest, watches, acknowledged: false };
        Self { whose, hears, receiver, backlog: VecDeque::new(), ticket }
    }

    /// None if the session has such a stream already.
    pub(super) fn of_session(
        session: &Arc<Session>,
        changes: impl FnOnce(&Caller) -> broadcast::Receiver<Notification>,
        hears: Hears,
    ) -> Option<Self> {
        let listening = session.listen()?;
        let receiver = changes(&session.caller);
        let whose = For::Session { session: Arc::clone(session), _listening: listening };
        Some(Self { whose, hears, receiver, backlog: VecDeque::new(), ticket: None })
    }

    /// What goes out next. Nothing is lost if the future is dropped.
    pub(super) async fn step(&mut self) -> Step {
        if let For::Subscription { id, interest, acknowledged, .. } = &mut self.whose
            && !*acknowledged
        {
            *acknowledged = true;
            let params = Map::from_iter([("notifications".to_owned(), interest.to_filter())]);
            let method = "notifications/subscriptions/acknowledged".to_owned();
            return Step::More(Message::Notification(tagged(Notification { method, params }, id)));
        }
        loop {
            if let Some(notification) = self.backlog.pop_front() {
                // It may have waited since it was asked about.
                if let (UPDATED, Some(Value::String(uri))) =
                    (notification.method.as_str(), notification.params.get("uri"))
                    && self.whose.updated(|watched| watched == uri, &self.hears).is_empty()
                {
                    continue;
                }
                return Step::More(Message::Notification(match &self.whose {
                    For::Subscription { id, .. } => tagged(notification, id),
                    For::Session { .. } => notification,
                }));
            }
            let received = tokio::select! {
                biased;
                () = cancelled(&mut self.ticket, &self.whose) => return Step::Silent,
                received = self.receiver.recv() => received,
            };
            match received {
                Ok(notification) => self.backlog.extend(self.whose.wanted(notification, &self.hears)),
                // What was missed is unknown, so everything may have changed.
                Err(RecvError::Lagged(_)) => self.backlog = self.whose.everything(&self.hears),
                Err(RecvError::Closed) => return self.whose.end(),
            }
        }
    }
}

async fn cancelled(ticket: &mut Option<Ticket>, whose: &For) {
    match (ticket, whose) {
        (Some(ticket), _) => ticket.cancelled().await,
        (None, For::Session { session, .. }) => session.ended().await,
        (None, For::Subscription { .. }) => std::future::pending().await,
    }
}

/// The notification with the id of the subscription that it is for.
fn tagged(mut notification: Notification, id: &Id) -> Notification {
    let meta = notification.params.entry("_meta").or_insert_with(|| json!({}));
    if !meta.is_object() {
        *meta = json!({});
    }
    if let Value::Object(meta) = meta {
        meta.insert(SUBSCRIPTION.to_owned(), json!(id));
    }
    notification
}

impl For {
    /// The lists of whose changes it is told.
    fn interest(&self) -> &Interest {
        match self {
            Self::Subscription { interest, .. } => interest,
            Self::Session { session, .. } => &session.lists,
        }
    }

    /// What is told of a notification.
    fn wanted(&mut self, notification: Notification, hears: &Hears) -> Vec<Notification> {
        let interest = self.interest();
        let wants = match notification.method.as_str() {
            TOOLS => interest.tools,
            PROMPTS => interest.prompts,
            RESOURCES => interest.resources,
            UPDATED => {
                let Some(Value::String(uri)) = notification.params.get("uri") else { return Vec::new() };
                return self.updated(|watched| lies_within(uri, watched), hears);
            }
            _ => false,
        };
        if wants { vec![notification] } else { Vec::new() }
    }

    /// That watched resources have changed, in the client's words: what lies within them is for their server to name.
    fn updated(&mut self, fits: impl Fn(&str) -> bool, hears: &Hears) -> Vec<Notification> {
        let uris = match self {
            Self::Subscription { caller, watches, .. } => watches.still(fits, |watch| hears(caller, watch)),
            Self::Session { session, .. } => session.watches(fits, hears),
        };
        let updated = |uri| Notification {
            method: UPDATED.to_owned(),
            params: Map::from_iter([("uri".to_owned(), Value::String(uri))]),
        };
        uris.into_iter().map(updated).collect()
    }

    /// All that may have changed.
    fn everything(&mut self, hears: &Hears) -> VecDeque<Notification> {
        let interest = self.interest();
        let lists = [(TOOLS, interest.tools), (PROMPTS, interest.prompts), (RESOURCES, interest.resources)];
        let lists = lists
            .into_iter()
            .filter(|(_, wanted)| *wanted)
            .map(|(method, _)| Notification { method: method.to_owned(), params: Map::new() });
        lists.chain(self.updated(|_| true, hears)).collect()
    }

    fn end(&self) -> Step {
        match self {
            Self::Subscription { id, .. } => {
                let result = json!({"resultType": "complete", "_meta": {SUBSCRIPTION: id}});
                let Value::Object(result) = result else { return Step::Silent };
                Step::Last(Response::ok(id.clone(), result))
            }
            Self::Session { .. } => Step::Silent,
        }
    }
}

#[cfg(test)]
mod unit {
    use super::lies_within;

    #[test]
    fn a_sub_resource_lies_within_and_a_namesake_does_not() {
        assert!(lies_within("file:///a/b", "file:///a/b"));
        assert!(lies_within("file:///a/b/c", "file:///a/b"));
        assert!(lies_within("file:///a/b#x", "file:///a/b"));
        assert!(lies_within("file:///a/b", "file:///a/"));
        assert!(!lies_within("file:///a/bc", "file:///a/b"));
        assert!(!lies_within("file:///a", "file:///a/b"));
    }
}
