//! Configurations of Keras models: which objects they make, from which modules.
//!
//! Keras makes an object of every JSON object with a `class_name` and a `config`, wherever its code asks for one; here each
//! is judged, wherever it stands. Sources: the serialisation libraries of Keras 2.15, tf_keras and Keras 3.12.

use super::json::{self, Json, Object};
use super::names::{is_within, keras};
use super::special;
use super::{CUSTOM_OBJECT, DUPLICATE_KEY, FOREIGN_MODULE, GADGET, LAMBDA, UNKNOWN_CLASS};
use crate::examination::Examination;
use crate::trouble::Trouble;

/// Examines a configuration.
pub(super) fn examine(text: &str, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    let document = json::parse(text)?;
    let mut open = vec![Task { value: &document, key: "", listed: false, in_lambda: false }];
    while let Some(Task { value, key, listed, mut in_lambda }) = open.pop() {
        match value {
            Json::Plain | Json::Whole(_) => {}
            Json::Text(text) => {
                if !in_lambda && special::is_marshalled_code(text) {
                    scan.report(LAMBDA, None, format!("`{key}` holds marshalled Python code"));
                }
                if !listed {
                    special::examine_text(key, text, scan);
                }
            }
            Json::List(list) => {
                open.extend(list.iter().rev().map(|value| Task { value, key, listed: true, in_lambda }));
            }
            Json::Object(object) => {
                if let Some(key) = object.duplicate() {
                    scan.report(
                        DUPLICATE_KEY,
                        Some(object.at),
                        format!("`{key}` stands twice in one object"),
                    );
                }
                in_lambda |= examine_object(object, scan);
                if !in_lambda {
                    in_lambda = special::examine_functions(object, scan);
                }
                open.extend(object.members.iter().rev().map(|(key, value)| Task {
                    value,
                    key,
                    listed: false,
                    in_lambda,
                }));
            }
        }
    }
    Ok(())
}

/// Whether the text may be a configuration: what Keras reads from an attribute, or finds in another file.
pub(super) fn is_likely(text: &str) -> bool {
    let (mut class, mut config) = (false, false);
    json::outer_keys(text, |key| {
        class |= matches!(key, "class_name" | "optimizer_config" | "loss");
        config |= matches!(key, "config" | "metrics");
    });
    class && config
}

struct Task<'d> {
    value: &'d Json<'d>,
    /// The key that it stands under, itself or the list that it is of.
    key: &'d str,
    listed: bool,
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

/// Judges a serialised object, if it is one. Duplicate keys are judged in every combination that a reader may take: all
/// names, with all modules.
fn examine_object(object: &Object<'_>, scan: &mut Examination<'_>) -> bool {
    if object.get("config").is_none() {
        return false;
    }
    let mut lambda = false;
    for name in object.all("class_name").filter_map(Json::as_text) {
        let mut modules: Vec<&str> =
            object.all("module").map(|module| module.as_text().unwrap_or_default()).collect();
        if modules.is_empty() {
            modules.push("");
        }
        for module in modules {
            lambda |= examine_reference(object, &Reference { at: object.at, module, name }, scan);
        }
    }
    lambda
}

/// Judges one reference; whether what lies in the object is code that is reported with it.
fn examine_reference(object: &Object<'_>, class: &Reference<'_>, scan: &mut Examination<'_>) -> bool {
    match class.name {
        "__lambda__" => {
            scan.report(LAMBDA, Some(class.at), "a serialised lambda: marshalled Python code");
            return true;
        }
        "function" => {
            for config in object.all("config").chain(object.all("registered_name")) {
                match config.as_text() {
                    Some("function") => {}
                    Some(name) => examine_function(&Reference { name, ..*class }, scan),
                    None if matches!(config, Json::Plain) => {}
                    None => {
                        let what = format!("a function of {:?} whose name is not text", class.module);
                        scan.report(UNKNOWN_CLASS, Some(class.at), what);
                    }
                }
            }
            return false;
        }
        "__typespec__" => {
            for name in object.all("spec_name").filter_map(Json::as_text) {
                let spec = Reference { name, ..*class };
                if !is_within(&keras().modules, spec.module) {
                    foreign(&spec, scan);
                } else if !keras().specs.contains(name) {
                    unknown(&spec, scan);
                }
            }
            return false;
        }
        name if keras().values.contains(name) => return false,
        _ => {}
    }
    let registered = object.text("registered_name").unwrap_or_default();
    examine_class(class, registered, scan);
    special::examine_layer(object, class, scan)
}

fn examine_class(class: &Reference<'_>, registered: &str, scan: &mut Examination<'_>) {
    let names = keras();
    let is_custom = registered.contains('>') || class.name.contains('>');
    match class.module {
        module
            if names.gadgets.contains(class.name)
                && (is_within(&names.modules, module) || module.is_empty()) =>
        {
            gadget(class, scan);
        }
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
        module if is_within(&names.extensions, module) => custom(class, registered, scan),
        _ => foreign(class, scan),
    }
}

/// A function by its name. Keras saves the functions of its users as `builtins`, whatever module they come from.
fn examine_function(function: &Reference<'_>, scan: &mut Examination<'_>) {
    let names = keras();
    let bare = function.name;
    match function.module {
        "" | "__main__" | "builtins" => {
            if names.builtins.contains(bare) {
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
            } else if !names.functions.contains(bare) {
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

fn custom(what: &Reference<'_>, registered: &str, scan: &mut Examination<'_>) {
    let registered = match registered {
        "" => String::new(),
        name => format!(", registered as {name}"),
    };
    scan.report(CUSTOM_OBJECT, Some(what.at), format!("needs {what}{registered}"));
}
