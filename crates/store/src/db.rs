//! The two databases behind one face: a query is one text, its arguments and rows are values.
//!
//! A limit is written `LIMIT $n + 0`: SQLite prepares a statement with a plain `LIMIT $n` again whenever the argument is bound, to plan by its
//! value, which takes longer than most of our queries.

use ostrom_core::{
    CaseId, CollectionId, Digest, GroupId, ObjectId, OrgId, PeerId, PersonId, Timestamp, TokenId,
};
use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, Postgres, Row as _, SqlSafeStr, Sqlite, SqliteConnection, SqlitePool};

use crate::Error;

/// A value to bind. Absent ones have a type too, since PostgreSQL asks.
#[derive(Debug, Clone)]
pub(crate) enum Arg {
    Int(Option<i64>),
    Text(Option<String>),
    Blob(Option<Vec<u8>>),
}

macro_rules! args_from {
    ($($variant:ident, $type:ty, $value:ident => $made:expr;)*) => {$(
        impl From<$type> for Arg {
            fn from($value: $type) -> Self {
                Self::$variant(Some($made))
            }
        }
        impl From<Option<$type>> for Arg {
            fn from(value: Option<$type>) -> Self {
                Self::$variant(value.map(|$value| $made))
            }
        }
    )*};
}

args_from! {
    Int, i64, value => value;
    Int, bool, value => i64::from(value);
    Int, Timestamp, value => value.micros();
    Text, &str, value => value.to_owned();
    Text, String, value => value;
    Text, &String, value => value.clone();
    Text, &ObjectId, value => value.as_str().to_owned();
    Text, OrgId, value => value.to_string();
    Text, PersonId, value => value.to_string();
    Text, GroupId, value => value.to_string();
    Text, CollectionId, value => value.to_string();
    Text, CaseId, value => value.to_string();
    Text, TokenId, value => value.to_string();
    Text, PeerId, value => value.to_string();
    Blob, Vec<u8>, value => value;
    Blob, &[u8], value => value.to_vec();
    Blob, &Vec<u8>, value => value.clone();
    Blob, &Digest, value => value.as_bytes().to_vec();
}

/// The arguments of a query.
macro_rules! args {
    ($($value:expr),* $(,)?) => { vec![$($crate::db::Arg::from($value)),*] };
}
pub(crate) use args;

/// A row of an answer.
pub(crate) enum Row {
    Sqlite(sqlx::sqlite::SqliteRow),
    Postgres(sqlx::postgres::PgRow),
}

macro_rules! getters {
    ($($name:ident -> $type:ty;)*) => {$(
        pub(crate) fn $name(&self, at: usize) -> Result<$type, Error> {
            // The types are those of our own tables: what does not fit is damage, found by decoding.
            let value = match self {
                Self::Sqlite(row) => row.try_get::<$type, _>(at),
                Self::Postgres(row) => row.try_get::<$type, _>(at),
            };
            value.map_err(|error| Error::damaged(format!("a record cannot be read: {error}")))
        }
    )*};
}

impl Row {
    getters! {
        int -> i64;
        maybe_int -> Option<i64>;
        text -> String;
        maybe_text -> Option<String>;
        blob -> Vec<u8>;
        maybe_blob -> Option<Vec<u8>>;
    }

    /// A flag.
    pub(crate) fn flag(&self, at: usize) -> Result<bool, Error> {
        Ok(self.int(at)? != 0)
    }

    /// A point in time.
    pub(crate) fn time(&self, at: usize) -> Result<Timestamp, Error> {
        time(self.int(at)?)
    }

    /// A point in time, if there is one.
    pub(crate) fn maybe_time(&self, at: usize) -> Result<Option<Timestamp>, Error> {
        self.maybe_int(at)?.map(time).transpose()
    }

    /// Something that is written as text.
    pub(crate) fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(&self, at: usize) -> Result<T, Error> {
        parse(&self.text(at)?)
    }

    /// Something that is written as text, if there is one.
    pub(crate) fn maybe_parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
        &self,
        at: usize,
    ) -> Result<Option<T>, Error> {
        self.maybe_text(at)?.map(|text| parse(&text)).transpose()
    }

    /// Something that is written as JSON.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self, at: usize) -> Result<T, Error> {
        from_json(&self.text(at)?)
    }

    /// Something that is written as JSON, if there is one.
    pub(crate) fn maybe_json<T: serde::de::DeserializeOwned>(&self, at: usize) -> Result<Option<T>, Error> {
        self.maybe_text(at)?.map(|text| from_json(&text)).transpose()
    }
}

fn time(micros: i64) -> Result<Timestamp, Error> {
    Timestamp::from_micros(micros).map_err(|error| Error::damaged(error.to_string()))
}

fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, Error> {
    text.parse().map_err(|error: T::Err| Error::damaged(error.to_string()))
}

fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| Error::damaged(format!("a record cannot be read: {error}")))
}

/// As JSON.
pub(crate) fn json<T: serde::Serialize>(value: &T) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::Refused(error.to_string()))
}

/// A connection that somebody lends.
pub(crate) enum Db<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection),
}

macro_rules! bound {
    ($sql:expr, $args:expr) => {{
        let mut query = sqlx::query($sql);
        for arg in $args {
            query = match arg {
                Arg::Int(value) => query.bind(value),
                Arg::Text(value) => query.bind(value),
                Arg::Blob(value) => query.bind(value),
            };
        }
        query
    }};
}

impl Db<'_> {
    /// The rows that a query gives.
    pub(crate) async fn fetch(&mut self, sql: impl SqlSafeStr, args: Vec<Arg>) -> Result<Vec<Row>, Error> {
        let sql = sql.into_sql_str();
        Ok(match self {
            Self::Sqlite(conn) => {
                let rows = bound!(sql, args).fetch_all(&mut **conn).await?;
                rows.into_iter().map(Row::Sqlite).collect()
            }
            Self::Postgres(conn) => {
                let rows = bound!(sql, args).fetch_all(&mut **conn).await?;
                rows.into_iter().map(Row::Postgres).collect()
            }
        })
    }

    /// The first row, if there is one.
    pub(crate) async fn first(&mut self, sql: impl SqlSafeStr, args: Vec<Arg>) -> Result<Option<Row>, Error> {
        Ok(self.fetch(sql, args).await?.into_iter().next())
    }

    /// How many rows a statement changed.
    pub(crate) async fn execute(&mut self, sql: impl SqlSafeStr, args: Vec<Arg>) -> Result<u64, Error> {
        let sql = sql.into_sql_str();
        Ok(match self {
            Self::Sqlite(conn) => bound!(sql, args).execute(&mut **conn).await?.rows_affected(),
            Self::Postgres(conn) => bound!(sql, args).execute(&mut **conn).await?.rows_affected(),
        })
    }

    /// Several statements without arguments.
    pub(crate) async fn script(&mut self, sql: impl SqlSafeStr) -> Result<(), Error> {
        let sql = sqlx::raw_sql(sql);
        match self {
            Self::Sqlite(conn) => sql.execute(&mut **conn).await.map(drop)?,
            Self::Postgres(conn) => sql.execute(&mut **conn).await.map(drop)?,
        }
        Ok(())
    }

    /// Begins to write.
    pub(crate) async fn begin(&mut self) -> Result<(), Error> {
        match self {
            Self::Sqlite(_) => self.script("BEGIN IMMEDIATE").await,
            Self::Postgres(_) => self.script("BEGIN").await,
        }
    }
}

/// The connections that read.
#[derive(Debug, Clone)]
pub(crate) enum Readers {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// One of them.
pub(crate) enum ReadConn {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

impl Readers {
    pub(crate) async fn acquire(&self) -> Result<ReadConn, Error> {
        Ok(match self {
            Self::Sqlite(pool) => ReadConn::Sqlite(pool.acquire().await?),
            Self::Postgres(pool) => ReadConn::Postgres(pool.acquire().await?),
        })
    }

    pub(crate) fn is_closed(&self) -> bool {
        match self {
            Self::Sqlite(pool) => pool.is_closed(),
            Self::Postgres(pool) => pool.is_closed(),
        }
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

impl ReadConn {
    pub(crate) fn db(&mut self) -> Db<'_> {
        match self {
            Self::Sqlite(conn) => Db::Sqlite(conn),
            Self::Postgres(conn) => Db::Postgres(conn),
        }
    }
}

/// The connection that writes.
pub(crate) enum WriteConn {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl WriteConn {
    pub(crate) fn db(&mut self) -> Db<'_> {
        match self {
            Self::Sqlite(conn) => Db::Sqlite(conn),
            Self::Postgres(conn) => Db::Postgres(conn),
        }
    }
}

/// The sizes that lists in queries are padded to, so that there are few different texts to prepare.
const SIZES: [usize; 5] = [1, 4, 16, 64, 256];

/// The smallest size that holds `count` members; the largest if none does.
pub(crate) fn padded(count: usize) -> usize {
    SIZES.into_iter().find(|size| *size >= count).unwrap_or(256)
}

/// `$first, …` for `count` arguments.
pub(crate) fn places(first: usize, count: usize) -> String {
    let mut text = String::with_capacity(count.saturating_mul(5));
    for at in first..first.saturating_add(count) {
        if at > first {
            text.push(',');
        }
        text.push('$');
        text.push_str(&at.to_string());
    }
    text
}

/// Adds the members of a list and fills up with the last one, which says nothing new within an `IN`.
pub(crate) fn pad<T: Clone>(args: &mut Vec<Arg>, members: impl IntoIterator<Item = T>, size: usize)
where
    Arg: From<T>,
{
    let start = args.len();
    args.extend(members.into_iter().map(Arg::from));
    if let Some(last) = args.get(start..).and_then(<[Arg]>::last).cloned() {
        args.resize(start.saturating_add(size), last);
    }
}
