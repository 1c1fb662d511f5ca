//! What calls, states and additions come to: each is held against the allow-lists.

use ostrom_core::Severity;

use super::allow::{Entry, Fill, Special};
use super::judge::{Judge, Mode, Storage};
use super::machine::{Machine, Step, could_be_name, is_dunder};
use super::nested::Coding;
use super::render;
use super::shape::{Fit, Shape};
use super::source::Source;
use super::value::{Fields, INLINE, Items, KEEP, Node, Value};
use super::{ARGUMENTS, INDIRECT, PATCH, PERSISTENT, STATE, UNDECIDED, dtype};

/// How many fields of a record are kept.
const FIELDS: usize = 4096;
/// How many parameters of an optimiser are kept, with what it knows of each, and how many groups of them.
const PARAMETERS: usize = 1 << 14;
/// Methods of lists, dicts and sets.
const METHODS: [&str; 24] = [
    "add",
    "append",
    "clear",
    "copy",
    "count",
    "discard",
    "extend",
    "fromkeys",
    "get",
    "index",
    "insert",
    "items",
    "keys",
    "move_to_end",
    "pop",
    "popitem",
    "remove",
    "reverse",
    "setdefault",
    "sort",
    "union",
    "update",
    "values",
    "most_common",
];
/// How deep calls may lie in the arguments of calls.
const MAX_APPLY: usize = 4;

impl Machine {
    /// `callee(*args)`; what it gives.
    ///
    /// # Errors
    /// If it is certain that it cannot be called.
    pub(super) fn call(&mut self, callee: Value, args: Value, judge: &mut Judge) -> Step<Value> {
        self.callable(callee)?;
        Ok(self.call_at(callee, args, judge, MAX_APPLY))
    }

    fn callable(&self, value: Value) -> Step<()> {
        let object = matches!(self.heap.get(value), Some(Node::Object { .. }));
        match value {
            Value::Global(_) | Value::Object(_) | Value::Unknown | Value::Storage => Ok(()),
            Value::Node(_) if object => Ok(()),
            _ => Err(self.malformed("calls data")),
        }
    }

    fn call_at(&mut self, callee: Value, args: Value, judge: &mut Judge, depth: usize) -> Value {
        judge.called = judge.called.saturating_add(1);
        let Value::Global(id) = callee else { return self.call_indirect(callee, args, judge) };
        let Some(entry) = judge.entry_of(id) else { return self.call_unlisted(id, args, judge) };
        let fit = match &entry.call {
            Some(shape) => shape.fits(args, &self.heap, judge),
            None => Fit::No,
        };
        if fit != Fit::Yes {
            self.misfit(id, args, fit, judge);
            return Value::Unknown;
        }
        match entry.special {
            Some(special) => self.special(special, entry, id, args, judge, depth),
            None => self.made(entry, args, judge),
        }
    }

    /// What a listed callable makes.
    fn made(&mut self, entry: &Entry, args: Value, judge: &Judge) -> Value {
        let keep = entry.keep || entry.makes_odd(args, &self.heap, judge);
        let state = if entry.holds() { self.dict() } else { Value::None };
        if keep && let kept @ Value::Node(_) = self.add(Node::Object { entry: entry.id, args, state }) {
            return kept;
        }
        Value::Object(entry.id)
    }

    fn call_unlisted(&mut self, id: u32, args: Value, judge: &mut Judge) -> Value {
        let (heap, at) = (&self.heap, self.at);
        // Where only dangers count, it is one like others unless it is told already.
        if let Some(source) = Source::of(&judge.name_of(id), args, heap, judge)
            && (!judge.only_dangers || judge.sources.contains(&source))
        {
            judge.run_source(id, at, source);
            return Value::Unknown;
        }
        judge.call_unlisted(id, at, |judge| render::call(&judge.name_of(id), args, heap, judge));
        if judge.loads_pickles(id) {
            // Denied already; what is in it is of interest all the same.
            self.nest(args, judge);
        }
        if judge.name_of(id) == "copyreg.add_extension"
            && let [Some(Value::Text(module)), Some(Value::Text(name)), Some(Value::Int(code))] =
                self.three(args)
            && let (Some(module), Some(name)) = (judge.text(module), judge.text(name))
        {
            let global = judge.import(&module, &name, at);
            judge.register_extension(code, global);
        }
        Value::Unknown
    }

    fn call_indirect(&mut self, callee: Value, args: Value, judge: &mut Judge) -> Value {
        let unknown = matches!(callee, Value::Unknown);
        let (rule, subject) = if unknown { (UNDECIDED, self.at) } else { (INDIRECT, 0) };
        if !judge.repeats(rule, subject) {
            let shown = render::call(&render::any(callee, &self.heap, judge), args, &self.heap, judge);
            let message = match unknown {
                true => format!("loading calls {shown}; what that is could not be decided"),
                false => format!("loading calls {shown}: something that was made while loading"),
            };
            judge.report(rule, subject, self.at, message);
        }
        Value::Unknown
    }

    /// Something listed is called with other arguments than the lists have.
    fn misfit(&mut self, id: u32, args: Value, fit: Fit, judge: &mut Judge) {
        let unclear = fit == Fit::Unclear;
        let (rule, subject) =
            if unclear { (UNDECIDED, (2 << 32) + u64::from(id)) } else { (ARGUMENTS, u64::from(id)) };
        if judge.repeats(rule, subject) {
            return;
        }
        let shown = render::call(&judge.name_of(id), args, &self.heap, judge);
        let imported = judge.import_of(id);
        if fit == Fit::Unclear {
            let message = format!(
                "loading calls {shown}; whether that is harmless depends on arguments that are not known"
            );
            judge.report(rule, subject, self.at, message);
        } else {
            let message = format!(
                "loading calls {shown}, imported at byte {imported}; it is never called so for honest data"
            );
            let severity = judge.is_dangerous(id).then_some(Severity::Critical);
            judge.report_as(severity, rule, subject, self.at, message);
        }
    }

    fn item(&self, args: Value, index: usize) -> Option<Value> {
        match self.heap.get(args) {
            Some(Node::Tuple { items, .. }) => items.get(index),
            _ => None,
        }
    }

    fn three(&self, args: Value) -> [Option<Value>; 3] {
        [self.item(args, 0), self.item(args, 1), self.item(args, 2)]
    }

    fn special(
        &mut self,
        special: Special,
        entry: &'static Entry,
        id: u32,
        args: Value,
        judge: &mut Judge,
        depth: usize,
    ) -> Value {
        // INVARIANT: the shape of the entry's arguments was held against these, so the items are there.
        let [first, second, third] = self.three(args).map(|value| value.unwrap_or(Value::Unknown));
        match special {
            Special::Reconstructor => {
                let none = self.tuple([], 0);
                self.new_at(first, none, judge)
            }
            Special::Newobj => {
                let rest: Vec<_> = match self.heap.get(args) {
                    Some(Node::Tuple { items, .. }) => items.iter().skip(1).collect(),
                    _ => Vec::new(),
                };
                let rest = self.tuple(rest, 0);
                self.new_at(first, rest, judge)
            }
            Special::NewobjEx => self.new_ex_at(first, second, third, judge),
            Special::Member => self.member(id, entry, args, judge),
            Special::Import => {
                let text = |value: Value| match value {
                    Value::Text(text) => judge.text(text),
                    _ => None,
                };
                match (text(first), text(second)) {
                    (Some(module), Some(name)) => judge.import(&module, &name, self.at),
                    _ => {
                        self.misfit(id, args, Fit::Unclear, judge);
                        Value::Unknown
                    }
                }
            }
            Special::Apply => {
                let args_of =
                    if matches!(self.heap.get(second), Some(Node::Tuple { .. })) { second } else { third };
                match depth.checked_sub(1) {
                    Some(depth) => {
                        self.call_at(first, args_of, judge, depth);
                    }
                    None => self.misfit(id, args, Fit::Unclear, judge),
                }
                Value::Object(entry.id)
            }
            Special::TorchLoad => {
                self.nest(args, judge);
                Value::Object(entry.id)
            }
            Special::JoblibArray | Special::JoblibFile | Special::Dtype => self.made(entry, args, judge),
        }
    }

    /// `getattr`: a member of an enumeration, or a method that the lists have under its dotted name.
    fn member(&mut self, id: u32, entry: &Entry, args: Value, judge: &mut Judge) -> Value {
        let [class, name, _] = self.three(args);
        let name = match name {
            Some(Value::Text(text)) => judge.text(text).unwrap_or_default(),
            _ => String::new(),
        };
        if let Some(Value::Global(class)) = class {
            if let Some(method) = judge.import_member(class, &name, self.at) {
                return method;
            }
            let plain = !name.starts_with('_') && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            match judge.entry_of(class) {
                Some(enumeration) if plain && enumeration.is_class(Some("enum")) => {
                    return Value::Object(entry.id);
                }
                None if plain && !judge.is_dangerous(class) => return self.call_unlisted(class, args, judge),
                _ => {}
            }
        }
        self.misfit(id, args, Fit::No, judge);
        Value::Unknown
    }

    /// The first argument is loaded as a file of its own.
    fn nest(&mut self, args: Value, judge: &mut Judge) {
        let bytes = self.item(args, 0).unwrap_or(Value::Unknown);
        let found = match (bytes, self.heap.get(bytes)) {
            (Value::Text(text), _) => Coding::of_bytes(text.form).map(|coding| (text, coding)),
            // How Python 3 writes bytes in protocols 0 to 2: `_codecs.encode(text, "latin1")`.
            (_, Some(Node::Object { args, .. })) => match self.item(*args, 0) {
                Some(Value::Text(text)) => Coding::of_text(text.form).map(|coding| (text, coding)),
                _ => None,
            },
            _ => None,
        };
        match found {
            Some((text, coding)) if text.len < u32::MAX => {
                judge.nest(text.start, u64::from(text.len), coding)
            }
            _ => {
                let message = "loads a pickle from bytes that are made while loading".to_owned();
                judge.report(UNDECIDED, self.at, self.at, message);
            }
        }
    }

    /// `class.__new__(class, *args)`.
    ///
    /// # Errors
    /// If it is certain that it is no class.
    pub(super) fn new_object(&mut self, class: Value, args: Value, judge: &mut Judge) -> Step<Value> {
        self.callable(class)?;
        Ok(self.new_at(class, args, judge))
    }

    fn new_at(&mut self, class: Value, args: Value, judge: &mut Judge) -> Value {
        judge.called = judge.called.saturating_add(1);
        let Value::Global(id) = class else { return self.call_indirect(class, args, judge) };
        let Some(entry) = judge.entry_of(id) else { return self.call_unlisted(id, args, judge) };
        let fit = match &entry.new {
            Some(shape) => shape.fits(args, &self.heap, judge),
            None => Fit::No,
        };
        if fit != Fit::Yes {
            self.misfit(id, args, fit, judge);
            return Value::Unknown;
        }
        self.made(entry, args, judge)
    }

    /// `class.__new__(class, *args, **kwargs)`.
    ///
    /// # Errors
    /// If it is certain that it is no class.
    pub(super) fn new_object_ex(
        &mut self,
        class: Value,
        args: Value,
        kwargs: Value,
        judge: &mut Judge,
    ) -> Step<Value> {
        self.callable(class)?;
        Ok(self.new_ex_at(class, args, kwargs, judge))
    }

    fn new_ex_at(&mut self, class: Value, args: Value, kwargs: Value, judge: &mut Judge) -> Value {
        if matches!(self.heap.get(kwargs), Some(Node::Dict { len: 0, .. })) {
            return self.new_at(class, args, judge);
        }
        let both = self.tuple([args, kwargs], 0);
        match class {
            Value::Global(id) if judge.entry_of(id).is_some() => {
                judge.called = judge.called.saturating_add(1);
                self.misfit(id, both, Fit::No, judge);
                Value::Unknown
            }
            _ => self.new_at(class, both, judge),
        }
    }

    /// The entry of what a value is an instance of.
    fn entry(&self, value: Value, judge: &Judge) -> Option<&'static Entry> {
        match (value, self.heap.get(value)) {
            (Value::Object(entry), _) => judge.lists.entry(entry),
            (_, Some(Node::Object { entry, .. })) => judge.lists.entry(*entry),
            _ => None,
        }
    }

    /// `BUILD`: the state of what is on top.
    pub(super) fn build(&mut self, target: Value, state: Value, judge: &mut Judge) -> Step<()> {
        if let Value::Global(id) = target {
            if judge.repeats(PATCH, u64::from(id)) {
                return Ok(());
            }
            let shown = render::any(state, &self.heap, judge);
            let message = format!(
                "loading changes {}, imported at byte {}: sets {shown}",
                judge.name_of(id),
                judge.import_of(id)
            );
            judge.report(PATCH, u64::from(id), self.at, message);
            return Ok(());
        }
        let Some(entry) = self.entry(target, judge) else {
            return match target {
                // A finding says already that it is not known what this is.
                Value::Unknown => Ok(()),
                _ if matches!(state, Value::None) => Ok(()),
                _ => {
                    self.odd_state("sets a state of", target, state, Fit::No, judge);
                    Ok(())
                }
            };
        };
        let mut fit = entry.build.as_ref().map_or(Fit::No, |shape| shape.fits(state, &self.heap, judge));
        if fit == Fit::Yes && !self.types_are_whole(entry, target, state, judge) {
            fit = Fit::Unclear;
        }
        if fit != Fit::Yes {
            self.odd_state("sets a state of", target, state, fit, judge);
        } else if !entry.fill.is_empty() && matches!(entry.build, Some(Shape::State | Shape::Fields(_))) {
            self.check_methods(target, state, judge);
        }
        if let Some(Node::Object { state: own, .. }) = self.heap.get_mut(target)
            && !entry.holds()
        {
            *own = state;
        }
        match entry.special {
            Some(Special::JoblibFile) if !self.names_neighbour(state, judge) => {
                self.odd_state("reads a file from elsewhere by", target, state, Fit::No, judge);
                Ok(())
            }
            Some(Special::JoblibArray) if self.joblib && judge.mode == Mode::Plain => {
                self.joblib_array(judge)
            }
            _ => Ok(()),
        }
    }

    /// Whether numpy reads what the types say that are in a state, or that it is given to. Later states would change what arrays
    /// hold that are made by then.
    fn types_are_whole(&mut self, entry: &Entry, target: Value, state: Value, judge: &Judge) -> bool {
        if entry.special == Some(Special::Dtype) {
            let Some(Node::Object { args, state: Value::None, .. }) = self.heap.get(target) else {
                return false;
            };
            let args = *args;
            let (names, fields) = (self.item(state, 3), self.item(state, 4));
            if let (Some(names), Some(fields)) = (names, fields)
                && let Some(Node::Dict { fields: Fields::Open, .. }) = self.heap.get(fields)
            {
                let known = dtype::fields(names, fields, &self.heap, judge);
                if let Some(Node::Dict { fields, .. }) = self.heap.get_mut(fields) {
                    *fields = known;
                }
            }
            if dtype::fits(args, state, &self.heap, judge) != Fit::Yes {
                return false;
            }
        }
        match self.heap.get(state) {
            Some(Node::Tuple { items, .. }) => {
                !items.iter().any(|item| dtype::is_bare(item, &self.heap, judge))
            }
            _ => true,
        }
    }

    /// Whether the file that a stand-in names lies in the same folder.
    fn names_neighbour(&self, state: Value, judge: &Judge) -> bool {
        let Some(Node::Dict { entries, .. }) = self.heap.get(state) else { return false };
        if entries.iter().any(|(key, _)| could_be_name(*key, &self.heap)) {
            return false;
        }
        let text = |value: &Value| match value {
            Value::Text(text) => judge.text(*text),
            _ => None,
        };
        let mut names =
            entries.iter().filter(|(key, _)| text(key).is_some_and(|key| key == "filename")).peekable();
        names.peek().is_some()
            && names.all(|(_, name)| {
                text(name)
                    .is_some_and(|name| !name.is_empty() && !name.contains(['/', '\\', ':']) && name != "..")
            })
    }

    /// Opcodes and helpers call methods by their names, which attributes could replace: `APPEND` does, and whatever takes an
    /// instance for a list or dict.
    fn check_methods(&mut self, target: Value, state: Value, judge: &mut Judge) {
        let attributes = match self.heap.get(state) {
            Some(Node::Tuple { items, .. }) => items.get(0).unwrap_or(Value::None),
            _ => state,
        };
        let Some(Node::Dict { entries, .. }) = self.heap.get(attributes) else { return };
        let hidden = entries.iter().any(|(key, _)| match key {
            Value::Text(text) => judge.text(*text).is_some_and(|key| METHODS.contains(&key.as_str())),
            _ => false,
        });
        if hidden {
            self.odd_state("replaces methods of", target, state, Fit::No, judge);
        }
    }

    fn odd_state(&mut self, verb: &str, target: Value, state: Value, fit: Fit, judge: &mut Judge) {
        let subject = match self.entry(target, judge) {
            Some(entry) => u64::from(entry.id),
            None => self.at.saturating_add(1 << 32),
        };
        let unclear = fit == Fit::Unclear;
        let (rule, subject) =
            if unclear { (UNDECIDED, subject.saturating_add(3 << 32)) } else { (STATE, subject) };
        if judge.repeats(rule, subject) {
            return;
        }
        let shown = render::any(target, &self.heap, judge);
        let message = match unclear {
            true => format!("loading {verb} {shown}; what it holds is not known"),
            false => {
                let state = render::any(state, &self.heap, judge);
                format!("loading {verb} {shown} as honest data never do: {state}")
            }
        };
        judge.report(rule, subject, self.at, message);
    }

    /// `APPEND`, `APPENDS` and `LIST`.
    pub(super) fn append(
        &mut self,
        target: Value,
        values: &[Value],
        elided: u64,
        judge: &mut Judge,
    ) -> Step<()> {
        judge.keep(values, self.at);
        let held = match self.heap.get(target) {
            Some(Node::List(items)) => items.len,
            _ => 0,
        };
        let many = held.saturating_add(values.len() as u64) > self.keep as u64;
        let groups = many && values.first().is_some_and(|value| self.is_group(*value, judge));
        let keep = self.heap.keep(if groups { self.keep.max(PARAMETERS) } else { self.keep });
        let mut grown = 0;
        let spare = if values.len() > INLINE { self.heap.spare_values() } else { Vec::new() };
        if let Some(Node::List(items)) = self.heap.get_mut(target) {
            items.lend(spare);
            let before = items.len;
            for value in values {
                items.push(*value, keep);
            }
            items.elide(elided);
            grown = usize::try_from(items.len.min(keep as u64).saturating_sub(before)).unwrap_or(0);
        } else {
            self.fill(Fill::List, target, values, judge);
        }
        self.heap.hold(grown);
        Ok(())
    }

    /// `SETITEM`, `SETITEMS` and `DICT`: keys and values in turn.
    pub(super) fn set_items(&mut self, target: Value, values: &[Value], judge: &mut Judge) -> Step<()> {
        let (pairs, odd) = values.as_chunks::<2>();
        if !odd.is_empty() {
            return Err(self.malformed("a key without a value"));
        }
        self.check_keys(pairs.iter().map(|[key, _]| key), judge);
        judge.keep(values, self.at);
        let odd_key = pairs.iter().find_map(|[key, _]| match key {
            Value::Text(text) if is_dunder(*text, judge) => Some(*text),
            _ => None,
        });
        let odd = pairs.iter().any(|[key, _]| could_be_name(*key, &self.heap));
        let target = self.content(target, judge);
        // Records may have many fields, and optimisers many parameters, of which each matters.
        let held = match self.heap.get(target) {
            Some(Node::Dict { entries, .. }) => entries.len(),
            _ => 0,
        };
        let many = pairs.len().saturating_add(held) > KEEP;
        let fields = |value: Value| dtype::is_field(value, &self.heap, judge);
        let wide = match pairs.first() {
            Some([_, value]) if many && fields(*value) => FIELDS,
            Some([key, value]) if many && self.is_knowledge(*key, *value) => PARAMETERS,
            _ => KEEP,
        };
        let fixed = match (target, self.heap.get(target)) {
            (_, Some(Node::Dict { fields, .. })) => *fields != Fields::Open,
            (Value::Data, _) => pairs.iter().any(|[_, value]| fields(*value)),
            _ => false,
        };
        if fixed {
            self.odd_state(
                "changes the fields of a type of numpy by",
                target,
                Value::Data,
                Fit::Unclear,
                judge,
            );
        }
        let keep = self.heap.keep(wide);
        let mut grown = 0;
        let spare = self.heap.spare_pairs();
        if let Some(Node::Dict { entries, len, dunder, nameless, .. }) = self.heap.get_mut(target) {
            if entries.capacity() == 0 {
                *entries = spare;
            }
            let room = keep.saturating_sub(entries.len());
            let kept = pairs.iter().take(room).map(|[key, value]| (*key, *value));
            entries.extend(kept);
            grown = pairs.len().min(room).saturating_mul(2);
            *len = len.saturating_add(pairs.len() as u64);
            *dunder = dunder.or(odd_key);
            *nameless |= odd;
        } else if odd_key.is_some() && matches!(target, Value::Data) {
            self.odd_state("adds to", target, Value::Data, Fit::Unclear, judge);
        } else {
            self.fill(Fill::Dict, target, values, judge);
        }
        self.heap.hold(grown);
        Ok(())
    }

    /// The dict that stands for what is in an instance of which that matters.
    fn content(&self, target: Value, judge: &Judge) -> Value {
        match self.heap.get(target) {
            Some(Node::Object { state, .. }) if self.entry(target, judge).is_some_and(Entry::holds) => *state,
            _ => target,
        }
    }

    /// Whether this is a group of parameters, as optimisers have them.
    fn is_group(&self, value: Value, judge: &Judge) -> bool {
        let Some(Node::Dict { entries, .. }) = self.heap.get(value) else { return false };
        entries.iter().any(|(key, _)| match key {
            Value::Text(text) => text.len == 6 && judge.text(*text).is_some_and(|key| key == "params"),
            _ => false,
        })
    }

    /// Whether this is what an optimiser knows of a parameter: a dict, by a tensor.
    fn is_knowledge(&self, key: Value, value: Value) -> bool {
        matches!(key, Value::Object(_)) && matches!(self.heap.get(value), Some(Node::Dict { .. }))
    }

    /// `ADDITEMS`.
    pub(super) fn add_items(&mut self, target: Value, judge: &mut Judge) -> Step<()> {
        if !matches!(self.heap.get(target), Some(Node::Set)) {
            self.fill(Fill::Set, target, &[], judge);
        }
        Ok(())
    }

    /// Adds to something that is no list, dict or set of the pickle's own.
    fn fill(&mut self, fill: Fill, target: Value, values: &[Value], judge: &mut Judge) {
        match (target, self.entry(target, judge)) {
            (Value::Unknown | Value::Data, _) => self.heap.blurred = true,
            (_, Some(entry)) if entry.fill.contains(&fill) => self.heap.blurred |= entry.holds(),
            (Value::Global(id), _) => {
                let message = format!("loading adds to {}, which it imports", judge.name_of(id));
                judge.report(PATCH, u64::from(id), self.at, message);
            }
            _ => {
                let first = values.first().copied().unwrap_or(Value::None);
                self.odd_state("adds to", target, first, Fit::No, judge);
            }
        }
    }

    /// Something that the loader gets by an id of its own.
    pub(super) fn persistent(&mut self, id: Value, judge: &mut Judge) -> Value {
        let items = match self.heap.get(id) {
            Some(Node::Tuple { items, .. }) if judge.mode != Mode::Plain => Some(items.clone()),
            _ => None,
        };
        if let Some(value) = items.and_then(|items| self.torch_persistent(&items, judge)) {
            return value;
        }
        if judge.repeats(PERSISTENT, 0) {
            return Value::Unknown;
        }
        let shown = render::any(id, &self.heap, judge);
        let message = format!("loading takes whatever the loader has for the persistent id {shown}");
        judge.report(PERSISTENT, 0, self.at, message);
        Value::Unknown
    }

    /// `("storage", class, key, location, count)`, in the legacy format with a view of it after; or a class with its
    /// source text, which loaders only compare.
    fn torch_persistent(&self, items: &Items, judge: &mut Judge) -> Option<Value> {
        let text = |index: usize| match items.get(index) {
            Some(Value::Text(text)) if text.form.is_str() => Some(text),
            _ => None,
        };
        match judge.text(text(0)?)?.as_str() {
            "storage" if matches!(items.len, 5 | 6) => {
                let Some(Value::Global(class)) = items.get(1) else { return None };
                let element = judge.entry_of(class).filter(|entry| entry.is_class(Some("storage")))?.element;
                let key = judge.text(text(2)?)?;
                let location = text(3)?;
                let count = match items.get(4)? {
                    Value::Int(count) => u64::try_from(count).ok()?,
                    _ => return None,
                };
                if location.len > 64 || key.len() > 128 {
                    return None;
                }
                if let Some(view) = items.get(5) {
                    let shape = Shape::OneOf(vec![Shape::None, Shape::Tuple]);
                    (shape.fits(view, &self.heap, judge) == Fit::Yes).then_some(())?;
                }
                judge.add_storage(Storage { key, element, count, offset: self.at });
                Some(Value::Storage)
            }
            "module" if items.len == 4 => {
                let class = items.get(1)?;
                text(3)?;
                matches!(class, Value::Global(_)).then_some(class)
            }
            _ => None,
        }
    }
}
