//! Running a plan against a model: many trials at once, every finished one written down before the next is counted.

mod journal;
mod origin;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ostrom_core::Digest;
use ostrom_models::http::Spent;
use ostrom_models::{Model, ModelError, ModelIdentity, Request, Usage};
use ostrom_trust::{PublicKey, SecretKey};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::bundle;
use crate::plan::{Plan, Settings};
use crate::script::{Next, next};
use crate::suite::Suite;
use crate::trial::{Call, Trial, Verdict};

pub use journal::{Journal, JournalError};

pub(crate) use journal::MAX_LINE;
pub(crate) use origin::new_file;
use origin::{plain_file, plain_folder};

/// The folder within a run's folder that exists while the run is unfinished.
pub const WORK: &str = "run";
const PLAN: &str = "plan.json";
const PLAN_SIGNATURE: &str = "plan.dsse.json";
const JOURNAL: &str = "journal.jsonl";
const SUITE: &str = "suite.json";
const SPENT: &str = "spent.json";
/// All that lies in [`WORK`].
pub(crate) const KEPT: [&str; 4] = [PLAN, PLAN_SIGNATURE, JOURNAL, SPENT];
/// The largest suite.json that is read back, in bytes.
const MAX_SUITE: u64 = 1 << 30;
/// The largest of the run's other files that is read back, in bytes.
const MAX_PLAN: u64 = 1 << 20;
/// As many trials that fail in the same way one after the other, and none that does not, say that it is not the trials.
const HOPELESS: u32 = 20;
/// How often what was spent is written down while a run goes on. A kill loses at most what went unanswered since.
const NOTE_SPENT: Duration = Duration::from_secs(2);

/// What a run needs to know to go on after an interruption.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunPlan {
    /// Always `ostrom.run/v1`.
    pub schema: String,
    /// Digest of suite.json.
    pub suite: Digest,
    /// What is tested.
    pub target: ModelIdentity,
    /// How to reach the target again: the caller's own words, without keys. To be believed only where
    /// [`Run::is_signed_by`] one's own key.
    pub reach: serde_json::Value,
    /// The settings.
    pub settings: Settings,
    /// Unix seconds at which the run began.
    pub started: u64,
}

/// The schema of [`RunPlan`].
pub const SCHEMA: &str = "ostrom.run/v1";

/// Why a run cannot start, go on or finish.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The folder is not empty and is no unfinished run.
    #[error("{} is not empty: choose another --out, or `ostrom eval resume` if it is an unfinished run", .0.display())]
    NotEmpty(PathBuf),
    /// There is no unfinished run.
    #[error("{} holds no unfinished run: there is no {WORK}/{PLAN} in it", .0.display())]
    NoRun(PathBuf),
    /// The run's own records do not fit together.
    #[error("{}: {message}", path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// The system could not read or write.
    #[error("{}: {source}{}", path.display(), hint(source))]
    Io {
        /// What was read or written.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The target gave up for good. Everything before is kept.
    #[error("{0}")]
    Fatal(ModelError),
}

/// What to do about the errors of the system that users can do something about.
pub(crate) fn hint(source: &std::io::Error) -> &'static str {
    match source.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            ": free some space, then `ostrom eval resume`; nothing that was finished is lost"
        }
        std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
            ": choose a folder that you may write to with --out"
        }
        _ => "",
    }
}

/// An unfinished run on disk.
pub struct Run {
    folder: PathBuf,
    /// The plan as written down.
    pub plan: RunPlan,
    /// Digest of plan.json.
    plan_digest: Digest,
    trials: Arc<Plan>,
    journal: Journal,
    spent_before: Spent,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// Every trial has an outcome or has failed.
    Complete,
    /// The caller asked to stop, or a cap was reached: the reason. The rest can be resumed.
    Stopped(String),
}

/// What a run reports as it goes.
pub trait Watch: Send + Sync {
    /// A trial is finished and written down.
    fn trial(&self, trial: &Trial);
}

impl Run {
    /// Starts a run in an empty or new folder. `key` signs the plan, so that whoever has it knows the run again.
    ///
    /// # Errors
    /// If the folder holds something or cannot be written.
    pub fn create(folder: &Path, plan: RunPlan, suite: Suite, key: &SecretKey) -> Result<Self, RunError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| RunError::Io { path, source }
        };
        if folder.exists() && std::fs::read_dir(folder).map_err(io(folder))?.next().is_some() {
            return Err(RunError::NotEmpty(folder.to_owned()));
        }
        let suite = Arc::new(suite);
        let trials = Arc::new(
            Plan::checked(Arc::clone(&suite), plan.settings.clone())
                .map_err(|message| RunError::Unfit { path: folder.to_owned(), message })?,
        );
        let work = folder.join(WORK);
        std::fs::create_dir_all(&work).map_err(io(&work))?;
        let unfit = |error: ostrom_trust::CanonicalError| RunError::Unfit {
            path: folder.join(SUITE),
            message: error.to_string(),
        };
        let suite_bytes = ostrom_trust::canonical_json(&*suite).map_err(unfit)?;
        write(&folder.join(SUITE), &suite_bytes)?;
        // The plan comes last: a folder with a plan is a run that can be resumed.
        let journal = Journal::open(&work.join(JOURNAL))?;
        let plan_digest = write_plan(&work, &plan, key)?;
        Ok(Self {
            folder: folder.to_owned(),
            plan,
            plan_digest,
            trials,
            journal,
            spent_before: Spent::default(),
        })
    }

    /// Opens an unfinished run. What it says is to be believed only where [`Run::is_signed_by`] one's own key.
    ///
    /// # Errors
    /// If there is none, its records do not fit together, or what lies there is not plain files.
    pub fn open(folder: &Path) -> Result<Self, RunError> {
        let work = plain_folder(folder.join(WORK))?;
        for name in KEPT {
            plain_file(work.join(name))?;
        }
        let plan_path = work.join(PLAN);
        let unfit = |path: &Path, message: String| RunError::Unfit { path: path.to_owned(), message };
        let plan_bytes = match read_bounded(&plan_path, MAX_PLAN) {
            Err(RunError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return Err(RunError::NoRun(folder.to_owned()));
            }
            read => read?,
        };
        let plan: RunPlan =
            serde_json::from_slice(&plan_bytes).map_err(|error| unfit(&plan_path, error.to_string()))?;
        if plan.schema != SCHEMA {
            return Err(unfit(&plan_path, format!("it was written by another version ({:?})", plan.schema)));
        }
        fits_manifest(&plan, &plan_path, folder)?;
        let suite_path = plain_file(folder.join(SUITE))?;
        let suite_bytes = read_bounded(&suite_path, MAX_SUITE)?;
        if Digest::of(&suite_bytes) != plan.suite {
            return Err(unfit(&suite_path, "it is not the suite that the run began with".to_owned()));
        }
        let suite: Suite =
            serde_json::from_slice(&suite_bytes).map_err(|error| unfit(&suite_path, error.to_string()))?;
        suite.check_rules().map_err(|message| unfit(&suite_path, message))?;
        let trials = Plan::checked(Arc::new(suite), plan.settings.clone());
        let trials = Arc::new(trials.map_err(|message| unfit(&plan_path, message))?);
        let journal = Journal::open(&work.join(JOURNAL))?;
        let spent_before = read_spent(&work.join(SPENT), journal.spent())?;
        let plan_digest = Digest::of(&plan_bytes);
        Ok(Self { folder: folder.to_owned(), plan, plan_digest, trials, journal, spent_before })
    }

    /// Whether `key` signed the plan when the run began. Without that, whoever wrote the folder chose where requests go, with
    /// which key and at what cost, and which answers are on record.
    ///
    /// # Errors
    /// If the signature is there and cannot be read. One that does not hold is none.
    pub fn is_signed_by(&self, key: &PublicKey) -> Result<bool, RunError> {
        origin::is_signed(&self.folder.join(WORK), self.plan_digest, key)
    }

    /// Makes somebody else's run one's own, answers on record included: `reach` stands for what the plan said, and `key` signs it.
    ///
    /// # Errors
    /// If the plan cannot be written.
    pub fn adopt(&mut self, reach: serde_json::Value, key: &SecretKey) -> Result<(), RunError> {
        self.plan.reach = reach;
        self.plan_digest = write_plan(&self.folder.join(WORK), &self.plan, key)?;
        Ok(())
    }

    /// What the run had used of what caps limit when it was opened: for the target's ledger to go on from.
    pub fn spent_before(&self) -> Spent {
        self.spent_before
    }

    /// The run's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Number of trials and how many are finished.
    pub fn progress(&self) -> (usize, usize) {
        (self.trials.len(), self.journal.finished())
    }

    /// The trials of this run.
    pub fn trials(&self) -> &Arc<Plan> {
        &self.trials
    }

    /// The records so far.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Plays every trial that is not finished. With `retry`, failed trials are played again.
    ///
    /// # Errors
    /// If a record cannot be written, or the target gives up for good.
    pub async fn play(
        &mut self,
        model: &Arc<dyn Model>,
        watch: &Arc<dyn Watch>,
        stop: &AtomicBool,
        retry: bool,
    ) -> Result<Ended, RunError> {
        let count = self.trials.len();
        // What was never played comes first: failed ones that fail again must not keep the others from their turn.
        let (fresh, again): (Vec<usize>, Vec<usize>) = (0..count)
            .filter(|&index| !self.journal.has(index, retry))
            .partition(|&index| !self.journal.has(index, false));
        let mut pending = fresh.into_iter().chain(again);
        let (mut streak, mut noted) = (Streak::default(), Instant::now());
        let mut tasks = JoinSet::new();
        let mut ended = Ended::Complete;
        let mut fatal = None;
        loop {
            let stopping = stop.load(Ordering::Relaxed);
            if stopping && ended == Ended::Complete {
                ended = Ended::Stopped("stopped by the user".to_owned());
                // Requests in flight are abandoned: they are played again on resume.
                tasks.abort_all();
            }
            if ended == Ended::Complete
                && let Some(why) = streak.hopeless()
            {
                ended = Ended::Stopped(why);
            }
            while ended == Ended::Complete && fatal.is_none() && tasks.len() < model.concurrency() {
                let Some(index) = pending.next() else { break };
                let (plan, model) = (Arc::clone(&self.trials), Arc::clone(model));
                tasks.spawn(async move { (index, trial(&plan, index, &*model).await) });
            }
            // Wakes up now and then to look at `stop`.
            let joined = tokio::select! {
                joined = tasks.join_next() => joined,
                () = tokio::time::sleep(std::time::Duration::from_millis(100)) => continue,
            };
            match joined {
                None => break,
                Some(Ok((index, Played::Trial(trial)))) => {
                    let trial = self.journal.append(index, trial)?;
                    streak.add(&trial);
                    watch.trial(&trial);
                    if noted.elapsed() > NOTE_SPENT {
                        noted = Instant::now();
                        self.note_spent(&**model)?;
                    }
                }
                Some(Ok((_, Played::Fatal(ModelError::CapReached { limit })))) => {
                    ended = Ended::Stopped(format!("the cap of {limit} is reached"));
                }
                Some(Ok((_, Played::Fatal(error)))) => fatal = Some(error),
                Some(Ok((index, Played::Nothing))) => {
                    let message = format!("trial {index} is not in the plan");
                    return Err(RunError::Unfit { path: self.folder.clone(), message });
                }
                Some(Err(error)) if error.is_cancelled() => {}
                Some(Err(error)) => fatal = Some(ModelError::Engine(error.to_string())),
            }
        }
        self.journal.sync()?;
        self.note_spent(&**model)?;
        let all_played = (0..count).all(|index| self.journal.has(index, false));
        match fatal {
            Some(error) => Err(RunError::Fatal(error)),
            // Only repetitions of failed trials were left, which failed again: every trial has its record.
            None if streak.hopeless().is_some() && all_played => Ok(Ended::Complete),
            None => Ok(ended),
        }
    }

    /// Writes down what the target has used, for [`Self::open`].
    fn note_spent(&self, model: &dyn Model) -> Result<(), RunError> {
        let Some(spent) = model.spent() else { return Ok(()) };
        let path = self.folder.join(WORK).join(SPENT);
        let bytes = serde_json::to_vec(&spent);
        write(
            &path,
            &bytes.map_err(|error| RunError::Unfit { path: path.clone(), message: error.to_string() })?,
        )
    }
}

/// Writes plan and signature. Gives the plan's digest.
fn write_plan(work: &Path, plan: &RunPlan, key: &SecretKey) -> Result<Digest, RunError> {
    let path = work.join(PLAN);
    let unfit = |error: ostrom_trust::EnvelopeError| RunError::Unfit {
        path: path.clone(),
        message: error.to_string(),
    };
    let bytes = ostrom_trust::canonical_json(plan).map_err(|error| unfit(error.into()))?;
    write(&work.join(PLAN_SIGNATURE), &origin::sign(&bytes, key).map_err(unfit)?)?;
    write(&path, &bytes)?;
    Ok(Digest::of(&bytes))
}

/// Where a bundle lies already, of which failed trials are to be tried again, the plan is of that bundle.
fn fits_manifest(plan: &RunPlan, plan_path: &Path, folder: &Path) -> Result<(), RunError> {
    let path = plain_file(folder.join(bundle::MANIFEST))?;
    if !path.exists() {
        return Ok(());
    }
    let unfit = |path: &Path, message: String| RunError::Unfit { path: path.to_owned(), message };
    let manifest = bundle::parse_manifest(&read_bounded(&path, bundle::MAX_MANIFEST)?)
        .map_err(|error| unfit(&path, error.to_string()))?;
    let differs = [
        ("another suite", manifest.suite_digest == plan.suite),
        ("another target", manifest.target == plan.target),
        ("other settings", manifest.settings == plan.settings),
    ];
    match differs.into_iter().find(|(_, same)| !same) {
        None => Ok(()),
        Some((what, _)) => Err(unfit(plan_path, format!("it has {what} than {}", path.display()))),
    }
}

/// What was written down as spent; at least what the journal shows, if a kill came before the last note.
fn read_spent(path: &Path, least: Spent) -> Result<Spent, RunError> {
    let noted: Spent = match path.try_exists() {
        Ok(false) => Spent::default(),
        _ => serde_json::from_slice(&read_bounded(path, MAX_PLAN)?)
            .map_err(|error| RunError::Unfit { path: path.to_owned(), message: error.to_string() })?,
    };
    Ok(Spent {
        requests: noted.requests.max(least.requests),
        tokens: Usage {
            input_tokens: noted.tokens.input_tokens.max(least.tokens.input_tokens),
            output_tokens: noted.tokens.output_tokens.max(least.tokens.output_tokens),
        },
        cost_usd: noted.cost_usd,
    })
}

/// Failures for the same reason, one after the other, since the beginning.
#[derive(Default)]
struct Streak {
    reason: String,
    length: u32,
    any_outcome: bool,
}

impl Streak {
    fn add(&mut self, trial: &Trial) {
        match &trial.verdict {
            Verdict::Outcome(_) => self.any_outcome = true,
            Verdict::Failed(reason) if *reason == self.reason => self.length += 1,
            Verdict::Failed(reason) => (self.reason, self.length) = (reason.clone(), 1),
        }
    }

    /// Why it is no use to go on, if it is none.
    fn hopeless(&self) -> Option<String> {
        let hopeless = self.length >= HOPELESS && !self.any_outcome;
        hopeless.then(|| {
            format!("{} trials failed one after the other and none did not: {}", self.length, self.reason)
        })
    }
}

enum Played {
    Trial(Trial),
    Fatal(ModelError),
    Nothing,
}

/// Plays one trial.
async fn trial(plan: &Plan, index: usize, model: &dyn Model) -> Played {
    let Some((item, repeat)) = plan.get(index) else { return Played::Nothing };
    let defences = &plan.settings().defences;
    let marker = plan.marker_seed(item, repeat);
    let (mut calls, mut replies) = (Vec::new(), Vec::new());
    let verdict = loop {
        let messages = match next(item.script(), defences, marker, &replies) {
            Next::Done(ending) => break Verdict::Outcome(item.score(&ending)),
            Next::Ask(messages) => messages,
        };
        let sampling = plan.sampling(item, repeat, calls.len());
        match model.generate(Request::new(messages.clone(), sampling)).await {
            Ok(response) => {
                replies.push(response.text.clone());
                calls.push(Call {
                    messages,
                    reply: response.text,
                    stop: response.stop,
                    usage: response.usage,
                    reported_model: response.reported_model,
                });
            }
            Err(error) if error.is_fatal() => return Played::Fatal(error),
            Err(error) => break Verdict::Failed(error.to_string()),
        }
    };
    Played::Trial(Trial { id: item.id().to_owned(), arm: item.arm(), repeat, calls, verdict })
}

/// Writes a whole file: to a temporary name, flushed to the disk, then renamed.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), RunError> {
    use std::io::Write as _;
    let io = |source| RunError::Io { path: path.to_owned(), source };
    let temporary = path.with_extension("part");
    let mut file = new_file(&temporary).map_err(io)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(io)?;
    std::fs::rename(&temporary, path).map_err(io)
}

/// Reads a file of at most `limit` bytes.
pub(crate) fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>, RunError> {
    use std::io::Read as _;
    let io = |source| RunError::Io { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    std::fs::File::open(path).map_err(io)?.take(limit + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > limit {
        let message = format!("it is larger than {limit} bytes");
        return Err(RunError::Unfit { path: path.to_owned(), message });
    }
    Ok(bytes)
}
