//! What was decided and is not written yet.
//!
//! Events are put in their order under the lock of the guard's state, and written without it: by whoever waits first, for all who wait.
//! Nothing leaves the guard before [`Ahead::write`] has returned for its event, and with it for all events before.

use std::sync::{Mutex, MutexGuard, PoisonError};

use ostrom_trust::log::Log;

use super::openings::Writer;
use crate::gateway::{JournalError, Opening, now};

/// A buffer that a burst has made larger than this is not kept.
const KEEP: usize = 1 << 18;
/// About as many records as are written at once.
const USUAL: usize = 16;

/// Events on their way into the log.
pub(super) struct Ahead {
    queue: Mutex<Queue>,
    /// Held while something is written. Taken before `queue`, never after.
    files: Mutex<Files>,
}

#[derive(Debug, Default)]
struct Queue {
    /// What opens commitments. It is written before the records that were queued after it.
    openings: Vec<u8>,
    records: Vec<Vec<u8>>,
    /// Records in the log: those with lower numbers are written.
    written: u64,
    /// The number that the next record gets.
    next: u64,
    /// Whether the last write failed. Then nothing more is queued until what waits has been written, so that no more can wait than calls
    /// were under way.
    stuck: bool,
}

#[derive(Debug)]
struct Files {
    openings: Writer,
    /// A buffer to be used again.
    spare: Vec<u8>,
}

fn failed(error: &dyn std::fmt::Display) -> JournalError {
    JournalError::new(error.to_string())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it holds one of these.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ahead {
    /// Before a log of so many records.
    pub(super) fn new(openings: Writer, records: u64) -> Self {
        let queue = Queue { written: records, next: records, ..Queue::default() };
        Self { queue: Mutex::new(queue), files: Mutex::new(Files { openings, spare: Vec::new() }) }
    }

    /// Queues what opens the commitments in a record that is queued later.
    pub(super) fn open(&self, log: &Log, opening: &Opening) -> Result<(), JournalError> {
        self.queue(log)?.openings.extend_from_slice(opening.line());
        Ok(())
    }

    /// Queues a record and gives its number in the log.
    pub(super) fn put(&self, log: &Log, record: Vec<u8>) -> Result<u64, JournalError> {
        let mut queue = self.queue(log)?;
        let number = queue.next;
        queue.next = number.saturating_add(1);
        queue.records.push(record);
        Ok(number)
    }

    /// Writes everything that is queued and then a record, which is never queued: if it is not written now, it never is.
    pub(super) fn put_now(&self, log: &Log, record: &[u8]) -> Result<u64, JournalError> {
        let mut files = lock(&self.files);
        loop {
            self.flush(log, &mut files)?;
            // Held over the write: no other record gets in between.
            let mut queue = lock(&self.queue);
            if !queue.records.is_empty() {
                continue;
            }
            log.append(record).map_err(|error| failed(&error))?;
            let number = queue.next;
            queue.next = number.saturating_add(1);
            queue.written = queue.written.saturating_add(1);
            return Ok(number);
        }
    }

    /// The queue, as long as it moves.
    fn queue(&self, log: &Log) -> Result<MutexGuard<'_, Queue>, JournalError> {
        let queue = lock(&self.queue);
        if !queue.stuck {
            return Ok(queue);
        }
        drop(queue);
        self.write_all(log)?;
        Ok(lock(&self.queue))
    }

    /// Returns when the record of this number is in the log, and all before it.
    pub(super) fn write(&self, log: &Log, number: u64) -> Result<(), JournalError> {
        self.write_until(log, |queue| queue.written > number)?;
        if lock(&self.queue).written > number {
            return Ok(());
        }
        Err(JournalError::new("a record was lost on its way into the log: restart the guard".to_owned()))
    }

    /// Returns when everything that was queued before is written.
    pub(super) fn write_all(&self, log: &Log) -> Result<(), JournalError> {
        self.write_until(log, |queue| {
            queue.records.is_empty() && queue.openings.is_empty() && queue.written == queue.next
        })
    }

    fn write_until(&self, log: &Log, done: impl Fn(&Queue) -> bool) -> Result<(), JournalError> {
        if done(&lock(&self.queue)) {
            return Ok(());
        }
        let mut files = lock(&self.files);
        // Whoever held the files may have done it meanwhile.
        if done(&lock(&self.queue)) {
            return Ok(());
        }
        self.flush(log, &mut files)
    }

    /// Writes everything that is queued.
    fn flush(&self, log: &Log, files: &mut Files) -> Result<(), JournalError> {
        let (mut openings, records) = {
            let mut queue = lock(&self.queue);
            if queue.records.is_empty() && queue.openings.is_empty() {
                queue.stuck = false;
                return Ok(());
            }
            (
                std::mem::replace(&mut queue.openings, std::mem::take(&mut files.spare)),
                std::mem::replace(&mut queue.records, Vec::with_capacity(USUAL)),
            )
        };
        let mut written = Ok(());
        if !openings.is_empty() {
            written = files.openings.write(&openings, now()).map_err(|error| failed(&error));
        }
        if written.is_ok() {
            openings.clear();
            written = log.append_all(&records).map(|_first| ()).map_err(|error| failed(&error));
        }
        let mut queue = lock(&self.queue);
        queue.stuck = written.is_err();
        if written.is_ok() {
            queue.written = queue.written.saturating_add(records.len() as u64);
        } else {
            // They have taken effect, so they stay first in line. An opening that is written twice opens the same.
            let after = std::mem::replace(&mut queue.records, records);
            queue.records.extend(after);
            openings.append(&mut queue.openings);
            std::mem::swap(&mut openings, &mut queue.openings);
        }
        drop(queue);
        openings.clear();
        if openings.capacity() <= KEEP {
            files.spare = openings;
        }
        written
    }
}
