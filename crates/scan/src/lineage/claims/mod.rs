//! What files say about where they come from. All of it is claims: anybody can write it.

mod bom;
mod front_matter;
mod gguf;
mod json;

use std::collections::BTreeMap;
use std::path::Path;

use ostrom_core::Digest;
use serde::{Deserialize, Serialize};

use super::compare::CompareError;
use super::edge::{Basis, Claim, Relation};
use super::store::Problem;
use super::weights::{open, safetensors_metadata};
use crate::examination::escape;
use crate::source::View;

/// The most entries at the top of a folder that are looked at.
const MAX_ENTRIES: usize = 100_000;
/// The longest text that is kept of a claim, in characters.
const MAX_TEXT: usize = 500;
/// The longest card or JSON file that is read.
const MAX_FILE: usize = 4 << 20;
/// The most claims of one kind.
const MAX_CLAIMS: usize = 1000;

/// A model that this one is said to come from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parent {
    /// As it is called there: mostly `organisation/name`.
    pub name: String,
    /// Which version of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Where it is said to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Its digest, in the rare cases where one is written down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// How this one is said to come from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relation: Option<Relation>,
    /// The file and field that say so.
    pub source: String,
}

/// A data set that the model is said to be trained on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSet {
    /// As it is called there.
    pub name: String,
    /// Where it is said to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The file and field that say so.
    pub source: String,
}

/// A licence that is claimed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Licence {
    /// As it is written there.
    pub name: String,
    /// Where its text is said to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The file and field that say so.
    pub source: String,
}

/// All claims of a folder's or file's own metadata.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    /// Models that it is said to come from.
    pub parents: Vec<Parent>,
    /// Data sets that it is said to be trained on.
    pub data_sets: Vec<DataSet>,
    /// Licences that it is said to have.
    pub licences: Vec<Licence>,
    /// What else is said about its making: who quantised it, to which format.
    pub notes: BTreeMap<String, String>,
    /// Files whose claims could not be read.
    pub problems: Vec<Problem>,
}

impl Parent {
    /// The claim as the basis of an edge.
    pub fn basis(&self) -> Basis {
        Basis::Claim(Claim { source: Some(self.source.clone()), text: Some(self.name.clone()) })
    }
}

/// Text of a claim: printable and not too long; `None` if nothing is left.
fn clean(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| escape(text, MAX_TEXT))
}

impl Claims {
    /// Reads what the files at the top of a folder, or a single file, say about themselves: model card, configuration,
    /// adapter configuration, GGUF and safetensors metadata, CycloneDX files.
    ///
    /// # Errors
    /// If the folder cannot be read. Files that cannot be read become problems.
    pub fn read(path: &Path) -> Result<Self, CompareError> {
        let fail = |source| CompareError::Io { path: path.to_owned(), source };
        if !std::fs::metadata(path).map_err(fail)?.is_dir() {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            return Ok(Self::read_as(path, &name.unwrap_or_default()));
        }
        let mut claims = Self::default();
        let mut names = Vec::new();
        for entry in std::fs::read_dir(path).map_err(fail)? {
            // Names that are not UTF-8 are none of those that are looked for.
            if let Ok(name) = entry.map_err(fail)?.file_name().into_string() {
                names.push(name);
            }
            if names.len() > MAX_ENTRIES {
                let what = format!("more than {MAX_ENTRIES} files");
                return Err(CompareError::Unfit { path: path.to_owned(), what });
            }
        }
        names.sort();
        for name in names {
            claims.read_file(&path.join(&name), &name);
        }
        claims.finish();
        Ok(claims)
    }

    /// Reads what a single file says about itself as if it had this name: names say how a file is read, and claims say where
    /// they stand.
    pub(crate) fn read_as(path: &Path, name: &str) -> Self {
        let mut claims = Self::default();
        claims.read_file(path, name);
        claims.finish();
        claims
    }

    fn read_file(&mut self, path: &Path, name: &str) {
        type Read = fn(&mut Claims, &View, &str) -> Result<(), String>;
        let lower = name.to_ascii_lowercase();
        let read: Read = match lower.as_str() {
            "readme.md" => |claims, view, name| front_matter::read(claims, &text(view)?, name),
            "config.json" => |claims, view, name| json::config(claims, &text(view)?, name),
            "adapter_config.json" => |claims, view, name| json::adapter(claims, &text(view)?, name),
            "bom.json" => |claims, view, name| bom::read(claims, &text(view)?, name),
            other if other.ends_with(".cdx.json") => {
                |claims, view, name| bom::read(claims, &text(view)?, name)
            }
            other if other.ends_with(".gguf") => gguf::read,
            other if other.ends_with(".safetensors") => |claims, view, name| {
                let metadata = safetensors_metadata(view).map_err(|trouble| trouble.to_string())?;
                json::safetensors(claims, &metadata, name);
                Ok(())
            },
            _ => return,
        };
        let shown = escape(name, 200);
        let result = open(path).map_err(|error| error.to_string()).and_then(|view| read(self, &view, &shown));
        if let Err(what) = result {
            self.problems.push(Problem { name: shown, what: escape(&what, MAX_TEXT) });
        }
    }

    /// Sorts, and keeps each claim once: the parts of a model all say the same.
    fn finish(&mut self) {
        fn settle<T: Ord>(list: &mut Vec<T>) {
            list.sort();
            list.dedup();
            list.truncate(MAX_CLAIMS);
        }
        settle(&mut self.parents);
        settle(&mut self.data_sets);
        settle(&mut self.licences);
    }

    fn parent(&mut self, name: &str, relation: Option<Relation>, source: String) {
        if let Some(name) = clean(name) {
            self.parents.push(Parent { name, revision: None, url: None, digest: None, relation, source });
        }
    }

    fn data_set(&mut self, name: &str, url: Option<&str>, source: String) {
        if let Some(name) = clean(name) {
            self.data_sets.push(DataSet { name, url: url.and_then(clean), source });
        }
    }

    fn licence(&mut self, name: &str, url: Option<&str>, source: String) {
        if let Some(name) = clean(name) {
            self.licences.push(Licence { name, url: url.and_then(clean), source });
        }
    }
}

fn text(view: &View) -> Result<String, String> {
    if view.len() > MAX_FILE as u64 {
        return Err(format!("longer than {MAX_FILE} bytes"));
    }
    let bytes = view.bytes(0, MAX_FILE).map_err(|trouble| trouble.to_string())?;
    String::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::weights::tests::{GgufValue, gguf, safetensors};
    use super::*;

    #[test]
    fn a_folder_tells_all_it_knows_and_what_could_not_be_read() {
        let place = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| std::fs::write(place.path().join(name), bytes).unwrap();
        write("README.md", b"---\nbase_model: org/base\nbase_model_relation: finetune\ndatasets:\n- d/one\nlicense: mit\n---\n# Card");
        write("config.json", br#"{"_name_or_path": "org/other"}"#);
        write("adapter_config.json", b"{broken");
        write(
            "model.safetensors",
            &safetensors(&[], &[("ss_sd_model_name", "sd.safetensors"), ("modelspec.license", "cc0-1.0")]),
        );
        write(
            "x.Q8_0.gguf",
            &gguf(&[
                ("general.base_model.count", GgufValue::Number(1)),
                ("general.base_model.0.name", GgufValue::Text("Base")),
                ("general.base_model.0.repo_url", GgufValue::Text("https://example.org/base")),
                ("general.source.repo_url", GgufValue::Text("https://example.org/chat")),
                ("general.file_type", GgufValue::Number(7)),
                ("general.quantized_by", GgufValue::Text("somebody")),
            ]),
        );
        write("notes.txt", b"base_model: nothing");
        let claims = Claims::read(place.path()).unwrap();
        let parents: Vec<_> = claims.parents.iter().map(|p| (p.name.as_str(), p.relation)).collect();
        assert_eq!(
            parents,
            [
                ("Base", None),
                ("https://example.org/chat", Some(Relation::Quantisation)),
                ("org/base", Some(Relation::FineTune)),
                ("org/other", None),
                ("sd.safetensors", None),
            ]
        );
        assert_eq!(claims.data_sets[0].name, "d/one");
        let licences: Vec<_> = claims.licences.iter().map(|licence| licence.name.as_str()).collect();
        assert_eq!(licences, ["cc0-1.0", "mit"]);
        assert_eq!(claims.notes["x.Q8_0.gguf: general.file_type"], "Q8_0");
        assert_eq!(claims.notes["x.Q8_0.gguf: general.quantized_by"], "somebody");
        assert_eq!(claims.problems.len(), 1);
        assert_eq!(claims.problems[0].name, "adapter_config.json");
        assert_eq!(claims.parents[2].basis().describe(), "claimed in README.md: base_model");
    }

    #[test]
    fn what_files_say_is_escaped() {
        let mut claims = Claims::default();
        claims.parent("a\u{202e}b\u{1b}[2J", None, "x".to_owned());
        assert_eq!(claims.parents[0].name, "a\\u{202e}b\\u{1b}[2J");
        claims.parent("  ", None, "x".to_owned());
        assert_eq!(claims.parents.len(), 1);
    }
}
