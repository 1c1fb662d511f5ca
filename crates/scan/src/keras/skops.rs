//! skops schemas: which types, functions and calls a file makes its objects of.
//!
//! skops itself asks the person who loads a file to agree to types that it does not trust. Here each name is judged as if that
//! person agrees to everything. Source: `skops.io` 0.16, protocols 0 to 2.

use super::json::{self, Json, Object};
use super::names::{is_dotted_name, skops};
use super::{DUPLICATE_KEY, SKOPS_CALL, UNKNOWN_NODE, UNTRUSTED_TYPE};
use crate::examination::{Examination, escape};
use crate::trouble::Trouble;
use ostrom_core::Severity;

/// The newest protocol whose nodes are known.
const PROTOCOL: u64 = 2;

/// Modules of which nothing belongs into a file: what they offer runs, opens or imports.
const ACTING: [&str; 28] = [
    "asyncio",
    "builtins",
    "code",
    "codecs",
    "commands",
    "concurrent",
    "ctypes",
    "importlib",
    "io",
    "joblib",
    "multiprocessing",
    "nt",
    "operator",
    "os",
    "pickle",
    "pip",
    "pkgutil",
    "posix",
    "pty",
    "runpy",
    "shutil",
    "socket",
    "subprocess",
    "sys",
    "tempfile",
    "timeit",
    "types",
    "webbrowser",
];

/// Examines a schema.
pub(super) fn examine(text: &str, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    let document = json::parse(text)?;
    if let Json::Object(schema) = &document {
        for protocol in schema.all("protocol") {
            if !matches!(protocol, Json::Whole(0..=PROTOCOL)) {
                scan.report(UNKNOWN_NODE, Some(schema.at), "a protocol that is not 0, 1 or 2");
            }
        }
    }
    let mut open = vec![&document];
    while let Some(value) = open.pop() {
        match value {
            Json::Plain | Json::Whole(_) | Json::Text(_) => {}
            Json::List(list) => open.extend(list.iter().rev()),
            Json::Object(object) => {
                if let Some(key) = object.duplicate() {
                    scan.report(
                        DUPLICATE_KEY,
                        Some(object.at),
                        format!("`{key}` stands twice in one object"),
                    );
                }
                examine_object(object, scan);
                open.extend(object.members.iter().rev().map(|(_, value)| value));
            }
        }
    }
    Ok(())
}

/// Judges a node, if it is one. With a key twice, readers differ; the nodes of all combinations are judged.
fn examine_object(object: &Object<'_>, scan: &mut Examination<'_>) {
    let mut much = false;
    let mut texts = |key| {
        let (mut texts, more) = object.texts(key);
        much |= more;
        // What is not text stands for nothing that is known.
        if object.all(key).any(|value| value.as_text().is_none()) {
            texts.insert("");
        }
        texts
    };
    let (loaders, modules, classes) = (texts("__loader__"), texts("__module__"), texts("__class__"));
    if much {
        let what = format!("a node with more than {} values of one key", json::VALUES);
        scan.settle(Err(Trouble::Limit(what)));
    }
    for &loader in &loaders {
        for &module in &modules {
            for &class in &classes {
                Node { object, loader, module, class }.examine(scan);
            }
        }
    }
}

struct Node<'d> {
    object: &'d Object<'d>,
    loader: &'d str,
    module: &'d str,
    class: &'d str,
}

impl Node<'_> {
    fn examine(&self, scan: &mut Examination<'_>) {
        match self.loader {
            // What it holds is JSON, whatever the node says its type is.
            "JsonNode" | "CachedNode" | "SliceNode" => {}
            "OperatorFuncNode" => self.operator(scan),
            "MethodNode" => self.method(scan),
            "FunctionNode" => {
                self.named(self.module, self.class, scan);
                if let Some(content) = self.object.get("content").and_then(Json::as_object) {
                    // Protocol 0.
                    let module = content.text("module_path").unwrap_or_default();
                    self.named(module, content.text("function").unwrap_or_default(), scan);
                }
            }
            "RandomGeneratorNode" => {
                self.named(self.module, self.class, scan);
                self.bit_generator(scan);
            }
            loader if skops().loaders.contains(loader) => self.named(self.module, self.class, scan),
            loader => self.report(UNKNOWN_NODE, scan, format!("a {} for {self}", escape(loader, 100))),
        }
    }

    /// Judges a type or a function by its name.
    fn named(&self, module: &str, name: &str, scan: &mut Examination<'_>) {
        let lists = skops();
        let whole = format!("{module}.{name}");
        let top = module.split('.').next().unwrap_or_default();
        let known = lists.types.contains(&whole)
            || match top {
                "sklearn" => lists.sklearn_classes.contains(name) || lists.sklearn_functions.contains(name),
                // Extension modules that scikit-learn's losses give as their own.
                "_loss" => name.starts_with("Cy") && lists.sklearn_classes.contains(name),
                "numpy" => lists.numpy_functions.contains(name),
                "scipy" => module.starts_with("scipy.special") && lists.scipy_functions.contains(name),
                _ => false,
            };
        if known {
            return;
        }
        let acts =
            ACTING.contains(&top) || !is_dotted_name(&whole) || name.contains('.') || name.starts_with("__");
        if acts {
            self.report(SKOPS_CALL, scan, format!("a {} of {}", self.loader, escape(&whole, 300)));
        } else {
            self.report(UNTRUSTED_TYPE, scan, format!("a {} of {}", self.loader, escape(&whole, 300)));
        }
    }

    /// `operator` functions are called with the file's arguments, though only those that make a function are ever saved.
    fn operator(&self, scan: &mut Examination<'_>) {
        match (self.module, self.class) {
            ("operator", "itemgetter") => {}
            ("operator", "attrgetter") => {
                let what = "an operator.attrgetter: reaches into what it is later called with";
                self.report_as(Severity::Medium, scan, what.to_owned());
            }
            ("operator", "methodcaller") => {
                let what = "an operator.methodcaller: calls a method of what it is later called with";
                self.report_as(Severity::High, scan, what.to_owned());
            }
            _ => self.report(SKOPS_CALL, scan, format!("a call of {self} by an OperatorFuncNode")),
        }
    }

    /// Methods of an object: the node must name the type that the object has, or what was agreed to is not what is used.
    fn method(&self, scan: &mut Examination<'_>) {
        let content = self.object.get("content").and_then(Json::as_object);
        let owner = content.and_then(|content| content.get("obj")).and_then(Json::as_object);
        let method = content.and_then(|content| content.text("func")).unwrap_or_default();
        let agrees = owner.is_some_and(|owner| {
            owner.text("__module__") == Some(self.module) && owner.text("__class__") == Some(self.class)
        });
        let plain = is_dotted_name(method) && !method.contains('.') && !method.starts_with('_');
        let what = format!("the method {} of {self}", escape(method, 200));
        if agrees && plain {
            self.named(self.module, self.class, scan);
            self.report_as(Severity::Medium, scan, what);
        } else {
            self.report(SKOPS_CALL, scan, what);
        }
    }

    /// A generator's state names a class of `numpy.random`, which is called.
    fn bit_generator(&self, scan: &mut Examination<'_>) {
        let state = self
            .object
            .get("content")
            .and_then(Json::as_object)
            .and_then(|content| content.get("bit_generator"));
        let Some(state) = state.and_then(Json::as_object) else {
            return self.report(UNKNOWN_NODE, scan, "a generator without the state of one".to_owned());
        };
        // Protocol 0 has the state as it is, later ones as nodes.
        let name = match state.get("content").and_then(Json::as_object).and_then(|c| c.get("bit_generator")) {
            Some(Json::Object(node)) => {
                node.text("content").map(|text| text.trim().trim_matches('"').to_owned())
            }
            _ => state.text("bit_generator").map(str::to_owned),
        };
        let name = name.unwrap_or_default();
        if !skops().bit_generators.contains(&name) {
            self.report(SKOPS_CALL, scan, format!("a call of numpy.random.{}", escape(&name, 200)));
        }
    }

    fn report(&self, rule: &str, scan: &mut Examination<'_>, what: String) {
        scan.report(rule, Some(self.object.at), what);
    }

    fn report_as(&self, severity: Severity, scan: &mut Examination<'_>, what: String) {
        scan.report_as(severity, SKOPS_CALL, Some(self.object.at), what);
    }
}

impl std::fmt::Display for Node<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", escape(self.module, 200), escape(self.class, 200))
    }
}
