//! `ostrom guard …`.

mod held;
mod intervene;
mod pinned;
mod record;
mod status;
mod waiting;

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use ostrom_core::Digest;
use ostrom_guard::audit;
use ostrom_guard::policy::config::{Config, Mode};
use ostrom_guard::policy::{InForce, Policy};
use ostrom_guard::sandbox;
use ostrom_guard::serve::control::{Command, ask};
use ostrom_guard::serve::{self, Guard, Log, Protected, Wrap};
use serde_json::{Value, json};

use crate::args::{GuardCommand, ObserveOptions, Place};
use crate::eval::signing_key;
use crate::fail::{Failure, io};
use crate::{paths, show};

/// `ostrom guard …`.
pub fn run(command: GuardCommand) -> Result<ExitCode, Failure> {
    match command {
        GuardCommand::Run { config, check, json, state } => {
            let policy = ostrom_guard::policy::load(&config)?;
            if check {
                checked(&config, &policy, json)?;
                return Ok(ExitCode::SUCCESS);
            }
            let state = state_of(&policy.config, state, &config)?;
            serve(policy, &state, Config::files(&config)?)
        }
        GuardCommand::Observe(options) => observe(options),
        wrap @ GuardCommand::Wrap { .. } => start_wrapped(wrap),
        GuardCommand::Pin(options) => held::pin(&options),
        GuardCommand::Unpin(options) => pinned::unpin(&options),
        GuardCommand::Approve(options) => waiting::approve(&options),
        GuardCommand::Revoke(options) => intervene::revoke(options),
        GuardCommand::Stop(options) => intervene::stop(options),
        GuardCommand::Reset(options) => intervene::reset(options),
        GuardCommand::Mint(options) => status::mint(&options),
        GuardCommand::Status(options) => status::status(&options),
        GuardCommand::Explain(options) => record::explain(&options),
        GuardCommand::Replay { log, redacted, json, place } => record::replay(log, redacted, json, &place),
        GuardCommand::Verify { log, key, checkpoint, origin, json, place } => {
            record::verify(log, key.as_deref(), (&checkpoint, origin), json, &place)
        }
        GuardCommand::Sandboxed { spec, command } => sandboxed(&spec, &command),
    }
}

/// Says that a configuration is sound.
fn checked(file: &Path, policy: &Policy, json: bool) -> Result<(), Failure> {
    let (servers, version) = (policy.config.servers.len(), &policy.version);
    if json {
        return show::json(&json!({"config": file, "servers": servers, "policy": version}));
    }
    println!("{}: {servers} servers, policy {}", file.display(), version.short());
    Ok(())
}

/// Where all guards keep their states.
fn states() -> Result<PathBuf, Failure> {
    paths::guards()
}

/// The state of a guard with this configuration.
fn state_of(config: &Config, given: Option<PathBuf>, file: &Path) -> Result<PathBuf, Failure> {
    if let Some(state) = given.or_else(|| config.guard.state.clone()) {
        return Ok(state);
    }
    let whole = file.canonicalize().map_err(io(file.display()))?;
    let stem = file.file_stem().map_or_else(|| "guard".into(), |stem| stem.to_string_lossy().into_owned());
    Ok(states()?.join(format!("{stem}-{}", Digest::of(whole.as_os_str().as_encoded_bytes()).short())))
}

/// The state of the guard that is meant.
fn state(place: &Place) -> Result<PathBuf, Failure> {
    if let Some(state) = &place.state {
        return Ok(state.clone());
    }
    if let Some(file) = &place.config {
        let config = ostrom_guard::policy::load(file)?.config;
        return state_of(&config, None, file);
    }
    let all = every_state()?;
    match all.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(Failure::new(
            "no guard has ever run here: start one with ostrom guard run or wrap, or name its state with --state",
        )),
        _ => {
            // A person who has tried out two means the one that runs.
            let runs = running_states()?;
            match runs.as_slice() {
                [(one, _)] => Ok(one.clone()),
                [] => {
                    let list: Vec<String> = all.iter().map(|path| line(path)).collect();
                    Err(Failure::new(format!(
                        "no guard is running, and there are states of several; say which, with --config FILE or\n{}",
                        list.join("\n")
                    )))
                }
                several => {
                    let list: Vec<String> = several
                        .iter()
                        .map(|(path, servers)| format!("{}  before {servers}", line(path)))
                        .collect();
                    Err(Failure::new(format!("several guards are running; say which:\n{}", list.join("\n"))))
                }
            }
        }
    }
}

fn line(state: &Path) -> String {
    format!("  --state {}", state.display())
}

/// The states of all guards that ever ran in the usual place.
fn every_state() -> Result<Vec<PathBuf>, Failure> {
    let folder = states()?;
    let mut all: Vec<PathBuf> = std::fs::read_dir(&folder)
        .map(|entries| entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect())
        .unwrap_or_default();
    all.sort();
    Ok(all)
}

/// Of these, those whose guards run, and the servers that they stand before.
fn running_states() -> Result<Vec<(PathBuf, String)>, Failure> {
    let servers = |path: &PathBuf| {
        let status = ask(path, &Command::Status).ok().flatten()?;
        let servers = status.get("servers").and_then(Value::as_array).cloned().unwrap_or_default();
        Some(servers.iter().filter_map(Value::as_str).map(show::printable).collect::<Vec<_>>().join(", "))
    };
    Ok(every_state()?.into_iter().filter_map(|path| servers(&path).map(|names| (path, names))).collect())
}

/// The states of the guards that are meant where one word is for all that run: those that run, if none is named.
fn meant(place: &Place) -> Result<Vec<PathBuf>, Failure> {
    if place.state.is_none() && place.config.is_none() {
        let running = running_states()?;
        if running.len() > 1 {
            return Ok(running.into_iter().map(|(state, _)| state).collect());
        }
    }
    Ok(vec![state(place)?])
}

fn log() -> Log {
    // Standard output belongs to the protocol.
    Arc::new(|line: &str| eprintln!("ostrom guard: {line}"))
}

fn serve(policy: Policy, state: &Path, files: Vec<PathBuf>) -> Result<ExitCode, Failure> {
    let key = signing_key(None)?;
    let keys = paths::key()?;
    let protected =
        Protected { hidden: vec![keys.parent().unwrap_or(&keys).to_owned(), states()?], unchanged: files };
    let policy = InForce::new(policy)?;
    crate::many_threads(async {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let guard = Guard::start(policy, state, protected, key, log()).await?.with_threads(threads);
        let stop = async {
            // Without signals there is nothing to wait for, and the guard serves until its input ends.
            let _signal = ended().await;
        };
        guard.serve(stop).await?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Ready when somebody asks the program to end.
async fn ended() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    Ok(())
}

fn start_wrapped(options: GuardCommand) -> Result<ExitCode, Failure> {
    let GuardCommand::Wrap {
        read,
        write,
        network,
        env,
        require_sandbox,
        no_sandbox,
        observe,
        state,
        command,
    } = options
    else {
        return Err(Failure::new("not a command to wrap"));
    };
    let short = |bytes: &[u8]| Digest::of(bytes).short();
    let name = match &state {
        None => short(command.join("\u{0}").as_bytes()),
        // Who keeps guards apart keeps what their servers store apart, too.
        Some(state) => {
            let whole = std::path::absolute(state).map_err(io(state.display()))?;
            short(whole.as_os_str().as_encoded_bytes())
        }
    };
    let name = format!("wrap-{name}");
    let own = paths::servers()?.join(&name);
    let wrap =
        Wrap { command, read, write, network, environment: env, require_sandbox, no_sandbox, observe, own };
    let folder = std::env::current_dir().map_err(io("the current folder"))?;
    let search = std::env::var_os("PATH").unwrap_or_default();
    let config = wrap.config((folder.as_path(), search.as_os_str()), &log())?;
    let state = match state {
        Some(state) => state,
        None => states()?.join(name),
    };
    serve(Policy::new(config)?, &state, Vec::new())
}

fn observe(options: ObserveOptions) -> Result<ExitCode, Failure> {
    let ObserveOptions { config: file, report, json, state } = options;
    let policy = ostrom_guard::policy::load(&file)?;
    let state = state_of(&policy.config, state, &file)?;
    let folder = serve::audit_folder(&policy.config, &state);
    if !report {
        let mut config = policy.config;
        config.guard.mode = Mode::Observe;
        serve(Policy::new(config.renamed()?)?, &state, Config::files(&file)?)?;
    }
    let observed = audit::observed(&folder)?;
    let path = state.join("candidate.toml");
    std::fs::write(&path, &observed.candidate).map_err(io(path.display()))?;
    // Standard output was the protocol's, and its reader may be gone.
    eprintln!("{}", observed.summary());
    eprintln!("candidate policy: {}", path.display());
    if json {
        let candidate = json!({"file": path, "text": observed.candidate});
        show::json(&json!({"calls": observed.calls, "refused": observed.refused, "candidate": candidate}))?;
    } else if report {
        println!("{}", observed.candidate.trim_end());
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks the running guard.
fn running(place: &Place, command: &Command) -> Result<Value, Failure> {
    let state = state(place)?;
    ask(&state, command)?.ok_or_else(|| {
        Failure::new(format!(
            "no guard is running with the state {}: start it with ostrom guard run or wrap",
            state.display()
        ))
    })
}

/// Asks whoever is at the terminal. Without one, or where the answer is to be JSON, somebody has to say it beforehand:
/// `instead` says how.
fn confirmed(question: &str, json: bool, instead: &str) -> Result<bool, Failure> {
    if json {
        return Err(Failure::new(format!("with --json nothing is asked: {instead}")));
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new(format!("there is no terminal to ask on: {instead}")));
    }
    eprint!("{question} [y/N] ");
    std::io::stderr().flush().map_err(|error| Failure::new(error.to_string()))?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(|error| Failure::new(error.to_string()))?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}

fn sandboxed(spec: &str, command: &[std::ffi::OsString]) -> Result<ExitCode, Failure> {
    let spec = serde_json::from_str(spec).map_err(|error| Failure::new(format!("--spec: {error}")))?;
    let Some((program, arguments)) = command.split_first() else { return Err(Failure::new("no program")) };
    let error = sandbox::enter_and_exec(&spec, Path::new(program), arguments);
    Err(Failure::with_code(error.to_string(), error.exit_code()))
}
