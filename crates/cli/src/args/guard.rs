//! Arguments of `ostrom guard …`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `ostrom guard …`.
#[derive(Debug, Subcommand)]
pub enum GuardCommand {
    /// Stand between an agent and its MCP servers, as guard.toml says.
    #[command(after_help = "Examples:
  ostrom guard run --config guard.toml           # stdio or HTTP in front: [front] listen
  ostrom guard run --config guard.toml --check   # read it, say what is wrong, start nothing

--check --json: {\"config\", \"servers\": how many, \"policy\": its hash}")]
    Run {
        /// The configuration (docs/guard-config.md).
        #[arg(long, default_value = "guard.toml")]
        config: PathBuf,
        /// Only check the configuration.
        #[arg(long)]
        check: bool,
        /// Print the result of the check as JSON.
        #[arg(long, requires = "check")]
        json: bool,
        /// Where the guard keeps its state.
        #[arg(long)]
        state: Option<PathBuf>,
    },
    /// Stand before one server, with safe defaults: one line in an agent's MCP configuration.
    #[command(after_help = "Examples:
  ostrom guard wrap -- servers/node_modules/.bin/mcp-server-filesystem /data
  ostrom guard wrap --read /data --write /data/out -- mcp-server-git --repository /data
  ostrom guard wrap --env LOG_LEVEL=info --env TOKEN -- ./my-server

The server runs in a sandbox: it may read --read and the absolute paths in its command, change --write (a file system or git server also the folders in its command), and has no network without --network. Where a git server changes modes of files, that is ignored. A memory server keeps its graph in a folder of its own (data/servers beside the guards' states), unless --env MEMORY_FILE_PATH=FILE and --write say where.

Install servers first (npm install --prefix servers PACKAGE): what npx PACKAGE means is started where it is installed in the current folder or for everybody; what would have to be fetched is refused, with what to do instead.

What the server defines when it is first seen is pinned; what changes later is held: ostrom guard pin.")]
    Wrap {
        /// A file or folder that the server may read.
        #[arg(long)]
        read: Vec<PathBuf>,
        /// A file or folder that the server may read and change.
        #[arg(long)]
        write: Vec<PathBuf>,
        /// Let the server use the network.
        #[arg(long)]
        network: bool,
        /// A variable for the server: NAME=VALUE for what is no secret, or NAME for the guard's own value.
        #[arg(long, value_name = "NAME[=VALUE]")]
        env: Vec<String>,
        /// Refuse to start the server where the kernel cannot enforce its sandbox.
        #[arg(long)]
        require_sandbox: bool,
        /// Start the server without a sandbox.
        #[arg(long, conflicts_with = "require_sandbox")]
        no_sandbox: bool,
        /// Only watch: refuse nothing.
        #[arg(long)]
        observe: bool,
        /// Where the guard keeps its state.
        #[arg(long)]
        state: Option<PathBuf>,
        /// The server's command.
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Only watch: let everything through, write down what would have been refused, and at the end a candidate policy.
    #[command(after_help = "Examples:
  ostrom guard observe --config guard.toml             # in place of `run`, while an agent works as usual
  ostrom guard observe --config guard.toml --report    # what was seen so far, and the candidate policy

--report --json: {\"calls\", \"refused\", \"candidate\": {\"file\", \"text\"}}")]
    Observe(ObserveOptions),
    /// Show definitions that are held, and approve them.
    #[command(after_help = "Examples:
  ostrom guard pin                                    # what is held, why, and under which hash
  ostrom guard pin send_email                         # show one definition and ask
  ostrom guard pin send_email --hash 3f9a12c05b1e     # approve it as it was shown, and no other
  ostrom guard pin --server mail --all --hash 81c9…   # everything of one server, as it was shown

What is held under a name can change at any moment, so an approval is always for a hash.

--json: {\"approved\": [DEFINITION…], \"held\": [DEFINITION…], \"together\": the hash for --all, or null}
DEFINITION: {\"server\", \"kind\", \"name\", \"digest\", \"reasons\", \"definition\"}
Nothing is asked then: an approval takes --hash.")]
    Pin(PinOptions),
    /// Show definitions that were approved, and take approvals back.
    #[command(after_help = "Examples:
  ostrom guard unpin mail                 # what is pinned of this server, and what of it the server does not offer any more
  ostrom guard unpin mail send_email      # take it out of the agent's list
  ostrom guard unpin mail --all           # everything of a server that is gone

What is taken away is in no list and cannot be called. If its server offers it now or later, it is held until somebody approves it (ostrom guard pin), whatever new-definitions says.

--json: {\"unpinned\": [PIN…], \"pinned\": [PIN…] what is left, \"running\": whether a guard runs; if not, it holds from the next start on}
PIN: {\"server\", \"kind\", \"name\", \"digest\", \"by\", \"at\", \"offered\": true, false, or null if the server has not been asked}")]
    Unpin(UnpinOptions),
    /// Show calls that wait for a person, and answer them.
    #[command(after_help = "Examples:
  ostrom guard approve                   # what waits
  ostrom guard approve 3f9a12            # shows the call and asks
  ostrom guard approve 3f9a12 --yes
  ostrom guard approve 3f9a12 --deny
  ostrom guard approve --page            # a link to the approval page

--json: {\"waiting\": [REQUEST…], \"answered\": {\"request\": REQUEST, \"approved\"} or null}
--page --json: {\"link\"}
Nothing is asked then: an answer takes --yes or --deny.")]
    Approve(ApproveOptions),
    /// Quarantine everything that descends from a source, in all runs.
    #[command(after_help = "Examples:
  ostrom guard revoke --source mail
  ostrom guard revoke --source fetch/fetch
  ostrom guard revoke --source 'memory#project notes'

--json: {\"source\", \"running\": whether a guard runs; if not, it holds from the next start on}")]
    Revoke(RevokeSourceOptions),
    /// Stop a run, a principal, a tool, a server or everything, before the next call leaves.
    #[command(after_help = "Examples:
  ostrom guard stop --all
  ostrom guard stop --tool mail/send_email
  ostrom guard stop --tool send_email    # as the agent calls it
  ostrom guard stop --all --lift         # take it back

A name that the guard does not know is an error, and nothing is stopped:
--unknown takes it all the same. --all, without --config or --state, is
everything of every guard that runs.

--json: {\"scope\", \"stopped\", \"running\": whether a guard runs; if not, it
holds from the next start on, \"states\": [FOLDER…] where several guards are meant}")]
    Stop(StopOptions),
    /// Take the context of a principal or run back to its beginning.
    #[command(after_help = "Example:
  ostrom guard reset --principal alice

--json: {\"context\": {\"principal\", \"run\"}, \"running\": whether a guard runs; if not, it holds from the next start on}")]
    Reset(ResetOptions),
    /// Mint a run: a context of its own, opened by a token (header Ostrom-Run, or OSTROM_RUN on stdio).
    #[command(after_help = "Example:
  ostrom guard mint --principal alice --json

--json: {\"run\", \"token\"}")]
    Mint(MintOptions),
    /// What the running guard knows: contexts and their labels, stops, what waits.
    #[command(after_help = "Example:
  ostrom guard status --json

--json: {\"policy\": its hash, \"contexts\": [{\"context\": {\"principal\", \"run\"}, \"label\"}], \"stopped\": [SCOPE…], \"unresolved\": [CALL…], \"waiting\": how many calls, \"held\": how many definitions, \"unwritten\": why the audit log cannot be written, or null}")]
    Status(StatusOptions),
    /// Say in one sentence why a call was decided as it was; without a CALL, list the latest calls.
    #[command(after_help = "Examples:
  ostrom guard explain         # the latest calls, with their numbers
  ostrom guard explain 12
  ostrom guard explain r-3f9a12c05b1e   # as the refusal says

What came of a call: answered, failed, refused, asked (refused until a person
approves it), unknown (it went out, and no answer is on record).

--json: {\"calls\": [{\"call\", \"at\": seconds since 1970, \"tool\", \"principal\",
\"run\", \"outcome\", \"request\"}…], \"of\": how many there are}; with a CALL
{\"call\", \"tool\", \"principal\", \"dispatched\", \"sentence\", \"because\", \"arguments\", \"ways\"}")]
    Explain(ExplainOptions),
    /// Derive every decision of an audit log again, offline.
    #[command(
        after_help = "Exit status: 0 everything came out as it is on record, 1 it did not, or could not be derived."
    )]
    Replay {
        /// The folder of the audit log.
        log: Option<PathBuf>,
        /// Accept that what depends on arguments and results that were deleted is taken from the record.
        #[arg(long)]
        redacted: bool,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
        /// Which guard.
        #[command(flatten)]
        place: Place,
    },
    /// Check that nothing of an audit log was cut or changed.
    #[command(after_help = "Examples:
  ostrom guard verify                                       # also that it is the log of this guard
  ostrom guard verify --checkpoint kept                     # nothing was cut since this copy of log/checkpoint
  ostrom guard verify FOLDER --key guard.pem --origin ostrom/guard/3f9a…

Exit status: 0 the log is whole, 1 it is not, or it is another log.

--json: {\"sound\", \"origin\": the log's name, \"entries\", \"unsigned\", \"unfinished\", \"checkpoint\", \"problems\", \"text\"}")]
    Verify {
        /// The folder of the audit log.
        log: Option<PathBuf>,
        /// The public key that must have signed it; your own by default.
        #[arg(long)]
        key: Option<PathBuf>,
        /// A checkpoint of this log (its file `log/checkpoint`) that was kept elsewhere: the log must go on where it was.
        #[arg(long, value_name = "FILE")]
        checkpoint: Vec<PathBuf>,
        /// The log's name, as it was kept elsewhere. What the guard's own state says is compared without it, unless a folder is given.
        #[arg(long)]
        origin: Option<String>,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
        /// Which guard.
        #[command(flatten)]
        place: Place,
    },
    /// Become a server in its sandbox. The guard starts itself so.
    #[command(hide = true)]
    Sandboxed {
        /// What it may touch.
        #[arg(long)]
        spec: String,
        /// The program and its arguments.
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
}

/// Which guard is meant; the only one there is, by default.
#[derive(Debug, Clone, Default, Args)]
pub struct Place {
    /// The configuration of the guard.
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// The folder of its state.
    #[arg(long)]
    pub state: Option<PathBuf>,
}

/// `ostrom guard explain`.
#[derive(Debug, Args)]
pub struct ExplainOptions {
    /// The number of the call, or the name under which the agent was refused (r-…).
    pub call: Option<ostrom_guard::audit::Which>,
    /// How many calls to list.
    #[arg(long, value_name = "N", default_value_t = 20, conflicts_with = "call")]
    pub last: usize,
    /// Print the explanation as JSON.
    #[arg(long)]
    pub json: bool,
    /// Which guard.
    #[command(flatten)]
    pub place: Place,
}

/// `ostrom guard stop`.
#[derive(Debug, Args)]
pub struct StopOptions {
    /// Everything.
    #[arg(long, group = "what")]
    pub all: bool,
    /// One principal.
    #[arg(long, group = "what")]
    pub principal: Option<String>,
    /// One run.
    #[arg(long, group = "what")]
    pub run: Option<String>,
    /// One tool: SERVER/TOOL, or as the agent calls it.
    #[arg(long, group = "what")]
    pub tool: Option<String>,
    /// One server.
    #[arg(long, group = "what")]
    pub server: Option<String>,
    /// Take the stop back.
    #[arg(long)]
    pub lift: bool,
    /// Take a name that the guard does not know, of what is still to come.
    #[arg(long, conflicts_with = "lift")]
    pub unknown: bool,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
    /// Which guard.
    #[command(flatten)]
    pub place: Place,
}

/// `ostrom guard observe`.
#[derive(Debug, Args)]
pub struct ObserveOptions {
    /// The configuration.
    #[arg(long, default_value = "guard.toml")]
    pub config: PathBuf,
    /// Start nothing; report what the log has.
    #[arg(long)]
    pub report: bool,
    /// Print the result as JSON.
    #[arg(long, requires = "report")]
    pub json: bool,
    /// Where the guard keeps its state.
    #[arg(long)]
    pub state: Option<PathBuf>,
}

/// `ostrom guard pin`.
#[derive(Debug, Args)]
pub struct PinOptions {
    /// Names to approve.
    pub names: Vec<String>,
    /// Only of this server.
    #[arg(long)]
    pub server: Option<String>,
    /// Approve everything that is held, but for what has hidden text or takes another's name.
    #[arg(long)]
    pub all: bool,
    /// The hash that was shown, 12 digits or more; of each name, or of all together.
    #[arg(long)]
    pub hash: Vec<String>,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
    /// Which guard.
    #[command(flatten)]
    pub place: Place,
}

/// `ostrom guard unpin`.
#[derive(Debug, Args)]
pub struct UnpinOptions {
    /// The server.
    pub server: String,
    /// Names to take away; without any, what is pinned is shown.
    pub names: Vec<String>,
    /// Take away everything of the server.
    #[arg(long, conflicts_with = "names")]
    pub all: bool,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
    /// Which guard.
    #[command(flatten)]
    pub place: Place,
}

/// `ostrom guard approve`.
#[derive(Debug, Args)]
pub struct ApproveOptions {
    /// The beginning of a request's digest.
    pub request: Option<String>,
    /// Approve without asking.
    #[arg(long, conflicts_with = "deny")]
    pub yes: bool,
    /// Refuse.
    #[arg(long)]
    pub deny: bool,
    /// Print a link to the approval page, which works once (needs "web" in approval.channels).
    #[arg(long, conflicts_with_all = ["request", "yes", "deny"])]
    pub page: bool,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
    /// Which guard.
    #[command(flatten)]
    pub place: Place,
}

/// `ostrom guard revoke`.
#[derive(Debug, Args)]
pub struct RevokeSourceOptions {
    /// SERVER, SERVER/TOOL or SERVER#OBJECT.
    #[arg(long)]
    pub source: String,
    /// Take a name that the guard does not know, of what is still to come.
    #[arg(long)]
    pub unknown: bool,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
    /// Which guard.
    #[command(flatten)]
    pub place: Place,
}

/// `ostrom guard reset`.
#[derive(Debug, Args)]
pub struct ResetOptions {
    /// The principal.
    #[arg(long, default_value = "local")]
    pub principal: String,
    /// The run.
    #[arg(long)]
    pub run: Option<String>,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
    /// Which guard.
    #[command(flatten)]
    pub place: Place,
}

/// `ostrom guard mint`.
#[derive(Debug, Args)]
pub struct MintOptions {
    /// For whom.
    #[arg(long, default_value = "local")]
    pub principal: String,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
    /// Which guard.
    #[command(flatten)]
    pub place: Place,
}

/// `ostrom guard status`.
#[derive(Debug, Args)]
pub struct StatusOptions {
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
    /// Which guard.
    #[command(flatten)]
    pub place: Place,
}
