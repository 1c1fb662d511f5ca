//! What became of objects that somebody posted by TAXII: its status resources.

use ostrom_core::{Timestamp, Uuid};

use crate::db::args;
use crate::{Error, Store, Writing};

/// The status of one post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posting {
    /// Its id.
    pub id: Uuid,
    /// Who posted: only the same may ask. The node decides how it writes persons and tokens here.
    pub owner: String,
    /// When.
    pub requested: Timestamp,
    /// The status resource: any text, not interpreted here.
    pub body: String,
}

impl Store {
    /// The status of a post, for its owner; anybody else's does not exist.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn posting(&self, id: Uuid, owner: &str) -> Result<Option<Posting>, Error> {
        let sql = "SELECT requested, body FROM taxii_status WHERE id = $1 AND owner = $2";
        let Some(row) = self.first(sql, args![id.to_string(), owner]).await? else { return Ok(None) };
        Ok(Some(Posting { id, owner: owner.to_owned(), requested: row.time(0)?, body: row.text(1)? }))
    }
}

impl Writing {
    /// Keeps the status of a post, or changes it. Its owner and time stay as they were.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn put_posting(&mut self, posting: &Posting) -> Result<(), Error> {
        let sql = "INSERT INTO taxii_status (id, owner, requested, body) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT (id) DO UPDATE SET body = $4";
        let args = args![posting.id.to_string(), &posting.owner, posting.requested, &posting.body];
        self.execute(sql, args).await?;
        Ok(())
    }

    /// Forgets statuses of posts before this time. Returns how many.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn forget_postings(&mut self, before: Timestamp) -> Result<u64, Error> {
        self.execute("DELETE FROM taxii_status WHERE requested < $1", args![before]).await
    }
}
