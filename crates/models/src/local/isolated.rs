//! Chat templates in a process of their own.
//!
//! A chat template is a program by whoever made the file. Counting its steps does not bound its memory: forty doublings of
//! a text are a terabyte, lists of lists print without end, and deep ones exhaust the stack when they are dropped. The
//! operating system bounds all of that at once. So templates are rendered by a child process that gives up its right to
//! memory and time before it reads the template, and whose death is an error like any other.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, BufWriter, Read as _, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::template::{Compiled, MAX_PROMPT, Setup};
use crate::chat::{Message, ToolSpec};
use crate::model::ModelError;

/// Memory that the child may use for data, in bytes.
const MAX_DATA: u64 = 256 << 20;
/// Addresses that the child may use, program and libraries included, in bytes.
const MAX_ADDRESSES: u64 = 2 << 30;
/// Seconds of computing that one child gets. Whoever needs more over many prompts gets another child.
const MAX_SECONDS: u64 = 2;
/// The longest answer of a child: a prompt in which JSON writes each byte as six.
const MAX_ANSWER: u64 = 6 * MAX_PROMPT as u64 + 1024;

/// Where the chat templates of model files are rendered.
#[derive(Debug, Clone, Default)]
pub enum Templates {
    /// In this process: for files that you trust. Steps and the length of prompts are bounded, memory is not.
    #[default]
    InProcess,
    /// In a child process: a program and arguments that make it call [`serve_templates`] and nothing else.
    Child {
        /// The program.
        program: PathBuf,
        /// Its arguments.
        arguments: Vec<OsString>,
    },
}

/// A conversation to render.
#[derive(Serialize, Deserialize)]
struct Conversation {
    messages: Vec<Message>,
    tools: Vec<ToolSpec>,
}

/// A prompt, or why there is none.
type Answer = Result<String, String>;

/// A child and its pipes. Dropping it ends the child.
struct Worker {
    child: Child,
    requests: BufWriter<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

/// What can go wrong between parent and child.
enum Trouble {
    /// The child did its work, and the template is at fault.
    Template(String),
    /// The child is gone.
    Dead,
}

/// A chat template that a child process renders.
pub(super) struct Isolated {
    program: PathBuf,
    arguments: Vec<OsString>,
    setup: Setup,
    /// The child, if one is alive.
    worker: Mutex<Option<Worker>>,
}

impl Isolated {
    /// Starts a child and has it compile the template.
    pub(super) fn new(program: PathBuf, arguments: Vec<OsString>, setup: Setup) -> Result<Self, ModelError> {
        let isolated = Self { program, arguments, setup, worker: Mutex::new(None) };
        let worker = isolated.start()?;
        *isolated.worker.lock().unwrap_or_else(PoisonError::into_inner) = Some(worker);
        Ok(isolated)
    }

    pub(super) fn render(&self, messages: &[Message], tools: &[ToolSpec]) -> Result<String, ModelError> {
        let conversation = Conversation { messages: messages.to_vec(), tools: tools.to_vec() };
        let mut kept = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        // A child that has worked before may have used up its time on honest work: that is no fault of this conversation.
        let answer = kept.as_mut().map(|worker| worker.ask(&conversation));
        let answer = match answer {
            Some(Err(Trouble::Dead)) | None => {
                *kept = None;
                let mut worker = self.start()?;
                let answer = worker.ask(&conversation);
                if !matches!(answer, Err(Trouble::Dead)) {
                    *kept = Some(worker);
                }
                answer
            }
            Some(answer) => answer,
        };
        answer.map_err(Trouble::tell)
    }

    /// A child that has compiled the template.
    fn start(&self) -> Result<Worker, ModelError> {
        let failed = |error: io::Error| {
            ModelError::Engine(format!(
                "the process that renders chat templates cannot be started ({}): {error}",
                self.program.display()
            ))
        };
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        // Ctrl-C is for this process, which finishes what is under way.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().map_err(failed)?;
        let pipes = (child.stdin.take(), child.stdout.take());
        let (Some(requests), Some(answers)) = pipes else {
            return Err(failed(io::Error::other("it has no pipes")));
        };
        let mut worker =
            Worker { child, requests: BufWriter::new(requests), answers: BufReader::new(answers) };
        worker.ask(&self.setup).map_err(Trouble::tell)?;
        Ok(worker)
    }
}

impl Worker {
    fn ask(&mut self, request: &impl Serialize) -> Result<String, Trouble> {
        self.exchange(request).map_err(|_| Trouble::Dead)?.map_err(Trouble::Template)
    }

    fn exchange(&mut self, request: &impl Serialize) -> io::Result<Answer> {
        serde_json::to_writer(&mut self.requests, request)?;
        self.requests.write_all(b"\n")?;
        self.requests.flush()?;
        let mut line = Vec::new();
        (&mut self.answers).take(MAX_ANSWER).read_until(b'\n', &mut line)?;
        Ok(serde_json::from_slice(&line)?)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Both fail only if it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Trouble {
    fn tell(self) -> ModelError {
        ModelError::Unsupported(match self {
            Self::Template(message) => message,
            Self::Dead => format!(
                "the file's chat template used up what it may have ({} MiB of memory, {MAX_SECONDS} s of computing, or \
                 the stack): it is broken or hostile; use another file",
                MAX_DATA >> 20
            ),
        })
    }
}

/// The child's side: gives up memory and time, then reads a template and conversations from standard input, one JSON
/// document a line, and writes an answer to each, until there are no more.
///
/// # Errors
/// If the limits cannot be set or the pipes break.
pub fn serve_templates() -> io::Result<()> {
    give_up()?;
    let (mut requests, mut answers) = (io::stdin().lock(), io::stdout().lock());
    let Some(setup) = next::<Setup>(&mut requests)? else { return Ok(()) };
    let compiled = match Compiled::new(&setup) {
        Ok(compiled) => compiled,
        Err(error) => return write(&mut answers, &Err(error.to_string())),
    };
    write(&mut answers, &Ok(String::new()))?;
    while let Some(conversation) = next::<Conversation>(&mut requests)? {
        let prompt = compiled.render(&conversation.messages, &conversation.tools);
        write(&mut answers, &prompt.map_err(|error| error.to_string()))?;
    }
    Ok(())
}

fn next<T: for<'de> Deserialize<'de>>(requests: &mut impl BufRead) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    if requests.read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    Ok(Some(serde_json::from_slice(&line)?))
}

fn write(answers: &mut impl Write, answer: &Answer) -> io::Result<()> {
    serde_json::to_writer(&mut *answers, answer)?;
    answers.write_all(b"\n")?;
    answers.flush()
}

/// Lowers this process's limits for good.
#[cfg(unix)]
fn give_up() -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};

    for (resource, most) in [
        (Resource::Core, 0),
        (Resource::Cpu, MAX_SECONDS),
        // What counts as data differs between systems; addresses are the bound behind it.
        (Resource::Data, MAX_DATA),
        (Resource::As, MAX_ADDRESSES),
    ] {
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    Ok(())
}

/// There are no such limits here: only steps and the length of prompts are bounded.
#[cfg(not(unix))]
fn give_up() -> io::Result<()> {
    Ok(())
}
