//! What one reader may see.

use std::sync::Arc;

use ostrom_core::Timestamp;
use ostrom_core::handling::Reader;
use sqlx::SqlSafeStr;

use crate::db::{Arg, Row};
use crate::policy::View;
use crate::{Error, Store};

/// The most rows that one query gives.
const MOST: usize = 10_000;

/// What one reader may see at one time, and nothing else.
///
/// *Invariant:* nothing that a method gives (rows, pages' ends, counts, errors) depends on objects, cases or messages that the reader may not
/// see. `tests/leak.rs` holds every method to it.
///
/// Make it for one request and drop it: what was added after it was made may be missing.
#[derive(Debug, Clone)]
pub struct Reading {
    store: Store,
    view: Arc<View>,
    now: Timestamp,
}

impl Reading {
    pub(crate) const fn new(store: Store, view: Arc<View>, now: Timestamp) -> Self {
        Self { store, view, now }
    }

    /// Who reads.
    pub fn reader(&self) -> &Reader {
        &self.view.reader
    }

    /// When.
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    pub(crate) const fn store(&self) -> &Store {
        &self.store
    }

    /// What queries look at to know what the reader may see: see [`seen`](crate::policy::seen).
    pub(crate) fn viewer(&self) -> &[u8] {
        self.view.bits()
    }

    /// Whether the reader may see what has this policy.
    pub(crate) fn sees(&self, policy: i64) -> bool {
        self.view.sees(policy)
    }

    /// Whether the reader sees little of what there is, if that is known.
    pub(crate) fn judged(&self) -> Option<bool> {
        self.view.judged(self.store.commits())
    }

    /// Notes whether the reader sees little of what there is.
    pub(crate) fn judge(&self, little: bool) {
        self.view.judge(self.store.commits(), little);
    }

    pub(crate) async fn fetch(&self, sql: impl SqlSafeStr, args: Vec<Arg>) -> Result<Vec<Row>, Error> {
        self.store.fetch(sql, args).await
    }

    /// A limit within reason, as the database wants it.
    pub(crate) fn limit(&self, limit: usize) -> i64 {
        i64::try_from(limit.min(MOST)).unwrap_or(0)
    }
}
