//! Rule 7: labels of stored objects live with the guard.

use std::collections::BTreeMap;
use std::sync::Arc;

use ostrom_core::Digest;

use super::mutant::{Mutant, mutated};
use crate::label::Label;

/// What is known of a stored object.
#[derive(Debug, Clone, PartialEq)]
struct Object {
    label: Label,
    /// Of its whole content, where the write said all of it.
    content: Option<Digest>,
}

/// The objects that were written through the guard.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory(BTreeMap<Key, Object>);

/// A server, and one of its objects, or all of them.
type Key = (Arc<str>, Option<Arc<str>>);

impl Memory {
    /// Records a write of something with `label`.
    ///
    /// A write that says all of the object's content replaces its label: nothing else is left in it. Any other adds to it. Gives the label
    /// that was replaced.
    pub(crate) fn write(
        &mut self,
        server: &str,
        object: Option<&str>,
        content: Option<Digest>,
        label: &Label,
    ) -> Option<Label> {
        let key = (Arc::from(server), object.map(Arc::from));
        let before = self.0.remove(&key).map(|before| before.label);
        let adds = content.is_none() || object.is_none();
        let (label, replaced) = match before {
            Some(before) if adds => (before.join(label), None),
            before => (label.clone(), before),
        };
        self.0.insert(key, Object { label, content });
        replaced
    }

    /// The label of what a read shows: `declared` is what the policy says of the tool's results.
    ///
    /// Content that is byte for byte what was written through the guard carries the label of that write, and not the
    /// declared one; everything else carries both.
    pub(crate) fn read(
        &self,
        server: &str,
        object: Option<&str>,
        content: Option<Digest>,
        declared: &Label,
    ) -> Label {
        let Some(object) = object else {
            return self.of_server(server).fold(declared.clone(), |label, object| label.join(&object.label));
        };
        let all = self.get(server, None);
        match (self.get(server, Some(object)), all) {
            (Some(known), None)
                if known.content.is_some()
                    && (known.content == content || mutated(Mutant::ChangedObjectTrusted)) =>
            {
                known.label.clone()
            }
            (known, all) => [known, all]
                .into_iter()
                .flatten()
                .fold(declared.clone(), |label, object| label.join(&object.label)),
        }
    }

    fn get(&self, server: &str, object: Option<&str>) -> Option<&Object> {
        self.0.get(&(Arc::from(server), object.map(Arc::from)))
    }

    fn of_server<'a>(&'a self, server: &'a str) -> impl Iterator<Item = &'a Object> {
        self.0.iter().filter(move |((owner, _), _)| &**owner == server).map(|(_, object)| object)
    }
}
