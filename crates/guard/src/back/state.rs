//! What all connections to one server, one after the other, have in common.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value};
use tokio::sync::broadcast;

use super::clean::quote;
use super::table::{Counters, Kind, Table};
use super::{Answer, Fault, Limits, ServerInfo, Settings};
use crate::wire::{Notification, Revision, RpcError};

/// Changes that may wait for a slow listener; it is told how many it missed.
const CHANGES: usize = 256;

/// What outlives a connection.
pub(super) struct Common {
    pub(super) settings: Settings,
    pub(super) counters: Arc<Counters>,
    pub(super) changes: broadcast::Sender<Notification>,
    /// Subscribed resources, and how many subscribed to each.
    subscribed: Mutex<BTreeMap<String, usize>>,
}

impl Common {
    pub(super) fn new(settings: Settings) -> Arc<Self> {
        let (changes, _) = broadcast::channel(CHANGES);
        Arc::new(Self { settings, counters: Arc::default(), changes, subscribed: Mutex::default() })
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.settings.limits
    }

    pub(super) fn capabilities(&self) -> &Map<String, Value> {
        &self.settings.capabilities
    }

    pub(super) fn table(&self, kind: Kind) -> Arc<Table> {
        let said = self.settings.stderr.clone();
        Table::new(*self.limits(), Arc::clone(&self.counters), self.changes.clone(), said, kind)
    }

    /// Says something about the server where its own words go.
    pub(super) fn tell(&self, text: &str) {
        if let Some(sink) = &self.settings.stderr {
            sink(&format!("[guard] {}", quote(text)));
        }
    }

    /// Tells listeners to look again at whatever the server can change.
    pub(super) fn all_may_have_changed(&self, info: &ServerInfo) {
        for list in ["tools", "prompts", "resources"] {
            if info.capabilities.contains_key(list) {
                let method = format!("notifications/{list}/list_changed");
                // Nobody may be listening.
                let _nobody = self.changes.send(Notification { method, params: Map::new() });
            }
        }
        for uri in self.wanted() {
            let method = "notifications/resources/updated".to_owned();
            let params = Map::from_iter([("uri".to_owned(), Value::from(uri))]);
            let _nobody = self.changes.send(Notification { method, params });
        }
    }

    /// The subscribed resources.
    pub(super) fn wanted(&self) -> Vec<String> {
        self.subscribed.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// Counts a subscription; true if it is the first one.
    pub(super) fn want(&self, uri: &str) -> bool {
        let mut subscribed = self.subscribed.lock().unwrap_or_else(PoisonError::into_inner);
        let count = subscribed.entry(uri.to_owned()).or_default();
        *count = count.saturating_add(1);
        *count == 1
    }

    /// Counts one less; true if it was the last one.
    pub(super) fn unwant(&self, uri: &str) -> bool {
        let mut subscribed = self.subscribed.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(count) = subscribed.get_mut(uri) else { return false };
        *count = count.saturating_sub(1);
        if *count > 0 {
            return false;
        }
        subscribed.remove(uri);
        true
    }
}

/// What an answer to `server/discover` says: a server of the newest revision, or none (an older one, as far as one can tell).
///
/// # Errors
/// If it is newer than anything that the guard speaks, or refuses the guard.
pub(super) fn judge(outcome: Answer) -> Result<Option<ServerInfo>, Fault> {
    let versions = |list: Option<&Value>| -> Option<Vec<String>> {
        let list = list?.as_array()?;
        Some(list.iter().take(64).filter_map(Value::as_str).map(str::to_owned).collect())
    };
    let (supported, result) = match outcome {
        Ok(result) => match versions(result.get("supportedVersions")) {
            Some(supported) => (supported, Some(result)),
            None => return Ok(None),
        },
        Err(error) if error.code == RpcError::UNSUPPORTED_REVISION => {
            let supported = error.data.as_ref().and_then(|data| versions(data.get("supported")));
            (supported.unwrap_or_default(), None)
        }
        Err(error) if matches!(error.code, RpcError::HEADER_MISMATCH | RpcError::MISSING_CAPABILITY) => {
            let text = quote(&error.to_string());
            return Err(Fault::CannotStart(format!("it refused server/discover: {text}")));
        }
        Err(_) => return Ok(None),
    };
    let speaks = |revision: Revision| supported.iter().any(|name| name == revision.name());
    match result {
        Some(result) if speaks(Revision::V2026_07_28) => Ok(Some(ServerInfo::of_discover(result))),
        _ if Revision::ALL.into_iter().any(|revision| !revision.is_stateless() && speaks(revision)) => {
            Ok(None)
        }
        _ => Err(Fault::CannotStart(format!(
            "it speaks only revisions of MCP that the guard does not: {}",
            quote(&supported.join(", "))
        ))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(result: Value) -> Result<Option<Revision>, Fault> {
        let map = result.as_object().unwrap().clone();
        judge(Ok(map)).map(|info| info.map(|info| info.revision))
    }

    #[test]
    fn eras_are_told_apart_by_the_answer_to_discover() {
        assert_eq!(
            found(json!({"supportedVersions": ["2026-07-28", "2025-11-25"]})),
            Ok(Some(Revision::V2026_07_28))
        );
        assert_eq!(found(json!({"supportedVersions": ["2025-11-25"]})), Ok(None));
        assert_eq!(found(json!({})), Ok(None));
        assert!(found(json!({"supportedVersions": ["2031-01-01"]})).is_err());
        let refused =
            |code, data: Value| judge(Err(RpcError { data: Some(data), ..RpcError::new(code, "") })).is_err();
        assert!(!refused(-32601, json!(null)));
        assert!(!refused(-32022, json!({"supported": ["2025-06-18"]})));
        assert!(refused(-32022, json!({"supported": ["2031-01-01"]})));
        assert!(refused(-32022, json!(null)));
        assert!(refused(-32020, json!(null)));
    }

    #[test]
    fn subscriptions_are_counted() {
        let common = Common::new(Settings::default());
        assert!(common.want("a:1"));
        assert!(!common.want("a:1"));
        assert!(!common.unwant("a:1"));
        assert_eq!(common.wanted(), ["a:1"]);
        assert!(common.unwant("a:1"));
        assert!(!common.unwant("a:1"));
        assert!(common.wanted().is_empty());
    }
}
