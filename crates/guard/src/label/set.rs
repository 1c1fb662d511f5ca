//! A small shared set of names: what labels are made of.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A set of names, cheap to clone and to join with one that it already contains.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Names(Arc<BTreeSet<Arc<str>>>);

impl Names {
    /// How many names there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `name` is one of them.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// The names, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<str>> {
        self.0.iter()
    }

    /// Whether every name of `self` is in `other`.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.is_subset(&other.0)
    }

    /// The names of either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        if other.is_within(self) {
            self.clone()
        } else if self.is_within(other) {
            other.clone()
        } else {
            self.0.union(&other.0).cloned().collect()
        }
    }

    /// The names of both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        if self.is_within(other) {
            self.clone()
        } else if other.is_within(self) {
            other.clone()
        } else {
            self.0.intersection(&other.0).cloned().collect()
        }
    }
}

impl<S: Into<Arc<str>>> FromIterator<S> for Names {
    fn from_iter<I: IntoIterator<Item = S>>(names: I) -> Self {
        Self(Arc::new(names.into_iter().map(Into::into).collect()))
    }
}

impl std::fmt::Display for Names {
    /// `a, b and c`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let last = self.0.len().saturating_sub(1);
        for (at, name) in self.0.iter().enumerate() {
            let before = match at {
                0 => "",
                _ if at == last => " and ",
                _ => ", ",
            };
            write!(f, "{before}{name}")?;
        }
        Ok(())
    }
}
