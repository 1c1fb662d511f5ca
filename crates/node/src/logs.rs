//! The node's two logs: the transparency log, which is for everybody, and the audit log, which is not.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ostrom_store::Store;
use ostrom_trust::SecretKey;
use ostrom_trust::log::{Durability, Log, Options, VerifierKey};

use crate::{BaseUrl, Config, StartError};

/// The setting that keeps the logs' origin: it stays what it was when the node began, whatever it is called later.
const ORIGIN: &str = "log-origin";
/// The longest that a power cut may reach back into the audit log.
const SYNC: Duration = Duration::from_secs(1);

/// The logs, and the key that signs them.
pub(crate) struct Logs {
    pub(crate) transparency: Arc<Log>,
    pub(crate) audit: Arc<Log>,
    pub(crate) key: Arc<SecretKey>,
    pub(crate) witnesses: Vec<VerifierKey>,
    /// Held while cosignatures are added.
    pub(crate) cosigning: Mutex<()>,
}

impl Logs {
    /// Opens both, or makes them.
    pub(crate) async fn open(config: &Config, base: &BaseUrl, store: &Store) -> Result<Self, StartError> {
        let state = |error: &dyn std::fmt::Display| StartError::State(error.to_string());
        let origin = match store.setting(ORIGIN).await.map_err(|error| state(&error))? {
            Some(origin) => origin,
            None => {
                let origin = base.authority();
                let kept = async {
                    let mut writing = store.writing(config.clock.now()).await?;
                    writing.set_setting(ORIGIN, Some(&origin)).await?;
                    writing.commit().await
                };
                kept.await.map_err(|error| state(&error))?;
                origin
            }
        };
        let witness = |text: &String| text.parse::<VerifierKey>().ok().filter(VerifierKey::is_witness);
        let witnesses: Option<Vec<_>> = config.witnesses.iter().map(witness).collect();
        let witnesses = witnesses.ok_or_else(|| {
            StartError::State(
                "a witness's key is NAME+HASH+KEY, as the witness publishes it (--witness)".to_owned(),
            )
        })?;
        let data = config.data.clone();
        let opened = tokio::task::spawn_blocking(move || {
            let text = |error: &dyn std::fmt::Display| error.to_string();
            let (key, _) =
                SecretKey::load_or_create(&data.join("keys/node.pem")).map_err(|error| text(&error))?;
            let key = Arc::new(key);
            let open = |folder: &str, options: &Options| {
                let path: &Path = &data.join(folder);
                let log = Log::open(path, Arc::clone(&key), &format!("{origin}/{folder}"), options);
                log.map(Arc::new).map_err(|error| text(&error))
            };
            let buffered = Durability::Buffered { sync_every: SYNC };
            // Whoever watches the log reads its entries too: they are commitments, or public statements.
            let public = Options { durability: buffered, max_record: 65_535, bundles: true };
            let private = Options { durability: buffered, max_record: 1 << 20, bundles: false };
            let (transparency, audit) = (open("log", &public)?, open("audit", &private)?);
            Ok::<_, String>((key, transparency, audit))
        });
        let (key, transparency, audit) =
            opened.await.map_err(|error| state(&error))?.map_err(StartError::State)?;
        Ok(Self { transparency, audit, key, witnesses, cosigning: Mutex::new(()) })
    }

    /// Signs what is new in both.
    pub(crate) async fn checkpoint(&self) -> Result<(), String> {
        let (transparency, audit) = (Arc::clone(&self.transparency), Arc::clone(&self.audit));
        let signed = tokio::task::spawn_blocking(move || {
            for log in [transparency, audit] {
                // Nothing is lost by leaving an empty log unsigned, and much is by signing what is not new.
                let new = log.latest().is_none_or(|latest| latest.checkpoint().size() < log.size());
                if new {
                    log.checkpoint().map_err(|error| error.to_string())?;
                }
            }
            Ok(())
        });
        signed.await.map_err(|error| error.to_string())?
    }
}
