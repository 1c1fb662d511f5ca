//! What can go wrong, said so that people know what to do.

use std::path::PathBuf;

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The disk is full.
    #[error("the disk with the database is full: free some space; nothing was half written")]
    DiskFull,
    /// Another node uses the database.
    #[error(
        "another node uses this database ({what}): stop it first, or give this one a database of its own"
    )]
    InUse {
        /// The file or the database's name.
        what: String,
    },
    /// It was busy for longer than we wait.
    #[error("the database is busy: try again")]
    Busy,
    /// A newer Ostrom made it.
    #[error(
        "the database has schema {found}, and this version of Ostrom knows {known} at most: use the newer Ostrom that made it"
    )]
    Newer {
        /// The schema's number in the database.
        found: i64,
        /// The highest that is known here.
        known: i64,
    },
    /// Not a database, or none of ours.
    #[error("{what} is not a database of a node: name another, or an empty one")]
    NotOurs {
        /// The file or the database's name.
        what: String,
    },
    /// The file is damaged.
    #[error(
        "the database is damaged ({what}): stop the node and restore the last backup with `ostrom restore`"
    )]
    Damaged {
        /// Where.
        what: String,
    },
    /// PostgreSQL does not know the user or the password.
    #[error("PostgreSQL refuses the user or the password: check the database's URL")]
    Credentials,
    /// There is no such database.
    #[error("PostgreSQL has no such database: make it with `createdb`, or check the URL")]
    NoDatabase,
    /// PostgreSQL does not answer.
    #[error(
        "PostgreSQL cannot be reached ({why}): check the host, the port and TLS in the URL, and whether it runs"
    )]
    Unreachable {
        /// What the network said.
        why: String,
    },
    /// A file cannot be used.
    #[error("{}: {why}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// What was asked for is not possible.
    #[error("{0}")]
    Refused(String),
    /// Something with that name is there already.
    #[error("{what} is taken: choose another")]
    Taken {
        /// What kind of thing.
        what: &'static str,
    },
    /// What a write refers to does not exist.
    #[error("there is no such {what}")]
    Missing {
        /// What kind of thing.
        what: &'static str,
    },
    /// The database refused, for a reason that people cannot mend.
    #[error("the database said: {0}")]
    Database(String),
}

impl Error {
    /// A damaged record.
    pub(crate) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged { what: what.into() }
    }

    /// With the name of what is taken.
    pub(crate) fn taken(self, what: &'static str) -> Self {
        if matches!(self, Self::Taken { .. }) { Self::Taken { what } } else { self }
    }

    /// With the name of the database.
    pub(crate) fn about(self, name: &str) -> Self {
        if matches!(self, Self::NotOurs { .. }) { Self::NotOurs { what: name.to_owned() } } else { self }
    }

    /// Whether trying again later may help.
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::Busy | Self::DiskFull | Self::Unreachable { .. })
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(database) => {
                let code = database.code().unwrap_or_default();
                // SQLite's extended result codes hold the primary one in their lowest byte.
                let primary = code.parse::<u32>().map_or(0, |code| code & 0xff);
                let sqlite = code.len() != 5;
                match (sqlite, primary, &*code) {
                    (true, 5 | 6, _) | (false, _, "55P03" | "40001" | "40P01") => Self::Busy,
                    (true, 13, _) | (false, _, "53100") => Self::DiskFull,
                    (true, 11, _) | (false, _, "XX001" | "XX002") => Self::damaged(database.message()),
                    (true, 26, _) => Self::NotOurs { what: "the file".to_owned() },
                    (true, 19, _) if database.is_unique_violation() => Self::Taken { what: "the name" },
                    (true, 19, _) if database.is_foreign_key_violation() => Self::Missing { what: "thing" },
                    (false, _, "23505") => Self::Taken { what: "the name" },
                    (false, _, "23503") => Self::Missing { what: "thing" },
                    (false, _, "28000" | "28P01") => Self::Credentials,
                    (false, _, "3D000") => Self::NoDatabase,
                    (false, _, "57P01" | "57P02" | "57P03" | "53300") => {
                        Self::Unreachable { why: database.message().to_owned() }
                    }
                    _ => Self::Database(database.message().to_owned()),
                }
            }
            sqlx::Error::Io(io) if io.kind() == std::io::ErrorKind::StorageFull => Self::DiskFull,
            sqlx::Error::Io(io) => Self::Unreachable { why: io.to_string() },
            sqlx::Error::Tls(why) => Self::Unreachable { why: why.to_string() },
            sqlx::Error::PoolTimedOut => Self::Busy,
            _ => Self::Database(error.to_string()),
        }
    }
}
