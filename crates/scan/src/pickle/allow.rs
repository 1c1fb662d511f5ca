//! The allow-lists: which callables may be called with which arguments, and what may be done to what they make. Data in
//! `allow/*.toml`.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use serde::Deserialize;

use super::shape::{self, Shape};

/// One line for each file in `allow/`.
const FILES: &[(&str, &str)] = &[
    ("python", include_str!("../../allow/python.toml")),
    ("numpy", include_str!("../../allow/numpy.toml")),
    ("scipy", include_str!("../../allow/scipy.toml")),
    ("pandas", include_str!("../../allow/pandas.toml")),
    ("joblib", include_str!("../../allow/joblib.toml")),
    ("scikit-learn", include_str!("../../allow/sklearn.toml")),
    ("boosting", include_str!("../../allow/boosting.toml")),
    ("torch", include_str!("../../allow/torch.toml")),
    ("torch-modules", include_str!("../../allow/torch_modules.toml")),
    ("torch-distributions", include_str!("../../allow/torch_distributions.toml")),
    ("transformers", include_str!("../../allow/transformers.toml")),
];

const DANGEROUS: &str = include_str!("../../allow/dangerous.toml");

/// What may be done with something that a pickle imports.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) id: u16,
    pub(crate) kind: Kind,
    /// Arguments with which it may be called.
    pub(crate) call: Option<Shape>,
    /// Arguments with which its `__new__` may be called.
    pub(crate) new: Option<Shape>,
    /// States that what it makes may be given.
    pub(crate) build: Option<Shape>,
    /// What may be added to what it makes.
    pub(crate) fill: Vec<Fill>,
    pub(crate) groups: Vec<String>,
    /// By which shapes name what it makes.
    pub(crate) makes: String,
    pub(crate) special: Option<Special>,
    /// Whether arguments and state of what it makes are needed later.
    pub(crate) keep: bool,
    /// Arguments with which it makes data of which no method is of the pickle's choice.
    pub(crate) plain: Option<Shape>,
    /// Bytes of one element, for storage classes.
    pub(crate) element: u64,
    /// Whether calling it with arguments of an attacker's choice does more than make data: opens files, makes classes.
    opens: bool,
}

impl Entry {
    /// Whether it may be kept to be called later, with arguments that nobody holds against a shape.
    pub(crate) fn is_data(&self) -> bool {
        !self.opens && (self.kind != Kind::Callable || self.is_class(None))
    }

    /// Whether it does so much that honest pickles only ever call it, and never keep it.
    pub(crate) fn is_only_called(&self) -> bool {
        !matches!(self.special, None | Some(Special::JoblibArray | Special::JoblibFile | Special::Dtype))
    }

    /// Whether it is a class, of this group where one is named.
    pub(crate) fn is_class(&self, group: Option<&str>) -> bool {
        match group {
            Some(group) => self.groups.iter().any(|own| own == group),
            None => {
                matches!(self.kind, Kind::Class | Kind::Enum | Kind::Exception)
                    || self.groups.iter().any(|own| own == "class")
            }
        }
    }
}

/// What an entry's name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// A class that may be instantiated without arguments and given a state.
    Class,
    /// An enumeration, called with a member's value.
    Enum,
    /// An exception, called with data.
    Exception,
    /// A function or value that may only be referred to.
    Reference,
    /// Whatever the other fields say.
    #[default]
    Callable,
}

/// What may be added to an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Fill {
    /// By `APPEND` and `APPENDS`.
    List,
    /// By `SETITEM` and `SETITEMS`.
    Dict,
    /// By `ADDITEMS`.
    Set,
}

/// Callables whose effect a shape cannot say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Special {
    /// `copyreg._reconstructor(class, base, state)`.
    Reconstructor,
    /// `copyreg.__newobj__(class, *args)`.
    Newobj,
    /// `copyreg.__newobj_ex__(class, args, kwargs)`.
    NewobjEx,
    /// `getattr(enumeration, member)`.
    Member,
    /// Imports what two strings name: module, then name.
    Import,
    /// Calls its first argument with the item of its arguments that is a tuple.
    Apply,
    /// Loads its argument as a PyTorch file.
    TorchLoad,
    /// joblib's stand-in for an array, whose data follow in the stream.
    JoblibArray,
    /// joblib's older stand-in, whose data are in a file beside this one.
    JoblibFile,
    /// numpy's types, by whose states it holds elements for objects.
    Dtype,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListFile {
    /// Module prefixes that are other names of listed ones.
    #[serde(default)]
    alias: HashMap<String, String>,
    /// What states its classes may be given, where nothing else is said of them.
    state: Option<String>,
    allow: Vec<Lines>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lines {
    modules: Vec<String>,
    names: Vec<String>,
    #[serde(default)]
    kind: Kind,
    call: Option<String>,
    new: Option<String>,
    build: Option<String>,
    #[serde(default)]
    fill: Vec<Fill>,
    #[serde(default)]
    groups: Vec<String>,
    makes: Option<String>,
    special: Option<Special>,
    #[serde(default)]
    keep: bool,
    plain: Option<String>,
    #[serde(default)]
    element: u64,
    #[serde(default)]
    opens: bool,
}

/// Names that give an attacker something by themselves.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Danger {
    /// Completes "which …".
    pub(crate) gain: String,
    /// Modules: whatever they hold, and their submodules.
    #[serde(default)]
    modules: Vec<String>,
    /// Single names, with their modules.
    #[serde(default)]
    names: Vec<String>,
    /// Whether it loads its argument as a pickle.
    #[serde(default)]
    pub(crate) nested: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DangerFile {
    /// Modules that other modules hold as attributes.
    exposed: Vec<String>,
    danger: Vec<Danger>,
}

/// All lists.
pub(crate) struct Lists {
    entries: Vec<Entry>,
    by_name: HashMap<String, u16>,
    modules: HashSet<String>,
    alias: Vec<(String, String)>,
    dangers: Vec<Danger>,
    danger_of: HashMap<String, usize>,
    exposed: HashSet<String>,
}

static LISTS: LazyLock<Lists> = LazyLock::new(|| {
    // INVARIANT: the files are part of the binary, and a test reads each; a broken one cannot be released.
    Lists::read(FILES, DANGEROUS).unwrap_or_else(|_| Lists::empty())
});

/// The lists that the binary has.
pub(crate) fn lists() -> &'static Lists {
    &LISTS
}

impl Lists {
    fn empty() -> Self {
        Self {
            entries: Vec::new(),
            by_name: HashMap::new(),
            modules: HashSet::new(),
            alias: Vec::new(),
            dangers: Vec::new(),
            danger_of: HashMap::new(),
            exposed: HashSet::new(),
        }
    }

    fn read(files: &[(&str, &str)], dangers: &str) -> Result<Self, String> {
        let mut lists = Self::empty();
        for (name, text) in files {
            let file: ListFile = toml::from_str(text).map_err(|error| format!("{name}: {error}"))?;
            lists.alias.extend(file.alias);
            for lines in file.allow {
                lists.add(lines, &file.state).map_err(|error| format!("{name}: {error}"))?;
            }
        }
        let file: DangerFile = toml::from_str(dangers).map_err(|error| error.to_string())?;
        lists.exposed.extend(file.exposed);
        for (index, danger) in file.danger.into_iter().enumerate() {
            for name in danger.modules.iter().chain(&danger.names) {
                if lists.danger_of.insert(name.clone(), index).is_some() {
                    return Err(format!("{name} is listed twice as dangerous"));
                }
            }
            lists.dangers.push(danger);
        }
        Ok(lists)
    }

    /// `state` is what the file says of the states of its classes.
    fn add(&mut self, lines: Lines, state: &Option<String>) -> Result<(), String> {
        let read = |text: &Option<String>| text.as_deref().map(shape::parse).transpose();
        let call = match (read(&lines.call)?, lines.kind) {
            (None, Kind::Enum) => Some(shape::parse("(int|str|float|bool|none|tuple)")?),
            (None, Kind::Exception) => Some(shape::parse("(data*)")?),
            (call, _) => call,
        };
        let new = match (read(&lines.new)?, lines.kind) {
            (None, Kind::Class) => Some(Shape::Items(Vec::new())),
            (new, _) => new,
        };
        let build = match (read(&lines.build)?, lines.kind) {
            (None, Kind::Class) => read(state)?.or(Some(Shape::State)),
            (None, Kind::Exception) => Some(Shape::State),
            (build, _) => build,
        };
        let plain = read(&lines.plain)?;
        for module in &lines.modules {
            self.modules.insert(module.clone());
            for name in &lines.names {
                let id = u16::try_from(self.entries.len()).map_err(|_| "too many entries".to_owned())?;
                let entry = Entry {
                    id,
                    kind: lines.kind,
                    call: call.clone(),
                    new: new.clone(),
                    build: build.clone(),
                    fill: lines.fill.clone(),
                    groups: lines.groups.clone(),
                    makes: lines.makes.clone().unwrap_or_else(|| name.clone()),
                    special: lines.special,
                    keep: lines.keep,
                    plain: plain.clone(),
                    element: lines.element,
                    opens: lines.opens,
                };
                self.entries.push(entry);
                if self.by_name.insert(key(module, name), id).is_some() {
                    return Err(format!("{module}.{name} is listed twice"));
                }
            }
        }
        Ok(())
    }

    /// The module's name as the lists have it.
    fn module(&self, module: &str) -> String {
        for (from, to) in &self.alias {
            if let Some(rest) = module.strip_prefix(from.as_str())
                && (rest.is_empty() || rest.starts_with('.'))
            {
                return format!("{to}{rest}");
            }
        }
        module.to_owned()
    }

    /// What may be done with something imported.
    pub(crate) fn find(&self, module: &str, name: &str) -> Option<&Entry> {
        let id = match self.by_name.get(&key(module, name)) {
            Some(id) => id,
            None => self.by_name.get(&key(&self.module(module), name))?,
        };
        self.entry(*id)
    }

    pub(crate) fn entry(&self, id: u16) -> Option<&Entry> {
        self.entries.get(usize::from(id))
    }

    /// Whether something else of this module is listed.
    pub(crate) fn knows(&self, module: &str) -> bool {
        self.modules.contains(module) || self.modules.contains(&self.module(module))
    }

    /// Why something imported is dangerous, if it is known to be. Looks through attributes: `numpy` `os.system` is
    /// `os.system`.
    pub(crate) fn danger(&self, module: &str, name: &str) -> Option<&Danger> {
        // CPython finds its frozen modules, `os` among them, by a name that ends at a null byte.
        let module = self.module(module.split('\0').next().unwrap_or_default());
        let mut ancestor = module.as_str();
        loop {
            if let Some(index) = self.danger_of.get(ancestor) {
                return self.dangers.get(*index);
            }
            match ancestor.rsplit_once('.') {
                Some((parent, _)) => ancestor = parent,
                None => break,
            }
        }
        if let Some(index) = self.danger_of.get(&format!("{module}.{name}")) {
            return self.dangers.get(*index);
        }
        let mut rest = name;
        loop {
            let first = rest.split('.').next().unwrap_or_default();
            if self.exposed.contains(first) {
                let mut path = rest;
                loop {
                    if let Some(index) = self.danger_of.get(path) {
                        return self.dangers.get(*index);
                    }
                    match path.rsplit_once('.') {
                        Some((parent, _)) => path = parent,
                        None => break,
                    }
                }
            }
            match rest.split_once('.') {
                Some((_, after)) => rest = after,
                None => return None,
            }
        }
    }
}

fn key(module: &str, name: &str) -> String {
    format!("{module}\n{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_sound() {
        let lists = Lists::read(FILES, DANGEROUS).unwrap();
        assert!(lists.entries.len() > 500);
        for (name, id) in &lists.by_name {
            let (module, name) = name.split_once('\n').unwrap();
            let entry = lists.entry(*id).unwrap();
            // Only what shapes or special handling hold back may be both, and what nothing may call at all.
            let held = entry.special.is_some() || entry.call.is_some();
            assert!(
                lists.danger(module, name).is_none()
                    || held
                    || (entry.kind == Kind::Reference && entry.opens),
                "{module}.{name} is listed as allowed and as dangerous"
            );
        }
    }

    #[test]
    fn attributes_do_not_hide_what_is_dangerous() {
        let lists = lists();
        for (module, name) in [
            ("os", "system"),
            ("posix", "anything"),
            ("os.path", "os.system"),
            ("numpy", "os.system"),
            ("numpy", "os"),
            ("sklearn.utils", "a.subprocess.Popen"),
            ("__builtin__", "eval"),
            ("builtins", "exec"),
            ("xml.dom", "x.builtins.eval"),
            ("idlelib.run", "x"),
        ] {
            assert!(lists.danger(module, name).is_some(), "{module} {name}");
        }
        for (module, name) in
            [("numpy", "ndarray"), ("collections", "OrderedDict"), ("ospath", "system"), ("a", "timeit_x")]
        {
            assert!(lists.danger(module, name).is_none(), "{module} {name}");
        }
    }
}
