//! Hashing many stretches of many files at once.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use super::error::Why;
use super::hash::HashAlgorithm;
use super::tree::{Entry, open, unchanged, unreadable};
use super::turns::hash_by_turns;

/// Big enough to make system calls cheap, small enough to stay in a core's cache between reading and hashing.
const BUFFER: usize = 256 << 10;

/// What one BLAKE3 tree works on when several cores share it.
const SHARED_BUFFER: usize = 8 << 20;

/// From this length on, one BLAKE3 stretch is hashed on all cores.
const SHARED_FROM: u64 = 64 << 20;

/// Bytes hashed so far, and in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes read so far.
    pub done: u64,
    /// Bytes to read.
    pub total: u64,
}

/// Is told of progress, from any of the hashing threads.
pub type OnProgress<'a> = dyn Fn(Progress) + Sync + 'a;

/// A stretch of a file.
#[derive(Debug, Clone)]
pub(super) struct Unit {
    /// Index of the file.
    pub(super) file: usize,
    pub(super) start: u64,
    pub(super) end: u64,
    /// The BLAKE3 digest that these bytes had when their signed digest was last confirmed.
    pub(super) known: Option<[u8; 32]>,
}

impl Unit {
    pub(super) fn len(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }
}

/// What became of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Its digest, and its BLAKE3 digest if that was asked for.
    Digest { digest: Vec<u8>, blake3: Option<[u8; 32]> },
    /// Its BLAKE3 digest is the known one.
    Known,
}

/// How to hash.
pub(super) struct Job<'a> {
    pub(super) files: &'a [Entry],
    pub(super) units: &'a [Unit],
    pub(super) algorithm: HashAlgorithm,
    /// Make BLAKE3 digests as well, for the cache.
    pub(super) also_blake3: bool,
    /// Threads; 0 for one per core.
    pub(super) threads: usize,
}

/// Hashes all units; the results are in their order.
pub(super) fn hash_all(job: &Job<'_>, on_progress: &OnProgress<'_>) -> Vec<Result<Outcome, Why>> {
    let total = job.units.iter().fold(0_u64, |sum, unit| sum.saturating_add(unit.len()));
    // The longest first: a long one that starts last would keep one core busy while the others wait.
    let mut order: Vec<usize> = (0..job.units.len()).collect();
    order.sort_by_key(|&index| std::cmp::Reverse(job.units.get(index).map_or(0, Unit::len)));

    let next = AtomicUsize::new(0);
    let counter = Counter { done: AtomicU64::new(0), total, on_progress };
    on_progress(Progress { done: 0, total });
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let threads = if job.threads == 0 { cores } else { job.threads }.clamp(1, job.units.len().max(1));
    let next = || order.get(next.fetch_add(1, Ordering::Relaxed)).copied();
    // Of what is known only the other digest is taken, as long as it is right.
    let by_turns =
        job.algorithm == HashAlgorithm::Sha256 && job.units.iter().all(|unit| unit.known.is_none());
    let worker = || {
        if by_turns {
            return hash_by_turns(job, next, threads, &counter);
        }
        let mut buffer = vec![0; BUFFER];
        let mut results = Vec::new();
        while let Some(index) = next() {
            if let Some(unit) = job.units.get(index) {
                results.push((index, job.hash(unit, &mut buffer, &counter)));
            }
        }
        results
    };
    let mut results: Vec<Result<Outcome, Why>> =
        job.units.iter().map(|_| Err(Why::Unreadable("its thread ended early".to_owned()))).collect();
    thread::scope(|scope| {
        let helpers: Vec<_> = (1..threads).map(|_| scope.spawn(worker)).collect();
        let own = worker();
        // A thread that panicked leaves its units as they are: not examined.
        for (index, result) in
            helpers.into_iter().filter_map(|helper| helper.join().ok()).flatten().chain(own)
        {
            if let Some(slot) = results.get_mut(index) {
                *slot = result;
            }
        }
    });
    results
}

impl Job<'_> {
    fn hash(&self, unit: &Unit, buffer: &mut Vec<u8>, counter: &Counter<'_>) -> Result<Outcome, Why> {
        let entry = self.files.get(unit.file).ok_or(Why::Moving)?;
        let mut file = open(entry)?;
        let outcome = self.hash_open(&mut file, unit, buffer, counter)?;
        unchanged(&file, entry)?;
        Ok(outcome)
    }

    fn hash_open(
        &self,
        file: &mut File,
        unit: &Unit,
        buffer: &mut Vec<u8>,
        counter: &Counter<'_>,
    ) -> Result<Outcome, Why> {
        if let Some(known) = unit.known {
            let mut hasher = blake3::Hasher::new();
            read(file, unit, buffer, counter, |bytes| {
                hasher.update(bytes);
            })?;
            if hasher.finalize() == known {
                return Ok(Outcome::Known);
            }
            // Other bytes: read once more for the digest that the report of the difference shows.
        }
        let mut hasher = self.algorithm.hasher();
        let mut second = self.also_blake3.then(blake3::Hasher::new);
        if self.algorithm == HashAlgorithm::Blake3 && unit.len() >= SHARED_FROM {
            buffer.resize(SHARED_BUFFER, 0);
            read(file, unit, buffer, counter, |bytes| hasher.update_on_all_cores(bytes))?;
            buffer.truncate(BUFFER);
        } else {
            read(file, unit, buffer, counter, |bytes| {
                hasher.update(bytes);
                if let Some(second) = &mut second {
                    second.update(bytes);
                }
            })?;
        }
        let digest = hasher.finish();
        Ok(Outcome::Digest { digest, blake3: second.map(|hasher| hasher.finalize().into()) })
    }
}

/// Reads exactly the bytes of a unit; fewer mean that the file was cut while it was read.
fn read(
    file: &mut File,
    unit: &Unit,
    buffer: &mut [u8],
    counter: &Counter<'_>,
    mut take: impl FnMut(&[u8]),
) -> Result<(), Why> {
    file.seek(SeekFrom::Start(unit.start)).map_err(|error| unreadable(&error))?;
    let mut left = unit.len();
    while left > 0 {
        let want = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let Some(space) = buffer.get_mut(..want) else { return Err(Why::Moving) };
        let count = read_some(file, space)?;
        take(space.get(..count).unwrap_or_default());
        left = left.saturating_sub(count as u64);
        counter.add(count as u64);
    }
    Ok(())
}

/// Reads into `space`, at least one byte: where there is none, the file was cut while it was read.
pub(super) fn read_some(file: &mut File, space: &mut [u8]) -> Result<usize, Why> {
    loop {
        match file.read(space) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) => return Err(Why::Moving),
            other => return other.map_err(|error| unreadable(&error)),
        }
    }
}

pub(super) struct Counter<'a> {
    done: AtomicU64,
    total: u64,
    on_progress: &'a OnProgress<'a>,
}

impl Counter<'_> {
    pub(super) fn add(&self, count: u64) {
        let before = self.done.fetch_add(count, Ordering::Relaxed);
        // A file that the cache did not confirm is read twice.
        let done = before.saturating_add(count).min(self.total);
        (self.on_progress)(Progress { done, total: self.total });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::fs;

    use super::*;
    use crate::oms::tree::walk;

    #[test]
    fn many_threads_give_what_one_gives() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..40_usize {
            fs::write(
                folder.path().join(format!("{number}")),
                vec![number as u8; number * 70_001 % 1_000_003],
            )
            .unwrap();
        }
        let tree = walk(folder.path(), &HashSet::new(), false);
        let units: Vec<Unit> = tree
            .files
            .iter()
            .enumerate()
            .map(|(file, entry)| Unit { file, start: 0, end: entry.stamp.len, known: None })
            .collect();
        for algorithm in [HashAlgorithm::Sha256, HashAlgorithm::Blake2b, HashAlgorithm::Blake3] {
            let job =
                |threads| Job { files: &tree.files, units: &units, algorithm, also_blake3: false, threads };
            let last = AtomicU64::new(0);
            let results = hash_all(&job(4), &|progress| {
                last.fetch_max(progress.done, Ordering::Relaxed);
            });
            assert_eq!(results, hash_all(&job(1), &|_| ()));
            let bytes: u64 = tree.files.iter().map(|entry| entry.stamp.len).sum();
            assert_eq!(last.into_inner(), bytes);
            for (entry, result) in tree.files.iter().zip(results) {
                let mut hasher = algorithm.hasher();
                hasher.update(&fs::read(&entry.path).unwrap());
                assert_eq!(result, Ok(Outcome::Digest { digest: hasher.finish(), blake3: None }));
            }
        }
    }

    #[test]
    fn a_file_cut_while_it_is_read_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, vec![7; 3 << 20]).unwrap();
        let tree = walk(folder.path(), &HashSet::new(), false);
        let units = [Unit { file: 0, start: 0, end: 3 << 20, known: None }];
        let job = Job {
            files: &tree.files,
            units: &units,
            algorithm: HashAlgorithm::Sha256,
            also_blake3: false,
            threads: 1,
        };
        let results = hash_all(&job, &|progress| {
            if progress.done > 0 {
                File::options().write(true).open(&path).unwrap().set_len(1 << 20).unwrap();
            }
        });
        assert_eq!(results, [Err(Why::Moving)]);
        // Same length, other bytes, while it is read.
        fs::write(&path, vec![7; 3 << 20]).unwrap();
        let tree = walk(folder.path(), &HashSet::new(), false);
        let job = Job { files: &tree.files, ..job };
        let results = hash_all(&job, &|progress| {
            if progress.done == 3 << 20 {
                fs::write(&path, vec![8; 3 << 20]).unwrap();
            }
        });
        assert_eq!(results, [Err(Why::Moving)]);
    }
}
