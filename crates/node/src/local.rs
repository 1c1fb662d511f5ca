//! The way of somebody on the node's own machine: a socket in its data folder that only the node's user can open.
//!
//! Whoever can read the folder has the node's keys and its database, so that this way gives away nothing that they do not have. One line
//! of JSON asks, one answers. While no node runs, [`alone`] opens the folder itself and does the same.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::HeaderMap;
use ostrom_core::{OrgId, PeerId};
use ostrom_exchange::federation::PeerKey;
use ostrom_store::Peer;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

use crate::api::peers;
use crate::note::{self, By};
use crate::{App, BaseUrl, Config, Failure};

/// The socket's name in the data folder.
const SOCKET: &str = "control.sock";
/// Bytes of the path of a socket that every system takes.
const MAX_PATH: usize = 100;
/// Bytes of a question.
const MAX_QUESTION: u64 = 64 << 10;
/// Bytes of an answer.
const MAX_ANSWER: u64 = 8 << 20;
/// How long somebody may take to ask.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is asked.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "command", deny_unknown_fields)]
pub enum Command {
    /// This node's own name, key and fingerprint.
    Identity,
    /// What the node at a URL says that its name and key are.
    Look {
        /// The URL.
        url: String,
    },
    /// Whether everything that is kept is still as it was: database and logs.
    Check,
    /// All peers.
    Peers,
    /// A new peer.
    Add {
        /// Its URL.
        url: String,
        /// What people call it.
        name: String,
        /// Its key, which somebody has compared.
        public_key: String,
        /// The token that it gave this node.
        token: String,
        /// The member that it is.
        organisation: Option<OrgId>,
    },
    /// Forgets a peer.
    Remove {
        /// Its id, name or URL.
        peer: String,
    },
    /// Pulls from a peer now.
    Sync {
        /// Its id, name or URL.
        peer: String,
    },
    /// Lets a peer be pulled from again, or stops it.
    State {
        /// Its id, name or URL.
        peer: String,
        /// Whether it is pulled from.
        active: bool,
    },
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// There is no node in the folder.
    #[error("{} holds no node: start one with `ostrom serve`, or name its folder with --data", .0.display())]
    NoNode(PathBuf),
    /// The node could not be asked.
    #[error("the node in {} does not answer: {why}", path.display())]
    Silent {
        /// The socket.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A node has the database and cannot be asked.
    #[error(
        "a node is running on this database, and there is no way to it from here: use its pages, or stop it first ({0})"
    )]
    Unreachable(String),
    /// It says no.
    #[error("{0}")]
    Refused(String),
}

/// The open door of a node that runs; it closes when this is dropped.
#[derive(Debug)]
pub(crate) struct Door(Option<(PathBuf, JoinHandle<()>)>);

impl Drop for Door {
    fn drop(&mut self) {
        if let Some((path, task)) = self.0.take() {
            task.abort();
            let _gone = std::fs::remove_file(path);
        }
    }
}

impl Door {
    pub(crate) fn open(app: &App) -> Self {
        let path = app.data().join(SOCKET);
        match bind(&path) {
            Ok(listener) => {
                let app = app.clone();
                let task = tokio::spawn(async move {
                    loop {
                        match listener.accept().await {
                            Ok((stream, _)) => drop(tokio::spawn(answer(app.clone(), stream))),
                            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                        }
                    }
                });
                Self(Some((path, task)))
            }
            Err(why) => {
                eprintln!(
                    "ostrom node: `ostrom peer` and `ostrom check` have no way to this node while it runs: {why}"
                );
                Self(None)
            }
        }
    }
}

fn bind(path: &Path) -> Result<UnixListener, String> {
    if path.as_os_str().len() > MAX_PATH {
        return Err(format!("the path {} is too long for a socket", path.display()));
    }
    // What is left of a node that was killed. Two nodes never share a folder.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.to_string()),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(|error| error.to_string())?;
    // The folder is closed to others already.
    let only_owner = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(path, only_owner).map_err(|error| error.to_string())?;
    Ok(listener)
}

async fn answer(app: App, stream: UnixStream) {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    let mut lines = BufReader::new(read.take(MAX_QUESTION));
    let asked = tokio::time::timeout(PATIENCE, lines.read_line(&mut line)).await;
    if !matches!(asked, Ok(Ok(length)) if length > 0) {
        return;
    }
    let told = match serde_json::from_str::<Command>(&line) {
        Ok(command) => match perform(&app, command).await {
            Ok(answer) => json!({ "ok": answer }),
            Err(failure) => json!({ "error": failure.to_string() }),
        },
        Err(error) => json!({ "error": format!("not a question that this node knows: {error}") }),
    };
    let _sent = write.write_all(format!("{told}\n").as_bytes()).await;
}

/// Asks the node that runs in this folder. `None`: none does.
///
/// # Errors
/// If it does not answer, or refuses.
pub async fn ask(data: &Path, command: &Command) -> Result<Option<Value>, LocalError> {
    let path = data.join(SOCKET);
    let silent =
        |why: &dyn std::fmt::Display| LocalError::Silent { path: path.clone(), why: why.to_string() };
    if path.as_os_str().len() > MAX_PATH {
        return Ok(None);
    }
    let mut stream = match UnixStream::connect(&path).await {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(silent(&error)),
    };
    let question = serde_json::to_string(command).map_err(|error| silent(&error))?;
    stream.write_all(format!("{question}\n").as_bytes()).await.map_err(|error| silent(&error))?;
    let mut told = String::new();
    let mut lines = BufReader::new(stream.take(MAX_ANSWER));
    lines.read_line(&mut told).await.map_err(|error| silent(&error))?;
    let told: Value = serde_json::from_str(&told).map_err(|error| silent(&error))?;
    match (told.get("ok"), told.get("error").and_then(Value::as_str)) {
        (Some(answer), _) => Ok(Some(answer.clone())),
        (None, Some(why)) => Err(LocalError::Refused(why.to_owned())),
        (None, None) => Err(silent(&"its answer is none")),
    }
}

/// Opens the folder of a node that does not run, and does what is asked.
///
/// # Errors
/// If there is no node in it, one runs and cannot be asked, or it cannot be done.
pub async fn alone(config: Config, command: Command) -> Result<Value, LocalError> {
    let here = config.data.join("keys/node.pem").exists()
        && (config.database.is_some() || config.data.join("ostrom.db").exists());
    if !here {
        return Err(LocalError::NoNode(config.data));
    }
    let base = config.base.clone().unwrap_or_else(|| BaseUrl::local(config.listen.port()));
    let app = App::open(config, base).await.map_err(|error| LocalError::Unreachable(error.to_string()))?;
    let done = perform(&app, command).await.map_err(|failure| LocalError::Refused(failure.to_string()));
    app.close().await;
    done
}

async fn perform(app: &App, command: Command) -> Result<Value, Failure> {
    Ok(match command {
        Command::Identity => {
            let key = crate::federation::key(app)?;
            json!({ "name": key.name(), "key": key.to_string(), "fingerprint": key.fingerprint() })
        }
        Command::Look { url } => look(app, &url).await?,
        Command::Check => check(app).await?,
        Command::Peers => {
            let peers = app.store.peers().await?;
            told(&peers.into_iter().map(peers::view).collect::<Vec<_>>())?
        }
        Command::Add { url, name, public_key, token, organisation } => {
            let form = peers::PeerForm { url, name, public_key, token, organisation, limits: None };
            told(&peers::add(app, By::CommandLine, form).await?)?
        }
        Command::Remove { peer } => {
            let peer = find(app, &peer).await?;
            peers::forget(app, By::CommandLine, peer.id).await?;
            json!({ "id": peer.id, "url": peer.url, "name": peer.name })
        }
        Command::Sync { peer } => {
            let peer = find(app, &peer).await?;
            let what = format!("peer {}: pulled from now", peer.id);
            note::administration(app, By::CommandLine, None, what).await?;
            let pulled = crate::federation::pull(app, peer.id).await?;
            let skipped: Vec<Value> = pulled
                .skipped
                .iter()
                .map(|(why, count)| json!({ "why": why.to_string(), "count": count }))
                .collect();
            json!({ "id": peer.id, "name": peer.name, "taken": pulled.taken, "removed": pulled.removed,
                "skipped": skipped, "complete": pulled.complete })
        }
        Command::State { peer, active } => {
            let peer = find(app, &peer).await?;
            told(&peers::set_state(app, By::CommandLine, peer.id, active).await?)?
        }
    })
}

/// Reads everything that is kept.
async fn check(app: &App) -> Result<Value, Failure> {
    let database = app.exchange.check().await?;
    // What has come since the last checkpoint is signed now, so that it is looked at too.
    app.logs.checkpoint().await.map_err(Failure::internal)?;
    let data = app.data().clone();
    let logs = move || {
        let key = ostrom_trust::SecretKey::load(&data.join("keys/node.pem")).map_err(Failure::internal)?;
        let mut problems = Vec::new();
        for name in ["log", "audit"] {
            let report =
                ostrom_trust::log::verify(&data.join(name), &key.public()).map_err(Failure::internal)?;
            if !report.is_sound() {
                problems.push(format!("{name}: {report}"));
            }
        }
        Ok::<_, Failure>(problems)
    };
    let logs = tokio::task::spawn_blocking(logs).await.map_err(Failure::internal)??;
    let problems: Vec<&String> = database.problems.iter().chain(&logs).collect();
    Ok(
        json!({ "objects": database.objects, "counted": database.counted, "sound": problems.is_empty(), "problems": problems }),
    )
}

fn told<T: Serialize>(view: &T) -> Result<Value, Failure> {
    serde_json::to_value(view).map_err(Failure::internal)
}

/// What a node says of itself. Nobody has compared it with anything yet.
async fn look(app: &App, url: &str) -> Result<Value, Failure> {
    #[derive(Deserialize)]
    struct Identity {
        key: String,
        #[serde(default)]
        title: String,
    }
    let wrong = |why: &dyn std::fmt::Display| Failure::Unprocessable(why.to_string());
    let base: BaseUrl = url.parse().map_err(|error: crate::base::BaseUrlError| wrong(&error))?;
    let address = base.url("/federation/v1/identity");
    let asked = app.peers().send(Method::GET, &address, HeaderMap::new(), None, 64 << 10).await;
    let reply = asked.map_err(|error| wrong(&format!("{base}: {error}")))?;
    let no_node = || wrong(&format!("{base} does not say who it is: is an Ostrom node there?"));
    if reply.status != 200 {
        return Err(no_node());
    }
    let said: Identity = serde_json::from_slice(&reply.body).map_err(|_| no_node())?;
    let key: PeerKey = said.key.parse().map_err(|_| no_node())?;
    let title: String = said.title.chars().filter(|c| !c.is_control()).take(200).collect();
    Ok(json!({ "url": base.origin(), "name": key.name(), "key": key.to_string(),
        "fingerprint": key.fingerprint(), "title": title }))
}

/// The one peer of this id, URL, or name.
async fn find(app: &App, named: &str) -> Result<Peer, Failure> {
    let id: Option<PeerId> = named.parse().ok();
    let url = named.trim_end_matches('/');
    let mut found: Vec<Peer> = app.store.peers().await?;
    found.retain(|peer| Some(peer.id) == id || peer.url == url || peer.name == named);
    match (found.pop(), found.is_empty()) {
        (Some(peer), true) => Ok(peer),
        (None, _) => {
            Err(Failure::Unprocessable(format!("there is no peer {named:?}: `ostrom peer list` shows them")))
        }
        (Some(_), false) => {
            Err(Failure::Unprocessable(format!("several peers are called {named:?}: give the URL or the id")))
        }
    }
}
