//! What Python names mean, from `lists/python.toml`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use ostrom_core::Severity;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    sensitive: BTreeSet<String>,
    harmless: Vec<String>,
    decoders: BTreeSet<String>,
    attributes: BTreeMap<String, Severity>,
    methods: Methods,
    secrets: Secrets,
    #[serde(rename = "use")]
    uses: Vec<UseEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Methods {
    names: BTreeSet<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Secrets {
    contains: Vec<String>,
    exactly: BTreeSet<String>,
    variables: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UseEntry {
    rule: String,
    severity: Option<Severity>,
    #[serde(default)]
    when: When,
    names: Vec<String>,
}

/// What counts: any use of a name, or only a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum When {
    #[default]
    Use,
    Call,
}

/// What the use of a name means.
#[derive(Debug, Clone)]
pub(crate) struct Use {
    pub(crate) rule: &'static str,
    pub(crate) severity: Option<Severity>,
    pub(crate) when: When,
}

/// The lists, ready to be asked.
pub(crate) struct Lists {
    sensitive: BTreeSet<String>,
    harmless: Patterns<()>,
    decoders: BTreeSet<String>,
    attributes: BTreeMap<String, Severity>,
    methods: BTreeSet<String>,
    secrets: Secrets,
    uses: Patterns<Use>,
}

/// Dotted names, some of them with `*` for all that begin so.
struct Patterns<T> {
    exact: BTreeMap<String, T>,
    /// By what stands before the star.
    open: BTreeMap<String, T>,
}

impl<T: Clone> Patterns<T> {
    fn new(entries: impl IntoIterator<Item = (String, T)>) -> Self {
        let mut patterns = Self { exact: BTreeMap::new(), open: BTreeMap::new() };
        for (name, value) in entries {
            match name.strip_suffix('*') {
                Some(start) => patterns.open.insert(start.to_owned(), value),
                None => patterns.exact.insert(name, value),
            };
        }
        patterns
    }

    fn get(&self, path: &str) -> Option<&T> {
        self.exact.get(path).or_else(|| {
            // The longest opening first: after each dot or underscore of the path.
            path.rmatch_indices(['.', '_']).find_map(|(at, _)| self.open.get(path.get(..=at)?))
        })
    }
}

static LISTS: LazyLock<Option<Lists>> = LazyLock::new(|| {
    // INVARIANT: the file is part of the binary, and a test reads it; a broken one cannot be released.
    let file: File = toml::from_str(include_str!("../../../lists/python.toml")).ok()?;
    let uses = file.uses.into_iter().flat_map(|entry| {
        let rule = crate::rules::rule(&entry.rule).map_or(crate::rules::MALFORMED, |rule| rule.id.as_str());
        let meaning = Use { rule, severity: entry.severity, when: entry.when };
        entry.names.into_iter().map(move |name| (name, meaning.clone()))
    });
    Some(Lists {
        uses: Patterns::new(uses.collect::<Vec<_>>()),
        harmless: Patterns::new(file.harmless.into_iter().map(|name| (name, ()))),
        sensitive: file.sensitive,
        decoders: file.decoders,
        attributes: file.attributes,
        methods: file.methods.names,
        secrets: file.secrets,
    })
});

/// The lists; `None` only in a binary whose list is broken, which a test rules out.
pub(crate) fn lists() -> Option<&'static Lists> {
    LISTS.as_ref()
}

impl Lists {
    /// One name for each module that has several.
    fn plain(path: &str) -> String {
        let (first, rest) = path.split_once('.').unwrap_or((path, ""));
        let first = match first {
            "posix" | "nt" | "_os" => "os",
            "__builtin__" | "__builtins__" => "builtins",
            "np" => "numpy",
            "_io" => "io",
            other => other,
        };
        if rest.is_empty() { first.to_owned() } else { format!("{first}.{rest}") }
    }

    /// What the use of `path` means. A dangerous module may be reached through another that imported it, as in
    /// `logging.os.system`, so every later component that names one is tried too.
    pub(crate) fn meaning(&self, path: &str) -> Option<&Use> {
        // Exceptions of a module that talks or runs are named to be caught.
        if path.split('.').skip(1).any(|part| part.ends_with("Error") || part.ends_with("Exception")) {
            return None;
        }
        let whole = Self::plain(path);
        if let Some(found) = self.listed(&whole) {
            return Some(found);
        }
        path.match_indices('.').take(16).find_map(|(at, _)| {
            let rest = Self::plain(path.get(at + 1..)?);
            let module = rest.split('.').next()?;
            if self.sensitive.contains(module) { self.listed(&rest) } else { None }
        })
    }

    fn listed(&self, path: &str) -> Option<&Use> {
        if self.harmless.get(path).is_some() { None } else { self.uses.get(path) }
    }

    /// Whether `path` is a module that must not be handed around.
    pub(crate) fn is_sensitive(&self, path: &str) -> bool {
        let last = path.rsplit('.').next().unwrap_or(path);
        self.sensitive.contains(&Self::plain(path)) || (path.contains('.') && self.sensitive.contains(last))
    }

    /// Whether names of the module `path` are listed.
    pub(crate) fn has_names_of(&self, path: &str) -> bool {
        let start = format!("{}.", Self::plain(path));
        let under = |names: &BTreeMap<String, Use>| {
            names.range(start.clone()..).next().is_some_and(|(name, _)| name.starts_with(&start))
        };
        under(&self.uses.exact) || under(&self.uses.open) || self.is_sensitive(path)
    }

    pub(crate) fn is_decoder(&self, path: &str) -> bool {
        self.decoders.contains(&Self::plain(path))
    }

    pub(crate) fn attribute(&self, name: &str) -> Option<Severity> {
        self.attributes.get(name).copied()
    }

    pub(crate) fn is_method(&self, name: &str) -> bool {
        self.methods.contains(name)
    }

    /// What of a string names a place of secrets.
    pub(crate) fn secret<'l>(&'l self, text: &str) -> Option<&'l str> {
        if let Some(name) = self.secrets.exactly.get(text) {
            return Some(name);
        }
        self.secrets.contains.iter().map(String::as_str).find(|part| text.contains(part))
    }

    /// Whether an environment variable of this name usually holds a secret.
    pub(crate) fn is_secret_variable(&self, name: &str) -> bool {
        let name = format!("_{}_", name.to_ascii_uppercase());
        self.secrets.variables.iter().any(|part| name.contains(&format!("_{part}_")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_whole() {
        let file: File = toml::from_str(include_str!("../../../lists/python.toml")).unwrap();
        for entry in &file.uses {
            assert!(crate::rules::rule(&entry.rule).is_some(), "{}", entry.rule);
        }
        assert!(lists().is_some());
    }

    #[test]
    fn names_mean_what_they_reach() {
        let lists = lists().unwrap();
        for path in ["os.system", "posix.system", "subprocess.run", "logging.os.system", "tempfile._os.popen"]
        {
            assert_eq!(lists.meaning(path).map(|found| found.rule), Some("python-commands"), "{path}");
        }
        for path in [
            "os.path.join",
            "subprocess.PIPE",
            "torch.nn.Linear",
            "requests.exceptions.HTTPError",
            "shutil.copy",
        ] {
            assert!(lists.meaning(path).is_none(), "{path}");
        }
    }
}
