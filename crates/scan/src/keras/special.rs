//! Layers whose configuration does more than describe: code, files, pickles, calls into TensorFlow.

use std::collections::BTreeSet;

use super::config::Reference;
use super::json::{self, Json, Object};
use super::names::{is_within, keras};
use super::{CUSTOM_OBJECT, FILE_REFERENCE, LAMBDA, TENSORFLOW_CALL, TORCH_MODULE};
use crate::examination::{Examination, escape};
use ostrom_core::Severity;

/// Judges a layer by what its configuration holds; whether code in it has been reported.
pub(super) fn examine_layer(object: &Object<'_>, class: &Reference<'_>, scan: &mut Examination<'_>) -> bool {
    let at = Some(class.at);
    let bare = class.name.rsplit('>').next().unwrap_or_default();
    let configs: Vec<&Object<'_>> = object.all("config").filter_map(Json::as_object).collect();
    match bare {
        "Lambda" => {
            let mut lambda = false;
            for function in configs.iter().flat_map(|config| config.all("function")) {
                match function {
                    Json::List(_) => {
                        scan.report(LAMBDA, at, "a Lambda layer with marshalled Python code");
                        lambda = true;
                    }
                    Json::Text(text) if is_marshalled_code(text) => {
                        scan.report(LAMBDA, at, "a Lambda layer with marshalled Python code");
                        lambda = true;
                    }
                    Json::Text(name) if !keras().functions.contains(name.as_ref()) => {
                        scan.report(
                            CUSTOM_OBJECT,
                            at,
                            format!("a Lambda layer that calls {}", escape(name, 200)),
                        );
                    }
                    // A reference to a function is judged as one.
                    Json::Text(_) | Json::Object(_) | Json::Plain | Json::Whole(_) => {}
                }
            }
            return lambda;
        }
        "TorchModuleWrapper" => {
            let holds =
                configs.iter().flat_map(|config| config.all("module")).any(|module| *module != Json::Plain);
            if holds {
                scan.report(TORCH_MODULE, at, "a TorchModuleWrapper layer with a pickled module");
            }
        }
        "TFSMLayer" => {
            for path in configs.iter().flat_map(|config| config.all("filepath")).filter_map(Json::as_text) {
                scan.report(
                    FILE_REFERENCE,
                    at,
                    format!("a TFSMLayer that loads the SavedModel {}", escape(path, 300)),
                );
            }
        }
        "KerasLayer" => {
            for handle in configs.iter().flat_map(|config| config.all("handle")).filter_map(Json::as_text) {
                scan.report(
                    FILE_REFERENCE,
                    at,
                    format!("a KerasLayer that loads the SavedModel {}", escape(handle, 300)),
                );
            }
        }
        "TFOpLambda" | "ClassMethod" | "InstanceMethod" | "InstanceProperty" | "SlicingOpLambda" => {
            let members = ["function", "cls_symbol"];
            for config in &configs {
                for name in members.iter().flat_map(|key| config.all(key)).filter_map(Json::as_text) {
                    examine_symbol(name, class, scan);
                }
            }
        }
        "TensorFlowOpLayer" => {
            for definition in configs.iter().flat_map(|config| config.all("node_def")) {
                examine_definition(definition.as_text().unwrap_or_default(), class, scan);
            }
        }
        _ => {}
    }
    false
}

/// Judges what a `TFOpLambda` layer calls: the name of a TensorFlow function, without `tf`.
fn examine_symbol(name: &str, layer: &Reference<'_>, scan: &mut Examination<'_>) {
    let names = keras();
    let bare =
        name.trim_start_matches("tf.").trim_start_matches("compat.v1.").trim_start_matches("compat.v2.");
    if names.tensorflow_functions.contains(bare)
        || bare.contains('.') && is_within(&names.tensorflow_modules, bare)
        // What `ClassMethod` and its like name.
        || matches!(bare, "Tensor" | "SparseTensor" | "RaggedTensor")
    {
        return;
    }
    let dangerous = bare.split('.').any(|part| names.tensorflow_dangerous.contains(part));
    let severity = if dangerous { Severity::Critical } else { Severity::High };
    let what = format!("a {} layer that calls tf.{}", layer.name, escape(name, 200));
    scan.report_as(severity, TENSORFLOW_CALL, Some(layer.at), what);
}

/// Judges the operator of a `TensorFlowOpLayer`: a node of a graph, as JSON text.
fn examine_definition(definition: &str, layer: &Reference<'_>, scan: &mut Examination<'_>) {
    let node = json::parse(definition).ok();
    let operators: Vec<String> = node
        .as_ref()
        .and_then(Json::as_object)
        .map(|node| node.all("op").filter_map(Json::as_text).map(str::to_owned).collect())
        .unwrap_or_default();
    if operators.is_empty() {
        let what = "a TensorFlowOpLayer whose operator cannot be read";
        scan.report(TENSORFLOW_CALL, Some(layer.at), what);
    }
    for operator in operators {
        if !keras().tensorflow_operators.contains(&operator) {
            let dangerous = keras().tensorflow_dangerous.contains(&operator);
            let severity = if dangerous { Severity::Critical } else { Severity::High };
            let what = format!("a TensorFlowOpLayer with the operator {}", escape(&operator, 200));
            scan.report_as(severity, TENSORFLOW_CALL, Some(layer.at), what);
        }
    }
}

/// Judges the functions that Keras 2 keeps beside their kind (`function` and `function_type`, `output_shape` and
/// `output_shape_type`): a lambda is byte code. Whether one was found.
pub(super) fn examine_functions(object: &Object<'_>, scan: &mut Examination<'_>) -> bool {
    let mut found = false;
    let kinds: BTreeSet<&str> = object
        .members
        .iter()
        .filter(|(_, kind)| kind.as_text() == Some("lambda"))
        .filter_map(|(key, _)| key.strip_suffix("_type"))
        .collect();
    for (function, value) in &object.members {
        if matches!(value, Json::List(_) | Json::Text(_)) && kinds.contains(function.as_ref()) {
            scan.report(LAMBDA, Some(object.at), format!("`{function}` holds marshalled Python code"));
            found = true;
        }
    }
    found
}

/// Judges text by the key that it stands under.
pub(super) fn examine_text(key: &str, text: &str, scan: &mut Examination<'_>) {
    // Honest layers keep their vocabulary as a list, or in a file of the archive that no configuration names.
    if matches!(key, "vocabulary" | "merges" | "proto") && !text.is_empty() {
        scan.report(FILE_REFERENCE, None, format!("a layer reads its {key} from {}", escape(text, 300)));
    }
    // TensorFlow Probability's `DistributionLambda` unpickles it.
    if key == "make_distribution_fn" && !text.is_empty() {
        scan.report(LAMBDA, None, "`make_distribution_fn` holds a pickled function");
    }
}

/// Whether the text is a marshalled code object in base64: the type (with or without the mark of a reference), then
/// the number of arguments, which is small.
pub(super) fn is_marshalled_code(text: &str) -> bool {
    let mut digits = text.bytes().filter(|b| !b.is_ascii_whitespace()).map(|b| match b {
        b'A'..=b'Z' => Some(b - b'A'),
        b'a'..=b'z' => Some(b - b'a' + 26),
        b'0'..=b'9' => Some(b - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    });
    let mut bits = 0_u64;
    for _ in 0..8 {
        let Some(Some(digit)) = digits.next() else { return false };
        bits = bits << 6 | u64::from(digit);
    }
    // Code objects are never shorter, even those of empty functions.
    let [_, _, kind, low, a, b, c, _] = bits.to_be_bytes();
    (kind == 0xe3 || kind == b'c') && low < 64 && (a, b, c) == (0, 0, 0) && text.len() > 60
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marshalled_code_is_told_from_other_text() {
        let tail = "A".repeat(80);
        for head in ["4wEAAAAA", "4wIA\nAAAA", "YwAAAAAA", "4wAAAAAA"] {
            assert!(is_marshalled_code(&format!("{head}{tail}")), "{head}");
        }
        for text in
            ["4wEAAAAA", "", "relu", &"A".repeat(100), &format!("4w/AAAAA{tail}"), &format!("4wE=AAAA{tail}")]
        {
            assert!(!is_marshalled_code(text), "{text}");
        }
    }
}
