//! Suites: a folder of data files, expanded into cases and named by the digest of the expansion.

mod case;
mod deck;
mod expand;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{LazyLock, OnceLock};

use include_dir::{Dir, include_dir};
use ostrom_core::{Digest, Id};
use ostrom_trust::CanonicalError;
use serde::{Deserialize, Serialize};

use crate::library::{Family, Library, LibraryError, Source, SourceError};
use crate::plan::SEED_END;

pub use case::{Case, Document, Script, Turn, Twin};

static BUILTIN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/suites");

/// The schema that this version reads and writes.
pub const SCHEMA: &str = "ostrom.suite/v1";
/// More cases than any suite should have; a bound on what a stranger's suite can ask for.
const MAX_CASES: usize = 1_000_000;

/// A suite with all its cases rendered: what is run, digested and put into bundles.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// Identifier.
    pub id: Id,
    /// Version, as its author counts.
    pub version: String,
    /// Name for people.
    pub title: String,
    /// What it is for.
    pub description: String,
    /// The most tokens that a model may answer with.
    pub max_tokens: u32,
    /// Attack cases, in the order in which they run. Ids are unique.
    pub cases: Vec<Case>,
    /// Benign twins, shared by cases with the same scenario and task. Ids are unique.
    pub twins: Vec<Twin>,
}

/// `suite.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recipe {
    schema: String,
    id: Id,
    version: String,
    title: String,
    description: String,
    library: LibraryChoice,
    seed: u64,
    max_tokens: u32,
    /// Cases whose attack is longer than this, in bytes, are passed over.
    #[serde(default)]
    max_bytes: Option<usize>,
    #[serde(rename = "select")]
    selections: Vec<Selection>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum LibraryChoice {
    Builtin,
    None,
}

/// Which cases to take. Empty lists mean all.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Selection {
    family: Family,
    cases: usize,
    #[serde(default)]
    scenarios: Vec<Id>,
    #[serde(default)]
    techniques: Vec<Id>,
    #[serde(default)]
    mechanisms: Vec<Id>,
    #[serde(default)]
    channels: Vec<Id>,
    #[serde(default)]
    goals: Vec<Id>,
    /// Chains of transforms applied to the injected text, used in turn; `[]` is none.
    #[serde(default = "no_transforms")]
    transforms: Vec<Vec<Id>>,
}

fn no_transforms() -> Vec<Vec<Id>> {
    vec![Vec::new()]
}

/// Why there is no suite.
#[derive(Debug, thiserror::Error)]
pub enum SuiteError {
    /// Neither a built-in suite nor a folder with `suite.toml`.
    #[error("there is no suite {name:?}: it is neither a folder with suite.toml nor one of {known}")]
    NotFound {
        /// What was asked for.
        name: String,
        /// The built-in ones.
        known: String,
    },
    /// The folder cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// `suite.toml` is not what it should be.
    #[error("suite.toml: {0}")]
    Recipe(String),
    /// The data files are defective.
    #[error(transparent)]
    Library(#[from] LibraryError),
    /// It calls itself what a built-in suite is called, and is another one.
    #[error(
        "the suite calls itself {id} {version}, as a built-in suite does, but is another one: give it another id or version"
    )]
    Impostor {
        /// The id.
        id: Id,
        /// The version.
        version: String,
    },
    /// The expanded suite has no canonical form.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
}

impl Suite {
    /// The names of the built-in suites.
    pub fn builtin_names() -> Vec<&'static str> {
        let mut names: Vec<&str> = BUILTIN.dirs().filter_map(|dir| dir.path().to_str()).collect();
        names.sort_unstable();
        names
    }

    /// Loads a built-in suite by name, or a folder by path.
    ///
    /// # Errors
    /// If there is none, or its data are defective.
    pub fn load(name: &str) -> Result<Self, SuiteError> {
        if let Some(text) =
            BUILTIN.get_file(format!("{name}/suite.toml")).and_then(|file| file.contents_utf8())
        {
            return Self::from_source(Source::memory([("suite.toml".to_owned(), text.to_owned())]));
        }
        let path = Path::new(name);
        if !path.join("suite.toml").is_file() {
            let known = Self::builtin_names().join(", ");
            return Err(SuiteError::NotFound { name: name.to_owned(), known });
        }
        let suite = Self::from_source(Source::folder(path)?)?;
        suite.check_name(suite.digest()?)?;
        Ok(suite)
    }

    /// Whether the suite, whose digest is `digest`, is what its name says: one that has the id and version of a built-in
    /// suite must be that suite. Returns whether it is a built-in one.
    ///
    /// # Errors
    /// If it is another one.
    pub fn check_name(&self, digest: Digest) -> Result<bool, SuiteError> {
        match builtin(&self.id) {
            Some((version, own)) if *version == self.version => {
                if *own == digest {
                    Ok(true)
                } else {
                    Err(SuiteError::Impostor { id: self.id.clone(), version: self.version.clone() })
                }
            }
            _ => Ok(false),
        }
    }

    /// Whether every rule can decide.
    ///
    /// # Errors
    /// The first case or twin with a rule that cannot, and why.
    pub(crate) fn check_rules(&self) -> Result<(), String> {
        let rules = self.cases.iter().flat_map(|case| [(&case.id, &case.success), (&case.id, &case.utility)]);
        let rules = rules.chain(self.twins.iter().map(|twin| (&twin.id, &twin.utility)));
        for (id, rule) in rules {
            rule.check().map_err(|problem| format!("{}: {problem}", id.escape_debug()))?;
        }
        Ok(())
    }

    /// Expands the suite whose files these are.
    ///
    /// # Errors
    /// If the data are defective.
    pub fn from_source(mut source: Source) -> Result<Self, SuiteError> {
        let text = source.take("suite.toml").ok_or_else(|| SuiteError::Recipe("is missing".to_owned()))?;
        let recipe: Recipe = toml::from_str(&text)
            .map_err(|error| SuiteError::Recipe(error.to_string().trim_end().to_owned()))?;
        if recipe.schema != SCHEMA {
            return Err(SuiteError::Recipe(format!(
                "schema is {:?}; this version reads {SCHEMA:?}",
                recipe.schema
            )));
        }
        let total: usize = recipe.selections.iter().map(|s| s.cases.min(MAX_CASES)).sum();
        if recipe.seed >= SEED_END {
            return Err(SuiteError::Recipe(format!(
                "seed is {}; it must be below {SEED_END} (2^53)",
                recipe.seed
            )));
        }
        if total == 0 || total > MAX_CASES || recipe.max_tokens == 0 {
            return Err(SuiteError::Recipe(format!("{total} cases; 1 to {MAX_CASES} are possible")));
        }
        let mut library = match recipe.library {
            LibraryChoice::Builtin => Library::builtin()?,
            LibraryChoice::None => Library::default(),
        };
        library.add(&source)?;
        expand::expand(&recipe, &library)
    }

    /// The digest of the expanded suite's canonical JSON: the suite's name in every result.
    ///
    /// # Errors
    /// Never in practice: a suite is text and integers.
    pub fn digest(&self) -> Result<Digest, CanonicalError> {
        ostrom_trust::digest_of(self)
    }
}

/// Version and digest of the built-in suite of this id. Expanding one takes a while, so each is expanded once.
fn builtin(id: &Id) -> Option<&'static (String, Digest)> {
    type Known = OnceLock<Option<(String, Digest)>>;
    static KNOWN: LazyLock<BTreeMap<&str, Known>> =
        LazyLock::new(|| Suite::builtin_names().into_iter().map(|name| (name, OnceLock::new())).collect());
    let (name, known) = KNOWN.get_key_value(id.as_str())?;
    let expand = || {
        let suite = Suite::load(name).ok()?;
        let digest = suite.digest().ok()?;
        Some((suite.version, digest))
    };
    known.get_or_init(expand).as_ref()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn builtin_suites_are_what_they_promise() {
        assert_eq!(Suite::builtin_names(), ["core", "starter"]);
        let library = Library::builtin().unwrap();
        for (name, least) in [("starter", 70), ("core", 1_500)] {
            let suite = Suite::load(name).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(suite.cases.len() >= least, "{name} has {} cases", suite.cases.len());
            let mechanisms: BTreeSet<&Id> = suite.cases.iter().map(|case| &case.mechanism).collect();
            assert_eq!(mechanisms.len(), library.mechanisms.len(), "{name} leaves mechanisms out");
            let channels: BTreeSet<&Id> = suite.cases.iter().map(|case| &case.channel).collect();
            assert_eq!(channels.len(), library.channels.len(), "{name} leaves channels out");
            let ids: BTreeSet<&str> = suite.cases.iter().map(|case| case.id.as_str()).collect();
            assert_eq!(ids.len(), suite.cases.len());
            for case in &suite.cases {
                assert_ne!(case.attack, case.control, "{}: attack and control are the same", case.id);
                assert!(suite.twins.iter().any(|twin| twin.id == case.twin), "{} has no twin", case.id);
            }
        }
    }

    #[test]
    fn the_digest_depends_on_the_content_alone() {
        let (one, two) = (Suite::load("starter").unwrap(), Suite::load("starter").unwrap());
        assert_eq!(one.digest().unwrap(), two.digest().unwrap());
        let mut three = two;
        three.cases[0].system.push('.');
        assert_ne!(one.digest().unwrap(), three.digest().unwrap());
    }

    #[test]
    fn a_suite_that_borrows_the_name_of_a_builtin_one_must_be_it() {
        let mut suite = Suite::load("starter").unwrap();
        assert!(suite.check_name(suite.digest().unwrap()).unwrap());
        suite.cases.pop();
        let error = suite.check_name(suite.digest().unwrap()).unwrap_err().to_string();
        assert!(error.contains("starter") && error.contains("another id or version"), "{error}");
        suite.version.push_str("-mine");
        assert!(!suite.check_name(suite.digest().unwrap()).unwrap());
        let folder = tempfile::tempdir().unwrap();
        let recipe = include_str!("../../suites/starter/suite.toml").replacen("seed = ", "seed = 1", 1);
        std::fs::write(folder.path().join("suite.toml"), recipe).unwrap();
        let error = Suite::load(folder.path().to_str().unwrap()).unwrap_err();
        assert!(matches!(error, SuiteError::Impostor { .. }), "{error}");
    }

    #[test]
    fn copying_the_document_is_no_success() {
        // An answer that quotes the attacked document whole must not count: that is what controls are for, and
        // the rules should not even need them.
        let suite = Suite::load("core").unwrap();
        let (mut copied, mut context) = (0, 0);
        for case in suite.cases.iter().filter(|case| case.family == Family::Context) {
            let body = case.attack.iter().filter_map(|turn| turn.document.as_ref()).map(|d| d.body.as_str());
            context += 1;
            copied += usize::from(case.success.holds(&body.collect::<String>()));
        }
        assert!(copied * 50 < context, "{copied} of {context} cases succeed by copying");
    }

    #[test]
    fn bad_recipes() {
        let recipe = |change: &dyn Fn(String) -> String| {
            let text = "schema = \"ostrom.suite/v1\"\nid = \"x\"\nversion = \"1\"\ntitle = \"t\"\ndescription = \
                        \"d\"\nlibrary = \"builtin\"\nseed = 1\nmax_tokens = 8\n[[select]]\nfamily = \
                        \"context\"\ncases = 3\n";
            Suite::from_source(Source::memory([("suite.toml".to_owned(), change(text.to_owned()))]))
        };
        assert_eq!(recipe(&|t| t).unwrap().cases.len(), 3);
        assert!(recipe(&|t| t + "case = 3\n").unwrap_err().to_string().contains("case"));
        assert!(
            recipe(&|t| t.replace("suite/v1", "suite/v2"))
                .unwrap_err()
                .to_string()
                .contains("ostrom.suite/v2")
        );
        assert!(recipe(&|t| t + "scenarios = [\"nowhere\"]\n").unwrap_err().to_string().contains("nowhere"));
        assert!(recipe(&|t| t.replace("cases = 3", "cases = 0")).is_err());
        let error = recipe(&|t| t.replace("seed = 1", "seed = 9007199254740992")).unwrap_err().to_string();
        assert!(error.contains("2^53"), "{error}");
        // One technique, scenario, goal and channel make as many cases as the scenario has tasks, and no more.
        let narrow = "techniques = [\"system-maintenance-notice\"]\nscenarios = [\"archive-loans\"]\ngoals = [\"emit-canary\"]\n\
                      channels = [\"visible-text\"]\n";
        let error = recipe(&|t| t.replace("cases = 3", "cases = 30") + narrow).unwrap_err().to_string();
        assert!(error.contains("distinct"), "{error}");
    }

    /// Words that mean something in a recipe or a library, to throw into one.
    const WORDS: [&str; 16] = [
        "[[select]]\n",
        "cases = 9999999\n",
        "transforms = [[\"base64\", \"base64\"]]\n",
        "seed = -1\n",
        "\"",
        "{{",
        "}}",
        "{{ secret }}",
        "= ",
        "[",
        "]",
        "family = \"chat\"\n",
        "\u{202e}",
        "\0",
        "max_tokens = 0\n",
        "id = \"x\"\n",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        #[test]
        fn a_changed_recipe_is_refused_or_a_whole_suite(edits in proptest::collection::vec(
            (any::<prop::sample::Index>(), 0..40_usize, prop::sample::select(&WORDS[..])), 1..4)) {
            let mut text = include_str!("../../suites/starter/suite.toml").to_owned();
            for (at, removed, word) in edits {
                let boundary = |mut at: usize| { while !text.is_char_boundary(at) { at -= 1; } at };
                let from = boundary(at.index(text.len() + 1));
                let to = boundary((from + removed).min(text.len())).max(from);
                text.replace_range(from..to, word);
            }
            if let Ok(suite) = Suite::from_source(Source::memory([("suite.toml".to_owned(), text)])) {
                let again: Suite = serde_json::from_slice(&serde_json::to_vec(&suite).unwrap()).unwrap();
                prop_assert_eq!(again.digest().unwrap(), suite.digest().unwrap());
                prop_assert!(suite.cases.iter().all(|case| suite.twins.iter().any(|twin| twin.id == case.twin)));
            }
        }
    }
}
