//! What the agent sees of a result.

use serde_json::{Map, Value, json};

use super::handles::Store;
use crate::flow::{Endorsed, FieldFacts, KeptValue, Mutant, ResultFacts, Reveal, ToolFacts, mutated};
use crate::label::{Label, Labelled};
use crate::plan::{Answer, Tree};

/// A result as the agent gets it, and what the record says of it.
#[derive(Debug)]
pub struct Shown {
    /// The result.
    pub result: Map<String, Value>,
    /// Whether something of it was shown, so that its label joins the context.
    pub revealed: bool,
    /// What was kept instead.
    pub kept: Vec<KeptValue>,
    /// Fields that were shown without their label.
    pub endorsed: Vec<Endorsed>,
}

/// Where a result comes from.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// The server.
    pub server: &'a str,
    /// The tool.
    pub tool: &'a str,
    /// What is said of its results.
    pub facts: &'a ResultFacts,
    /// Of the whole result.
    pub label: &'a Label,
    /// Of what went into the call: fields carry it too.
    pub call: &'a Label,
}

/// What a result is worth in an argument: its structured content, or its text, or all of it.
#[must_use]
pub fn value(result: &Map<String, Value>) -> Value {
    if let Some(structured) = result.get("structuredContent") {
        return structured.clone();
    }
    match result.get("content").and_then(Value::as_array).map(Vec::as_slice) {
        Some([only]) if only.get("type") == Some(&json!("text")) => {
            only.get("text").cloned().unwrap_or(Value::Null)
        }
        _ => Value::Object(result.clone()),
    }
}

/// The text of a result that says one text. What else is in it the agent does not see: see [`as_pinned`].
#[must_use]
pub fn only_text(result: &Map<String, Value>) -> Option<&str> {
    if result.get("isError").is_some_and(|failed| *failed != Value::Bool(false)) {
        return None;
    }
    let [only] = result.get("content")?.as_array()?.as_slice() else { return None };
    let text = only.get("text").filter(|_| only.get("type") == Some(&json!("text")))?.as_str()?;
    // Many servers say a text a second time, with a name for it.
    let same = match result.get("structuredContent") {
        Some(Value::Object(members)) => members.len() == 1 && members.values().all(|value| value == text),
        Some(value) => value == text,
        None => true,
    };
    same.then_some(text)
}

/// A result of which nothing but its text is its server's choice: it has the structured form that the pinned definition asks for.
#[must_use]
pub fn as_pinned(result: &Map<String, Value>, definition: Option<&Value>) -> Map<String, Value> {
    let Some(text) = only_text(result) else { return result.clone() };
    let mut plain = text_result(text, false);
    let members =
        definition.and_then(|definition| definition.get("outputSchema")?.get("properties")?.as_object());
    if let Some(name) = members.filter(|members| members.len() == 1).and_then(|members| members.keys().next())
    {
        plain.insert(
            "structuredContent".to_owned(),
            Value::Object(Map::from_iter([(name.clone(), json!(text))])),
        );
    }
    plain
}

/// An error where the agent may not see it as it is: a result that failed, to be kept or reported like any other.
#[must_use]
pub fn from_error(error: &crate::wire::RpcError) -> Map<String, Value> {
    let mut result = text_result(&error.message, true);
    let more = json!({"code": error.code, "data": error.data}).to_string();
    // Two texts, so that nobody takes the message for a structured result and looks for fields in it.
    let blocks = json!([{"type": "text", "text": error.message}, {"type": "text", "text": more}]);
    result.insert("content".to_owned(), blocks);
    result
}

/// A result in which fields can be found: its structured content, or its only text if that is a JSON object or list. What is not the result
/// of a tool is its own structure. In several texts, or one that does not parse, the fields of strangers could be anywhere.
#[must_use]
pub fn structured(result: &Map<String, Value>) -> Option<Value> {
    let found = match (result.get("structuredContent"), result.get("content")) {
        (Some(structured), _) => structured.clone(),
        (None, Some(Value::Array(blocks))) => {
            let [only] = blocks.as_slice() else { return None };
            let text = only.get("text").filter(|_| only.get("type") == Some(&json!("text")))?.as_str()?;
            crate::wire::parse_value(text.as_bytes(), &crate::wire::Limits::default()).ok()?
        }
        (None, Some(_)) => return None,
        (None, None) => {
            let known = ["contents", "messages", "completion"].iter().any(|name| result.contains_key(*name));
            known.then(|| Value::Object(result.clone()))?
        }
    };
    (found.is_object() || found.is_array()).then_some(found)
}

/// All of a result, with its label, as a plan gets it.
#[must_use]
pub fn whole_of(
    result: &Map<String, Value>,
    facts: &ToolFacts,
    (server, tool): (&str, &str),
    label: &Label,
) -> Labelled {
    let label = label.clone();
    if facts.result.fields.is_empty() {
        return Labelled { value: value(result), label };
    }
    match structured(result) {
        Some(value) => Labelled { value, label },
        // Nobody can tell where the fields are, so all of it may be any of them.
        None => Labelled { value: value(result), label: label.join(&facts.result.strictest(server, tool)) },
    }
}

/// A result as the answer to a step of a plan: fields carry their own labels.
#[must_use]
pub fn answered(facts: &ToolFacts, (server, tool): (&str, &str), whole: Labelled, failed: bool) -> Answer {
    let mut tree = Tree::new(&whole.value, whole.label);
    for (pattern, field) in &facts.result.fields {
        let _nodes = tree.join_at(pattern, &facts.result.field_label(pattern, field, server, tool));
    }
    Answer { outcome: if failed { Err(tree) } else { Ok(tree) }, status: None }
}

/// Decides what the agent sees.
///
/// # Errors
/// If the system has no randomness for handles.
pub fn present(
    origin: Origin<'_>,
    result: Map<String, Value>,
    store: &mut Store,
) -> Result<Shown, getrandom::Error> {
    match origin.facts.reveal {
        Reveal::Value if origin.facts.fields.is_empty() => {
            Ok(Shown { result, revealed: true, kept: Vec::new(), endorsed: Vec::new() })
        }
        Reveal::Value => by_fields(origin, &result, store),
        Reveal::Status => {
            let failed = result.get("isError") == Some(&Value::Bool(true));
            let text = if failed { "The call failed." } else { "The call succeeded." };
            let result = text_result(text, failed);
            Ok(Shown { result, revealed: false, kept: Vec::new(), endorsed: Vec::new() })
        }
        Reveal::Reference => {
            let from = format!("{}/{}", origin.server, origin.tool);
            let (text, handle) =
                store.keep(value(&result), Some(result), origin.facts.endorse.clone(), from)?;
            // Its fields are in it.
            let strictest = || origin.facts.strictest(origin.server, origin.tool);
            let has_fields = !origin.facts.fields.is_empty() && !mutated(Mutant::FieldsForgotten);
            let label = if has_fields { origin.label.join(&strictest()) } else { origin.label.clone() };
            let result = text_result(&by_reference(&text), false);
            Ok(Shown {
                result,
                revealed: false,
                kept: vec![KeptValue { handle, label }],
                endorsed: Vec::new(),
            })
        }
    }
}

/// The same words for every value, so that they tell nothing about it.
fn by_reference(handle: &str) -> String {
    format!(
        "{handle}\nThe guard keeps this result, because strangers may have written it. Pass the first line on as an argument, with \
         #/json/pointer behind it for a part; or call reveal to read it, after which actions that must not be influenced by strangers are refused."
    )
}

/// A result with one text.
#[must_use]
pub fn text_result(text: &str, failed: bool) -> Map<String, Value> {
    let mut result = Map::new();
    result.insert("resultType".to_owned(), json!("complete"));
    result.insert("content".to_owned(), json!([{"type": "text", "text": text}]));
    if failed {
        result.insert("isError".to_owned(), Value::Bool(true));
    }
    result
}

/// Shows a structured result with some fields by reference. The server's own text may hold those fields, so it is replaced.
fn by_fields(
    origin: Origin<'_>,
    result: &Map<String, Value>,
    store: &mut Store,
) -> Result<Shown, getrandom::Error> {
    let whole = structured(result).filter(|whole| stars(origin.facts, whole) <= MAX_FIELDS);
    let Some(whole) = whole else {
        // What has no fields, or more than records have room for, is not what the policy's author saw: none of it is shown, and all of it may be any of the fields. Nor is
        // anything endorsed in it: that was said of another shape.
        let reference =
            ResultFacts { reveal: Reveal::Reference, endorse: Vec::new(), ..origin.facts.clone() };
        return present(Origin { facts: &reference, ..origin }, result.clone(), store);
    };
    let mut walk = Walk { origin, store, kept: Vec::new(), endorsed: Vec::new() };
    let shown = walk.show(&whole, &mut Vec::new())?;
    let (kept, endorsed) = (walk.kept, walk.endorsed);
    let failed = result.get("isError") == Some(&Value::Bool(true));
    let mut result = text_result(&serde_json::to_string_pretty(&shown).unwrap_or_default(), failed);
    result.insert(
        "structuredContent".to_owned(),
        if shown.is_object() { shown } else { json!({"result": shown}) },
    );
    Ok(Shown { result, revealed: true, kept, endorsed })
}

/// How many fields of one result may be kept.
const MAX_FIELDS: usize = 512;

/// How many fields a result has that differ from the rest.
fn stars(facts: &ResultFacts, whole: &Value) -> usize {
    fn count(facts: &ResultFacts, value: &Value, path: &mut Vec<String>) -> usize {
        if field_at(facts, path).is_some() {
            return 1;
        }
        let mut below = |name: String, value: &Value| {
            path.push(name);
            let found = count(facts, value, path);
            path.pop();
            found
        };
        match value {
            Value::Array(values) => {
                values.iter().enumerate().map(|(at, value)| below(at.to_string(), value)).sum()
            }
            Value::Object(members) => members.iter().map(|(name, value)| below(name.clone(), value)).sum(),
            _ => 0,
        }
    }
    count(facts, whole, &mut Vec::new())
}

struct Walk<'a> {
    origin: Origin<'a>,
    store: &'a mut Store,
    kept: Vec<KeptValue>,
    endorsed: Vec<Endorsed>,
}

impl Walk<'_> {
    fn show(&mut self, value: &Value, path: &mut Vec<String>) -> Result<Value, getrandom::Error> {
        let origin = self.origin;
        if let Some(field) = field_at(origin.facts, path) {
            return self.field(value, field, path);
        }
        Ok(match value {
            Value::Array(values) => {
                let mut shown = Vec::with_capacity(values.len());
                for (at, value) in values.iter().enumerate() {
                    path.push(at.to_string());
                    shown.push(self.show(value, path)?);
                    path.pop();
                }
                Value::Array(shown)
            }
            Value::Object(members) => {
                let mut shown = Map::new();
                for (key, value) in members {
                    path.push(key.clone());
                    shown.insert(key.clone(), self.show(value, path)?);
                    path.pop();
                }
                Value::Object(shown)
            }
            other => other.clone(),
        })
    }

    fn field(
        &mut self,
        value: &Value,
        (at, facts): (&str, &FieldFacts),
        path: &[String],
    ) -> Result<Value, getrandom::Error> {
        let origin = self.origin;
        if let Some(endorse) = facts.endorse.iter().find(|endorse| endorse.accepts(value)) {
            let bits = endorse.residual_bits(value);
            self.endorsed.push(Endorsed { argument: format!("/{}", path.join("/")), bits });
            return Ok(value.clone());
        }
        let label = origin.call.join(&origin.facts.field_label(at, facts, origin.server, origin.tool));
        // Inline is only what the label of the whole result already says; anything else would go unrecorded.
        if facts.reveal == Reveal::Value && origin.label.covers(&label) {
            return Ok(value.clone());
        }
        let from = format!("{}/{}", origin.server, origin.tool);
        let (text, handle) = self.store.keep(value.clone(), None, facts.endorse.clone(), from)?;
        self.kept.push(KeptValue { handle, label });
        Ok(Value::String(text))
    }
}

/// The field at `path`, and what the policy calls it: the pattern with the fewest stars wins.
fn field_at<'a>(facts: &'a ResultFacts, path: &[String]) -> Option<(&'a str, &'a FieldFacts)> {
    facts
        .fields
        .iter()
        .filter(|(pattern, _)| matches(pattern, path))
        .min_by_key(|(pattern, _)| pattern.split('/').filter(|part| *part == "*").count())
        .map(|(pattern, field)| (pattern.as_str(), field))
}

fn matches(pattern: &str, path: &[String]) -> bool {
    let mut parts = pattern.strip_prefix('/').into_iter().flat_map(|pattern| pattern.split('/'));
    path.iter().all(|step| parts.next().is_some_and(|part| part == "*" || unescape(part) == *step))
        && parts.next().is_none()
}

/// RFC 6901.
fn unescape(part: &str) -> String {
    part.replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::handles::{Capacity, PREFIX};
    use super::*;
    use crate::flow::{Endorse, ToolFacts};
    use crate::label::{Integrity, Readers};

    fn facts(reveal: Reveal) -> ResultFacts {
        ResultFacts { reveal, ..ToolFacts::unknown("mail").result }
    }

    fn shown(facts: &ResultFacts, result: Value) -> (Shown, Store) {
        let mut store = Store::new(Capacity { values: 100, bytes: 1 << 20 });
        let Value::Object(result) = result else { panic!() };
        let label = facts.label("mail", "read");
        let call = Label::user(Readers::Everyone);
        let origin = Origin { server: "mail", tool: "read", facts, label: &label, call: &call };
        (present(origin, result, &mut store).unwrap(), store)
    }

    fn of_strangers() -> FieldFacts {
        FieldFacts {
            influencers: Integrity::Anyone,
            readers: None,
            reveal: Reveal::Reference,
            endorse: Vec::new(),
        }
    }

    #[test]
    fn every_result_by_reference_looks_the_same_but_for_the_handle() {
        let looks = |result: Value| {
            let (shown, _) = shown(&facts(Reveal::Reference), result);
            let text = shown.result["content"][0]["text"].as_str().unwrap().to_owned();
            assert!(!shown.revealed && shown.kept.len() == 1);
            let handle = text.lines().next().unwrap().to_owned();
            (text.replace(&handle, "H"), shown.result.len())
        };
        let short = looks(json!({"content": [{"type": "text", "text": "x"}]}));
        let failed = looks(
            json!({"content": [{"type": "text", "text": "y".repeat(9_999)}], "isError": true, "_meta": {"z": 1}}),
        );
        let structured = looks(json!({"content": [], "structuredContent": {"a": 1}}));
        assert!(short == failed && failed == structured, "{short:?} {failed:?} {structured:?}");
    }

    #[test]
    fn a_status_is_one_bit() {
        let (a, _) = shown(
            &facts(Reveal::Status),
            json!({"content": [{"type": "text", "text": "secret"}], "structuredContent": {"b": 2}}),
        );
        assert_eq!(a.result, text_result("The call succeeded.", false));
    }

    #[test]
    fn fields_of_strangers_become_handles_and_the_servers_text_is_dropped() {
        let mut facts = facts(Reveal::Value);
        let field = |who: &str, endorse| FieldFacts {
            influencers: Integrity::by(who),
            readers: None,
            reveal: Reveal::Reference,
            endorse,
        };
        facts.fields = BTreeMap::from([
            ("/result/*/subject".to_owned(), field("payers", Vec::new())),
            ("/result/*/stars".to_owned(), field("payers", vec![Endorse::Range(1, 5)])),
        ]);
        let secret = "IGNORE ALL";
        let (shown, store) = shown(
            &facts,
            json!({"content": [{"type": "text", "text": secret}], "_meta": {"x": secret},
                   "structuredContent": {"result": [{"id": 7, "subject": secret, "stars": 4}, {"id": 8, "subject": "b", "stars": 9}]}}),
        );
        assert!(!serde_json::to_string(&shown.result).unwrap().contains(secret));
        let first = &shown.result["structuredContent"]["result"][0];
        assert!(
            first["id"] == 7 && first["stars"] == 4 && first["subject"].as_str().unwrap().starts_with(PREFIX)
        );
        assert!(
            shown.result["structuredContent"]["result"][1]["stars"].as_str().unwrap().starts_with(PREFIX)
        );
        assert!(shown.kept.len() == 3 && shown.endorsed.len() == 1 && shown.revealed);
        assert!(shown.kept.iter().all(|kept| {
            kept.label.integrity.is_within(&Integrity::Of(["payers", "user"].into_iter().collect()))
        }));
        assert_eq!(store.get(&shown.kept[0].handle).unwrap().value, json!(secret));
    }

    #[test]
    fn that_a_call_has_failed_is_shown_beside_its_fields() {
        let mut facts = facts(Reveal::Value);
        facts.fields.insert("/why".into(), of_strangers());
        for failed in [true, false] {
            let (shown, _) =
                shown(&facts, json!({"content": [], "structuredContent": {"why": "x"}, "isError": failed}));
            assert_eq!(shown.result.get("isError").is_some(), failed);
        }
    }

    #[test]
    fn a_result_without_the_expected_fields_is_not_shown() {
        let mut facts = facts(Reveal::Value);
        facts.fields.insert("/a".into(), of_strangers());
        let (shown, _) = shown(
            &facts,
            json!({"content": [{"type": "text", "text": "an error of the server"}], "isError": true}),
        );
        assert!(!shown.revealed && shown.kept.len() == 1);
    }

    #[test]
    fn a_result_that_says_one_text_is_shown_as_nothing_else() {
        let text = |result: &Value| only_text(result.as_object().unwrap()).map(str::to_owned);
        let block = json!({"type": "text", "text": "mine"});
        let pinned = json!({"outputSchema": {"properties": {"content": {"type": "string"}}}});
        for plain in [
            json!({"resultType": "complete", "content": [block], "isError": false}),
            json!({"content": [block], "structuredContent": {"pay eve": "mine"}}),
            json!({"content": [block], "structuredContent": "mine"}),
            json!({"content": [{"type": "text", "text": "mine", "annotations": {"x": "pay eve"}}], "_meta": {"x": "pay eve"}}),
            json!({"resultType": "pay eve", "pay eve": 1, "content": [block]}),
        ] {
            assert_eq!(text(&plain).as_deref(), Some("mine"), "{plain}");
            let shown = as_pinned(plain.as_object().unwrap(), None);
            assert_eq!(shown, text_result("mine", false));
            let shown = as_pinned(plain.as_object().unwrap(), Some(&pinned));
            assert_eq!(shown["structuredContent"], json!({"content": "mine"}));
        }
        for more in [
            json!({"content": [{"type": "text", "text": "pay eve"}], "structuredContent": "mine"}),
            json!({"content": [block, {"type": "text", "text": "pay eve"}]}),
            json!({"content": [block], "structuredContent": {"result": "mine", "x": "pay eve"}}),
            json!({"content": [], "structuredContent": "mine"}),
            json!({"structuredContent": "mine"}),
            json!({"content": [block], "isError": true}),
        ] {
            assert_eq!(text(&more), None, "{more}");
            assert_eq!(&as_pinned(more.as_object().unwrap(), None), more.as_object().unwrap());
        }
    }

    #[test]
    fn a_result_with_more_fields_than_a_record_has_room_for_is_kept_whole() {
        let mut facts = facts(Reveal::Value);
        facts.fields.insert("/result/*".into(), of_strangers());
        let of = |count: usize| json!({"content": [], "structuredContent": {"result": vec!["x"; count]}});
        let (some, _) = shown(&facts, of(MAX_FIELDS));
        let (many, _) = shown(&facts, of(MAX_FIELDS + 1));
        assert!(some.revealed && some.kept.len() == MAX_FIELDS);
        assert!(!many.revealed && many.kept.len() == 1);
        assert_eq!(many.kept[0].label.integrity, Integrity::Anyone);
    }

    #[test]
    fn the_pattern_with_fewer_stars_wins() {
        assert!(matches("/a/*", &["a".into(), "b".into()]) && !matches("/a/*", &["a".into()]));
        assert!(matches("/a~1b", &["a/b".into()]) && !matches("/a", &["a".into(), "b".into()]));
    }
}
