use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ostrom_store::testing::{Postgres, database};
use ostrom_store::{Config, Head, Store};
use ostrom_trust::SecretKey;
use ostrom_trust::log::{Durability, Log, Options};
use tempfile::TempDir;

use super::*;
use crate::service::Exchange;
use crate::stix::Limits;
use crate::taxii::{CursorKey, Settings};

/// A server over a store of its own.
struct Server {
    taxii: Taxii,
    store: Store,
    _folder: TempDir,
}

async fn server(world: &World, without: &BTreeSet<Place>) -> Server {
    let folder = tempfile::tempdir().unwrap();
    let config = database(folder.path()).unwrap();
    server_on(folder, &config, world, without).await
}

async fn server_on(folder: TempDir, config: &Config, world: &World, without: &BTreeSet<Place>) -> Server {
    let store = Store::open(config).await.unwrap();
    world.fill(&store, without).await.unwrap();
    let options = Options {
        durability: Durability::Buffered { sync_every: Duration::from_secs(3600) },
        ..Options::default()
    };
    let log =
        Log::open(&folder.path().join("log"), SecretKey::generate().unwrap(), "test/log", &options).unwrap();
    let exchange = Exchange::new(store.clone(), Arc::new(log), None, Limits::default());
    let taxii = Taxii::new(exchange, Settings::default(), CursorKey::new([7; 32]));
    Server { taxii, store, _folder: folder }
}

/// Compares a world with what is left of it for each actor. Returns how many questions were asked, and how many actors something was hidden from.
async fn check_world(seed: u64) -> (usize, usize) {
    let world = World::random(seed, Size::default());
    let whole = server(&world, &BTreeSet::new()).await;
    let (mut asked, mut kept_out) = (0, 0);
    for actor in &world.actors {
        let hidden = world.hidden(&actor.reader, world.now);
        if hidden.is_empty() {
            continue;
        }
        let without = server(&world, &hidden).await;
        match compare(&world, actor, &whole.taxii, &without.taxii, world.now).await {
            Ok(count) => asked += count,
            Err(leak) => panic!("world {seed}, {:?}: {leak:#?}", actor.reader),
        }
        kept_out += usize::from(hidden.len() < world.len());
    }
    (asked, kept_out)
}

macro_rules! worlds {
    ($($name:ident: $seeds:expr;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            for seed in $seeds {
                let (asked, kept_out) = check_world(seed).await;
                assert!(asked > 1000 && kept_out >= 3, "a world that shows nothing: {asked} {kept_out}");
            }
        }
    )*};
}

worlds! {
    nothing_hidden_shows_in_worlds_0: [1, 2];
    nothing_hidden_shows_in_worlds_1: [3];
    nothing_hidden_shows_in_worlds_2: [4];
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_hidden_shows_on_postgres() {
    let postgres = Postgres::start().unwrap_or_else(|error| panic!("{error}"));
    let world = World::random(5, Size { objects: 10, ..Size::default() });
    let database = |name: String| postgres.create(&name).unwrap().parse::<Config>().unwrap();
    let config = database("whole".to_owned());
    let whole = server_on(tempfile::tempdir().unwrap(), &config, &world, &BTreeSet::new()).await;
    for (number, actor) in world.actors.iter().enumerate().step_by(3) {
        let config = database(format!("without{number}"));
        let hidden = world.hidden(&actor.reader, world.now);
        let without = server_on(tempfile::tempdir().unwrap(), &config, &world, &hidden).await;
        let found = compare(&world, actor, &whole.taxii, &without.taxii, world.now).await;
        assert!(found.is_ok(), "{:?}: {found:#?}", actor.reader);
    }
}

/// Writes into a world and what is left of it for each writer. Returns how many questions were asked.
async fn check_writes(seed: u64, every: usize) -> usize {
    let world = World::random(seed, Size { objects: 12, ..Size::default() });
    let mut asked = 0;
    for writer in world.writers().iter().step_by(every) {
        let hidden = world.hidden_from_writer(&writer.reader, world.now);
        if hidden.is_empty() {
            continue;
        }
        let (whole, without) = (server(&world, &BTreeSet::new()).await, server(&world, &hidden).await);
        match compare_writes(&world, writer, &whole.taxii, &without.taxii, world.now).await {
            Ok(count) => asked += count,
            Err(leak) => panic!("world {seed}, {:?}: {leak:#?}", writer.reader),
        }
        let counts = whole.store.reading(&writer.reader, world.now.plus_seconds(20_000)).await.unwrap();
        assert!(!counts.counts().await.unwrap().is_empty(), "nothing was written");
        let report = whole.store.custody().check().await.unwrap();
        assert!(report.is_sound(), "{report:?}");
    }
    asked
}

macro_rules! writes {
    ($($name:ident: $seed:expr, $every:expr;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            assert!(check_writes($seed, $every).await > 500);
        }
    )*};
}

writes! {
    nothing_hidden_shows_to_who_writes_in_world_11: 11, 2;
    nothing_hidden_shows_to_who_writes_in_world_12: 12, 3;
    nothing_hidden_shows_to_who_writes_in_world_13: 13, 3;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_hidden_shows_to_who_writes_on_postgres() {
    let postgres = Postgres::start().unwrap_or_else(|error| panic!("{error}"));
    let world = World::random(14, Size { objects: 8, ..Size::default() });
    let database = |name: &str| postgres.create(name).unwrap().parse::<Config>().unwrap();
    let writer = world.writers().pop().unwrap();
    let hidden = world.hidden_from_writer(&writer.reader, world.now);
    assert!(!hidden.is_empty());
    let whole = server_on(tempfile::tempdir().unwrap(), &database("whole"), &world, &BTreeSet::new()).await;
    let without = server_on(tempfile::tempdir().unwrap(), &database("without"), &world, &hidden).await;
    let found = compare_writes(&world, &writer, &whole.taxii, &without.taxii, world.now).await;
    assert!(found.is_ok(), "{:?}: {found:#?}", writer.reader);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_mistake_is_noticed() {
    for mistake in Mistake::ALL {
        let mut noticed = false;
        'worlds: for seed in 0..4 {
            let world = World::random(seed, Size::default());
            let whole = server(&world, &BTreeSet::new()).await;
            let spoilt = Mutant::new(whole.taxii.clone(), whole.store.clone(), mistake);
            for actor in &world.actors {
                if mistake.is_in_writing() {
                    continue;
                }
                let without = server(&world, &world.hidden(&actor.reader, world.now)).await;
                let other = Mutant::new(without.taxii.clone(), without.store.clone(), mistake);
                if compare(&world, actor, &spoilt, &other, world.now).await.is_err() {
                    noticed = true;
                    break 'worlds;
                }
            }
        }
        if mistake.is_in_writing() {
            let world = World::random(7, Size::default());
            let writer = &world.writers()[0];
            let whole = server(&world, &BTreeSet::new()).await;
            let without = server(&world, &world.hidden_from_writer(&writer.reader, world.now)).await;
            let spoilt = Mutant::new(whole.taxii, whole.store, mistake);
            let other = Mutant::new(without.taxii, without.store, mistake);
            noticed = compare_writes(&world, writer, &spoilt, &other, world.now).await.is_err();
        }
        assert!(noticed, "{mistake:?} went unnoticed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_shows_what_the_model_says() {
    for seed in 100..106 {
        let world = World::random(seed, Size::default());
        let server = server(&world, &BTreeSet::new()).await;
        for seconds in [-500_000, -100_000, 0, 100_000, 1_000_000] {
            let now = world.now.plus_seconds(seconds);
            for actor in &world.actors {
                let hidden = world.hidden(&actor.reader, now);
                let reading = server.store.reading(&actor.reader, now).await.unwrap();
                let mut seen = BTreeSet::new();
                for id in world.ids() {
                    let found = reading.history(id).await.unwrap();
                    seen.extend(
                        found.into_iter().map(|Head { key, .. }| (key.collection, key.id, key.version)),
                    );
                }
                let all: BTreeSet<Place> = world.versions().map(|version| version.place()).collect();
                let expect: BTreeSet<Place> = all.difference(&hidden).cloned().collect();
                assert_eq!(seen, expect, "world {seed} for {:?} at {seconds}", actor.reader);
            }
        }
    }
}

/// Many worlds: `OSTROM_WORLDS=100..200 cargo nextest run -p ostrom-exchange --run-ignored all as_many_worlds`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes about ten seconds a world"]
async fn nothing_hidden_shows_in_as_many_worlds_as_you_like() {
    let range = std::env::var("OSTROM_WORLDS").unwrap_or_else(|_| "1000..1010".to_owned());
    let (from, to) = range.split_once("..").unwrap();
    for seed in from.parse::<u64>().unwrap()..to.parse().unwrap() {
        println!(
            "world {seed}: {:?}, {} after writing",
            check_world(seed).await,
            check_writes(seed, 1).await
        );
    }
}

#[test]
fn the_same_number_gives_the_same_world() {
    let texts = |seed| {
        let world = World::random(seed, Size::default());
        world.versions().map(|version| version.object.bytes().to_vec()).collect::<Vec<_>>()
    };
    assert_eq!(texts(5), texts(5));
    assert_ne!(texts(5), texts(6));
}
