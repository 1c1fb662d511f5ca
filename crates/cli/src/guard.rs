//! `ostrom guard …`.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use ostrom_core::Digest;
use ostrom_guard::audit;
use ostrom_guard::flow::{CallId, ContextKey, Scope};
use ostrom_guard::policy::config::{Config, Mode, Network, NewDefinitions};
use ostrom_guard::policy::{InForce, Policy};
use ostrom_guard::sandbox;
use ostrom_guard::serve::control::{Command, ask};
use ostrom_guard::serve::{self, Guard, Log, Protected};
use ostrom_trust::PublicKey;
use serde_json::Value;

use crate::args::{GuardCommand, Place, StopOptions};
use crate::eval::signing_key;
use crate::fail::{Failure, io};
use crate::{paths, show};

/// `ostrom guard …`.
pub fn run(command: GuardCommand) -> Result<ExitCode, Failure> {
    match command {
        GuardCommand::Run { config, check, state } => {
            let policy = ostrom_guard::policy::load(&config)?;
            if check {
                println!(
                    "{}: {} servers, policy {}",
                    config.display(),
                    policy.config.servers.len(),
                    policy.version.short()
                );
                return Ok(ExitCode::SUCCESS);
            }
            let state = state_of(&policy.config, state, &config)?;
            serve(policy, &state, Config::files(&config)?)
        }
        GuardCommand::Observe { config, report, state } => observe(&config, report, state),
        wrap @ GuardCommand::Wrap { .. } => start_wrapped(wrap),
        GuardCommand::Pin { names, server, all, hash, place } => {
            pin(&Chosen { names, server, all, hashes: hash }, &place)
        }
        GuardCommand::Approve { page: true, place, .. } => {
            let answer = running(&place, &Command::Page)?;
            println!("{}", answer.get("link").and_then(Value::as_str).unwrap_or_default());
            Ok(ExitCode::SUCCESS)
        }
        GuardCommand::Approve { request, yes, deny, place, .. } => {
            approve(request.as_deref(), yes, deny, &place)
        }
        GuardCommand::Revoke { source, place } => tell(
            &place,
            &Command::Revoke { source: source.clone() },
            &format!("revoked {source}: what descends from it is quarantined"),
        ),
        GuardCommand::Stop(options) => stop(options),
        GuardCommand::Reset { principal, run, place } => {
            let context = ContextKey { principal: principal.as_str().into(), run: run.map(Into::into) };
            tell(&place, &Command::Reset { context }, &format!("{principal} begins anew"))
        }
        GuardCommand::Mint { principal, place } => {
            let answer = running(&place, &Command::Mint { principal })?;
            show::json(&answer)?;
            Ok(ExitCode::SUCCESS)
        }
        GuardCommand::Status { place } => {
            show::json(&running(&place, &Command::Status)?)?;
            Ok(ExitCode::SUCCESS)
        }
        GuardCommand::Explain { call, json, place } => explain(call, json, &place),
        GuardCommand::Replay { log, redacted, json, place } => replay(log, redacted, json, &place),
        GuardCommand::Verify { log, key, json, place } => verify(log, key.as_deref(), json, &place),
        GuardCommand::Sandboxed { spec, command } => sandboxed(&spec, &command),
    }
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
    let folder = states()?;
    let mut all: Vec<PathBuf> = std::fs::read_dir(&folder)
        .map(|entries| entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect())
        .unwrap_or_default();
    all.sort();
    match all.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(Failure::new(
            "no guard has ever run here: start one with ostrom guard run or wrap, or name its state with --state",
        )),
        several => {
            // A person who has tried out two means the one that runs.
            let runs = |path: &&PathBuf| matches!(ask(path, &Command::Status), Ok(Some(_)));
            if let [one] = several.iter().filter(runs).collect::<Vec<_>>().as_slice() {
                return Ok((*one).clone());
            }
            let list: Vec<String> =
                several.iter().map(|path| format!("  --state {}", path.display())).collect();
            Err(Failure::new(format!("there are several guards; say which:\n{}", list.join("\n"))))
        }
    }
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
        let guard = Guard::start(policy, state, protected, key, log()).await?;
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
    let GuardCommand::Wrap { read, write, network, require_sandbox, no_sandbox, observe, state, command } =
        options
    else {
        return Err(Failure::new("not a command to wrap"));
    };
    let mut config = Config::wrap(&command)?;
    config.guard.new_definitions = NewDefinitions::TrustOnFirstUse;
    if observe {
        config.guard.mode = Mode::Observe;
    }
    for server in config.servers.values_mut() {
        let given = &mut server.server.sandbox;
        given.off = no_sandbox;
        given.require = require_sandbox;
        // A path that stands in the command is meant to be worked with.
        let named = server.server.command.iter().skip(1).map(PathBuf::from);
        let named: Vec<PathBuf> =
            named.filter(|path| path.is_absolute()).filter_map(|path| path.canonicalize().ok()).collect();
        match server.server.profile.as_deref() {
            Some("filesystem" | "git") => given.write.extend(named.into_iter().filter(|path| path.is_dir())),
            _ => given.read.extend(named),
        }
        given.read.extend(absolute(&read)?);
        given.write.extend(absolute(&write)?);
        if network {
            given.network = Network::All;
        }
    }
    let config = config.renamed()?;
    let state = match state {
        Some(state) => state,
        None => {
            let name = Digest::of(command.join("\u{0}").as_bytes()).short();
            states()?.join(format!("wrap-{name}"))
        }
    };
    serve(Policy::new(config)?, &state, Vec::new())
}

fn absolute(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    paths.iter().map(|path| path.canonicalize().map_err(io(path.display()))).collect()
}

fn observe(file: &Path, report: bool, state: Option<PathBuf>) -> Result<ExitCode, Failure> {
    let policy = ostrom_guard::policy::load(file)?;
    let state = state_of(&policy.config, state, file)?;
    let folder = serve::audit_folder(&policy.config, &state);
    if !report {
        let mut config = policy.config;
        config.guard.mode = Mode::Observe;
        serve(Policy::new(config.renamed()?)?, &state, Config::files(file)?)?;
    }
    let observed = audit::observed(&folder)?;
    let path = state.join("candidate.toml");
    std::fs::write(&path, &observed.candidate).map_err(io(path.display()))?;
    // Standard output was the protocol's, and its reader may be gone.
    eprintln!("{}", observed.summary());
    eprintln!("candidate policy: {}", path.display());
    if report {
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

/// Tells the running guard something; if none runs, writes it into the log, where the next one finds it.
fn tell(place: &Place, command: &Command, done: &str) -> Result<ExitCode, Failure> {
    let state = state(place)?;
    if ask(&state, command)?.is_none() {
        let folder = audit_folder(place, &state)?;
        serve::write_down(&folder, signing_key(None)?, command)?;
        println!("{done} (no guard is running; it holds from the next start on)");
    } else {
        println!("{done}");
    }
    Ok(ExitCode::SUCCESS)
}

fn audit_folder(place: &Place, state: &Path) -> Result<PathBuf, Failure> {
    Ok(match &place.config {
        Some(file) => serve::audit_folder(&ostrom_guard::policy::load(file)?.config, state),
        None => state.join("audit"),
    })
}

fn stop(options: StopOptions) -> Result<ExitCode, Failure> {
    let StopOptions { all, principal, run, tool, server, lift, place } = options;
    let scope = match (all, principal, run, tool, server) {
        (true, ..) => Scope::All,
        (_, Some(name), ..) => Scope::Principal(name.into()),
        (_, _, Some(name), ..) => Scope::Run(name.into()),
        (_, _, _, Some(name), _) => Scope::Tool(name.into()),
        (_, _, _, _, Some(name)) => Scope::Server(name.into()),
        _ => return Err(Failure::new("say what to stop: --all, --principal, --run, --tool or --server")),
    };
    let done = if lift { format!("{scope} may go on") } else { format!("{scope} is stopped") };
    let command = if lift { Command::Lift { scope } } else { Command::Stop { scope } };
    tell(&place, &command, &done)
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Which held definitions a person means.
struct Chosen {
    names: Vec<String>,
    server: Option<String>,
    all: bool,
    /// As they were shown: of the definitions, or of all together.
    hashes: Vec<String>,
}

/// Hexadecimal digits of a hash that a person has to give.
const SHOWN_DIGITS: usize = 12;

/// A definition that is held, as the guard tells of it.
struct Held {
    server: String,
    kind: String,
    name: String,
    digest: Digest,
    reasons: Vec<String>,
    definition: String,
}

impl Held {
    fn read(value: &Value) -> Result<Self, Failure> {
        let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        // What is no definition has no digest, and cannot be approved.
        let digest = text("digest").parse().unwrap_or_else(|_| Digest::of(b""));
        let reasons = value.get("reasons").map(texts).unwrap_or_default();
        let (server, kind, name) = (text("server"), text("kind"), text("name"));
        Ok(Self { server, kind, name, digest, reasons, definition: text("definition") })
    }

    /// Whether nothing speaks against it but that nobody has looked at it.
    fn only_new(&self) -> bool {
        self.reasons.iter().all(|reason| reason == "it is new" || reason.starts_with("it has changed"))
    }

    fn show(&self) {
        println!("{}: {} {}  (hash {})", self.server, self.kind, self.name, self.digest.short());
        for reason in &self.reasons {
            println!("{}", show::wrapped(reason, "    "));
        }
        for line in self.definition.lines() {
            println!("    | {line}");
        }
    }
}

/// One hash for several definitions, whatever order they come in.
fn together(held: &[&Held]) -> Digest {
    let mut lines: Vec<String> = held
        .iter()
        .map(|one| format!("{:?} {:?} {:?} {}", one.server, one.kind, one.name, one.digest))
        .collect();
    lines.sort();
    Digest::of(lines.join("\n").as_bytes())
}

/// Approves definitions as they were shown, and no others: what is held under a name may change at any moment.
fn pin(chosen: &Chosen, place: &Place) -> Result<ExitCode, Failure> {
    let answer = running(place, &Command::Held)?;
    let held = answer.get("held").and_then(Value::as_array).cloned().unwrap_or_default();
    let held = held.iter().map(Held::read).collect::<Result<Vec<_>, _>>()?;
    let of_server = held.iter().filter(|one| chosen.server.as_ref().is_none_or(|name| *name == one.server));
    let (picked, left): (Vec<&Held>, Vec<&Held>) =
        of_server.partition(|one| chosen.names.contains(&one.name) || (chosen.all && one.only_new()));
    if let Some(name) = chosen.names.iter().find(|name| picked.iter().all(|one| one.name != **name)) {
        return Err(Failure::new(format!(
            "nothing of the name {name} is held: ostrom guard pin lists what is"
        )));
    }
    if picked.is_empty() {
        left.iter().for_each(|one| one.show());
        let new: Vec<&Held> = left.iter().copied().filter(|one| one.only_new()).collect();
        match left.len() {
            0 => println!("Nothing is held."),
            count => println!("{count} held. Approve with: ostrom guard pin NAME --hash HASH"),
        }
        if !new.is_empty() {
            let all = together(&new).short();
            println!(
                "The {} of them that are only new or changed: ostrom guard pin --all --hash {all}",
                new.len()
            );
        }
        return Ok(ExitCode::SUCCESS);
    }
    if chosen.hashes.is_empty() {
        if !std::io::stdin().is_terminal() {
            return Err(Failure::new(
                "there is no terminal to ask on: give the hash that was shown (ostrom guard pin shows it, --hash takes it)",
            ));
        }
        picked.iter().for_each(|one| one.show());
        eprint!("Approve {} as shown? [y/N] ", if picked.len() == 1 { "it" } else { "all of them" });
        std::io::stderr().flush().map_err(|error| Failure::new(error.to_string()))?;
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map_err(|error| Failure::new(error.to_string()))?;
        if !matches!(line.trim(), "y" | "Y" | "yes") {
            println!("nothing approved");
            return Ok(ExitCode::FAILURE);
        }
    } else {
        let given = |digest: &Digest| {
            let digest = digest.to_string();
            chosen.hashes.iter().any(|hash| hash.len() >= SHOWN_DIGITS && digest.starts_with(hash.as_str()))
        };
        let all = chosen.all && given(&together(&picked));
        if let Some(other) = picked.iter().find(|one| !all && !given(&one.digest)) {
            return Err(Failure::new(format!(
                "{} of {} is not what --hash says (it needs {SHOWN_DIGITS} digits or more), so nothing was approved: look at it with ostrom guard \
                 pin",
                other.name, other.server
            )));
        }
    }
    for one in &picked {
        let rendered = (!one.only_new()).then(|| one.definition.clone());
        let (server, name, digest) = (one.server.clone(), one.name.clone(), one.digest);
        running(place, &Command::Pin { server, name, digest, rendered })?;
        println!("approved {}: {} ({})", one.server, one.name, one.digest.short());
    }
    if !left.is_empty() {
        println!("{} held: ostrom guard pin", left.len());
    }
    Ok(ExitCode::SUCCESS)
}

fn approve(request: Option<&str>, yes: bool, deny: bool, place: &Place) -> Result<ExitCode, Failure> {
    let answer = running(place, &Command::Waiting)?;
    let waiting = answer.get("waiting").and_then(Value::as_array).cloned().unwrap_or_default();
    let digest = |value: &Value| value.get("digest").and_then(Value::as_str).unwrap_or_default().to_owned();
    let Some(start) = request else {
        if waiting.is_empty() {
            println!("Nothing waits.");
        }
        for one in &waiting {
            show_request(one);
        }
        return Ok(ExitCode::SUCCESS);
    };
    let mut found = waiting.iter().filter(|one| digest(one).starts_with(start));
    let (Some(one), None) = (found.next(), found.next()) else {
        return Err(Failure::new(format!(
            "not exactly one request that waits begins with {start}: ostrom guard approve lists them"
        )));
    };
    show_request(one);
    let approve = if deny {
        false
    } else if yes {
        true
    } else {
        if !std::io::stdin().is_terminal() {
            return Err(Failure::new("there is no terminal to ask on: --yes or --deny"));
        }
        eprint!("Let this call through, once? [y/N] ");
        std::io::stderr().flush().map_err(|error| Failure::new(error.to_string()))?;
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map_err(|error| Failure::new(error.to_string()))?;
        matches!(line.trim(), "y" | "Y" | "yes")
    };
    running(place, &Command::Answer { request: digest(one), approve })?;
    println!("{}", if approve { "approved: the agent may make this very call once" } else { "refused" });
    Ok(ExitCode::SUCCESS)
}

/// A request as a person reads it. Values are shown as JSON, so that nothing in them can move the cursor.
fn show_request(request: &Value) {
    let text = |key: &str| request.get(key).and_then(Value::as_str).unwrap_or_default();
    let short: String = text("digest").chars().take(12).collect();
    println!("{short}  {}/{}", text("server"), text("tool"));
    let context = request.get("context").cloned().unwrap_or_default();
    println!("  for      {}", context.get("principal").and_then(Value::as_str).unwrap_or_default());
    if let Some(arguments) = request.get("arguments").and_then(Value::as_object) {
        for (name, value) in arguments {
            println!("  {:<8} {}", show::printable(name), ostrom_guard::pin::rendering(value));
        }
    }
    for violation in request.get("violations").and_then(Value::as_array).into_iter().flatten() {
        if let Ok(violation) = serde_json::from_value::<ostrom_guard::flow::Violation>(violation.clone()) {
            println!("{}", show::wrapped(&format!("because {violation}"), "  "));
        }
    }
}

fn explain(call: u64, json: bool, place: &Place) -> Result<ExitCode, Failure> {
    let state = state(place)?;
    let found = audit::explain(&audit_folder(place, &state)?, CallId(call))?;
    if json {
        show::json(&found)?;
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "call {}: {} by {}, {}",
        found.call,
        found.tool,
        found.principal,
        if found.dispatched { "went out" } else { "did not go out" }
    );
    println!("{}", show::wrapped(&found.sentence, "  "));
    for because in &found.because {
        println!("{}", show::wrapped(&format!("because {because}"), "    "));
    }
    for (name, value) in &found.arguments {
        println!("  {name} = {}", ostrom_guard::pin::rendering(value));
    }
    println!("  ways out:");
    for way in &found.ways {
        println!("{}", show::wrapped(&format!("- {way}"), "    "));
    }
    Ok(ExitCode::SUCCESS)
}

fn replay(log: Option<PathBuf>, redacted: bool, json: bool, place: &Place) -> Result<ExitCode, Failure> {
    let folder = match log {
        Some(folder) => folder,
        None => audit_folder(place, &state(place)?)?,
    };
    let found = audit::replay(&folder, &mut serve::policies(&folder))?;
    if json {
        show::json(&found)?;
    } else {
        println!(
            "{} events: {} decisions and {} labels of results came out as they are on record",
            found.events, found.same, found.outcomes
        );
        if found.without_values > 0 {
            println!(
                "{} decisions could be derived only in part: their arguments are gone",
                found.without_values
            );
        }
        if found.without_results > 0 {
            println!(
                "{} outcomes could be derived only in part: what the servers answered is gone",
                found.without_results
            );
        }
        if found.plans_not_followed > 0 {
            println!("{} plans could not be followed to their end", found.plans_not_followed);
        }
        if !found.is_whole() && !redacted {
            println!(
                "What is not derived does not count as right; --redacted accepts that openings are gone."
            );
        }
        for call in &found.unresolved {
            println!("call {call} went out and its outcome is not on record");
        }
        for difference in &found.differences {
            println!("event {}: {}", difference.index, difference.what);
        }
    }
    let holds = found.differences.is_empty() && (redacted || found.is_whole());
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn verify(log: Option<PathBuf>, key: Option<&Path>, json: bool, place: &Place) -> Result<ExitCode, Failure> {
    let folder = match log {
        Some(folder) => folder,
        None => audit_folder(place, &state(place)?)?,
    };
    let key = match key {
        Some(path) => PublicKey::from_pem(&std::fs::read_to_string(path).map_err(io(path.display()))?)?,
        None => signing_key(None)?.public(),
    };
    let report = audit::verify(&folder, &key)?;
    if json {
        show::json(&report)?;
    } else {
        println!("{}", report.text);
    }
    Ok(if report.sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn sandboxed(spec: &str, command: &[std::ffi::OsString]) -> Result<ExitCode, Failure> {
    let spec = serde_json::from_str(spec).map_err(|error| Failure::new(format!("--spec: {error}")))?;
    let Some((program, arguments)) = command.split_first() else { return Err(Failure::new("no program")) };
    let error = sandbox::enter_and_exec(&spec, Path::new(program), arguments);
    Err(Failure::with_code(error.to_string(), error.exit_code()))
}
