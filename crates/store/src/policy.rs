//! Policies have numbers, and readers have views: which of the policies let them read.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ostrom_core::handling::{Policy, Reader};
use ostrom_core::{Digest, Timestamp};

use crate::Error;
use crate::db::{Db, args, json};

/// All policies that the database has.
#[derive(Debug, Default, Clone)]
pub(crate) struct Policies {
    by_key: BTreeMap<i64, Arc<Policy>>,
    by_policy: HashMap<Arc<Policy>, i64>,
}

impl Policies {
    /// Reads them.
    pub(crate) async fn load(db: &mut Db<'_>) -> Result<Self, Error> {
        let mut all = Self::default();
        for row in db.fetch("SELECT key, json FROM policy ORDER BY key", args![]).await? {
            all.add(row.int(0)?, Arc::new(row.json(1)?));
        }
        Ok(all)
    }

    pub(crate) fn add(&mut self, key: i64, policy: Arc<Policy>) {
        self.by_key.insert(key, Arc::clone(&policy));
        self.by_policy.insert(policy, key);
    }

    pub(crate) fn get(&self, key: i64) -> Option<&Arc<Policy>> {
        self.by_key.get(&key)
    }

    pub(crate) fn key(&self, policy: &Policy) -> Option<i64> {
        self.by_policy.get(policy).copied()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (i64, &Arc<Policy>)> {
        self.by_key.iter().map(|(key, policy)| (*key, policy))
    }

    /// The number for the next policy.
    pub(crate) fn next(&self) -> i64 {
        self.by_key.last_key_value().map_or(1, |(key, _)| key.saturating_add(1))
    }
}

/// Writes a policy down under a number.
pub(crate) async fn write(db: &mut Db<'_>, key: i64, policy: &Policy) -> Result<(), Error> {
    // The parts of a policy stand in a fixed order, so that the same policy is always the same text.
    let text = json(policy)?;
    let digest = Digest::of(text.as_bytes());
    let sql = "INSERT INTO policy (key, json, digest) VALUES ($1, $2, $3)";
    db.execute(sql, args![key, text, &digest]).await?;
    Ok(())
}

/// What one reader may read, from one time until another: the rows of table `visible` with this number.
#[derive(Debug)]
pub(crate) struct View {
    /// Its number. Numbers are not used twice while the node runs.
    pub(crate) number: i64,
    /// Whose it is.
    pub(crate) reader: Reader,
    /// From when on it is true.
    pub(crate) from: Timestamp,
}

/// The views that are ready.
#[derive(Debug, Default)]
pub(crate) struct Views {
    ready: HashMap<Reader, Ready>,
    /// Views that are no longer given out, whose rows may go when nobody reads by them.
    retired: Vec<Arc<View>>,
    last: i64,
    clock: u64,
}

#[derive(Debug)]
struct Ready {
    view: Arc<View>,
    until: Option<Timestamp>,
    used: u64,
}

impl Views {
    /// The reader's view, if it is true at this time.
    pub(crate) fn get(&mut self, reader: &Reader, now: Timestamp) -> Option<Arc<View>> {
        self.clock = self.clock.saturating_add(1);
        let ready = self.ready.get_mut(reader)?;
        let holds = ready.view.from <= now && ready.until.is_none_or(|until| now < until);
        ready.used = self.clock;
        holds.then(|| Arc::clone(&ready.view))
    }

    /// A number for a new view.
    pub(crate) fn number(&mut self) -> i64 {
        self.last = self.last.saturating_add(1);
        self.last
    }

    /// Gives a new view out, instead of an older one of the same reader; the one that was used longest ago goes if there are too many.
    pub(crate) fn insert(&mut self, view: Arc<View>, until: Option<Timestamp>, most: usize) {
        self.clock = self.clock.saturating_add(1);
        let ready = Ready { view: Arc::clone(&view), until, used: self.clock };
        if let Some(old) = self.ready.insert(view.reader.clone(), ready) {
            self.retired.push(old.view);
        }
        while self.ready.len() > most.max(1) {
            let oldest =
                self.ready.values().min_by_key(|ready| ready.used).map(|ready| ready.view.reader.clone());
            if let Some(old) = oldest.and_then(|reader| self.ready.remove(&reader)) {
                self.retired.push(old.view);
            }
        }
    }

    /// The views that new policies must be added to.
    pub(crate) fn all(&self) -> Vec<Arc<View>> {
        self.ready.values().map(|ready| Arc::clone(&ready.view)).collect()
    }

    /// A view is true until then at most.
    pub(crate) fn shorten(&mut self, number: i64, until: Timestamp) {
        for ready in self.ready.values_mut().filter(|ready| ready.view.number == number) {
            ready.until = Some(ready.until.map_or(until, |old| old.min(until)));
        }
    }

    /// Retires all.
    pub(crate) fn clear(&mut self) {
        let ready = std::mem::take(&mut self.ready);
        self.retired.extend(ready.into_values().map(|ready| ready.view));
    }

    /// The numbers of retired views that nobody reads by any more; they are forgotten here.
    pub(crate) fn spent(&mut self) -> Vec<i64> {
        let retired = std::mem::take(&mut self.retired);
        let (spent, kept): (Vec<_>, Vec<_>) =
            retired.into_iter().partition(|view| Arc::strong_count(view) == 1);
        self.retired = kept;
        spent.into_iter().map(|view| view.number).collect()
    }

    /// How many are ready.
    pub(crate) fn len(&self) -> usize {
        self.ready.len()
    }
}
