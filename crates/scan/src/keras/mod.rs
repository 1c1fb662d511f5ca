//! Keras files, HDF5 and skops.
//!
//! A `.keras` or `.skops` file is a zip archive, so `archive/` finds its members and hands each to detection; what is examined
//! here is the member that says which objects to make: a configuration in JSON, an HDF5 file, a schema in JSON.

mod config;
mod hdf5;
pub(crate) mod json;
mod names;
mod skops;
mod special;

use crate::detect::{Format, Match, Probe};
use crate::examination::Examination;
use crate::source::View;
use crate::trouble::Trouble;

/// The formats that are examined here.
pub(crate) const FORMATS: &[Format] = &[
    Format { name: "keras-config", detect: detect_config, examine: examine_config },
    Format { name: "hdf5", detect: hdf5::detect, examine: hdf5::examine },
    Format { name: "skops", detect: detect_skops, examine: examine_skops },
];

crate::rules::declare! {
    /// Byte code in a configuration.
    LAMBDA = "keras-lambda",
    FOREIGN_MODULE = "keras-foreign-module",
    GADGET = "keras-gadget",
    TORCH_MODULE = "keras-torch-module",
    UNKNOWN_CLASS = "keras-unknown-class",
    CUSTOM_OBJECT = "keras-custom-object",
    FILE_REFERENCE = "keras-file-reference",
    TENSORFLOW_CALL = "keras-tensorflow-call",
    DUPLICATE_KEY = "keras-duplicate-key",
    EXTENSION = "keras-extension",
    EXTERNAL_DATA = "hdf5-external-data",
    EXTERNAL_LINK = "hdf5-external-link",
    FILTER = "hdf5-filter",
    NOT_EXAMINED = "hdf5-not-examined",
    UNTRUSTED_TYPE = "skops-untrusted-type",
    SKOPS_CALL = "skops-call",
    UNKNOWN_NODE = "skops-unknown-node",
}

/// The most bytes of JSON that detection reads to find its outer keys, and that is examined: what is larger and may be of
/// one of the formats is undecided.
const JSON: usize = 32 << 20;

/// Whether the bytes are JSON that begins with one of these and satisfies `is_one`.
fn detect_json(probe: &Probe<'_>, opens: &[u8], is_one: impl FnOnce(&str) -> bool) -> Result<Match, Trouble> {
    let first = probe
        .head
        .iter()
        .find(|b| !matches!(b, 0 | b' ' | b'\t' | b'\n' | b'\r' | 0xef | 0xbb | 0xbf | 0xfe | 0xff));
    if first.is_some_and(|first| !opens.contains(first)) {
        return Ok(Match::No);
    }
    let bytes = probe.view.bytes(0, JSON)?;
    // Whatever lies behind so much padding cannot be told; what loaders look for by these names is not passed over.
    let padded = probe.view.len() > JSON as u64
        && ["config.json", "schema.json"].iter().any(|name| probe.name.ends_with(name));
    Ok(if padded || is_one(&json::decode(&bytes)) { Match::Weak } else { Match::No })
}

/// Keras walks lists, and objects that are none of its own, down to those that are: what stands around a model is up to whoever
/// wrote the file.
fn detect_config(probe: &Probe<'_>) -> Result<Match, Trouble> {
    detect_json(probe, b"{[", |text| {
        let mut found = false;
        json::outer_keys(text, |key| {
            found |= matches!(key, "model_config" | "modelTopology");
            found
        });
        found || config::has_object(text)
    })
}

fn detect_skops(probe: &Probe<'_>) -> Result<Match, Trouble> {
    detect_json(probe, b"{", |text| {
        let mut found = false;
        json::outer_keys(text, |key| {
            found |= matches!(key, "__loader__" | "_skops_version");
            found
        });
        found
    })
}

/// All of a JSON file, as text.
fn text_of(view: &View) -> Result<String, Trouble> {
    if view.len() > JSON as u64 {
        return Err(Trouble::Limit(format!("{} bytes of JSON", view.len())));
    }
    Ok(json::decode(&view.bytes(0, JSON)?).into_owned())
}

fn examine_config(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    config::examine(&text_of(view)?, scan)
}

/// Examines the configuration of a layer that TensorFlow keeps in a SavedModel: Keras makes the objects in it as those of a model
/// in a file of its own.
pub(crate) fn examine_layer(configuration: &json::Json<'_>, scan: &mut Examination<'_>) {
    config::examine_document(configuration, scan);
}

fn examine_skops(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    skops::examine(&text_of(view)?, scan)
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
