//! What the servers define, as far as it is approved.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value};

use super::names::Names;
use super::rules::operation;
use crate::front::Mirrored;
use crate::pin::{Checked, Definition, FirstUse, Kind, Pin, PinStore, Standing};

/// The method that lists a kind, and the member of its result.
pub(super) const fn list_method(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Tool => ("tools/list", "tools"),
        Kind::Prompt => ("prompts/list", "prompts"),
        Kind::Resource => ("resources/list", "resources"),
        Kind::ResourceTemplate => ("resources/templates/list", "resourceTemplates"),
    }
}

/// A definition that waits for a person.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    /// The server.
    pub server: Arc<str>,
    /// How it stands.
    pub checked: Checked,
    /// The definition as offered.
    pub definition: Option<Value>,
}

/// A definition that was approved.
#[derive(Debug, Clone, PartialEq)]
pub struct Pinned {
    /// Of what kind.
    pub kind: Kind,
    /// Its name, URI or URI template.
    pub name: String,
    /// How it was approved.
    pub pin: Pin,
    /// Whether the server's last list had something of this name; `None` if it has given none since the guard started.
    pub offered: Option<bool>,
}

/// By name.
type Definitions = BTreeMap<String, Arc<Value>>;

#[derive(Debug, Default)]
struct Contents {
    /// Approved definitions by server, kind and name.
    approved: BTreeMap<Arc<str>, BTreeMap<Kind, Definitions>>,
    /// Arguments that clients repeat in headers, by server and tool; only tools that have some.
    mirrored: BTreeMap<Arc<str>, BTreeMap<String, Arc<[Mirrored]>>>,
    held: Vec<Held>,
    /// What is pinned and was not in its server's last list.
    gone: BTreeSet<(Arc<str>, Kind, String)>,
    pins: PinStore,
}

/// What the servers define. Every list goes through the pins.
#[derive(Debug)]
pub struct Catalogue {
    contents: Mutex<Contents>,
    file: Option<PathBuf>,
    first_use: FirstUse,
}

impl Catalogue {
    /// With the pins in `file`; without a file, pins last as long as the catalogue.
    ///
    /// # Errors
    /// If the file is not one of pins.
    pub fn new(file: Option<PathBuf>, first_use: FirstUse) -> Result<Self, crate::pin::StoreError> {
        let pins = match &file {
            Some(file) => PinStore::load(file)?,
            None => PinStore::default(),
        };
        Ok(Self { contents: Mutex::new(Contents { pins, ..Contents::default() }), file, first_use })
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in the whole list that a server offers, and gives what can be asked of it now, with the names that were pinned just now.
    ///
    /// What was pinned and is left out of the list stays: what the server says to a call of it is the call's answer.
    ///
    /// # Errors
    /// If pins cannot be saved.
    pub fn take(
        &self,
        server: &Arc<str>,
        kind: Kind,
        offered: &[Value],
        at: u64,
    ) -> Result<(Vec<Arc<Value>>, Vec<String>), crate::pin::StoreError> {
        let mut contents = self.lock();
        let contents = &mut *contents;
        let before = contents.pins.clone();
        let pinned = contents.pins.first_use(server, kind, offered, self.first_use, at);
        if let Some(file) = self.file.as_ref().filter(|_| contents.pins != before)
            && let Err(error) = contents.pins.save(file)
        {
            contents.pins = before;
            return Err(error);
        }
        let checked = contents.pins.check(server, kind, offered);
        contents.held.retain(|held| held.server != *server || held.checked.kind != kind);
        contents.gone.retain(|(of, its, _)| of != server || *its != kind);
        let mut approved = BTreeMap::new();
        let mut mirrored = BTreeMap::new();
        let mut shown = Vec::new();
        for (at, checked) in checked.into_iter().enumerate() {
            let definition = match checked.standing {
                Standing::Pinned => offered.get(at),
                Standing::Removed => {
                    contents.gone.insert((server.clone(), kind, checked.name.clone()));
                    contents.pins.pin(server, kind, &checked.name).map(|pin| &pin.definition)
                }
                Standing::Held(_) => None,
            };
            match definition {
                Some(definition) => {
                    let Some(found) = usable(kind, &checked.name, definition) else { continue };
                    if !found.is_empty() {
                        mirrored.insert(checked.name.clone(), Arc::from(found));
                    }
                    let definition = Arc::new(definition.clone());
                    approved.insert(checked.name.clone(), definition.clone());
                    shown.push(definition);
                }
                None => contents.held.push(Held {
                    server: server.clone(),
                    checked,
                    definition: offered.get(at).cloned(),
                }),
            }
        }
        if kind == Kind::Tool {
            contents.mirrored.insert(server.clone(), mirrored);
        }
        contents.approved.entry(server.clone()).or_default().insert(kind, approved);
        Ok((shown, pinned))
    }

    /// An approved tool.
    #[must_use]
    pub fn tool(&self, server: &str, name: &str) -> Option<Arc<Value>> {
        self.find(server, Kind::Tool, name)
    }

    /// The arguments of a tool that clients repeat in headers.
    #[must_use]
    pub fn mirrored(&self, server: &str, name: &str) -> Option<Arc<[Mirrored]>> {
        self.lock().mirrored.get(server)?.get(name).cloned()
    }

    /// An approved definition.
    #[must_use]
    pub fn find(&self, server: &str, kind: Kind, name: &str) -> Option<Arc<Value>> {
        self.lock().approved.get(server)?.get(&kind)?.get(name).cloned()
    }

    /// The definitions of a kind that were approved, in the order of their names, whatever their server says now. `None` if it never offered
    /// anything of the kind.
    #[must_use]
    pub fn listed(&self, server: &str, kind: Kind) -> Option<Vec<Value>> {
        let contents = self.lock();
        let pinned = contents.pins.of(server, kind)?;
        let usable = pinned.filter(|(name, pin)| usable(kind, name, &pin.definition).is_some());
        Some(usable.map(|(_, pin)| pin.definition.clone()).collect())
    }

    /// Whether a definition of this name was approved.
    #[must_use]
    pub fn is_pinned(&self, server: &str, kind: Kind, name: &str) -> bool {
        let contents = self.lock();
        contents.pins.pin(server, kind, name).is_some_and(|pin| usable(kind, name, &pin.definition).is_some())
    }

    /// Whether anything of this kind was taken in from this server.
    #[must_use]
    pub fn knows(&self, server: &str, kind: Kind) -> bool {
        self.lock().approved.get(server).is_some_and(|kinds| kinds.contains_key(&kind))
    }

    /// The names of all approved tools, as agents write them.
    #[must_use]
    pub fn tool_names(&self, names: &Names) -> Vec<String> {
        let contents = self.lock();
        let of = |server: &Arc<str>| {
            let pinned = contents.pins.of(server, Kind::Tool).into_iter().flatten();
            pinned.map(|(name, _)| names.outer(server, name)).collect::<Vec<_>>()
        };
        names.servers().flat_map(of).collect()
    }

    /// What was approved of a server, one that is no longer configured too.
    #[must_use]
    pub fn pinned(&self, server: &str) -> Vec<Pinned> {
        let contents = self.lock();
        let lists = contents.approved.get(server);
        let of_server = contents.pins.pins().filter(|(owner, ..)| *owner == server);
        let pinned = of_server.map(|(_, kind, name, pin)| {
            let is_gone = || contents.gone.contains(&(server.into(), kind, name.to_owned()));
            let is_known = lists.is_some_and(|kinds| kinds.contains_key(&kind));
            Pinned { kind, name: name.to_owned(), pin: pin.clone(), offered: is_known.then(|| !is_gone()) }
        });
        pinned.collect()
    }

    /// Takes a pin away, so that the definition is in no list and cannot be asked for, and is held if its server offers it, as
    /// [`PinStore::revoke`] says. Gives whether there was one.
    ///
    /// # Errors
    /// If the pins cannot be saved; then everything is as before.
    pub fn unpin(&self, server: &str, kind: Kind, name: &str) -> Result<bool, crate::pin::StoreError> {
        let mut contents = self.lock();
        let contents = &mut *contents;
        let before = contents.pins.clone();
        if !contents.pins.revoke(server, kind, name) {
            return Ok(false);
        }
        if let Some(file) = &self.file
            && let Err(error) = contents.pins.save(file)
        {
            contents.pins = before;
            return Err(error);
        }
        if let Some(definitions) = contents.approved.get_mut(server).and_then(|kinds| kinds.get_mut(&kind)) {
            definitions.remove(name);
        }
        if let Some(tools) = contents.mirrored.get_mut(server).filter(|_| kind == Kind::Tool) {
            tools.remove(name);
        }
        contents.gone.remove(&(server.into(), kind, name.to_owned()));
        Ok(true)
    }

    /// Takes back a first use that could not be recorded: as if the server had never offered anything of this kind.
    ///
    /// # Errors
    /// If the pins cannot be saved.
    pub fn forget(&self, server: &str, kind: Kind) -> Result<(), crate::pin::StoreError> {
        let mut contents = self.lock();
        contents.pins.forget(server, kind);
        if let Some(kinds) = contents.approved.get_mut(server) {
            kinds.remove(&kind);
        }
        if kind == Kind::Tool {
            contents.mirrored.remove(server);
        }
        self.file.as_ref().map_or(Ok(()), |file| contents.pins.save(file))
    }

    /// Takes back an approval that could not be recorded: the definition is held again.
    ///
    /// # Errors
    /// If the pins cannot be saved.
    pub fn disapprove(&self, held: Held) -> Result<(), crate::pin::StoreError> {
        self.unpin(&held.server, held.checked.kind, &held.checked.name)?;
        self.lock().held.push(held);
        Ok(())
    }

    /// What waits for a person.
    #[must_use]
    pub fn held(&self) -> Vec<Held> {
        self.lock().held.clone()
    }

    /// Approves a held definition as it was offered.
    ///
    /// # Errors
    /// What stands in the way.
    pub fn approve(&self, held: &Held, by: &str, at: u64) -> Result<(), String> {
        let mut contents = self.lock();
        let contents = &mut *contents;
        let (Some(definition), Some(digest)) = (&held.definition, held.checked.digest) else {
            return Err("it is not a definition, so it cannot be approved".to_owned());
        };
        let definition =
            Definition::new(held.checked.kind, definition.clone()).map_err(|error| error.to_string())?;
        let before = contents.pins.clone();
        contents
            .pins
            .approve(&held.server, &definition, digest, by, at)
            .map_err(|error| error.to_string())?;
        if let Some(file) = &self.file
            && let Err(error) = contents.pins.save(file)
        {
            contents.pins = before;
            return Err(error.to_string());
        }
        contents.held.retain(|other| other != held);
        // From now on it is offered, also to who does not list it again.
        let (kind, name) = (held.checked.kind, &held.checked.name);
        if let Some(definition) = &held.definition
            && let Some(found) = usable(kind, name, definition)
        {
            if kind == Kind::Tool {
                // As for a tool that repeats nothing, where that is nothing.
                let mirrored = contents.mirrored.entry(held.server.clone()).or_default();
                mirrored.insert(name.clone(), Arc::from(found));
            }
            let approved = contents.approved.entry(held.server.clone()).or_default().entry(kind).or_default();
            approved.insert(name.clone(), Arc::new(definition.clone()));
        }
        Ok(())
    }
}

/// The arguments that clients repeat in headers, if it is a definition that agents may see.
fn usable(kind: Kind, name: &str, definition: &Value) -> Option<Vec<Mirrored>> {
    if kind != Kind::Tool {
        return Some(Vec::new());
    }
    // What is said of reading a resource is not said of a tool that calls itself so.
    if operation::is(name) {
        return None;
    }
    // The specification wants a tool with such headers that are wrong not to be offered.
    definition.get("inputSchema").map_or(Some(Vec::new()), |schema| Mirrored::of_schema(schema).ok())
}

/// A definition as agents see it: under its outer name, and without an output schema that its results will not have.
#[must_use]
pub(super) fn outer(definition: &Value, kind: Kind, outer: String, keeps_schema: bool) -> Value {
    let mut definition: Map<String, Value> = definition.as_object().cloned().unwrap_or_default();
    definition.insert(kind.key().to_owned(), Value::String(outer));
    if !keeps_schema {
        definition.remove("outputSchema");
    }
    Value::Object(definition)
}
