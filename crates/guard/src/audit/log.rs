//! Writing and reading the log.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ostrom_trust::SecretKey;
use ostrom_trust::log::{Durability, Log, Options, Recovery};
use tokio::sync::Notify;

use super::ahead::Ahead;
use super::asked::{Asked, Waiting};
use super::openings::Writer;
use super::{AuditError, Policies};
use crate::flow::{Engine, Event};
use crate::gateway::{Journal, JournalError, Opening, Rules, now};

/// Events after which a checkpoint is due, however little time has passed.
const CHECKPOINT_EVERY: u64 = 4_096;
/// The longest record, in bytes.
const MAX_RECORD: usize = 1 << 20;

/// What a record promises after power loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// An intent is on the disk before its call leaves. Calls that wait at the same time share a write.
    Durable,
    /// The operating system has the intent before its call leaves: it survives a killed guard. A power cut takes at most the last
    /// second.
    #[default]
    Buffered,
}

/// The audit log of a running guard.
pub struct AuditLog {
    log: Log,
    ahead: Ahead,
    mode: Mode,
    /// Rings when so many events were written that a checkpoint is due.
    due: Notify,
}

impl std::fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuditLog").field("mode", &self.mode).finish_non_exhaustive()
    }
}

/// A log that was opened: with the state that its events add up to.
#[derive(Debug)]
pub struct Opened {
    /// The log.
    pub log: AuditLog,
    /// Where the guard left off.
    pub engine: Engine,
    /// What still waits for a person, or for its call.
    pub waiting: Vec<Waiting>,
}

impl AuditLog {
    /// Opens the log `origin` in `folder`, or begins it, and plays its events to know where the guard left off. The policy that comes into force is kept
    /// beside it and recorded.
    ///
    /// # Errors
    /// If the log cannot be opened, or an event cannot be understood: a guard that does not know what was seen must not start.
    pub fn open(
        (folder, origin): (&Path, &str),
        key: impl Into<Arc<SecretKey>>,
        mode: Mode,
        keep_days: Option<u64>,
        policies: &mut Policies,
        (rules, snapshot): (&Arc<dyn Rules>, &[u8]),
    ) -> Result<Opened, AuditError> {
        let options = Options {
            durability: Durability::Buffered { sync_every: Duration::from_secs(1) },
            max_record: MAX_RECORD,
            ..Options::default()
        };
        let log = Log::open(&log_folder(folder), key, origin, &options)?;
        let mut engine = Engine::default();
        let mut in_force: Option<Arc<dyn Rules>> = None;
        let mut asked = Asked::default();
        for event in events(folder)? {
            let (_, event) = event?;
            asked.before(&engine, &event, in_force.as_deref());
            apply(&mut engine, &event, &mut in_force, policies)?;
        }
        policies.keep(rules, snapshot)?;
        let ahead = Ahead::new(Writer::new(folder, keep_days, now())?, log.size());
        let opened = Self { log, ahead, mode, due: Notify::new() };
        let started = Event::Started {
            policy: rules.version(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            mode: if rules.enforces() { "enforce" } else { "observe" }.to_owned(),
            readers: rules.readers(),
            at: now(),
        };
        opened.record(&started).map_err(|error| AuditError::File {
            path: folder.to_owned(),
            source: std::io::Error::other(error),
        })?;
        engine.apply(&started, None);
        asked.before(&engine, &started, in_force.as_deref());
        let waiting = asked.waiting(folder, rules.as_ref(), now())?;
        Ok(Opened { log: opened, engine, waiting })
    }

    /// What had to be cut off when the log was opened.
    #[must_use]
    pub fn recovery(&self) -> &Recovery {
        self.log.recovery()
    }

    /// Writes one event into the log `origin` in `folder` while no guard runs.
    ///
    /// # Errors
    /// If there is no log, a guard holds it, or it cannot be written.
    pub fn write_down(
        log: (&Path, &str),
        key: impl Into<Arc<SecretKey>>,
        event: &Event,
    ) -> Result<(), AuditError> {
        Self::write_down_and(log, key, event, || Ok(()))
    }

    /// The same, and does something once it is on record, before a guard can start.
    ///
    /// # Errors
    /// The same, or what that gives.
    pub(crate) fn write_down_and<E: From<AuditError>>(
        (folder, origin): (&Path, &str),
        key: impl Into<Arc<SecretKey>>,
        event: &Event,
        then: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        let log =
            Log::open(&log_folder(folder), key, origin, &Options::default()).map_err(AuditError::from)?;
        let bytes = serde_json::to_vec(event)
            .map_err(|error| AuditError::Record { index: log.size(), reason: error.to_string() })?;
        log.append(&bytes).map_err(AuditError::from)?;
        log.checkpoint().map_err(AuditError::from)?;
        then()?;
        log.close().map_err(AuditError::from)?;
        Ok(())
    }

    /// Ready when so much was written that a checkpoint is due.
    pub async fn due(&self) {
        self.due.notified().await;
    }

    /// Signs everything so far.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn checkpoint(&self) -> Result<(), AuditError> {
        // What cannot be written now fails its call, and is not signed.
        let _unwritten = self.write_all();
        self.log.checkpoint()?;
        Ok(())
    }
}

impl AuditLog {
    fn count(&self, number: u64) {
        if number % CHECKPOINT_EVERY == CHECKPOINT_EVERY - 1 {
            // Not here: it waits for the disk, and calls would wait with it.
            self.due.notify_one();
        }
    }
}

fn bytes(event: &Event) -> Result<Vec<u8>, JournalError> {
    // Most records fit.
    let mut bytes = Vec::with_capacity(1 << 10);
    serde_json::to_writer(&mut bytes, event).map_err(|error| JournalError::new(error.to_string()))?;
    // Here, since what is queued takes effect and must not be found too long later.
    if bytes.len() > MAX_RECORD {
        // Not how long: that would tell something of what the agent may not see.
        return Err(JournalError::too_long(MAX_RECORD));
    }
    Ok(bytes)
}

impl Journal for AuditLog {
    fn open(&self, opening: &Opening) -> Result<(), JournalError> {
        self.ahead.open(&self.log, opening)
    }

    fn append(&self, event: &Event) -> Result<u64, JournalError> {
        let number = self.ahead.put(&self.log, bytes(event)?)?;
        self.count(number);
        Ok(number)
    }

    fn record(&self, event: &Event) -> Result<u64, JournalError> {
        let number = self.ahead.put_now(&self.log, &bytes(event)?)?;
        self.count(number);
        Ok(number)
    }

    fn write_all(&self) -> Result<(), JournalError> {
        self.ahead.write_all(&self.log)
    }

    fn settle(&self, number: u64) -> Result<(), JournalError> {
        self.ahead.write(&self.log, number)?;
        match self.mode {
            Mode::Durable => self.log.sync().map_err(|error| JournalError::new(error.to_string())),
            Mode::Buffered => Ok(()),
        }
    }

    fn waits(&self) -> bool {
        self.mode == Mode::Durable
    }
}

impl Drop for AuditLog {
    fn drop(&mut self) {
        let _unwritten = self.write_all();
        // The log itself makes everything durable when it is dropped; a checkpoint that cannot be written now is made at the next start.
        let _unsigned = self.log.checkpoint();
    }
}

/// Where the transparency log lies.
#[must_use]
pub(super) fn log_folder(folder: &Path) -> PathBuf {
    folder.join("log")
}

/// Lets an event take effect, with what the policy of its time says.
pub(super) fn apply(
    engine: &mut Engine,
    event: &Event,
    in_force: &mut Option<Arc<dyn Rules>>,
    policies: &mut Policies,
) -> Result<(), AuditError> {
    let facts = match event {
        Event::Started { policy, .. } => {
            *in_force = Some(policies.get(*policy)?);
            None
        }
        Event::Decided(decision) => {
            in_force.as_ref().map(|rules| rules.facts(&decision.server, &decision.tool))
        }
        Event::Finished(outcome) => match (engine.place(outcome.call), in_force.as_ref()) {
            (Some((server, tool)), Some(rules)) => Some(rules.facts(&server, &tool)),
            _ => None,
        },
        _ => None,
    };
    engine.apply(event, facts.as_deref());
    Ok(())
}

/// The events of the log in `folder`, with their numbers.
///
/// # Errors
/// If there is no log.
pub fn events(
    folder: &Path,
) -> Result<impl Iterator<Item = Result<(u64, Event), AuditError>> + use<>, AuditError> {
    let entries = ostrom_trust::log::read(&log_folder(folder))?;
    Ok(entries.map(|entry| {
        let entry = entry?;
        let event = serde_json::from_slice(&entry.bytes)
            .map_err(|error| AuditError::Record { index: entry.index, reason: error.to_string() })?;
        Ok((entry.index, event))
    }))
}
