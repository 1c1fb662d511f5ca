//! Nothing that a reader may not see changes anything that the reader is told.
//!
//! Random worlds are put into a store, and once more into a second one, without the objects that are hidden from the reader. Everything that
//! a `Reading` tells must be the same in both; and in the first it must be what the model says.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::model::Model;
use common::*;
use ostrom_core::ObjectId;
use ostrom_core::handling::{Embargo, Handling, Iep, Obligation, Party, Policy, Reader, Tlp};
use ostrom_store::testing::Postgres;
use ostrom_store::{Config, Filter, Head, Key, Lookup, NewObject, Outcome, Page, Reading, Store, Versions};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, RngAlgorithm, TestRng, TestRunner};

const KINDS: [&str; 4] = ["vulnerability", "relationship", "note", "software"];
const WORDS: [&str; 4] = ["prompt", "injection", "model", "weights"];
const THINGS: u128 = 7;

fn thing(n: u128) -> ObjectId {
    id(KINDS[(n % 4) as usize], n)
}

fn marks() -> Vec<Policy> {
    let base = |tlp| Handling::new(org(1), tlp);
    let named = |tlp, party| Handling { audience: [party].into(), ..base(tlp) };
    let embargo = Embargo { until: at(500), parties: [Party::Organisation(org(3))].into() };
    let iep = Iep {
        name: "window".to_owned(),
        start: Some(at(300)),
        end: Some(at(900)),
        encrypt_in_transit: Obligation::Must,
        permitted_actions: "none".to_owned(),
        affected_party_notifications: Obligation::May,
        attribution: Obligation::May,
        unmodified_resale: Obligation::May,
    };
    [
        vec![base(Tlp::Clear)],
        vec![base(Tlp::Clear)],
        vec![base(Tlp::Green)],
        vec![named(Tlp::Amber, Party::Organisation(org(2)))],
        vec![named(Tlp::AmberStrict, Party::Group(group(1)))],
        vec![named(Tlp::Red, Party::Person(person(3)))],
        vec![Handling { embargo: Some(embargo), ..base(Tlp::Clear) }],
        vec![Handling { iep: Some(iep), ..base(Tlp::Green) }],
        vec![Handling::unreadable(org(1), "a mark from elsewhere")],
        vec![],
    ]
    .into_iter()
    .map(Policy::new)
    .collect()
}

/// Who writes: the node itself, persons and a machine.
fn writers() -> Vec<Option<Reader>> {
    vec![
        None,
        Some(member(1)),
        Some(member(2)),
        Some(Reader { groups: [group(1)].into(), ..member(3) }),
        Some(Reader { person: None, ..member(4) }),
    ]
}

fn readers() -> Vec<Reader> {
    vec![
        anybody(),
        member(1),
        member(2),
        Reader { groups: [group(1)].into(), ..member(3) },
        Reader { client_of: [org(2)].into(), ..member(4) },
        Reader { person: None, ..member(4) },
        Reader { encrypted: false, ..member(2) },
    ]
}

#[derive(Debug, Clone)]
struct Put {
    collection: u128,
    thing: u128,
    version: Option<i64>,
    mark: usize,
    references: Vec<u128>,
    word: usize,
}

#[derive(Debug, Clone)]
enum Step {
    /// Who writes, and what.
    Batch(usize, Vec<Put>),
    Remove {
        collection: u128,
        thing: u128,
        version: Option<i64>,
    },
    /// Whether collection 2 is for organisation 2 only.
    Close(bool),
    Reopen,
    /// It is this time, if it is not later already, and what has become free is released.
    Release(i64),
}

fn put_strategy() -> impl Strategy<Value = Put> {
    let version = prop_oneof![9 => (0..4_i64).prop_map(Some), 1 => Just(None)];
    (1..3_u128, 0..THINGS, version, 0..10_usize, vec(0..THINGS, 0..3), 0..4_usize).prop_map(
        |(collection, thing, version, mark, references, word)| Put {
            collection,
            thing,
            version,
            mark,
            references,
            word,
        },
    )
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let removal = (1..3_u128, 0..THINGS, proptest::option::of(0..4_i64));
    let step = prop_oneof![
        12 => (0..5_usize, vec(put_strategy(), 1..6)).prop_map(|(writer, puts)| Step::Batch(writer, puts)),
        3 => removal.prop_map(|(collection, thing, version)| Step::Remove { collection, thing, version }),
        1 => any::<bool>().prop_map(Step::Close),
        1 => Just(Step::Reopen),
        3 => prop_oneof![Just(310_i64), Just(510), Just(910)].prop_map(Step::Release),
    ];
    vec(step, 1..10)
}

#[derive(Debug, Clone)]
struct Case {
    steps: Vec<Step>,
    reader: usize,
    now: i64,
    limit: usize,
}

fn cases() -> impl Strategy<Value = Case> {
    let now = prop_oneof![Just(250_i64), Just(400), Just(600), Just(1000)];
    (steps(), 0..7_usize, now, 1..5_usize).prop_map(|(steps, reader, now, limit)| Case {
        steps,
        reader,
        now,
        limit,
    })
}

fn new_object(writer: Option<&Reader>, put: &Put, step: usize, place: usize) -> NewObject {
    let mut new = object(thing(put.thing), put.version.unwrap_or_default(), marks()[put.mark].clone());
    new.collection = coll(put.collection);
    new.version = put.version.map(at);
    new.shared = new.id.kind() == "software";
    // Colleagues are another matter: within an organisation more is told.
    new.owner = writer.and_then(|writer| writer.organisation).unwrap_or(org(5));
    new.person = writer.and_then(|writer| writer.person);
    new.references = put.references.iter().map(|n| thing(*n)).collect();
    // No two bodies are the same.
    new.body = format!("{{\"naïve\":\"{step}.{place}\"}}").into_bytes();
    new.title = format!("Title {}", WORDS[put.word]);
    new.text = format!("{} of step{step}", WORDS[(put.word + step) % 4]);
    new.spec_version = if put.word == 0 { "2.0" } else { "2.1" }.to_owned();
    new
}

/// What became of a world.
struct Played {
    store: Store,
    model: Model,
    /// Where the model's instances come from: step and place.
    places: Vec<(usize, usize)>,
    /// What the one who is watched was told when writing.
    answers: Vec<Vec<Outcome>>,
    /// The places of what the one who is watched could see when writing.
    known: BTreeSet<(usize, usize)>,
    /// When the last step was.
    end: i64,
}

/// Puts the steps into a store. `keep` says which of the objects that were taken the first time are put at all; whatever the one who is `watched` writes is put.
async fn play(
    config: &Config,
    steps: &[Step],
    watched: &Reader,
    keep: Option<&BTreeSet<(usize, usize)>>,
) -> Played {
    let mut store = Store::open(config).await.unwrap();
    add_collections(&store, &[1, 2]).await;
    let mut model = Model::default();
    let mut places = Vec::new();
    let (mut answers, mut known) = (Vec::new(), BTreeSet::new());
    let mut now = 0;
    for (at_step, step) in steps.iter().enumerate() {
        now += 10;
        if let Step::Release(time) = step {
            now = now.max(*time);
        }
        // A view from before each step: it must not stay as it was.
        for reader in readers() {
            drop(store.reading(&reader, at(now)).await.unwrap());
        }
        match step {
            Step::Batch(writer, puts) => {
                let writer = writers()[*writer].clone();
                let is_watched = writer.as_ref() == Some(watched);
                if is_watched {
                    known.extend(model.seen(watched, at(now)).into_iter().map(|at| places[at]));
                }
                let kept: Vec<usize> = (0..puts.len())
                    .filter(|place| is_watched || keep.is_none_or(|keep| keep.contains(&(at_step, *place))))
                    .collect();
                let new = |place: &usize| new_object(writer.as_ref(), &puts[*place], at_step, *place);
                let objects: Vec<NewObject> = kept.iter().map(new).collect();
                let mut writing = store.writing(at(now)).await.unwrap();
                let outcomes = match &writer {
                    Some(writer) => writing.put_for(writer, objects.clone()).await.unwrap(),
                    None => writing.put(objects.clone()).await.unwrap(),
                };
                writing.commit().await.unwrap();
                if is_watched {
                    answers.push(outcomes.clone());
                }
                let mut taken = Vec::new();
                for ((object, outcome), place) in objects.into_iter().zip(outcomes).zip(kept) {
                    if let Outcome::Taken { added, version } = outcome {
                        assert_eq!(added, at(now));
                        taken.push((object, added, version));
                        places.push((at_step, place));
                    } else {
                        assert!(
                            is_watched || keep.is_none(),
                            "what was taken in the first world was not taken in the second"
                        );
                    }
                }
                model.put(taken, writer.as_ref().map(|writer| (writer, at(now))));
            }
            Step::Remove { collection, thing: n, version } => {
                let version = version.map(at);
                let expected = model.remove(coll(*collection), &thing(*n), version, at(now));
                let mut writing = store.writing(at(now)).await.unwrap();
                let removed =
                    writing.remove(coll(*collection), &thing(*n), version, Some("mistake")).await.unwrap();
                writing.commit().await.unwrap();
                assert_eq!(removed, expected);
            }
            Step::Close(closed) => {
                let mut changed = collection(2);
                changed.may_read = closed.then(|| amber_to(2));
                let mut writing = store.writing(at(now)).await.unwrap();
                writing.put_collection(&changed).await.unwrap();
                writing.commit().await.unwrap();
                match changed.may_read {
                    Some(policy) => model.may_read.insert(coll(2), policy),
                    None => model.may_read.remove(&coll(2)),
                };
            }
            Step::Release(_) => {
                let expected = model.release(at(now));
                assert_eq!(store.custody().is_anything_released(at(now)).await.unwrap(), expected > 0);
                let mut writing = store.writing(at(now)).await.unwrap();
                assert_eq!(writing.release().await.unwrap(), expected);
                writing.commit().await.unwrap();
                assert!(!store.custody().is_anything_released(at(now)).await.unwrap());
            }
            Step::Reopen => {
                store.close().await;
                store = Store::open(config).await.unwrap();
            }
        }
    }
    Played { store, model, places, answers, known, end: now }
}

/// Everything that pages give, until the end.
async fn walk<T: Clone, F>(mut page: F) -> (Vec<T>, Vec<Option<Key>>)
where
    F: AsyncFnMut(Option<Key>) -> Page<T>,
{
    let (mut rows, mut ends) = (Vec::new(), Vec::new());
    let mut after = None;
    loop {
        let got = page(after.take()).await;
        rows.extend(got.rows.iter().cloned());
        ends.push(got.next.clone());
        after = got.next;
        if after.is_none() {
            return (rows, ends);
        }
        assert!(ends.len() < 500, "no end");
    }
}

fn filters() -> Vec<Filter> {
    let plain = Filter::default();
    let all = Filter { versions: Versions::ALL, ..Filter::default() };
    let first = Versions { first: true, last: false, ..Versions::LAST };
    let exactly = Versions { exactly: vec![at(1), at(2)], last: false, ..Versions::LAST };
    vec![
        plain.clone(),
        all.clone(),
        Filter { versions: first.clone(), ..plain.clone() },
        Filter { versions: Versions { last: true, ..first }, ..plain.clone() },
        Filter { versions: Versions { last: true, ..exactly.clone() }, ..plain.clone() },
        Filter { versions: exactly, ids: vec![thing(1), thing(3), thing(5)], ..plain.clone() },
        Filter { added_after: Some(at(25)), ..all.clone() },
        Filter { kinds: vec!["note".to_owned(), "vulnerability".to_owned()], ..plain.clone() },
        Filter { spec_versions: vec!["2.0".to_owned()], ids: vec![thing(0)], ..all.clone() },
        Filter { kinds: vec!["note".to_owned()], added_after: Some(at(15)), ..plain },
        Filter { versions: Versions { last: false, ..Versions::LAST }, ..all },
    ]
}

/// All that a reading tells, as text.
async fn told(reading: &Reading, limit: usize, explain: impl Fn(&ObjectId) -> bool) -> Vec<String> {
    let mut told = Vec::new();
    for n in 1..4 {
        for filter in filters() {
            let page =
                walk(async |after| reading.page(coll(n), &filter, after.as_ref(), limit).await.unwrap())
                    .await;
            told.push(format!("page {n} {filter:?} {page:?}"));
            let page =
                walk(async |after| reading.manifest(coll(n), &filter, after.as_ref(), limit).await.unwrap())
                    .await;
            told.push(format!("manifest {n} {filter:?} {page:?}"));
        }
        for t in 0..THINGS {
            let filter = Filter::default();
            let versions = walk(async |after| {
                reading.versions(coll(n), &thing(t), &filter, after.as_ref(), limit).await.unwrap()
            })
            .await;
            told.push(format!("versions {n} {t} {versions:?}"));
        }
        told.push(format!("{:?}", reading.collection(&format!("c{n}")).await.unwrap()));
    }
    told.push(format!("{:?}", reading.collections().await.unwrap()));
    told.push(format!("counts {:?}", reading.counts().await.unwrap()));
    for t in 0..THINGS {
        let id = thing(t);
        for version in [None, Some(at(0)), Some(at(1)), Some(at(2)), Some(at(3))] {
            told.push(format!("get {:?}", reading.get(&id, version).await.unwrap()));
            if explain(&id) {
                told.push(format!("explain {:?}", reading.explain(&id, version).await.unwrap()));
            }
        }
        told.push(format!("history {:?}", reading.history(&id).await.unwrap()));
        told.push(format!("refers to {:?}", reading.refers_to(&id).await.unwrap()));
        for kinds in [&[] as &[&str], &["note"], &["note", "relationship"]] {
            let page =
                walk(async |after| reading.referred_by(&id, kinds, after.as_ref(), limit).await.unwrap())
                    .await;
            told.push(format!("referred by {page:?}"));
        }
        if explain(&id) {
            let all: Vec<(usize, Reader)> = readers().into_iter().enumerate().collect();
            told.push(format!("who {:?}", reading.who_could_read(&id, &all).await.unwrap()));
        }
    }
    for query in ["prompt", "Injection title", "model weights", "of", "step1 title", "", "nowhere"] {
        for kinds in [&[] as &[&str], &["note", "vulnerability"]] {
            let page =
                walk(async |after| reading.search(query, kinds, after.as_ref(), limit).await.unwrap()).await;
            told.push(format!("search {query} {page:?}"));
        }
    }
    for kinds in [&[] as &[&str], &["note"], &["relationship", "vulnerability"]] {
        let page = walk(async |after| reading.list(kinds, after.as_ref(), limit).await.unwrap()).await;
        told.push(format!("list {page:?}"));
    }
    let all: Vec<ObjectId> = (0..THINGS).map(thing).collect();
    told.push(format!("objects {:?}", reading.objects(&all).await.unwrap()));
    told.push(format!("heads {:?}", reading.heads(&all).await.unwrap()));
    let page = walk(async |after| reading.changes(after.as_ref(), limit).await.unwrap()).await;
    told.push(format!("changes {page:?}"));
    let page = walk(async |after| reading.removals(after.as_ref(), limit).await.unwrap()).await;
    told.push(format!("removals {page:?}"));
    told
}

fn keys(heads: &[Head]) -> Vec<Key> {
    heads.iter().map(|head| head.key.clone()).collect()
}

/// Whether a reading tells what the model says.
async fn as_the_model_says(reading: &Reading, model: &Model, limit: usize) {
    let visible = model.visible(reader_of(reading), reading.now());
    let pages = [coll(1), coll(2)];
    for collection in pages {
        let here: Vec<&Key> =
            visible.iter().map(|known| &known.key).filter(|key| key.collection == collection).collect();
        let edge = |first: bool| -> Vec<Key> {
            let is_edge = |key: &(usize, &Key)| {
                // Of several with the same version, which only what many share can have, the one that came last is the last.
                let place = |(at, key): (usize, &Key)| (key.version, key.added, at);
                let all = here.iter().enumerate().filter(|(_, other)| other.id == key.1.id);
                let same = all.map(|(at, other)| place((at, other)));
                let edge = if first { same.min() } else { same.max() };
                edge == Some(place(*key))
            };
            let here = here.iter().copied().enumerate();
            here.filter(is_edge).map(|(_, key)| key.clone()).collect()
        };
        for (versions, expected) in [
            (Versions::ALL, here.iter().map(|key| (*key).clone()).collect::<Vec<_>>()),
            (Versions::LAST, edge(false)),
            (Versions { first: true, last: false, ..Versions::LAST }, edge(true)),
        ] {
            let filter = Filter { versions, ..Filter::default() };
            let (rows, _) =
                walk(async |after| reading.page(collection, &filter, after.as_ref(), limit).await.unwrap())
                    .await;
            let found: Vec<Key> = rows.iter().map(|row| row.key.clone()).collect();
            assert_eq!(found, expected, "{filter:?}");
            for row in rows {
                let mut instances = visible.iter().filter(|known| known.key == row.key);
                assert!(instances.any(|known| row.body == known.object.body));
            }
        }
    }
    let gone = model.seen(reader_of(reading), reading.now()).into_iter().map(|at| &model.instances[at]);
    let mut gone: Vec<Key> = gone
        .filter_map(|known| {
            known.removed.as_ref().map(|removed| Key { added: removed.when, ..known.key.clone() })
        })
        .collect();
    gone.sort();
    let (rows, _) = walk(async |after| reading.removals(after.as_ref(), limit).await.unwrap()).await;
    assert_eq!(rows.into_iter().map(|removal| removal.key).collect::<Vec<_>>(), gone);
    // The last visible version of each object, wherever it is.
    let mut last = BTreeMap::<&ObjectId, &common::model::Instance>::new();
    for known in &visible {
        let best = last.entry(&known.key.id).or_insert(known);
        if (known.key.version, &known.key) >= (best.key.version, &best.key) {
            *best = known;
        }
    }
    let mut newest_first: Vec<Key> = last.values().map(|known| known.key.clone()).collect();
    newest_first.sort_by(|a, b| b.cmp(a));
    let (rows, _) = walk(async |after| reading.list(&[], after.as_ref(), limit).await.unwrap()).await;
    assert_eq!(keys(&rows), newest_first);
    let mut counts = BTreeMap::<String, u64>::new();
    for id in last.keys() {
        *counts.entry(id.kind().to_owned()).or_default() += 1;
    }
    assert_eq!(reading.counts().await.unwrap(), counts);
    for word in WORDS {
        let has = |key: &&Key| {
            let object = &last[&key.id].object;
            format!("{} {}", object.title, object.text).split(' ').any(|found| found == word)
        };
        let expected: Vec<Key> = newest_first.iter().filter(has).cloned().collect();
        let (rows, _) =
            walk(async |after| reading.search(word, &[], after.as_ref(), limit).await.unwrap()).await;
        assert_eq!(keys(&rows), expected, "{word}");
    }
    for (id, known) in &last {
        let (policy, decision) = reading.explain(id, None).await.unwrap().unwrap();
        let effective = model.effective(known).policy;
        if effective.allows(reading.reader(), reading.now()) {
            assert_eq!(policy, effective);
        } else {
            assert!(known.is_by(reading.reader()));
        }
        assert!(decision.allowed());
        let targets: BTreeSet<&ObjectId> =
            known.object.references.iter().filter(|id| last.contains_key(id)).collect();
        let found = reading.refers_to(id).await.unwrap();
        assert_eq!(
            found.iter().map(|head| &head.key.id).collect::<Vec<_>>(),
            targets.into_iter().collect::<Vec<_>>()
        );
        let sources = |key: &&Key| last[&key.id].object.references.contains(id);
        let expected: Vec<Key> = newest_first.iter().filter(sources).cloned().collect();
        assert_eq!(keys(&reading.referred_by(id, &[], None, 100).await.unwrap().rows), expected);
    }
}

fn reader_of(reading: &Reading) -> &Reader {
    reading.reader()
}

/// Whether there was a world to compare with.
async fn check(case: &Case, configs: [Config; 2]) -> bool {
    let reader = &readers()[case.reader];
    let [mut first, mut second] = configs;
    // Both ways to find what a reader may see find the same.
    (first.lookup, second.lookup) = match case.limit % 2 {
        0 => (Lookup::ByMark, Lookup::ByPlace),
        _ => (Lookup::ByPlace, Lookup::ByMark),
    };
    let Played { store, model, places, answers, known, end } = play(&first, &case.steps, reader, None).await;
    let now = at(case.now.max(end));
    let reading = store.reading(reader, now).await.unwrap();
    as_the_model_says(&reading, &model, case.limit).await;
    let seen = model.seen(reader, now);
    // What holds for something may be from what its writer saw then and the reader cannot see now: without that, others would see more of it, and do something else.
    let is_closed = model.is_closed(&seen);
    let seen: BTreeSet<(usize, usize)> = seen.into_iter().map(|at| places[at]).collect();
    // And what the reader wrote may be from what the reader saw then.
    if !is_closed || !known.is_subset(&seen) {
        store.close().await;
        return false;
    }
    let other = play(&second, &case.steps, reader, Some(&seen)).await;
    let without = other.store.reading(reader, now).await.unwrap();
    assert_eq!(answers, other.answers);
    let other = other.store;
    // What a removed object was as strict as is kept as it was then, and so is what somebody saw of others' objects when writing; both with handlings of things that may be
    // hidden since: they add nothing but a line to an explanation.
    let removes = case.steps.iter().any(|step| matches!(step, Step::Remove { .. }));
    let explain = |id: &ObjectId| !removes && !model.is_given(id);
    let here = told(&reading, case.limit, explain).await;
    let there = told(&without, case.limit, explain).await;
    for (here, there) in here.iter().zip(&there) {
        assert_eq!(here, there);
    }
    assert_eq!(here.len(), there.len());
    let report = store.custody().check().await.unwrap();
    assert!(report.is_sound() && report.counted, "{report:?}");
    assert_eq!(
        report.objects as usize,
        model.instances.iter().filter(|known| known.removed.is_none()).count()
    );
    store.close().await;
    other.close().await;
    true
}

/// The same worlds every time, so that the same code is judged the same way; `OSTROM_LEAK_CASES=3000` makes so many others.
fn run(count: u32, configs: impl Fn(u32) -> [Config; 2]) {
    let asked = std::env::var("OSTROM_LEAK_CASES").ok().map(|count| count.parse().expect("a number"));
    let count = asked.unwrap_or(count);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let settings =
        Cases { cases: count, failure_persistence: None, max_shrink_iters: 300, ..Cases::default() };
    let mut runner = match asked {
        Some(_) => TestRunner::new(settings),
        None => TestRunner::new_with_rng(settings, TestRng::deterministic_rng(RngAlgorithm::ChaCha)),
    };
    let (number, compared) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    let result = runner.run(&cases(), |case| {
        number.set(number.get() + 1);
        let configs = configs(number.get());
        // A panic is a failed case: the runner catches it.
        compared.set(compared.get() + u32::from(runtime.block_on(check(&case, configs))));
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    assert!(compared.get() * 2 > count, "{} of {count} worlds could be compared", compared.get());
}

#[test]
fn what_is_hidden_changes_nothing_that_is_told_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    run(120, |n| ["a", "b"].map(|world| Config::folder(&folder.path().join(format!("{world}{n}")))));
}

#[test]
fn what_is_hidden_changes_nothing_that_is_told_on_postgres() {
    let postgres = Postgres::start().unwrap_or_else(|error| panic!("{error}"));
    run(20, |n| ["a", "b"].map(|world| postgres.create(&format!("{world}{n}")).unwrap().parse().unwrap()));
}

/// The test must be able to fail: a world in which something hidden was not left out.
#[tokio::test]
async fn a_world_with_something_more_to_see_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let mut all = Vec::new();
    for (name, mark) in [("a", 0), ("b", 9)] {
        let put = Put { collection: 1, thing: 0, version: Some(0), mark, references: Vec::new(), word: 1 };
        let steps = [Step::Batch(0, vec![put])];
        let played = play(&Config::folder(&folder.path().join(name)), &steps, &anybody(), None).await;
        let reading = played.store.reading(&anybody(), at(100)).await.unwrap();
        all.push(told(&reading, 3, |_| true).await);
    }
    let differences = all[0].iter().zip(&all[1]).filter(|(a, b)| a != b).count();
    assert!(differences > 20, "{differences}");
}
