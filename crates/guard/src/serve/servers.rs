//! From the configuration of a server to a server.

use std::any::Any;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::ServeError;
use super::protect::Protected;
use crate::back::{Auth, BackError, Connection, Era, OAuth, Registration, Secret, Server, Settings};
use crate::gateway::{Boxed, Unanswered, Upstream};
use crate::policy::config::{
    BackOauth, Config as EffectiveConfig, Limits as ConfigLimits, Modes as ConfigModes,
    Network as ConfigNetwork, Server as Config,
};
use crate::policy::fetched;
use crate::relay::Relay;
use crate::sandbox::{
    EnvironmentValue, Grants, Launcher, Limits as SandboxLimits, Modes, Network, Prepared, code_of,
    keep_to_ourselves,
};
use crate::wire::{self, Notification, Revision, RpcError};

/// Gets what an operator may want to know.
pub type Log = Arc<dyn Fn(&str) + Send + Sync>;

/// A server, and the private folder of its sandbox, which lives as long.
struct Running {
    server: Arc<Server>,
    _prepared: Option<Arc<Prepared>>,
}

/// Starts a server as configured.
pub(super) async fn start(
    name: &str,
    config: &Config,
    limits: &ConfigLimits,
    (state, protected): (&Path, &Protected),
    log: &Log,
) -> Result<Arc<dyn Upstream>, ServeError> {
    let fail = |message: String| ServeError::Server { name: name.to_owned(), message };
    let (connection, prepared) = match &config.url {
        Some(url) => (http(name, url, config, state, log).map_err(fail)?, None),
        None => child(name, config, (state, protected), log).map_err(fail)?,
    };
    let mut settings = Settings {
        era: match config.revision.as_deref() {
            None | Some("auto") => Era::Detect,
            Some(revision) if Revision::of(revision).is_some_and(Revision::is_stateless) => Era::Modern,
            Some(_) => Era::Legacy,
        },
        ..Settings::default()
    };
    settings.limits.wire = wire::Limits {
        bytes: usize::try_from(limits.message_bytes).unwrap_or(usize::MAX),
        depth: usize::try_from(limits.depth).unwrap_or(usize::MAX),
        values: usize::try_from(limits.values).unwrap_or(usize::MAX),
    };
    let (said, whose) = (log.clone(), name.to_owned());
    settings.stderr = Some(Arc::new(move |line| said(&format!("{whose}: {line}"))));
    let server = Server::start(name, connection, settings).await.map_err(|error| {
        let why = prepared.as_ref().map_or_else(String::new, |prepared| confined(config, prepared));
        fail(format!("{error}{why}"))
    })?;
    if let Some(report) = prepared.as_ref().and_then(|prepared| prepared.report()) {
        for shortfall in report.shortfalls() {
            log(&format!("{name}: the sandbox is not complete: {shortfall}"));
        }
    }
    Ok(Arc::new(Running { server: Arc::new(server), _prepared: prepared }))
}

/// What a person should know of a server that did not start in its sandbox: mostly that is the reason, and its own words do not say so.
fn confined(config: &Config, prepared: &Prepared) -> String {
    let network = match config.sandbox.network {
        ConfigNetwork::All => "",
        _ if prepared.spec().network == Network::None => " without network",
        _ => " with the granted network only",
    };
    // Version managers put scripts in the place of programs, which look for the real ones all over the home.
    let shim =
        prepared.spec().code.iter().find(|path| path.components().any(|part| part.as_os_str() == "shims"));
    let what = match (fetched(&config.command), shim) {
        (Some(fetched), _) => format!(
            "{} gets what it runs from the network: install the server and start the program that was installed, or grant network = \"all\" and \
             modes = true",
            fetched.launcher
        ),
        (None, Some(shim)) => format!(
            "{} only looks for the real program, which the sandbox does not show it: give that one's path (pyenv which, asdf which)",
            shim.display()
        ),
        (None, None) => "what it needs besides its own code has to be granted".to_owned(),
    };
    format!(". It runs in a sandbox{network}: {what} (docs/guard-config.md, sandbox)")
}

/// What runs without a sandbox: the guard itself, and servers with `sandbox.off`.
pub(super) fn unconfined_code(config: &EffectiveConfig) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::env::current_exe().into_iter().collect();
    for server in config.servers.values().map(|server| &server.server).filter(|server| server.sandbox.off) {
        if let Some((program, arguments)) = server.command.split_first() {
            let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
            files.extend(code_of(OsStr::new(program), &arguments, server.cwd.as_deref()));
        }
    }
    files
}

/// Where the private folders of servers lie: with the guard's state, which no grant may reach.
pub(super) fn private(state: &Path) -> PathBuf {
    state.join("private")
}

fn child(
    name: &str,
    config: &Config,
    (state, protected): (&Path, &Protected),
    log: &Log,
) -> Result<(Connection, Option<Arc<Prepared>>), String> {
    let Some((program, arguments)) = config.command.split_first() else {
        return Err("it has neither a command nor a url".to_owned());
    };
    let mut environment = BTreeMap::new();
    for (key, value) in &config.variables {
        environment.insert(key.clone(), EnvironmentValue::new(value.clone()));
    }
    for key in &config.env {
        let value =
            std::env::var(key).map_err(|_| format!("the environment has no {key}, which env names"))?;
        environment.insert(key.clone(), EnvironmentValue::new(value));
    }
    if config.sandbox.off {
        log(&format!("{name}: runs without a sandbox (sandbox.off)"));
        let (arguments, cwd) = (arguments.to_vec(), config.cwd.clone());
        // From the guard's folder, whatever the server's own is.
        let program = match program.contains('/').then(|| std::path::absolute(program)) {
            Some(path) => path.map_err(|error| format!("{program}: {error}"))?,
            None => PathBuf::from(program),
        };
        let connection = Connection::command(move || {
            let mut command = unconfined(&program, &arguments, &environment);
            if let Some(cwd) = &cwd {
                command.current_dir(cwd);
            }
            Ok(command)
        });
        return Ok((connection, None));
    }
    let given = &config.sandbox;
    let defaults = SandboxLimits::default();
    let grants = Grants {
        read: given.read.clone(),
        write: given.write.clone(),
        execute: given.execute.clone(),
        network: match &given.network {
            ConfigNetwork::None => Network::None,
            ConfigNetwork::Loopback => Network::Loopback,
            ConfigNetwork::Ports(ports) => Network::Ports(ports.clone()),
            ConfigNetwork::All => Network::All,
        },
        unix_sockets: given.unix_sockets,
        modes: match given.modes {
            ConfigModes::Refused => Modes::Refused,
            ConfigModes::Ignored => Modes::Ignored,
            ConfigModes::Allowed => Modes::Allowed,
        },
        environment,
        folder: config.cwd.clone(),
        limits: SandboxLimits {
            open_files: given.limits.open_files.unwrap_or(defaults.open_files),
            file_bytes: given.limits.file_bytes.or(defaults.file_bytes),
            memory_bytes: given.limits.memory_bytes.or(defaults.memory_bytes),
            cpu_seconds: given.limits.cpu_seconds.or(defaults.cpu_seconds),
            processes: given.limits.processes.or(defaults.processes),
        },
    };
    let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
    let place = private(state);
    std::fs::create_dir_all(&place).map_err(|error| format!("{}: {error}", place.display()))?;
    let prepared = Prepared::within(&place, &grants, given.require, OsStr::new(program), &arguments);
    let prepared = Arc::new(prepared.map_err(|error| error.to_string())?);
    let spec = prepared.spec();
    let changed: Vec<&PathBuf> = spec.write.iter().collect();
    let seen =
        spec.system.iter().chain(&spec.code).chain(&spec.read).chain(&spec.execute).collect::<Vec<_>>();
    protected.check(&seen, &changed)?;
    let launcher = Launcher::this_program().map_err(|error| error.to_string())?;
    let made = prepared.clone();
    let connection = Connection::command(move || made.command(&launcher).map_err(std::io::Error::other));
    Ok((connection, Some(prepared)))
}

/// Variables without which programs do not find their way. Nothing else of the guard's environment, where secrets are, goes to a server.
const INHERITED: [&str; 6] = ["PATH", "HOME", "LANG", "TMPDIR", "USER", "LOGNAME"];

/// A server without a sandbox: with its own variables, and the guard's only as far as every program has them.
fn unconfined(
    program: impl AsRef<OsStr>,
    arguments: &[String],
    environment: &BTreeMap<String, EnvironmentValue>,
) -> std::process::Command {
    keep_to_ourselves();
    let mut command = std::process::Command::new(program);
    let inherited = INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    command
        .args(arguments)
        .env_clear()
        .envs(inherited)
        .envs(environment.iter().map(|(key, value)| (key, value.reveal())));
    command
}

fn http(name: &str, url: &str, config: &Config, state: &Path, log: &Log) -> Result<Connection, String> {
    let url = url.parse().map_err(|error| format!("{url:?} is no URL: {error}"))?;
    let auth = match (&config.bearer_env, &config.oauth) {
        (Some(variable), _) => {
            let token = std::env::var(variable).map_err(|_| format!("the environment has no {variable}"))?;
            Auth::Bearer(Secret::new(&token).ok_or_else(|| format!("{variable} is empty"))?)
        }
        (None, Some(oauth)) => Auth::OAuth(Box::new(client(name, oauth, state, log)?)),
        (None, None) => Auth::None,
    };
    Ok(Connection::Http { url, auth, ca: config.ca.clone() })
}

fn client(name: &str, oauth: &BackOauth, state: &Path, log: &Log) -> Result<OAuth, String> {
    let secret = match &oauth.client_secret_env {
        Some(variable) => {
            let secret = std::env::var(variable).map_err(|_| format!("the environment has no {variable}"))?;
            Some(Secret::new(&secret).ok_or_else(|| format!("{variable} is empty"))?)
        }
        None => None,
    };
    let (said, whose) = (log.clone(), name.to_owned());
    Ok(OAuth {
        registration: Registration::Client {
            issuer: oauth.issuer.clone(),
            id: oauth.client_id.clone(),
            secret,
        },
        scopes: (!oauth.scopes.is_empty()).then(|| oauth.scopes.clone()),
        store: state.join("tokens").join(format!("{name}.json")),
        show: Some(Arc::new(move |url| said(&format!("{whose}: open this page to let the guard in: {url}")))),
        redirect_port: 0,
        patience: Duration::from_secs(300),
    })
}

impl Upstream for Running {
    fn request(
        self: Arc<Self>,
        capabilities: Map<String, Value>,
        method: &'static str,
        params: Map<String, Value>,
        relay: Relay,
        deadline: Duration,
    ) -> Boxed<'static, Result<Result<Map<String, Value>, RpcError>, Unanswered>> {
        let until = tokio::time::Instant::now() + deadline;
        Box::pin(async move {
            self.server
                .request(&capabilities, method, params, relay, until)
                .await
                .map_err(|error| unanswered(&error))
        })
    }

    fn info(&self) -> Map<String, Value> {
        let info = self.server.info();
        let mut map = Map::new();
        map.insert("capabilities".to_owned(), Value::Object(info.capabilities.clone()));
        map.insert("serverInfo".to_owned(), info.server.clone().unwrap_or_else(|| json!({})));
        map
    }

    fn changes(&self) -> tokio::sync::broadcast::Receiver<Notification> {
        self.server.changes()
    }

    fn watch<'a>(&'a self, uri: &'a str) -> Boxed<'a, Result<Box<dyn Any + Send + Sync>, Unanswered>> {
        Box::pin(async move {
            match self.server.subscribe(uri).await {
                Ok(Ok(_)) => {
                    let watch = Watch { server: self.server.clone(), uri: uri.to_owned() };
                    Ok(Box::new(watch) as Box<dyn Any + Send + Sync>)
                }
                Ok(Err(error)) => Err(Unanswered { message: error.message, may_have_run: true }),
                Err(error) => Err(unanswered(&error)),
            }
        })
    }
}

fn unanswered(error: &BackError) -> Unanswered {
    Unanswered { message: error.to_string(), may_have_run: error.may_have_run() }
}

/// An interest in a resource.
struct Watch {
    server: Arc<Server>,
    uri: String,
}

impl Drop for Watch {
    fn drop(&mut self) {
        let (server, uri) = (self.server.clone(), std::mem::take(&mut self.uri));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                // A server that is gone has forgotten it anyway.
                let _gone = server.unsubscribe(&uri).await;
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_grant_may_change_a_program_that_runs_without_a_sandbox() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        for folder in ["state", "tools/bin", "tools/lib", "notes"] {
            std::fs::create_dir_all(base.join(folder)).unwrap();
        }
        let program = base.join("tools/bin/serve");
        std::fs::write(&program, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let text = format!(
            "[servers.free]\ncommand = [{program:?}]\nsandbox = {{ off = true }}\n[servers.bound]\ncommand = [\"/bin/sh\"]\n"
        );
        let read = |_: &Path| Err(std::io::Error::other("nothing is included"));
        let config = EffectiveConfig::from_text("guard.toml", &text, &base, &read).unwrap();
        let unchanged = unconfined_code(&config);
        let guard = std::env::current_exe().unwrap();
        assert!(unchanged.contains(&guard), "{unchanged:?}");
        let protected = Protected { hidden: Vec::new(), unchanged };
        let granted = |folder: &Path| {
            let mut bound = config.servers["bound"].server.clone();
            bound.sandbox.write = vec![folder.to_owned()];
            let log: Log = Arc::new(|_: &str| {});
            child("bound", &bound, (&base.join("state"), &protected), &log).map(drop)
        };
        granted(&base.join("notes")).unwrap();
        for reached in [base.join("tools"), base.join("tools/lib"), guard.parent().unwrap().to_owned()] {
            let error = granted(&reached).unwrap_err();
            assert!(error.contains("runs without a sandbox"), "{error}");
        }
        // What is started is the program that runs, whatever is under its name by then.
        let launcher = format!("{:?}", Launcher::this_program().unwrap());
        assert_eq!(launcher.contains("/proc/self/exe"), cfg!(target_os = "linux"), "{launcher}");
    }

    #[test]
    fn a_server_that_does_not_start_in_its_sandbox_is_told_of_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(base.join("shims")).unwrap();
        for name in ["shims/python3", "npx", "serve"] {
            std::fs::write(base.join(name), "#!/bin/sh\n").unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(base.join(name), mode).unwrap();
        }
        let check = |program: &str, network: ConfigNetwork, expect: &[&str]| {
            let mut config =
                Config { command: vec![base.join(program).display().to_string()], ..Config::default() };
            config.command.push("x".to_owned());
            config.sandbox.network = network;
            let log: Log = Arc::new(|_: &str| {});
            let (_, prepared) =
                child("s", &config, (&base.join("state"), &Protected::default()), &log).unwrap();
            let said = confined(&config, &prepared.unwrap());
            assert!(expect.iter().all(|text| said.contains(text)), "{said}");
        };
        check("npx", ConfigNetwork::None, &["sandbox without network: npx gets", "install the server"]);
        check("shims/python3", ConfigNetwork::None, &["shims/python3 only looks for the real program"]);
        check("serve", ConfigNetwork::All, &["in a sandbox: what it needs"]);
    }

    #[test]
    fn a_server_without_a_sandbox_gets_no_descriptor_of_the_guards() {
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, b"secret").unwrap();
        rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).unwrap();
        let number = std::os::fd::AsRawFd::as_raw_fd(&file);
        let arguments = ["-c".to_owned(), format!("cat /dev/fd/{number}")];
        let output = unconfined("/bin/sh", &arguments, &BTreeMap::new()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(!text.contains("secret") && !output.stderr.is_empty(), "{text}");
    }

    #[test]
    fn a_server_without_a_sandbox_gets_its_own_variables_and_none_of_the_guards() {
        // The test runner sets this one.
        assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
        let own = BTreeMap::from([("TOKEN".to_owned(), EnvironmentValue::new("given"))]);
        let output = unconfined("env", &[], &own).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let names: Vec<&str> = text.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
        assert!(text.contains("TOKEN=given") && names.contains(&"PATH"), "{text}");
        assert!(names.iter().all(|name| *name == "TOKEN" || INHERITED.contains(name)), "{text}");
    }
}
