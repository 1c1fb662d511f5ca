//! Arguments that a client repeats in HTTP headers, because the tool's input schema asks for it with `x-mcp-header`.

use serde_json::Value;

const ANNOTATION: &str = "x-mcp-header";

/// An argument that is repeated in the header `Mcp-Param-{name}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirrored {
    header: String,
    path: Vec<String>,
}

/// An input schema whose `x-mcp-header` annotations are not allowed; such a tool must not be offered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the tool's input schema has an x-mcp-header that is not allowed: {0}")]
pub struct SchemaError(&'static str);

impl Mirrored {
    /// The annotations of an input schema.
    ///
    /// # Errors
    /// If one breaks the rules of the specification (Streamable HTTP, "Schema Extension").
    pub fn of_schema(schema: &Value) -> Result<Vec<Self>, SchemaError> {
        let mut found = Vec::new();
        collect(schema, &mut Vec::new(), &mut found)?;
        let mut names: Vec<&str> = found.iter().map(|mirrored| mirrored.header.as_str()).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err(SchemaError("two arguments have the same header"));
        }
        Ok(found)
    }

    /// The header's name in lower case, `mcp-param-` included.
    #[must_use]
    pub fn header(&self) -> &str {
        &self.header
    }

    /// The value of the argument in `arguments`; none if it is absent or null.
    #[must_use]
    pub fn value<'a>(&self, arguments: Option<&'a Value>) -> Option<&'a Value> {
        let value = self.path.iter().try_fold(arguments?, |value, step| value.get(step));
        value.filter(|value| !value.is_null())
    }
}

/// Collects what is reached through `properties` alone. The depth of the schema is bounded by its parser.
fn collect(schema: &Value, path: &mut Vec<String>, found: &mut Vec<Mirrored>) -> Result<(), SchemaError> {
    let Value::Object(members) = schema else { return Ok(()) };
    for (name, value) in members {
        match (name.as_str(), value) {
            (ANNOTATION, annotation) => {
                let header = annotation.as_str().filter(|name| is_token(name));
                let header = header.ok_or(SchemaError("its value is not the name of a header"))?;
                if path.is_empty() {
                    return Err(SchemaError("it stands at the root"));
                }
                if !matches!(
                    members.get("type").and_then(Value::as_str),
                    Some("integer" | "string" | "boolean")
                ) {
                    return Err(SchemaError("it is for integers, strings and booleans only"));
                }
                let header = format!("mcp-param-{}", header.to_ascii_lowercase());
                found.push(Mirrored { header, path: path.clone() });
            }
            ("properties", Value::Object(properties)) => {
                for (property, schema) in properties {
                    path.push(property.clone());
                    collect(schema, path, found)?;
                    path.pop();
                }
            }
            // These hold data and no schemas.
            ("default" | "const" | "enum" | "examples", _) => {}
            (_, elsewhere) => forbid(elsewhere)?,
        }
    }
    Ok(())
}

/// Fails if there is an annotation anywhere.
fn forbid(value: &Value) -> Result<(), SchemaError> {
    match value {
        Value::Array(values) => values.iter().try_for_each(forbid),
        Value::Object(members) => members.iter().try_for_each(|(name, value)| match name.as_str() {
            ANNOTATION => Err(SchemaError("it is not reached through properties alone")),
            "default" | "const" | "enum" | "examples" => Ok(()),
            _ => forbid(value),
        }),
        _ => Ok(()),
    }
}

/// RFC 9110's token.
fn is_token(name: &str) -> bool {
    let is_tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_tchar)
}

#[cfg(test)]
mod unit {
    use serde_json::json;

    use super::*;

    #[test]
    fn annotations_are_found_with_their_paths() {
        let schema = json!({"type": "object", "properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "place": {"type": "object", "properties": {"floor": {"type": "integer", "x-mcp-header": "Floor"}}},
            "x-mcp-header": {"type": "string"},
            "free": {"type": "object", "default": {"x-mcp-header": 1}},
        }});
        let found = Mirrored::of_schema(&schema).unwrap();
        let headers: Vec<&str> = found.iter().map(Mirrored::header).collect();
        assert_eq!(headers, ["mcp-param-region", "mcp-param-floor"]);
        let arguments = json!({"region": "eu", "place": {"floor": 3}});
        assert_eq!(found[1].value(Some(&arguments)), Some(&json!(3)));
        assert_eq!(found[1].value(Some(&json!({"place": {"floor": null}}))), None);
        assert_eq!(found[1].value(None), None);
    }

    #[test]
    fn annotations_against_the_rules_are_refused() {
        for schema in [
            json!({"x-mcp-header": "A", "type": "string"}),
            json!({"properties": {"a": {"type": "string", "x-mcp-header": ""}}}),
            json!({"properties": {"a": {"type": "string", "x-mcp-header": "a\r\nb"}}}),
            json!({"properties": {"a": {"type": "string", "x-mcp-header": 3}}}),
            json!({"properties": {"a": {"type": "number", "x-mcp-header": "A"}}}),
            json!({"properties": {"a": {"type": "string", "x-mcp-header": "A"}, "b": {"type": "string", "x-mcp-header": "a"}}}),
            json!({"properties": {"a": {"type": "array", "items": {"type": "string", "x-mcp-header": "A"}}}}),
            json!({"properties": {"a": {"items": {"properties": {"b": {"type": "string", "x-mcp-header": "A"}}}}}}),
            json!({"anyOf": [{"properties": {"a": {"type": "string", "x-mcp-header": "A"}}}]}),
        ] {
            assert!(Mirrored::of_schema(&schema).is_err(), "{schema}");
        }
    }
}
