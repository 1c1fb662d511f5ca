//! Checking a bundle without trusting who made it.

use std::collections::BTreeSet;
use std::path::Path;

use ostrom_core::{Digest, PredicateType};
use ostrom_models::{Model, Request};
use ostrom_trust::{Envelope, KeyId, PublicKey};

use super::read::Bundle;
use super::{BundleError, KEY, REPORT, STATEMENT};
use crate::metrics::metrics;
use crate::run::{WORK, read_bounded};
use crate::script::{Next, next};
use crate::trial::{Item, Trial, Verdict};

/// The largest statement or report that is read, in bytes.
const MAX_STATEMENT: u64 = 16 << 20;
const MAX_REPORT: u64 = 256 << 20;

/// What was found to hold.
#[derive(Debug)]
pub struct Verification {
    /// The bundle's name.
    pub digest: Digest,
    /// The key that signed it.
    pub signer: KeyId,
    /// Whether the caller named that key, or it is only the bundle's own.
    pub expected_signer: bool,
    /// Trials whose messages and outcome were derived again.
    pub trials: usize,
    /// Trials among them that failed when they were run.
    pub failed: usize,
    /// Trials that were played again and got the same answers.
    pub replayed: usize,
    /// Whether the suite is one that this version of Ostrom has built in. Otherwise the bundle brings its own attacks and
    /// rules, which somebody has to look at.
    pub builtin_suite: bool,
    /// When the run ended, as the signer says: Unix seconds.
    pub finished: Option<u64>,
    /// Whether `run/` lies beside the bundle, for trying failed trials again. Its files have the names that they should have; nothing
    /// else of it was looked at, and nothing of it is signed with the bundle.
    pub work: bool,
}

/// Which trials to play again.
pub struct Rerun<'a> {
    /// The model at hand.
    pub model: &'a dyn Model,
    /// At most so many trials, at least 1, chosen at random: whoever made the bundle cannot know which.
    pub limit: usize,
}

/// Checks signature, digests, every trial, every figure, and the report if there is one.
///
/// `key`: the key that must have signed; `None` takes the bundle's own, which proves only that the bundle is whole.
///
/// # Errors
/// The first thing that does not hold, and where.
pub fn verify(folder: &Path, key: Option<&PublicKey>) -> Result<(Bundle, Verification), BundleError> {
    let verified = verify_evidence(folder, key)?;
    let report = folder.join(REPORT);
    match std::fs::symlink_metadata(&report) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(verified),
        Ok(found) if found.is_file() => {}
        // A folder could hold anything.
        _ => return Err(BundleError::Foreign(report)),
    }
    if read_bounded(&report, MAX_REPORT)? != crate::report::html(&verified.0)?.as_bytes() {
        return Err(BundleError::Report);
    }
    Ok(verified)
}

/// As [`verify`], but a report beside the evidence may be anything: for who is about to replace it.
///
/// # Errors
/// The first thing that does not hold, and where.
pub fn verify_evidence(
    folder: &Path,
    key: Option<&PublicKey>,
) -> Result<(Bundle, Verification), BundleError> {
    let bundle = Bundle::open(folder)?;
    let builtin_suite = bundle.plan.suite().check_name(bundle.manifest.suite_digest)?;
    let written = read_bounded(&folder.join(STATEMENT), MAX_STATEMENT)?;
    let envelope = Envelope::from_slice(&written)?;
    let pem = read_bounded(&folder.join(KEY), MAX_STATEMENT)?;
    let own = PublicKey::from_pem(&String::from_utf8_lossy(&pem))?;
    if own.to_pem()?.as_bytes() != pem {
        let message = "it is not the key's own PEM form: something was added to it or changed".to_owned();
        return Err(BundleError::Malformed { place: KEY.to_owned(), message });
    }
    if let Some(key) = key.filter(|key| **key != own) {
        return Err(BundleError::OtherKey { found: own.id().short(), wanted: key.id().short() });
    }
    let verified = envelope.verify(&own)?;
    // A signature covers the payload only. What surrounds it (key ids, spaces, unknown members) is Ostrom's own form or was changed.
    let as_signed = envelope.to_json().map_err(ostrom_trust::EnvelopeError::from)? == written;
    if !as_signed || !envelope.names_only(&verified.signer) {
        return Err(BundleError::Malformed {
            place: STATEMENT.to_owned(),
            message: "what surrounds the signed payload was changed".to_owned(),
        });
    }
    let signed = verified.statement.subjects().first().and_then(|subject| subject.digest());
    if signed != Some(bundle.digest) || verified.statement.subjects().len() != 1 {
        let signed = signed.map_or("nothing".to_owned(), |digest| digest.to_string());
        return Err(BundleError::OtherManifest { signed, found: bundle.digest });
    }
    if *verified.statement.predicate_type() != PredicateType::evaluation() {
        return Err(BundleError::Malformed {
            place: STATEMENT.to_owned(),
            message: format!("its predicate type is {}", verified.statement.predicate_type()),
        });
    }
    let (mut outcomes, mut failed) = (Vec::new(), 0);
    bundle.trials(|index, trial| {
        let wrong = |message: String| trial_error(index, &trial, message);
        let (item, repeat) =
            bundle.plan.get(index).ok_or_else(|| wrong("is one trial too many".to_owned()))?;
        check_trial(&bundle, item, repeat, &trial).map_err(wrong)?;
        failed += usize::from(trial.outcome().is_none());
        outcomes.push(trial.outcome());
        Ok(())
    })?;
    if outcomes.len() != bundle.plan.len() {
        let message = format!("{} trials, the suite makes {}", outcomes.len(), bundle.plan.len());
        return Err(BundleError::Malformed { place: "trials.jsonl".to_owned(), message });
    }
    let figures = metrics(&bundle.plan, &outcomes);
    if figures != bundle.metrics {
        let differs = |name: &str, same: bool| (!same).then(|| name.to_owned());
        let on_record = &bundle.metrics;
        let names = [
            differs("attack_success", figures.attack_success == on_record.attack_success),
            differs("control_success", figures.control_success == on_record.control_success),
            differs("benign_utility", figures.benign_utility == on_record.benign_utility),
            differs("utility_under_attack", figures.utility_under_attack == on_record.utility_under_attack),
            differs("by_mechanism", figures.by_mechanism == on_record.by_mechanism),
            differs("by_channel", figures.by_channel == on_record.by_channel),
        ];
        let names: Vec<String> = names.into_iter().flatten().collect();
        let names = if names.is_empty() { "a breakdown".to_owned() } else { names.join(", ") };
        return Err(BundleError::Metrics(names));
    }
    let stated = verified.statement.predicate();
    let time = |key: &str| stated.get(key).and_then(serde_json::Value::as_u64);
    let (started, finished) = (time("startedUnix"), time("finishedUnix"));
    let derived =
        super::write::predicate(&bundle.manifest, &figures, started.unwrap_or(0), finished.unwrap_or(0));
    // Compared as canonical text: a number may be read back as another type of number.
    let same = ostrom_trust::digest_of(stated).ok() == ostrom_trust::digest_of(&derived).ok();
    if started.is_none() || finished.is_none() || !same {
        return Err(BundleError::Malformed {
            place: STATEMENT.to_owned(),
            message: "the signed statement says other things than manifest and figures".to_owned(),
        });
    }
    let (folder, work) = (folder.join(WORK), folder.join(WORK).is_dir());
    if work && failed == 0 {
        // There is nothing to try again.
        return Err(BundleError::Foreign(folder));
    }
    let verification = Verification {
        digest: bundle.digest,
        signer: verified.signer,
        expected_signer: key.is_some(),
        trials: outcomes.len(),
        failed,
        replayed: 0,
        builtin_suite,
        finished,
        work,
    };
    Ok((bundle, verification))
}

fn trial_error(index: usize, trial: &Trial, message: String) -> BundleError {
    BundleError::Trial { line: index + 1, id: trial.id.clone(), arm: trial.arm.as_str(), message }
}

/// Plays the script against the recorded replies: the messages and the outcome must follow.
fn check_trial(bundle: &Bundle, item: Item<'_>, repeat: u32, trial: &Trial) -> Result<(), String> {
    if (trial.id.as_str(), trial.arm, trial.repeat) != (item.id(), item.arm(), repeat) {
        return Err(format!("should be {} ({}), repeat {repeat}", item.id(), item.arm().as_str()));
    }
    let defences = &bundle.plan.settings().defences;
    let marker = bundle.plan.marker_seed(item, repeat);
    let mut replies = Vec::new();
    for (number, call) in trial.calls.iter().enumerate() {
        match next(item.script(), defences, marker, &replies) {
            Next::Ask(messages) if messages == call.messages => replies.push(call.reply.clone()),
            Next::Ask(_) => {
                return Err(format!("call {} sent other messages than the suite makes", number + 1));
            }
            Next::Done(_) => return Err(format!("call {} is one too many", number + 1)),
        }
    }
    match (&trial.verdict, next(item.script(), defences, marker, &replies)) {
        (Verdict::Outcome(outcome), Next::Done(ending)) => {
            let derived = item.score(&ending);
            if derived == *outcome {
                Ok(())
            } else {
                Err(format!("the outcome on record is {outcome:?}; the transcript gives {derived:?}"))
            }
        }
        (Verdict::Failed(_), Next::Ask(_)) => Ok(()),
        (Verdict::Outcome(_), Next::Ask(_)) => {
            Err("it has an outcome but was not played to the end".to_owned())
        }
        (Verdict::Failed(_), Next::Done(_)) => {
            Err("it counts as failed but was played to the end".to_owned())
        }
    }
}

/// At most `limit` of these, each as likely as any other.
fn picked(mut from: Vec<usize>, limit: usize) -> Result<BTreeSet<usize>, BundleError> {
    let mut picked = BTreeSet::new();
    while picked.len() < limit && !from.is_empty() {
        let random = getrandom::u64()
            .map_err(|error| BundleError::Model(format!("the system gives no random numbers: {error}")))?;
        // The modulus favours none by more than one in 2^40: there are at most 100 million trials.
        let at = usize::try_from(random % from.len() as u64).unwrap_or_default();
        picked.insert(from.swap_remove(at));
    }
    Ok(picked)
}

impl Rerun<'_> {
    /// Plays trials of the bundle again and compares the answers. Returns how many.
    ///
    /// # Errors
    /// If the model is another one, does not answer, or answers otherwise; or if there is nothing to replay.
    pub async fn play(&self, bundle: &Bundle) -> Result<usize, BundleError> {
        if !self.model.is_deterministic() {
            let message =
                "this target does not give the same answer twice; only local models can be replayed";
            return Err(BundleError::Model(message.to_owned()));
        }
        let same = match (self.model.identity(), &bundle.manifest.target) {
            (
                ostrom_models::ModelIdentity::Local { digest: here, .. },
                ostrom_models::ModelIdentity::Local { digest: tested, .. },
            ) => here == *tested,
            _ => false,
        };
        if !same {
            let message = "the model at hand is not the file that was tested (its SHA-256 differs)";
            return Err(BundleError::Model(message.to_owned()));
        }
        let mut eligible = Vec::new();
        bundle.trials(|index, trial| {
            if trial.outcome().is_some() && !trial.calls.is_empty() {
                eligible.push(index);
            }
            Ok(())
        })?;
        let picked = picked(eligible, self.limit)?;
        if picked.is_empty() {
            return Err(BundleError::Model("there is no trial with an answer to play again".to_owned()));
        }
        let mut chosen = Vec::new();
        bundle.trials(|index, trial| {
            if picked.contains(&index) {
                chosen.push((index, trial));
            }
            Ok(())
        })?;
        for (index, trial) in &chosen {
            let Some((item, repeat)) = bundle.plan.get(*index) else { continue };
            for (number, call) in trial.calls.iter().enumerate() {
                let sampling = bundle.plan.sampling(item, repeat, number);
                let response = self.model.generate(Request::new(call.messages.clone(), sampling)).await;
                let response = response.map_err(|error| BundleError::Model(error.to_string()))?;
                if response.text != call.reply {
                    return Err(BundleError::Rerun { id: trial.id.clone(), arm: trial.arm.as_str() });
                }
            }
        }
        Ok(chosen.len())
    }
}
