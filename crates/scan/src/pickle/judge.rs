//! What an interpretation comes to: what was imported, what was called with what, what is to be reported.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};

use ostrom_core::Severity;

use super::allow::{Entry, Lists, lists};
use super::nested::{self, Coding};
use super::source::Source;
use super::value::{Form, Text, Value};
use super::{DANGEROUS_CALL, IMPORT, MAIN, STATE, UNDECIDED, UNLISTED};
use crate::examination::Examination;
use crate::source::View;

/// Who loads the pickle, as far as it changes what opcodes do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// `pickle.load`, and `joblib.load` where the stream has joblib's arrays.
    Plain,
    /// `torch.load`: storages come by persistent id.
    Torch,
    /// `torch.jit.load`: as `Torch`, and classes of `__torch__` are code in the same archive.
    TorchScript,
}

/// A storage that a PyTorch pickle names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Storage {
    /// By which it is found: the name of a record of the archive, or what the legacy format lists.
    pub(crate) key: String,
    /// Bytes of one element.
    pub(crate) element: u64,
    /// How many elements it has.
    pub(crate) count: u64,
    /// Where the pickle names it first.
    pub(crate) offset: u64,
}

/// Something imported.
struct Global {
    module: String,
    name: String,
    entry: Option<u16>,
    offset: u64,
    /// How and where it was called first, if it is not listed.
    call: Option<(u64, String)>,
    calls: u64,
    /// Whether a report says already what it does.
    told: bool,
}

/// A stretch of the file that is loaded as a file of its own.
struct Nested {
    start: u64,
    len: u64,
    coding: Coding,
}

struct Report {
    severity: Option<Severity>,
    rule: &'static str,
    offset: u64,
    message: String,
    count: u64,
}

/// The longest string whose content is looked at.
pub(crate) const MAX_TEXT: u32 = 4096;
/// The package of a TorchScript archive's own classes.
const OWN_CODE: &str = "__torch__";
const MAX_GLOBALS: usize = 10_000;
const MAX_STORAGES: usize = 200_000;
const CACHE: usize = 64;

/// What is known about one file, over all its pickles.
pub(crate) struct Judge {
    pub(crate) mode: Mode,
    pub(crate) lists: &'static Lists,
    view: View,
    globals: Vec<Global>,
    by_name: HashMap<(String, String), u32>,
    reports: Vec<Report>,
    reported: HashMap<(&'static str, u64), usize>,
    max_reports: usize,
    unkept: u64,
    /// Stretches of the file that are loaded as files of their own.
    nested: Vec<Nested>,
    nested_at: HashSet<u64>,
    /// Code in the file that loading runs.
    pub(super) sources: Vec<Source>,
    storages: Vec<Storage>,
    storage_of: HashMap<String, usize>,
    /// What `copyreg.add_extension` was called with.
    extensions: HashMap<i64, Value>,
    /// Said of whatever is reported: "if loaded in such a way".
    pub(crate) condition: &'static str,
    /// Whether only what is known to be dangerous is reported: the stream is read as it is hardly meant.
    pub(crate) only_dangers: bool,
    texts: RefCell<Vec<Option<(Text, String)>>>,
    /// How many values were looked at, one by one.
    looked: Cell<u64>,
    /// How many imports were looked at, listed or not.
    pub(crate) imports: u64,
    /// How many calls.
    pub(crate) called: u64,
}

impl Judge {
    pub(crate) fn new(view: View, mode: Mode, max_reports: usize) -> Self {
        Self {
            mode,
            lists: lists(),
            view,
            globals: Vec::new(),
            by_name: HashMap::new(),
            reports: Vec::new(),
            reported: HashMap::new(),
            max_reports,
            unkept: 0,
            nested: Vec::new(),
            nested_at: HashSet::new(),
            sources: Vec::new(),
            storages: Vec::new(),
            storage_of: HashMap::new(),
            extensions: HashMap::new(),
            condition: "",
            only_dangers: false,
            texts: RefCell::new(vec![None; CACHE]),
            looked: Cell::new(0),
            imports: 0,
            called: 0,
        }
    }

    /// Reports, once for each rule and subject; the first is kept and the others are counted.
    pub(crate) fn report(&mut self, rule: &'static str, subject: u64, offset: u64, message: String) {
        self.report_as(None, rule, subject, offset, message);
    }

    pub(crate) fn report_as(
        &mut self,
        severity: Option<Severity>,
        rule: &'static str,
        subject: u64,
        offset: u64,
        message: String,
    ) {
        if self.only_dangers && severity != Some(Severity::Critical) {
            return;
        }
        if let Some(index) = self.reported.get(&(rule, subject)) {
            let again = u64::from(self.condition.is_empty());
            if let Some(report) = self.reports.get_mut(*index) {
                report.count = report.count.saturating_add(again);
            }
        } else if self.reports.len() < self.max_reports {
            self.reported.insert((rule, subject), self.reports.len());
            let message = format!("{message}{}", self.condition);
            self.reports.push(Report { severity, rule, offset, message, count: 1 });
        } else {
            self.unkept = self.unkept.saturating_add(1);
        }
    }

    /// Whether a report would only be counted. Then it is, and nobody need write its message.
    pub(crate) fn repeats(&mut self, rule: &'static str, subject: u64) -> bool {
        let known = self.reported.get(&(rule, subject)).copied();
        if let Some(report) = known.and_then(|index| self.reports.get_mut(index)) {
            report.count = report.count.saturating_add(u64::from(self.condition.is_empty()));
            return true;
        }
        let full = self.reports.len() >= self.max_reports;
        self.unkept = self.unkept.saturating_add(u64::from(full));
        full
    }

    /// Whether a module was imported that is known to be dangerous. Its name alone says so: two lines of ordinary text may
    /// read as the import of `os` from some module that nobody has.
    pub(crate) fn imported_danger(&self) -> bool {
        self.globals.iter().any(|global| self.lists.danger(&global.module, "").is_some())
    }

    /// Something is imported: `None` if it is more than can be followed.
    pub(crate) fn import(&mut self, module: &str, name: &str, offset: u64) -> Value {
        self.imports = self.imports.saturating_add(1);
        let names = (module.to_owned(), name.to_owned());
        if let Some(id) = self.by_name.get(&names) {
            return Value::Global(*id);
        }
        let Some(id) = u32::try_from(self.globals.len()).ok().filter(|_| self.globals.len() < MAX_GLOBALS)
        else {
            self.report(UNDECIDED, 1, offset, format!("more than {MAX_GLOBALS} different imports"));
            return Value::Unknown;
        };
        if self.only_dangers
            && self.lists.find(module, name).is_none()
            && self.lists.danger(module, name).is_none()
        {
            return Value::Unknown;
        }
        let own_code =
            self.mode == Mode::TorchScript && (module == OWN_CODE || module.starts_with("__torch__."));
        let entry = match own_code {
            true => self.lists.find(OWN_CODE, "*"),
            false if module == OWN_CODE => None,
            false => self.lists.find(module, name),
        };
        self.globals.push(Global {
            module: module.to_owned(),
            name: name.to_owned(),
            entry: entry.map(|entry| entry.id),
            offset,
            call: None,
            calls: 0,
            told: false,
        });
        self.by_name.insert(names, id);
        Value::Global(id)
    }

    /// A method of a class that was imported, if the lists have it.
    pub(crate) fn import_member(&mut self, class: u32, member: &str, offset: u64) -> Option<Value> {
        let global = self.globals.get(class as usize)?;
        let (module, name) = (global.module.clone(), format!("{}.{member}", global.name));
        self.lists.find(&module, &name)?;
        Some(self.import(&module, &name, offset))
    }

    /// The allow-list's entry of something imported.
    pub(crate) fn entry_of(&self, id: u32) -> Option<&'static Entry> {
        self.globals.get(id as usize).and_then(|global| self.lists.entry(global.entry?))
    }

    pub(crate) fn import_of(&self, id: u32) -> u64 {
        self.globals.get(id as usize).map_or(0, |global| global.offset)
    }

    /// How people know something imported. Anything but ASCII is escaped, for names that only look like others.
    pub(crate) fn name_of(&self, id: u32) -> String {
        self.globals.get(id as usize).map_or_else(String::new, |global| name(&global.module, &global.name))
    }

    /// Whether something imported loads its argument as a pickle.
    pub(crate) fn loads_pickles(&self, id: u32) -> bool {
        self.globals.get(id as usize).is_some_and(|global| {
            self.lists.danger(&global.module, &global.name).is_some_and(|danger| danger.nested)
        })
    }

    /// Values are kept as data: honest pickles never keep what does so much that they only call it.
    pub(crate) fn keep(&mut self, values: &[Value], offset: u64) {
        for value in values {
            let Value::Global(id) = value else { continue };
            if self.entry_of(*id).is_some_and(Entry::is_only_called)
                && !self.repeats(STATE, (4 << 32) + u64::from(*id))
            {
                let message = format!("keeps {} as data, which honest files only call", self.name_of(*id));
                self.report(STATE, (4 << 32) + u64::from(*id), offset, message);
            }
        }
    }

    /// Whether something imported is known to be dangerous.
    pub(crate) fn is_dangerous(&self, id: u32) -> bool {
        self.globals
            .get(id as usize)
            .is_some_and(|global| self.lists.danger(&global.module, &global.name).is_some())
    }

    /// Something that is not listed is called.
    pub(crate) fn call_unlisted(&mut self, id: u32, offset: u64, rendered: impl FnOnce(&Self) -> String) {
        let first = self.globals.get(id as usize).is_some_and(|global| global.call.is_none());
        let text = if first { Some(rendered(self)) } else { None };
        let condition = self.condition;
        if let Some(global) = self.globals.get_mut(id as usize) {
            // What was counted once is not counted again in another reading.
            global.calls = global.calls.saturating_add(u64::from(first || condition.is_empty()));
            if let Some(text) = text {
                global.call = Some((offset, format!("{text}{condition}")));
            }
        }
    }

    /// A report says what something imported does.
    pub(super) fn tell(&mut self, id: u32) {
        if let Some(global) = self.globals.get_mut(id as usize) {
            global.told = true;
        }
    }

    /// A stretch of the file is loaded as a file of its own.
    pub(super) fn nest(&mut self, start: u64, len: u64, coding: Coding) {
        if self.nested.len() < 100_000 {
            if self.nested_at.insert(start) {
                self.nested.push(Nested { start, len, coding });
            }
        } else {
            self.report(UNDECIDED, 2, start, "more than 100,000 files within the pickle".to_owned());
        }
    }

    pub(crate) fn add_storage(&mut self, storage: Storage) {
        // The stream is read as it is hardly meant.
        if self.only_dangers {
            return;
        }
        if let Some(known) = self.storage_of.get(&storage.key).and_then(|index| self.storages.get(*index)) {
            if (known.element, known.count) != (storage.element, storage.count) {
                let message = format!(
                    "storage {:?} has {} elements of {} bytes here, but {} of {} at byte {}",
                    storage.key, storage.count, storage.element, known.count, known.element, known.offset
                );
                self.report(UNDECIDED, storage.offset, storage.offset, message);
            }
        } else if self.storages.len() < MAX_STORAGES {
            self.storage_of.insert(storage.key.clone(), self.storages.len());
            self.storages.push(storage);
        } else {
            self.report(UNDECIDED, 3, storage.offset, format!("more than {MAX_STORAGES} storages"));
        }
    }

    pub(crate) fn storage(&self, key: &str) -> Option<&Storage> {
        self.storage_of.get(key).and_then(|index| self.storages.get(*index))
    }

    pub(crate) fn storages(&mut self) -> Vec<Storage> {
        std::mem::take(&mut self.storages)
    }

    pub(crate) fn register_extension(&mut self, code: i64, global: Value) {
        if self.extensions.len() < 1000 {
            self.extensions.insert(code, global);
        }
    }

    pub(crate) fn extension(&self, code: i64) -> Option<Value> {
        self.extensions.get(&code).copied()
    }

    /// Counts one more value that is looked at. Whether it is not more than so many.
    pub(crate) fn looks_on(&self, max: u64) -> bool {
        self.looked.set(self.looked.get().saturating_add(1));
        self.looked.get() <= max
    }

    /// The content of a string, if it is not too long and can be read.
    pub(crate) fn text(&self, text: Text) -> Option<String> {
        if text.len > MAX_TEXT {
            return None;
        }
        let slot = usize::try_from(text.start).unwrap_or(0) % CACHE;
        if let Some(Some((known, content))) = self.texts.borrow().get(slot)
            && (known.start, known.len) == (text.start, text.len)
        {
            return Some(content.clone());
        }
        let content = self.whole_text(text, MAX_TEXT as usize)?;
        if let Some(place) = self.texts.borrow_mut().get_mut(slot) {
            *place = Some((text, content.clone()));
        }
        Some(content)
    }

    /// The content of a string of so many bytes at most, if it can be read.
    pub(super) fn whole_text(&self, text: Text, most: usize) -> Option<String> {
        let length = Some(text.len as usize).filter(|length| *length <= most)?;
        let bytes = self.view.bytes(text.start, length).ok()?;
        Some(decode(&bytes, text.form))
    }

    /// The beginning of a string, for people.
    pub(crate) fn beginning(&self, text: Text, max: usize) -> String {
        let len = (text.len as usize).min(max * 4);
        self.view.bytes(text.start, len).map_or_else(|_| String::new(), |bytes| decode(&bytes, text.form))
    }

    /// Reports everything to the scan, and examines what is loaded as a file of its own.
    pub(crate) fn finish(mut self, scan: &mut Examination<'_>) {
        self.report_globals();
        for source in std::mem::take(&mut self.sources) {
            source.examine(&self, scan);
        }
        for report in self.reports {
            let mut message = report.message;
            if report.count > 1 {
                message.push_str(&format!(" ({} times)", report.count));
            }
            match report.severity {
                Some(severity) => scan.report_as(severity, report.rule, Some(report.offset), message),
                None => scan.report(report.rule, Some(report.offset), message),
            }
        }
        if self.unkept > 0 {
            let message = format!("{} more findings in the pickle are not listed", self.unkept);
            scan.report(UNDECIDED, None, message);
        }
        for Nested { start, len, coding } in self.nested {
            if let Some(part) = self.view.part(start, len) {
                nested::examine(&part, start, coding, scan);
            }
        }
    }

    /// Turns what was imported or called without being listed into reports.
    fn report_globals(&mut self) {
        self.condition = "";
        for (id, global) in std::mem::take(&mut self.globals).into_iter().enumerate() {
            if global.entry.is_some() {
                continue;
            }
            let subject = (1 << 32) + id as u64;
            let name = name(&global.module, &global.name);
            let danger = self.lists.danger(&global.module, &global.name);
            let gain = danger.map(|danger| format!(", which {}", danger.gain)).unwrap_or_default();
            match global.call {
                Some((offset, text)) => {
                    let rule = match (danger, global.module.as_str()) {
                        (Some(_), _) => DANGEROUS_CALL,
                        (None, "__main__") => MAIN,
                        _ => UNLISTED,
                    };
                    let why = match rule {
                        DANGEROUS_CALL => gain,
                        MAIN => ": whatever has this name where the file is loaded".to_owned(),
                        _ => ", which no allow-list has".to_owned(),
                    };
                    let times =
                        if global.calls > 1 { format!(", {} times", global.calls) } else { String::new() };
                    let message =
                        format!("loading calls {text}{times}{why}; it is imported at byte {}", global.offset);
                    self.report(rule, subject, offset, message);
                }
                None if global.told => {}
                None => {
                    let known_class = self.lists.knows(&global.module)
                        && global.name.starts_with(|c: char| c.is_ascii_uppercase());
                    let severity = match danger {
                        None if known_class && global.module != "__main__" => Some(Severity::Medium),
                        _ => None,
                    };
                    let rule = if global.module == "__main__" { MAIN } else { IMPORT };
                    let message = format!("loading imports {name}{gain}, without calling it");
                    self.report_as(severity, rule, subject, global.offset, message);
                }
            }
        }
    }
}

fn name(module: &str, name: &str) -> String {
    let escape = |text: &str| -> String {
        text.chars()
            .take(200)
            .flat_map(|c| if c.is_ascii() { vec![c] } else { c.escape_unicode().collect() })
            .collect()
    };
    format!("{}.{}", escape(module), escape(name))
}

/// The content of a string as loaders read it; what they could not read is kept visible.
fn decode(bytes: &[u8], form: Form) -> String {
    match form {
        Form::Utf8 => String::from_utf8_lossy(bytes).into_owned(),
        Form::Bytes | Form::ByteArray | Form::Old => bytes.iter().map(|byte| char::from(*byte)).collect(),
        Form::Escaped => unescape(bytes, false),
        Form::Quoted => unescape(bytes, true),
    }
}

/// Undoes the backslashes of `UNICODE` (only `\u` and `\U`) and `STRING` (all that Python's literals have).
fn unescape(bytes: &[u8], quoted: bool) -> String {
    let mut out = String::new();
    let mut rest = bytes.iter().copied().map(char::from).peekable();
    while let Some(c) = rest.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let Some(kind) = rest.next() else {
            out.push('\\');
            break;
        };
        let digits = match kind {
            'u' => 4,
            'U' => 8,
            'x' if quoted => 2,
            _ => 0,
        };
        if digits > 0 && (quoted == (kind == 'x')) {
            let code: String =
                std::iter::from_fn(|| rest.next_if(char::is_ascii_hexdigit)).take(digits).collect();
            let decoded = u32::from_str_radix(&code, 16).ok().and_then(char::from_u32);
            out.push(decoded.unwrap_or(char::REPLACEMENT_CHARACTER));
        } else if quoted {
            match kind {
                'n' => out.push('\n'),
                't' => out.push('\t'),
                'r' => out.push('\r'),
                'a' => out.push('\u{7}'),
                'b' => out.push('\u{8}'),
                'f' => out.push('\u{c}'),
                'v' => out.push('\u{b}'),
                '\n' => {}
                '0'..='7' => {
                    let mut code = kind.to_digit(8).unwrap_or(0);
                    for _ in 0..2 {
                        let Some(digit) = rest.peek().and_then(|c| c.to_digit(8)) else { break };
                        code = code * 8 + digit;
                        rest.next();
                    }
                    out.push(char::from(u8::try_from(code & 0xff).unwrap_or(0)));
                }
                '\\' | '\'' | '"' => out.push(kind),
                other => out.extend(['\\', other]),
            }
        } else {
            out.extend(['\\', kind]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_strings_are_read_as_python_reads_them() {
        assert_eq!(unescape(br"\u006fs", false), "os");
        assert_eq!(unescape(br"a\nb\x6fs", false), r"a\nb\x6fs");
        assert_eq!(unescape(br"\x6fs\163\n\\\'\q", true), "oss\n\\'\\q");
        assert_eq!(decode(b"\xe9", Form::Old), "é");
    }
}
