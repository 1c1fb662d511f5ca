//! Configurations of Keras models: which objects they make, from which modules.
//!
//! Keras makes an object of every JSON object with a `class_name` and a `config`, wherever its code asks for one; here each
//! is judged, wherever it stands. Sources: the serialisation libraries of Keras 2.15, tf_keras and Keras 3.8 to 3.15.

use std::collections::BTreeSet;

use super::json::{self, Json, Object};
use super::names::{has_part, is_class_name, is_within, keras};
use super::special;
use super::{CUSTOM_OBJECT, DUPLICATE_KEY, EXTENSION, FOREIGN_MODULE, GADGET, LAMBDA, UNKNOWN_CLASS};
use crate::examination::Examination;
use crate::trouble::Trouble;

/// Examines a configuration.
pub(super) fn examine(text: &str, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    examine_document(&json::parse(text)?, scan);
    Ok(())
}

/// Examines what was read already.
pub(super) fn examine_document(document: &Json<'_>, scan: &mut Examination<'_>) {
    let mut open = vec![Task { value: document, key: "", listed: false, in_object: false, in_lambda: false }];
    while let Some(Task { value, key, listed, mut in_object, mut in_lambda }) = open.pop() {
        match value {
            Json::Plain | Json::Whole(_) => {}
            Json::Text(text) => {
                if !in_lambda && special::is_marshalled_code(text) {
                    scan.report(LAMBDA, None, format!("`{key}` holds marshalled Python code"));
                }
                if in_object && !listed {
                    special::examine_text(key, text, scan);
                }
            }
            Json::List(list) => {
                open.extend(list.iter().rev().map(|value| Task {
                    value,
                    key,
                    listed: true,
                    in_object,
                    in_lambda,
                }));
            }
            Json::Object(object) => {
                if let Some(key) = object.duplicate() {
                    scan.report(
                        DUPLICATE_KEY,
                        Some(object.at),
                        format!("`{key}` stands twice in one object"),
                    );
                }
                in_object |= object.get("config").is_some();
                in_lambda |= examine_object(object, scan);
                if !in_lambda {
                    in_lambda = special::examine_functions(object, scan);
                }
                open.extend(object.members.iter().rev().map(|(key, value)| Task {
                    value,
                    key,
                    listed: false,
                    in_object,
                    in_lambda,
                }));
            }
        }
    }
}

/// Whether an object that Keras would make stands in the text.
pub(super) fn has_object(text: &str) -> bool {
    json::has_object_with(text, "class_name", "config")
}

/// Whether the text may be a configuration: what Keras reads from an attribute, or finds in another file.
pub(super) fn is_likely(text: &str) -> bool {
    let (mut class, mut config) = (false, false);
    json::outer_keys(text, |key| {
        class |= matches!(key, "class_name" | "optimizer_config" | "loss");
        config |= matches!(key, "config" | "metrics");
        class && config
    });
    class && config || has_object(text)
}

struct Task<'d> {
    value: &'d Json<'d>,
    /// The key that it stands under, itself or the list that it is of.
    key: &'d str,
    listed: bool,
    /// Whether it lies in an object that Keras may make.
    in_object: bool,
    /// Whether code in this value has been reported already.
    in_lambda: bool,
}

/// What a reference says of the object that it stands for.
pub(super) struct Reference<'d> {
    pub(super) at: u64,
    pub(super) module: &'d str,
    pub(super) name: &'d str,
}

impl std::fmt::Display for Reference<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.module {
            "" => write!(f, "{}", self.name),
            module => write!(f, "{module}.{}", self.name),
        }
    }
}

/// Judges a serialised object, if it is one; whether what lies in it is code that is reported with it. Duplicate keys are judged
/// in every combination that a reader may take: all names, with all modules.
fn examine_object(object: &Object<'_>, scan: &mut Examination<'_>) -> bool {
    if object.get("config").is_none() || object.get("class_name").is_none() {
        return false;
    }
    let said = Said::of(object, scan);
    let mut layers = BTreeSet::new();
    let mut lambda = false;
    for &module in &said.modules {
        let class = |name| Reference { at: object.at, module, name };
        // A name that is not text stands for nothing by itself, but its module is imported all the same.
        let unnamed = said.unnamed && !module.is_empty() && !said.classes.contains("");
        for name in said.classes.iter().copied().chain(unnamed.then_some("")) {
            lambda |= examine_reference(&said, &class(name), &mut layers, scan);
        }
    }
    for name in layers {
        lambda |= special::examine_layer(object, &Reference { at: object.at, module: "", name }, scan);
    }
    lambda
}

/// What an object says of itself, each once.
struct Said<'d> {
    modules: BTreeSet<&'d str>,
    classes: BTreeSet<&'d str>,
    /// Whether a class has a name that is not text.
    unnamed: bool,
    registered: BTreeSet<&'d str>,
    /// The one of them that Python takes.
    last_registered: &'d str,
    functions: BTreeSet<&'d str>,
    specs: BTreeSet<&'d str>,
    /// Whether a function may have a name that is not text, and whether one may have one that is not `null` either.
    nameless: (bool, bool),
}

impl<'d> Said<'d> {
    fn of(object: &'d Object<'_>, scan: &mut Examination<'_>) -> Self {
        let mut much = false;
        let mut texts = |key| {
            let (texts, more) = object.texts(key);
            much |= more;
            texts
        };
        let (mut modules, classes) = (texts("module"), texts("class_name"));
        let (mut registered, functions) = (texts("registered_name"), texts("config"));
        let mut specs = texts("spec_name");
        if much {
            let what = format!("an object with more than {} values of one key", json::VALUES);
            scan.settle(Err(Trouble::Limit(what)));
        }
        registered.remove("");
        let (mut unnamed, mut nameless) = (false, (false, false));
        for (key, value) in &object.members {
            let is_text = value.as_text().is_some();
            match key.as_ref() {
                "module" | "spec_name" if is_text => {}
                "module" => _ = modules.insert(""),
                "spec_name" => _ = specs.insert(""),
                "class_name" => unnamed |= !is_text,
                "config" if !is_text => nameless = (true, nameless.1 || *value != Json::Plain),
                _ => {}
            }
        }
        if modules.is_empty() {
            modules.insert("");
        }
        let last_registered = object.text("registered_name").unwrap_or_default();
        Self { modules, classes, unnamed, registered, last_registered, functions, specs, nameless }
    }
}

/// Judges one reference; whether what lies in the object is code that is reported with it. Those by whose names a layer may
/// be made are added to `layers`.
fn examine_reference<'d>(
    said: &Said<'d>,
    class: &Reference<'d>,
    layers: &mut BTreeSet<&'d str>,
    scan: &mut Examination<'_>,
) -> bool {
    match class.name {
        "__lambda__" => {
            scan.report(LAMBDA, Some(class.at), "a serialised lambda: marshalled Python code");
            return true;
        }
        "function" => {
            for &name in &said.functions {
                examine_function(&Reference { name, ..*class }, scan);
            }
            // `null` is no function, of no module.
            if said.nameless.1 || said.nameless.0 && !class.module.is_empty() {
                let what = format!("a function of {:?} whose name is not text", class.module);
                scan.report(UNKNOWN_CLASS, Some(class.at), what);
            }
            // Keras 2.13 writes `function` for functions of its own.
            for &name in said.registered.iter().filter(|name| **name != "function") {
                examine_function(&Reference { name, ..*class }, scan);
            }
            return false;
        }
        "__typespec__" => {
            for &name in &said.specs {
                let spec = Reference { name, ..*class };
                if !is_within(&keras().modules, spec.module) {
                    foreign(&spec, scan);
                } else if !keras().specs.contains(name) {
                    unknown(&spec, scan);
                }
            }
        }
        // Keras writes no module with these. Where one stands, a version that does not know the name imports it.
        name if class.module.is_empty() && keras().values.contains(name) => {}
        name => {
            examine_class(class, said.last_registered, scan);
            layers.insert(name);
        }
    }
    examine_registered(said, class, layers, scan);
    false
}

/// Judges what Keras 3.8 and tf_keras take where a module lacks the class: what it has under `registered_name`, whatever that
/// is. Honest configurations have no such name, or the class's own, or one of the registry's, which has a `>`.
fn examine_registered<'d>(
    said: &Said<'d>,
    class: &Reference<'d>,
    layers: &mut BTreeSet<&'d str>,
    scan: &mut Examination<'_>,
) {
    for &name in said.registered.iter().filter(|name| **name != class.name && !name.contains('>')) {
        examine_class(&Reference { name, ..*class }, "", scan);
        layers.insert(name);
    }
}

fn examine_class(class: &Reference<'_>, registered: &str, scan: &mut Examination<'_>) {
    let names = keras();
    let is_custom = registered.contains('>') || class.name.contains('>');
    match class.module {
        module
            if names.gadgets.contains(class.name)
                && (is_within(&names.modules, module) || matches!(module, "" | "__main__")) =>
        {
            gadget(class, scan);
        }
        // tf_keras takes what a dot leads to: `os.system`, of a script that imports `os`.
        "__main__" if class.name.contains('.') => foreign(class, scan),
        "" | "__main__" => {
            if is_custom || !names.classes.contains(class.name) {
                custom(class, registered, scan);
            }
        }
        module if is_within(&names.modules, module) => {
            if names.classes.contains(class.name) {
                if is_custom {
                    custom(class, registered, scan);
                }
            } else {
                unknown(class, scan);
            }
        }
        // Keras 3.8 and tf_keras take a function for a class, so only what is named as classes are may pass for one.
        module
            if is_within(&names.extensions, module)
                && !has_part(module, "utils")
                && is_class_name(class.name.rsplit('>').next().unwrap_or_default()) =>
        {
            match is_published(class, registered) {
                true => published(class, scan),
                false => custom(class, registered, scan),
            }
        }
        _ => foreign(class, scan),
    }
}

/// Whether a class is one of a well-known package's own, registered by it or not at all: what somebody else has registered comes first.
fn is_published(class: &Reference<'_>, registered: &str) -> bool {
    let names = keras();
    let own = |name: &str| match name.split_once('>') {
        Some((register, bare)) => names.published_registers.contains(register) && is_class_name(bare),
        None => name.is_empty() || name == class.name,
    };
    is_within(&names.published, class.module)
        && class.module.split('.').any(|part| names.published_parts.contains(part))
        && own(class.name)
        && own(registered)
}

/// A function by its name. Keras saves the functions of its users as `builtins`, whatever module they come from.
fn examine_function(function: &Reference<'_>, scan: &mut Examination<'_>) {
    let names = keras();
    let bare = function.name;
    match function.module {
        "" | "__main__" | "builtins" => {
            let is_reached = bare.contains('.') && !function.module.is_empty();
            if is_reached || names.builtins.contains(bare) {
                foreign(function, scan);
            } else if names.gadgets.contains(bare) {
                gadget(function, scan);
            } else if !names.functions.contains(bare) {
                custom(function, "", scan);
            }
        }
        module if is_within(&names.modules, module) => {
            if names.gadgets.contains(bare) {
                gadget(function, scan);
            } else if !names.functions.contains(bare) || has_part(module, "utils") {
                // `copy` of arrays is harmless, `copy` of `keras.src.utils.file_utils` is of files.
                unknown(function, scan);
            }
        }
        _ => foreign(function, scan),
    }
}

fn foreign(what: &Reference<'_>, scan: &mut Examination<'_>) {
    scan.report(FOREIGN_MODULE, Some(what.at), format!("names {what}"));
}

fn gadget(what: &Reference<'_>, scan: &mut Examination<'_>) {
    scan.report(GADGET, Some(what.at), format!("names {what}"));
}

fn unknown(what: &Reference<'_>, scan: &mut Examination<'_>) {
    scan.report(UNKNOWN_CLASS, Some(what.at), format!("names {what}"));
}

fn published(what: &Reference<'_>, scan: &mut Examination<'_>) {
    let package = what.module.split('.').next().unwrap_or_default();
    scan.report(
        EXTENSION,
        Some(what.at),
        format!("needs {what}; loaders import {package} if it is installed, and fail otherwise"),
    );
}

fn custom(what: &Reference<'_>, registered: &str, scan: &mut Examination<'_>) {
    let registered = match registered {
        "" => String::new(),
        name => format!(", registered as {name}"),
    };
    scan.report(
        CUSTOM_OBJECT,
        Some(what.at),
        format!("needs {what}{registered}, whose code is not in the file"),
    );
}
