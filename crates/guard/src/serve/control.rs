//! A person's way to a running guard: a socket in its state folder that only its owner can open.
//!
//! One line of JSON asks, one line answers. Agents have no way to it: it is neither the front nor a server.
//!
//! *Invariant:* whoever asks has read the secret beside the socket. Most kernels cannot keep a server that is granted Unix sockets
//! from connecting, but no sandbox lets one read the state folder.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
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
use super::meant;
use super::unpin;
use crate::flow::{ContextKey, Event, Scope};
use crate::gateway::{Gateway, now};
use crate::pin::{Kind, Reason, Standing};

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
    /// Stop something. The answer names it.
    Stop {
        /// What.
        scope: Scope,
        /// Even if the guard knows nothing of this name.
        #[serde(default)]
        unknown: bool,
    },
    /// Take a stop back. The answer names it.
    Lift {
        /// What.
        scope: Scope,
    },
    /// Take a context back to its beginning.
    Reset {
        /// Whose.
        context: ContextKey,
    },
    /// Revoke a source. The answer names it.
    Revoke {
        /// `SERVER`, `SERVER/TOOL` or `SERVER#OBJECT`.
        source: String,
        /// Even if the guard knows nothing of this name.
        #[serde(default)]
        unknown: bool,
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

/// The socket's name in the state folder.
const SOCKET: &str = "control.sock";
/// The name of the file with the secret of the guard that runs.
const SECRET: &str = "control.secret";
/// The member of a question in which the secret comes.
const MEMBER: &str = "secret";

/// A path of the socket in `state` that is short enough to be one, for as long as the second value lives.
#[cfg(target_os = "linux")]
fn socket(state: &Path) -> io::Result<(PathBuf, Option<File>)> {
    use std::os::fd::AsRawFd as _;
    let near = state.join(SOCKET);
    if near.as_os_str().len() <= MAX_PATH {
        return Ok((near, None));
    }
    let folder = File::open(state)?;
    Ok((PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(SOCKET), Some(folder)))
}

/// A path of the socket in `state` that is short enough to be one.
#[cfg(not(target_os = "linux"))]
fn socket(state: &Path) -> io::Result<(PathBuf, Option<File>)> {
    let near = state.join(SOCKET);
    if near.as_os_str().len() <= MAX_PATH {
        return Ok((near, None));
    }
    let why = format!(
        "this is too long for a socket ({MAX_PATH} bytes at most); choose a shorter folder with --state"
    );
    Err(io::Error::new(io::ErrorKind::InvalidInput, why))
}

/// Asks the running guard. `None` if none runs.
///
/// # Errors
/// What the guard said, or that it said nothing.
pub fn ask(state: &Path, command: &Command) -> Result<Option<Value>, ServeError> {
    let path = state.join(SOCKET);
    let error = |source: io::Error| ServeError::File { path: path.clone(), source };
    let Ok((near, _held)) = socket(state) else { return Ok(None) };
    let Ok(mut stream) = UnixStream::connect(near) else { return Ok(None) };
    let secret = state.join(SECRET);
    let secret =
        std::fs::read_to_string(&secret).map_err(|source| ServeError::File { path: secret, source })?;
    let mut asked = serde_json::to_value(command).map_err(|source| error(source.into()))?;
    if let Some(members) = asked.as_object_mut() {
        members.insert(MEMBER.to_owned(), secret.into());
    }
    stream.write_all(format!("{asked}\n").as_bytes()).map_err(error)?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).map_err(error)?;
    let answer: Value = serde_json::from_str(&answer).map_err(|source| error(source.into()))?;
    match answer.get("error").and_then(Value::as_str) {
        Some(message) => Err(ServeError::Refused(message.to_owned())),
        None => Ok(Some(answer)),
    }
}

/// A socket that is open, and the digest of its secret.
pub(super) struct Control {
    listener: UnixListener,
    secret: Digest,
}

impl Control {
    /// Opens the socket in `state`.
    ///
    /// # Errors
    /// If it cannot be made. A guard that nobody could stop must not run.
    pub(super) fn open(state: &Path) -> Result<Self, ServeError> {
        let failed = |path: PathBuf| move |source| ServeError::File { path, source };
        let at = |path: &Path| failed(path.to_owned());
        std::fs::create_dir_all(state).map_err(at(state))?;
        std::fs::set_permissions(state, std::fs::Permissions::from_mode(0o700)).map_err(at(state))?;
        let (path, secret) = (state.join(SOCKET), state.join(SECRET));
        // The audit log is locked by now, so what is there is of a guard that was killed.
        for old in [&path, &secret] {
            match std::fs::remove_file(old) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(failed(old.clone())(source));
                }
                _ => {}
            }
        }
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|error| failed(secret.clone())(io::Error::other(error)))?;
        let text = Digest::of(&random).to_string();
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&secret);
        file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(at(&secret))?;
        let (near, _held) = socket(state).map_err(at(&path))?;
        let listener = UnixListener::bind(near).map_err(at(&path))?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(at(&path))?;
        Ok(Self { listener, secret: Digest::of(text.as_bytes()) })
    }

    /// Answers for as long as it is polled.
    pub(super) async fn listen(self, gateway: Arc<Gateway>, page: Option<Arc<Page>>) {
        let (person, secret) = (owner(), self.secret);
        loop {
            let Ok((stream, _)) = self.listener.accept().await else { continue };
            let (gateway, person, page) = (gateway.clone(), person.clone(), page.clone());
            tokio::spawn(async move {
                let (read, mut write) = stream.into_split();
                let mut line = String::new();
                let read = tokio::io::BufReader::new(read.take(MAX_LINE)).read_line(&mut line).await;
                let answer = match read
                    .map_err(|error| error.to_string())
                    .and_then(|_| serde_json::from_str::<Value>(&line).map_err(|error| error.to_string()))
                    .and_then(|asked| admitted(asked, secret))
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
}

/// What is asked, of somebody who knows the secret. Digests are compared, so that time tells nothing about it.
fn admitted(mut asked: Value, secret: Digest) -> Result<Command, String> {
    let given = asked.as_object_mut().and_then(|members| members.remove(MEMBER));
    let given = given.as_ref().and_then(Value::as_str).map(|text| Digest::of(text.as_bytes()));
    if given != Some(secret) {
        return Err(format!(
            "whoever asks here has to know what is in {SECRET} beside the socket: use ostrom guard of the version that runs, as its user"
        ));
    }
    serde_json::from_value(asked).map_err(|error| error.to_string())
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
            meant::principal(gateway, &principal)?;
            let (run, token) = gateway.mint(&principal).map_err(|error| error.to_string())?;
            return Ok(json!({"run": run, "token": token}));
        }
        Command::Page => {
            let page = page.ok_or("this guard has no approval page: add \"web\" to approval.channels")?;
            return Ok(json!({"link": page.link()?}));
        }
        Command::Stop { scope, unknown } => {
            let scope = meant::stopped(gateway, scope, unknown)?;
            let what = scope.to_string();
            return intervened(gateway, Event::Stopped { scope, by, at }, &what).await;
        }
        Command::Lift { scope } => {
            let scope = meant::lifted(gateway, &scope)?;
            let what = scope.to_string();
            return intervened(gateway, Event::Lifted { scope, by, at }, &what).await;
        }
        Command::Reset { context } => {
            meant::context(gateway, &context)?;
            intervene::record(gateway, Event::Reset { context, by, at }).await
        }
        Command::Revoke { source, unknown } => {
            let source = meant::source(gateway, source, unknown)?;
            let what = source.clone();
            return intervened(gateway, Event::Revoked { source, by, at }, &what).await;
        }
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
        Command::Pin { server, name, digest } => {
            let named = Named { server: &server, name: Some(&name), digest };
            intervene::pin(gateway, named, &by).await
        }
        Command::Unpin { server, kind, name } => intervene::unpin(gateway, &server, (kind, &name), &by).await,
    };
    done.map_err(|error| error.to_string())?;
    Ok(json!({"done": true}))
}

/// Records an intervention, and names what it was about.
async fn intervened(gateway: &Gateway, event: Event, what: &str) -> Result<Value, String> {
    intervene::record(gateway, event).await.map_err(|error| error.to_string())?;
    Ok(json!({"done": true, "what": what}))
}

fn status(gateway: &Gateway) -> Value {
    let mut state = gateway.shared.lock();
    let waiting = state.approvals.waiting(now()).len();
    let unwritten = gateway.shared.written(&state).err().map(|error| error.to_string());
    let contexts: Vec<Value> =
        state.engine.contexts().map(|(key, label)| json!({"context": key, "label": label})).collect();
    json!({
        "policy": gateway.shared.rules.version(),
        "servers": gateway.shared.rules.servers(),
        "contexts": contexts,
        "stopped": state.engine.stopped().map(ToString::to_string).collect::<Vec<_>>(),
        "unresolved": state.engine.unresolved().collect::<Vec<_>>(),
        "waiting": waiting,
        "held": gateway.catalogue.held().len(),
        "unwritten": unwritten,
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
                "approvable": !is_hidden(&held.checked.standing),
                "definition": held.definition.as_ref().map(|definition| {
                    crate::pin::rendering(definition)
                }),
            })
        })
        .collect()
}

/// Whether a definition has hidden text: nobody can approve that.
fn is_hidden(standing: &Standing) -> bool {
    matches!(standing, Standing::Held(reasons) if reasons.iter().any(|reason| matches!(reason, Reason::Hidden(_))))
}

/// Why a definition is held, in sentences.
fn reasons(standing: &Standing) -> Vec<String> {
    match standing {
        Standing::Held(reasons) => reasons.iter().map(ToString::to_string).collect(),
        Standing::Pinned | Standing::Removed => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::flow::Scope;

    /// What a program gets that connects and sends this line.
    fn answer(path: &Path, line: &str) -> String {
        let mut stream = UnixStream::connect(path).unwrap();
        stream.write_all(line.as_bytes()).unwrap();
        stream.write_all(b"\n").unwrap();
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).unwrap();
        answer
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn whoever_connects_and_has_not_read_the_secret_is_not_obeyed() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let gateway = crate::serve::approval::tests::empty();
        assert_eq!(ask(&state, &Command::Status).unwrap(), None);
        let running = tokio::spawn(Control::open(&state).unwrap().listen(gateway.clone(), None));
        for path in [&state.join(SOCKET), &state.join(SECRET)] {
            assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let socket = state.join(SOCKET);
        for line in [
            r#"{"command":"mint","principal":"local"}"#,
            r#"{"command":"stop","scope":"all"}"#,
            r#"{"command":"stop","scope":"all","secret":"sha256:0"}"#,
            r#"{"command":"status","secret":null}"#,
            "[]",
        ] {
            let answer = answer(&socket, line);
            assert!(answer.contains("has to know") && !answer.contains("token"), "{line}: {answer}");
        }
        assert_eq!(gateway.shared.lock().engine.stopped().count(), 0);
        ask(&state, &Command::Stop { scope: Scope::All, unknown: false }).unwrap().unwrap();
        assert_eq!(gateway.shared.lock().engine.stopped().count(), 1);
        running.abort();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_state_folder_with_a_long_path_has_its_socket_in_itself() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("x".repeat(120));
        if !cfg!(target_os = "linux") {
            std::fs::create_dir(&state).unwrap();
            assert!(Control::open(&state).err().unwrap().to_string().contains("--state"));
            return;
        }
        let gateway = crate::serve::approval::tests::empty();
        let running = tokio::spawn(Control::open(&state).unwrap().listen(gateway, None));
        assert!(state.join(SOCKET).exists());
        assert!(ask(&state, &Command::Status).unwrap().is_some());
        running.abort();
        // Where no socket can be made, there is no guard.
        std::fs::write(folder.path().join("file"), "").unwrap();
        assert!(Control::open(&folder.path().join("file")).is_err());
    }
}
