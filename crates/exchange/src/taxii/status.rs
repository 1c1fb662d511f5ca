//! What became of a post.

use ostrom_core::{Timestamp, Uuid};
use serde_json::{Value, json};

use crate::service::Outcome;

/// Most objects that a status tells one by one.
const MOST: usize = 20_000;

/// The status resource of a post that is done (TAXII 2.1, section 4.3.1).
pub(super) fn resource(id: Uuid, outcomes: &[Outcome], requested: Timestamp) -> Value {
    let (mut successes, mut failures) = (Vec::new(), Vec::new());
    let mut counts = (0_u64, 0_u64);
    for outcome in outcomes {
        let (list, count, message) = match &outcome.result {
            Ok(took) => {
                let message =
                    took.unreadable.as_ref().map(|why| format!("taken, but nobody can read it: {why}"));
                (&mut successes, &mut counts.0, message)
            }
            Err(refusal) => (&mut failures, &mut counts.1, Some(refusal.to_string())),
        };
        *count += 1;
        if list.len() < MOST {
            list.push(detail(outcome, message));
        }
    }
    let mut status = json!({
        "id": id,
        "status": "complete",
        "request_timestamp": requested,
        "total_count": counts.0 + counts.1,
        "success_count": counts.0,
        "failure_count": counts.1,
        "pending_count": 0,
    });
    if let Value::Object(map) = &mut status {
        for (name, list) in [("successes", successes), ("failures", failures)] {
            if !list.is_empty() {
                map.insert(name.to_owned(), Value::Array(list));
            }
        }
    }
    status
}

fn detail(outcome: &Outcome, message: Option<String>) -> Value {
    // A status detail must have an id and a version.
    let id = outcome.id.as_ref().map_or_else(|| format!("unknown--{}", Uuid::nil()), ToString::to_string);
    let taken = outcome.result.as_ref().ok().map(|took| took.version);
    let version = outcome.version.or(taken).unwrap_or(Timestamp::EPOCH);
    let mut detail = json!({ "id": id, "version": version });
    if let (Value::Object(map), Some(message)) = (&mut detail, message) {
        let place = outcome.index;
        map.insert("message".to_owned(), Value::String(format!("object {place}: {message}")));
    }
    detail
}
