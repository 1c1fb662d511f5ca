//! HDF5 files: what they make a loader read, and the Keras configurations in their attributes.
//!
//! HDF5 itself is a file system in a file. Only its structures are read here, never the values of its data sets: what can act
//! on a loader are links and values in other files, filters that are loaded as plug-ins, and attributes whose text is code to
//! whoever reads it. Source: the HDF5 File Format Specification, versions 1.1 to 3.0.

mod attribute;
mod cursor;
mod dense;
mod file;
mod global;
mod group;
mod object;
mod storage;

use std::collections::{BTreeSet, HashSet};

use attribute::{Attribute, Types, Value};
use cursor::{Cursor, UNDEFINED};
use dense::Index;
use file::File;
use global::GlobalHeaps;
use group::{Link, Target};
use object::Message;
use ostrom_core::Severity;

use super::{EXTERNAL_DATA, EXTERNAL_LINK, FILTER, NOT_EXAMINED, config};
use crate::detect::{Match, Probe};
use crate::examination::{Examination, escape};
use crate::source::View;
use crate::trouble::Trouble;

/// Attributes that Keras reads as JSON.
const CONFIGS: [&str; 2] = ["model_config", "training_config"];
/// The attribute by which PyTables says what the rows of an array are.
const KIND: &str = "PSEUDOATOM";
/// The kinds whose rows it does not unpickle.
const PLAIN: [&[u8]; 2] = [b"vlstring", b"vlunicode"];
/// The attribute that said so before PyTables 2: `Object`.
const FLAVOR: &str = "FLAVOR";
/// The attribute whose pickles it changes before it loads them, where they are from before version 2.
const FILTERS: &str = "FILTERS";
/// A filter that h5py brings itself.
const LZF: u16 = 32_000;
/// Filters that the HDF Group lists, all compressors with their own packages: blosc, LZ4, bitshuffle, ZFP, Zstandard, SZ3, blosc2…
const REGISTERED: [u16; 12] =
    [305, 307, 32_001, 32_004, 32_008, 32_013, 32_015, 32_017, 32_018, 32_024, 32_026, 32_028];

pub(super) fn detect(probe: &Probe<'_>) -> Result<Match, Trouble> {
    // After a user block the mark may stand in whatever holds an HDF5 file, a tar archive above all: not a polyglot yet.
    Ok(match file::find(probe.view, probe.head)? {
        Some(0) => Match::Strong,
        Some(_) => Match::Weak,
        None => Match::No,
    })
}

pub(super) fn examine(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    let head = view.bytes(0, file::MARK.len())?;
    let Some(base) = file::find(view, &head)? else { return Ok(()) };
    let (file, start) = File::open(view, base, scan.limits().held)?;
    let mut walk = Walk {
        file,
        heaps: GlobalHeaps::default(),
        types: Types::default(),
        places: Vec::new(),
        open: Vec::new(),
        seen: HashSet::new(),
        plugins: BTreeSet::new(),
        most: usize::try_from(scan.limits().members).unwrap_or(usize::MAX),
    };
    if start.driver != UNDEFINED {
        walk.driver(start.driver, scan)?;
    }
    if start.extension != UNDEFINED {
        let at = walk.file.place(start.extension);
        for message in object::messages(&mut walk.file, start.extension)? {
            if matches!(message.kind, object::DRIVER | object::SHARED_TABLE) {
                let what = match message.kind {
                    object::DRIVER => "an HDF5 file in several pieces: only this one was examined",
                    _ => "an HDF5 file with a table of shared messages",
                };
                scan.report(NOT_EXAMINED, Some(at), what);
            }
        }
    }
    if let Some(copy) = start.table {
        walk.copied(start.root, copy)?;
    }
    walk.open.push((start.root, None));
    while let Some((address, place)) = walk.open.pop() {
        if walk.seen.insert(address) {
            walk.object(address, place, scan)?;
        }
    }
    Ok(())
}

/// The state of a walk through a file's objects.
struct Walk<'v> {
    file: File<'v>,
    heaps: GlobalHeaps,
    types: Types,
    /// Names of objects, each with the place of what it lies in.
    places: Vec<(Option<usize>, Box<str>)>,
    /// Addresses of objects that are still to be examined, with their places.
    open: Vec<(u64, Option<usize>)>,
    seen: HashSet<u64>,
    plugins: BTreeSet<u16>,
    most: usize,
}

impl Walk<'_> {
    /// Holds the superblock's copy of the root group's symbol table against the original, for which the library may take it.
    fn copied(&mut self, root: u64, copy: (u64, u64)) -> Result<(), Trouble> {
        for message in object::messages(&mut self.file, root)? {
            if message.kind == object::SYMBOL_TABLE
                && group::table(&self.file, message.at, &message.body)? == copy
            {
                return Ok(());
            }
        }
        let what = "a superblock with another symbol table than the root group";
        Err(Trouble::malformed(self.file.place(root), what))
    }

    fn object(
        &mut self,
        address: u64,
        place: Option<usize>,
        scan: &mut Examination<'_>,
    ) -> Result<(), Trouble> {
        for message in object::messages(&mut self.file, address)? {
            self.message(&message, place, scan)?;
        }
        Ok(())
    }

    fn message(
        &mut self,
        message: &Message,
        place: Option<usize>,
        scan: &mut Examination<'_>,
    ) -> Result<(), Trouble> {
        let Message { kind, shared, at, body } = message;
        let at = *at;
        // The types of data sets do nothing, wherever they lie; those of attributes are looked up there.
        if *kind == object::DATATYPE {
            return Ok(());
        }
        if *shared {
            let what = format!("{}: a message of type {kind} that lies elsewhere", self.path(place));
            scan.report(NOT_EXAMINED, Some(at), what);
            return Ok(());
        }
        match *kind {
            object::SYMBOL_TABLE => {
                for link in group::symbols(&mut self.file, at, body)? {
                    self.link(link, at, place, scan)?;
                }
            }
            object::LINK => {
                let link = group::link(&self.file, at, body)?;
                self.link(link, at, place, scan)?;
            }
            object::ATTRIBUTE => self.attribute(at, body, place, scan)?,
            object::LINK_INFO => {
                for (at, body) in self.dense(message, 8, Index::Links, place, scan)? {
                    let link = group::link(&self.file, at, &body)?;
                    self.link(link, at, place, scan)?;
                }
            }
            object::ATTRIBUTE_INFO => {
                for (at, body) in self.dense(message, 2, Index::Attributes, place, scan)? {
                    self.attribute(at, &body, place, scan)?;
                }
            }
            object::EXTERNAL_FILES => {
                for name in storage::external_files(&mut self.file, at, body)? {
                    self.elsewhere(EXTERNAL_DATA, "the values of", &name, at, place, scan);
                }
            }
            object::LAYOUT => {
                for name in storage::virtual_sources(&mut self.file, &mut self.heaps, at, body)? {
                    if name == "." {
                        let what = format!("{}: values mapped from {name}", self.path(place));
                        scan.report_as(Severity::Medium, EXTERNAL_DATA, Some(at), what);
                    } else {
                        self.elsewhere(EXTERNAL_DATA, "values mapped from", &name, at, place, scan);
                    }
                }
            }
            object::FILTERS => self.filters(at, body, place, scan)?,
            _ => {}
        }
        Ok(())
    }

    /// What the heap and the index of an information message hold; `order` bytes of it are there only with its first flag.
    fn dense(
        &mut self,
        message: &Message,
        order: usize,
        index: Index,
        place: Option<usize>,
        scan: &mut Examination<'_>,
    ) -> Result<Vec<(u64, Vec<u8>)>, Trouble> {
        let mut cursor = Cursor::new(&message.body, message.at);
        cursor.skip(1)?;
        let flags = cursor.u8()?;
        cursor.skip(if flags & 1 == 0 { 0 } else { order })?;
        let (heap, tree) = (cursor.address(self.file.offset)?, cursor.address(self.file.offset)?);
        match (heap == UNDEFINED, tree == UNDEFINED) {
            (true, true) => return Ok(Vec::new()),
            (false, false) => {}
            _ => {
                let what = "dense storage without its heap or its index by name";
                return Err(Trouble::malformed(message.at, what));
            }
        }
        let dense = dense::read(&mut self.file, heap, tree, index)?;
        if dense.hidden > 0 {
            let what = format!(
                "{}: {} links or attributes in a heap that was not read",
                self.path(place),
                dense.hidden
            );
            scan.report(NOT_EXAMINED, Some(message.at), what);
        }
        Ok(dense.messages)
    }

    fn link(
        &mut self,
        link: Link,
        at: u64,
        place: Option<usize>,
        scan: &mut Examination<'_>,
    ) -> Result<(), Trouble> {
        match link.target {
            Target::Path => {}
            Target::Object(address) => {
                if self.places.len() >= self.most {
                    return Err(Trouble::Limit(format!("more than {} HDF5 objects", self.most)));
                }
                if !self.seen.contains(&address) {
                    self.places.push((place, link.name.into_boxed_str()));
                    self.open.push((address, Some(self.places.len() - 1)));
                }
            }
            Target::External { file, path } => {
                let what = format!(
                    "{}{}: a link to {} in {}",
                    self.path(place),
                    escape(&link.name, 200),
                    escape(&path, 200),
                    escape(&file, 300)
                );
                scan.report_as(reach(&file), EXTERNAL_LINK, Some(at), what);
            }
            Target::Unknown(kind) => {
                let what = format!("{}{}: a link of type {kind}", self.path(place), escape(&link.name, 200));
                scan.report(NOT_EXAMINED, Some(at), what);
            }
        }
        Ok(())
    }

    fn attribute(
        &mut self,
        at: u64,
        body: &[u8],
        place: Option<usize>,
        scan: &mut Examination<'_>,
    ) -> Result<(), Trouble> {
        let Attribute { name, value } =
            attribute::read(&mut self.file, &mut self.heaps, &mut self.types, at, body)?;
        let is_config = CONFIGS.contains(&name.as_str());
        if is_pickled(&name, &value) {
            let what =
                format!("{}: {name} of pickled objects, as PyTables and pandas write them", self.path(place));
            scan.report(NOT_EXAMINED, Some(at), what);
        }
        match value {
            Value::Other if is_config => {
                let what = format!("{}: {name} that is not text", self.path(place));
                scan.report(NOT_EXAMINED, Some(at), what);
            }
            Value::Other => {}
            Value::Unknown => {
                let name = escape(&name, 200);
                let what = format!("{}: {name}, whose type or shape lies elsewhere", self.path(place));
                scan.report(NOT_EXAMINED, Some(at), what);
            }
            Value::Fixed(values) | Value::Variable(values) => {
                for value in values {
                    self.value(&name, is_config, value, place, scan);
                }
            }
        }
        Ok(())
    }

    /// Text that a loader takes for more than text: JSON that makes objects, or a pickle (PyTables reads each text that ends
    /// with a full stop as one).
    fn value(
        &self,
        name: &str,
        is_config: bool,
        mut value: Vec<u8>,
        place: Option<usize>,
        scan: &mut Examination<'_>,
    ) {
        value.truncate(unpadded(&value).len());
        let place = format!("{}@{}", self.path(place).trim_end_matches('/'), escape(name, 200));
        let text = String::from_utf8_lossy(&value);
        if is_config || (text.trim_start().starts_with('{') && config::is_likely(&text)) {
            scan.within(&place, |scan| {
                scan.is("keras-config");
                let result = config::examine(&text, scan);
                scan.settle(result);
            });
        } else if value.len() > 2 && (value.first() == Some(&0x80) || value.last() == Some(&b'.')) {
            scan.descend(&place.replace('.', "_"), &View::new(value));
        }
    }

    fn filters(
        &mut self,
        at: u64,
        body: &[u8],
        place: Option<usize>,
        scan: &mut Examination<'_>,
    ) -> Result<(), Trouble> {
        for (id, name) in storage::plugins(at, body)? {
            if id == LZF || !self.plugins.insert(id) {
                continue;
            }
            let severity = if REGISTERED.contains(&id) { Severity::Info } else { Severity::Medium };
            let what = format!("{}: filter {id}, {}", self.path(place), escape(&name, 100));
            scan.report_as(severity, FILTER, Some(at), what);
        }
        Ok(())
    }

    fn elsewhere(
        &self,
        rule: &str,
        what: &str,
        name: &str,
        at: u64,
        place: Option<usize>,
        scan: &mut Examination<'_>,
    ) {
        let what = format!("{}: {what} {}", self.path(place), escape(name, 300));
        scan.report_as(reach(name), rule, Some(at), what);
    }

    /// The block that says how a file lies in several: not in this one alone.
    fn driver(&mut self, address: u64, scan: &mut Examination<'_>) -> Result<(), Trouble> {
        let block = self.file.read(address, 16)?;
        let name = String::from_utf8_lossy(block.get(8..).unwrap_or_default()).into_owned();
        let what = format!(
            "an HDF5 file in several pieces (driver {}): only this one was examined",
            escape(&name, 8)
        );
        scan.report(NOT_EXAMINED, Some(self.file.place(address)), what);
        Ok(())
    }

    /// The path of an object, for people.
    fn path(&self, mut place: Option<usize>) -> String {
        let mut names = Vec::new();
        while let Some((outer, name)) = place.and_then(|place| self.places.get(place)) {
            if names.len() == 16 {
                names.push("…".to_owned());
                break;
            }
            names.push(escape(name, 100));
            place = *outer;
        }
        names.reverse();
        if names.is_empty() { "/".to_owned() } else { format!("/{}/", names.join("/")) }
    }
}

/// Whether PyTables may take an attribute to say that the rows of an array are pickles, or unpickle it otherwise than it
/// stands there. It unpickles what ends with a full stop before it looks at it, so that such text says anything.
fn is_pickled(name: &str, value: &Value) -> bool {
    let texts: Vec<&[u8]> = match value {
        Value::Fixed(texts) | Value::Variable(texts) => texts.iter().map(|text| unpadded(text)).collect(),
        Value::Other | Value::Unknown => Vec::new(),
    };
    match name {
        KIND => texts.is_empty() || texts.iter().any(|text| !PLAIN.contains(text)),
        FLAVOR => texts.iter().any(|text| *text == b"Object" || text.ends_with(b".")),
        FILTERS => texts.iter().any(|text| text.ends_with(b".")),
        _ => false,
    }
}

/// Text without the zeros that fill it up.
fn unpadded(mut text: &[u8]) -> &[u8] {
    while let [start @ .., 0] = text {
        text = start;
    }
    text
}

/// How bad it is that a file names another: worst where the name leads out of the folder.
fn reach(name: &str) -> Severity {
    if storage::escapes(name) { Severity::Critical } else { Severity::High }
}

#[cfg(test)]
pub(in crate::keras) mod fixture;
#[cfg(test)]
mod tests;
