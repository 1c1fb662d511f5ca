//! Values that the guard keeps for agents, and the handles under which agents pass them on (rule 4).

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ostrom_core::Digest;
use serde_json::{Map, Value};

use crate::flow::{Endorse, HandleId};

/// How every handle begins.
pub const PREFIX: &str = "ostrom:ref:";
/// Characters after the prefix: 128 random bits.
const RANDOM_CHARACTERS: usize = 22;

/// A kept value.
#[derive(Debug)]
pub struct Kept {
    /// What a handle stands for in an argument.
    pub value: Value,
    /// What `reveal` shows, if that is not the value.
    pub shown: Option<Map<String, Value>>,
    /// Parts that may be shown without their label.
    pub endorse: Vec<Endorse>,
    /// Where it is from, for messages.
    pub from: String,
    bytes: usize,
}

/// Bounds of what is kept, over all contexts.
#[derive(Debug, Clone, Copy)]
pub struct Capacity {
    /// Values.
    pub values: usize,
    /// Bytes of their JSON.
    pub bytes: usize,
}

/// All kept values. The oldest are forgotten first; whose they are is the engine's knowledge.
#[derive(Debug)]
pub struct Store {
    values: HashMap<HandleId, Arc<Kept>>,
    order: VecDeque<HandleId>,
    bytes: usize,
    capacity: Capacity,
}

/// A handle in an argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Which value.
    pub handle: HandleId,
    /// Which part of it.
    pub pointer: String,
}

impl Store {
    /// An empty store.
    #[must_use]
    pub fn new(capacity: Capacity) -> Self {
        Self { values: HashMap::new(), order: VecDeque::new(), bytes: 0, capacity }
    }

    /// Keeps a value and gives the text of its handle.
    ///
    /// # Errors
    /// If the system has no randomness.
    pub fn keep(
        &mut self,
        value: Value,
        shown: Option<Map<String, Value>>,
        endorse: Vec<Endorse>,
        from: String,
    ) -> Result<(String, HandleId), getrandom::Error> {
        let mut random = [0; 16];
        getrandom::fill(&mut random)?;
        let text = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random));
        let handle = Digest::of(text.as_bytes());
        let bytes =
            weight(&value).saturating_add(shown.as_ref().map_or(0, |shown| {
                shown.values().fold(0_usize, |sum, value| sum.saturating_add(weight(value)))
            }));
        self.values.insert(handle, Arc::new(Kept { value, shown, endorse, from, bytes }));
        self.order.push_back(handle);
        self.bytes = self.bytes.saturating_add(bytes);
        while self.values.len() > self.capacity.values
            || (self.bytes > self.capacity.bytes && self.values.len() > 1)
        {
            let Some(oldest) = self.order.pop_front() else { break };
            if let Some(kept) = self.values.remove(&oldest) {
                self.bytes = self.bytes.saturating_sub(kept.bytes);
            }
        }
        Ok((text, handle))
    }

    /// The value of a handle, if it is still kept. Whoever asks must have checked with the engine whose it is.
    #[must_use]
    pub fn get(&self, handle: &HandleId) -> Option<Arc<Kept>> {
        self.values.get(handle).cloned()
    }
}

/// About how many bytes a value takes.
pub(super) fn weight(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len().saturating_add(24),
        Value::Array(values) => values.iter().fold(24, |sum: usize, value| sum.saturating_add(weight(value))),
        Value::Object(members) => members
            .iter()
            .fold(24, |sum: usize, (key, value)| sum.saturating_add(key.len()).saturating_add(weight(value))),
        _ => 24,
    }
}

/// What a reference stands for in an argument. A text that its server also wraps into an object of one member (as structured content) is a text, if all
/// of it is passed on: that is what arguments want, and nobody has seen under which name it is wrapped.
#[must_use]
pub fn passed_on(kept: &Kept, pointer: &str) -> Option<Value> {
    let wrapped = || {
        let Value::Object(members) = &kept.value else { return None };
        let text = members.values().next().filter(|_| members.len() == 1)?.as_str()?;
        let [only] = kept.shown.as_ref()?.get("content")?.as_array()?.as_slice() else { return None };
        let same = only.get("type")? == "text" && only.get("text")? == text;
        same.then(|| Value::String(text.to_owned()))
    };
    if pointer.is_empty()
        && let Some(text) = wrapped()
    {
        return Some(text);
    }
    part(&kept.value, pointer)
}

/// About how many bytes a reference to a part of `kept` puts into a request, or takes to find.
#[must_use]
pub fn cost(kept: &Kept, pointer: &str) -> usize {
    match &kept.value {
        value if pointer.is_empty() => weight(value),
        // All of a text is read, whatever part of it is wanted.
        Value::String(text) => text.len(),
        value => value.pointer(pointer).map_or(0, weight),
    }
}

/// The reference that a text is, if all of it is one.
#[must_use]
pub fn reference(text: &str) -> Option<Reference> {
    let rest = text.strip_prefix(PREFIX)?;
    let (random, pointer) = rest.split_once('#').unwrap_or((rest, ""));
    let random_ok = random.len() == RANDOM_CHARACTERS
        && random.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    let pointer_ok = pointer.is_empty() || pointer.starts_with('/');
    (random_ok && pointer_ok).then(|| Reference {
        handle: Digest::of(format!("{PREFIX}{random}").as_bytes()),
        pointer: pointer.to_owned(),
    })
}

/// All references in a value.
#[must_use]
pub fn references(value: &Value) -> Vec<Reference> {
    let mut found = Vec::new();
    visit(value, &mut found);
    found
}

fn visit(value: &Value, found: &mut Vec<Reference>) {
    match value {
        Value::String(text) => found.extend(reference(text)),
        Value::Array(values) => values.iter().for_each(|value| visit(value, found)),
        Value::Object(members) => members.values().for_each(|value| visit(value, found)),
        _ => {}
    }
}

/// The part of a value that a pointer names. A text that is JSON is looked into.
#[must_use]
pub fn part(value: &Value, pointer: &str) -> Option<Value> {
    if pointer.is_empty() {
        return Some(value.clone());
    }
    match value {
        Value::String(text) => crate::wire::parse_value(text.as_bytes(), &crate::wire::Limits::default())
            .ok()?
            .pointer(pointer)
            .cloned(),
        _ => value.pointer(pointer).cloned(),
    }
}

/// `value` with every reference replaced by what `resolve` gives.
///
/// # Errors
/// The reference that `resolve` has nothing for.
pub fn replace(
    value: &Value,
    resolve: &mut impl FnMut(&Reference) -> Option<Value>,
) -> Result<Value, Reference> {
    Ok(match value {
        Value::String(text) => match reference(text) {
            Some(found) => resolve(&found).ok_or(found)?,
            None => value.clone(),
        },
        Value::Array(values) => {
            Value::Array(values.iter().map(|value| replace(value, resolve)).collect::<Result<_, _>>()?)
        }
        Value::Object(members) => {
            let mut replaced = Map::new();
            for (key, value) in members {
                replaced.insert(key.clone(), replace(value, resolve)?);
            }
            Value::Object(replaced)
        }
        other => other.clone(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn store(values: usize, bytes: usize) -> Store {
        Store::new(Capacity { values, bytes })
    }

    #[test]
    fn a_handle_is_128_random_bits_and_finds_its_value() {
        let mut store = store(10, 1 << 20);
        let (a, id) = store.keep(json!("x"), None, Vec::new(), "s/t".into()).unwrap();
        let (b, _) = store.keep(json!("x"), None, Vec::new(), "s/t".into()).unwrap();
        assert_ne!(a, b);
        assert_eq!(reference(&a).unwrap(), Reference { handle: id, pointer: String::new() });
        assert_eq!(store.get(&id).unwrap().value, json!("x"));
    }

    #[test]
    fn only_whole_strings_are_references() {
        let text = format!("{PREFIX}{}", "A".repeat(22));
        assert!(reference(&text).is_some() && reference(&format!("{text}#/a/0")).is_some());
        for no in [
            format!("see {text}"),
            format!("{text} "),
            format!("{text}#a"),
            format!("{PREFIX}short"),
            text.to_uppercase(),
        ] {
            assert!(reference(&no).is_none(), "{no}");
        }
    }

    #[test]
    fn references_are_replaced_wherever_they_stand_and_a_missing_one_is_named() {
        let text = format!("{PREFIX}{}", "A".repeat(22));
        let value = json!({"a": [text, "b"], "c": format!("{text}#/k")});
        assert_eq!(references(&value).len(), 2);
        let kept = json!({"k": 1});
        let whole = replace(&value, &mut |found| part(&kept, &found.pointer)).unwrap();
        assert_eq!(whole, json!({"a": [{"k": 1}, "b"], "c": 1}));
        let missing = replace(&value, &mut |found| part(&json!({}), &found.pointer)).unwrap_err();
        assert_eq!(missing.pointer, "/k");
    }

    #[test]
    fn a_text_that_is_json_can_be_looked_into() {
        assert_eq!(part(&json!(r#"{"a":[1,2]}"#), "/a/1"), Some(json!(2)));
        assert_eq!(part(&json!(r#"{"a":1,"a":2}"#), "/a"), None);
        assert_eq!(part(&json!("no json"), "/a"), None);
    }

    #[test]
    fn a_text_that_is_wrapped_as_structured_content_too_is_passed_on_as_a_text() {
        let kept = |value: Value, content: Value| Kept {
            value,
            shown: Some(json!({ "content": content }).as_object().unwrap().clone()),
            endorse: Vec::new(),
            from: String::new(),
            bytes: 0,
        };
        let text = |text: &str| json!([{"type": "text", "text": text}]);
        let wrapped = kept(json!({"content": "hello"}), text("hello"));
        assert_eq!(passed_on(&wrapped, ""), Some(json!("hello")));
        assert_eq!(passed_on(&wrapped, "/content"), Some(json!("hello")));
        for other in [
            kept(json!({"content": "hello"}), text("other")),
            kept(json!({"content": "hello", "b": 1}), text("hello")),
            kept(json!({"content": "hello"}), json!([])),
            kept(json!(["hello"]), text("hello")),
        ] {
            assert_eq!(passed_on(&other, ""), Some(other.value.clone()));
        }
    }

    #[test]
    fn the_oldest_values_go_first_when_there_is_no_room() {
        let mut store = store(2, 1 << 20);
        let ids: Vec<HandleId> =
            (0..3).map(|n| store.keep(json!(n), None, Vec::new(), String::new()).unwrap().1).collect();
        assert!(store.get(&ids[0]).is_none() && store.get(&ids[2]).is_some());
        let mut small = Store::new(Capacity { values: 10, bytes: 100 });
        let first = small.keep(json!("a".repeat(80)), None, Vec::new(), String::new()).unwrap().1;
        let second = small.keep(json!("b".repeat(200)), None, Vec::new(), String::new()).unwrap().1;
        assert!(small.get(&first).is_none() && small.get(&second).is_some());
    }
}
