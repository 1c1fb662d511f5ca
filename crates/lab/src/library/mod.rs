//! The attack library: techniques, scenarios, goals and channels, as data.
//!
//! The built-in library is embedded in the binary; a suite's own files can stand on top of it or replace it.

mod check;
mod schema;
mod source;

use std::collections::BTreeMap;

use ostrom_core::Id;

pub use schema::{
    Channel, ContextKind, Family, Form, Goal, Intent, Mechanism, Scenario, Slot, Task, Technique,
    TransformEntry,
};
pub use source::{Source, SourceError};

use schema::Taxonomy;

/// Everything that cases are made of.
#[derive(Debug, Clone, Default)]
pub struct Library {
    /// How models are manipulated.
    pub mechanisms: BTreeMap<Id, Mechanism>,
    /// What attackers want.
    pub intents: BTreeMap<Id, Intent>,
    /// Where injections hide.
    pub channels: BTreeMap<Id, Channel>,
    /// Descriptions of the transforms.
    pub transforms: BTreeMap<Id, TransformEntry>,
    /// Orders for injected documents.
    pub goals: BTreeMap<Id, Goal>,
    /// Attack techniques.
    pub techniques: BTreeMap<Id, Technique>,
    /// Scenarios of both families.
    pub scenarios: BTreeMap<Id, Scenario>,
    taxonomy: Taxonomy,
}

/// What is wrong with library or suite data: every defect found, not just the first.
#[derive(Debug, thiserror::Error)]
#[error("{} in the suite data:\n{}", plural(defects.len()), defects.join("\n"))]
pub struct LibraryError {
    /// One line each, with the file where it is known.
    pub defects: Vec<String>,
}

fn plural(n: usize) -> String {
    if n == 1 { "1 defect".to_owned() } else { format!("{n} defects") }
}

impl Library {
    /// The library that comes with Ostrom.
    ///
    /// # Errors
    /// Never in a released binary: a test keeps the embedded files sound.
    pub fn builtin() -> Result<Self, LibraryError> {
        let mut library = Self::default();
        library.add(&Source::builtin())?;
        Ok(library)
    }

    /// Adds the files of `source` and checks the whole.
    ///
    /// # Errors
    /// All unknown keys, duplicate or unknown ids, unknown mappings and unusable templates.
    pub fn add(&mut self, source: &Source) -> Result<(), LibraryError> {
        let mut defects = Vec::new();
        source::read_into(self, source, &mut defects);
        check::check(self, &mut defects);
        if defects.is_empty() { Ok(()) } else { Err(LibraryError { defects }) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_builtin_library_is_sound_and_large_enough() {
        let library = Library::builtin().unwrap_or_else(|error| panic!("{error}"));
        assert!(library.mechanisms.len() >= 12);
        assert!(library.techniques.len() >= 60);
        assert!(library.transforms.len() >= 30);
        let used: BTreeSet<&Id> = library.techniques.values().map(|technique| &technique.mechanism).collect();
        assert_eq!(used.len(), library.mechanisms.len(), "a mechanism without techniques");
    }

    #[test]
    fn nothing_is_without_definition_example_references_and_mappings() {
        let whole = "[[mechanism]]\nid = \"x\"\nname = \"X\"\ndefinition = \"X.\"\nexample = \"Say it.\"\nreferences = \
                     [\"x\"]\natlas = [\"AML.T0051\"]\nowasp = [\"LLM01\"]\narcanum = [\"PIT-T-07\"]\n";
        let source = |text: String| Source::memory([("mechanisms.toml".to_owned(), text)]);
        Library::builtin().unwrap().add(&source(whole.to_owned())).unwrap();
        for (key, empty) in [
            ("definition", "\" \""),
            ("example", "\"\""),
            ("references", "[]"),
            ("atlas", "[]"),
            ("owasp", "[]"),
            ("arcanum", "[]"),
        ] {
            let kept =
                whole.lines().filter(|line| !line.starts_with(&format!("{key} ="))).collect::<Vec<_>>();
            let without = kept.join("\n");
            assert!(defects_of("mechanisms.toml", &without).contains(key), "{key} may be missing");
            let blank = format!("{without}\n{key} = {empty}\n");
            assert!(defects_of("mechanisms.toml", &blank).contains(&format!("mechanism x: {key} is empty")));
        }
        let unknown = whole.replace("PIT-T-07", "PIT-T-999");
        assert!(defects_of("mechanisms.toml", &unknown).contains("PIT-T-999"));
    }

    fn defects_of(file: &str, text: &str) -> String {
        let mut library = Library::builtin().unwrap();
        let source = Source::memory([(file.to_owned(), text.to_owned())]);
        library.add(&source).expect_err("the defect was not noticed").to_string()
    }

    #[test]
    fn defects_are_named() {
        let technique = |id: &str, atlas: &str, frame: &str| {
            format!(
                "mechanism = \"authority-claim\"\n[[technique]]\nid = \"{id}\"\nname = \"X\"\ndefinition = \"X.\"\n\
                 references = [\"x\"]\natlas = [\"{atlas}\"]\nowasp = [\"LLM01\"]\narcanum = [\"PIT-T-07\"]\n\
                 families = [\"chat\"]\nframe = \"{frame}\"\n"
            )
        };
        let file = "techniques/x.toml";
        let fine = technique("x-new", "AML.T0051", "{{ order }}");
        let mut library = Library::builtin().unwrap();
        library.add(&Source::memory([(file.to_owned(), fine)])).unwrap();

        let existing = library.techniques.keys().next().unwrap().as_str().to_owned();
        assert!(defects_of(file, &technique(&existing, "AML.T0051", "{{ order }}")).contains("twice"));
        assert!(defects_of(file, &technique("y", "AML.T9999", "{{ order }}")).contains("AML.T9999"));
        assert!(defects_of(file, &technique("y", "AML.T0051", "no instruction")).contains("order"));
        assert!(defects_of(file, &technique("y", "AML.T0051", "{{ ordre }}")).contains("no variable"));
        let extra = technique("y", "AML.T0051", "{{ order }}") + "extra = 1\n";
        assert!(defects_of(file, &extra).contains("extra"));
        assert!(defects_of("notes/x.toml", "").contains("notes/x.toml"));
        assert!(defects_of(file, "= nonsense").contains(file));
    }
}
