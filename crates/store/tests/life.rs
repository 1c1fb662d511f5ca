//! Opening, closing, backing up: the life of a database.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

mod common;

use common::*;
use ostrom_store::testing::Postgres;
use ostrom_store::{Config, Error, Location, Store, backup_file, restore};

on_both! {
    a_second_node_is_refused,
    what_was_written_is_there_after_opening_again,
    what_is_not_committed_never_was,
    a_newer_database_is_refused,
}

async fn a_second_node_is_refused(world: World) {
    let error = Store::open(&world.config).await.unwrap_err();
    assert!(matches!(error, Error::InUse { .. }), "{error}");
    world.store.close().await;
    let again = Store::open(&world.config).await.unwrap();
    again.close().await;
}

async fn what_was_written_is_there_after_opening_again(world: World) {
    add_collections(&world.store, &[1]).await;
    put(&world.store, 100, vec![object(id("note", 1), 1, amber_to(2))]).await;
    world.store.close().await;
    assert!(world.store.writing(at(0)).await.is_err(), "a closed store writes");
    assert!(world.store.reading(&anybody(), at(0)).await.is_err(), "a closed store reads");
    let store = Store::open(&world.config).await.unwrap();
    let reading = store.reading(&member(2), at(200)).await.unwrap();
    assert!(reading.get(&id("note", 1), None).await.unwrap().is_some());
    // Time goes on from where it was, even if the clock does not.
    put(&store, 50, vec![object(id("note", 2), 1, amber_to(2))]).await;
    let reading = store.reading(&member(2), at(200)).await.unwrap();
    let added = reading.get(&id("note", 2), None).await.unwrap().unwrap().head.key.added;
    assert_eq!(added.micros(), at(100).micros() + 1);
    store.close().await;
}

async fn what_is_not_committed_never_was(world: World) {
    let store = &world.store;
    add_collections(store, &[1]).await;
    let mut writing = store.writing(at(10)).await.unwrap();
    writing.put(vec![object(id("note", 1), 1, amber_to(7))]).await.unwrap();
    writing.put_collection(&collection(2)).await.unwrap();
    drop(writing);
    // An error in the middle, too.
    let mut writing = store.writing(at(11)).await.unwrap();
    let mut lost = object(id("note", 2), 1, clear());
    lost.collection = coll(9);
    let error = writing.put(vec![object(id("note", 3), 1, clear()), lost]).await.unwrap_err();
    assert!(matches!(error, Error::Missing { what: "collection" }), "{error}");
    drop(writing);
    // The same policy, interned anew: its number must not be one that was rolled back.
    put(store, 12, vec![object(id("note", 4), 1, amber_to(8))]).await;
    let seven = store.reading(&member(7), at(20)).await.unwrap();
    assert_eq!(seven.list(&[], None, 10).await.unwrap().rows, []);
    let eight = store.reading(&member(8), at(20)).await.unwrap();
    assert_eq!(eight.list(&[], None, 10).await.unwrap().rows.len(), 1);
    assert_eq!(store.collections().await.unwrap().len(), 1);
    assert!(store.custody().check().await.unwrap().is_sound());
}

async fn a_newer_database_is_refused(world: World) {
    world.store.close().await;
    change(&world.config, "UPDATE ostrom_schema SET number = 1000").await;
    let error = Store::open(&world.config).await.unwrap_err();
    assert!(matches!(error, Error::Newer { found: 1000, .. }), "{error}");
    assert!(error.to_string().contains("use the newer Ostrom"), "{error}");
}

/// Changes a database behind the store's back.
async fn change(config: &Config, sql: &'static str) {
    use sqlx::Connection as _;
    match &config.location {
        Location::Sqlite(path) => {
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).create_if_missing(true);
            let mut conn = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
            sqlx::raw_sql(sql).execute(&mut conn).await.unwrap();
            conn.close().await.unwrap();
        }
        Location::Postgres(url) => {
            let mut conn = sqlx::PgConnection::connect(url).await.unwrap();
            sqlx::raw_sql(sql).execute(&mut conn).await.unwrap();
            conn.close().await.unwrap();
        }
    }
}

#[tokio::test]
async fn somebody_elses_database_is_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config::folder(folder.path());
    change(&config, "CREATE TABLE recipes (name TEXT)").await;
    let error = Store::open(&config).await.unwrap_err();
    assert!(matches!(error, Error::NotOurs { .. }), "{error}");
    let text = folder.path().join("text");
    std::fs::write(
        &text,
        "no database at all, but long enough to be looked at as if it were one. ".repeat(20),
    )
    .unwrap();
    let error = Store::open(&Config::new(Location::Sqlite(text.clone()))).await.unwrap_err();
    assert!(matches!(error, Error::NotOurs { .. }), "{error}");
    assert!(std::fs::read_to_string(&text).unwrap().starts_with("no database"));

    let postgres = Postgres::start().unwrap_or_else(|error| panic!("{error}"));
    let config: Config = postgres.url().parse().unwrap();
    change(&config, "CREATE TABLE recipes (name TEXT)").await;
    let error = Store::open(&config).await.unwrap_err();
    assert!(matches!(error, Error::NotOurs { .. }), "{error}");
}

#[tokio::test]
async fn errors_of_postgres_say_what_to_do() {
    let postgres = Postgres::start().unwrap_or_else(|error| panic!("{error}"));
    let open = async |url: String| Store::open(&url.parse().unwrap()).await.unwrap_err();
    let error = open(postgres.url_of("nowhere")).await;
    assert!(matches!(error, Error::NoDatabase), "{error}");
    let error = open(postgres.url().replace("ostrom@", "nobody@")).await;
    assert!(matches!(error, Error::Credentials), "{error}");
    let error = open("postgres://ostrom:secret@127.0.0.1:1/x".to_owned()).await;
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert!(!error.to_string().contains("secret"));
    let store = Store::open(&postgres.url().parse().unwrap()).await.unwrap();
    let error = store.backup(std::path::Path::new("x")).await.unwrap_err();
    assert!(error.to_string().contains("pg_dump"), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_is_for_nobody_else() {
    use std::os::unix::fs::MetadataExt as _;
    let world = sqlite().await;
    add_collections(&world.store, &[1]).await;
    let Location::Sqlite(path) = &world.config.location else { panic!() };
    let files = std::fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap());
    let mut names = 0;
    for file in files {
        assert_eq!(file.metadata().unwrap().mode() & 0o077, 0, "{:?}", file.path());
        names += 1;
    }
    assert!(names >= 3, "database, log and lock");
}

#[tokio::test]
async fn a_backup_brings_everything_back() {
    let world = sqlite().await;
    let folder = tempfile::tempdir().unwrap();
    let (to, place) = (folder.path().join("backup.db"), folder.path().join("new/ostrom.db"));
    add_collections(&world.store, &[1]).await;
    put(&world.store, 100, (0..300).map(|n| object(id("note", n), 1, amber_to(2))).collect()).await;
    // While a write is under way, which is not part of it.
    let mut writing = world.store.writing(at(101)).await.unwrap();
    writing.put(vec![object(id("note", 1000), 1, clear())]).await.unwrap();
    world.store.backup(&to).await.unwrap();
    writing.commit().await.unwrap();
    assert!(
        matches!(world.store.backup(&to).await.unwrap_err(), Error::File { .. }),
        "an older backup was overwritten"
    );

    let config = Config::new(Location::Sqlite(place.clone()));
    restore(&to, &config).await.unwrap();
    let error = restore(&to, &config).await.unwrap_err();
    assert!(matches!(error, Error::File { .. }), "{error}");
    let store = Store::open(&config).await.unwrap();
    let reading = store.reading(&member(2), at(200)).await.unwrap();
    assert_eq!(reading.counts().await.unwrap()["note"], 300);
    assert!(store.custody().check().await.unwrap().is_sound());
    store.close().await;
}

#[tokio::test]
async fn a_backup_that_is_none_is_refused_and_nothing_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let world = sqlite().await;
    add_collections(&world.store, &[1]).await;
    put(&world.store, 100, (0..300).map(|n| object(id("note", n), 1, amber_to(2))).collect()).await;
    let good = folder.path().join("good");
    world.store.backup(&good).await.unwrap();
    let bytes = std::fs::read(&good).unwrap();
    let middle = bytes.len() / 2;
    let cut = bytes[..middle].to_vec();
    let mut overwritten = bytes.clone();
    overwritten[middle..middle + 20_000].fill(0x41);
    let place = folder.path().join("ostrom.db");
    let config = Config::new(Location::Sqlite(place.clone()));
    for (name, bytes) in
        [("text", b"text".repeat(1000)), ("cut", cut), ("overwritten", overwritten), ("empty", Vec::new())]
    {
        let bad = folder.path().join(name);
        std::fs::write(&bad, bytes).unwrap();
        let error = restore(&bad, &config).await.unwrap_err();
        assert!(
            matches!(error, Error::NotOurs { .. } | Error::Damaged { .. } | Error::Database(_)),
            "{name}: {error}"
        );
        assert!(!place.exists(), "{name}");
    }
    let nowhere = Location::Sqlite(folder.path().join("nowhere"));
    assert!(backup_file(&nowhere, &folder.path().join("x")).await.is_err());
    assert!(!folder.path().join("x").exists());
}

#[tokio::test]
async fn a_check_finds_what_was_changed_behind_the_back() {
    for (sql, problem) in [
        ("UPDATE object SET body = '{}' WHERE seq = 3", "do not have the digest"),
        (
            "UPDATE object SET policy = (SELECT min(key) FROM policy) WHERE kind = 'relationship'",
            "effective policy",
        ),
        ("UPDATE object SET newest = 0 WHERE seq = 4", "newest or oldest"),
        ("DELETE FROM word WHERE seq = 2", "index of words"),
        ("UPDATE tally SET number = number + 1", "counts"),
    ] {
        let world = sqlite().await;
        add_collections(&world.store, &[1]).await;
        let mut relationship = object(id("relationship", 9), 1, clear());
        relationship.references = vec![id("note", 1)];
        let mut all: Vec<_> = (0..5).map(|n| object(id("note", n), 1, amber_to(2))).collect();
        all.push(relationship);
        all.push(object(id("note", 20), 1, clear()));
        put(&world.store, 100, all).await;
        assert!(world.store.custody().check().await.unwrap().is_sound());
        world.store.close().await;
        change(&world.config, sql).await;
        let store = Store::open(&world.config).await.unwrap();
        let report = store.custody().check().await.unwrap();
        assert!(report.problems.iter().any(|told| told.contains(problem)), "{sql}: {report:?}");
        store.close().await;
    }
}
