//! The schema, and how an older one becomes the present one.

use sqlx::AssertSqlSafe;

use crate::Error;
use crate::db::{Db, args};

/// The steps, in order; step `n` leads to schema `n + 1`. What was released is never changed: new steps come after it.
const STEPS: [&str; 5] = [
    include_str!("sql/0001.sql"),
    include_str!("sql/0002.sql"),
    include_str!("sql/0003.sql"),
    include_str!("sql/0004.sql"),
    include_str!("sql/0005.sql"),
];

/// The present schema's number.
pub(crate) const CURRENT: i64 = STEPS.len() as i64;

/// The text of a step in the words of one of the databases.
fn dialect(text: &str, sqlite: bool) -> String {
    let words = if sqlite {
        [
            ("{key}", "INTEGER PRIMARY KEY"),
            ("{int}", "INTEGER"),
            ("{text}", "TEXT"),
            ("{blob}", "BLOB"),
            ("{clustered}", " WITHOUT ROWID"),
        ]
    } else {
        [
            ("{key}", "BIGINT PRIMARY KEY"),
            ("{int}", "BIGINT"),
            // By bytes, as SQLite compares.
            ("{text}", "TEXT COLLATE \"C\""),
            ("{blob}", "BYTEA"),
            ("{clustered}", ""),
        ]
    };
    words.into_iter().fold(text.to_owned(), |text, (word, meaning)| text.replace(word, meaning))
}

/// Brings the database to the present schema, in one transaction.
///
/// # Errors
/// [`Error::Newer`] if it has a later one, [`Error::NotOurs`] if it holds other tables.
pub(crate) async fn migrate(db: &mut Db<'_>, what: &str) -> Result<(), Error> {
    let sqlite = matches!(db, Db::Sqlite(_));
    db.begin().await?;
    let found = version(db, what).await?;
    if found > CURRENT {
        return Err(Error::Newer { found, known: CURRENT });
    }
    if found < CURRENT {
        let done = usize::try_from(found).map_err(|_| Error::NotOurs { what: what.to_owned() })?;
        for step in STEPS.iter().skip(done) {
            db.script(AssertSqlSafe(dialect(step, sqlite))).await?;
        }
        db.execute("DELETE FROM ostrom_schema", args![]).await?;
        db.execute("INSERT INTO ostrom_schema (number) VALUES ($1)", args![CURRENT]).await?;
    }
    db.script("COMMIT").await
}

/// Refuses what is not a node's database, or is a newer one. Nothing is written.
pub(crate) async fn known(db: &mut Db<'_>, what: &str) -> Result<(), Error> {
    let number = match db.first("SELECT number FROM ostrom_schema", args![]).await {
        Ok(row) => row.map_or(Ok(0), |row| row.int(0))?,
        Err(Error::Database(_)) => 0,
        Err(error) => return Err(error),
    };
    match number {
        0 => Err(Error::NotOurs { what: what.to_owned() }),
        found if found > CURRENT => Err(Error::Newer { found, known: CURRENT }),
        _ => Ok(()),
    }
}

/// The number of the schema; 0 if there is none.
async fn version(db: &mut Db<'_>, what: &str) -> Result<i64, Error> {
    let tables = match db {
        Db::Sqlite(_) => "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
        Db::Postgres(_) => {
            "SELECT CAST(tablename AS TEXT) FROM pg_tables WHERE schemaname = current_schema()"
        }
    };
    let names =
        db.fetch(tables, args![]).await?.iter().map(|row| row.text(0)).collect::<Result<Vec<_>, _>>()?;
    if names.iter().any(|name| name == "ostrom_schema") {
        let row = db.first("SELECT number FROM ostrom_schema", args![]).await?;
        return row.map_or(Ok(0), |row| row.int(0));
    }
    if !names.is_empty() {
        return Err(Error::NotOurs { what: what.to_owned() });
    }
    db.execute("CREATE TABLE ostrom_schema (number BIGINT NOT NULL)", args![]).await?;
    Ok(0)
}
