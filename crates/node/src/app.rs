//! What all requests share.

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use ostrom_exchange::disclosure::Cases;
use ostrom_exchange::federation::{Puller, Server};
use ostrom_exchange::service::{Audit, Exchange};
use ostrom_exchange::taxii::{CursorKey, Taxii};
use ostrom_store::{Location, Store};
use sha2::Sha256;

use crate::federation::{self, Pulls};
use crate::logs::Logs;
use crate::net::{Fetch, Reach};
use crate::sign_in::token::Recent;
use crate::sign_in::{self, SignIn};
use crate::web::Floods;
use crate::{BaseUrl, Clock, Config, StartError, folder, publish, ticks};

/// How long a peer may take to answer.
const PEER_PATIENCE: Duration = Duration::from_secs(60);

/// A node's state; clones share it.
#[derive(Clone)]
pub struct App(Arc<Shared>);

/// The state itself.
pub struct Shared {
    /// How the node runs.
    pub config: Config,
    /// Where it is reached.
    pub base: BaseUrl,
    /// Its key for CSRF tokens and the like; a new one for every start.
    key: [u8; 32],
    /// Everything that is kept.
    pub store: Store,
    /// What is shared, and what may be done with it.
    pub exchange: Exchange,
    pub(crate) taxii: Taxii,
    /// Cases of coordinated disclosure.
    pub cases: Cases,
    pub(crate) peer_server: Server,
    pub(crate) puller: Puller,
    pub(crate) pulls: Pulls,
    pub(crate) logs: Logs,
    pub(crate) sign_in: SignIn,
    /// The way to other nodes.
    peers: Fetch,
    pub(crate) recent: Recent,
    /// What one actor may ask, or an address without one.
    pub(crate) floods: Floods,
    /// What all actors of one address may ask together.
    pub(crate) networks: Floods,
}

impl App {
    /// Opens everything that a node keeps.
    ///
    /// # Errors
    /// If the data folder, the database, the logs or the keys cannot be had.
    pub(crate) async fn open(config: Config, base: BaseUrl) -> Result<Self, StartError> {
        folder::make(&config.data)?;
        let key = folder::secret(&config.data.join("keys/forms.key"))?;
        let location = match &config.database {
            Some(url) => match url.parse() {
                Ok(location @ Location::Postgres(_)) => location,
                _ => {
                    return Err(StartError::State(
                        "the database is not postgres://USER@HOST/NAME (--database)".to_owned(),
                    ));
                }
            },
            None => Location::Sqlite(config.data.join("ostrom.db")),
        };
        let store = Store::open(&ostrom_store::Config::new(location)).await;
        let store = store.map_err(|error| StartError::State(error.to_string()))?;
        let logs = Logs::open(&config, &base, &store).await?;
        let audit = Audit::new(Arc::clone(&logs.audit));
        let exchange = Exchange::new(
            store.clone(),
            Arc::clone(&logs.transparency),
            Some(audit),
            ostrom_exchange::stix::Limits::default(),
        );
        let cases = Cases::new(store.clone(), Arc::clone(&logs.transparency));
        let (log, node) = (&logs.transparency, &logs.key);
        let peer_server = Server::new(store.clone(), Arc::clone(log), Arc::clone(node));
        let collection = federation::collection(&store, &config.clock, log.verifier().name()).await?;
        let stix = ostrom_exchange::stix::Limits::default();
        let puller = Puller::new(store.clone(), Arc::clone(log), Arc::clone(node), collection, stix);
        let settings = ostrom_exchange::taxii::Settings {
            title: config.title.clone(),
            base: base.origin(),
            ..ostrom_exchange::taxii::Settings::default()
        };
        let taxii = Taxii::new(exchange.clone(), settings, CursorKey::new(tag(&key, "cursors", &[])));
        let limits = &config.limits;
        let floods = Floods::new(f64::from(limits.rate), limits.burst);
        let networks = Floods::new(f64::from(limits.rate) * 8.0, limits.burst.saturating_mul(8));
        let sign_in = SignIn::new(&config, base.url("/auth/provider/callback"))?;
        let recent = Recent::default();
        let reach = if config.private_peers { Reach::All } else { Reach::Public };
        let peers = Fetch::new(reach, config.private_peers, PEER_PATIENCE);
        let peers = peers.map_err(|error| StartError::State(error.to_string()))?;
        Ok(Self(Arc::new(Shared {
            base,
            key,
            store,
            exchange,
            taxii,
            cases,
            peer_server,
            puller,
            pulls: Pulls::default(),
            logs,
            sign_in,
            peers,
            recent,
            floods,
            networks,
            config,
        })))
    }

    /// The one-time link for the first administrator, while there is none.
    pub(crate) async fn first_link(&self) -> Result<Option<String>, StartError> {
        sign_in::first_link(self).await.map_err(|error| StartError::State(error.to_string()))
    }

    /// Does now what else happens by itself after a while: the clocks of cases, ended embargoes, advisories of published cases that are still to be opened, and
    /// the count of what people read who are not signed in.
    ///
    /// # Errors
    /// What could not be done, for people.
    pub async fn settle(&self) -> Result<(), String> {
        publish::tick(self).await?;
        publish::catch_up(self, &mut std::collections::BTreeMap::new()).await?;
        self.exchange.let_go(self.clock().now()).await.map_err(|error| error.to_string())?;
        ticks::sum_up(self).await
    }

    /// Writes down what is still to be.
    pub(crate) async fn close(&self) {
        if let Err(why) = ticks::sum_up(self).await {
            eprintln!("ostrom node: the audit log: {why}");
        }
        if let Err(why) = self.logs.checkpoint().await {
            eprintln!("ostrom node: the last checkpoint could not be signed: {why}");
        }
        self.store.close().await;
    }

    /// A member, a group or a token has changed: nothing that is remembered of them holds any more.
    pub fn members_changed(&self) {
        self.recent.forget();
    }
}

impl Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("config", &self.config).field("base", &self.base).finish_non_exhaustive()
    }
}

impl Shared {
    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.config.clock
    }

    /// The data folder.
    #[must_use]
    pub fn data(&self) -> &PathBuf {
        &self.config.data
    }

    /// The way to other nodes: bounded, and only where that is allowed.
    pub(crate) fn peers(&self) -> &Fetch {
        &self.peers
    }

    /// A keyed hash of `parts`, for `purpose` only.
    pub(crate) fn tag(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
        tag(&self.key, purpose, parts)
    }
}

/// HMAC-SHA256 over the parts, each with its length before it.
pub(crate) fn tag(key: &[u8; 32], purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
    // INVARIANT: HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; 32] };
    for part in std::iter::once(purpose.as_bytes()).chain(parts.iter().copied()) {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}
