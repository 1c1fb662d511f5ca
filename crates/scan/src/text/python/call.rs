//! What names, attributes, items and calls reach.

use ostrom_core::Severity;

use super::danger::When;
use super::expression::Arguments;
use super::value::{Origin, Value};
use super::walker::Walker;
use crate::text;

/// How deep code may lie in strings of code.
const NESTED: usize = 4;

/// The most bytes of code in strings that are walked through for one file.
const SPENT: usize = 4 << 20;

impl Walker<'_> {
    /// Notes the use of what a path reaches, unless only its call counts.
    pub(super) fn used(&mut self, path: &str, offset: u64, called: bool) {
        let Some(found) = self.lists.meaning(path) else { return };
        if found.when == When::Call && !called {
            return;
        }
        // What it hangs from was noted already.
        let parent = path.rsplit_once('.').and_then(|(parent, _)| self.lists.meaning(parent));
        if parent.is_some_and(|parent| parent.rule == found.rule && parent.when == When::Use) {
            return;
        }
        let severity = match found.severity {
            None if found.rule == text::PYTHON_COMMANDS && self.at_import() && called => {
                Some(Severity::Critical)
            }
            other => other,
        };
        self.note(found.rule, severity, offset, format!("{} {path}", if called { "calls" } else { "uses" }));
    }

    /// Notes the value that a name or attribute led to. A call that follows notes it itself.
    pub(super) fn reached(&mut self, value: &Value, offset: u64) {
        if let Value::Path(path) = value
            && self.word(0) != "("
        {
            let path = path.clone();
            self.used(&path, offset, false);
        }
    }

    pub(super) fn attribute_used(&mut self, name: &str, offset: u64) {
        if let Some(severity) = self.lists.attribute(name) {
            self.note(text::PYTHON_OBFUSCATED, Some(severity), offset, format!("reaches for {name}"));
        }
    }

    pub(super) fn attribute(&mut self, value: &Value, name: &str, offset: u64) -> Value {
        self.attribute_used(name, offset);
        let reached = match value {
            // A module's dictionary is the module by another spelling.
            Value::Path(path) if name == "__dict__" || name == "__class__" => Value::Path(path.clone()),
            Value::Path(path) if path.len() < 500 => Value::path(&format!("{path}.{name}")),
            Value::Text(text) => Value::Method(text.clone(), name.into()),
            Value::Made(origin) => Value::Made(*origin),
            Value::Unknown if self.word(0) == "(" && self.lists.is_method(name) => {
                if self.noting && self.gathered.suspects.len() < 100 {
                    self.gathered.suspects.push((offset, name.to_owned()));
                }
                Value::Unknown
            }
            _ => Value::Unknown,
        };
        self.reached(&reached, offset);
        reached
    }

    pub(super) fn item(&mut self, value: &Value, index: &[Value], offset: u64) -> Value {
        let index = index.first().unwrap_or(&Value::Unknown);
        match (value, index) {
            (Value::Names, Value::Text(name)) => {
                let value = self.lookup(name);
                self.reached(&value, offset);
                value
            }
            (Value::Path(path), Value::Text(name)) => match &**path {
                "sys.modules" => Value::path(name),
                "os.environ" => self.variable(name, offset),
                _ if self.lists.is_sensitive(path) => self.attribute(value, name, offset),
                _ => Value::Unknown,
            },
            (Value::Path(path), _) if self.lists.is_sensitive(path) => {
                self.hidden_name(path, index, offset);
                Value::Unknown
            }
            (Value::List(items), Value::Number(at)) => {
                usize::try_from(*at).ok().and_then(|at| items.get(at)).cloned().unwrap_or(Value::Unknown)
            }
            (Value::Made(origin), _) => Value::Made(*origin),
            (Value::Text(_), _) => value.mix(index),
            (Value::List(_), _) => value.origin().map_or(Value::Unknown, Value::Made),
            _ => Value::Unknown,
        }
    }

    /// A name of a sensitive module that cannot be told.
    fn hidden_name(&mut self, module: &str, name: &Value, offset: u64) {
        let severity = match name.origin() {
            Some(_) => Severity::Critical,
            None => Severity::High,
        };
        let what = format!("takes from {module} a name that it works out as it runs");
        self.note(text::PYTHON_OBFUSCATED, Some(severity), offset, what);
    }

    fn variable(&mut self, name: &str, offset: u64) -> Value {
        if self.lists.is_secret_variable(name) {
            let what = format!("reads the environment variable {name}");
            self.note(text::PYTHON_SECRETS, Some(Severity::Low), offset, what);
            return Value::Made(Origin::Secret);
        }
        Value::Unknown
    }

    pub(super) fn call(&mut self, callee: &Value, arguments: &Arguments, offset: u64) -> Value {
        match callee {
            Value::Path(path) => {
                let path = path.clone();
                self.call_path(&path, arguments, offset)
            }
            Value::Method(base, name) => match (&**name, arguments.first()) {
                ("join", Value::List(items)) => Value::join(base, items),
                ("join", Value::Made(origin)) => Value::Made(*origin),
                ("encode" | "decode" | "strip", _) => Value::Text(base.clone()),
                ("lower" | "upper" | "replace", _) if base.len() > 4096 => Value::Made(Origin::Built),
                ("lower", _) => Value::text(&base.to_lowercase()),
                ("upper", _) => Value::text(&base.to_uppercase()),
                ("replace", Value::Text(from)) => match arguments.second() {
                    Value::Text(to) if to.len() <= 4 => Value::text(&base.replace(&**from, to)),
                    other => Value::Text(base.clone()).mix(other),
                },
                (
                    "split" | "splitlines" | "rsplit" | "format_map" | "find" | "startswith" | "endswith"
                    | "index",
                    _,
                ) => Value::Unknown,
                _ => arguments.all().fold(Value::Text(base.clone()), |mixed, value| mixed.mix(value)),
            },
            Value::Getter(name) => {
                let object = arguments.first().clone();
                self.attribute(&object, name, offset)
            }
            Value::Made(origin) => {
                let inner = arguments.all().filter_map(Value::origin).max();
                Value::Made(inner.map_or(*origin, |inner| inner.max(*origin)))
            }
            _ => arguments.all().filter_map(Value::origin).max().map_or(
                Value::Unknown,
                |origin| match origin {
                    Origin::Built => Value::Unknown,
                    origin => Value::Made(origin),
                },
            ),
        }
    }

    fn call_path(&mut self, path: &str, arguments: &Arguments, offset: u64) -> Value {
        let origin = arguments.all().filter_map(Value::origin).max();
        let meaning = self.lists.meaning(path);
        let rule = meaning.map(|found| found.rule);
        // The last of `logging.os.environ.get` tells as well as `os.environ.get`.
        let plain = path.find("os.environ").and_then(|at| path.get(at..)).unwrap_or(path);
        match plain {
            "builtins.eval" | "builtins.exec" | "builtins.compile" | "builtins.execfile" => {
                return self.run_text(path, arguments, offset);
            }
            "builtins.getattr" | "builtins.object.__getattribute__" | "inspect.getattr_static" => {
                return self.get(arguments, offset);
            }
            "builtins.__import__" | "importlib.import_module" | "importlib.__import__" => {
                return self.import_call(path, arguments, offset);
            }
            "builtins.vars" | "importlib.reload" | "builtins.reload" => {
                self.gathered.loose = self.gathered.loose.saturating_sub(1);
                return match arguments.positional.first() {
                    Some(value) => value.clone(),
                    None => Value::Names,
                };
            }
            "builtins.hasattr"
            | "builtins.isinstance"
            | "builtins.setattr"
            | "builtins.dir"
            | "builtins.repr"
            | "builtins.str" => {
                if matches!(arguments.first(), Value::Path(path) if self.lists.is_sensitive(path)) {
                    self.gathered.loose = self.gathered.loose.saturating_sub(1);
                }
            }
            "builtins.globals" | "builtins.locals" => return Value::Names,
            "builtins.chr" => {
                if let Value::Number(number) = arguments.first() {
                    let c = u32::try_from(*number).ok().and_then(char::from_u32);
                    return c.map_or(Value::Unknown, |c| Value::text(&c.to_string()));
                }
            }
            "builtins.open" | "io.open" => {
                return Value::Made(origin.unwrap_or(Origin::File).max(Origin::File));
            }
            "operator.attrgetter" | "operator.methodcaller" => {
                return match arguments.first() {
                    Value::Text(name) => Value::Getter(name.clone()),
                    _ => Value::Unknown,
                };
            }
            "os.environ.get" | "os.getenv" | "os.environ.pop" => {
                return match arguments.first() {
                    Value::Text(name) => self.variable(name, offset),
                    _ => Value::Unknown,
                };
            }
            "os.environ.items" | "os.environ.copy" | "os.environ.values" => {
                return Value::Made(Origin::Environment);
            }
            "torch.load" if arguments.says("weights_only", "True") => return Value::Made(Origin::File),
            "numpy.load" if !arguments.says("allow_pickle", "True") => return Value::Made(Origin::File),
            _ => {}
        }
        if let Some(method) = plain.strip_suffix(".get").or_else(|| plain.strip_suffix(".__getitem__"))
            && rule.is_none()
            && (method == "sys.modules" || self.lists.is_sensitive(method))
            && !matches!(method, "os.environ")
        {
            let base = Value::path(method);
            return self.item(&base, &arguments.positional, offset);
        }
        if path.ends_with(".__getattribute__")
            && let Some(base) = path.strip_suffix(".__getattribute__")
        {
            let name = arguments.first().clone();
            return self.get_from(&Value::path(base), &name, offset);
        }
        self.sinks(path, rule, origin, offset);
        if path.ends_with(".from_pretrained")
            || path.ends_with(".pipeline")
            || path.ends_with(".load_dataset")
        {
            self.remote(arguments, offset);
        }
        if self.lists.is_decoder(path) {
            return Value::Made(origin.unwrap_or(Origin::Decoded).max(Origin::Decoded));
        }
        if rule == Some(text::PYTHON_NETWORK) {
            return Value::Made(Origin::Network);
        }
        match origin {
            Some(origin) => Value::Made(origin),
            None if path.starts_with("builtins.")
                && !arguments.positional.is_empty()
                && arguments.all().all(|value| value.is_constant() || matches!(value, Value::Path(_))) =>
            {
                Value::Made(Origin::Built)
            }
            None => Value::Unknown,
        }
    }

    /// Calls that must not get what comes from certain places.
    fn sinks(&mut self, path: &str, rule: Option<&'static str>, origin: Option<Origin>, offset: u64) {
        match (rule, origin) {
            (
                Some(text::PYTHON_COMMANDS | text::PYTHON_DYNAMIC_CODE),
                Some(Origin::Decoded | Origin::Network),
            ) => {
                let from = origin.map_or("", Origin::name);
                self.note(text::PYTHON_HIDDEN_CODE, None, offset, format!("runs by {path} what is {from}"));
            }
            (Some(text::PYTHON_UNPICKLES), Some(Origin::Decoded | Origin::Network)) => {
                let from = origin.map_or("", Origin::name);
                let what = format!("unpickles by {path} what is {from}");
                self.note(text::PYTHON_UNPICKLES, Some(Severity::High), offset, what);
            }
            (Some(text::PYTHON_NETWORK), Some(Origin::Environment)) => {
                let what = format!("sends the environment variables by {path}");
                self.note(text::PYTHON_EXFILTRATION, None, offset, what);
            }
            _ => {}
        }
        self.used(path, offset, true);
    }

    fn remote(&mut self, arguments: &Arguments, offset: u64) {
        if arguments.says("trust_remote_code", "True") {
            let what = "loads another model with trust_remote_code=True";
            self.note(text::PYTHON_REMOTE_CODE, None, offset, what);
        }
    }

    /// `eval(text)`, `exec(text)`, `compile(text, …)`.
    fn run_text(&mut self, path: &str, arguments: &Arguments, offset: u64) -> Value {
        let code = arguments.first();
        if let Value::Text(code) = code {
            let code = code.clone();
            self.code_text(&code, offset);
            let what = format!("{path} of a constant text");
            self.note(text::PYTHON_DYNAMIC_CODE, Some(Severity::Medium), offset, what);
            return Value::Unknown;
        }
        match code.origin() {
            Some(origin @ (Origin::Decoded | Origin::Network | Origin::Built)) => {
                let what = format!("{path} of code that is {}", origin.name());
                let severity = (origin == Origin::Built).then_some(Severity::High);
                self.note(text::PYTHON_HIDDEN_CODE, severity, offset, what);
                Value::Made(origin)
            }
            origin => {
                self.used(path, offset, true);
                origin.map_or(Value::Unknown, Value::Made)
            }
        }
    }

    /// Walks through code in a string.
    fn code_text(&mut self, code: &str, offset: u64) {
        if self.nested >= NESTED {
            self.gathered.too_deep = true;
            return;
        }
        self.gathered.spent = self.gathered.spent.saturating_add(code.len());
        if self.gathered.spent > SPENT {
            self.gathered.too_deep = true;
            return;
        }
        let floor = self.scopes.len();
        let mut inner = Walker {
            source: code,
            tokens: super::lexer::lex(code),
            at: 0,
            lists: self.lists,
            scopes: std::mem::take(&mut self.scopes),
            stars: std::mem::take(&mut self.stars),
            noting: self.noting,
            gathered: std::mem::take(&mut self.gathered),
            depth: self.depth,
            nested: self.nested + 1,
            floor,
        };
        // What is found in the string is placed where the string is used.
        let outer = std::mem::take(&mut inner.gathered.deeds);
        inner.module();
        self.scopes = inner.scopes;
        self.stars = inner.stars;
        self.gathered = inner.gathered;
        let found = std::mem::replace(&mut self.gathered.deeds, outer);
        for deed in found {
            self.note(deed.rule, deed.severity, offset, format!("in a text that is run: {}", deed.what));
        }
    }

    fn get(&mut self, arguments: &Arguments, offset: u64) -> Value {
        let (object, name) = (arguments.first().clone(), arguments.second().clone());
        if matches!(&object, Value::Path(path) if self.lists.is_sensitive(path)) {
            self.gathered.loose = self.gathered.loose.saturating_sub(1);
        }
        self.get_from(&object, &name, offset)
    }

    fn get_from(&mut self, object: &Value, name: &Value, offset: u64) -> Value {
        match (object, name) {
            (_, Value::Text(name)) => self.attribute(object, name, offset),
            (Value::Path(path), _) if self.lists.is_sensitive(path) => {
                self.hidden_name(path, name, offset);
                Value::Unknown
            }
            _ => Value::Unknown,
        }
    }

    fn import_call(&mut self, path: &str, arguments: &Arguments, offset: u64) -> Value {
        match arguments.first() {
            Value::Text(module) => {
                let top = module.split('.').next().unwrap_or(module);
                let whole = path.ends_with("import_module") || !arguments.named.is_empty();
                Value::path(if whole { module } else { top })
            }
            other => match other.origin() {
                Some(origin @ (Origin::Built | Origin::Decoded | Origin::Network)) => {
                    let what = format!("imports a module whose name is {}", origin.name());
                    self.note(text::PYTHON_OBFUSCATED, None, offset, what);
                    Value::Made(origin)
                }
                _ => {
                    let what = "imports a module whose name it works out as it runs";
                    self.note(text::PYTHON_DYNAMIC_IMPORT, None, offset, what);
                    Value::Unknown
                }
            },
        }
    }
}
