//! The lists of names in `allow/keras.toml` and `allow/skops.toml`.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde::Deserialize;

type Names = BTreeSet<String>;

/// What a Keras configuration may name. The fields are the lists of the file, which says what each is.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct KerasNames {
    pub(super) modules: Names,
    pub(super) extensions: Names,
    pub(super) published: Names,
    pub(super) published_parts: Names,
    pub(super) published_registers: Names,
    pub(super) values: Names,
    pub(super) specs: Names,
    pub(super) gadgets: Names,
    pub(super) builtins: Names,
    pub(super) tensorflow_modules: Names,
    pub(super) tensorflow_functions: Names,
    pub(super) tensorflow_dangerous: Names,
    pub(super) tensorflow_operators: Names,
    pub(super) classes: Names,
    pub(super) functions: Names,
}

/// What a skops schema may name.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct SkopsNames {
    pub(super) loaders: Names,
    pub(super) types: Names,
    pub(super) sklearn_classes: Names,
    pub(super) sklearn_functions: Names,
    pub(super) numpy_functions: Names,
    pub(super) scipy_functions: Names,
    pub(super) bit_generators: Names,
}

// INVARIANT: both files are part of the binary and a test reads them. Were one broken, nothing would be allowed.
static KERAS: LazyLock<KerasNames> =
    LazyLock::new(|| toml::from_str(include_str!("../../allow/keras.toml")).unwrap_or_default());
static SKOPS: LazyLock<SkopsNames> =
    LazyLock::new(|| toml::from_str(include_str!("../../allow/skops.toml")).unwrap_or_default());

pub(super) fn keras() -> &'static KerasNames {
    &KERAS
}

pub(super) fn skops() -> &'static SkopsNames {
    &SKOPS
}

/// Whether `module` is one of `roots`, or lies below one.
pub(super) fn is_within(roots: &Names, module: &str) -> bool {
    module
        .match_indices('.')
        .map(|(at, _)| at)
        .chain([module.len()])
        .any(|end| module.get(..end).is_some_and(|root| roots.contains(root)))
}

/// Whether one of the names between the dots of `module` is `part`.
pub(super) fn has_part(module: &str, part: &str) -> bool {
    module.split('.').any(|name| name == part)
}

/// Whether it is written as Python writes classes.
pub(super) fn is_class_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_uppercase())
        && name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric())
}

/// Whether it is a name of Python's that one could write down, dots and all.
pub(super) fn is_dotted_name(name: &str) -> bool {
    name.split('.')
        .all(|part| !part.is_empty() && part.chars().all(|c| c == '_' || c.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_and_deny_what_acts() {
        let lists: KerasNames = toml::from_str(include_str!("../../allow/keras.toml")).unwrap();
        assert!(lists.classes.len() > 500 && lists.functions.len() > 300);
        for gadget in &lists.gadgets {
            assert!(!lists.functions.contains(gadget) && !lists.classes.contains(gadget), "{gadget}");
        }
        let lists: SkopsNames = toml::from_str(include_str!("../../allow/skops.toml")).unwrap();
        assert!(lists.sklearn_classes.len() > 200);
        for name in ["builtins.eval", "builtins.exec", "builtins.getattr", "os.system", "builtins.type"] {
            assert!(!lists.types.contains(name));
        }
    }

    #[test]
    fn a_module_lies_below_whole_names_only() {
        let roots = Names::from(["keras".to_owned(), "tensorflow.keras".to_owned()]);
        for (module, is) in [
            ("keras", true),
            ("keras.src.layers", true),
            ("tensorflow.keras.layers", true),
            ("keras_evil", false),
            ("tensorflow", false),
            ("tensorflow.io", false),
            ("", false),
            ("os.keras", false),
        ] {
            assert_eq!(is_within(&roots, module), is, "{module}");
        }
    }
}
