//! Puts a guard together from its configuration, and runs it.

mod approval;
pub mod control;
mod installed;
mod intervene;
mod meant;
mod protect;
mod servers;
#[cfg(test)]
mod tests;
mod unpin;
mod wrap;

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ostrom_trust::SecretKey;
use ostrom_trust::log::LogError;
use sha2::{Digest as _, Sha256};

pub use protect::Protected;
pub use servers::Log;
pub use unpin::{pinned, unpin};
pub use wrap::Wrap;

use crate::audit::{self, AuditError, AuditLog, Mode as AuditMode, Policies};
use crate::flow::Event;
use crate::front::{self, auth, http, stdio};
use crate::gateway::{Bounds, Capacity, Catalogue, Gateway, Journal, Rules, Shared};
use crate::pin::FirstUse;
use crate::policy::config::{AuditMode as ConfigAuditMode, Auth, Config, NewDefinitions};
use crate::policy::{InForce, read_snapshot};

/// How long a record may wait for a signature.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(5);

/// Why a guard does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A server behind.
    #[error("server {name}: {message}")]
    Server {
        /// Which.
        name: String,
        /// Why.
        message: String,
    },
    /// A file or socket.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The audit log.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// Another guard writes the audit log.
    #[error(
        "another guard with the state {} runs already, and what is known of an agent's context has one keeper: connect both clients to that \
         one over HTTP (docs/guard-client-http.md), or give this one a state of its own with --state FOLDER, where nothing is known of what the \
         other has seen",
        state.display()
    )]
    Running {
        /// Its state.
        state: PathBuf,
    },
    /// The pins.
    #[error(transparent)]
    Pins(#[from] crate::pin::StoreError),
    /// The HTTP front.
    #[error(transparent)]
    Front(#[from] http::StartError),
    /// Something in the configuration.
    #[error("{0}")]
    Configuration(String),
    /// What a running guard answered.
    #[error("{0}")]
    Refused(String),
}

/// A guard that is ready to serve.
#[derive(Debug)]
pub struct Guard {
    /// The gateway.
    pub gateway: Arc<Gateway>,
    policy: Arc<InForce>,
    audit: Arc<AuditLog>,
    state: PathBuf,
    log: LogHolder,
    threads: usize,
}

/// So that a guard can be printed.
#[derive(Clone)]
struct LogHolder(Log);

impl std::fmt::Debug for LogHolder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Log")
    }
}

/// Where a guard keeps its audit log.
#[must_use]
pub fn audit_folder(config: &Config, state: &Path) -> PathBuf {
    config.audit.folder.clone().unwrap_or_else(|| state.join("audit"))
}

/// The policies beside the audit log in `folder`.
#[must_use]
pub fn policies(folder: &Path) -> Policies {
    Policies::new(folder, read_snapshot)
}

/// Writes a person's intervention into the audit log in `folder` of the guard with this state, while none runs. The next one begins with it.
///
/// # Errors
/// If it is not an intervention, or cannot be written.
pub fn write_down(
    folder: &Path,
    state: &Path,
    key: SecretKey,
    command: &control::Command,
) -> Result<(), ServeError> {
    let (by, at) = (control::owner(), crate::gateway::now());
    let event = match command.clone() {
        control::Command::Stop { scope, .. } => Event::Stopped { scope, by, at },
        control::Command::Lift { scope } => Event::Lifted { scope, by, at },
        control::Command::Reset { context } => Event::Reset { context, by, at },
        control::Command::Revoke { source, .. } => Event::Revoked { source, by, at },
        _ => return Err(ServeError::Refused("no guard is running".to_owned())),
    };
    AuditLog::write_down((folder, &audit::origin(folder, state)?), key, &event)?;
    Ok(())
}

impl Guard {
    /// Opens the audit log, starts the servers, and puts the policy in force. `protected` is what no server may reach besides the state and
    /// the audit log.
    ///
    /// # Errors
    /// If any of it cannot be done: a guard starts whole or not at all.
    pub async fn start(
        policy: InForce,
        state: &Path,
        mut protected: Protected,
        key: SecretKey,
        log: Log,
    ) -> Result<Self, ServeError> {
        let policy = Arc::new(policy);
        let config = policy.config();
        let folder = audit_folder(config, state);
        let error = |source| ServeError::File { path: folder.clone(), source };
        std::fs::create_dir_all(&folder).map_err(error)?;
        let rules: Arc<dyn Rules> = policy.clone();
        let snapshot = policy.snapshot();
        let mode = match config.audit.mode {
            ConfigAuditMode::Durable => AuditMode::Durable,
            ConfigAuditMode::Buffered => AuditMode::Buffered,
        };
        let mut policies = policies(&folder);
        let origin = audit::origin(&folder, state)?;
        let opened = AuditLog::open(
            (&folder, &origin),
            key,
            mode,
            config.audit.openings_days,
            &mut policies,
            (&rules, &snapshot),
        )
        .map_err(|error| match error {
            AuditError::Log(LogError::Busy(_)) => ServeError::Running { state: state.to_owned() },
            error => error.into(),
        })?;
        let recovery = opened.log.recovery();
        if !recovery.is_clean() {
            log(&format!(
                "the audit log was not closed: {} bytes of an unfinished record were cut",
                recovery.cut_bytes
            ));
        }
        let unresolved = opened.engine.unresolved().count();
        if unresolved > 0 {
            log(&format!(
                "{unresolved} calls were cut off and their outcome is not known (ostrom guard replay lists them)"
            ));
        }
        protected.hidden.extend([state.to_owned(), folder.clone()]);
        protected.unchanged.extend(servers::unconfined_code(config));
        // What a guard that was killed has left. The audit log is locked by now, so nobody needs it.
        let _nothing_there = std::fs::remove_dir_all(servers::private(state));
        let mut upstreams = BTreeMap::new();
        for (name, server) in &config.servers {
            let started =
                servers::start(name, &server.server, &config.limits, (state, &protected), &log).await?;
            upstreams.insert(Arc::<str>::from(name.as_str()), started);
        }
        // What was before, and that the guard started, is signed before the first call.
        opened.log.checkpoint()?;
        let audit = Arc::new(opened.log);
        let journal: Arc<dyn Journal> = audit.clone();
        let capacity = Capacity {
            values: usize::try_from(config.limits.kept_values).unwrap_or(usize::MAX),
            bytes: usize::try_from(config.limits.kept_bytes).unwrap_or(usize::MAX),
        };
        let shared = Shared::new(opened.engine, rules, journal, capacity);
        shared.resume(opened.waiting);
        let first_use = match config.guard.new_definitions {
            NewDefinitions::Hold => FirstUse::Hold,
            NewDefinitions::TrustOnFirstUse => FirstUse::TrustOnFirstUse,
        };
        let catalogue = Catalogue::new(Some(unpin::pins(state)), first_use)?;
        let deadline = Duration::from_secs(config.limits.call_seconds);
        let bounds = Bounds {
            // What is put into a request is no larger than what may come in one.
            expanded: usize::try_from(config.limits.message_bytes).unwrap_or(usize::MAX),
            runs: usize::try_from(config.limits.runs).unwrap_or(usize::MAX),
        };
        let gateway = Gateway::new(shared, catalogue, upstreams, deadline, bounds);
        Ok(Self { gateway, policy, audit, state: state.to_owned(), log: LogHolder(log), threads: 0 })
    }

    /// Works on calls over HTTP with so many threads of its own; with none, where [`Guard::serve`] is.
    #[must_use]
    pub fn with_threads(self, threads: usize) -> Self {
        Self { threads, ..self }
    }

    /// Serves until the input ends (stdio), or until `stop` is ready.
    ///
    /// # Errors
    /// If the front cannot be opened.
    pub async fn serve(self, stop: impl Future<Output = ()> + Send) -> Result<(), ServeError> {
        let config = self.policy.config();
        let control = control::Control::open(&self.state)?;
        let approval = approval::Approval::start(config, &self.gateway, &self.log.0).await?;
        let changes = tokio::spawn(self.gateway.clone().relay_changes());
        let page = approval.as_ref().and_then(approval::Approval::page);
        let control = tokio::spawn(control.listen(self.gateway.clone(), page));
        let approval = tokio::spawn(async move {
            if let Some(approval) = approval {
                approval.run().await;
            }
        });
        let signing = tokio::spawn(Self::sign(self.audit.clone(), self.log.0.clone()));
        let served =
            if config.front.listen == "stdio" { self.stdio(stop).await } else { self.http(stop).await };
        changes.abort();
        control.abort();
        approval.abort();
        signing.abort();
        self.audit.checkpoint()?;
        served
    }

    /// Signs what is on record, again and again.
    async fn sign(audit: Arc<AuditLog>, log: Log) {
        let mut every = tokio::time::interval(CHECKPOINT_EVERY);
        loop {
            tokio::select! {
                _ = every.tick() => {}
                () = audit.due() => {}
            }
            let audit = audit.clone();
            match tokio::task::spawn_blocking(move || audit.checkpoint()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => log(&format!("no checkpoint: {error}")),
                Err(error) => log(&format!("no checkpoint: {error}")),
            }
        }
    }

    async fn stdio(&self, stop: impl Future<Output = ()> + Send) -> Result<(), ServeError> {
        let config = self.policy.config();
        let settings = stdio::Settings {
            run: std::env::var("OSTROM_RUN").ok().filter(|token| !token.is_empty()),
            limits: limits(config),
            log: self.log.0.clone(),
            ..stdio::Settings::new(&config.front.principal)
        };
        let serve = stdio::serve(self.gateway.clone(), tokio::io::stdin(), tokio::io::stdout(), settings);
        tokio::select! {
            served = serve => served.map_err(|source| ServeError::File { path: "standard input".into(), source }),
            () = stop => Ok(()),
        }
    }

    async fn http(&self, stop: impl Future<Output = ()> + Send) -> Result<(), ServeError> {
        let config = self.policy.config();
        let listen = config.front.listen.parse().map_err(|_| {
            ServeError::Configuration(format!(
                "front.listen = {:?} is neither stdio nor an address with a port",
                config.front.listen
            ))
        })?;
        let settings = http::Settings {
            listen,
            path: config.front.path.clone(),
            origins: config.front.origins.clone(),
            principal: config.front.principal.clone(),
            auth: authentication(config)?,
            limits: limits(config),
            ..http::Settings::default()
        };
        let mut server = http::Server::bind(self.gateway.clone(), settings, self.log.0.clone()).await?;
        if self.threads > 0 {
            let threads = server.with_threads(self.threads);
            server = threads.map_err(|error| {
                ServeError::Configuration(format!("the system gives no threads: {error}"))
            })?;
        }
        (self.log.0)(&format!("listening on http://{}{}", server.address(), config.front.path));
        server.run(stop).await;
        Ok(())
    }
}

fn authentication(config: &Config) -> Result<auth::Settings, ServeError> {
    let mut settings = auth::Settings::default();
    match config.front.auth {
        Auth::NoneOnLoopback => {}
        Auth::Tokens => {
            for (principal, variable) in &config.front.tokens {
                let token = std::env::var(variable).map_err(|_| {
                    ServeError::Configuration(format!(
                        "the environment has no {variable}, which front.tokens names"
                    ))
                })?;
                if let Err(why) = long_enough(&token) {
                    return Err(ServeError::Configuration(format!(
                        "{variable}, which front.tokens names, {why}"
                    )));
                }
                let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
                let sha256 = ostrom_core::Digest::from_bytes(digest).to_string();
                settings.tokens.push(auth::StaticToken { principal: principal.clone(), sha256 });
            }
        }
        Auth::Oauth => {
            let Some(oauth) = &config.front.oauth else {
                return Err(ServeError::Configuration(
                    "front.auth = \"oauth\" needs [front.oauth]".to_owned(),
                ));
            };
            let is_url = !oauth.has_file();
            settings.oauth = Some(auth::OAuth {
                issuer: oauth.issuer.clone(),
                resource: oauth.audience.clone(),
                jwks_file: (!is_url).then(|| PathBuf::from(&oauth.jwks)),
                jwks_url: is_url.then(|| oauth.jwks.clone()),
                algorithms: auth::default_algorithms(),
                scopes: oauth.scopes.clone(),
                claim: auth::default_claim(),
            });
        }
    }
    Ok(settings)
}

/// Characters that a token has at least. Who can guess one is that principal.
const TOKEN_CHARS: usize = 16;

/// Whether a token is one that can be sent and not be guessed.
fn long_enough(token: &str) -> Result<(), String> {
    if token.chars().count() >= TOKEN_CHARS {
        return Ok(());
    }
    Err(format!("has fewer than {TOKEN_CHARS} characters: make one with `openssl rand -hex 32`"))
}

/// Seconds after which a request is given up by whom it came in at. The gateway ends each call when its time is over, and says so under the label of
/// whatever may have made it slow, which the front does not know; a plan takes as long as its calls.
const LAST_RESORT: u64 = 86_400;

fn limits(config: &Config) -> front::Limits {
    let given = &config.limits;
    let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    front::Limits {
        bytes: size(given.message_bytes),
        depth: size(given.depth),
        values: size(given.values),
        call_seconds: LAST_RESORT,
        concurrent: size(given.concurrent_calls),
        rate: u32::try_from(given.calls_per_second).unwrap_or(u32::MAX),
        burst: u32::try_from(given.calls_per_second).unwrap_or(u32::MAX),
        ..front::Limits::default()
    }
}
