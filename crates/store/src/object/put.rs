//! Taking objects.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ostrom_core::{Digest, ObjectId, Timestamp};

use super::search::words_of;
use super::work::{Version, Work, insert};
use super::{MAX_BODY, MAX_REFERENCES, NewObject, Outcome};
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
    /// of the objects.
    ///
    /// # Errors
    /// [`Error::Missing`] for an unknown collection, [`Error::Refused`] beyond a limit; drop the transaction then.
    pub async fn put(&mut self, objects: Vec<NewObject>) -> Result<Vec<Outcome>, Error> {
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
            let outcome = decide(&work, &coming, added);
            if let Some(place) = outcomes.get_mut(coming.place) {
                *place = outcome;
            }
            if matches!(outcome, Outcome::Taken { .. }) {
                let seq = self.number();
                let version = Version::new(
                    seq,
                    coming.collection,
                    coming.version.micros(),
                    coming.own,
                    coming.digest.as_bytes().to_vec(),
                    coming.object.references.clone(),
                );
                let thing = work.things.entry(coming.object.id.clone()).or_default();
                thing.versions.push(version);
                taken.push((seq, coming));
            }
        }
        if taken.is_empty() {
            return Ok(outcomes);
        }
        self.execute("INSERT INTO batch (added, first_seq) VALUES ($1, $2)", args![added, first_seq]).await?;
        let changed = self.settle(&mut work, &taken).await?;
        let mut versions = work.ancestors(self, &changed).await?;
        for (seq, coming) in &taken {
            versions.entry(coming.object.id.clone()).or_default().insert(*seq);
        }
        work.recompute(self, &versions).await?;
        self.write_down(&work, taken, added).await?;
        work.flush(self).await?;
        Ok(outcomes)
    }

    /// Finds the newest and oldest versions; gives the objects whose newest versions add something else now to those that refer to them.
    async fn settle(&mut self, work: &mut Work, taken: &[(i64, Coming)]) -> Result<Vec<ObjectId>, Error> {
        let ids: BTreeSet<ObjectId> = taken.iter().map(|(_, coming)| coming.object.id.clone()).collect();
        let ids: Vec<ObjectId> = ids.into_iter().collect();
        let first = taken.first().map_or(i64::MAX, |(seq, _)| *seq);
        // The flags still are those from before: what was the newest then is compared to what is now.
        work.load_references(self, &ids, |version| version.newest).await?;
        let mut changed = Vec::new();
        for id in ids {
            let Some(thing) = work.things.get_mut(&id) else { continue };
            let adds = |versions: &[Version]| {
                let newest = versions.iter().filter(|version| version.newest);
                let all = newest.map(|version| (version.collection, version.own, version.references.clone()));
                all.collect::<BTreeSet<_>>()
            };
            let before = adds(&thing.versions);
            let known = thing.versions.iter().any(|version| version.seq < first);
            thing.edges();
            if !known || before != adds(&thing.versions) {
                changed.push(id);
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
        let facts: HashMap<i64, (i64, bool, bool)> = work
            .things
            .values()
            .flat_map(|thing| &thing.versions)
            .map(|version| (version.seq, (version.policy, version.newest, version.oldest)))
            .collect();
        let mut rows = Vec::with_capacity(taken.len());
        let mut references = Vec::new();
        // By word, so that the index is written from left to right.
        let mut words = BTreeMap::<String, Vec<i64>>::new();
        for (seq, Coming { object, body, collection, own, digest, version, .. }) in taken {
            let (policy, newest, oldest) =
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
                policy,
                own,
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
            references.extend(object.references.iter().map(|target| args![target, seq]));
            for word in of_this {
                words.entry(word).or_default().push(seq);
            }
        }
        let mut db = self.db()?;
        let columns = "object (seq, collection, version, added, newest, oldest, policy, own, kind, spec_version, id, owner, person, peer, \
                       digest, leaf, salt, title, aside, body, words)";
        insert(&mut db, columns, 21, rows).await?;
        insert(&mut db, "reference (target, source)", 2, references).await?;
        let words = words
            .into_iter()
            .flat_map(|(word, seqs)| seqs.into_iter().map(move |seq| args![word.as_str(), seq]));
        insert(&mut db, "word (word, seq)", 2, words.collect()).await
    }
}

/// Whether it is there already.
fn decide(work: &Work, coming: &Coming, added: Timestamp) -> Outcome {
    let versions = work.things.get(&coming.object.id).into_iter().flat_map(|thing| &thing.versions);
    let here = versions.filter(|version| version.collection == coming.collection);
    let there = if coming.object.version.is_some() {
        here.clone().find(|version| version.version == coming.version.micros())
    } else {
        // What has no version of its own is there already if the last one has the same bytes.
        let last = here.clone().max_by_key(|version| version.version);
        let same = last.filter(|version| version.digest == coming.digest.as_bytes());
        same.or_else(|| here.clone().find(|version| version.version == coming.version.micros()))
    };
    match there {
        None => Outcome::Taken { added, version: coming.version },
        Some(version) if version.digest == coming.digest.as_bytes() => {
            Outcome::Same { version: Timestamp::from_micros(version.version).unwrap_or(coming.version) }
        }
        Some(_) => Outcome::Conflict,
    }
}
