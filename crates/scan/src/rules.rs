//! The catalogue of rules: data in `rules/*.toml`, named from the code by constants.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use ostrom_core::{Digest, Id, Severity};
use serde::{Deserialize, Serialize};

/// What a rule is about, why it matters and what to do.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its name.
    pub id: Id,
    /// In a few words.
    pub title: String,
    /// How bad a finding of it usually is.
    pub severity: Severity,
    /// Whether a finding of it says that something could not be decided. Such findings always count as failures.
    #[serde(default)]
    pub undecided: bool,
    /// Whether a finding of it fails a scan however mild it is called: somebody whose word counts has said that the file must
    /// not be used, and how bad that is decides nothing.
    #[serde(default)]
    pub fails: bool,
    /// The weakness in the Common Weakness Enumeration that comes nearest.
    pub cwe: u32,
    /// MITRE ATLAS techniques, at least one.
    pub atlas: Vec<String>,
    /// What an attacker gains.
    pub gain: String,
    /// What to do.
    pub advice: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    #[serde(default)]
    rule: Vec<Rule>,
}

/// Declares the names that a module reports by. Each stands in the catalogue, and each rule there is declared once;
/// a test holds both.
macro_rules! declare {
    ($($(#[$doc:meta])* $name:ident = $id:literal),* $(,)?) => {
        $($(#[$doc])* pub(crate) const $name: &str = $id;)*
        #[cfg(test)]
        pub(crate) const DECLARED: &[&str] = &[$($id),*];
    };
}
pub(crate) use declare;

declare! {
    UNREADABLE = "unreadable",
    CHANGED = "changed-while-read",
    MALFORMED = "malformed",
    LIMIT = "limit",
    POLYGLOT = "polyglot",
    UNKNOWN = "unknown-format",
    GIT_STORE = "git-store",
    LINK_OUTSIDE = "link-outside",
    LINKED_FOLDER = "linked-folder",
    SPECIAL_FILE = "special-file",
    NAME_NOT_UTF8 = "name-not-utf8",
}

/// One line for each file in `rules/`.
const FILES: &[&str] = &[
    include_str!("../rules/general.toml"),
    include_str!("../rules/pickle.toml"),
    include_str!("../rules/archive.toml"),
    include_str!("../rules/tensor.toml"),
    include_str!("../rules/template.toml"),
    include_str!("../rules/graph.toml"),
    include_str!("../rules/keras.toml"),
    include_str!("../rules/text.toml"),
    include_str!("../rules/folder.toml"),
    include_str!("../rules/records.toml"),
];

static CATALOGUE: LazyLock<BTreeMap<Id, Rule>> = LazyLock::new(|| {
    FILES
        .iter()
        // INVARIANT: the files are part of the binary, and a test reads each; a broken one cannot be released.
        .filter_map(|text| toml::from_str::<RuleFile>(text).ok())
        .flat_map(|file| file.rule)
        .map(|rule| (rule.id.clone(), rule))
        .collect()
});

/// The rule of this name.
pub fn rule(id: &str) -> Option<&'static Rule> {
    id.parse::<Id>().ok().and_then(|id| CATALOGUE.get(&id))
}

/// All rules, by name.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    CATALOGUE.values()
}

/// Names the catalogue: the SHA-256 of its files.
pub fn rules_digest() -> Digest {
    Digest::of(FILES.join("\0").as_bytes())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use ostrom_core::{Framework, TaxonomyId};

    use super::*;

    /// One line for each module that declares rules.
    const MODULES: &[&[&str]] = &[
        DECLARED,
        crate::pickle::DECLARED,
        crate::archive::DECLARED,
        crate::tensor::DECLARED,
        crate::template::DECLARED,
        crate::graph::DECLARED,
        crate::keras::DECLARED,
        crate::text::DECLARED,
        crate::data::DECLARED,
        crate::folder::DECLARED,
        crate::standing::DECLARED,
    ];

    #[test]
    fn catalogue_and_code_name_the_same_rules() {
        let mut listed = Vec::new();
        for text in FILES {
            listed.extend(
                toml::from_str::<RuleFile>(text).unwrap().rule.into_iter().map(|rule| rule.id.to_string()),
            );
        }
        let declared: Vec<_> = MODULES.iter().flat_map(|ids| ids.iter().map(|id| (*id).to_owned())).collect();
        let unique = |ids: &[String]| ids.iter().cloned().collect::<BTreeSet<_>>();
        assert_eq!(unique(&listed).len(), listed.len(), "a rule is listed twice");
        assert_eq!(unique(&declared).len(), declared.len(), "a rule is declared twice");
        assert_eq!(unique(&listed), unique(&declared));
    }

    #[test]
    fn every_rule_says_what_people_need() {
        for rule in rules() {
            for text in [&rule.title, &rule.gain, &rule.advice] {
                assert!(text.len() > 8 && text.len() < 400, "{}: {text:?}", rule.id);
            }
            assert!(rule.cwe > 0 && !rule.atlas.is_empty(), "{}", rule.id);
            for id in &rule.atlas {
                assert!(TaxonomyId::new(Framework::Atlas, id).is_ok(), "{}: {id}", rule.id);
            }
        }
    }
}
