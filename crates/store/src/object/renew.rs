//! Objects that more may read from some time on, the end of an embargo for example, without anybody having put them anew.
//!
//! Whoever asks for what was added since the last time would never hear of them. So they are added once more, as of then: all of them in one
//! transaction and at one time, however many there are. Portions, or a time for each, would count what some may not see.
//!
//! Where an object stands tells when it was released, and by that of the marks that did it. So only what holds for it now may have moved it: a time that had
//! passed already when the marks came moves nothing ([`yet_to_come`]), and if what holds for an object loses a time, since what it refers to was opened, the object
//! goes back to where it stood without that time ([`Writing::put_back`]). Therefore each remembers where it stood before ([`Former`]).

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use ostrom_core::handling::{Handling, Policy};
use ostrom_core::{CollectionId, ObjectId, Timestamp};
use sqlx::AssertSqlSafe;

use super::work::{LIST, insert};
use crate::db::{Arg, Row, args, pad, padded, places};
use crate::policy::Policies;
use crate::{Custody, Error, Writing};

/// How many versions with one policy are read at a time.
const PIECE: i64 = 4_096;
/// The most places that are remembered of a version: where it came, and the last ones.
const MOST_FORMER: usize = 16;

/// Versions with a policy that were added before a time: numbers stand in the order of times, and the index has them.
macro_rules! released {
    ($columns:literal) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM object WHERE policy = $1 AND added < $2 AND seq > $3 \
             AND seq < coalesce((SELECT b.first_seq FROM batch b WHERE b.added >= $2 ORDER BY b.added LIMIT 1), $4) \
             ORDER BY seq LIMIT $5 + 0"
        )
    };
}

/// The times from which on more may read.
fn times(handling: &Handling) -> impl Iterator<Item = Timestamp> {
    let embargo = handling.embargo.as_ref().map(|embargo| embargo.until);
    let start = handling.iep.as_ref().and_then(|iep| iep.start);
    embargo.into_iter().chain(start)
}

/// Those of a policy that have passed, the last one first.
fn passed(policy: &Policy, now: Timestamp) -> Vec<Timestamp> {
    let all = policy.handlings().flat_map(times);
    let mut passed: Vec<Timestamp> = all.filter(|time| *time <= now).collect();
    passed.sort_by(|a, b| b.cmp(a));
    passed
}

/// A policy without those of these times that have passed, which let nobody read any more than the rest of it does. `None` if none has passed.
pub(super) fn yet_to_come(policy: &Policy, now: Timestamp) -> Option<Policy> {
    if passed(policy, now).is_empty() {
        return None;
    }
    let without = |handling: &Handling| {
        let mut handling = handling.clone();
        handling.embargo = handling.embargo.filter(|embargo| embargo.until > now);
        if let Some(iep) = &mut handling.iep {
            iep.start = iep.start.filter(|start| *start > now);
        }
        handling
    };
    Some(Policy::new(policy.handlings().map(without)))
}

/// A policy in which a time has passed, and the last of those.
fn changed(policies: &Policies, now: Timestamp) -> Vec<(i64, Timestamp)> {
    let last = |(key, policy)| Some((key, *passed(policy, now).first()?));
    policies.iter().filter_map(last).collect()
}

/// Where a version stood before it was released: when it was added, and its number; where it came, first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Former(Vec<(Timestamp, i64)>);

impl Former {
    pub(super) fn read(text: &str) -> Result<Self, Error> {
        let damaged = || Error::damaged("where a version stood cannot be read");
        let place = |text: &str| {
            let (added, seq) = text.split_once(' ')?;
            Some((Timestamp::from_micros(added.parse().ok()?).ok()?, seq.parse().ok()?))
        };
        let places: Option<Vec<_>> = text.split(',').map(place).collect();
        places.map(Self).ok_or_else(damaged)
    }

    /// The number that it had when it came.
    pub(super) fn arrival(&self) -> i64 {
        self.0.first().map_or(0, |(_, seq)| *seq)
    }

    fn push(&mut self, added: Timestamp, seq: i64) {
        self.0.push((added, seq));
        if self.0.len() > MOST_FORMER {
            self.0.remove(1);
        }
    }

    /// Goes back to where these times, the last one first, have brought it: after the last of them by which it was released. `None` if that is the last place.
    fn back(&mut self, times: &[Timestamp]) -> Option<(Timestamp, i64)> {
        let released = |time: &Timestamp| self.0.iter().position(|(added, _)| added >= time);
        let place = times.iter().find_map(released).unwrap_or(0);
        if place.saturating_add(1) >= self.0.len() {
            return None;
        }
        self.0.truncate(place.saturating_add(1));
        self.0.pop()
    }

    fn text(&self) -> Option<String> {
        (!self.0.is_empty()).then(|| self.to_string())
    }
}

impl fmt::Display for Former {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (added, seq)) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{} {seq}", added.micros())?;
        }
        Ok(())
    }
}

/// A version that is to be released. They are released in the order of keys; and what has one key, as what colleagues or two organisations have put
/// under one id and version, in the order in which it stood before.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    id: ObjectId,
    version: Timestamp,
    collection: CollectionId,
    seq: i64,
}

/// From which number to which, when it is added, and where it has stood.
struct Move {
    old: i64,
    new: i64,
    added: Timestamp,
    former: Former,
}

impl Custody {
    /// Whether there is anything to [release](Writing::release): a version that was added before a time in its policy (an embargo's end, or the first
    /// moment of a policy for exchange) which has passed now.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn is_anything_released(&self, now: Timestamp) -> Result<bool, Error> {
        let changed = changed(&self.store().policies(), now);
        for (policy, time) in changed {
            let args = args![policy, time, 0_i64, i64::MAX, 1_i64];
            if !self.store().fetch(released!("1"), args).await?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Writing {
    /// Adds once more, as of now, what was added before a time in its policy which has passed: it stands at the end of pages then, and is new to whoever asks
    /// what is. Gives how many versions that are.
    ///
    /// For each of them about 150 bytes are in memory meanwhile, and nobody else writes.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn release(&mut self) -> Result<usize, Error> {
        let changed = changed(&self.known().policies(), self.now());
        let mut waiting = Vec::new();
        for (policy, time) in changed {
            let mut last = 0;
            loop {
                let args = args![policy, time, last, i64::MAX, PIECE];
                let rows = self.fetch(released!("id, version, collection, seq"), args).await?;
                for row in &rows {
                    let collection = self.known().collection_id(row.int(2)?)?;
                    last = row.int(3)?;
                    waiting.push(Waiting {
                        id: row.parsed(0)?,
                        version: row.time(1)?,
                        collection,
                        seq: last,
                    });
                }
                if rows.is_empty() {
                    break;
                }
            }
        }
        if waiting.is_empty() {
            return Ok(0);
        }
        // INVARIANT: within a batch, numbers stand in the order of keys, by which pages go on.
        waiting.sort();
        let (added, first) = self.new_batch();
        self.execute("INSERT INTO batch (added, first_seq) VALUES ($1, $2)", args![added, first]).await?;
        for chunk in waiting.chunks(LIST) {
            let numbers: Vec<i64> = chunk.iter().map(|version| version.seq).collect();
            let mut places = self.places(&numbers).await?;
            let mut moves = Vec::with_capacity(chunk.len());
            for old in numbers {
                let former = places.remove(&old).unwrap_or_default();
                moves.push(Move { old, new: self.number(), added, former });
            }
            self.renumber(moves).await?;
        }
        Ok(waiting.len())
    }

    /// Puts versions that were released, and have another policy now, back to where they stand by the times in that. `versions`: the number of each,
    /// and its policy's.
    pub(super) async fn put_back(&mut self, versions: &[(i64, i64)]) -> Result<(), Error> {
        for chunk in versions.chunks(LIST) {
            let numbers: Vec<i64> = chunk.iter().map(|(seq, _)| *seq).collect();
            let mut places = self.places(&numbers).await?;
            let mut moves = Vec::new();
            for (old, policy) in chunk {
                let times = passed(&self.policy_of(*policy)?, self.now());
                let mut former = places.remove(old).unwrap_or_default();
                if let Some((added, new)) = former.back(&times) {
                    moves.push(Move { old: *old, new, added, former });
                }
            }
            self.renumber(moves).await?;
        }
        Ok(())
    }

    /// Where versions with these numbers have stood, and stand now.
    async fn places(&mut self, numbers: &[i64]) -> Result<HashMap<i64, Former>, Error> {
        let mut found = HashMap::new();
        for row in self.about("SELECT seq, added, former FROM object WHERE seq IN", &[], numbers).await? {
            let former = row.maybe_text(2)?;
            let mut places = former.map_or_else(|| Ok(Former::default()), |former| Former::read(&former))?;
            places.push(row.time(1)?, row.int(0)?);
            found.insert(row.int(0)?, places);
        }
        Ok(found)
    }

    /// Gives versions other numbers and times: at most [`LIST`].
    async fn renumber(&mut self, moves: Vec<Move>) -> Result<(), Error> {
        if moves.is_empty() {
            return Ok(());
        }
        let new: HashMap<i64, i64> = moves.iter().map(|Move { old, new, .. }| (*old, *new)).collect();
        let now = |old: i64| new.get(&old).copied().ok_or_else(|| Error::damaged("a version came unasked"));
        let old: Vec<i64> = moves.iter().map(|Move { old, .. }| *old).collect();

        // References hang on the number, so they step aside meanwhile.
        let mut references = Vec::new();
        for row in
            self.about("SELECT target, source, owner FROM reference WHERE source IN", &[], &old).await?
        {
            references.push(args![row.text(0)?, now(row.int(1)?)?, row.text(2)?]);
        }
        self.about("DELETE FROM reference WHERE source IN", &[], &old).await?;

        let mut words = BTreeMap::<String, Vec<i64>>::new();
        for row in self.about("SELECT seq, words FROM object WHERE seq IN", &[], &old).await? {
            for word in row.text(1)?.split(' ').filter(|word| !word.is_empty()) {
                words.entry(word.to_owned()).or_default().push(row.int(0)?);
            }
        }
        let mut anew = Vec::new();
        for (word, old) in &words {
            self.about("DELETE FROM word WHERE word = $1 AND seq IN", &[word], old).await?;
            for old in old {
                anew.push(args![word.as_str(), now(*old)?]);
            }
        }

        for Move { old, new, added, former } in moves {
            let sql = "UPDATE object SET seq = $2, added = $3, former = $4 WHERE seq = $1";
            self.execute(sql, args![old, new, added, former.text()]).await?;
        }
        let mut db = self.db()?;
        insert(&mut db, "reference (target, source, owner)", 3, references).await?;
        insert(&mut db, "word (word, seq)", 2, anew).await
    }

    /// Runs a statement that ends with a list of numbers; other arguments come first.
    async fn about(&mut self, sql: &str, first: &[&String], numbers: &[i64]) -> Result<Vec<Row>, Error> {
        let mut args: Vec<Arg> = first.iter().map(|text| Arg::from(*text)).collect();
        let size = padded(numbers.len());
        let sql = format!("{sql} ({})", places(args.len().saturating_add(1), size));
        pad(&mut args, numbers.iter().copied(), size);
        // Nothing but fixed texts is in it.
        self.fetch(AssertSqlSafe(sql), args).await
    }
}
