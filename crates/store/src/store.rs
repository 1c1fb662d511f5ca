//! The store: connections, and what is kept in memory.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use ostrom_core::handling::{Policy, Reader};
use ostrom_core::{CollectionId, Timestamp};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, SqlSafeStr};
use tokio::sync::OwnedMutexGuard;

use crate::db::{Arg, ReadConn, Readers, Row, WriteConn, args};
use crate::policy::{Policies, Views};
use crate::{Config, Custody, Error, Location, Reading, Writing, migrate, policy, reclaim};

/// How long a write waits for those before it.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long SQLite waits for another process (a backup, a checkpoint).
const BUSY: Duration = Duration::from_secs(10);
/// How often, and after what time, another node's lock is tried again.
const ATTEMPTS: u32 = 30;
const BETWEEN: Duration = Duration::from_millis(100);
/// The advisory lock by which a node owns a PostgreSQL database.
const OWNED: i64 = 0x6f73_7472_6f6d;

/// Everything that a node keeps. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    readers: Readers,
    writer: Arc<tokio::sync::Mutex<Writer>>,
    policies: RwLock<Policies>,
    collections: RwLock<Collections>,
    views: Mutex<Views>,
    /// How many transactions were committed since the store was opened.
    commits: AtomicU64,
}

/// What has to be known of collections to read and write objects.
#[derive(Debug, Default, Clone)]
pub(crate) struct Collections {
    keys: HashMap<CollectionId, i64>,
    ids: HashMap<i64, (CollectionId, Option<Policy>)>,
    /// The most bytes that a body in a collection ever had.
    largest: HashMap<i64, i64>,
}

impl Collections {
    pub(crate) fn add(&mut self, id: CollectionId, key: i64, may_read: Option<Policy>) {
        self.keys.insert(id, key);
        self.ids.insert(key, (id, may_read));
    }

    pub(crate) fn key(&self, id: CollectionId) -> Option<i64> {
        self.keys.get(&id).copied()
    }

    pub(crate) fn id(&self, key: i64) -> Option<CollectionId> {
        self.ids.get(&key).map(|(id, _)| *id)
    }

    /// The most bytes that a body in this collection ever had.
    pub(crate) fn largest(&self, key: i64) -> i64 {
        self.largest.get(&key).copied().unwrap_or(0)
    }

    /// The most bytes that any body ever had.
    pub(crate) fn largest_of_all(&self) -> i64 {
        self.largest.values().copied().max().unwrap_or(0)
    }

    pub(crate) fn set_largest(&mut self, key: i64, size: i64) {
        self.largest.insert(key, size);
    }

    pub(crate) fn may_read(&self, key: i64) -> Option<&Policy> {
        self.ids.get(&key).and_then(|(_, policy)| policy.as_ref())
    }
}

/// Whoever has it writes.
pub(crate) struct Writer {
    conn: Option<WriteConn>,
    state: State,
    /// Kept open, and so locked, as long as the store is.
    _lock: Option<File>,
    /// The number for the next object.
    pub(crate) next_seq: i64,
    /// When the last batch was added.
    pub(crate) last_added: i64,
    /// How many transactions were committed.
    pub(crate) generation: u64,
    /// Up to this number it was looked which policies nothing has.
    pub(crate) reclaimed: i64,
}

/// How the last transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Well.
    Clean,
    /// It was dropped: what it did must be rolled back.
    Open,
    /// It is not known whether it was committed: what is kept in memory must be read again.
    Unknown,
}

impl Writer {
    pub(crate) fn db(&mut self) -> Result<crate::db::Db<'_>, Error> {
        let lost = || Error::Unreachable { why: "the connection that writes was lost".to_owned() };
        self.conn.as_mut().map(WriteConn::db).ok_or_else(lost)
    }

    /// Commits what was begun.
    pub(crate) async fn commit(&mut self) -> Result<(), Error> {
        self.state = State::Unknown;
        self.generation = self.generation.saturating_add(1);
        self.db()?.script("COMMIT").await?;
        self.state = State::Clean;
        Ok(())
    }

    async fn rollback(&mut self) -> Result<(), Error> {
        // With no transaction under way PostgreSQL warns and SQLite refuses; both are fine.
        let result = self.db()?.script("ROLLBACK").await;
        match result {
            Err(Error::Database(said)) if said.contains("no transaction is active") => Ok(()),
            other => other,
        }
    }
}

fn closed() -> Error {
    Error::Refused("the store is closed".to_owned())
}

/// The name by which people know the database, without passwords.
fn name(location: &Location) -> String {
    location.to_string()
}

/// The options for connections to a file of SQLite; the cache in KiB.
pub(crate) fn sqlite_options(path: &Path, cache_kib: u32) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY)
        .foreign_keys(true)
        .pragma("cache_size", format!("-{cache_kib}"))
        .pragma("mmap_size", "0")
        .page_size(8192)
        // What was deleted is overwritten: a removed object is gone from the file too.
        .pragma("secure_delete", "ON")
        .pragma("journal_size_limit", "67108864")
        // Rows of a page wait here while the other side is busy with the first ones.
        .row_buffer_size(512)
        .disable_statement_logging()
}

impl Store {
    /// Opens a database, makes it if it is not there (SQLite), and brings its schema up to date.
    ///
    /// # Errors
    /// [`Error::InUse`], [`Error::Newer`], [`Error::NotOurs`], [`Error::Credentials`], [`Error::NoDatabase`],
    /// [`Error::Unreachable`], [`Error::File`], and what else may go wrong with a database.
    pub async fn open(config: &Config) -> Result<Self, Error> {
        let what = name(&config.location);
        let lock = match &config.location {
            Location::Sqlite(path) => Some(own_file(path, true)?),
            Location::Postgres(_) => None,
        };
        let mut conn = connect(config).await.map_err(|error| error.about(&what))?;
        migrate::migrate(&mut conn.db(), &what).await.map_err(|error| error.about(&what))?;
        reclaim::all(&mut conn.db()).await.map_err(|error| error.about(&what))?;
        let readers = readers(config).await?;
        let mut writer = Writer {
            conn: Some(conn),
            state: State::Clean,
            _lock: lock,
            next_seq: 1,
            last_added: i64::MIN,
            generation: 0,
            reclaimed: 0,
        };
        let (policies, collections) = load(&mut writer, None).await?;
        Ok(Self {
            inner: Arc::new(Inner {
                config: config.clone(),
                readers,
                writer: Arc::new(tokio::sync::Mutex::new(writer)),
                policies: RwLock::new(policies),
                collections: RwLock::new(collections),
                views: Mutex::new(Views::default()),
                commits: AtomicU64::new(0),
            }),
        })
    }

    /// What `reader` may see at `now`, and nothing else. It waits for nobody.
    ///
    /// # Errors
    /// If the store is closed.
    pub async fn reading(&self, reader: &Reader, now: Timestamp) -> Result<Reading, Error> {
        if self.inner.readers.is_closed() {
            return Err(closed());
        }
        let policies = self.policies();
        let view = self.views().get(reader, now, &policies, self.inner.config.views);
        Ok(Reading::new(self.clone(), view, now))
    }

    /// Begins to write, when all who came before are done. What is not committed is as if it had never been.
    ///
    /// `now`: the clock; times that are kept with what is written come from it.
    ///
    /// # Errors
    /// [`Error::Busy`] if it takes too long; or if the database fails.
    pub async fn writing(&self, now: Timestamp) -> Result<Writing, Error> {
        let writer = self.begin().await?;
        Ok(Writing::new(self.clone(), writer, now))
    }

    /// The door of those who keep what is here. See [`Custody`].
    pub fn custody(&self) -> Custody {
        Custody::new(self.clone())
    }

    /// Closes all connections, after writes under way. Other clones of the store can do nothing any more.
    pub async fn close(&self) {
        let mut writer = self.inner.writer.lock().await;
        if let Some(conn) = writer.conn.take() {
            let closed = match conn {
                WriteConn::Sqlite(conn) => sqlx::Connection::close(conn).await,
                WriteConn::Postgres(conn) => sqlx::Connection::close(conn).await,
            };
            // Whatever was acknowledged is on the disk already.
            drop(closed);
        }
        writer._lock = None;
        self.inner.readers.close().await;
    }

    /// Where the database is.
    pub fn location(&self) -> &Location {
        &self.inner.config.location
    }

    pub(crate) fn config(&self) -> &Config {
        &self.inner.config
    }

    /// How many transactions were committed since the store was opened, more or less.
    pub(crate) fn commits(&self) -> u64 {
        self.inner.commits.load(Ordering::Relaxed)
    }

    pub(crate) fn count_commit(&self) {
        self.inner.commits.fetch_add(1, Ordering::Relaxed);
    }

    /// How many readers' views are ready: what the cache holds.
    pub fn views_ready(&self) -> usize {
        self.views().len()
    }

    pub(crate) async fn begin(&self) -> Result<OwnedMutexGuard<Writer>, Error> {
        let lock = Arc::clone(&self.inner.writer).lock_owned();
        let mut writer = tokio::time::timeout(PATIENCE, lock).await.map_err(|_| Error::Busy)?;
        if self.inner.readers.is_closed() {
            return Err(closed());
        }
        if writer.state != State::Clean && writer.rollback().await.is_err() {
            writer.conn = None;
        }
        if writer.conn.is_none() || writer.state == State::Unknown {
            self.recover(&mut writer).await?;
        }
        writer.state = State::Open;
        if let Err(error) = writer.db()?.begin().await {
            if !matches!(error, Error::Unreachable { .. }) {
                return Err(error);
            }
            writer.conn = None;
            self.recover(&mut writer).await?;
            writer.state = State::Open;
            writer.db()?.begin().await?;
        }
        Ok(writer)
    }

    /// Connects again, if need be, and reads again what is kept in memory.
    async fn recover(&self, writer: &mut Writer) -> Result<(), Error> {
        writer.state = State::Unknown;
        if writer.conn.is_none() {
            writer.conn = Some(connect(&self.inner.config).await?);
        }
        let known = self.policies().clone();
        let (policies, collections) = load(writer, Some(&known)).await?;
        *self.policies_mut() = policies;
        *self.collections_mut() = collections;
        self.views().clear();
        writer.state = State::Clean;
        Ok(())
    }

    pub(crate) async fn read_conn(&self) -> Result<ReadConn, Error> {
        self.inner.readers.acquire().await
    }

    pub(crate) async fn fetch(&self, sql: impl SqlSafeStr, args: Vec<Arg>) -> Result<Vec<Row>, Error> {
        self.read_conn().await?.db().fetch(sql, args).await
    }

    pub(crate) async fn first(&self, sql: impl SqlSafeStr, args: Vec<Arg>) -> Result<Option<Row>, Error> {
        Ok(self.fetch(sql, args).await?.into_iter().next())
    }

    pub(crate) fn policies(&self) -> RwLockReadGuard<'_, Policies> {
        self.inner.policies.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn policies_mut(&self) -> RwLockWriteGuard<'_, Policies> {
        self.inner.policies.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn collections_known(&self) -> RwLockReadGuard<'_, Collections> {
        self.inner.collections.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn collections_mut(&self) -> RwLockWriteGuard<'_, Collections> {
        self.inner.collections.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn views(&self) -> MutexGuard<'_, Views> {
        self.inner.views.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The policy with this number.
    pub(crate) fn policy(&self, key: i64) -> Result<Policy, Error> {
        let policy = self.policies().get(key).map(|rule| rule.policy().clone());
        policy.ok_or_else(|| Error::damaged(format!("there is no policy {key}")))
    }

    /// The collection with this number.
    pub(crate) fn collection_id(&self, key: i64) -> Result<CollectionId, Error> {
        let id = self.collections_known().id(key);
        id.ok_or_else(|| Error::damaged(format!("there is no collection {key}")))
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("location", &self.inner.config.location).finish_non_exhaustive()
    }
}

/// Locks a file beside the database: one process owns a database. And makes the database's file, if it is not there and if so wished, readable for nobody else.
pub(crate) fn own_file(path: &Path, make: bool) -> Result<File, Error> {
    let fail =
        |path: &Path, why: &dyn std::fmt::Display| Error::File { path: path.into(), why: why.to_string() };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|error| fail(folder, &error))?;
    }
    let mut options = File::options();
    options.create(true).append(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".lock");
    let beside = Path::new(&beside);
    let lock = options.open(beside).map_err(|error| fail(beside, &error))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => {
            return Err(Error::InUse { what: path.display().to_string() });
        }
        Err(std::fs::TryLockError::Error(error)) => return Err(fail(beside, &error)),
    }
    if make {
        options.open(path).map_err(|error| fail(path, &error))?;
    }
    Ok(lock)
}

/// The connection that writes.
async fn connect(config: &Config) -> Result<WriteConn, Error> {
    match &config.location {
        Location::Sqlite(path) => {
            let options = sqlite_options(path, config.cache_kib / 2).statement_cache_capacity(128);
            Ok(WriteConn::Sqlite(options.connect().await?))
        }
        Location::Postgres(url) => {
            let mut conn = postgres_options(url)?.connect().await?;
            let mut db = crate::db::Db::Postgres(&mut conn);
            // The lock goes with the connection. After a node was killed it may take PostgreSQL a moment to notice.
            for attempt in 0..ATTEMPTS {
                if attempt > 0 {
                    tokio::time::sleep(BETWEEN).await;
                }
                let sql = "SELECT CAST(CAST(pg_try_advisory_lock($1) AS INT) AS BIGINT)";
                if db.first(sql, args![OWNED]).await?.map_or(Ok(0), |row| row.int(0))? == 1 {
                    return Ok(WriteConn::Postgres(conn));
                }
            }
            Err(Error::InUse { what: name(&config.location) })
        }
    }
}

async fn readers(config: &Config) -> Result<Readers, Error> {
    let most = config.readers.max(1);
    match &config.location {
        Location::Sqlite(path) => {
            let options = sqlite_options(path, config.cache_kib / 2 / most)
                .pragma("query_only", "ON")
                .statement_cache_capacity(64);
            let pool = SqlitePoolOptions::new()
                .max_connections(most)
                .min_connections(1)
                .idle_timeout(None)
                .max_lifetime(None)
                .test_before_acquire(false);
            Ok(Readers::Sqlite(pool.connect_with(options).await?))
        }
        Location::Postgres(url) => {
            let pool = PgPoolOptions::new().max_connections(most).min_connections(1);
            Ok(Readers::Postgres(pool.connect_with(postgres_options(url)?).await?))
        }
    }
}

fn postgres_options(url: &str) -> Result<PgConnectOptions, Error> {
    let options: PgConnectOptions =
        url.parse().map_err(|_| Error::Refused("this is not the URL of a PostgreSQL database".to_owned()))?;
    // Our queries go by an index in the order of their answer and stop at a limit, which the planner may not guess to be small.
    let plans = [("enable_sort", "off"), ("enable_bitmapscan", "off"), ("jit", "off")];
    Ok(options.application_name("ostrom").options(plans).disable_statement_logging())
}

/// Reads what is kept in memory.
async fn load(writer: &mut Writer, known: Option<&Policies>) -> Result<(Policies, Collections), Error> {
    let mut db = writer.db()?;
    let policies = policy::Policies::load(&mut db, known).await?;
    let mut collections = Collections::default();
    for row in db.fetch("SELECT id, key, may_read, largest FROM collection", args![]).await? {
        collections.add(row.parsed(0)?, row.int(1)?, row.maybe_json(2)?);
        collections.set_largest(row.int(1)?, row.int(3)?);
    }
    let last = |rows: Vec<Row>| rows.first().map_or(Ok(None), |row| row.maybe_int(0));
    let seq = last(db.fetch("SELECT max(seq) FROM object", args![]).await?)?;
    let gone = last(db.fetch("SELECT max(seq) FROM tombstone", args![]).await?)?;
    let batch = last(db.fetch("SELECT max(first_seq) FROM batch", args![]).await?)?;
    let added = last(db.fetch("SELECT max(added) FROM batch", args![]).await?)?;
    let removed = last(db.fetch("SELECT max(removed) FROM tombstone", args![]).await?)?;
    let next = [seq, gone, batch].into_iter().flatten().max().unwrap_or(0).saturating_add(1);
    writer.next_seq = next;
    writer.last_added = added.into_iter().chain(removed).max().unwrap_or(i64::MIN);
    Ok((policies, collections))
}
