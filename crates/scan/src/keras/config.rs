//! Configurations of Keras models: which objects they make, from which modules.
//!
//! Keras makes an object of every JSON object with a `class_name` and a `config`, wherever its code asks for one; here each
//! is judged, wherever it stands. Sources: the serialisation libraries of Keras 2.15, tf_keras and Keras 3.8 to 3.15.

use super::json::{self, Json, Object};
use super::names::{has_part, is_class_name, is_within, keras};
use super::special;
use super::{CUSTOM_OBJECT, DUPLICATE_KEY, EXTENSION, FOREIGN_MODULE, GADGET, LAMBDA, UNKNOWN_CLASS};
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
    let mut modules: Vec<&str> =
        object.all("module").map(|module| module.as_text().unwrap_or_default()).collect();
    if modules.is_empty() {
        modules.push("");
    }
    for name in object.all("class_name") {
        for &module in &modules {
            // A name that is not text stands for nothing by itself, but its module is imported all the same.
            let Some(name) = name.as_text().or((!module.is_empty()).then_some("")) else { continue };
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
            for name in object.all("config") {
                match name.as_text() {
                    Some(name) => examine_function(&Reference { name, ..*class }, scan),
                    None if class.module.is_empty() && *name == Json::Plain => {}
                    None => {
                        let what = format!("a function of {:?} whose name is not text", class.module);
                        scan.report(UNKNOWN_CLASS, Some(class.at), what);
                    }
                }
            }
            // Keras 2.13 writes `function` for functions of its own.
            for name in registered_names(object).filter(|name| *name != "function") {
                examine_function(&Reference { name, ..*class }, scan);
            }
            return false;
        }
        "__typespec__" => {
            for name in object.all("spec_name") {
                let name = name.as_text().unwrap_or_default();
                let spec = Reference { name, ..*class };
                if !is_within(&keras().modules, spec.module) {
                    foreign(&spec, scan);
                } else if !keras().specs.contains(name) {
                    unknown(&spec, scan);
                }
            }
            return examine_registered(object, class, scan);
        }
        // Keras writes no module with these. Where one stands, a version that does not know the name imports it.
        name if class.module.is_empty() && keras().values.contains(name) => {
            return examine_registered(object, class, scan);
        }
        _ => {}
    }
    let registered = object.text("registered_name").unwrap_or_default();
    examine_class(class, registered, scan);
    special::examine_layer(object, class, scan) | examine_registered(object, class, scan)
}

/// Judges what Keras 3.8 and tf_keras take where a module lacks the class: what it has under `registered_name`, whatever that
/// is. Honest configurations have no such name, or the class's own, or one of the registry's, which has a `>`.
fn examine_registered(object: &Object<'_>, class: &Reference<'_>, scan: &mut Examination<'_>) -> bool {
    let mut lambda = false;
    for name in registered_names(object).filter(|name| *name != class.name && !name.contains('>')) {
        let named = Reference { name, ..*class };
        examine_class(&named, "", scan);
        lambda |= special::examine_layer(object, &named, scan);
    }
    lambda
}

fn registered_names<'d>(object: &'d Object<'_>) -> impl Iterator<Item = &'d str> {
    object.all("registered_name").filter_map(Json::as_text).filter(|name| !name.is_empty())
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
