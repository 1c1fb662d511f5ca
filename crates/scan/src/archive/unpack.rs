//! Running decoders over untrusted bytes: bounded, and with errors that say whose fault they are.

use std::io::{self, BufRead, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{BOMB, HIDDEN_BYTES, fields};
use crate::examination::Examination;
use crate::source::View;
use crate::spill::Spill;
use crate::trouble::Trouble;

/// Below this many unpacked bytes, nothing is a bomb.
const BOMB_FLOOR: u64 = 512 << 20;

/// Beyond the floor, how many bytes each packed byte may become. Deflate reaches 1,032 on zeros; arrays of zeros that
/// people save stay below the floor.
const BOMB_RATIO: u64 = 500;

/// The largest window that a decoder may hold in memory: what `xz -9` needs. zstd's documents ask decoders for 8 MiB.
pub(super) const WINDOW: u64 = 64 << 20;

/// From here on, a window is large.
const LARGE: u64 = 8 << 20;

/// Held while a decoder has a large window, so that several threads have one between them and not one each.
static ONE_LARGE: Mutex<()> = Mutex::new(());

/// Waits until no other thread has a large window, if this is one. Hold what it gives as long as the decoder, and not while
/// members are examined.
pub(super) fn turn(window: u64) -> Option<MutexGuard<'static, ()>> {
    (window > LARGE).then(|| ONE_LARGE.lock().unwrap_or_else(PoisonError::into_inner))
}

/// What stands behind a stream is called.
const REST: &str = "after the stream";

/// How many bytes are moved at once.
const CHUNK: usize = 1 << 16;

/// Reads a view through a buffer, and knows how far it is and whether an error came from the view.
pub(super) struct Input {
    view: View,
    buffer: Vec<u8>,
    start: usize,
    /// Where in the view the buffer ends.
    next: u64,
    failed: Option<Trouble>,
}

impl Input {
    pub(super) fn new(view: &View, offset: u64) -> Self {
        Self { view: view.clone(), buffer: Vec::new(), start: 0, next: offset, failed: None }
    }

    /// How much of the view was taken.
    pub(super) fn position(&self) -> u64 {
        self.next.saturating_sub(self.buffer.len().saturating_sub(self.start) as u64)
    }

    /// The next bytes, at most `len`, without taking them.
    pub(super) fn peek(&self, len: usize) -> Result<Vec<u8>, Trouble> {
        self.view.bytes(self.position(), len)
    }

    /// Bytes at a place that was passed.
    pub(super) fn before(&self, offset: u64, len: usize) -> Result<Vec<u8>, Trouble> {
        self.view.bytes(offset, len)
    }

    /// Takes exactly `len` bytes.
    pub(super) fn take(&mut self, len: usize) -> Result<Vec<u8>, Trouble> {
        let bytes = self.view.exactly(self.position(), len)?;
        self.skip(len as u64)?;
        Ok(bytes)
    }

    /// Leaves out `len` bytes.
    pub(super) fn skip(&mut self, len: u64) -> Result<(), Trouble> {
        let at = self.position();
        let end = at.checked_add(len).filter(|end| *end <= self.view.len());
        let end = end.ok_or_else(|| Trouble::malformed(at, "ends early"))?;
        match usize::try_from(len) {
            Ok(len) if len <= self.buffer.len().saturating_sub(self.start) => self.consume(len),
            _ => {
                self.buffer.clear();
                self.start = 0;
                self.next = end;
            }
        }
        Ok(())
    }

    /// What a decoder's stop was: the source's trouble, or bytes that are not what the format says.
    fn explain(&mut self, stop: Stop) -> Trouble {
        match (self.failed.take(), stop) {
            (Some(trouble), _) | (None, Stop::Trouble(trouble)) => trouble,
            (None, Stop::Decoder(what)) => Trouble::malformed(self.position(), what),
        }
    }
}

impl BufRead for Input {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start >= self.buffer.len() {
            match self.view.bytes(self.next, CHUNK) {
                Ok(bytes) => {
                    self.next = self.next.saturating_add(bytes.len() as u64);
                    self.buffer = bytes;
                    self.start = 0;
                }
                Err(trouble) => {
                    let error = io::Error::other(trouble.to_string());
                    self.failed = Some(trouble);
                    return Err(error);
                }
            }
        }
        Ok(self.buffer.get(self.start..).unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        self.start = self.start.saturating_add(amount).min(self.buffer.len());
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let count = bytes.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), bytes.get(..count)) {
            to.copy_from_slice(from);
        }
        self.consume(count);
        Ok(count)
    }
}

enum Stop {
    Decoder(String),
    Trouble(Trouble),
}

/// Unpacks `input` through the decoder that `open` makes, until the decoder says it is at its end.
///
/// # Errors
/// If the decoder fails, or a bound is reached. What was unpacked before stays in `spill`.
pub(super) fn unpack(
    input: &mut Input,
    spill: &mut Spill,
    scan: &mut Examination<'_>,
    open: impl for<'a> FnOnce(&'a mut Input) -> io::Result<Box<dyn Read + 'a>>,
) -> Result<(), Trouble> {
    let result = drain(input, spill, scan, open);
    result.map_err(|stop| input.explain(stop))
}

fn drain(
    input: &mut Input,
    spill: &mut Spill,
    scan: &mut Examination<'_>,
    open: impl for<'a> FnOnce(&'a mut Input) -> io::Result<Box<dyn Read + 'a>>,
) -> Result<(), Stop> {
    let packed = input.view.len();
    let mut decoder = guarded(|| open(input))?;
    let mut chunk = vec![0; CHUNK];
    loop {
        let count = guarded(|| {
            loop {
                match decoder.read(&mut chunk) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    done => return done,
                }
            }
        })?;
        if count == 0 {
            return Ok(());
        }
        spill.write(chunk.get(..count).unwrap_or_default(), scan).map_err(Stop::Trouble)?;
        defuse(spill.len(), packed, scan).map_err(Stop::Trouble)?;
        // Levels in one another multiply, so all of them together are held against the file that was given.
        defuse(scan.written(), scan.size(), scan).map_err(Stop::Trouble)?;
    }
}

/// Decoders are other people's code: a panic in one is a finding about the bytes, and not the end of the scan.
fn guarded<T>(work: impl FnOnce() -> io::Result<T>) -> Result<T, Stop> {
    // Nothing that `work` borrows is used after a panic, except `Input`, which holds no half-made state.
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(Stop::Decoder(error.to_string())),
        Err(_) => Err(Stop::Decoder("the decoder gave up on it".to_owned())),
    }
}

/// Stops a bomb, and everything else in the same file with it: whatever unpacks like that is not worth the time.
fn defuse(unpacked: u64, packed: u64, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    if unpacked < BOMB_FLOOR || unpacked / packed.max(1) < BOMB_RATIO {
        return Ok(());
    }
    scan.report(BOMB, None, format!("{packed} bytes unpack to more than {unpacked}"));
    scan.spend(u64::MAX)?;
    Err(Trouble::Limit("the rest was not unpacked".to_owned()))
}

/// Examines what was unpacked, then reports why there is no more of it, if there should be.
pub(super) fn conclude(
    name: &str,
    spill: Spill,
    result: Result<(), Trouble>,
    scan: &mut Examination<'_>,
) -> Result<(), Trouble> {
    if spill.len() > 0 {
        let view = spill.finish()?;
        scan.descend(name, &view);
    }
    result
}

/// Reports and examines what lies after the end of a compressed stream, unless it is padding: readers may go on there.
pub(super) fn rest(view: &View, end: u64, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    if let Some(at) = fields::first_nonzero(view, end, view.len())? {
        let count = view.len().saturating_sub(end);
        scan.report(HIDDEN_BYTES, Some(at), format!("{count} bytes follow the end of the stream"));
        if let Some(rest) = view.part(at, view.len().saturating_sub(at)) {
            scan.descend_raw(REST, &rest);
        }
    }
    Ok(())
}

/// What a stream's content is called: the stream's name without its folders and the extension of the compression.
pub(super) fn inner_name(name: &str, extensions: &[&str]) -> String {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() => {
            let extension = extension.to_ascii_lowercase();
            if matches!(extension.as_str(), "tgz" | "tbz2" | "txz" | "tzst") {
                return format!("{stem}.tar");
            }
            if extensions.contains(&extension.as_str()) { stem.to_owned() } else { name.to_owned() }
        }
        _ => name.to_owned(),
    }
}
