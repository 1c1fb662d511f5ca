//! `ostrom eval`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use ostrom_lab::bundle::{self, Bundle, Manifest, Rerun, Verification};
use ostrom_lab::compare::compare;
use ostrom_lab::defence::Defence;
use ostrom_lab::metrics::Metrics;
use ostrom_lab::plan::Settings;
use ostrom_lab::run::{Ended, Run, RunPlan, SCHEMA, Watch};
use ostrom_lab::suite::Suite;
use ostrom_lab::{export, report};
use ostrom_models::{Model, ModelIdentity};
use ostrom_trust::{KeyError, Passphrase, PublicKey, SecretKey};
use serde::Deserialize;
use serde_json::json;
use tempfile::TempDir;

use crate::args::{EvalCommand, ExportOptions, Format, ResumeOptions, RunOptions, VerifyOptions};
use crate::fail::{Failure, INCOMPLETE, STOPPED, io};
use crate::progress::RunProgress;
use crate::target::Reach;
use crate::{paths, show};

/// A run's configuration file. Unknown keys are errors.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    suite: Option<String>,
    defences: Vec<String>,
    repeat: Option<u32>,
    seed: Option<u64>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    max_tokens: Option<u32>,
    reach: Reach,
}

/// Runs the command.
pub async fn run(command: EvalCommand) -> Result<ExitCode, Failure> {
    match command {
        EvalCommand::Run(options) => start(*options).await,
        EvalCommand::Resume(options) => resume(options).await,
        EvalCommand::Verify(options) => verify(options).await,
        EvalCommand::Report(options) => {
            let (folder, _guard) = opened(&options.bundle)?;
            let (bundle, _) = bundle::verify_evidence(&folder, None)?;
            let out = match options.out {
                Some(out) => out,
                None if options.bundle.is_dir() => own_report(&options.bundle)?,
                None => options.bundle.with_extension("").with_extension("html"),
            };
            write_report(&bundle, &out)?;
            if options.json {
                show::json(&json!({"report": out, "bundle": bundle.digest}))?;
            } else {
                println!("{}", out.display());
            }
            Ok(ExitCode::SUCCESS)
        }
        EvalCommand::Compare(options) => {
            let (folder_a, _guard_a) = opened(&options.a)?;
            let (folder_b, _guard_b) = opened(&options.b)?;
            let (a, b) = (bundle::verify(&folder_a, None)?.0, bundle::verify(&folder_b, None)?.0);
            let comparison = compare(&a, &b)?;
            if options.json {
                show::json(&comparison)?
            } else {
                show::comparison(&comparison)
            }
            if comparison.failed() == 0 {
                return Ok(ExitCode::SUCCESS);
            }
            let [in_a, in_b] = &comparison.failed_trials;
            let mut message = String::from("the comparison is incomplete, because trials failed");
            for (failed, bundle) in [(in_a, &options.a), (in_b, &options.b)] {
                if !failed.is_empty() {
                    message = format!(
                        "{message}\n{} in {} (again with: ostrom eval resume {}):\n{}",
                        failed.len(),
                        bundle.display(),
                        bundle.display(),
                        show::failed_trials(failed)
                    );
                }
            }
            Err(Failure::with_code(message, INCOMPLETE))
        }
        EvalCommand::Export(options) => export_bundle(&options),
        EvalCommand::Pack(options) => {
            let (bundle, _) = bundle::verify(&options.bundle, None)?;
            bundle::pack(&options.bundle, &options.out)?;
            if options.json {
                show::json(&json!({"archive": options.out, "bundle": bundle.digest}))?;
            } else {
                println!("{}", options.out.display());
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// A bundle's folder; an archive is unpacked into a temporary one that lives as long as the guard.
pub fn opened(path: &Path) -> Result<(PathBuf, Option<TempDir>), Failure> {
    if path.is_dir() {
        return Ok((path.to_owned(), None));
    }
    if !path.is_file() {
        return Err(Failure::new(format!("{}: there is no such bundle", path.display())));
    }
    let folder = tempfile::tempdir().map_err(io("a temporary folder"))?;
    bundle::unpack(path, folder.path())?;
    Ok((folder.path().to_owned(), Some(folder)))
}

fn read_config(path: Option<&Path>) -> Result<Config, Failure> {
    let Some(path) = path else { return Ok(Config::default()) };
    let text = std::fs::read_to_string(path).map_err(io(path.display()))?;
    toml::from_str(&text)
        .map_err(|error| Failure::new(format!("{}: {}", path.display(), error.to_string().trim_end())))
}

/// Defences by id.
pub fn defences(ids: &[String]) -> Result<Vec<Defence>, Failure> {
    let known = || Defence::ALL.map(|d| format!("  {:<22} {}", d.id(), d.summary())).join("\n");
    let mut defences = Vec::new();
    for id in ids.iter().filter(|id| *id != "none") {
        let defence = Defence::from_id(id).ok_or_else(|| {
            Failure::new(format!("there is no defence {id:?}; there are:\n  none\n{}", known()))
        })?;
        if defences.contains(&defence) {
            return Err(Failure::new(format!("the defence {id} is named twice")));
        }
        defences.push(defence);
    }
    Ok(defences)
}

/// Unix seconds.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

async fn start(options: RunOptions) -> Result<ExitCode, Failure> {
    let config = read_config(options.config.as_deref())?;
    let suite = options.suite.or(config.suite).unwrap_or_else(|| "starter".to_owned());
    let suite = Suite::load(&suite)?;
    let ids = if options.defence.is_empty() { config.defences } else { options.defence };
    let settings = Settings {
        defences: defences(&ids)?,
        repeat: options.repeat.or(config.repeat).unwrap_or(1),
        seed: options.seed.or(config.seed).unwrap_or(0),
        temperature: options.temperature.or(config.temperature).unwrap_or(0.0),
        top_p: options.top_p.or(config.top_p).unwrap_or(1.0),
        max_tokens: options.max_tokens.or(config.max_tokens).unwrap_or(suite.max_tokens),
    };
    settings.check().map_err(Failure::new)?;
    let reach = config.reach.overridden(options.target.as_deref(), &options.reach)?;
    let key = signing_key(options.sign_key.as_deref())?;
    let model = reach.open().await?;
    let job = Job { suite, settings, reach, out: options.out };
    let finished = job.run(&model, &key, "eval").await?;
    finished.print(options.json)
}

/// The key that signs; made on first use.
pub fn signing_key(path: Option<&Path>) -> Result<SecretKey, Failure> {
    let path = path.map_or_else(paths::key, |path| Ok(path.to_owned()))?;
    let (key, made) = match SecretKey::load_or_create(&path) {
        Err(KeyError::Encrypted { .. }) => (unlocked(&path)?, false),
        loaded => loaded?,
    };
    if made {
        eprintln!("made the signing key {} ({})", key.public().id().short(), path.display());
    }
    Ok(key)
}

/// Where the passphrase of an encrypted key is looked for: one place for every command that signs.
const PASSPHRASE: &str = "OSTROM_KEY_PASSPHRASE";

/// The encrypted key at `path`.
pub fn unlocked(path: &Path) -> Result<SecretKey, Failure> {
    match std::env::var(PASSPHRASE) {
        Ok(text) if !text.is_empty() => Ok(SecretKey::load_encrypted(path, &Passphrase::new(text))?),
        _ => Err(Failure::new(format!(
            "{} is encrypted: put its passphrase into the environment variable {PASSPHRASE}",
            path.display()
        ))),
    }
}

/// A run to be started.
pub struct Job {
    /// The suite.
    pub suite: Suite,
    /// The settings.
    pub settings: Settings,
    /// How to reach the target.
    pub reach: Reach,
    /// The folder.
    pub out: PathBuf,
}

/// A finished run.
pub struct Finished {
    /// The bundle's folder.
    pub folder: PathBuf,
    /// What was tested.
    pub manifest: Manifest,
    /// The figures.
    pub metrics: Metrics,
    /// The reason that most failed trials give, and how many give it.
    commonest_failure: Option<(String, u64)>,
}

impl Job {
    /// Runs it to the end and writes the bundle and its report.
    pub async fn run(
        self,
        model: &Arc<dyn Model>,
        key: &SecretKey,
        label: &str,
    ) -> Result<Finished, Failure> {
        let plan = RunPlan {
            schema: SCHEMA.to_owned(),
            suite: self.suite.digest()?,
            target: model.identity(),
            reach: serde_json::to_value(&self.reach).map_err(|error| Failure::new(error.to_string()))?,
            settings: self.settings,
            started: now(),
        };
        let mut run = Run::create(&self.out, plan, self.suite, key)?;
        complete(&mut run, model, key, label, false).await
    }
}

/// Plays what is left of a run, then writes the bundle and its report.
async fn complete(
    run: &mut Run,
    model: &Arc<dyn Model>,
    key: &SecretKey,
    label: &str,
    retry: bool,
) -> Result<Finished, Failure> {
    let (total, done) = run.progress();
    let progress = Arc::new(RunProgress::new(label, total, done));
    let watch: Arc<dyn Watch> = Arc::clone(&progress) as Arc<dyn Watch>;
    let stop = Arc::new(AtomicBool::new(false));
    let handler = tokio::spawn({
        let stop = Arc::clone(&stop);
        async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                stop.store(true, Ordering::Relaxed);
            }
        }
    });
    let ended = run.play(model, &watch, &stop, retry).await;
    handler.abort();
    progress.finish();
    let folder = run.folder().to_owned();
    let (_, done) = run.progress();
    let resume =
        format!("{done} of {total} trials are kept; go on with: ostrom eval resume {}", folder.display());
    match ended {
        Ok(Ended::Complete) => {}
        Ok(Ended::Stopped(why)) => return Err(Failure::with_code(format!("{why}. {resume}"), STOPPED)),
        Err(error) => return Err(Failure::with_code(format!("{error}. {resume}"), STOPPED)),
    }
    let (manifest, metrics) = bundle::finish(run, key, now())?;
    let bundle = Bundle::open(&folder)?;
    write_report(&bundle, &own_report(&folder)?)?;
    let commonest_failure = if metrics.failed > 0 { bundle.commonest_failure()? } else { None };
    Ok(Finished { folder, manifest, metrics, commonest_failure })
}

/// The place of the report in a bundle's folder. If a link lies there, which may lead to any file of the user's, it goes.
fn own_report(folder: &Path) -> Result<PathBuf, Failure> {
    let path = folder.join("report.html");
    if path.is_symlink() {
        std::fs::remove_file(&path).map_err(io(path.display()))?;
    }
    Ok(path)
}

fn write_report(bundle: &Bundle, out: &Path) -> Result<(), Failure> {
    let html = report::html(bundle)?;
    std::fs::write(out, html).map_err(io(out.display()))
}

impl Finished {
    /// Prints the table or JSON; failed trials make the exit status non-zero.
    fn print(&self, json: bool) -> Result<ExitCode, Failure> {
        let report = self.folder.join("report.html");
        if json {
            show::json(&json!({"bundle": self.folder, "report": report, "metrics": self.metrics}))?;
        } else {
            let target = self.manifest.target.name();
            show::metrics(
                &format!("{target}, suite {} {}", self.manifest.suite, self.manifest.suite_version),
                &self.metrics,
            );
            println!("\nbundle  {}\nreport  {}", self.folder.display(), report.display());
            println!("verify  ostrom eval verify {}", self.folder.display());
        }
        match self.failure() {
            Some(failure) => Err(failure),
            None => Ok(ExitCode::SUCCESS),
        }
    }

    /// What to say if trials failed.
    pub fn failure(&self) -> Option<Failure> {
        let why = self.commonest_failure.as_ref().map_or_else(String::new, |(reason, count)| {
            let reason: String = reason.chars().take(show::MAX_REASON).collect();
            format!(" ({count} of them: {reason})")
        });
        let message = format!(
            "{} of {} trials failed{why}; try them again with: ostrom eval resume {}",
            self.metrics.failed,
            self.metrics.planned,
            self.folder.display()
        );
        (self.metrics.failed > 0).then(|| Failure::with_code(message, INCOMPLETE))
    }
}

async fn resume(options: ResumeOptions) -> Result<ExitCode, Failure> {
    let mut run = Run::open(&options.run)?;
    let key = signing_key(options.sign_key.as_deref())?;
    let own = run.is_signed_by(&key.public())?;
    // What a plan of somebody else's says about hosts, keys, files and costs is not taken, whatever flags there are.
    let reach: Reach = match (own, options.adopt) {
        (true, _) => serde_json::from_value(run.plan.reach.clone())
            .map_err(|error| Failure::new(format!("{}: {error}", options.run.display())))?,
        (false, true) => Reach::default(),
        (false, false) => return Err(not_own(&run, &key)),
    };
    let reach = reach.overridden(options.target.as_deref(), &options.reach)?;
    let model = reach.open_after(run.spent_before()).await?;
    if model.identity() != run.plan.target {
        return Err(Failure::new(format!(
            "the target is not the one that the run began with: it was {}, now it is {}",
            describe(&run.plan.target),
            describe(&model.identity())
        )));
    }
    if let ModelIdentity::Endpoint { .. } = run.plan.target {
        let key = reach
            .key_env
            .as_ref()
            .map_or("without a key".to_owned(), |name| format!("with the key in {name}"));
        let said = format!("requests go to {}, {key}", describe(&run.plan.target));
        eprintln!("{}", show::printable(&said));
    }
    if !own {
        let reach = serde_json::to_value(&reach).map_err(|error| Failure::new(error.to_string()))?;
        run.adopt(reach, &key)?;
    }
    complete(&mut run, &model, &key, "eval", true).await?.print(options.json)
}

/// Why a run is not gone on with that another key began, and how it can be.
fn not_own(run: &Run, key: &SecretKey) -> Failure {
    let (total, done) = run.progress();
    let (target, flags) = match &run.plan.target {
        ModelIdentity::Local { .. } => ("local:NAME", ""),
        ModelIdentity::Endpoint { protocol, .. } if protocol == "anthropic" => {
            ("anthropic:MODEL", " and, where needed, --base-url, --key-env and caps")
        }
        ModelIdentity::Endpoint { .. } => {
            ("openai:MODEL", " --base-url URL and, where needed, --key-env and caps")
        }
    };
    Failure::new(format!(
        "{folder} was not begun with the key {key}, which would sign the bundle. Whoever wrote it chose the target ({described}), \
         what its {total} trials ask, and the answers of {done} of them.\n\
         If the run is yours, name the key that it began with: --sign-key FILE\n\
         If you trust whoever made it, and want to sign these answers: --adopt --target {target}{flags}. \
         What the folder says about hosts, keys, files and costs is not taken.",
        folder = run.folder().display(),
        key = key.public().id().short(),
        described = describe(&run.plan.target),
    ))
}

/// A target in one line.
fn describe(target: &ModelIdentity) -> String {
    match target {
        ModelIdentity::Local { name, digest, .. } => format!("{name} (sha256:{digest})"),
        ModelIdentity::Endpoint { url, model, .. } => format!("{model} at {url}"),
    }
}

async fn verify(options: VerifyOptions) -> Result<ExitCode, Failure> {
    let (folder, _guard) = opened(&options.bundle)?;
    let key = options.key.as_deref().map(PublicKey::load).transpose()?;
    let (bundle, mut verification) = bundle::verify(&folder, key.as_ref())?;
    if let Some(limit) = options.rerun {
        if limit == 0 {
            return Err(Failure::new("--rerun 0 would play nothing: at least 1"));
        }
        let target = match (&options.target, &bundle.manifest.target) {
            (Some(target), _) => target.clone(),
            (None, ModelIdentity::Local { name, .. }) => format!("local:{name}"),
            (None, ModelIdentity::Endpoint { .. }) => {
                return Err(Failure::new(
                    "--rerun needs a local model: an endpoint may answer otherwise every time",
                ));
            }
        };
        let model = Reach { target: Some(target), ..Reach::default() }.open().await?;
        verification.replayed = Rerun { model: &*model, limit }.play(&bundle).await?;
    }
    if options.json {
        show::json(&json!({
            "holds": true, "bundle": verification.digest, "signer": verification.signer.to_string(),
            "expectedSigner": verification.expected_signer, "trials": verification.trials,
            "failed": verification.failed, "replayed": verification.replayed,
            "suite": bundle.manifest.suite, "suiteVersion": bundle.manifest.suite_version,
            "suiteDigest": bundle.manifest.suite_digest, "builtinSuite": verification.builtin_suite,
            "target": bundle.manifest.target, "notVerified": not_verified(&verification),
        }))?;
    } else {
        print_verification(&bundle.manifest, &verification);
    }
    Ok(ExitCode::SUCCESS)
}

/// What lies in a bundle's folder and was not looked into.
fn not_verified(verification: &Verification) -> Vec<&'static str> {
    if verification.work { vec!["run/"] } else { Vec::new() }
}

/// What holds, for people.
pub fn print_verification(manifest: &Manifest, verification: &Verification) {
    println!("holds    bundle sha256:{}", verification.digest);
    let built_in = if verification.builtin_suite { "built in" } else { "not built in: look at its rules" };
    let suite = format!("{} {} ({built_in})", manifest.suite, manifest.suite_version);
    println!("suite    {}", show::printable(&suite));
    println!("         sha256:{}", manifest.suite_digest);
    println!("target   {}", show::printable(&describe(&manifest.target)));
    let whose = if verification.expected_signer { "the key given" } else { "the bundle's own key" };
    println!("signed   by {} ({whose})", verification.signer.short());
    println!(
        "derived  {} trials: messages from the suite, outcomes from the transcripts, figures from the outcomes",
        verification.trials
    );
    if verification.failed > 0 {
        println!("failed   {} of the trials had no outcome when they were run", verification.failed);
    }
    if verification.replayed > 0 {
        println!("replayed {} trials with the model at hand: the same answers", verification.replayed);
    }
    for name in not_verified(verification) {
        println!(
            "not      {name}: for trying failed trials again. No part of the bundle, not verified, and not packed"
        );
    }
    if !verification.expected_signer {
        println!("         To check who signed it, name their key: --key FILE");
    }
}

fn export_bundle(options: &ExportOptions) -> Result<ExitCode, Failure> {
    let (folder, _guard) = opened(&options.bundle)?;
    let (bundle, _) = bundle::verify(&folder, None)?;
    if options.format == Format::Parquet {
        let out =
            options.out.as_deref().ok_or_else(|| Failure::new("parquet is not for terminals: --out FILE"))?;
        export::parquet(&bundle, File::create(out).map_err(io(out.display()))?)?;
    } else {
        let mut out: Box<dyn std::io::Write> = match &options.out {
            Some(path) => Box::new(std::io::BufWriter::new(File::create(path).map_err(io(path.display()))?)),
            None => Box::new(std::io::BufWriter::new(std::io::stdout())),
        };
        match options.format {
            Format::Csv => export::csv(&bundle, &mut out)?,
            Format::Avid => export::avid(&bundle, &mut out)?,
            Format::Garak => export::garak(&bundle, &mut out)?,
            Format::Parquet => {}
        }
        out.flush().map_err(io("the export"))?;
    }
    let failed = bundle.failed_trials()?;
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let message = format!(
        "the export is written, but {} of {} trials have no outcome (again with: ostrom eval resume {}):\n{}",
        failed.len(),
        bundle.metrics.planned,
        options.bundle.display(),
        show::failed_trials(&failed)
    );
    Err(Failure::with_code(message, INCOMPLETE))
}
