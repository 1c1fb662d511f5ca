//! Rule 9: a value that was seen elsewhere turns up in an argument.
//!
//! It only ever takes readers away. That it finds nothing proves nothing: whoever wants to get around it changes a letter. The
//! guarantee is the context floor; this catches what crosses runs by a person's clipboard.

use std::collections::{HashMap, VecDeque};

use ostrom_core::Digest;
use serde_json::Value;

use crate::label::{Integrity, Label, Names, Readers};

/// Shorter strings say too little to be recognised.
const MIN_BYTES: usize = 16;
/// How many strings are remembered.
const CAPACITY: usize = 65_536;
/// How many strings of one result are remembered: a record of more would grow too long to be written.
const OF_ONE: usize = 4_096;

/// Strings with restricted readers that were seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// Who may read them, and who may have influenced them.
    known: HashMap<Digest, (Readers, Integrity)>,
    order: VecDeque<Digest>,
}

impl Seen {
    /// The digests under which the strings in `value` are remembered.
    pub(crate) fn digests(value: &Value) -> Vec<Digest> {
        let mut found = Vec::new();
        leaves(value, &mut |text| found.extend(digest(text)));
        found
    }

    /// Those of a result that are remembered: the first of them.
    pub(crate) fn of_result(value: &Value) -> Vec<Digest> {
        let mut digests = Self::digests(value);
        digests.truncate(OF_ONE);
        digests
    }

    /// Remembers strings with this label, unless everyone may read them.
    pub(crate) fn remember(&mut self, digests: &[Digest], label: &Label) {
        if label.readers == Readers::Everyone {
            return;
        }
        for digest in digests {
            match self.known.get_mut(digest) {
                Some((readers, influencers)) => {
                    *readers = readers.join(&label.readers);
                    *influencers = influencers.join(&label.integrity);
                }
                None => {
                    self.known.insert(*digest, (label.readers.clone(), label.integrity.clone()));
                    self.order.push_back(*digest);
                }
            }
        }
        while self.order.len() > CAPACITY {
            if let Some(oldest) = self.order.pop_front() {
                self.known.remove(&oldest);
            }
        }
    }

    /// Who may read a value with these strings in it.
    pub(crate) fn readers(&self, digests: &[Digest]) -> Readers {
        digests
            .iter()
            .filter_map(|digest| self.known.get(digest))
            .fold(Readers::Everyone, |all, (readers, _)| all.join(readers))
    }

    /// Who may have influenced these strings, where they were seen.
    pub(crate) fn influencers(&self, digests: &[Digest]) -> Integrity {
        digests
            .iter()
            .filter_map(|digest| self.known.get(digest))
            .fold(Integrity::Of(Names::default()), |all, (_, influencers)| all.join(influencers))
    }
}

/// Case and surrounding space do not make a string another.
fn digest(text: &str) -> Option<Digest> {
    let text = text.trim();
    (text.len() >= MIN_BYTES).then(|| Digest::of(text.to_lowercase().as_bytes()))
}

fn leaves(value: &Value, visit: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => {
            visit(text);
            // A text of several lines is also its lines.
            if text.contains('\n') {
                text.lines().for_each(visit);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| leaves(value, visit)),
        Value::Object(members) => members.values().for_each(|value| leaves(value, visit)),
        _ => {}
    }
}
