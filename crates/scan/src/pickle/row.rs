//! Pickles that follow each other, read in both ways: each with a memo of its own, as `pickle.load` does, and all with one
//! memo, as an `Unpickler` does whose `load` is called again.

use super::UNDECIDED;
use super::cursor::Cursor;
use super::judge::Judge;
use super::machine::{Halt, Machine, Step};
use super::value::{Heap, Value};
use crate::source::View;
use crate::trouble::Trouble;

/// Said of what only the second way of reading shows.
const CONDITION: &str = " (if one Unpickler loads the pickles before it too)";

/// Pickles in a row.
pub(super) struct Row {
    /// Forgets everything with each pickle.
    alone: Machine,
    shared: Shared,
    /// Whether a frame ended within an opcode.
    torn: bool,
}

/// The reading that keeps its memo.
enum Shared {
    /// There was no pickle yet.
    Fresh,
    /// There was one, in which both readings are the same.
    Same,
    Apart(Box<Machine>),
    /// It came to an error, or to another place.
    Broken,
}

impl Row {
    pub(super) fn new(view: &View) -> Self {
        Self { alone: Machine::new(view.clone(), 0), shared: Shared::Fresh, torn: false }
    }

    pub(super) fn position(&self) -> u64 {
        self.alone.position()
    }

    pub(super) fn cursor(&mut self) -> &mut Cursor {
        self.alone.cursor()
    }

    pub(super) fn heap(&self) -> &Heap {
        self.alone.heap()
    }

    /// Keeps so many items of lists from now on.
    pub(super) fn keep(&mut self, items: usize) {
        self.alone.keep = items;
    }

    /// Whether a frame ended within an opcode, however it is read.
    pub(super) fn is_torn(&self) -> bool {
        self.torn || self.alone.torn
    }

    /// Interprets one more pickle; what is then on top of the stack.
    ///
    /// # Errors
    /// If it is broken however it is read.
    pub(super) fn next(&mut self, judge: &mut Judge) -> Step<Value> {
        let mut shared = match std::mem::replace(&mut self.shared, Shared::Broken) {
            Shared::Fresh => {
                self.shared = Shared::Same;
                return self.alone.run(judge);
            }
            Shared::Same => Box::new(self.alone.clone()),
            Shared::Apart(shared) => shared,
            Shared::Broken => {
                self.alone.begin();
                return self.alone.run(judge);
            }
        };
        // Seeking throws away what was read ahead.
        if shared.position() != self.alone.position() {
            shared.cursor().seek(self.alone.position());
        }
        self.alone.begin();
        shared.begin_again();
        let result = self.alone.run(judge);
        if let Err(Halt::Trouble(Trouble::Read(_) | Trouble::Changed)) = result {
            return result;
        }
        // Where the first reading comes to an end, the pickle has a memo of its own, and its references name something else
        // in another. What is imported then is nonsense in honest files, so only dangers count.
        let before = (judge.condition, judge.only_dangers);
        (judge.condition, judge.only_dangers) = (CONDITION, result.is_ok());
        let other = shared.run(judge);
        (judge.condition, judge.only_dangers) = before;
        self.torn |= shared.torn;
        match (result, other) {
            (_, Err(halt @ Halt::Trouble(Trouble::Read(_) | Trouble::Changed))) => Err(halt),
            (result, Err(Halt::Trouble(Trouble::Limit(limit)))) => {
                judge.report(UNDECIDED, 8, shared.at, format!("{limit}{CONDITION}"));
                result
            }
            (Ok(value), Ok(_)) => {
                if shared.position() == self.alone.position() {
                    self.shared = Shared::Apart(shared);
                }
                Ok(value)
            }
            // It refers to what a pickle before it has written.
            (Err(Halt::Trouble(Trouble::Malformed { .. })), Ok(_)) => {
                self.alone.cursor().seek(shared.position());
                self.shared = Shared::Apart(shared);
                // Its parts are in the heap of the other reading.
                Ok(Value::Unknown)
            }
            (result, _) => result,
        }
    }
}
