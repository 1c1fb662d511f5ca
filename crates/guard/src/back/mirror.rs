//! Headers that repeat parts of a body: `Mcp-Name` and `Mcp-Param-*` of revision 2026-07-28.

use std::collections::{HashMap, HashSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};

/// Tools of which the annotations are remembered; more than a server may have in a list.
const TOOLS: usize = 4096;
/// Headers that one tool may have.
const HEADERS: usize = 32;
/// How deep in a schema an annotation may stand.
const DEPTH: usize = 16;
/// The largest integer that every JSON reader understands alike.
const SAFE: i64 = (1 << 53) - 1;

/// Which arguments of which tools have headers of their own.
#[derive(Debug, Default)]
pub(super) struct Annotations(HashMap<String, Vec<Mirrored>>);

#[derive(Debug)]
struct Mirrored {
    path: Vec<String>,
    header: HeaderName,
}

impl Annotations {
    /// Learns from a result of `tools/list`, and takes tools with unusable annotations out of it. Gives their names and what is
    /// wrong with them.
    pub(super) fn learn(&mut self, result: &mut Map<String, Value>) -> Vec<(String, &'static str)> {
        let mut refused = Vec::new();
        let Some(Value::Array(tools)) = result.get_mut("tools") else { return refused };
        tools.retain(|tool| {
            let name = tool.get("name").and_then(Value::as_str).unwrap_or_default();
            let mut mirrored = Vec::new();
            if let Some(schema) = tool.get("inputSchema")
                && let Err(problem) = annotations(schema, &mut mirrored)
            {
                self.0.remove(name);
                refused.push((name.to_owned(), problem));
                return false;
            }
            if mirrored.is_empty() {
                self.0.remove(name);
            } else if self.0.len() < TOOLS || self.0.contains_key(name) {
                self.0.insert(name.to_owned(), mirrored);
            }
            true
        });
        refused
    }

    /// Adds the headers of a request.
    pub(super) fn apply(&self, method: &str, params: &Map<String, Value>, headers: &mut HeaderMap) {
        if let Ok(value) = HeaderValue::from_str(method) {
            headers.insert(HeaderName::from_static("mcp-method"), value);
        }
        let source = match method {
            "tools/call" | "prompts/get" => "name",
            "resources/read" => "uri",
            _ => return,
        };
        let Some(name) = params.get(source).and_then(Value::as_str) else { return };
        if let Some(value) = encode(name) {
            headers.insert(HeaderName::from_static("mcp-name"), value);
        }
        if method != "tools/call" {
            return;
        }
        for mirrored in self.0.get(name).into_iter().flatten() {
            let mut value = params.get("arguments");
            for step in &mirrored.path {
                value = value.and_then(|value| value.get(step));
            }
            let text = match value {
                Some(Value::String(text)) => encode(text),
                Some(Value::Bool(flag)) => {
                    Some(HeaderValue::from_static(if *flag { "true" } else { "false" }))
                }
                Some(Value::Number(number)) => {
                    number.as_i64().filter(|number| (-SAFE..=SAFE).contains(number)).map(HeaderValue::from)
                }
                _ => None,
            };
            if let Some(text) = text {
                headers.insert(mirrored.header.clone(), text);
            }
        }
    }
}

/// Collects the annotations of a schema.
fn annotations(schema: &Value, found: &mut Vec<Mirrored>) -> Result<(), &'static str> {
    let mut seen = HashSet::new();
    reachable(schema, &mut Vec::new(), found, &mut seen)?;
    // Whatever stands elsewhere was not counted.
    if count(schema, 0)? != found.len() {
        return Err("an x-mcp-header stands where no argument is certain to be");
    }
    Ok(())
}

fn reachable(
    schema: &Value,
    path: &mut Vec<String>,
    found: &mut Vec<Mirrored>,
    seen: &mut HashSet<HeaderName>,
) -> Result<(), &'static str> {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return Ok(()) };
    if path.len() >= DEPTH {
        return Ok(());
    }
    for (name, property) in properties {
        path.push(name.clone());
        if let Some(annotation) = property.get("x-mcp-header") {
            let text = annotation.as_str().filter(|text| !text.is_empty());
            let text = text.ok_or("an x-mcp-header is not a name")?;
            if !matches!(property.get("type").and_then(Value::as_str), Some("string" | "integer" | "boolean"))
            {
                return Err("an x-mcp-header stands at an argument that is no string, integer or boolean");
            }
            let header = HeaderName::from_bytes(format!("mcp-param-{text}").as_bytes())
                .map_err(|_| "an x-mcp-header is no header name")?;
            if !seen.insert(header.clone()) {
                return Err("an x-mcp-header stands twice");
            }
            if found.len() >= HEADERS {
                return Err("too many x-mcp-header");
            }
            found.push(Mirrored { path: path.clone(), header });
        }
        reachable(property, path, found, seen)?;
        path.pop();
    }
    Ok(())
}

/// How often the annotation stands in a schema, wherever. A property may be named like it: that is none.
fn count(schema: &Value, depth: usize) -> Result<usize, &'static str> {
    if depth > 4 * DEPTH {
        return Err("its schema is too deep");
    }
    let inner = depth.saturating_add(1);
    let mut sum = 0usize;
    match schema {
        Value::Object(members) => {
            for (key, value) in members {
                match (key.as_str(), value) {
                    ("x-mcp-header", _) => sum = sum.saturating_add(1),
                    ("properties" | "$defs" | "definitions" | "patternProperties", Value::Object(named)) => {
                        for value in named.values() {
                            sum = sum.saturating_add(count(value, inner)?);
                        }
                    }
                    // Data, not schemas.
                    ("default" | "const" | "enum" | "examples", _) => {}
                    _ => sum = sum.saturating_add(count(value, inner)?),
                }
            }
        }
        Value::Array(values) => {
            for value in values {
                sum = sum.saturating_add(count(value, inner)?);
            }
        }
        _ => {}
    }
    Ok(sum)
}

/// A text as a header's value; in Base64 where it could not stand there as it is.
fn encode(text: &str) -> Option<HeaderValue> {
    let plain = text.bytes().all(|b| b == b'\t' || (0x20..=0x7e).contains(&b))
        && text.trim_matches([' ', '\t']).len() == text.len()
        && !(text.starts_with("=?base64?") && text.ends_with("?="));
    if plain {
        return HeaderValue::from_str(text).ok();
    }
    HeaderValue::from_str(&format!("=?base64?{}?=", STANDARD.encode(text))).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_are_encoded_as_the_specification_shows() {
        for (text, expect) in [
            ("us-west1", "us-west1"),
            ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
            (" padded ", "=?base64?IHBhZGRlZCA=?="),
            ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
            ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
            ("", ""),
        ] {
            assert_eq!(encode(text).unwrap().to_str().unwrap(), expect, "{text:?}");
        }
    }

    fn learn(schema: Value) -> (Annotations, Vec<(String, &'static str)>, usize) {
        let mut result = json!({"tools": [{"name": "t", "inputSchema": schema}, {"name": "u"}]});
        let mut annotations = Annotations::default();
        let refused = annotations.learn(result.as_object_mut().unwrap());
        let left = result["tools"].as_array().unwrap().len();
        (annotations, refused, left)
    }

    #[test]
    fn annotated_arguments_become_headers() {
        let (annotations, refused, left) = learn(json!({"type": "object", "properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "x-mcp-header": {"type": "string"},
            "deep": {"type": "object", "properties": {"n": {"type": "integer", "x-mcp-header": "N"}}},
            "flag": {"type": "boolean", "x-mcp-header": "Flag"},
            "gone": {"type": "string", "x-mcp-header": "Gone", "default": {"x-mcp-header": 1}}}}));
        assert_eq!((refused, left), (vec![], 2));
        let params = json!({"name": "t", "arguments": {"region": "eu", "deep": {"n": -7}, "flag": true, "gone": null}});
        let mut headers = HeaderMap::new();
        annotations.apply("tools/call", params.as_object().unwrap(), &mut headers);
        let mut shown: Vec<_> =
            headers.iter().map(|(k, v)| format!("{k}: {}", v.to_str().unwrap())).collect();
        shown.sort();
        assert_eq!(
            shown,
            [
                "mcp-method: tools/call",
                "mcp-name: t",
                "mcp-param-flag: true",
                "mcp-param-n: -7",
                "mcp-param-region: eu"
            ]
        );
    }

    #[test]
    fn tools_with_unusable_annotations_are_taken_out() {
        for schema in [
            json!({"properties": {"a": {"type": "number", "x-mcp-header": "A"}}}),
            json!({"properties": {"a": {"type": "string", "x-mcp-header": ""}}}),
            json!({"properties": {"a": {"type": "string", "x-mcp-header": "a b"}}}),
            json!({"properties": {"a": {"type": "string", "x-mcp-header": "a\r\nb"}}}),
            json!({"properties": {"a": {"type": "string", "x-mcp-header": 7}}}),
            json!({"properties": {"a": {"type": "string", "x-mcp-header": "A"},
                "b": {"type": "string", "x-mcp-header": "a"}}}),
            json!({"properties": {"a": {"type": "array", "items": {"type": "string", "x-mcp-header": "A"}}}}),
            json!({"anyOf": [{"properties": {"a": {"type": "string", "x-mcp-header": "A"}}}]}),
        ] {
            let (_, refused, left) = learn(schema.clone());
            assert_eq!((refused.len(), left), (1, 1), "{schema}");
        }
    }

    #[test]
    fn names_and_addresses_are_mirrored() {
        let mut headers = HeaderMap::new();
        let params = json!({"uri": "file:///ä"});
        Annotations::default().apply("resources/read", params.as_object().unwrap(), &mut headers);
        assert_eq!(headers["mcp-name"], "=?base64?ZmlsZTovLy/DpA==?=");
        assert_eq!(headers["mcp-method"], "resources/read");
    }
}
