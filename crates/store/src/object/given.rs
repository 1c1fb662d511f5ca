//! What is given: whoever writes about others' objects has seen them, and what is written stays as strict as they were then.
//!
//! What the writer cannot see counts for nothing, as what does not exist; and what others do to their objects later changes nothing about what was written.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ostrom_core::handling::Reader;
use ostrom_core::{ObjectId, OrgId, PersonId, Timestamp};

use super::line;
use super::recompute::join_of;
use super::work::{Gone, Thing, Version, Work};
use crate::{Error, Writing};

/// What somebody who writes can see.
#[derive(Debug)]
pub(super) struct Sight {
    /// `None`: everything.
    reader: Option<(Reader, Timestamp)>,
    known: HashMap<i64, bool>,
}

impl Sight {
    /// Everything: for the node itself.
    pub(super) fn all() -> Self {
        Self { reader: None, known: HashMap::new() }
    }

    /// What a reader can see at this time.
    pub(super) fn of(reader: &Reader, now: Timestamp) -> Self {
        Self { reader: Some((reader.clone(), now)), known: HashMap::new() }
    }

    /// Whether it is visible, or the writer's own: that is known even if nobody may read it.
    fn covers(
        &mut self,
        writing: &Writing,
        policy: i64,
        writer: Option<(OrgId, Option<PersonId>)>,
    ) -> Result<bool, Error> {
        let Some((reader, now)) = &self.reader else { return Ok(true) };
        if writer.is_some_and(|(owner, person)| reader.organisation == Some(owner) && reader.person == person)
        {
            return Ok(true);
        }
        if let Some(known) = self.known.get(&policy) {
            return Ok(*known);
        }
        let allows = writing.rule_of(policy)?.allows(reader, *now);
        self.known.insert(policy, allows);
        Ok(allows)
    }

    /// Whether the writer sees a version. What comes in the same batch is seen.
    pub(super) fn sees(&mut self, writing: &Writing, version: &Version) -> Result<bool, Error> {
        if version.stored.is_none() {
            return Ok(true);
        }
        let writer = (!version.pulled).then_some((version.owner, version.person));
        self.covers(writing, version.policy, writer)
    }

    fn saw(&mut self, writing: &Writing, gone: &Gone) -> Result<bool, Error> {
        self.covers(writing, gone.policy, None)
    }
}

impl Work {
    /// Finds what is given for new versions.
    pub(super) async fn settle_given<'a>(
        &mut self,
        writing: &mut Writing,
        sight: &mut Sight,
        new: impl Iterator<Item = (i64, &'a ObjectId)>,
    ) -> Result<(), Error> {
        let new: Vec<(i64, ObjectId)> = new.map(|(seq, id)| (seq, id.clone())).collect();
        let mut direct = BTreeSet::new();
        for (seq, id) in &new {
            let versions = self.things.get(id).into_iter().flat_map(|thing| &thing.versions);
            for version in versions.filter(|version| version.seq == *seq) {
                direct.extend(version.references.iter().flatten().cloned());
            }
        }
        let direct: Vec<ObjectId> = direct.into_iter().collect();
        self.load(writing, direct.iter().cloned()).await?;
        self.load_gone(writing, &direct).await?;
        for (seq, id) in new {
            let version = self.things.get(&id);
            let version = version.and_then(|thing| thing.versions.iter().find(|version| version.seq == seq));
            let Some(version) = version.cloned() else { continue };
            let policies = self.given(writing, sight, &version).await?;
            let given = match (policies.first(), policies.len()) {
                (None, _) => 0,
                (Some(only), 1) => *only,
                _ => {
                    let all = join_of(writing, &policies)?;
                    writing.intern(&all).await?
                }
            };
            let versions = self.things.get_mut(&id).into_iter().flat_map(|thing| &mut thing.versions);
            for version in versions.filter(|version| version.seq == seq) {
                version.given = given;
            }
        }
        Ok(())
    }

    /// What held for others' objects that a new version refers to. What a peer gives brings that with it.
    async fn given(
        &self,
        writing: &mut Writing,
        sight: &mut Sight,
        from: &Version,
    ) -> Result<BTreeSet<i64>, Error> {
        let mut policies = BTreeSet::new();
        let references = from.references.iter().flatten().filter(|_| !from.pulled);
        for thing in references.filter_map(|id| self.things.get(id)) {
            for found in others(thing, writing, sight, from.owner)? {
                policies.insert(found.policy);
                // What holds for something of the same batch is not settled yet.
                let may_read = found.coming.and_then(|collection| writing.collection_may_read(collection));
                if let Some(may_read) = may_read {
                    policies.insert(writing.intern(&may_read).await?);
                }
            }
        }
        Ok(policies)
    }
}

/// Something that is given.
struct Found {
    policy: i64,
    /// Its collection, if it comes in the same batch.
    coming: Option<i64>,
}

/// What the writer, who is of `owner`, sees of an object that is not that organisation's: of the line that is shown, the last version in each collection, or
/// what is left of it. What many share, each for itself, is no secret of anybody.
fn others(thing: &Thing, writing: &Writing, sight: &mut Sight, owner: OrgId) -> Result<Vec<Found>, Error> {
    let mut seen = Vec::new();
    for version in thing.versions.iter().filter(|version| version.line != line::SHARED) {
        if sight.sees(writing, version)? {
            seen.push(version);
        }
    }
    let shown = seen.iter().min_by_key(|version| version.place()).map(|version| version.owner);
    seen.retain(|version| Some(version.owner) == shown && version.owner != owner);
    let mut last = BTreeMap::<i64, &Version>::new();
    for version in seen {
        let known = last.entry(version.collection).or_insert(version);
        if (version.version, version.seq) > (known.version, known.seq) {
            *known = version;
        }
    }
    let mut gone = BTreeMap::new();
    for removed in thing.gone.iter().flatten() {
        let counts = removed.line != line::SHARED
            && removed.owner != owner
            && shown.is_none_or(|shown| shown == removed.owner)
            && !last.contains_key(&removed.collection);
        if counts && sight.saw(writing, removed)? {
            gone.insert((removed.collection, removed.owner), removed.policy);
        }
    }
    let live = last.into_values().map(|version| match version.stored {
        Some(_) => Found { policy: version.policy, coming: None },
        None => Found { policy: version.own, coming: Some(version.collection) },
    });
    let gone = gone.into_values().map(|policy| Found { policy, coming: None });
    Ok(live.chain(gone).collect())
}
