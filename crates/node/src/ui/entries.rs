//! What somebody filled into a form, and what is wrong with it.

use std::collections::BTreeMap;

use crate::ui::part::{Field, Form};

/// The most fields of a form that are looked at.
const MOST: usize = 2_000;

/// The fields of a form in the order in which they were sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entries(Vec<(String, String)>);

impl Entries {
    /// What was sent. Line ends become `\n`.
    pub fn new(pairs: Vec<(String, String)>) -> Self {
        let clean = |text: String| {
            if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n") } else { text }
        };
        Self(pairs.into_iter().take(MOST).map(|(name, value)| (name, clean(value))).collect())
    }

    /// The value of a field, trimmed; empty if there is none.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.trim())
    }

    /// The value of a field if there is one and it is not empty.
    pub fn some(&self, name: &str) -> Option<&str> {
        Some(self.get(name)).filter(|text| !text.is_empty())
    }

    /// All values of a field.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.trim())
    }

    /// Whether a field has a value.
    pub fn has(&self, name: &str, value: &str) -> bool {
        self.all(name).any(|found| found == value)
    }

    /// With one more value.
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }

    /// Everything as hidden fields, without `step`: for the page on which somebody looks before saving.
    pub fn hidden(&self) -> Vec<Field> {
        let kept = self.0.iter().filter(|(name, value)| name != "step" && !value.is_empty());
        kept.map(|(name, value)| Field::hidden(name, value)).collect()
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Entries {
    fn from(pairs: [(&str, &str); N]) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}

/// What is wrong, by field; the empty name is the whole form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(BTreeMap<String, String>);

impl Problems {
    /// Something is wrong with a field. The first thing said counts.
    pub fn add(&mut self, field: impl Into<String>, what: impl Into<String>) {
        self.0.entry(field.into()).or_insert_with(|| what.into());
    }

    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is wrong with a field.
    pub fn of(&self, field: &str) -> Option<String> {
        self.0.get(field).cloned()
    }

    /// Puts every problem where it belongs.
    #[must_use]
    pub fn onto(&self, mut form: Form) -> Form {
        for group in &mut form.groups {
            for field in &mut group.fields {
                let error = self.of(field.name());
                if error.is_some() {
                    *field = field.clone().wrong(error);
                }
            }
        }
        if form.error.is_none() {
            form.error = self.of("");
        }
        form
    }
}
