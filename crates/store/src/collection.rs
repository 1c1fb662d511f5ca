//! Collections of objects.

use ostrom_core::handling::{Handling, Policy, Reader};
use ostrom_core::{CollectionId, Timestamp};

use crate::db::{Row, args, json};
use crate::{Error, Reading, Store, Writing};

/// A collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collection {
    /// Its id.
    pub id: CollectionId,
    /// A short name for URLs, unique.
    pub alias: Option<String>,
    /// Its title.
    pub title: String,
    /// What it is for.
    pub description: String,
    /// Who may read it; `None`: whoever may read an object in it. It is part of the effective policy of every object in it.
    pub may_read: Option<Policy>,
    /// Who may write to it, among those who may read it; `None`: nobody.
    pub may_write: Option<Policy>,
    /// What holds for objects without marks; `None`: such objects are refused. The exchange applies it.
    pub handling: Option<Handling>,
    /// What it holds, as TAXII writes it.
    pub media_types: Vec<String>,
    /// Since when there is such a collection.
    pub created: Timestamp,
}

impl Collection {
    /// One for everybody, of which nothing else is said: for tests.
    #[cfg(test)]
    pub(crate) fn bare(number: u128) -> Self {
        Self {
            id: CollectionId::new(ostrom_core::Uuid::from_u128(number)),
            alias: None,
            title: String::new(),
            description: String::new(),
            may_read: None,
            may_write: None,
            handling: None,
            media_types: Vec::new(),
            created: Timestamp::EPOCH,
        }
    }

    /// Whether somebody may know of it, and read what objects allow.
    pub fn readable(&self, reader: &Reader, now: Timestamp) -> bool {
        self.may_read.as_ref().is_none_or(|policy| policy.allows(reader, now))
    }

    /// Whether somebody may write to it.
    pub fn writable(&self, reader: &Reader, now: Timestamp) -> bool {
        self.readable(reader, now) && self.may_write.as_ref().is_some_and(|policy| policy.allows(reader, now))
    }
}

const ALL: &str = "SELECT id, alias, title, description, may_read, may_write, handling, media_types, created \
                   FROM collection ORDER BY created, id";

fn collection(row: &Row) -> Result<Collection, Error> {
    Ok(Collection {
        id: row.parsed(0)?,
        alias: row.maybe_text(1)?,
        title: row.text(2)?,
        description: row.text(3)?,
        may_read: row.maybe_json(4)?,
        may_write: row.maybe_json(5)?,
        handling: row.maybe_json(6)?,
        media_types: row.json(7)?,
        created: row.time(8)?,
    })
}

impl Store {
    /// All collections, for administrators; readers ask [`Reading::collections`].
    ///
    /// # Errors
    /// If the database fails.
    pub async fn collections(&self) -> Result<Vec<Collection>, Error> {
        self.fetch(ALL, args![]).await?.iter().map(collection).collect()
    }
}

impl Reading {
    /// The collections that the reader may know of, oldest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn collections(&self) -> Result<Vec<Collection>, Error> {
        let mut all = self.store().collections().await?;
        all.retain(|collection| collection.readable(self.reader(), self.now()));
        Ok(all)
    }

    /// A collection by its id or alias, if the reader may know of it.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn collection(&self, name: &str) -> Result<Option<Collection>, Error> {
        let sql = "SELECT id, alias, title, description, may_read, may_write, handling, media_types, created \
                   FROM collection WHERE id = $1 OR alias = $1 ORDER BY key";
        let found = self.store().fetch(sql, args![name]).await?;
        let mut found = found.iter().map(collection).collect::<Result<Vec<_>, _>>()?;
        found.retain(|collection| collection.readable(self.reader(), self.now()));
        Ok(found.into_iter().next())
    }
}

impl Writing {
    /// Keeps a collection, or changes it. If who may read it changes, the policies of all objects in it, and of those that refer to them, are
    /// computed again, which takes its time where there are many.
    ///
    /// # Errors
    /// [`Error::Taken`] if another has the alias.
    pub async fn put_collection(&mut self, collection: &Collection) -> Result<(), Error> {
        let sql = "INSERT INTO collection (key, id, alias, title, description, may_read, may_write, handling, media_types, created, largest) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0) \
                   ON CONFLICT (id) DO UPDATE SET alias = $3, title = $4, description = $5, may_read = $6, may_write = $7, \
                   handling = $8, media_types = $9";
        let before = "SELECT key, may_read FROM collection WHERE id = $1";
        let before = self.fetch(before, args![collection.id]).await?;
        let known =
            before.first().map(|row| Ok::<_, Error>((row.int(0)?, row.maybe_json(1)?))).transpose()?;
        let key = match &known {
            Some((key, _)) => *key,
            None => {
                let row = self.fetch("SELECT coalesce(max(key), 0) FROM collection", args![]).await?;
                row.first().map_or(Ok(0), |row| row.int(0))?.saturating_add(1)
            }
        };
        let maybe = |policy: &Option<Policy>| policy.as_ref().map(json).transpose();
        let handling = collection.handling.as_ref().map(json).transpose()?;
        let Collection { id, alias, title, description, media_types, created, .. } = collection;
        let args = args![
            key,
            *id,
            alias.as_ref(),
            title,
            description,
            maybe(&collection.may_read)?,
            maybe(&collection.may_write)?,
            handling,
            json(media_types)?,
            *created,
        ];
        self.execute(sql, args).await.map_err(|error| error.taken("the collection's alias"))?;
        self.know_collection(*id, key, collection.may_read.clone());
        match known {
            Some((key, may_read)) if may_read != collection.may_read => self.recompute_collection(key).await,
            _ => Ok(()),
        }
    }
}
