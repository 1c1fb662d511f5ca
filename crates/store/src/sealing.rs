//! Public keys that members give out, so that what is for them can be sealed to them. The private keys are not here.

use ostrom_core::{OrgId, PersonId, Timestamp, Uuid};

use crate::db::{Row, args};
use crate::{Error, Store, Writing};

/// A public key for sealing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealingKey {
    /// Its id here.
    pub id: Uuid,
    /// The organisation that opens with it.
    pub organisation: OrgId,
    /// The person who does; `None`: whoever keeps the organisation's key.
    pub person: Option<PersonId>,
    /// The key, as a text of the exchange's making; unique.
    pub public_key: String,
    /// What its owner calls it.
    pub label: String,
    /// Since when.
    pub created: Timestamp,
    /// Since when nothing is sealed to it any more.
    pub retired: Option<Timestamp>,
}

const ALL: &str = "SELECT id, organisation, person, public_key, label, created, retired FROM sealing_key ORDER BY created, id";

fn key(row: &Row) -> Result<SealingKey, Error> {
    Ok(SealingKey {
        id: row.parsed(0)?,
        organisation: row.parsed(1)?,
        person: row.maybe_parsed(2)?,
        public_key: row.text(3)?,
        label: row.text(4)?,
        created: row.time(5)?,
        retired: row.maybe_time(6)?,
    })
}

impl Store {
    /// All keys for sealing, retired ones too, oldest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn sealing_keys(&self) -> Result<Vec<SealingKey>, Error> {
        self.fetch(ALL, args![]).await?.iter().map(key).collect()
    }
}

impl Writing {
    /// Keeps a new key, or retires one: nothing else of it changes.
    ///
    /// # Errors
    /// [`Error::Taken`] if somebody has given out the same key.
    pub async fn put_sealing_key(&mut self, key: &SealingKey) -> Result<(), Error> {
        let sql = "INSERT INTO sealing_key (id, organisation, person, public_key, label, created, retired) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO UPDATE SET retired = $7";
        let args = args![
            key.id.to_string(),
            key.organisation,
            key.person,
            &key.public_key,
            &key.label,
            key.created,
            key.retired,
        ];
        self.execute(sql, args).await.map_err(|error| error.taken("the key"))?;
        Ok(())
    }
}
