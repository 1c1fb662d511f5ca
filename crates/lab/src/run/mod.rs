//! Running a plan against a model: many trials at once, every finished one written down before the next is counted.

mod journal;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ostrom_core::Digest;
use ostrom_models::{Model, ModelError, ModelIdentity, Request};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::plan::{Plan, Settings};
use crate::script::{Next, next};
use crate::suite::Suite;
use crate::trial::{Call, Trial, Verdict};

pub use journal::{Journal, JournalError};

/// The folder within a run's folder that exists while the run is unfinished.
pub const WORK: &str = "run";
const PLAN: &str = "plan.json";
const JOURNAL: &str = "journal.jsonl";
const SUITE: &str = "suite.json";
/// The largest suite.json that is read back, in bytes.
const MAX_SUITE: u64 = 1 << 30;

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
    /// How to reach the target again: the caller's own words, without keys.
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
    trials: Arc<Plan>,
    journal: Journal,
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
    /// Starts a run in an empty or new folder.
    ///
    /// # Errors
    /// If the folder holds something or cannot be written.
    pub fn create(folder: &Path, plan: RunPlan, suite: Suite) -> Result<Self, RunError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| RunError::Io { path, source }
        };
        if folder.exists() && std::fs::read_dir(folder).map_err(io(folder))?.next().is_some() {
            return Err(RunError::NotEmpty(folder.to_owned()));
        }
        let work = folder.join(WORK);
        std::fs::create_dir_all(&work).map_err(io(&work))?;
        let unfit = |error: ostrom_trust::CanonicalError| RunError::Unfit {
            path: folder.join(SUITE),
            message: error.to_string(),
        };
        let suite_bytes = ostrom_trust::canonical_json(&suite).map_err(unfit)?;
        write(&folder.join(SUITE), &suite_bytes)?;
        let plan_bytes = ostrom_trust::canonical_json(&plan).map_err(unfit)?;
        // The plan comes last: a folder with a plan is a run that can be resumed.
        let journal = Journal::open(&work.join(JOURNAL))?;
        write(&work.join(PLAN), &plan_bytes)?;
        let trials = Arc::new(Plan::new(Arc::new(suite), plan.settings.clone()));
        Ok(Self { folder: folder.to_owned(), plan, trials, journal })
    }

    /// Opens an unfinished run.
    ///
    /// # Errors
    /// If there is none, or its records have been changed.
    pub fn open(folder: &Path) -> Result<Self, RunError> {
        let plan_path = folder.join(WORK).join(PLAN);
        let unfit = |path: &Path, message: String| RunError::Unfit { path: path.to_owned(), message };
        let plan_bytes = match std::fs::read(&plan_path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(RunError::NoRun(folder.to_owned()));
            }
            Err(source) => return Err(RunError::Io { path: plan_path, source }),
        };
        let plan: RunPlan =
            serde_json::from_slice(&plan_bytes).map_err(|error| unfit(&plan_path, error.to_string()))?;
        if plan.schema != SCHEMA {
            return Err(unfit(&plan_path, format!("it was written by another version ({:?})", plan.schema)));
        }
        let suite_path = folder.join(SUITE);
        let suite_bytes = read_bounded(&suite_path, MAX_SUITE)?;
        if Digest::of(&suite_bytes) != plan.suite {
            return Err(unfit(&suite_path, "it is not the suite that the run began with".to_owned()));
        }
        let suite: Suite =
            serde_json::from_slice(&suite_bytes).map_err(|error| unfit(&suite_path, error.to_string()))?;
        let journal = Journal::open(&folder.join(WORK).join(JOURNAL))?;
        let trials = Arc::new(Plan::new(Arc::new(suite), plan.settings.clone()));
        Ok(Self { folder: folder.to_owned(), plan, trials, journal })
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
        let pending: Vec<usize> = (0..count).filter(|&index| !self.journal.has(index, retry)).collect();
        let mut pending = pending.into_iter();
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
                    self.journal.append(index, &trial)?;
                    watch.trial(&trial);
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
        match fatal {
            Some(error) => Err(RunError::Fatal(error)),
            None => Ok(ended),
        }
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
    let mut file = std::fs::File::create(&temporary).map_err(io)?;
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
