//! The record of finished trials: one line each, appended as they finish.
//!
//! A line is written in one go. A kill in the middle leaves a line without its end, which is cut off when the journal
//! is opened again; every whole line is a whole trial.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ostrom_models::http::Spent;
use serde::Deserialize;

use crate::trial::{Outcome, Trial, Verdict};

/// The longest line that is written and read back, in bytes.
pub(crate) const MAX_LINE: usize = 64 << 20;
/// How often the journal is forced to the disk. A power cut loses at most this; a killed process loses nothing.
const SYNC: Duration = Duration::from_secs(2);

/// A trial with its number in the plan.
#[derive(Deserialize)]
struct Line {
    index: usize,
    trial: Trial,
}

/// A trial as it stands in the journal and, byte for byte, in the bundle: canonical JSON.
fn line(index: usize, trial: &Trial) -> Result<Vec<u8>, std::io::Error> {
    let trial = ostrom_trust::canonical_json(trial).map_err(std::io::Error::other)?;
    let mut line = prefix(index).into_bytes();
    line.extend_from_slice(&trial);
    line.extend_from_slice(SUFFIX);
    Ok(line)
}

fn prefix(index: usize) -> String {
    format!("{{\"index\":{index},\"trial\":")
}

const SUFFIX: &[u8] = b"}\n";

/// Where a trial's line lies, and how the trial ended.
#[derive(Debug, Clone, Copy)]
struct Place {
    offset: u64,
    length: usize,
    /// `None`: it failed.
    outcome: Option<Outcome>,
}

/// The journal of a run.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    end: u64,
    places: Vec<Option<Place>>,
    spent: Sum,
    synced: Instant,
}

/// Adds up what trials have used.
#[derive(Debug, Default)]
struct Sum(Spent);

impl Sum {
    fn add(&mut self, trial: &Trial) {
        let Spent { requests, tokens, .. } = &mut self.0;
        for call in &trial.calls {
            *requests = requests.saturating_add(1);
            tokens.input_tokens = tokens.input_tokens.saturating_add(call.usage.input_tokens);
            tokens.output_tokens = tokens.output_tokens.saturating_add(call.usage.output_tokens);
        }
    }
}

/// What is wrong with a journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The system could not read or write it.
    #[error("{}: {source}{}", path.display(), super::hint(source))]
    Io {
        /// The journal.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another process is working on the run.
    #[error("{} is in use: another `ostrom` is working on this run; wait for it or stop it", .0.display())]
    InUse(PathBuf),
    /// A whole line is no trial: somebody has changed the file.
    #[error("{}, line {line}: {message}; the journal has been changed from outside", path.display())]
    Corrupt {
        /// The journal.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
}

impl Journal {
    /// Opens or makes a journal, and cuts off a line that was not finished.
    ///
    /// # Errors
    /// If it cannot be read or written, another process has it open, or a whole line is no trial.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let io = |source| JournalError::Io { path: path.to_owned(), source };
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(JournalError::InUse(path.to_owned())),
            // Some file systems have no locks. Then it is as it was before there were any.
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        let mut journal = Self {
            path: path.to_owned(),
            file,
            end: 0,
            places: Vec::new(),
            spent: Sum::default(),
            synced: Instant::now(),
        };
        let mut reader = BufReader::new(journal.file.try_clone().map_err(io)?);
        let (mut offset, mut number) = (0, 0);
        let mut line = Vec::new();
        loop {
            line.clear();
            let length =
                reader.by_ref().take(MAX_LINE as u64 + 1).read_until(b'\n', &mut line).map_err(io)?;
            number += 1;
            let corrupt = |message| JournalError::Corrupt { path: path.to_owned(), line: number, message };
            if length > MAX_LINE {
                // Never written by this program: taken for an unfinished line, it would take everything after it along.
                return Err(corrupt(format!("it is longer than {MAX_LINE} bytes")));
            }
            if line.last() != Some(&b'\n') {
                break;
            }
            let entry: Line = serde_json::from_slice(&line).map_err(|error| corrupt(error.to_string()))?;
            if entry.index > 1 << 28 {
                return Err(corrupt(format!("there is no trial {}", entry.index)));
            }
            // The bundle takes these bytes as they are, so they must be the ones that this program writes.
            if self::line(entry.index, &entry.trial).map_err(io)? != line {
                return Err(corrupt("it is not in canonical form".to_owned()));
            }
            journal.spent.add(&entry.trial);
            journal.note(entry.index, Place { offset, length, outcome: entry.trial.outcome() });
            offset += length as u64;
        }
        journal.end = offset;
        journal.file.set_len(offset).map_err(io)?;
        Ok(journal)
    }

    fn note(&mut self, index: usize, place: Place) {
        if self.places.len() <= index {
            self.places.resize(index + 1, None);
        }
        if let Some(slot) = self.places.get_mut(index) {
            *slot = Some(place);
        }
    }

    /// Whether trial `index` is finished. With `retry`, a failed one is not.
    pub fn has(&self, index: usize, retry: bool) -> bool {
        self.places.get(index).copied().flatten().is_some_and(|place| !(retry && place.outcome.is_none()))
    }

    /// Number of finished trials.
    pub fn finished(&self) -> usize {
        self.places.iter().flatten().count()
    }

    /// Number of trials that failed.
    pub fn failed(&self) -> usize {
        self.places.iter().flatten().filter(|place| place.outcome.is_none()).count()
    }

    /// What all trials in the journal have used, those that were played again too. Requests without an answer are not
    /// in it.
    pub fn spent(&self) -> Spent {
        self.spent.0
    }

    /// Writes a finished trial down and returns it as it was written: one whose record would be too long to be read back
    /// counts as failed. A later line for the same trial replaces the earlier one.
    ///
    /// # Errors
    /// If it cannot be written; then the journal is as it was before.
    pub fn append(&mut self, index: usize, mut trial: Trial) -> Result<Trial, JournalError> {
        let io = |source| JournalError::Io { path: self.path.clone(), source };
        let mut line = line(index, &trial).map_err(io)?;
        if line.len() > MAX_LINE {
            self.spent.add(&trial);
            let reason =
                format!("its record would have {} bytes; at most {MAX_LINE} can be read back", line.len());
            trial = Trial { calls: Vec::new(), verdict: Verdict::Failed(reason), ..trial };
            line = self::line(index, &trial).map_err(io)?;
        }
        self.file.seek(SeekFrom::Start(self.end)).map_err(io)?;
        if let Err(source) = self.file.write_all(&line) {
            // What a full disk left of the line must not stay. If this fails too, opening cuts it off.
            let _ = self.file.set_len(self.end);
            return Err(io(source));
        }
        self.spent.add(&trial);
        self.note(index, Place { offset: self.end, length: line.len(), outcome: trial.outcome() });
        self.end += line.len() as u64;
        if self.synced.elapsed() > SYNC {
            self.sync()?;
        }
        Ok(trial)
    }

    /// Forces everything to the disk.
    ///
    /// # Errors
    /// If the system says that it could not.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        self.synced = Instant::now();
        self.file.sync_data().map_err(|source| JournalError::Io { path: self.path.clone(), source })
    }

    /// Reads the trials in the plan's order, one after another: each as canonical JSON, with its outcome if it has one.
    /// Stops at the first that is not finished.
    ///
    /// # Errors
    /// If a line cannot be read back, or what `visit` returns.
    pub fn read<E: From<JournalError>>(
        &self,
        count: usize,
        mut visit: impl FnMut(&[u8], Option<Outcome>) -> Result<(), E>,
    ) -> Result<(), E> {
        let io = |source| JournalError::Io { path: self.path.clone(), source };
        // Trials lie nearly in the plan's order, so the next one is mostly in the buffer.
        // The same handle: where locks bind, another one could not read.
        let mut handle = self.file.try_clone().map_err(io)?;
        handle.rewind().map_err(io)?;
        let mut file = BufReader::with_capacity(1 << 18, handle);
        let (mut line, mut at) = (Vec::new(), 0_u64);
        for (index, place) in self.places.iter().take(count).enumerate() {
            let Some(place) = place else { break };
            file.seek_relative(place.offset.cast_signed().wrapping_sub(at.cast_signed())).map_err(io)?;
            line.resize(place.length, 0);
            file.read_exact(&mut line).map_err(io)?;
            at = place.offset + place.length as u64;
            let trial =
                line.strip_prefix(prefix(index).as_bytes()).and_then(|rest| rest.strip_suffix(SUFFIX));
            let trial = trial.ok_or_else(|| JournalError::Corrupt {
                path: self.path.clone(),
                line: index + 1,
                message: "it is another line than the one that was written".to_owned(),
            })?;
            visit(trial, place.outcome)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::{Arm, Call};

    fn trial(id: &str, failed: bool) -> Trial {
        let outcome = Outcome { success: Some(false), utility: None, blocked: None };
        let verdict =
            if failed { Verdict::Failed("no answer".to_owned()) } else { Verdict::Outcome(outcome) };
        Trial { id: id.to_owned(), arm: Arm::Attack, repeat: 0, calls: Vec::new(), verdict }
    }

    #[test]
    fn cut_anywhere_it_keeps_every_whole_trial() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let mut journal = Journal::open(&path).unwrap();
        let mut ends = vec![0];
        for (index, id) in ["a", "b", "c"].iter().enumerate() {
            journal.append(index, trial(id, false)).unwrap();
            ends.push(std::fs::metadata(&path).unwrap().len());
        }
        drop(journal);
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..=whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let journal = Journal::open(&path).unwrap();
            let expect = ends.iter().filter(|&&end| end > 0 && end <= cut as u64).count();
            assert_eq!(journal.finished(), expect, "cut at {cut}");
            drop(journal);
            let mut journal = Journal::open(&path).unwrap();
            journal.append(3, trial("d", false)).unwrap();
            drop(journal);
            assert_eq!(Journal::open(&path).unwrap().finished(), expect + 1);
        }
    }

    #[test]
    fn a_changed_line_is_an_error_and_not_a_lost_trial() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let mut journal = Journal::open(&path).unwrap();
        journal.append(0, trial("a", false)).unwrap();
        drop(journal);
        let text = std::fs::read_to_string(&path).unwrap().replace("\"attack\"", "\"attic\"");
        std::fs::write(&path, text).unwrap();
        assert!(Journal::open(&path).unwrap_err().to_string().contains("line 1"));
    }

    #[test]
    fn only_one_process_at_a_time_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let journal = Journal::open(&path).unwrap();
        assert!(matches!(Journal::open(&path), Err(JournalError::InUse(_))));
        drop(journal);
        Journal::open(&path).unwrap();
    }

    #[test]
    fn a_trial_too_long_to_be_read_back_counts_as_failed_and_takes_nothing_along() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let mut journal = Journal::open(&path).unwrap();
        let mut long = trial("long", false);
        long.calls.push(Call {
            messages: Vec::new(),
            reply: "x".repeat(MAX_LINE),
            stop: ostrom_models::StopReason::EndOfTurn,
            usage: ostrom_models::Usage { input_tokens: 5, output_tokens: 7 },
            reported_model: None,
        });
        assert!(matches!(journal.append(0, long).unwrap().verdict, Verdict::Failed(_)));
        assert_eq!(journal.spent().tokens.output_tokens, 7, "what it cost was spent all the same");
        journal.append(1, trial("b", false)).unwrap();
        drop(journal);
        let journal = Journal::open(&path).unwrap();
        assert_eq!((journal.finished(), journal.failed()), (2, 1));
        drop(journal);
        // A line of that length can only come from outside: nothing is cut off for it.
        let mut bytes = std::fs::read(&path).unwrap();
        let length = bytes.len() as u64;
        bytes.resize(bytes.len() + MAX_LINE + 1, b'x');
        std::fs::write(&path, &bytes).unwrap();
        assert!(Journal::open(&path).unwrap_err().to_string().contains("line 3: it is longer"));
        assert!(std::fs::metadata(&path).unwrap().len() > length);
    }

    #[test]
    fn a_retried_trial_replaces_the_failed_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let mut journal = Journal::open(&path).unwrap();
        journal.append(0, trial("a", true)).unwrap();
        assert!(journal.has(0, false) && !journal.has(0, true));
        journal.append(0, trial("a", false)).unwrap();
        drop(journal);
        let journal = Journal::open(&path).unwrap();
        assert_eq!((journal.finished(), journal.failed()), (1, 0));
        let mut seen = Vec::new();
        journal
            .read(2, |bytes, outcome| {
                seen.push((bytes.to_vec(), outcome));
                Ok::<_, JournalError>(())
            })
            .unwrap();
        let expected = trial("a", false);
        assert_eq!(seen, [(ostrom_trust::canonical_json(&expected).unwrap(), expected.outcome())]);
    }
}
