//! Python source that loading runs: `torch.fx` saves a graph as the text of a function, with the text of its imports, and has both
//! compiled and run. Which of it is harmless cannot be decided from here, but it is read as any code of a model is.

use super::judge::Judge;
use super::value::{Heap, Node, Text, Value};
use super::{SOURCE, UNDECIDED};
use crate::examination::Examination;
use crate::source::View;
use crate::text::{self, LONGEST_CODE};
use crate::trouble::Trouble;

/// What rebuilds graphs, of a dict and a text.
const MAKER: &str = "torch.fx.graph_module.reduce_graph_module";
/// Under which keys of the dict the function is, the second before PyTorch 1.8.
const FUNCTION: [&str; 2] = ["_code", "code"];
/// How many graphs of one file are read.
const MOST: usize = 1000;

/// A function that is run, and what is put before it.
#[derive(PartialEq, Eq)]
pub(super) struct Source {
    imports: Place,
    function: Place,
}

/// A text in the file.
#[derive(Clone, Copy)]
struct Place(Text);

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        (self.0.start, self.0.len) == (other.0.start, other.0.len)
    }
}

impl Eq for Place {}

impl Source {
    /// What a call by this name would run, if all of it stands in the file as it is run.
    pub(super) fn of(name: &str, args: Value, heap: &Heap, judge: &Judge) -> Option<Self> {
        let Some(Node::Tuple { items, .. }) = heap.get(args).filter(|_| name == MAKER) else {
            return None;
        };
        let (Some(Value::Text(imports)), 2) = (items.get(1), items.len) else { return None };
        let Some(Node::Dict { entries, len, nameless: false, .. }) = heap.get(items.get(0)?) else {
            return None;
        };
        // A key that is not known, or is there twice, would be another function.
        if *len > entries.len() as u64 || heap.blurred {
            return None;
        }
        let mut functions = entries.iter().filter(|(key, _)| match key {
            Value::Text(key) => judge.text(*key).is_none_or(|key| FUNCTION.contains(&key.as_str())),
            _ => false,
        });
        match (functions.next(), functions.next()) {
            (Some((_, Value::Text(function))), None) if imports.form.is_str() && function.form.is_str() => {
                Some(Self { imports: Place(imports), function: Place(*function) })
            }
            _ => None,
        }
    }

    /// Examines what is run.
    pub(super) fn examine(&self, judge: &Judge, scan: &mut Examination<'_>) {
        scan.within(&format!("source at {}", self.function.0.start), |scan| {
            let result = self
                .text(judge)
                .and_then(|source| text::examine_source(&View::new(source.into_bytes()), scan));
            scan.settle(result);
        });
    }

    fn text(&self, judge: &Judge) -> Result<String, Trouble> {
        let whole = |Place(text): Place| {
            let length = text.len as usize;
            judge
                .whole_text(text, LONGEST_CODE)
                .ok_or_else(|| Trouble::Limit(format!("source of {length} bytes")))
        };
        Ok(whole(self.imports)? + &whole(self.function)?)
    }
}

impl Judge {
    /// Something that is not listed runs source, which is in the file.
    pub(super) fn run_source(&mut self, id: u32, offset: u64, source: Source) {
        let message = format!(
            "loading calls {}, imported at byte {}, which runs Python source: the function at byte {} behind the imports at byte {}",
            self.name_of(id),
            self.import_of(id),
            source.function.0.start,
            source.imports.0.start
        );
        self.tell(id);
        self.report(SOURCE, offset, offset, message);
        if self.only_dangers || self.sources.contains(&source) {
            return;
        }
        if self.sources.len() < MOST {
            self.sources.push(source);
        } else {
            self.report(UNDECIDED, 9, offset, format!("more than {MOST} functions that are run"));
        }
    }
}
