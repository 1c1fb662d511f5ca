//! The history: every checkpoint that the log has signed, one after another, each followed by an empty line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;

use super::checkpoint::SignedCheckpoint;
use super::error::LogError;
use super::files::{CHECKPOINT, HISTORY, read_bounded};
use super::note::{MAX_NOTE, VerifierKey};

/// What the next bytes of a history are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Chunk {
    /// Lines, an empty line, lines: a note, if all is well.
    Note(Vec<u8>),
    /// The file ends before the note does.
    Unfinished,
}

/// Reads the notes of a history one after another. Memory: one note.
pub(super) struct Notes<R> {
    reader: R,
    end: u64,
}

impl<R: BufRead> Notes<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, end: 0 }
    }

    /// Where the note that was read last ends, with its empty line.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Chunk>> {
        let (mut note, mut empty) = (Vec::new(), 0);
        while empty < 2 {
            let before = note.len();
            let limit = (MAX_NOTE + 2).saturating_sub(before) as u64;
            self.reader.by_ref().take(limit).read_until(b'\n', &mut note)?;
            let line = note.get(before..).unwrap_or_default();
            if line.is_empty() && before == 0 {
                return Ok(None);
            }
            if line.last() != Some(&b'\n') {
                return Ok(Some(Chunk::Unfinished));
            }
            empty += usize::from(line == b"\n");
        }
        self.end += note.len() as u64;
        note.pop();
        Ok(Some(Chunk::Note(note)))
    }
}

/// The notes of the log in `folder`. `None` if it has no history.
pub(super) fn open(folder: &Path) -> Result<Option<Notes<BufReader<File>>>, LogError> {
    let path = folder.join(HISTORY);
    match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        file => Ok(Some(Notes::new(BufReader::new(file.map_err(LogError::io(&path))?)))),
    }
}

/// The published checkpoint's bytes. `None` if there is none.
pub(super) fn published(folder: &Path) -> Result<Option<Vec<u8>>, LogError> {
    let path = folder.join(CHECKPOINT);
    read_bounded(&path, MAX_NOTE).map_err(LogError::io(&path))
}

/// What opening a log finds in its history.
#[derive(Debug, Default)]
pub(super) struct Past {
    /// The latest checkpoint.
    pub(super) latest: Option<SignedCheckpoint>,
    /// Whether `latest` is not published yet.
    pub(super) unpublished: bool,
    /// Where the history ends, after its last whole note.
    pub(super) end: u64,
    /// Whether there is something behind that was never acknowledged.
    pub(super) unfinished: bool,
}

/// Finds the latest checkpoint. A checkpoint counts as acknowledged once it is published, which happens after it is in the
/// history; so what is behind the published one may be unfinished, and nothing else.
pub(super) fn recover(folder: &Path, log: &VerifierKey) -> Result<Past, LogError> {
    let damaged = |why: String| LogError::damaged(folder, why);
    let mut past = Past::default();
    let published = published(folder)?
        .map(|bytes| SignedCheckpoint::open(&bytes, log))
        .transpose()
        .map_err(|error| damaged(format!("{CHECKPOINT}: {error}")))?;
    let mut is_found = published.is_none();
    if let Some(mut notes) = open(folder)? {
        let path = folder.join(HISTORY);
        while let Some(chunk) = notes.next().map_err(LogError::io(&path))? {
            if past.unfinished {
                return Err(damaged(format!(
                    "{HISTORY} has a checkpoint that was not signed by this log's key"
                )));
            }
            match (chunk, &published) {
                (Chunk::Note(bytes), Some(published)) if !is_found => {
                    let body = bytes.strip_prefix(published.text().as_bytes());
                    is_found = body.is_some_and(|rest| rest.starts_with(b"\n"));
                    past.end = notes.end();
                }
                (Chunk::Note(bytes), _) => match SignedCheckpoint::open(&bytes, log) {
                    Ok(signed) => {
                        past.latest = Some(signed);
                        past.unpublished = true;
                        past.end = notes.end();
                    }
                    // Sectors that a power cut lost look like this; but only at the end.
                    Err(_) => past.unfinished = true,
                },
                (Chunk::Unfinished, _) => {
                    past.unfinished = true;
                    break;
                }
            }
        }
    }
    if !is_found {
        return Err(damaged(format!("{HISTORY} does not have the checkpoint that is published")));
    }
    if past.latest.is_none() {
        past.latest = published;
    }
    Ok(past)
}
