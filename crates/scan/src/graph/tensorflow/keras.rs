//! What Keras adds to a SavedModel: each layer's configuration as JSON, with the byte code of Lambda layers.

use crate::examination::{Examination, escape};
use crate::graph::TF_LAMBDA;
use crate::graph::wire::{Span, Value, Wire};
use crate::keras;
use crate::keras::json::{self, Json, Object};
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
    let held = scan.limits().held.min(CONFIG);
    let bytes = wire.bytes(span, held)?;
    // Objects that are no layers have empty texts, or texts of their own.
    if !matches!(bytes.trim_ascii_start(), [] | [b'{', ..]) {
        return Ok(());
    }
    if span.len() > held as u64 {
        return Err(Trouble::Limit(format!("a layer's configuration has more than {held} bytes")));
    }
    let text = String::from_utf8_lossy(&bytes);
    if text.trim().is_empty() {
        return Ok(());
    }
    let config = json::parse(&text).map_err(|trouble| match trouble {
        Trouble::Malformed { offset, what } => {
            let what = format!("a layer's configuration is no JSON: {what}");
            Trouble::malformed(span.start.saturating_add(offset), what)
        }
        other => other,
    })?;
    // Before Keras 2.13 a layer named no modules, and what has none is looked up among Keras's own and the caller's.
    if json::has_object_with(&text, "module", "class_name") {
        keras::examine_layer(&config, scan);
    }
    let mut left = vec![&config];
    while let Some(value) = left.pop() {
        match value {
            Json::List(items) => left.extend(items),
            Json::Object(object) => {
                if let Some(what) = lambda(object) {
                    let name = object.text("name").or_else(|| config.as_object()?.text("name"));
                    let what =
                        format!("{what} in the layer {}", escape(name.unwrap_or("without a name"), 200));
                    scan.report(TF_LAMBDA, Some(span.start), what);
                    break;
                }
                left.extend(object.members.iter().map(|(_, value)| value));
            }
            _ => {}
        }
    }
    Ok(())
}

fn lambda(object: &Object<'_>) -> Option<&'static str> {
    let classes = object.texts("class_name").0;
    if classes.contains("__lambda__")
        || object.all("function_type").any(|kind| kind.as_text() == Some("lambda"))
    {
        Some("Python byte code")
    } else if classes.contains("Lambda") {
        Some("a Lambda")
    } else {
        None
    }
}
