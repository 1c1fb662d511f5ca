//! The stream of changes of a server of the newest revision, kept open.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::sync::watch;

use super::link::Link;
use super::shape;
use super::state::Common;
use super::{Fault, ServerInfo};
use crate::wire::Notification;

/// The wait before a stream that ended is opened again; it doubles up to 64 times as long.
const PAUSE: Duration = Duration::from_millis(500);

/// What a server has agreed to watch.
#[derive(Debug, Default)]
pub(super) struct Acknowledged {
    /// Up to which change of the wanted resources this holds.
    pub(super) wanted: u64,
    pub(super) uris: BTreeSet<String>,
}

/// The filter that a server of these capabilities can honour; none if it changes nothing.
fn filter(info: &ServerInfo, uris: Vec<String>) -> Option<Map<String, Value>> {
    let mut filter = Map::new();
    for (list, name) in [
        ("tools", "toolsListChanged"),
        ("prompts", "promptsListChanged"),
        ("resources", "resourcesListChanged"),
    ] {
        if info.has(list, "listChanged") {
            filter.insert(name.to_owned(), Value::Bool(true));
        }
    }
    if !uris.is_empty() {
        filter.insert("resourceSubscriptions".to_owned(), Value::from(uris));
    }
    (!filter.is_empty()).then_some(filter)
}

/// Keeps the stream open. When the wanted resources change, a new stream is opened before the old one is closed, so that
/// nothing is missed between them.
pub(super) async fn keep(
    link: Arc<Link>,
    common: Arc<Common>,
    info: Arc<ServerInfo>,
    mut wanted: watch::Receiver<u64>,
    acknowledged: watch::Sender<Acknowledged>,
) {
    type Listening = Pin<Box<dyn Future<Output = Fault> + Send>>;
    // While it is pending for ever, there is nothing to close.
    let nothing = || -> Listening { Box::pin(std::future::pending()) };
    let heard = Arc::new(Mutex::new(0u64));
    let fresh = Arc::new(tokio::sync::Notify::new());
    let mut generation = 0u64;
    let mut failures = 0u32;
    let mut old = nothing();
    loop {
        let asked = *wanted.borrow_and_update();
        let nothing_more = || Acknowledged { wanted: asked, uris: BTreeSet::new() };
        generation = generation.saturating_add(1);
        let mut current = match filter(&info, common.wanted()) {
            None => {
                acknowledged.send_replace(nothing_more());
                nothing()
            }
            Some(filter) => {
                let params = Map::from_iter([("notifications".to_owned(), Value::Object(filter))]);
                let (acknowledged, heard, fresh) =
                    (acknowledged.clone(), Arc::clone(&heard), Arc::clone(&fresh));
                let this = generation;
                let listening: Listening = Box::pin(Arc::clone(&link).listen(params, move |notification| {
                    let found = Acknowledged { wanted: asked, uris: honoured(&notification) };
                    // The answer of an older stream may be heard after that of the newer one: it says nothing any more.
                    acknowledged.send_if_modified(|known| {
                        let newer = found.wanted >= known.wanted;
                        if newer {
                            *known = found;
                        }
                        newer
                    });
                    *heard.lock().unwrap_or_else(PoisonError::into_inner) = this;
                    fresh.notify_one();
                }));
                listening
            }
        };
        loop {
            tokio::select! {
                fault = &mut current => {
                    if matches!(fault, Fault::Refused { .. } | Fault::Stopped | Fault::CutOff(_))
                        || link.closed().is_some()
                    {
                        acknowledged.send_replace(nothing_more());
                        common.tell(&format!("changes are not told any more: {fault}"));
                        // The next request or the next subscription begins anew.
                        if wanted.changed().await.is_err() {
                            return;
                        }
                        break;
                    }
                    failures = failures.saturating_add(1);
                    tokio::time::sleep(PAUSE.saturating_mul(2u32.saturating_pow(failures.min(6)))).await;
                    // What happened meanwhile is unknown.
                    common.all_may_have_changed(&info);
                    old = nothing();
                    break;
                }
                _ = &mut old => old = nothing(),
                () = fresh.notified() => {
                    failures = 0;
                    if *heard.lock().unwrap_or_else(PoisonError::into_inner) == generation {
                        old = nothing();
                    }
                }
                changed = wanted.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    old = std::mem::replace(&mut current, nothing());
                    break;
                }
            }
        }
    }
}

/// The resources in an acknowledgement.
fn honoured(notification: &Notification) -> BTreeSet<String> {
    let found =
        notification.params.get("notifications").and_then(|filter| filter.get("resourceSubscriptions"));
    let found = found.and_then(Value::as_array).into_iter().flatten();
    found.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The parameters of `resources/subscribe` and `resources/unsubscribe`.
pub(super) fn resource(uri: &str) -> Map<String, Value> {
    match json!({"uri": uri}) {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// A notification as it goes to listeners: without the id of the guard's own subscription.
pub(super) fn cleaned(mut notification: Notification) -> Notification {
    if let Some(Value::Object(meta)) = notification.params.get_mut("_meta") {
        meta.remove(shape::SUBSCRIPTION_ID);
        if meta.is_empty() {
            notification.params.remove("_meta");
        }
    }
    notification
}
