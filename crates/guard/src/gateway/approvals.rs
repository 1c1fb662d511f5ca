//! Calls that wait for a person, and answers that wait for their call.
//!
//! An approval is bound to the digest of the canonical call, its labels and the policy's version; it is used once and expires.
//! The agent gets a refusal that names the request, and calls again when it was told to.

use std::collections::BTreeMap;
use std::sync::Arc;

use ostrom_core::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::flow::{ContextKey, Violation};
use crate::label::Label;

/// More would not be read by anybody.
const MAX_WAITING: usize = 1_000;

/// A call that a person may approve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// What an answer is bound to.
    pub digest: Digest,
    /// Whose call.
    pub context: ContextKey,
    /// The server.
    pub server: Arc<str>,
    /// The tool.
    pub tool: Arc<str>,
    /// The arguments, as they would be dispatched.
    pub arguments: BTreeMap<String, Value>,
    /// Of control and arguments.
    pub label: Label,
    /// Why it was refused.
    pub violations: Vec<Violation>,
    /// Policies that forbid it.
    pub forbidden_by: Vec<String>,
    /// Seconds since 1970.
    pub at: u64,
}

/// What is bound together.
#[derive(Serialize)]
struct Bound<'a> {
    context: &'a ContextKey,
    server: &'a str,
    tool: &'a str,
    arguments: &'a BTreeMap<String, Value>,
    label: &'a Label,
    policy: Digest,
    /// The arguments letter by letter: canonical JSON has numbers as doubles, of which large integers share one.
    exact: String,
}

/// The digest that an answer is bound to.
#[must_use]
pub fn digest(
    context: &ContextKey,
    (server, tool): (&str, &str),
    arguments: &BTreeMap<String, Value>,
    label: &Label,
    policy: Digest,
) -> Digest {
    let exact = serde_json::to_string(arguments).unwrap_or_default();
    let bound = Bound { context, server, tool, arguments, label, policy, exact };
    // Strings, numbers that were JSON, and maps with string keys: always canonical JSON.
    ostrom_trust::digest_of(&bound).unwrap_or(Digest::of(b""))
}

/// What waits.
#[derive(Debug, Default)]
pub struct Approvals {
    waiting: BTreeMap<Digest, Request>,
    /// Answers, and when they end.
    approved: BTreeMap<Digest, u64>,
}

impl Approvals {
    /// Uses up the approval of a call, if there is one.
    pub fn take(&mut self, digest: &Digest, now: u64) -> bool {
        self.approved.retain(|_, until| *until > now);
        let found = self.approved.remove(digest).is_some();
        if found {
            self.waiting.remove(digest);
        }
        found
    }

    /// Lets a call wait for its answer. Requests that nobody answered make room.
    pub fn wait(&mut self, request: Request) {
        if self.waiting.len() >= MAX_WAITING {
            let oldest = self.waiting.values().min_by_key(|request| request.at).map(|request| request.digest);
            if let Some(oldest) = oldest {
                self.waiting.remove(&oldest);
            }
        }
        self.waiting.insert(request.digest, request);
    }

    /// What waits, oldest first.
    #[must_use]
    pub fn waiting(&self) -> Vec<&Request> {
        let mut all: Vec<&Request> = self.waiting.values().collect();
        all.sort_by_key(|request| request.at);
        all
    }

    /// The request whose digest begins with these hexadecimal digits, if it is the only one.
    #[must_use]
    pub fn find(&self, start: &str) -> Option<&Request> {
        let mut found = self.waiting.values().filter(|request| request.digest.to_string().starts_with(start));
        let one = found.next()?;
        found.next().is_none().then_some(one)
    }

    /// A person's answer. False if nothing of this digest waits.
    pub fn answer(&mut self, digest: &Digest, approved: bool, until: u64) -> bool {
        let found = self.waiting.remove(digest).is_some();
        if found && approved {
            self.approved.insert(*digest, until);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::label::Readers;

    fn request(text: &str, at: u64) -> Request {
        let context = ContextKey { principal: "ana".into(), run: None };
        let arguments = BTreeMap::from([("to".to_owned(), json!(text))]);
        let label = Label::user(Readers::Everyone);
        let digest = digest(&context, ("mail", "send"), &arguments, &label, Digest::of(b"policy"));
        Request {
            digest,
            context,
            server: "mail".into(),
            tool: "send".into(),
            arguments,
            label,
            violations: Vec::new(),
            forbidden_by: Vec::new(),
            at,
        }
    }

    #[test]
    fn an_approval_is_used_once_and_expires() {
        let mut approvals = Approvals::default();
        let one = request("bob", 1);
        approvals.wait(one.clone());
        assert!(!approvals.take(&one.digest, 2));
        assert!(approvals.answer(&one.digest, true, 10));
        assert!(approvals.take(&one.digest, 9) && !approvals.take(&one.digest, 9));
        approvals.wait(one.clone());
        approvals.answer(&one.digest, true, 10);
        assert!(!approvals.take(&one.digest, 10));
        // A refusal, and an answer to nothing.
        approvals.wait(one.clone());
        approvals.answer(&one.digest, false, 99);
        assert!(!approvals.take(&one.digest, 5) && !approvals.answer(&one.digest, true, 99));
    }

    #[test]
    fn an_approval_is_for_this_call_under_these_labels_and_this_policy_only() {
        let one = request("bob", 1);
        let of = |tool: &str, to: &str, label: &Label, policy: &[u8]| {
            digest(
                &one.context,
                ("mail", tool),
                &BTreeMap::from([("to".to_owned(), json!(to))]),
                label,
                Digest::of(policy),
            )
        };
        assert_eq!(of("send", "bob", &one.label, b"policy"), one.digest);
        let amount = |number: i64| {
            let arguments = BTreeMap::from([("amount".to_owned(), json!(number))]);
            digest(&one.context, ("bank", "pay"), &arguments, &one.label, Digest::of(b"policy"))
        };
        assert_ne!(amount(9_007_199_254_740_992), amount(9_007_199_254_740_993));
        for other in [
            of("send", "eve", &one.label, b"policy"),
            of("draft", "bob", &one.label, b"policy"),
            of("send", "bob", &Label::constant(), b"policy"),
            of("send", "bob", &one.label, b"other"),
        ] {
            assert_ne!(other, one.digest);
        }
    }

    #[test]
    fn the_oldest_requests_make_room() {
        let mut approvals = Approvals::default();
        for n in 0..=MAX_WAITING as u64 {
            approvals.wait(request(&n.to_string(), n));
        }
        assert_eq!(approvals.waiting().len(), MAX_WAITING);
        assert_eq!(approvals.waiting()[0].at, 1);
        assert!(approvals.find(&approvals.waiting()[5].digest.short()).is_some());
        assert!(approvals.find("").is_none());
    }
}
