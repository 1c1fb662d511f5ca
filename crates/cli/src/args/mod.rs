//! The command line.

mod guard;
mod node;
mod peer;
mod share;
mod supply;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use guard::{
    ApproveOptions, ExplainOptions, GuardCommand, MintOptions, ObserveOptions, PinOptions, Place,
    ResetOptions, RevokeSourceOptions, StatusOptions, StopOptions, UnpinOptions,
};
pub use node::{BackupOptions, CheckOptions, NodePlace, RestoreOptions, ServeOptions};
pub use peer::{AddOptions, Giving, Here, OpenOptions, PeerCommand, SealKeyCommand};
pub use share::{
    FlawOptions, ImportOptions, IncidentOptions, Marks, NodeAddress, PublishOptions, SeverityName,
    SourceName, SyncOptions,
};
pub use supply::{
    CurveName, KeyCommand, LineageCommand, PassportOptions, RevokeOptions, ScanOptions, ShowOptions,
    SignOptions, VerifyModelOptions, WalkOptions,
};

/// Collective AI security: test, share, harden, prove, show.
#[derive(Debug, Parser)]
#[command(name = "ostrom", version, about, arg_required_else_help = true, max_term_width = 100)]
#[command(
    after_help = "Start here:\n  ostrom demo                 test a small local model, end to end\n  ostrom eval run --help      test a model of yours\n  ostrom scan ./model         look into model files\n  ostrom guard wrap -- CMD    put a guard before an MCP server\n  ostrom serve                share what you found: a node with web pages, API and TAXII"
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Test the reference model against prompt injection, twice, and prove the result.
    Demo(DemoOptions),
    /// Run, resume, verify, report, compare and export evaluations.
    #[command(after_help = "Examples:
  ostrom eval run --suite starter --target local:smollm2-135m --out run-1
  ostrom eval verify run-1
  ostrom eval report run-1")]
    #[command(subcommand)]
    Eval(EvalCommand),
    /// Fetch, list and talk to local models.
    #[command(after_help = "Examples:
  ostrom model pull smollm2-135m
  ostrom model chat smollm2-135m")]
    #[command(subcommand)]
    Model(ModelCommand),
    /// Look at suites and the attack library.
    #[command(after_help = "Examples:
  ostrom suite list
  ostrom suite show starter")]
    #[command(subcommand)]
    Suite(SuiteCommand),
    /// Guard an agent: decide about every MCP call by where information came from and where it may go.
    #[command(after_help = "Example:\n  ostrom guard wrap -- CMD")]
    #[command(subcommand)]
    Guard(GuardCommand),
    /// Scan model files and what lies beside them, without loading anything.
    #[command(after_help = "Examples:
  ostrom scan ./model-folder
  ostrom scan model.pt --fail-on medium
  ostrom scan ./model-folder --sarif > scan.sarif

Exit status: 0 nothing at or above --fail-on and everything was decided, 1 findings or something undecided, 2 usage.")]
    Scan(ScanOptions),
    /// Sign a model, so that `ostrom verify` and every OpenSSF Model Signing tool can check it.
    #[command(after_help = "Examples:
  ostrom key new model-key.pem
  ostrom sign ./model-folder --key model-key.pem
  ostrom sign ./model-folder --key leaf.pem --certificate leaf.crt --chain ca.crt

Exit status: 0 it is signed, 1 nothing was signed.")]
    Sign(SignOptions),
    /// Check a model against its signature, and against revocations.
    #[command(
        override_usage = "ostrom verify [OPTIONS] <--key KEY | --root PEM | --trusted-root JSON> PATH",
        after_help = "Examples:
  ostrom verify ./model-folder --key model-key.pub.pem
  ostrom verify ./model-folder --root ca.crt
  ostrom verify ./model-folder --trusted-root trusted_root.json --identity lab@example.org --issuer https://issuer.example

--json: {\"holds\", \"signer\", \"root\", \"files\"…, \"revocation\", \"unusableRecords\"}; where the signature does not hold or files
         differ {\"holds\": false, \"error\", \"differences\": null or {\"extra\", \"missing\", \"changed\", \"unexamined\"},
         \"revocation\", \"unusableRecords\"}

Exit status: 0 it is what was signed and nothing is revoked, 1 it is not."
    )]
    Verify(VerifyModelOptions),
    /// Write one signed statement of what a model is: files, digests, licence, parents, scan, signatures.
    #[command(after_help = "Examples:
  ostrom passport ./model-folder
  ostrom passport ./model-folder --cyclonedx bom.json
  ostrom passport ./model-folder --verify
  ostrom passport ./model-folder --verify --key model-key.pub.pem   # and check its signature now

--json: {\"passport\": FILE, \"digest\", \"files\", \"ignored\", \"signatures\", \"signer\", \"cyclonedx\"}; with --verify {\"holds\", \"signer\",
         \"digest\", \"differences\", \"ignored\": what is there and no part of it, \"takenOnTrust\", \"signature\": null without --key, or
         {\"holds\", \"file\", \"signer\", \"notCovered\"} or {\"holds\", \"error\"}, \"revocation\", \"unusableRecords\"}

Exit status: 0 it was written, or it holds and nothing is revoked, 1 it does not hold, it is revoked, or something could not be read.")]
    Passport(PassportOptions),
    /// Record and follow what came from what.
    #[command(after_help = "Example:\n  ostrom lineage affected-by 9f86d081884c7d65…")]
    #[command(subcommand)]
    Lineage(LineageCommand),
    /// Say, signed, that something must not be used any more. `scan` and `verify` honour it.
    #[command(after_help = "Examples:
  ostrom revoke 9f86d081884c7d65… --reason \"trained on a poisoned corpus\"
  ostrom revoke ./model --reason \"backdoored\" --replacement ./model-fixed
  ostrom revoke ./model --reinstate 5994471abb01… --reason \"false alarm\"

--json: {\"artifact\": {\"name\", \"digest\"}, \"record\", \"reinstated\": whether this lifts a revocation, \"revoked\": whether it is
         revoked now, \"revocation\": what --reinstate takes, or null, \"affected\": how many artifacts descend from it, \"file\"}

Exit status: 0 it is revoked, or no longer, 1 it is not, or a record could not be used.")]
    Revoke(RevokeOptions),
    /// Make keys, and show their public halves.
    #[command(after_help = "Examples:\n  ostrom key new model-key.pem\n  ostrom key public > alice.pem")]
    #[command(subcommand)]
    Key(KeyCommand),
    /// Run a node: share vulnerabilities and incidents with the right people, and only them.
    #[command(after_help = "Examples:
  ostrom serve                  # for this machine only: http://127.0.0.1:7400
  ostrom serve --listen 0.0.0.0:443 --base-url https://node.example \\
      --tls-cert chain.pem --tls-key key.pem
  ostrom serve --behind-proxy --base-url https://node.example \\
      --database postgres://ostrom@db/ostrom")]
    Serve(ServeOptions),
    /// Report a flaw to a node.
    #[command(after_help = "Examples:
  export OSTROM_TOKEN=ost_…     # made on the node's account page
  ostrom report \"Repeats its system prompt when asked twice\" \\
      --model acme-chat --success 17/20 --description flaw.md
  ostrom report \"…\" --tlp amber+strict --embargo 2027-01-31T00:00:00Z \\
      --to organisation:0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061
  ostrom report \"…\" --seal \\
      --to organisation:0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061  # only they read it")]
    Report(FlawOptions),
    /// Report an incident to a node.
    #[command(after_help = "Example:
  ostrom incident \"An assistant forwarded a mailbox\" \\
      --severity incident --occurred 2026-11-20T14:00:00Z")]
    Incident(IncidentOptions),
    /// Publish the result of an evaluation on a node. The bundle is verified first.
    #[command(after_help = "Example:\n  ostrom publish run-1 --tlp green --node https://node.example")]
    Publish(PublishOptions),
    /// Bring in what others have published: STIX bundles, genai-incidents, AVID.
    #[command(after_help = "Example:
  ostrom import stix-atlas.json --node https://node.example
  ostrom import incidents.min.json --as genai-incidents --tlp clear

Exit status: 0 all taken, 1 error, 4 records were refused.")]
    Import(ImportOptions),
    /// Keep a folder up to date with what a node's collection lets you see.
    #[command(after_help = "Example:\n  ostrom sync ./feed --node https://node.example")]
    Sync(SyncOptions),
    /// Say which nodes a node on this machine pulls from. It may run or not.
    #[command(after_help = "Examples:
  ostrom peer identity                          # this node's key, for others
  export OSTROM_PEER_TOKEN=ost_…                # made for you over there
  ostrom peer add https://peer.example
  ostrom peer list
  ostrom peer sync")]
    #[command(subcommand)]
    Peer(PeerCommand),
    /// Make, give out and list keys that reports can be sealed to.
    #[command(after_help = "Examples:
  ostrom seal-key new seal.key --register
  ostrom seal-key list")]
    #[command(subcommand)]
    SealKey(SealKeyCommand),
    /// Open what was sealed to you, and check that nothing of it was changed.
    #[command(after_help = "Examples:
  ostrom open vulnerability--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061 \\
      --key seal.key
  ostrom open export.json --key seal.key        # TLP:RED, from its page

Exit status: 0 opened and unchanged, 1 not.")]
    Open(OpenOptions),
    /// Check that everything that a node keeps is still as it was. It may run or not.
    #[command(after_help = "Example:
  ostrom check --data ./node

Reads everything: every object's digest, what follows from its marks, counts,
the transparency log and the audit log.

Exit status: 0 sound, 1 not, or it could not be looked at.")]
    Check(CheckOptions),
    /// Copy a node's SQLite database to a new file while the node goes on.
    #[command(after_help = "Example:
  ostrom backup node-2026-11-22.db
  cp -r NODE/log NODE/audit NODE/keys node-2026-11-22/

The folders log, audit and keys belong to it; take them after the database.
For PostgreSQL use pg_dump.

--json: {\"backup\": FILE, \"folder\": the node's,
         \"with\": what of it belongs to the backup}")]
    Backup(BackupOptions),
    /// Make a node's database from a backup. Nothing is overwritten.
    #[command(after_help = "Example:
  cp -r node-2026-11-22/log node-2026-11-22/audit node-2026-11-22/keys ./node/
  ostrom restore node-2026-11-22.db --data ./node
  ostrom serve --data ./node

--json: {\"from\": FILE, \"folder\": the node's, \"missing\": what to copy
         into it before it is served}")]
    Restore(RestoreOptions),
    /// Print a completion script for a shell.
    #[command(
        after_help = "Example:\n  ostrom completions bash > ~/.local/share/bash-completion/completions/ostrom"
    )]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Render chat templates from standard input with little memory and time. Ostrom calls itself with it.
    #[command(name = RENDER_TEMPLATES, hide = true)]
    RenderTemplates,
}

/// The command by which Ostrom has another process of itself render chat templates.
pub const RENDER_TEMPLATES: &str = "render-templates";

/// `ostrom demo`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  ostrom demo --out my-first-run")]
pub struct DemoOptions {
    /// A new folder for the two bundles; ostrom-demo, or ostrom-demo-2 and so on, by default.
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `ostrom eval …`.
#[derive(Debug, Subcommand)]
pub enum EvalCommand {
    /// Run a suite against a target and write a signed bundle.
    #[command(after_help = "Examples:
  ostrom eval run --suite starter --target local:smollm2-135m --out run-1
  ostrom eval run --suite core --target openai:gpt-oss --base-url http://127.0.0.1:8000/v1 --out run-2
  OPENAI_API_KEY=… ostrom eval run --suite core --target openai:MODEL --base-url https://HOST/v1 \\
      --key-env OPENAI_API_KEY --max-cost 5 --price 0.15,0.60 --out run-3
  ostrom eval run --config run.toml --out run-4

Exit status: 0 all trials have an outcome, 1 error, 3 stopped (resume it), 4 trials failed.")]
    Run(Box<RunOptions>),
    /// Go on with an interrupted run, and try failed trials again.
    #[command(after_help = "Examples:
  ostrom eval resume run-1
  ostrom eval resume run-1 --max-cost 10            # with a higher cap
  ostrom eval resume theirs --adopt --target openai:MODEL --base-url https://HOST/v1 --key-env NAME

A run goes on with the key that it began with (--sign-key). Of a folder that another key began, nothing is sent before
you adopt it: its answers count as yours then, and where requests go, with which key and at what cost is what these flags say.")]
    Resume(ResumeOptions),
    /// Check a bundle without trusting who made it.
    #[command(after_help = "Examples:
  ostrom eval verify run-1                          # whole and consistent, whoever signed it
  ostrom eval verify run-1.tar.zst --key lab.pem    # … and signed by this key
  ostrom eval verify run-1 --rerun 20 --target local:smollm2-135m

--json: {\"holds\", \"bundle\", \"signer\", \"expectedSigner\", \"trials\", \"failed\", \"replayed\", \"suite\", \"suiteVersion\", \"suiteDigest\",
         \"builtinSuite\", \"target\", \"notVerified\": what lies there and is no part of the bundle: run/, or nothing}")]
    Verify(VerifyOptions),
    /// Write the HTML report of a bundle.
    #[command(after_help = "Example:\n  ostrom eval report run-1")]
    Report(ReportOptions),
    /// Compare two bundles of the same suite, case by case.
    #[command(after_help = "Example:
  ostrom eval compare undefended defended

Exit status: 0 all pairs were compared, 1 error, 4 pairs with a failed trial were left out.")]
    Compare(CompareOptions),
    /// Write a bundle in another format.
    #[command(after_help = "Example:\n  ostrom eval export run-1 --format csv > run-1.csv")]
    Export(ExportOptions),
    /// Pack a bundle into one file.
    #[command(after_help = "Example:\n  ostrom eval pack run-1 --out run-1.tar.zst")]
    Pack(PackOptions),
}

/// `ostrom eval run`.
#[derive(Debug, Args)]
pub struct RunOptions {
    /// A built-in suite (starter, core) or a folder with suite.toml.
    #[arg(long)]
    pub suite: Option<String>,
    /// What to test: local:NAME, local:FILE.gguf, openai:MODEL or anthropic:MODEL.
    #[arg(long)]
    pub target: Option<String>,
    /// Settings in TOML; flags win over it.
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// A new or empty folder for the bundle.
    #[arg(long)]
    pub out: PathBuf,
    /// A defence; several compose in the order given.
    #[arg(long, value_delimiter = ',')]
    pub defence: Vec<String>,
    /// Run every trial so many times, at most 10,000.
    #[arg(long)]
    pub repeat: Option<u32>,
    /// Seed of sampling and markers, below 2^53.
    #[arg(long)]
    pub seed: Option<u64>,
    /// 0 is greedy.
    #[arg(long)]
    pub temperature: Option<f64>,
    /// Nucleus sampling; 1 is off.
    #[arg(long)]
    pub top_p: Option<f64>,
    /// The most tokens per answer; the suite's own number by default.
    #[arg(long)]
    pub max_tokens: Option<u32>,
    /// How to reach the target.
    #[command(flatten)]
    pub reach: ReachOptions,
    /// The key that signs; made on first use.
    #[arg(long)]
    pub sign_key: Option<PathBuf>,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}

/// How to reach a target.
#[derive(Debug, Clone, Default, Args)]
pub struct ReachOptions {
    /// Base URL of the endpoint, up to and including /v1.
    #[arg(long)]
    pub base_url: Option<String>,
    /// The environment variable that holds the API key.
    #[arg(long)]
    pub key_env: Option<String>,
    /// Requests at once.
    #[arg(long)]
    pub concurrency: Option<usize>,
    /// Seconds for a whole answer.
    #[arg(long)]
    pub timeout: Option<f64>,
    /// Tries per request.
    #[arg(long)]
    pub max_attempts: Option<u32>,
    /// Stop after so many requests.
    #[arg(long)]
    pub max_requests: Option<u64>,
    /// Stop after so many tokens, read and written.
    #[arg(long)]
    pub max_total_tokens: Option<u64>,
    /// Stop before more than so many US dollars are spent; needs --price.
    #[arg(long)]
    pub max_cost: Option<f64>,
    /// US dollars per million tokens read and written, as IN,OUT.
    #[arg(long)]
    pub price: Option<String>,
    /// Allow http:// to a host that is not this machine.
    #[arg(long)]
    pub allow_plain_http: bool,
    /// Leave temperature, top-p and seed out: some endpoints reject them.
    #[arg(long)]
    pub fixed_sampling: bool,
    /// Threads of a local model; all cores by default.
    #[arg(long)]
    pub threads: Option<usize>,
    /// Sequences that a local model works on at once.
    #[arg(long)]
    pub batch: Option<usize>,
}

/// `ostrom eval resume`.
#[derive(Debug, Args)]
pub struct ResumeOptions {
    /// The run's folder.
    pub run: PathBuf,
    /// How to reach the target, where it differs from before (higher caps, another key).
    #[command(flatten)]
    pub reach: ReachOptions,
    /// Make a run one's own that was begun with another key, the answers on record included.
    #[arg(long, requires = "target")]
    pub adopt: bool,
    /// The target of a run that is adopted.
    #[arg(long, requires = "adopt")]
    pub target: Option<String>,
    /// The key that signs; the one that the run began with.
    #[arg(long)]
    pub sign_key: Option<PathBuf>,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `ostrom eval verify`.
#[derive(Debug, Args)]
pub struct VerifyOptions {
    /// A bundle's folder or .tar.zst file.
    pub bundle: PathBuf,
    /// The public key that must have signed it.
    #[arg(long)]
    pub key: Option<PathBuf>,
    /// Play so many trials, chosen at random, again with the model at hand (local models).
    #[arg(long, value_name = "N")]
    pub rerun: Option<usize>,
    /// The model for --rerun; the name on record by default.
    #[arg(long)]
    pub target: Option<String>,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `ostrom eval report`.
#[derive(Debug, Args)]
pub struct ReportOptions {
    /// A bundle's folder or .tar.zst file.
    pub bundle: PathBuf,
    /// Where to write; report.html in the folder by default.
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `ostrom eval compare`.
#[derive(Debug, Args)]
pub struct CompareOptions {
    /// The first bundle.
    pub a: PathBuf,
    /// The second bundle; differences are B − A.
    pub b: PathBuf,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `ostrom eval export`.
#[derive(Debug, Args)]
pub struct ExportOptions {
    /// A bundle's folder or .tar.zst file.
    pub bundle: PathBuf,
    /// The format.
    #[arg(long)]
    pub format: Format,
    /// Where to write; standard output by default (not for parquet).
    #[arg(long)]
    pub out: Option<PathBuf>,
}

/// Export formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One line a trial.
    Csv,
    /// One row a trial, with the reply.
    Parquet,
    /// An AVID report.
    Avid,
    /// garak's report lines.
    Garak,
}

/// `ostrom eval pack`.
#[derive(Debug, Args)]
pub struct PackOptions {
    /// A bundle's folder.
    pub bundle: PathBuf,
    /// The file to write.
    #[arg(long)]
    pub out: PathBuf,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `ostrom model …`.
#[derive(Debug, Subcommand)]
pub enum ModelCommand {
    /// Fetch a model into the cache folder.
    #[command(after_help = "Examples:
  ostrom model pull smollm2-135m
  ostrom model pull hf:ggml-org/SmolVLM-256M-Instruct-GGUF/SmolVLM-256M-Instruct-Q8_0.gguf
  ostrom model pull ./downloads/model.gguf")]
    Pull {
        /// A reference model, hf:OWNER/REPO/FILE, or the path of a GGUF file.
        source: String,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
    /// List the models in the cache folder.
    #[command(after_help = "Examples:\n  ostrom model list\n  ostrom model list --json")]
    List {
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Talk to a local model.
    #[command(
        after_help = "Examples:\n  ostrom model chat smollm2-135m\n  ostrom model chat smollm2-135m --prompt \"What is a commons?\" --json"
    )]
    Chat {
        /// A model's name or the path of a GGUF file.
        model: String,
        /// Say this, print the answer, and end.
        #[arg(long)]
        prompt: Option<String>,
        /// System prompt.
        #[arg(long)]
        system: Option<String>,
        /// The most tokens per answer.
        #[arg(long, default_value_t = 512)]
        max_tokens: u32,
        /// 0 is greedy.
        #[arg(long, default_value_t = 0.0)]
        temperature: f64,
        /// Print each answer as one line of JSON.
        #[arg(long)]
        json: bool,
    },
}

/// `ostrom suite …`.
#[derive(Debug, Subcommand)]
pub enum SuiteCommand {
    /// List the built-in suites.
    #[command(after_help = "Examples:\n  ostrom suite list\n  ostrom suite list --json")]
    List {
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Check a suite and say what is in it.
    #[command(after_help = "Examples:\n  ostrom suite show core\n  ostrom suite show ./my-suite --json")]
    Show {
        /// A built-in suite or a folder with suite.toml.
        suite: String,
        /// Print the expanded suite as JSON.
        #[arg(long)]
        json: bool,
    },
}
