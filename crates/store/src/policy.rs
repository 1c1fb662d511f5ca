//! Policies have numbers, and readers have views: which of the policies let them read.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ostrom_core::handling::{Policy, Reader};
use ostrom_core::{Digest, OrgId, PersonId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::db::{Db, args, json};

/// The most policies that a node keeps: a view costs a byte for each.
const MAX_POLICIES: usize = 1 << 17;
/// The most that one organisation brings.
const MAX_BROUGHT: usize = MAX_POLICIES / 8;

/// What has a number: a policy, and what lets whoever wrote something read it nevertheless.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Rule {
    /// A policy and nothing else.
    Plain(Policy),
    /// What something refers to makes it stricter than its own marks, but it is no secret from whoever wrote it.
    Written(Box<Written>),
}

/// See [`Rule::Written`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Written {
    /// What holds for all others.
    pub(crate) policy: Policy,
    /// What holds for whoever wrote it: its own marks and its collection's.
    pub(crate) own: Policy,
    /// The organisation of whoever wrote it.
    pub(crate) owner: OrgId,
    /// The person; `None`: a machine.
    pub(crate) person: Option<PersonId>,
}

impl Rule {
    /// What holds for all but whoever wrote it.
    pub(crate) const fn policy(&self) -> &Policy {
        match self {
            Self::Plain(policy) => policy,
            Self::Written(written) => &written.policy,
        }
    }

    /// What holds for this reader.
    pub(crate) fn policy_for(&self, reader: &Reader) -> &Policy {
        match self {
            Self::Written(written)
                if reader.organisation == Some(written.owner) && reader.person == written.person =>
            {
                &written.own
            }
            _ => self.policy(),
        }
    }

    /// Whether it lets somebody read.
    pub(crate) fn allows(&self, reader: &Reader, now: Timestamp) -> bool {
        self.policy_for(reader).allows(reader, now)
    }
}

/// All policies that the database has.
#[derive(Debug, Clone)]
pub(crate) struct Policies {
    most: usize,
    share: usize,
    /// With those that went since the store was opened: somebody may still ask what they said.
    by_key: BTreeMap<i64, (Arc<Rule>, Option<OrgId>)>,
    /// Without those.
    by_rule: HashMap<Arc<Rule>, i64>,
    /// How many each organisation brought.
    brought: HashMap<OrgId, usize>,
    /// The numbers below the last that nothing had when the store was opened, in order.
    free: VecDeque<i64>,
    /// Those of them that were given away since: readers' views have to learn of them.
    filled: Vec<i64>,
    /// The next number is at least this.
    floor: i64,
}

impl Default for Policies {
    fn default() -> Self {
        Self {
            most: MAX_POLICIES,
            share: MAX_BROUGHT,
            by_key: BTreeMap::new(),
            by_rule: HashMap::new(),
            brought: HashMap::new(),
            free: VecDeque::new(),
            filled: Vec::new(),
            floor: 1,
        }
    }
}

impl Policies {
    /// Whether there is room for one more beside `here` others, brought by this organisation.
    pub(crate) fn has_room(&self, here: usize, bringer: Option<OrgId>) -> bool {
        let brought = bringer.map_or(0, |bringer| self.brought_by(bringer).saturating_add(here));
        let kept = self.by_rule.len().saturating_add(here);
        // What went has its number until the store is opened again, and a view a place for it.
        let places = self.places().saturating_add(here);
        kept < self.most && places <= self.most.saturating_mul(2) && brought < self.share
    }

    /// With other limits.
    #[cfg(test)]
    pub(crate) const fn limit(&mut self, most: usize, share: usize) {
        (self.most, self.share) = (most, share);
    }

    /// Reads them. `known`: those that were known until now, if readers' views may be under way: none of their numbers means something else from now on.
    pub(crate) async fn load(db: &mut Db<'_>, known: Option<&Self>) -> Result<Self, Error> {
        let mut all = Self::default();
        let mut next = 1;
        for row in db.fetch("SELECT key, json, bringer FROM policy ORDER BY key", args![]).await? {
            let key = row.int(0)?;
            if known.is_none() {
                all.free.extend(next..key);
            }
            next = key.saturating_add(1);
            all.add(key, Arc::new(row.json(1)?), row.maybe_parsed(2)?);
        }
        if let Some(known) = known {
            all.floor = known.next();
        }
        Ok(all)
    }

    pub(crate) fn add(&mut self, key: i64, rule: Arc<Rule>, bringer: Option<OrgId>) {
        if key < self.next() {
            match self.free.front() == Some(&key) {
                true => drop(self.free.pop_front()),
                false => self.free.retain(|free| *free != key),
            }
            self.filled.push(key);
        }
        self.by_rule.insert(Arc::clone(&rule), key);
        self.by_key.insert(key, (rule, bringer));
        if let Some(bringer) = bringer {
            let count = self.brought.entry(bringer).or_default();
            *count = count.saturating_add(1);
        }
    }

    /// These went. Their numbers are nobody's from now on.
    pub(crate) fn forget(&mut self, keys: &BTreeSet<i64>) {
        for key in keys {
            let Some((rule, bringer)) = self.by_key.get(key) else { continue };
            if self.by_rule.remove(rule).is_some()
                && let Some(count) = bringer.and_then(|bringer| self.brought.get_mut(&bringer))
            {
                *count = count.saturating_sub(1);
            }
        }
    }

    pub(crate) fn get(&self, key: i64) -> Option<&Arc<Rule>> {
        self.by_key.get(&key).map(|(rule, _)| rule)
    }

    pub(crate) fn key(&self, rule: &Rule) -> Option<i64> {
        self.by_rule.get(rule).copied()
    }

    fn brought_by(&self, bringer: OrgId) -> usize {
        self.brought.get(&bringer).copied().unwrap_or_default()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (i64, &Policy)> {
        self.by_key.iter().map(|(key, (rule, _))| (*key, rule.policy()))
    }

    /// How long the bytes of a view are that knows them all.
    fn places(&self) -> usize {
        usize::try_from(self.next()).unwrap_or(usize::MAX)
    }

    /// The number after all that were ever given.
    pub(crate) fn next(&self) -> i64 {
        self.by_key.last_key_value().map_or(1, |(key, _)| key.saturating_add(1)).max(self.floor)
    }

    /// The number for a new policy, after `here` others that are new too.
    pub(crate) fn number(&self, here: usize) -> i64 {
        match self.free.get(here) {
            Some(free) => *free,
            None => {
                let beyond = here.saturating_sub(self.free.len());
                self.next().saturating_add(i64::try_from(beyond).unwrap_or(i64::MAX))
            }
        }
    }
}

/// Writes a policy down under a number.
pub(crate) async fn write(
    db: &mut Db<'_>,
    key: i64,
    rule: &Rule,
    bringer: Option<OrgId>,
) -> Result<(), Error> {
    // The parts of a policy stand in a fixed order, so that the same policy is always the same text.
    let text = json(rule)?;
    let digest = Digest::of(text.as_bytes());
    let sql = "INSERT INTO policy (key, json, digest, bringer) VALUES ($1, $2, $3, $4)";
    db.execute(sql, args![key, text, &digest, bringer]).await?;
    Ok(())
}

/// What one reader may read, from one time until another.
#[derive(Debug)]
pub(crate) struct View {
    /// Whose it is.
    pub(crate) reader: Reader,
    from: Timestamp,
    until: Option<Timestamp>,
    /// A byte for each policy, at the place of its number: 1 if it lets the reader read, else 0. At place 0, which is nobody's, a 1.
    bits: Vec<u8>,
    /// How many of the numbers that were given away again it knows of.
    filled: usize,
    judgement: Judgement,
}

/// Whether a reader sees little of what there is, and after how many commits that was found out. It only says which way to the same answer is the shorter one.
#[derive(Debug, Default)]
struct Judgement(AtomicU64);

impl Judgement {
    /// For so many commits it holds.
    const HOLDS: u64 = 512;

    fn get(&self, commits: u64) -> Option<bool> {
        // 0: not found out yet. Otherwise twice the commits, one added, and one more if it is little.
        let known = self.0.load(Ordering::Relaxed).checked_sub(1)?;
        (commits < (known >> 1).saturating_add(Self::HOLDS)).then_some(known & 1 == 1)
    }

    fn set(&self, commits: u64, little: bool) {
        self.0.store((commits << 1 | u64::from(little)).saturating_add(1), Ordering::Relaxed);
    }
}

impl View {
    fn new(reader: &Reader, from: Timestamp, policies: &Policies) -> Self {
        let judgement = Judgement::default();
        let (bits, filled) = (vec![1], 0);
        let mut view = Self { reader: reader.clone(), from, until: None, bits, filled, judgement };
        view.extend(policies);
        view
    }

    /// The same, to be extended.
    fn copy(&self) -> Self {
        let Self { reader, from, until, bits, filled, judgement } = self;
        let judgement = Judgement(AtomicU64::new(judgement.0.load(Ordering::Relaxed)));
        let (reader, bits) = (reader.clone(), bits.clone());
        Self { reader, from: *from, until: *until, bits, filled: *filled, judgement }
    }

    /// Whether the reader sees little of what there is, if that was found out not too many commits ago.
    pub(crate) fn judged(&self, commits: u64) -> Option<bool> {
        self.judgement.get(commits)
    }

    /// Notes whether the reader sees little.
    pub(crate) fn judge(&self, commits: u64, little: bool) {
        self.judgement.set(commits, little);
    }

    /// Adds the policies that came later.
    fn extend(&mut self, policies: &Policies) {
        let known = i64::try_from(self.bits.len()).unwrap_or(i64::MAX);
        // A number that nothing has is read by nobody.
        self.bits.resize(policies.places().max(self.bits.len()), 0);
        let filled = policies.filled.get(self.filled..).unwrap_or_default();
        let filled = filled.iter().copied().filter(|key| *key < known);
        let filled = filled.filter_map(|key| Some((key, policies.get(key)?)));
        let later = policies.by_key.range(known..).map(|(key, (rule, _))| (*key, rule));
        for (key, rule) in filled.chain(later) {
            let decision = rule.policy_for(&self.reader).decide(&self.reader, self.from);
            self.until = [self.until, decision.changes()].into_iter().flatten().min();
            let place = usize::try_from(key).unwrap_or(usize::MAX);
            if let Some(bit) = self.bits.get_mut(place) {
                *bit = u8::from(decision.allowed());
            }
        }
        self.filled = policies.filled.len();
    }

    /// Whether it has all policies.
    fn is_whole(&self, policies: &Policies) -> bool {
        self.bits.len() == policies.places() && self.filled == policies.filled.len()
    }

    fn holds(&self, now: Timestamp) -> bool {
        self.from <= now && self.until.is_none_or(|until| now < until)
    }

    /// The bytes that queries look at.
    pub(crate) fn bits(&self) -> &[u8] {
        &self.bits
    }

    /// Whether the reader may read what has this policy.
    pub(crate) fn sees(&self, policy: i64) -> bool {
        let place = usize::try_from(policy).unwrap_or(0);
        place > 0 && self.bits.get(place) == Some(&1)
    }
}

/// The condition that a reader may read what has the policy in a column: the text of SQL for this column and this argument, the view's bytes. What stands past their
/// end, a policy that came after the view, is not read: nothing is less than a 1. (It says "at least" where "equal" would do, because PostgreSQL takes
/// an equation of which it knows nothing to be true once in two hundred times, and a third of the time is nearer the truth.)
///
/// A subquery would say the same with a table of visible policies. This is several times faster, and reading writes nothing.
macro_rules! seen {
    ($policy:literal, $view:literal) => {
        concat!("substr(", $view, ", CAST(", $policy, " AS INT) + 1, 1) >= substr(", $view, ", 1, 1)")
    };
}
pub(crate) use seen;

/// The views that are ready.
#[derive(Debug, Default)]
pub(crate) struct Views {
    ready: HashMap<Reader, (Arc<View>, u64)>,
    clock: u64,
}

impl Views {
    /// The reader's view at this time; the one that was used longest ago goes if there are more than `most`.
    pub(crate) fn get(
        &mut self,
        reader: &Reader,
        now: Timestamp,
        policies: &Policies,
        most: usize,
    ) -> Arc<View> {
        self.clock = self.clock.saturating_add(1);
        if let Some((view, used)) = self.ready.get_mut(reader) {
            *used = self.clock;
            if view.holds(now) {
                if view.is_whole(policies) {
                    return Arc::clone(view);
                }
                let mut longer = view.copy();
                longer.extend(policies);
                if longer.holds(now) {
                    *view = Arc::new(longer);
                    return Arc::clone(view);
                }
            }
        }
        let view = Arc::new(View::new(reader, now, policies));
        self.ready.insert(reader.clone(), (Arc::clone(&view), self.clock));
        while self.ready.len() > most.max(1) {
            let oldest =
                self.ready.values().min_by_key(|(_, used)| *used).map(|(view, _)| view.reader.clone());
            let Some(oldest) = oldest else { break };
            self.ready.remove(&oldest);
        }
        view
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.ready.clear();
    }

    /// How many are ready.
    pub(crate) fn len(&self) -> usize {
        self.ready.len()
    }
}
