//! Where library files come from: the binary, or a folder. Bounded in number, size and depth.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;
use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};
use ostrom_core::Id;
use serde::de::DeserializeOwned;

use super::Library;
use super::schema::{
    ChannelFile, GoalFile, IntentFile, MechanismFile, Scenario, TaxonomyFile, Technique, TechniqueFile,
    TransformFile,
};

static BUILTIN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/library");

const MAX_FILES: usize = 4096;
const MAX_FILE: u64 = 4 << 20;
const MAX_DEPTH: usize = 4;

/// The text files of a library or suite folder, by relative path with `/`.
#[derive(Debug, Clone, Default)]
pub struct Source {
    files: BTreeMap<String, String>,
}

/// Why a folder could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The system could not read something.
    #[error("{}: {source}", path.display())]
    Io {
        /// What was being read.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Too many, too large or too deep.
    #[error("{}: {message}", path.display())]
    Unfit {
        /// What was being read.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
}

impl Source {
    /// The library embedded in the binary.
    pub fn builtin() -> Self {
        let mut files = BTreeMap::new();
        embedded(&BUILTIN, &mut files);
        Self { files }
    }

    /// Files that are in memory.
    pub fn memory(files: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { files: files.into_iter().collect() }
    }

    /// The TOML files of a folder.
    ///
    /// # Errors
    /// If something cannot be read, is not UTF-8, or is more than a suite can be.
    pub fn folder(root: &Path) -> Result<Self, SourceError> {
        let mut source = Self::default();
        source.walk(root, "", 0)?;
        Ok(source)
    }

    fn walk(&mut self, folder: &Path, prefix: &str, depth: usize) -> Result<(), SourceError> {
        let io = |source| SourceError::Io { path: folder.to_owned(), source };
        let unfit = |path: &Path, message: &str| SourceError::Unfit {
            path: path.to_owned(),
            message: message.into(),
        };
        if depth > MAX_DEPTH {
            return Err(unfit(folder, "folders nested too deeply"));
        }
        for entry in fs::read_dir(folder).map_err(io)? {
            let entry = entry.map_err(io)?;
            let path = entry.path();
            let name = entry.file_name().into_string().map_err(|_| unfit(&path, "its name is not UTF-8"))?;
            let kind = entry.file_type().map_err(io)?;
            let relative = format!("{prefix}{name}");
            if kind.is_dir() {
                self.walk(&path, &format!("{relative}/"), depth + 1)?;
            } else if kind.is_file() && Path::new(&name).extension().is_some_and(|e| e == "toml") {
                let size = entry.metadata().map_err(io)?.len();
                if size > MAX_FILE || self.files.len() >= MAX_FILES {
                    return Err(unfit(&path, "too large, or one file too many"));
                }
                let text = fs::read_to_string(&path)
                    .map_err(|source| SourceError::Io { path: path.clone(), source })?;
                self.files.insert(relative, text);
            }
        }
        Ok(())
    }

    /// Takes a file out.
    pub fn take(&mut self, path: &str) -> Option<String> {
        self.files.remove(path)
    }

    /// Whether there are no files.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }
}

fn embedded(dir: &Dir<'_>, files: &mut BTreeMap<String, String>) {
    for file in dir.files() {
        if let (Some(path), Some(text)) = (file.path().to_str(), file.contents_utf8()) {
            files.insert(path.replace('\\', "/"), text.to_owned());
        }
    }
    dir.dirs().for_each(|dir| embedded(dir, files));
}

fn parse<T: DeserializeOwned>(path: &str, text: &str, defects: &mut Vec<String>) -> Option<T> {
    toml::from_str(text)
        .map_err(|error| defects.push(format!("{path}: {}", error.to_string().trim_end())))
        .ok()
}

fn insert<T>(map: &mut BTreeMap<Id, T>, id: Id, entry: T, path: &str, defects: &mut Vec<String>) {
    match map.entry(id) {
        Entry::Occupied(there) => defects.push(format!("{path}: the id {} occurs twice", there.key())),
        Entry::Vacant(place) => {
            place.insert(entry);
        }
    }
}

/// Reads every file of `source` into `library`; what is wrong goes to `defects`.
pub(super) fn read_into(library: &mut Library, source: &Source, defects: &mut Vec<String>) {
    for (path, text) in &source.files {
        match path.as_str() {
            "mechanisms.toml" => {
                for entry in parse::<MechanismFile>(path, text, defects).into_iter().flat_map(|f| f.entries) {
                    insert(&mut library.mechanisms, entry.id.clone(), entry, path, defects);
                }
            }
            "intents.toml" => {
                for entry in parse::<IntentFile>(path, text, defects).into_iter().flat_map(|f| f.entries) {
                    insert(&mut library.intents, entry.id.clone(), entry, path, defects);
                }
            }
            "channels.toml" => {
                for entry in parse::<ChannelFile>(path, text, defects).into_iter().flat_map(|f| f.entries) {
                    insert(&mut library.channels, entry.id.clone(), entry, path, defects);
                }
            }
            "transforms.toml" => {
                for entry in parse::<TransformFile>(path, text, defects).into_iter().flat_map(|f| f.entries) {
                    insert(&mut library.transforms, entry.id.clone(), entry, path, defects);
                }
            }
            "goals.toml" => {
                for entry in parse::<GoalFile>(path, text, defects).into_iter().flat_map(|f| f.entries) {
                    insert(&mut library.goals, entry.id.clone(), entry, path, defects);
                }
            }
            "taxonomy.toml" => {
                if let Some(file) = parse::<TaxonomyFile>(path, text, defects) {
                    library.taxonomy.atlas.extend(file.atlas.into_iter().map(|known| known.id));
                    library.taxonomy.owasp.extend(file.owasp.into_iter().map(|known| known.id));
                    library.taxonomy.arcanum.extend(file.arcanum.into_iter().map(|known| known.id));
                }
            }
            _ if path.starts_with("techniques/") => read_techniques(library, path, text, defects),
            _ if path.starts_with("scenarios/") => {
                if let Some(scenario) = parse::<Scenario>(path, text, defects) {
                    insert(&mut library.scenarios, scenario.id().clone(), scenario, path, defects);
                }
            }
            _ => defects.push(format!(
                "{path}: no part of a suite; known are suite.toml, mechanisms.toml, intents.toml, channels.toml, \
                 transforms.toml, goals.toml, taxonomy.toml, techniques/ and scenarios/"
            )),
        }
    }
}

fn read_techniques(library: &mut Library, path: &str, text: &str, defects: &mut Vec<String>) {
    let Some(file) = parse::<TechniqueFile>(path, text, defects) else { return };
    for entry in file.entries {
        let turns = match (entry.frame, entry.turns) {
            (Some(frame), None) => vec![frame.trim().to_owned()],
            (None, Some(turns)) if !turns.is_empty() && turns.len() <= 16 => turns,
            _ => {
                defects.push(format!("{path}: technique {} needs either frame or 1 to 16 turns", entry.id));
                continue;
            }
        };
        let technique = Technique {
            id: entry.id.clone(),
            mechanism: file.mechanism.clone(),
            name: entry.name,
            definition: entry.definition,
            references: entry.references,
            atlas: entry.atlas,
            owasp: entry.owasp,
            arcanum: entry.arcanum,
            families: entry.families,
            turns,
        };
        insert(&mut library.techniques, entry.id, technique, path, defects);
    }
}
