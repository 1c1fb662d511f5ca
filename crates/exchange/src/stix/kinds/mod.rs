//! What the specification says about each type, as data.

mod domain;
mod observable;

/// What sort of thing a type is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// A domain object (SDO), a relationship object (SRO), or one of the two meta objects that have versions.
    Versioned,
    /// A cyber-observable (SCO).
    Observable,
    /// A marking definition, which never changes.
    Marking,
    /// A type that the specification does not know.
    Custom,
}

/// What a property holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Holds {
    Text,
    Flag,
    /// An integer of this range.
    Integer(i64, i64),
    Number(f64, f64),
    Time,
    /// The id of an object of one of these types; none: of any type.
    Ref(&'static [&'static str]),
    Refs(&'static [&'static str]),
    Texts,
    Phases,
    Hashes,
    Dictionary,
    /// One of these words.
    Word(&'static [&'static str]),
    List,
    /// A URL.
    Url,
    /// The name of a language.
    Language,
}

/// What is known of a type.
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) class: Class,
    pub(super) required: &'static [&'static str],
    /// At least one of these must be there.
    pub(super) any_of: &'static [&'static str],
    pub(super) properties: &'static [(&'static str, Holds)],
    /// The first is not later than the second.
    pub(super) order: &'static [(&'static str, &'static str)],
    /// What the id of an observable is made of.
    pub(super) contributing: &'static [&'static str],
}

pub(super) const ANY: &[&str] = &[];
pub(super) const BIG: i64 = (1 << 53) - 1;

/// The table of a type.
pub(super) fn find(name: &str) -> Option<&'static Kind> {
    domain::KINDS.iter().chain(observable::KINDS).find(|kind| kind.name == name)
}

/// What sort of thing a type is.
pub fn class(name: &str) -> Class {
    find(name).map_or(Class::Custom, |kind| kind.class)
}

/// Of what the id of an observable is made.
pub(super) fn contributing(name: &str) -> Option<&'static [&'static str]> {
    find(name).filter(|kind| kind.class == Class::Observable).map(|kind| kind.contributing)
}
