//! What Keras adds to a SavedModel: each layer's configuration as JSON, with the byte code of Lambda layers.

use serde_json::Value as Json;

use crate::examination::{Examination, escape};
use crate::graph::TF_LAMBDA;
use crate::graph::wire::{Span, Value, Wire};
use crate::source::View;
use crate::trouble::Trouble;

/// The largest configuration of one layer: a vocabulary may be in it. In memory it takes many times its bytes.
const CONFIG: usize = 4 << 20;

/// Examines a `keras_metadata.pb`: `SavedMetadata`.
pub(crate) fn examine(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    let mut wire = Wire::new(view);
    let mut rest = wire.all();
    while let Some(field) = wire.next(&mut rest)? {
        let (1, Value::Bytes(mut node)) = (field.number, field.value) else { continue };
        while let Some(field) = wire.next(&mut node)? {
            if let (5, Value::Bytes(metadata)) = (field.number, field.value) {
                layer(&mut wire, metadata, scan)?;
            }
        }
    }
    Ok(())
}

/// Examines the configuration of one layer.
pub(crate) fn layer(wire: &mut Wire, span: Span, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    // Objects that are no layers have empty texts, or texts of their own.
    if wire.bytes(span, 1)? != b"{" {
        return Ok(());
    }
    let held = scan.limits().held.min(CONFIG);
    if span.len() > held as u64 {
        return Err(Trouble::Limit(format!("a layer's configuration has more than {held} bytes")));
    }
    let bytes = wire.bytes(span, held)?;
    let config: Json = serde_json::from_slice(&bytes).map_err(|error| {
        Trouble::malformed(span.start, format!("a layer's configuration is no JSON: {error}"))
    })?;
    let mut left = vec![&config];
    while let Some(value) = left.pop() {
        match value {
            Json::Array(items) => left.extend(items),
            Json::Object(fields) => {
                if let Some(what) = lambda(fields) {
                    let name = fields.get("name").or_else(|| config.get("name")).and_then(Json::as_str);
                    let what =
                        format!("{what} in the layer {}", escape(name.unwrap_or("without a name"), 200));
                    scan.report(TF_LAMBDA, Some(span.start), what);
                    break;
                }
                left.extend(fields.values());
            }
            _ => {}
        }
    }
    Ok(())
}

fn lambda(fields: &serde_json::Map<String, Json>) -> Option<&'static str> {
    let text = |key| fields.get(key).and_then(Json::as_str);
    if text("class_name") == Some("__lambda__") || text("function_type") == Some("lambda") {
        Some("Python byte code")
    } else if text("class_name") == Some("Lambda") {
        Some("a Lambda")
    } else {
        None
    }
}
