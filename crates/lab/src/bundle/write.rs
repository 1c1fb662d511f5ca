//! From a finished run to a signed bundle.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use ostrom_core::{Digest, PredicateType, Statement, Subject};
use ostrom_trust::{Envelope, SecretKey, canonical_json};

use super::manifest::{Digester, FileEntry, Manifest, Tool};
use super::{BundleError, KEY, MANIFEST, SCHEMA, STATEMENT};
use crate::metrics::{Metrics, metrics};
use crate::run::{Run, WORK, new_file, write};
use crate::trial::Outcome;

/// Turns a finished run into a bundle, in its own folder, signed with `key`. `finished`: Unix seconds.
///
/// A run with failed trials keeps its journal beside the bundle, so that they can be tried again.
///
/// # Errors
/// If trials are not finished, or something cannot be written; then the run can still be resumed.
pub fn finish(run: &Run, key: &SecretKey, finished: u64) -> Result<(Manifest, Metrics), BundleError> {
    let folder = run.folder();
    let plan = run.trials();
    let unfinished = plan.len().saturating_sub(run.journal().finished());
    if unfinished > 0 {
        return Err(BundleError::Unfinished(unfinished));
    }
    let (trials, outcomes) = write_trials(run, &folder.join("trials.jsonl"))?;
    let figures = metrics(plan, &outcomes);
    let mut files = BTreeMap::from([("trials.jsonl".to_owned(), trials)]);
    for (name, bytes) in [("suite.json", json(plan.suite())?), ("metrics.json", json(&figures)?)] {
        write(&folder.join(name), &bytes)?;
        let mut digester = Digester::default();
        digester.update(&bytes);
        files.insert(name.to_owned(), digester.finish());
    }
    let suite = plan.suite();
    let manifest = Manifest {
        schema: SCHEMA.to_owned(),
        suite: suite.id.clone(),
        suite_version: suite.version.clone(),
        suite_digest: run.plan.suite,
        target: run.plan.target.clone(),
        settings: run.plan.settings.clone(),
        files,
        tool: Tool { name: "ostrom".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() },
    };
    let manifest_bytes = json(&manifest)?;
    let predicate = predicate(&manifest, &figures, run.plan.started, finished);
    let subject = Subject::new(MANIFEST, Digest::of(&manifest_bytes));
    let statement = Statement::new(vec![subject], PredicateType::evaluation(), predicate)
        .map_err(ostrom_trust::EnvelopeError::from)?;
    let envelope = Envelope::sign(&statement, key)?;
    write(&folder.join(MANIFEST), &manifest_bytes)?;
    write(&folder.join(KEY), key.public().to_pem()?.as_bytes())?;
    write(&folder.join(STATEMENT), &envelope.to_json().map_err(ostrom_trust::EnvelopeError::from)?)?;
    if figures.failed == 0 {
        let work = folder.join(WORK);
        std::fs::remove_dir_all(&work).map_err(|source| BundleError::Io { path: work, source })?;
    }
    Ok((manifest, figures))
}

/// What the signer states: the headline figures, so that a reader of the statement alone knows them, and the times,
/// for which there is only the signer's word.
pub(super) fn predicate(
    manifest: &Manifest,
    figures: &Metrics,
    started: u64,
    finished: u64,
) -> serde_json::Value {
    serde_json::json!({
        "suite": manifest.suite, "suiteVersion": manifest.suite_version, "suiteDigest": manifest.suite_digest,
        "target": manifest.target, "settings": manifest.settings, "tool": manifest.tool,
        "startedUnix": started, "finishedUnix": finished,
        "trials": figures.planned, "failed": figures.failed,
        "attackSuccess": figures.attack_success, "controlSuccess": figures.control_success,
        "benignUtility": figures.benign_utility, "utilityUnderAttack": figures.utility_under_attack,
    })
}

fn json<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, BundleError> {
    Ok(canonical_json(value).map_err(ostrom_trust::EnvelopeError::from)?)
}

/// Writes the trials in the plan's order and collects their outcomes.
fn write_trials(run: &Run, path: &Path) -> Result<(FileEntry, Vec<Option<Outcome>>), BundleError> {
    let io = |source| BundleError::Io { path: path.to_owned(), source };
    let temporary = path.with_extension("part");
    let mut writer = BufWriter::with_capacity(1 << 18, new_file(&temporary).map_err(io)?);
    let mut digester = Digester::default();
    let mut outcomes = Vec::new();
    run.journal().read(run.trials().len(), |trial, outcome| {
        outcomes.push(outcome);
        for bytes in [trial, b"\n"] {
            digester.update(bytes);
            writer.write_all(bytes).map_err(io)?;
        }
        Ok::<_, BundleError>(())
    })?;
    let missing = run.trials().len() - outcomes.len();
    if missing > 0 {
        return Err(BundleError::Unfinished(missing));
    }
    let file = writer.into_inner().map_err(|error| io(error.into_error()))?;
    file.sync_all().map_err(io)?;
    std::fs::rename(&temporary, path).map_err(io)?;
    Ok((digester.finish(), outcomes))
}
