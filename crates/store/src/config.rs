//! Which database, and how much memory it may take.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The file's name in a data folder.
const FILE: &str = "ostrom.db";

/// Where the database is.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// A file of SQLite.
    Sqlite(PathBuf),
    /// The URL of a PostgreSQL database. It may hold a password.
    Postgres(String),
}

/// Why a text does not name a database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a database is sqlite:PATH, postgres://USER@HOST/NAME or a folder")]
pub struct ConfigError;

impl FromStr for Location {
    type Err = ConfigError;

    /// Reads `sqlite:PATH`, `postgres://…`, `postgresql://…`, or the path of a folder.
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() { Err(ConfigError) } else { Ok(Self::Sqlite(path.into())) };
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self::Postgres(text.to_owned()));
        }
        if text.is_empty() || text.contains("://") {
            return Err(ConfigError);
        }
        Ok(Self::Sqlite(Path::new(text).join(FILE)))
    }
}

impl fmt::Display for Location {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(url) => f.write_str(&masked(url)),
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The URL with neither its password nor its query, which may hold one too.
fn masked(url: &str) -> String {
    let bare = url.split(['?', '#']).next().unwrap_or_default();
    match (bare.split_once("://"), bare.rsplit_once('@')) {
        (Some((scheme, rest)), Some((_, host))) => {
            let user = rest.split([':', '@']).next().unwrap_or_default();
            format!("{scheme}://{user}@{host}")
        }
        _ => bare.to_owned(),
    }
}

/// How what a reader may see is found. The answers are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lookup {
    /// As is quicker for this reader.
    #[default]
    Judged,
    /// By the marks that let the reader read: quick for who sees little. For tests.
    ByMark,
    /// By going through everything: quick for who sees much. For tests.
    ByPlace,
}

/// How to open a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where the database is.
    pub location: Location,
    /// How many connections read at the same time; at least one.
    pub readers: u32,
    /// How much memory all of SQLite's page caches together may take, in KiB.
    pub cache_kib: u32,
    /// How many readers' views are kept ready; at least one.
    pub views: usize,
    /// How what a reader may see is found.
    pub lookup: Lookup,
}

impl Config {
    /// The usual measures for a database at this place.
    pub const fn new(location: Location) -> Self {
        Self { location, readers: 4, cache_kib: 16 * 1024, views: 256, lookup: Lookup::Judged }
    }

    /// `ostrom.db` in this folder.
    pub fn folder(folder: &Path) -> Self {
        Self::new(Location::Sqlite(folder.join(FILE)))
    }
}

impl FromStr for Config {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        text.parse().map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_as_people_write_them() {
        let sqlite = |path: &str| Ok(Location::Sqlite(path.into()));
        assert_eq!("sqlite:a/b.db".parse(), sqlite("a/b.db"));
        assert_eq!("sqlite:///var/lib/o.db".parse(), sqlite("/var/lib/o.db"));
        assert_eq!("data".parse(), sqlite("data/ostrom.db"));
        assert_eq!("postgres://h/n".parse(), Ok(Location::Postgres("postgres://h/n".to_owned())));
        for bad in ["", "sqlite:", "mysql://h/n", "http://h"] {
            assert!(bad.parse::<Location>().is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn a_password_is_never_printed() {
        for url in [
            "postgres://ann:s3cr3t@h:5433/node",
            "postgres://ann:s3cr3t@h:5433/node?sslmode=verify-full",
            "postgres://ann@h:5433/node?password=s3cr3t",
            "postgres://ann:s3@s3cr3t@h:5433/node",
        ] {
            let config: Config = url.parse().unwrap();
            assert_eq!(config.location.to_string(), "postgres://ann@h:5433/node");
            assert!(!format!("{config:?}").contains("s3cr3t"));
        }
    }
}
