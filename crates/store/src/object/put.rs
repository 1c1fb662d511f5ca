//! Taking objects.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use ostrom_core::handling::Reader;
use ostrom_core::{Digest, ObjectId, OrgId, Timestamp};

use super::given::Sight;
use super::search::words_of;
use super::work::{Version, Work, insert};
use super::{MAX_ANCESTORS, MAX_BODY, MAX_REFERENCES, NewObject, Outcome, line};
use crate::db::args;
use crate::{Error, Writing};

/// The most objects of one batch.
const MAX_BATCH: usize = 100_000;

/// A new object on its way.
struct Coming {
    object: NewObject,
    place: usize,
    body: String,
    collection: i64,
    own: i64,
    digest: Digest,
    version: Timestamp,
}

fn limits(object: &NewObject) -> Result<(), Error> {
    let refuse = |what: &str, most: usize| Err(Error::Refused(format!("{}: {what} than {most}", object.id)));
    if object.body.len() > MAX_BODY {
        return refuse("it has more bytes", MAX_BODY);
    }
    if object.references.len() > MAX_REFERENCES {
        return refuse("it refers to more objects", MAX_REFERENCES);
    }
    let spec = &object.spec_version;
    if spec.is_empty() || spec.len() > 16 || !spec.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Error::Refused(format!("{}: the version of its specification is not one", object.id)));
    }
    if object.body.contains(&0) {
        return Err(Error::Refused(format!("{}: a NUL byte in its body", object.id)));
    }
    let texts = [&object.spec_version, &object.title, object.aside.as_ref().unwrap_or(&object.title)];
    if texts.into_iter().any(|text| text.contains('\0')) {
        return Err(Error::Refused(format!("{}: a NUL character in its title", object.id)));
    }
    Ok(())
}

impl Writing {
    /// Takes a batch of objects: all that are not there already, at one time of this node's strictly increasing time. The outcomes stand in the order
    /// of the objects. Whoever puts them sees everything: that is for what the node does itself.
    ///
    /// # Errors
    /// [`Error::Missing`] for an unknown collection, [`Error::Refused`] beyond a limit; drop the transaction then.
    pub async fn put(&mut self, objects: Vec<NewObject>) -> Result<Vec<Outcome>, Error> {
        self.put_seeing(objects, Sight::all()).await
    }

    /// The same for somebody, who wrote them: neither the outcomes nor what anybody sees of these objects afterwards depends on what this reader cannot see now.
    ///
    /// # Errors
    /// As for [`put`](Self::put).
    pub async fn put_for(&mut self, reader: &Reader, objects: Vec<NewObject>) -> Result<Vec<Outcome>, Error> {
        let sight = Sight::of(reader, self.now());
        self.bring_for(reader.organisation);
        let outcomes = self.put_seeing(objects, sight).await;
        self.bring_for(None);
        outcomes
    }

    async fn put_seeing(&mut self, objects: Vec<NewObject>, mut sight: Sight) -> Result<Vec<Outcome>, Error> {
        if objects.len() > MAX_BATCH {
            return Err(Error::Refused(format!(
                "more than {MAX_BATCH} objects at once: send several batches"
            )));
        }
        let count = objects.len();
        let (added, first_seq) = self.new_batch();
        let mut coming = Vec::with_capacity(count);
        let mut interned = HashMap::new();
        for (place, mut object) in objects.into_iter().enumerate() {
            limits(&object)?;
            object.references.sort();
            object.references.dedup();
            let collection = self.collection_key(object.collection)?;
            let own = match interned.get(&object.own) {
                Some(key) => *key,
                None => {
                    let key = self.intern(&object.own).await?;
                    interned.insert(object.own.clone(), key);
                    key
                }
            };
            let digest = Digest::of(&object.body);
            let version = object.version.unwrap_or(added);
            let utf8 = |_| Error::Refused(format!("{}: its body is not UTF-8", object.id));
            let body = String::from_utf8(std::mem::take(&mut object.body)).map_err(utf8)?;
            self.know_size(collection, body.len()).await?;
            coming.push(Coming { object, place, body, collection, own, digest, version });
        }
        let order = |coming: &Coming| {
            (coming.object.id.clone(), coming.version, coming.object.collection, coming.place)
        };
        coming.sort_by_cached_key(order);

        let mut work = Work::default();
        work.load(self, coming.iter().map(|coming| coming.object.id.clone())).await?;
        let mut outcomes = vec![Outcome::Conflict; count];
        let mut taken = Vec::with_capacity(count);
        for coming in coming {
            let outcome = decide(self, &mut sight, &work, &coming, added)?;
            if let Some(place) = outcomes.get_mut(coming.place) {
                *place = outcome;
            }
            if matches!(outcome, Outcome::Taken { .. }) {
                let seq = self.number();
                let version = Version {
                    seq,
                    collection: coming.collection,
                    version: coming.version.micros(),
                    own: coming.own,
                    given: 0,
                    policy: coming.own,
                    newest: false,
                    oldest: false,
                    line: if coming.object.shared { line::SHARED } else { line::ALONE },
                    owner: coming.object.owner,
                    person: coming.object.person,
                    pulled: coming.object.peer.is_some(),
                    digest: coming.digest.as_bytes().to_vec(),
                    references: Some(coming.object.references.clone()),
                    stored: None,
                };
                let thing = work.things.entry(coming.object.id.clone()).or_default();
                thing.versions.push(version);
                taken.push((seq, coming));
            }
        }
        if taken.is_empty() {
            return Ok(outcomes);
        }
        self.execute("INSERT INTO batch (added, first_seq) VALUES ($1, $2)", args![added, first_seq]).await?;
        for (_, coming) in &taken {
            if let Some(thing) = work.things.get_mut(&coming.object.id) {
                thing.edges();
            }
        }
        let new = taken.iter().map(|(seq, coming)| (*seq, &coming.object.id));
        work.settle_given(self, &mut sight, new).await?;
        let changed = self.changed(&mut work, &taken).await?;
        let mut versions = work.ancestors(self, changed, MAX_ANCESTORS).await?;
        for (seq, coming) in &taken {
            versions.entry(coming.object.id.clone()).or_default().insert(*seq);
        }
        work.recompute(self, &versions).await?;
        self.write_down(&work, taken, added).await?;
        work.flush(self).await?;
        Ok(outcomes)
    }

    /// The objects whose new versions add something else to what refers to them than those before did.
    async fn changed(
        &mut self,
        work: &mut Work,
        taken: &[(i64, Coming)],
    ) -> Result<BTreeSet<(ObjectId, OrgId)>, Error> {
        let first = taken.first().map_or(i64::MAX, |(seq, _)| *seq);
        let mut compared = Vec::new();
        for (seq, coming) in taken {
            let Some(thing) = work.things.get(&coming.object.id) else { continue };
            let Some(new) = thing.versions.iter().find(|version| version.seq == *seq) else { continue };
            // What is older than the newest adds nothing.
            if !thing.is_counted(&coming.object.id, new) {
                continue;
            }
            let whose = new.refers(&coming.object.id);
            let before = thing.versions.iter().filter(|version| {
                version.seq < first
                    && version.collection == new.collection
                    && whose.counts(version.line, version.owner, version.person)
            });
            let before =
                before.max_by_key(|version| (version.version, version.seq)).map(|version| version.seq);
            compared.push((whose, *seq, before));
        }
        let wanted: HashSet<i64> = compared.iter().filter_map(|(_, _, before)| *before).collect();
        let ids: Vec<ObjectId> = compared.iter().map(|(whose, ..)| whose.id.clone()).collect();
        work.load_references(self, &ids, |version| wanted.contains(&version.seq)).await?;
        let mut changed = BTreeSet::new();
        for (whose, new, before) in compared {
            let versions = work.things.get(&whose.id).map_or(&[][..], |thing| &thing.versions);
            let adds = |seq| {
                let version = versions.iter().find(|version| version.seq == seq)?;
                Some((version.own, version.given, &version.references))
            };
            if before.and_then(adds) != adds(new) {
                changed.insert((whose.id, whose.owner));
            }
        }
        Ok(changed)
    }

    async fn write_down(
        &mut self,
        work: &Work,
        taken: Vec<(i64, Coming)>,
        added: Timestamp,
    ) -> Result<(), Error> {
        let facts: HashMap<i64, (i64, bool, bool, i64, i64)> = work
            .things
            .values()
            .flat_map(|thing| &thing.versions)
            .map(|version| {
                let Version { policy, newest, oldest, line, given, .. } = *version;
                (version.seq, (policy, newest, oldest, line, given))
            })
            .collect();
        let mut rows = Vec::with_capacity(taken.len());
        let mut references = Vec::new();
        // By word, so that the index is written from left to right.
        let mut words = BTreeMap::<String, Vec<i64>>::new();
        for (seq, Coming { object, body, collection, own, digest, version, .. }) in taken {
            let (policy, newest, oldest, line, given) =
                facts.get(&seq).copied().ok_or_else(|| Error::damaged("a lost version"))?;
            let of_this = words_of(&object.title, &object.text);
            let leaf = object.leaf.map(|leaf| i64::try_from(leaf).unwrap_or(i64::MAX));
            rows.push(args![
                seq,
                collection,
                version,
                added,
                newest,
                oldest,
                line,
                policy,
                own,
                given,
                object.id.kind(),
                object.spec_version,
                &object.id,
                object.owner,
                object.person,
                object.peer,
                &digest,
                leaf,
                object.salt,
                object.title,
                object.aside,
                body,
                of_this.join(" "),
            ]);
            references.extend(object.references.iter().map(|target| args![target, seq, object.owner]));
            for word in of_this {
                words.entry(word).or_default().push(seq);
            }
        }
        let mut db = self.db()?;
        let columns = "object (seq, collection, version, added, newest, oldest, line, policy, own, given, kind, spec_version, id, owner, person, peer, \
                       digest, leaf, salt, title, aside, body, words)";
        insert(&mut db, columns, 23, rows).await?;
        insert(&mut db, "reference (target, source, owner)", 3, references).await?;
        let words = words
            .into_iter()
            .flat_map(|(word, seqs)| seqs.into_iter().map(move |seq| args![word.as_str(), seq]));
        insert(&mut db, "word (word, seq)", 2, words.collect()).await
    }
}

/// Whether it is there already, as far as whoever puts it can see.
fn decide(
    writing: &Writing,
    sight: &mut Sight,
    work: &Work,
    coming: &Coming,
    added: Timestamp,
) -> Result<Outcome, Error> {
    let mut here = Vec::new();
    for version in work.things.get(&coming.object.id).into_iter().flat_map(|thing| &thing.versions) {
        if version.collection == coming.collection && sight.sees(writing, version)? {
            here.push(version);
        }
    }
    let same = |version: &&&Version| version.digest == coming.digest.as_bytes();
    let at_once = here.iter().find(|version| version.version == coming.version.micros());
    let there = if coming.object.version.is_some() {
        at_once
    } else {
        // What has no version of its own is there already if the last one has the same bytes.
        let last = here.iter().max_by_key(|version| (version.version, version.seq));
        last.filter(same).or(at_once)
    };
    Ok(match there {
        None => Outcome::Taken { added, version: coming.version },
        Some(version) if same(&version) => {
            Outcome::Same { version: Timestamp::from_micros(version.version).unwrap_or(coming.version) }
        }
        Some(_) => Outcome::Conflict,
    })
}
