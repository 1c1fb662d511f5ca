//! Other nodes that this one pulls from.

use ostrom_core::handling::Policy;
use ostrom_core::{OrgId, PeerId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::db::{Row, args, json};
use crate::{Error, Store, Writing};

/// How it goes with a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PeerState {
    /// It is pulled from.
    Active,
    /// An administrator stopped it.
    Paused,
    /// It broke a promise (a signature, a proof, its log): an administrator must look before it is pulled from again.
    Distrusted,
}

/// A peer node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its id here.
    pub id: PeerId,
    /// Where it is; unique.
    pub url: String,
    /// What people call it.
    pub name: String,
    /// The key that it signs with, as a text of the exchange's making.
    pub public_key: String,
    /// The member that the peer reads as when *it* pulls from us.
    pub organisation: Option<OrgId>,
    /// What is taken from it is at least as strict as this.
    pub limits: Option<Policy>,
    /// Where the next pull goes on: any text, not interpreted here.
    pub cursor: Option<String>,
    /// The last checkpoint of its log that was verified.
    pub checkpoint: Option<String>,
    /// How it goes.
    pub state: PeerState,
    /// When it was tried last.
    pub tried: Option<Timestamp>,
    /// When that succeeded last.
    pub succeeded: Option<Timestamp>,
    /// What went wrong the last time.
    pub problem: Option<String>,
    /// Since when.
    pub created: Timestamp,
}

const ALL: &str = "SELECT id, url, name, public_key, organisation, limits, cursor, checkpoint, state, tried, succeeded, problem, created \
                   FROM peer ORDER BY created, id";
const ONE: &str = "SELECT id, url, name, public_key, organisation, limits, cursor, checkpoint, state, tried, succeeded, problem, created \
                   FROM peer WHERE id = $1";

fn peer(row: &Row) -> Result<Peer, Error> {
    Ok(Peer {
        id: row.parsed(0)?,
        url: row.text(1)?,
        name: row.text(2)?,
        public_key: row.text(3)?,
        organisation: row.maybe_parsed(4)?,
        limits: row.maybe_json(5)?,
        cursor: row.maybe_text(6)?,
        checkpoint: row.maybe_text(7)?,
        state: row.json(8)?,
        tried: row.maybe_time(9)?,
        succeeded: row.maybe_time(10)?,
        problem: row.maybe_text(11)?,
        created: row.time(12)?,
    })
}

impl Store {
    /// All peers, oldest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn peers(&self) -> Result<Vec<Peer>, Error> {
        self.fetch(ALL, args![]).await?.iter().map(peer).collect()
    }

    /// A peer.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn peer(&self, id: PeerId) -> Result<Option<Peer>, Error> {
        self.first(ONE, args![id]).await?.as_ref().map(peer).transpose()
    }
}

impl Writing {
    /// Keeps a peer, or changes all of it. Together with [`put`](Self::put) in one transaction, objects and cursor go forward at once.
    ///
    /// # Errors
    /// [`Error::Taken`] if another has the URL.
    pub async fn put_peer(&mut self, peer: &Peer) -> Result<(), Error> {
        let sql = "INSERT INTO peer (id, url, name, public_key, organisation, limits, cursor, checkpoint, state, tried, succeeded, problem, created) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) \
                   ON CONFLICT (id) DO UPDATE SET url = $2, name = $3, public_key = $4, organisation = $5, limits = $6, cursor = $7, \
                   checkpoint = $8, state = $9, tried = $10, succeeded = $11, problem = $12";
        let limits = peer.limits.as_ref().map(json).transpose()?;
        let state = json(&peer.state)?;
        let args = args![
            peer.id,
            &peer.url,
            &peer.name,
            &peer.public_key,
            peer.organisation,
            limits,
            peer.cursor.as_ref(),
            peer.checkpoint.as_ref(),
            state,
            peer.tried,
            peer.succeeded,
            peer.problem.as_ref(),
            peer.created,
        ];
        self.execute(sql, args).await.map_err(|error| error.taken("the peer's URL"))?;
        Ok(())
    }

    /// Forgets a peer. What came from it stays.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn remove_peer(&mut self, id: PeerId) -> Result<bool, Error> {
        Ok(self.execute("DELETE FROM peer WHERE id = $1", args![id]).await? > 0)
    }
}
