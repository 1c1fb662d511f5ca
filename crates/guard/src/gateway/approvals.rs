//! Calls that wait for a person, and answers that wait for their call.
//!
//! An approval is bound to the digest of the canonical call, its labels and the policy's version; it is used once and expires.
//! The agent gets a refusal that names the request, and calls again when it was told to. The name is random: a digest of
//! arguments that the agent has handles of would tell it, guess by guess, what they stand for.

use std::collections::BTreeMap;
use std::sync::Arc;

use ostrom_core::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Notify;

use crate::flow::{ContextKey, Violation};
use crate::label::Label;

/// More would not be read by anybody.
const MAX_WAITING: usize = 1_000;
/// Bytes of all that waits. One request alone may have more: it was let in as a message.
const MAX_BYTES: usize = 64 << 20;

/// A call that a person may approve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Its random name, under which it is shown, answered and recorded.
    pub digest: Digest,
    /// What an answer is bound to. It stays inside.
    #[serde(skip, default = "unbound")]
    pub binding: Digest,
    /// Whose call.
    pub context: ContextKey,
    /// The server.
    pub server: Arc<str>,
    /// The tool.
    pub tool: Arc<str>,
    /// Which prompt, for `prompts/get`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<Arc<str>>,
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

/// Binds nothing: no call has this digest.
fn unbound() -> Digest {
    Digest::of(b"")
}

/// What is bound together.
#[derive(Serialize)]
struct Bound<'a> {
    context: &'a ContextKey,
    server: &'a str,
    tool: &'a str,
    prompt: Option<&'a str>,
    arguments: &'a BTreeMap<String, Value>,
    /// As the agent passed them, letter by letter. Two handles of equal values are two questions: one name for both would tell
    /// that the values are equal.
    passed: String,
    label: &'a Label,
    policy: Digest,
    /// The arguments letter by letter: canonical JSON has numbers as doubles, of which large integers share one.
    exact: String,
}

/// The digest that an answer is bound to: of a call with these arguments, as the agent passed them and as they would be dispatched.
#[must_use]
pub fn binding(
    context: &ContextKey,
    (server, tool, prompt): (&str, &str, Option<&str>),
    (passed, arguments): (&BTreeMap<String, Value>, &BTreeMap<String, Value>),
    label: &Label,
    policy: Digest,
) -> Digest {
    let text = |arguments| serde_json::to_string(arguments).unwrap_or_default();
    let (passed, exact) = (text(passed), text(arguments));
    let bound = Bound { context, server, tool, prompt, arguments, passed, label, policy, exact };
    // Strings, numbers that were JSON, and maps with string keys: always canonical JSON.
    ostrom_trust::digest_of(&bound).unwrap_or(Digest::of(b""))
}

/// A random name for a request.
///
/// # Errors
/// If the system has no randomness.
pub fn random_name() -> Result<Digest, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(Digest::from_bytes(bytes))
}

/// Where people answer, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Seconds until a question counts as answered with no, and until an approval that was not used ends.
    pub seconds: u64,
    /// `ostrom guard approve`.
    pub terminal: bool,
    /// The approval page.
    pub web: bool,
    /// A service of the owner's.
    pub webhook: bool,
}

impl Default for Terms {
    fn default() -> Self {
        Self { seconds: 15 * 60, terminal: true, web: false, webhook: false }
    }
}

impl Terms {
    /// What an agent is told about how a call can be approved. Made of the configuration and the digest only.
    pub(super) fn sentence(&self, request: &Digest) -> String {
        let short: String = request.to_string().chars().take(12).collect();
        let mut ways = Vec::new();
        if self.terminal {
            ways.push(format!("with `ostrom guard approve {short}`"));
        }
        if self.web {
            ways.push("on the guard's approval page".to_owned());
        }
        if self.webhook {
            ways.push("through the service that the guard has asked".to_owned());
        }
        if ways.is_empty() {
            return "Only a person could approve it, and the guard has no channel on which to ask one \
                    ([approval] channels in guard.toml)."
                .to_owned();
        }
        format!(
            "A person may approve it (request {short}) {}; then make the same call again.",
            ways.join(", or ")
        )
    }
}

/// A request, and the bytes that it takes.
#[derive(Debug)]
struct Waiting {
    request: Arc<Request>,
    bytes: usize,
}

/// What waits.
#[derive(Debug, Default)]
pub struct Approvals {
    /// How people answer.
    pub terms: Terms,
    waiting: BTreeMap<Digest, Waiting>,
    /// Of all that waits.
    bytes: usize,
    /// The names of what waits, by what it is bound to.
    names: BTreeMap<Digest, Digest>,
    /// What was approved, by what it is bound to: the name, and when it ends.
    approved: BTreeMap<Digest, (Digest, u64)>,
    news: Arc<Notify>,
}

impl Approvals {
    /// Uses up the approval of a call, if there is one, and gives the name of its request.
    pub fn take(&mut self, binding: &Digest, now: u64) -> Option<Digest> {
        self.approved.retain(|_, (_, until)| *until > now);
        let (name, _) = self.approved.remove(binding)?;
        if let Some(waits) = self.names.get(binding).copied() {
            self.remove(&waits);
        }
        Some(name)
    }

    /// The name under which a call waits already.
    pub fn name(&mut self, binding: &Digest, now: u64) -> Option<Digest> {
        self.expire(now);
        self.names.get(binding).copied()
    }

    /// Lets a call wait for its answer. Requests that nobody answered make room. A call that is made again while it waits
    /// is the same question, which does not get any younger.
    pub fn wait(&mut self, request: Request) {
        self.expire(request.at);
        if self.waiting.contains_key(&request.digest) || self.names.contains_key(&request.binding) {
            return;
        }
        let bytes = serde_json::to_vec(&request).map_or(0, |bytes| bytes.len());
        while !self.waiting.is_empty()
            && (self.waiting.len() >= MAX_WAITING || self.bytes.saturating_add(bytes) > MAX_BYTES)
        {
            let Some(digest) = self.makes_room() else { break };
            self.remove(&digest);
        }
        self.bytes = self.bytes.saturating_add(bytes);
        self.names.insert(request.binding, request.digest);
        self.waiting.insert(request.digest, Waiting { request: Arc::new(request), bytes });
        self.news.notify_one();
    }

    /// The oldest question of the principal whose questions take most room: nobody can push out somebody else's by asking a lot.
    fn makes_room(&self) -> Option<Digest> {
        let mut room: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for waiting in self.waiting.values() {
            let (count, bytes) = room.entry(&waiting.request.context.principal).or_default();
            *count = count.saturating_add(1);
            *bytes = bytes.saturating_add(waiting.bytes);
        }
        let is_full = self.waiting.len() >= MAX_WAITING;
        let most =
            room.into_iter().max_by_key(|(_, (count, bytes))| if is_full { *count } else { *bytes })?.0;
        let of_principal =
            self.waiting.values().filter(|waiting| *waiting.request.context.principal == *most);
        of_principal.min_by_key(|waiting| waiting.request.at).map(|waiting| waiting.request.digest)
    }

    /// Tells its one listener that something new waits.
    #[must_use]
    pub fn news(&self) -> Arc<Notify> {
        self.news.clone()
    }

    /// When a request that was made at `at` ends.
    #[must_use]
    pub fn expires(&self, at: u64) -> u64 {
        at.saturating_add(self.terms.seconds)
    }

    fn remove(&mut self, digest: &Digest) -> bool {
        let Some(removed) = self.waiting.remove(digest) else { return false };
        self.bytes = self.bytes.saturating_sub(removed.bytes);
        self.names.remove(&removed.request.binding);
        true
    }

    fn expire(&mut self, now: u64) {
        let seconds = self.terms.seconds;
        let mut freed: usize = 0;
        let names = &mut self.names;
        self.waiting.retain(|_, waiting| {
            let stays = waiting.request.at.saturating_add(seconds) > now;
            if !stays {
                freed = freed.saturating_add(waiting.bytes);
                names.remove(&waiting.request.binding);
            }
            stays
        });
        self.bytes = self.bytes.saturating_sub(freed);
    }

    /// What waits, oldest first.
    pub fn waiting(&mut self, now: u64) -> Vec<Arc<Request>> {
        self.expire(now);
        let mut all: Vec<Arc<Request>> =
            self.waiting.values().map(|waiting| waiting.request.clone()).collect();
        all.sort_by_key(|request| request.at);
        all
    }

    /// The request whose name begins with these hexadecimal digits, if it is the only one.
    pub fn find(&mut self, start: &str, now: u64) -> Option<Arc<Request>> {
        self.expire(now);
        let mut found =
            self.waiting.values().filter(|waiting| waiting.request.digest.to_string().starts_with(start));
        let one = found.next()?;
        found.next().is_none().then(|| one.request.clone())
    }

    /// The request of this name.
    pub fn get(&mut self, digest: &Digest, now: u64) -> Option<Arc<Request>> {
        self.expire(now);
        self.waiting.get(digest).map(|waiting| waiting.request.clone())
    }

    /// A person's answer. False if nothing of this name waits.
    pub fn answer(&mut self, digest: &Digest, approved: bool, now: u64) -> bool {
        self.expire(now);
        let binding = self.waiting.get(digest).map(|waiting| waiting.request.binding);
        let found = self.remove(digest);
        if let Some(binding) = binding.filter(|_| approved) {
            self.approved.insert(binding, (*digest, self.expires(now)));
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
        let both = (&arguments, &arguments);
        let binding = binding(&context, ("mail", "send", None), both, &label, Digest::of(b"policy"));
        Request {
            digest: Digest::of(binding.to_string().as_bytes()),
            binding,
            context,
            server: "mail".into(),
            tool: "send".into(),
            prompt: None,
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
        approvals.terms.seconds = 10;
        let one = request("bob", 1);
        approvals.wait(one.clone());
        assert_eq!(approvals.take(&one.binding, 2), None);
        assert!(approvals.answer(&one.digest, true, 2));
        assert_eq!(approvals.take(&one.binding, 11), Some(one.digest));
        assert_eq!(approvals.take(&one.binding, 11), None);
        approvals.wait(request("bob", 20));
        assert!(approvals.answer(&one.digest, true, 20));
        assert_eq!(approvals.take(&one.binding, 30), None);
        // A refusal, and an answer to nothing.
        approvals.wait(request("bob", 40));
        assert!(approvals.answer(&one.digest, false, 41));
        assert_eq!(approvals.take(&one.binding, 42), None);
        assert!(!approvals.answer(&one.digest, true, 42));
    }

    #[test]
    fn a_question_that_nobody_answers_ends_and_asking_again_makes_it_no_younger() {
        let mut approvals = Approvals::default();
        approvals.terms.seconds = 10;
        let one = request("bob", 1);
        approvals.wait(one.clone());
        approvals.wait(request("bob", 9));
        assert_eq!(approvals.waiting(10)[0].at, 1);
        assert!(approvals.waiting(11).is_empty() && approvals.bytes == 0);
        assert!(!approvals.answer(&one.digest, true, 11));
        approvals.wait(request("bob", 12));
        assert_eq!(approvals.get(&one.digest, 12).unwrap().at, 12);
    }

    #[test]
    fn what_waits_is_bounded_in_bytes() {
        let mut approvals = Approvals::default();
        let long = "x".repeat(MAX_BYTES / 3);
        for n in 0..5 {
            let mut one = request(&n.to_string(), n);
            one.arguments.insert("body".to_owned(), json!(long));
            approvals.wait(one);
        }
        assert!(approvals.bytes <= MAX_BYTES);
        assert_eq!(approvals.waiting(5).iter().map(|one| one.at).collect::<Vec<_>>(), [3, 4]);
    }

    #[test]
    fn agents_are_told_of_the_channels_that_there_are() {
        let digest = Digest::of(b"call");
        let of = |terminal, web, webhook| Terms { seconds: 60, terminal, web, webhook }.sentence(&digest);
        assert!(of(true, false, false).contains("ostrom guard approve"));
        let page = of(false, true, false);
        assert!(page.contains("approval page") && !page.contains("ostrom guard approve"));
        assert!(of(true, true, true).contains("service"));
        assert!(of(false, false, false).contains("no channel"));
    }

    #[test]
    fn an_approval_is_for_this_call_under_these_labels_and_this_policy_only() {
        let one = request("bob", 1);
        let of = |tool: &str, to: &str, label: &Label, policy: &[u8]| {
            let arguments = BTreeMap::from([("to".to_owned(), json!(to))]);
            binding(&one.context, ("mail", tool, None), (&arguments, &arguments), label, Digest::of(policy))
        };
        assert_eq!(of("send", "bob", &one.label, b"policy"), one.binding);
        let amount = |number: i64| {
            let arguments = BTreeMap::from([("amount".to_owned(), json!(number))]);
            let both = (&arguments, &arguments);
            binding(&one.context, ("bank", "pay", None), both, &one.label, Digest::of(b"policy"))
        };
        assert_ne!(amount(9_007_199_254_740_992), amount(9_007_199_254_740_993));
        for other in [
            of("send", "eve", &one.label, b"policy"),
            of("draft", "bob", &one.label, b"policy"),
            binding(
                &one.context,
                ("mail", "send", Some("send")),
                (&one.arguments, &one.arguments),
                &one.label,
                Digest::of(b"policy"),
            ),
            of("send", "bob", &Label::constant(), b"policy"),
            of("send", "bob", &one.label, b"other"),
        ] {
            assert_ne!(other, one.binding);
        }
    }

    #[test]
    fn who_asks_most_pushes_out_nobody_elses_question() {
        let mut approvals = Approvals::default();
        approvals.terms.seconds = u64::MAX;
        let mut first = request("first", 0);
        first.context.principal = "bob".into();
        approvals.wait(first.clone());
        for n in 1..=2 * MAX_WAITING as u64 {
            approvals.wait(request(&n.to_string(), n));
        }
        assert_eq!(approvals.waiting(1).len(), MAX_WAITING);
        assert!(approvals.get(&first.digest, 1).is_some());
    }

    #[test]
    fn the_oldest_requests_make_room() {
        let mut approvals = Approvals::default();
        approvals.terms.seconds = u64::MAX;
        for n in 0..=MAX_WAITING as u64 {
            approvals.wait(request(&n.to_string(), n));
        }
        let waiting = approvals.waiting(1);
        assert_eq!((waiting.len(), waiting[0].at), (MAX_WAITING, 1));
        assert!(approvals.find(&waiting[5].digest.short(), 1).is_some());
        assert!(approvals.find("", 1).is_none());
    }
}
