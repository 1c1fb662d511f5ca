//! What was approved, and how what servers offer stands against it.

use std::cell::LazyCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use ostrom_core::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::definition::{Definition, DefinitionError};
use super::diff::changes;
use super::likeness::likenesses;
use super::{Checked, FirstUse, Kind, Reason, Standing};

/// How many definitions of one kind a server may offer.
pub const MAX_DEFINITIONS: usize = 10_000;

/// Largest file of pins that is read.
const MAX_FILE: u64 = 256 * 1024 * 1024;

/// The form of the file.
const VERSION: u32 = 1;

/// A definition as it was approved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Pin {
    /// The digest of the definition.
    pub digest: Digest,
    /// When it was approved, in seconds since 1970.
    pub approved_at: u64,
    /// Who approved it; `first-use` if nobody did.
    pub approved_by: String,
    /// Whether it has text that people do not see. Earlier versions let a person approve the rendering of such a definition; now it counts as
    /// one that nobody has approved, and stays here to be shown and unpinned.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
    /// The whole definition.
    pub definition: Value,
}

type Names = BTreeMap<String, Pin>;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    version: u32,
    /// A kind that was seen has an entry, though it may have no pins: what is added later is no first use.
    servers: BTreeMap<String, BTreeMap<Kind, Names>>,
}

/// Why pins cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be read or written.
    #[error("the pins in {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not one of pins, or was changed by hand in a way that does not fit together.
    #[error("the pins in {} are damaged ({what}). Restore the file, or remove it to approve everything again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

/// Why a definition cannot be approved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApproveError {
    /// It is not what the person saw.
    #[error("the definition has changed since it was shown: it is now {offered}. Look at it again")]
    Different {
        /// The digest of what the server offers now.
        offered: Digest,
    },
    /// It has hidden text.
    #[error(
        "the definition has text that people do not see (ostrom guard pin shows it), so it cannot be approved: have the server's maker take it out"
    )]
    Hidden,
}

/// The pins of all servers.
#[derive(Debug, Clone, PartialEq)]
pub struct PinStore {
    contents: Contents,
}

impl Default for PinStore {
    fn default() -> Self {
        Self { contents: Contents { version: VERSION, servers: BTreeMap::new() } }
    }
}

impl PinStore {
    /// Reads pins; there are none if there is no file.
    ///
    /// # Errors
    /// If the file cannot be read, is not one of pins, or holds a pin whose definition does not have its digest.
    pub fn load(path: &Path) -> Result<Self, StoreError> {
        let error = |source| StoreError::File { path: path.to_owned(), source };
        let damaged = |what: String| StoreError::Damaged { path: path.to_owned(), what };
        let file = match File::open(path) {
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            opened => opened.map_err(error)?,
        };
        let mut bytes = Vec::new();
        file.take(MAX_FILE.saturating_add(1)).read_to_end(&mut bytes).map_err(error)?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(damaged(format!("it has more than {MAX_FILE} bytes")));
        }
        Self::read(&bytes).map_err(damaged)
    }

    /// Reads pins from what [`PinStore::write`] gave.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let contents: Contents = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if contents.version != VERSION {
            return Err(format!("it has version {}, and this program knows {VERSION}", contents.version));
        }
        for (server, kinds) in &contents.servers {
            for (kind, names) in kinds {
                for (name, pin) in names {
                    let what = |why: &str| format!("the {kind} {name:?} of {server:?} {why}");
                    let definition = Definition::new(*kind, pin.definition.clone())
                        .map_err(|error| what(&format!("is no definition: {error}")))?;
                    if definition.name() != name {
                        return Err(what("has another name in its definition"));
                    }
                    if definition.digest() != pin.digest {
                        return Err(what("does not have its digest"));
                    }
                    if !pin.hidden && !definition.hidden().is_empty() {
                        return Err(what("has hidden text and was not approved so"));
                    }
                }
            }
        }
        Ok(Self { contents })
    }

    /// The file's bytes: the same for the same pins, and a change of one definition is a change of its lines.
    ///
    /// # Errors
    /// Never in practice: pins are JSON.
    pub(super) fn write(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut value = serde_json::to_value(&self.contents)?;
        value.sort_all_objects();
        let mut bytes = serde_json::to_vec_pretty(&value)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Replaces the file at `path`, at once or not at all; only the owner can read it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), StoreError> {
        let error = |source: io::Error| StoreError::File { path: path.to_owned(), source };
        let bytes = self.write().map_err(|source| error(source.into()))?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(error)?;
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(error)?;
        file.write_all(&bytes).map_err(error)?;
        file.as_file().sync_all().map_err(error)?;
        file.persist(path).map_err(|failed| error(failed.error))?;
        // The new name lasts through a loss of power only when the folder is on disk too.
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(error)
    }

    /// The pin of this name, if there is one that counts.
    pub fn pin(&self, server: &str, kind: Kind, name: &str) -> Option<&Pin> {
        self.contents.servers.get(server)?.get(&kind)?.get(name).filter(|pin| !pin.hidden)
    }

    /// The pins of one kind that count, in the order of their names; `None` if the server never offered anything of the kind.
    pub fn of(&self, server: &str, kind: Kind) -> Option<impl Iterator<Item = (&str, &Pin)>> {
        let names = self.contents.servers.get(server)?.get(&kind)?;
        Some(names.iter().filter(|(_, pin)| !pin.hidden).map(|(name, pin)| (name.as_str(), pin)))
    }

    /// All pins, those too that do not count since they hide something: server, kind, name and pin, in order.
    pub fn pins(&self) -> impl Iterator<Item = (&str, Kind, &str, &Pin)> {
        self.contents.servers.iter().flat_map(|(server, kinds)| {
            kinds.iter().flat_map(move |(kind, names)| {
                names.iter().map(move |(name, pin)| (server.as_str(), *kind, name.as_str(), pin))
            })
        })
    }

    /// How everything of one kind that `server` offers stands, in the order of `offered`, and then what it no longer
    /// offers.
    ///
    /// `offered` must be the whole list. What comes after [`MAX_DEFINITIONS`] is held as malformed.
    pub fn check(&self, server: &str, kind: Kind, offered: &[Value]) -> Vec<Checked> {
        let definitions: Vec<Result<Definition, DefinitionError>> =
            offered.iter().take(MAX_DEFINITIONS).map(|value| Definition::new(kind, value.clone())).collect();
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for definition in definitions.iter().flatten() {
            let count = counts.entry(definition.name()).or_default();
            *count = count.saturating_add(1);
        }
        // Most lists are as approved, and then nobody's looks matter.
        let others = LazyCell::new(|| self.names_of(server, kind, &definitions));
        let mut checked: Vec<Checked> = definitions
            .iter()
            .zip(offered)
            .map(|(definition, value)| match definition {
                Ok(definition) => {
                    let twice = counts.get(definition.name()).is_some_and(|count| *count > 1);
                    self.stand(server, definition, twice, || &others)
                }
                Err(error) => malformed(kind, value, error.to_string()),
            })
            .collect();
        let too_many = format!("a server offers at most {MAX_DEFINITIONS} of a kind");
        checked.extend(
            offered.iter().skip(MAX_DEFINITIONS).map(|value| malformed(kind, value, too_many.clone())),
        );
        let offered: HashSet<&str> = checked.iter().map(|checked| checked.name.as_str()).collect();
        let pinned = self.contents.servers.get(server).and_then(|kinds| kinds.get(&kind));
        let removed: Vec<Checked> = pinned
            .into_iter()
            .flatten()
            .filter(|(name, pin)| !pin.hidden && !offered.contains(name.as_str()))
            .map(|(name, _)| Checked { kind, name: name.clone(), digest: None, standing: Standing::Removed })
            .collect();
        checked.extend(removed);
        checked
    }

    fn stand<'a>(
        &self,
        server: &str,
        definition: &Definition,
        twice: bool,
        others: impl Fn() -> &'a Likenesses,
    ) -> Checked {
        let (kind, name) = (definition.kind(), definition.name());
        let mut reasons = Vec::new();
        let pin = self.pin(server, kind, name);
        let approved = pin.is_some_and(|pin| pin.digest == definition.digest());
        if twice {
            reasons.push(Reason::Duplicate);
        }
        if !approved {
            reasons.push(match pin {
                None => Reason::New,
                Some(pin) => Reason::Changed(changes(&pin.definition, definition.value())),
            });
            let hidden = definition.hidden();
            if !hidden.is_empty() {
                reasons.push(Reason::Hidden(hidden));
            }
            // A name that was approved was approved beside those that there were.
            if pin.is_none() {
                reasons.extend(others().shadowed_by(server, kind, name));
            }
        }
        let standing = if reasons.is_empty() { Standing::Pinned } else { Standing::Held(reasons) };
        Checked { kind, name: name.to_owned(), digest: Some(definition.digest()), standing }
    }

    /// The looks of all names of a kind: those that are pinned, and those that `server` offers.
    fn names_of(
        &self,
        server: &str,
        kind: Kind,
        offered: &[Result<Definition, DefinitionError>],
    ) -> Likenesses {
        let mut all = Likenesses::default();
        for (owner, _, name, _) in self.pins().filter(|(_, of, ..)| *of == kind) {
            all.add(owner, kind, name);
        }
        for definition in offered.iter().flatten() {
            all.add(server, kind, definition.name());
        }
        all
    }

    /// Takes note that `server` was seen, and with [`FirstUse::TrustOnFirstUse`] pins what `offered` held as new and
    /// nothing else, if this is the first time that it offers anything of this kind. The answer tells the names that
    /// were pinned.
    pub fn first_use(
        &mut self,
        server: &str,
        kind: Kind,
        offered: &[Value],
        policy: FirstUse,
        at: u64,
    ) -> Vec<String> {
        let seen = self.contents.servers.get(server).is_some_and(|kinds| kinds.contains_key(&kind));
        if seen {
            return Vec::new();
        }
        let checked = self.check(server, kind, offered);
        let names = self.contents.servers.entry(server.to_owned()).or_default().entry(kind).or_default();
        let mut pinned = Vec::new();
        for (checked, value) in checked.into_iter().zip(offered) {
            let only_new = matches!(&checked.standing, Standing::Held(reasons) if reasons == &[Reason::New]);
            if let (FirstUse::TrustOnFirstUse, true, Some(digest)) = (policy, only_new, checked.digest) {
                let pin = Pin {
                    digest,
                    approved_at: at,
                    approved_by: "first-use".into(),
                    hidden: false,
                    definition: value.clone(),
                };
                names.insert(checked.name.clone(), pin);
                pinned.push(checked.name);
            }
        }
        pinned
    }

    /// Pins a definition that a person has looked at. `seen` is the digest of what they were shown.
    ///
    /// # Errors
    /// If it is not what was shown, or has hidden text: the agent would get what no person reads.
    pub fn approve(
        &mut self,
        server: &str,
        definition: &Definition,
        seen: Digest,
        by: &str,
        at: u64,
    ) -> Result<(), ApproveError> {
        if definition.digest() != seen {
            return Err(ApproveError::Different { offered: definition.digest() });
        }
        if !definition.hidden().is_empty() {
            return Err(ApproveError::Hidden);
        }
        let pin = Pin {
            digest: seen,
            approved_at: at,
            approved_by: by.to_owned(),
            hidden: false,
            definition: definition.value().clone(),
        };
        let kinds = self.contents.servers.entry(server.to_owned()).or_default();
        kinds.entry(definition.kind()).or_default().insert(definition.name().to_owned(), pin);
        Ok(())
    }

    /// Forgets that a server was ever seen to offer anything of this kind.
    pub fn forget(&mut self, server: &str, kind: Kind) {
        if let Some(kinds) = self.contents.servers.get_mut(server) {
            kinds.remove(&kind);
        }
    }

    /// Takes a pin away, so that the definition is new again, and says whether there was one. The server stays known:
    /// nothing is trusted on first use again.
    pub fn revoke(&mut self, server: &str, kind: Kind, name: &str) -> bool {
        let kinds = self.contents.servers.get_mut(server);
        kinds.and_then(|kinds| kinds.get_mut(&kind)).is_some_and(|names| names.remove(name).is_some())
    }
}

fn malformed(kind: Kind, value: &Value, why: String) -> Checked {
    let name = value.get(kind.key()).and_then(Value::as_str).unwrap_or_default();
    let name = name.chars().take(200).collect();
    Checked { kind, name, digest: None, standing: Standing::Held(vec![Reason::Malformed(why)]) }
}

/// Names by what they look like.
#[derive(Default)]
struct Likenesses(HashMap<(usize, String), Vec<(String, String)>>);

/// How many names are kept, and told, of one look.
const MAX_ALIKE: usize = 8;

impl Likenesses {
    fn add(&mut self, server: &str, kind: Kind, name: &str) {
        for likeness in likenesses(kind, name).into_iter().enumerate() {
            let names = self.0.entry(likeness).or_default();
            let known = names.iter().any(|(owner, known)| owner == server && known == name);
            // One more than are told, since one of them is the name itself.
            if !known && names.len() <= MAX_ALIKE {
                names.push((server.to_owned(), name.to_owned()));
            }
        }
    }

    fn shadowed_by(&self, server: &str, kind: Kind, name: &str) -> Vec<Reason> {
        let mut found: Vec<Reason> = Vec::new();
        for likeness in likenesses(kind, name).into_iter().enumerate() {
            for (owner, other) in self.0.get(&likeness).into_iter().flatten() {
                let reason =
                    Reason::Shadowing { server: owner.clone(), name: other.clone(), equal: other == name };
                if (owner != server || other != name) && !found.contains(&reason) {
                    found.push(reason);
                }
            }
        }
        found
    }
}
