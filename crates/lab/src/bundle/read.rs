//! Reading a bundle, with every digest checked on the way.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ostrom_core::Digest;

use super::manifest::{CHUNK, Digester, FileEntry, Manifest};
use super::{BundleError, FILES, KEY, MANIFEST, REPORT, SCHEMA, STATEMENT};
use crate::metrics::Metrics;
use crate::plan::Plan;
use crate::run::{KEPT, MAX_LINE, WORK, read_bounded};
use crate::suite::Suite;
use crate::trial::{Arm, Outcome, Trial, Verdict};

/// Limits on what is read whole into memory, in bytes.
pub(crate) const MAX_MANIFEST: u64 = 64 << 20;
const MAX_SUITE: u64 = 1 << 30;
/// Different reasons for failure that are told apart.
const MAX_REASONS: usize = 1_000;

/// A trial that has no outcome.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FailedTrial {
    /// The case's id, or the twin's.
    pub id: String,
    /// The side that was played.
    pub arm: Arm,
    /// 0 for the first repeat.
    pub repeat: u32,
    /// Why the target gave no answer.
    pub reason: String,
}

/// A bundle on disk whose digests hold.
pub struct Bundle {
    folder: PathBuf,
    /// What was tested and how.
    pub manifest: Manifest,
    /// Digest of the manifest: the bundle's name.
    pub digest: Digest,
    /// The figures on record.
    pub metrics: Metrics,
    /// The trials that should be there.
    pub plan: Arc<Plan>,
}

impl Bundle {
    /// Opens a bundle's folder and checks lengths and digests of all its files, and that nothing else lies there.
    ///
    /// # Errors
    /// What is wrong and where.
    pub fn open(folder: &Path) -> Result<Self, BundleError> {
        let missing = |missing| BundleError::Missing { folder: folder.to_owned(), missing };
        for name in FILES.into_iter().chain([MANIFEST, STATEMENT, KEY]) {
            if !folder.join(name).is_file() {
                return Err(missing(name));
            }
        }
        no_foreign_files(folder)?;
        let bytes = read_bounded(&folder.join(MANIFEST), MAX_MANIFEST)?;
        let manifest = parse_manifest(&bytes)?;
        for name in FILES {
            let entry = manifest
                .files
                .get(name)
                .ok_or_else(|| malformed(MANIFEST, format!("no digest of {name}")))?;
            check_file(folder, name, entry)?;
        }
        if let Some(extra) = manifest.files.keys().find(|name| !FILES.contains(&name.as_str())) {
            return Err(malformed(MANIFEST, format!("unknown file {extra}")));
        }
        let suite_bytes = read_bounded(&folder.join("suite.json"), MAX_SUITE)?;
        if Digest::of(&suite_bytes) != manifest.suite_digest {
            return Err(malformed("suite.json", "its digest is not the manifest's suite digest"));
        }
        let suite: Suite = parse("suite.json", &suite_bytes)?;
        let metrics = parse("metrics.json", &read_bounded(&folder.join("metrics.json"), MAX_MANIFEST)?)?;
        if (&suite.id, &suite.version) != (&manifest.suite, &manifest.suite_version) {
            return Err(malformed(MANIFEST, "the suite's name and version are not those in suite.json"));
        }
        suite.check_rules().map_err(|problem| malformed("suite.json", problem))?;
        let plan = Plan::checked(Arc::new(suite), manifest.settings.clone());
        let plan = Arc::new(plan.map_err(|problem| malformed(MANIFEST, problem))?);
        Ok(Self { folder: folder.to_owned(), digest: Digest::of(&bytes), manifest, metrics, plan })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Visits every trial in order; memory stays at one trial.
    ///
    /// # Errors
    /// If a line is no trial, or what `visit` returns.
    pub fn trials(
        &self,
        mut visit: impl FnMut(usize, Trial) -> Result<(), BundleError>,
    ) -> Result<(), BundleError> {
        let path = self.folder.join("trials.jsonl");
        let io = |source| BundleError::Io { path: path.clone(), source };
        let mut reader = BufReader::with_capacity(1 << 20, File::open(&path).map_err(io)?);
        let mut line = Vec::new();
        for index in 0.. {
            line.clear();
            if reader.by_ref().take(MAX_LINE as u64).read_until(b'\n', &mut line).map_err(io)? == 0 {
                break;
            }
            let place = || format!("trials.jsonl, line {}", index + 1);
            let trial = serde_json::from_slice(&line).map_err(|error| malformed(place(), error))?;
            visit(index, trial)?;
        }
        Ok(())
    }

    /// The reason that most failed trials give, and how many give it; `None` if none failed.
    ///
    /// # Errors
    /// If a line is no trial.
    pub fn commonest_failure(&self) -> Result<Option<(String, u64)>, BundleError> {
        let mut reasons: BTreeMap<String, u64> = BTreeMap::new();
        self.trials(|_, trial| {
            if let Verdict::Failed(reason) = trial.verdict
                && (reasons.len() < MAX_REASONS || reasons.contains_key(&reason))
            {
                *reasons.entry(reason).or_default() += 1;
            }
            Ok(())
        })?;
        Ok(reasons.into_iter().max_by_key(|&(_, count)| count))
    }

    /// All failed trials, in the plan's order.
    ///
    /// # Errors
    /// If a line is no trial.
    pub fn failed_trials(&self) -> Result<Vec<FailedTrial>, BundleError> {
        let mut failed = Vec::new();
        self.trials(|_, trial| {
            if let Verdict::Failed(reason) = trial.verdict {
                failed.push(FailedTrial { id: trial.id, arm: trial.arm, repeat: trial.repeat, reason });
            }
            Ok(())
        })?;
        Ok(failed)
    }

    /// The outcomes in the plan's order.
    ///
    /// # Errors
    /// If a line is no trial.
    pub fn outcomes(&self) -> Result<Vec<Option<Outcome>>, BundleError> {
        let mut outcomes = Vec::new();
        self.trials(|_, trial| {
            outcomes.push(trial.outcome());
            Ok(())
        })?;
        Ok(outcomes)
    }
}

/// Reads a manifest. What the version is, is asked before anything else.
pub(crate) fn parse_manifest(bytes: &[u8]) -> Result<Manifest, BundleError> {
    #[derive(serde::Deserialize)]
    struct Schema {
        schema: String,
    }
    let Schema { schema } = parse(MANIFEST, bytes)?;
    if schema != SCHEMA {
        return Err(BundleError::Version { found: schema.chars().take(80).collect() });
    }
    parse(MANIFEST, bytes)
}

fn parse<T: serde::de::DeserializeOwned>(place: &str, bytes: &[u8]) -> Result<T, BundleError> {
    serde_json::from_slice(bytes).map_err(|error| malformed(place, error))
}

pub(crate) fn malformed(place: impl Into<String>, message: impl ToString) -> BundleError {
    BundleError::Malformed { place: place.into(), message: message.to_string() }
}

fn no_foreign_files(folder: &Path) -> Result<(), BundleError> {
    let io = |source| BundleError::Io { path: folder.to_owned(), source };
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        let known = FILES.iter().chain(&[MANIFEST, STATEMENT, KEY, REPORT, WORK]).any(|known| name == *known);
        if !known {
            return Err(BundleError::Foreign(folder.join(name)));
        }
    }
    let work = folder.join(WORK);
    match std::fs::symlink_metadata(&work) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        // A link could lead anywhere.
        Ok(found) if found.is_dir() => {}
        _ => return Err(BundleError::Foreign(work)),
    }
    for entry in std::fs::read_dir(&work).map_err(io)? {
        let entry = entry.map_err(io)?;
        let known = KEPT.iter().any(|known| entry.file_name() == *known);
        if !known || !entry.file_type().map_err(io)?.is_file() {
            return Err(BundleError::Foreign(entry.path()));
        }
    }
    Ok(())
}

/// Compares a file with its entry, chunk by chunk.
fn check_file(folder: &Path, name: &str, entry: &FileEntry) -> Result<(), BundleError> {
    let path = folder.join(name);
    let io = |source| BundleError::Io { path: path.clone(), source };
    let mut file = File::open(&path).map_err(io)?;
    let (mut digester, mut buffer) = (Digester::default(), Vec::with_capacity(CHUNK));
    // The line that each chunk begins in.
    let (mut line, mut lines) = (1_u64, Vec::new());
    loop {
        buffer.clear();
        if file.by_ref().take(CHUNK as u64).read_to_end(&mut buffer).map_err(io)? == 0 {
            break;
        }
        lines.push(line);
        line += buffer.iter().filter(|&&byte| byte == b'\n').count() as u64;
        digester.update(&buffer);
    }
    let found = digester.finish();
    if found.length != entry.length {
        return Err(BundleError::Length { file: name.to_owned(), found: found.length, signed: entry.length });
    }
    let same = found.chunks.iter().zip(&entry.chunks).take_while(|(found, signed)| found == signed).count();
    let first = lines.get(same).map(|&line| {
        let from = same as u64 * CHUNK as u64;
        let to = found.length.min(from + CHUNK as u64);
        let line = name.ends_with(".jsonl").then_some(line);
        BundleError::Changed { file: name.to_owned(), from, to, line }
    });
    match first {
        Some(changed) => Err(changed),
        None if found != *entry => Err(malformed(MANIFEST, format!("the digests of {name} disagree"))),
        None => Ok(()),
    }
}
