//! Drafts of the forms: what is filled in and what is missing.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ostrom_core::Id;
use serde::Serialize;

use super::data::Clock;
use super::{Duty, Situation};
use crate::incident::Effect;

/// A field of a draft.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The field.
    pub id: Id,
    /// What is asked.
    pub label: String,
    /// Whether a report without it is incomplete.
    pub required: bool,
    /// The answer, as far as there is one.
    pub answer: Option<String>,
}

/// A report in the making.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Draft {
    /// What it is called.
    pub title: String,
    /// To whom it goes.
    pub to: String,
    /// By which provision.
    pub reference: String,
    /// Where the list of fields comes from.
    pub source: String,
    /// The fields, in order.
    pub entries: Vec<Entry>,
}

impl Draft {
    /// The draft for a duty of this clock. Answers are by the names of the fields; those that follow from the situation need
    /// not be given. `None` if the duty is not one of this clock.
    pub fn new(
        clock: &Clock,
        duty: &Duty,
        situation: &Situation,
        answers: &BTreeMap<String, String>,
    ) -> Option<Self> {
        if duty.clock != clock.id {
            return None;
        }
        let form = clock.form(&duty.form)?;
        let known = known(situation);
        let answer = |id: &Id| {
            let given =
                answers.get(id.as_str()).map(|answer| answer.trim()).filter(|answer| !answer.is_empty());
            given.map(str::to_owned).or_else(|| known.get(id.as_str()).cloned())
        };
        let entries = form.field.iter().map(|field| Entry {
            id: field.id.clone(),
            label: field.label.clone(),
            required: field.required,
            answer: answer(&field.id),
        });
        Some(Self {
            title: form.name.clone(),
            to: duty.to.clone(),
            reference: duty.reference.clone(),
            source: form.source.clone(),
            entries: entries.collect(),
        })
    }

    /// The required fields without an answer.
    pub fn missing(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.required && entry.answer.is_none())
    }

    /// The draft as plain text.
    pub fn to_text(&self) -> String {
        let mut text = format!("{}\nTo: {}\nBy: {}\n", self.title, self.to, self.reference);
        for entry in &self.entries {
            let answer = match &entry.answer {
                Some(answer) => answer.as_str(),
                None if entry.required => "[missing]",
                None => "[none]",
            };
            // INVARIANT: writing to a string does not fail.
            let _ = write!(text, "\n{}\n  {}\n", entry.label, answer.replace('\n', "\n  "));
        }
        text
    }
}

/// What follows from the situation.
fn known(situation: &Situation) -> BTreeMap<&'static str, String> {
    let mut known = BTreeMap::from([("aware", situation.aware.to_string())]);
    let harm = |effect: &Effect| {
        let mut words = vec![effect.harm.name()];
        words.extend(effect.is_serious().then_some("serious"));
        words.extend(effect.irreversible.then_some("irreversible"));
        words.join(", ")
    };
    let actual = || situation.facts.effects.iter().filter(|effect| effect.actual);
    let harms: Vec<String> = actual().map(harm).collect();
    if !harms.is_empty() {
        known.insert("harm", harms.join("; "));
    }
    let persons: Vec<String> =
        actual().filter_map(|effect| Some(format!("{}: {}", effect.harm, effect.persons?))).collect();
    if !persons.is_empty() {
        known.insert("persons", persons.join("; "));
    }
    known
}
