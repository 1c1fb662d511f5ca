//! The operators that runtimes bring with them: data in `ops/*.toml`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde::Deserialize;

/// ONNX operators.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct Onnx {
    pub(crate) python: BTreeSet<String>,
    pub(crate) compiled: BTreeSet<String>,
    pub(crate) extensions: BTreeSet<String>,
    pub(crate) domains: BTreeMap<String, BTreeSet<String>>,
}

/// TensorFlow operators, by what they reach.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct TensorFlowFile {
    write: BTreeSet<String>,
    save: BTreeSet<String>,
    read: BTreeSet<String>,
    restore: BTreeSet<String>,
    asset: BTreeSet<String>,
    python: BTreeSet<String>,
    remote: BTreeSet<String>,
    native: BTreeSet<String>,
    plain: BTreeSet<String>,
}

/// What a TensorFlow operator reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    Write,
    Save,
    Read,
    Restore,
    Asset,
    Python,
    Remote,
    Native,
    Plain,
    /// It is in no list.
    Unknown,
}

/// TFLite's custom operators.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct TfLite {
    pub(crate) last_builtin: i64,
    known: BTreeSet<String>,
    known_prefixes: Vec<String>,
}

impl TfLite {
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.known.contains(name) || self.known_prefixes.iter().any(|prefix| name.starts_with(prefix))
    }
}

// INVARIANT: the files are part of the binary, and a test reads each; were one broken, no operator would be known.
static ONNX: LazyLock<Onnx> =
    LazyLock::new(|| toml::from_str(include_str!("../../ops/onnx.toml")).unwrap_or_default());
static TENSORFLOW: LazyLock<TensorFlowFile> =
    LazyLock::new(|| toml::from_str(include_str!("../../ops/tensorflow.toml")).unwrap_or_default());
static TFLITE: LazyLock<TfLite> =
    LazyLock::new(|| toml::from_str(include_str!("../../ops/tflite.toml")).unwrap_or_default());

/// What is known of ONNX operators.
pub(crate) fn onnx() -> &'static Onnx {
    &ONNX
}

/// What is known of TFLite operators.
pub(crate) fn tflite() -> &'static TfLite {
    &TFLITE
}

/// What the TensorFlow operator of this name reaches.
pub(crate) fn tensorflow(name: &str) -> Reach {
    let lists = &*TENSORFLOW;
    [
        (&lists.plain, Reach::Plain),
        (&lists.write, Reach::Write),
        (&lists.save, Reach::Save),
        (&lists.read, Reach::Read),
        (&lists.restore, Reach::Restore),
        (&lists.asset, Reach::Asset),
        (&lists.python, Reach::Python),
        (&lists.remote, Reach::Remote),
        (&lists.native, Reach::Native),
    ]
    .into_iter()
    .find(|(list, _)| list.contains(name))
    .map_or(Reach::Unknown, |(_, reach)| reach)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_read_and_no_operator_is_in_two_groups() {
        let onnx: Onnx = toml::from_str(include_str!("../../ops/onnx.toml")).unwrap();
        assert!(onnx.domains["ai.onnx"].len() > 200 && onnx.domains["ai.onnx"].contains("Conv"));
        let tflite: TfLite = toml::from_str(include_str!("../../ops/tflite.toml")).unwrap();
        assert!(tflite.knows("TFLite_Detection_PostProcess") && !tflite.knows("Mine"));
        let lists: TensorFlowFile = toml::from_str(include_str!("../../ops/tensorflow.toml")).unwrap();
        assert!(lists.plain.len() > 1300);
        let others = [
            &lists.write,
            &lists.save,
            &lists.read,
            &lists.restore,
            &lists.asset,
            &lists.python,
            &lists.remote,
            &lists.native,
        ];
        let all: BTreeSet<_> = others.iter().flat_map(|list| list.iter()).collect();
        assert_eq!(all.len(), others.iter().map(|list| list.len()).sum::<usize>());
        assert!(all.iter().all(|name| !lists.plain.contains(*name)));
        assert_eq!(tensorflow("WriteFile"), Reach::Write);
        assert_eq!(tensorflow("MatMul"), Reach::Plain);
        assert_eq!(tensorflow("Nope"), Reach::Unknown);
    }
}
