//! A person's way to a running guard: a socket in its state folder that only its owner can open.
//!
//! One line of JSON asks, one line answers. Agents have no way to it: it is neither the front nor a server.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ostrom_core::Digest;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;

use super::ServeError;
use super::approval::Page;
use super::intervene::{self, Named};
use super::unpin;
use crate::flow::{ContextKey, Event, Scope};
use crate::gateway::{Gateway, now};
use crate::pin::Kind;

/// Bytes of a question.
const MAX_LINE: u64 = 1 << 20;
/// Bytes of the path of a socket that every system takes.
const MAX_PATH: usize = 100;

/// What a person wants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "command")]
pub enum Command {
    /// What the guard knows.
    Status,
    /// Stop something.
    Stop {
        /// What.
        scope: Scope,
    },
    /// Take a stop back.
    Lift {
        /// What.
        scope: Scope,
    },
    /// Take a context back to its beginning.
    Reset {
        /// Whose.
        context: ContextKey,
    },
    /// Revoke a source.
    Revoke {
        /// `SERVER`, `SERVER/TOOL` or `SERVER#OBJECT`.
        source: String,
    },
    /// Mint a run.
    Mint {
        /// For whom.
        principal: String,
    },
    /// A fresh link to the approval page.
    Page,
    /// Calls that wait for a person.
    Waiting,
    /// Answer one of them.
    Answer {
        /// The beginning of the request's digest.
        request: String,
        /// Yes or no.
        approve: bool,
    },
    /// Definitions that wait for a person.
    Held,
    /// Approve one of them.
    Pin {
        /// The server.
        server: String,
        /// Its name, URI or URI template.
        name: String,
        /// As it was shown.
        digest: Digest,
        /// The exact rendering, for one with hidden text.
        rendered: Option<String>,
    },
    /// Definitions of a server that were approved.
    Pinned {
        /// The server.
        server: String,
    },
    /// Take the pin of one of them away.
    Unpin {
        /// The server.
        server: String,
        /// Of what kind.
        kind: Kind,
        /// Its name, URI or URI template.
        name: String,
    },
}

/// Where the socket of the guard with this state lies.
#[must_use]
pub fn socket(state: &Path) -> PathBuf {
    let near = state.join("control.sock");
    if near.as_os_str().len() <= MAX_PATH {
        return near;
    }
    let name = Digest::of(state.as_os_str().as_encoded_bytes()).short();
    std::env::temp_dir().join(format!("ostrom-guard-{name}")).join("control.sock")
}

/// Asks the running guard. `None` if none runs.
///
/// # Errors
/// What the guard said, or that it said nothing.
pub fn ask(state: &Path, command: &Command) -> Result<Option<Value>, ServeError> {
    let path = socket(state);
    let Ok(mut stream) = UnixStream::connect(&path) else { return Ok(None) };
    let error = |source: std::io::Error| ServeError::File { path: path.clone(), source };
    let mut line = serde_json::to_vec(command).map_err(|source| error(source.into()))?;
    line.push(b'\n');
    stream.write_all(&line).map_err(error)?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).map_err(error)?;
    let answer: Value = serde_json::from_str(&answer).map_err(|source| error(source.into()))?;
    match answer.get("error").and_then(Value::as_str) {
        Some(message) => Err(ServeError::Refused(message.to_owned())),
        None => Ok(Some(answer)),
    }
}

/// Listens for as long as it is polled.
///
/// # Errors
/// If the socket cannot be made.
pub(super) async fn listen(
    gateway: Arc<Gateway>,
    state: &Path,
    page: Option<Arc<Page>>,
) -> Result<(), ServeError> {
    let path = socket(state);
    let error = |source| ServeError::File { path: path.clone(), source };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(error)?;
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).map_err(error)?;
    }
    // The audit log is locked by now, so a socket that is there is one of a guard that was killed.
    match std::fs::remove_file(&path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => return Err(error(source)),
        _ => {}
    }
    let listener = UnixListener::bind(&path).map_err(error)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(error)?;
    let person = owner();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (gateway, person, page) = (gateway.clone(), person.clone(), page.clone());
        tokio::spawn(async move {
            let (read, mut write) = stream.into_split();
            let mut line = String::new();
            let read = tokio::io::BufReader::new(read.take(MAX_LINE)).read_line(&mut line).await;
            let answer = match read
                .map_err(|error| error.to_string())
                .and_then(|_| serde_json::from_str::<Command>(&line).map_err(|error| error.to_string()))
            {
                Ok(command) => carry_out(&gateway, command, &person, page.as_deref()).await,
                Err(error) => Err(error),
            };
            let answer = answer.unwrap_or_else(|error| json!({ "error": error }));
            // Whoever asked may be gone.
            let _gone = write.write_all(format!("{answer}\n").as_bytes()).await;
        });
    }
}

/// Who answers: the user of the operating system, since nobody else can open the socket.
#[must_use]
pub fn owner() -> String {
    std::env::var("USER").ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "owner".to_owned())
}

async fn carry_out(
    gateway: &Gateway,
    command: Command,
    by: &str,
    page: Option<&Page>,
) -> Result<Value, String> {
    let (by, at) = (by.to_owned(), now());
    let done = match command {
        Command::Status => return Ok(status(gateway)),
        Command::Waiting => return Ok(json!({"waiting": gateway.shared.lock().approvals.waiting(at)})),
        Command::Pinned { server } => {
            let pinned = gateway.catalogue.pinned(&server);
            let told: Vec<Value> = pinned
                .iter()
                .map(|one| unpin::told(&server, one.kind, &one.name, &one.pin, one.offered))
                .collect();
            return Ok(json!({ "pinned": told }));
        }
        Command::Held => return Ok(json!({"held": held(gateway)})),
        Command::Mint { principal } => {
            let (run, token) = gateway.mint(&principal).map_err(|error| error.to_string())?;
            return Ok(json!({"run": run, "token": token}));
        }
        Command::Page => {
            let page = page.ok_or("this guard has no approval page: add \"web\" to approval.channels")?;
            return Ok(json!({"link": page.link()?}));
        }
        Command::Stop { scope } => intervene::record(gateway, Event::Stopped { scope, by, at }).await,
        Command::Lift { scope } => intervene::record(gateway, Event::Lifted { scope, by, at }).await,
        Command::Reset { context } => intervene::record(gateway, Event::Reset { context, by, at }).await,
        Command::Revoke { source } => intervene::record(gateway, Event::Revoked { source, by, at }).await,
        Command::Answer { request, approve } => {
            let found = {
                let mut state = gateway.shared.lock();
                if !state.approvals.terms.terminal {
                    return Err(
                        "approval.channels has no \"terminal\", so nothing is answered here".to_owned()
                    );
                }
                state.approvals.find(&request, at)
            };
            let found = found.ok_or("nothing that waits has a digest beginning so, or more than one does")?;
            intervene::answer(gateway, found.digest, None, approve, &by).await
        }
        Command::Pin { server, name, digest, rendered } => {
            let named = Named { server: &server, name: Some(&name), digest };
            intervene::pin(gateway, named, |_| rendered, &by).await
        }
        Command::Unpin { server, kind, name } => intervene::unpin(gateway, &server, (kind, &name), &by).await,
    };
    done.map_err(|error| error.to_string())?;
    Ok(json!({"done": true}))
}

fn status(gateway: &Gateway) -> Value {
    let mut state = gateway.shared.lock();
    let waiting = state.approvals.waiting(now()).len();
    let contexts: Vec<Value> =
        state.engine.contexts().map(|(key, label)| json!({"context": key, "label": label})).collect();
    json!({
        "policy": gateway.shared.rules.version(),
        "contexts": contexts,
        "stopped": state.engine.stopped().map(ToString::to_string).collect::<Vec<_>>(),
        "unresolved": state.engine.unresolved().collect::<Vec<_>>(),
        "waiting": waiting,
        "held": gateway.catalogue.held().len(),
    })
}

fn held(gateway: &Gateway) -> Vec<Value> {
    gateway
        .catalogue
        .held()
        .into_iter()
        .map(|held| {
            json!({
                "server": held.server,
                "kind": held.checked.kind,
                "name": held.checked.name,
                "digest": held.checked.digest,
                "reasons": reasons(&held.checked.standing),
                "definition": held.definition.as_ref().map(|definition| {
                    crate::pin::rendering(definition)
                }),
            })
        })
        .collect()
}

/// Why a definition is held, in sentences.
fn reasons(standing: &crate::pin::Standing) -> Vec<String> {
    match standing {
        crate::pin::Standing::Held(reasons) => reasons.iter().map(ToString::to_string).collect(),
        crate::pin::Standing::Pinned | crate::pin::Standing::Removed => Vec::new(),
    }
}
