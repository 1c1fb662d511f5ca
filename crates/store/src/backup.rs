//! Copies of a database, and back.

use std::fs::File;
use std::path::{Path, PathBuf};

use sqlx::ConnectOptions as _;

use crate::db::{Db, args};
use crate::store::{own_file, sqlite_options};
use crate::{Config, Error, Location, Store, migrate};

/// How much memory the copying may take for pages, in KiB.
const CACHE: u32 = 8 * 1024;

fn fail(path: &Path, why: impl std::fmt::Display) -> Error {
    Error::File { path: path.into(), why: why.to_string() }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn sqlite<'a>(location: &'a Location, tool: &str) -> Result<&'a Path, Error> {
    match location {
        Location::Sqlite(path) => Ok(path),
        Location::Postgres(_) => Err(Error::Refused(format!(
            "for a PostgreSQL database use PostgreSQL's own {tool} (see docs/node.md)"
        ))),
    }
}

impl Store {
    /// Copies the database to a new file while the node goes on: all that was committed when the copying began. SQLite only: for PostgreSQL, the error
    /// says what to use.
    ///
    /// # Errors
    /// [`Error::Refused`] for PostgreSQL, [`Error::File`] if the file is there already.
    pub async fn backup(&self, to: &Path) -> Result<(), Error> {
        backup_file(self.location(), to).await
    }
}

/// Copies the database at `location` to a new file; a node may be using it meanwhile.
///
/// # Errors
/// As for [`Store::backup`].
pub async fn backup_file(location: &Location, to: &Path) -> Result<(), Error> {
    let path = sqlite(location, "pg_dump --format=custom")?;
    if !path.is_file() {
        return Err(fail(path, "there is no database here"));
    }
    let name = to.to_str().ok_or_else(|| fail(to, "the name is not UTF-8"))?;
    new_file(to)?;
    let copied = async {
        let mut conn = sqlite_options(path, CACHE).connect().await?;
        migrate::known(&mut Db::Sqlite(&mut conn), &path.display().to_string()).await?;
        Db::Sqlite(&mut conn).execute("VACUUM INTO $1", args![name]).await?;
        sqlx::Connection::close(conn).await?;
        sync(to)
    };
    let copied = copied.await;
    if copied.is_err() {
        // Half a backup is worse than none. What made it half is what is told.
        drop(std::fs::remove_file(to));
    }
    copied
}

/// Makes the database of `config` from a backup. The backup is checked first; a database that is there already is not overwritten.
///
/// # Errors
/// [`Error::Refused`] for PostgreSQL, [`Error::File`] if there is a database already, [`Error::InUse`] if a node holds it,
/// [`Error::Damaged`], [`Error::Newer`] or [`Error::NotOurs`] for a backup that is not one.
pub async fn restore(from: &Path, config: &Config) -> Result<(), Error> {
    let path = sqlite(&config.location, "pg_restore")?;
    if path.exists() {
        return Err(fail(path, "there is a database already: move it away first"));
    }
    if !from.is_file() {
        return Err(fail(from, "there is no backup here"));
    }
    // Nobody may begin a database of that name meanwhile.
    let _lock = own_file(path, false)?;
    let half = beside(path, ".restoring");
    drop(std::fs::remove_file(&half));
    new_file(&half)?;
    let restored = async {
        std::fs::copy(from, &half).map_err(|error| fail(&half, error))?;
        let about = |error: Error| error.about(&from.display().to_string());
        let mut conn = sqlite_options(&half, CACHE)
            .journal_mode(sqlx::sqlite::SqliteJournalMode::Delete)
            .connect()
            .await
            .map_err(|error| about(error.into()))?;
        let mut db = Db::Sqlite(&mut conn);
        migrate::known(&mut db, &from.display().to_string()).await.map_err(about)?;
        for row in db.fetch("PRAGMA integrity_check(1)", args![]).await? {
            let said = row.text(0)?;
            if said != "ok" {
                return Err(Error::damaged(said));
            }
        }
        sqlx::Connection::close(conn).await?;
        sync(&half)?;
        for ending in ["-wal", "-shm"] {
            // Left over from a database that is gone: it must not be taken for this one's.
            drop(std::fs::remove_file(beside(path, ending)));
        }
        std::fs::rename(&half, path).map_err(|error| fail(path, error))?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        sync(folder)
    };
    let restored = restored.await;
    if restored.is_err() {
        drop(std::fs::remove_file(&half));
    }
    restored
}

/// A new, empty file that nobody else may read.
fn new_file(path: &Path) -> Result<(), Error> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path).map(drop).map_err(|error| fail(path, error))
}

/// Waits until it is on the disk.
fn sync(path: &Path) -> Result<(), Error> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|error| fail(path, error))
}
