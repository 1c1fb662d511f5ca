//! Arguments of the commands about models as a supply chain.

use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use ostrom_core::{Digest, Severity};
use ostrom_scan::lineage::Relation;
use ostrom_trust::oms::HashAlgorithm;

/// `ostrom scan`.
#[derive(Debug, Args)]
pub struct ScanOptions {
    /// A file, or a folder with everything below it.
    pub path: PathBuf,
    /// Fail from this severity on: info, low, medium, high or critical. What could not be decided always fails.
    #[arg(long, default_value = "high")]
    pub fail_on: Severity,
    /// Print the report as SARIF 2.1.0.
    #[arg(long, conflicts_with = "json")]
    pub sarif: bool,
    /// Print the report as JSON.
    #[arg(long)]
    pub json: bool,
    /// Leave findings below medium out of the table.
    #[arg(long, short)]
    pub quiet: bool,
    /// Take the SHA-256 of every file as well (in the JSON).
    #[arg(long)]
    pub digests: bool,
    /// Honour revocations of this public key too.
    #[arg(long)]
    pub trust: Vec<PathBuf>,
    /// Threads; one a core by default.
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    pub threads: usize,
}

/// `ostrom key …`.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key: FILE, which only you can read, and FILE's public half beside it.
    #[command(after_help = "Examples:
  ostrom key new model-key.pem                                  # and model-key.pub.pem
  PASS=… ostrom key new model-key.pem --passphrase-env PASS
  ostrom key new records.pem --curve ed25519                    # for --sign-key

--json: {\"secret\": FILE, \"public\": FILE, \"curve\", \"key\": its id}

Exit status: 0 it was made, 1 it was not: a file of that name exists, or cannot be written.")]
    New {
        /// Where to put the secret key. An existing file is never overwritten.
        file: PathBuf,
        /// The curve: a NIST curve for `ostrom sign`; ed25519 for --sign-key (records, passports, results).
        #[arg(long, value_enum, default_value_t = CurveName::P256)]
        curve: CurveName,
        /// The environment variable with a passphrase to encrypt it with. What signs with an encrypted ed25519 key takes the passphrase from
        /// OSTROM_KEY_PASSPHRASE.
        #[arg(long)]
        passphrase_env: Option<String>,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the public half of an Ed25519 key: what others need to check your records, passports and results.
    #[command(after_help = "Examples:
  ostrom key public > alice.pem                # of the default key
  ostrom key public records.pem

--json: {\"pem\", \"curve\", \"key\": its id}")]
    Public {
        /// The key's file; the default key otherwise, which is made if there is none yet.
        file: Option<PathBuf>,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
}

/// A curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CurveName {
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
    /// NIST P-521.
    P521,
    /// Ed25519: signs records, passports and results; model signatures have no place for it.
    Ed25519,
}

/// `ostrom sign`.
#[derive(Debug, Args)]
pub struct SignOptions {
    /// The model: a folder, or one file.
    pub path: PathBuf,
    /// The secret key, in PEM; `ostrom key new` makes one.
    #[arg(long)]
    pub key: PathBuf,
    /// The environment variable with the key's passphrase.
    #[arg(long)]
    pub passphrase_env: Option<String>,
    /// Where to write the signature; model.sig in the folder, or FILE.sig, by default.
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// The key's certificate, in PEM.
    #[arg(long)]
    pub certificate: Option<PathBuf>,
    /// Certificates between it and the root, in PEM.
    #[arg(long, requires = "certificate")]
    pub chain: Vec<PathBuf>,
    /// sha256, blake2b or blake3.
    #[arg(long, default_value = "sha256")]
    pub hash: HashAlgorithm,
    /// One digest for every so many bytes instead of one a file (1000000000 if no number is given).
    #[arg(long, num_args = 0..=1, default_missing_value = "1000000000")]
    pub shards: Option<NonZeroU64>,
    /// Follow symbolic links to files.
    #[arg(long)]
    pub allow_symlinks: bool,
    /// Leave this out, with all that is below it: a path relative to the model, which must be there.
    #[arg(long)]
    pub ignore: Vec<String>,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `ostrom verify`.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("signers").required(true).args(["key", "root", "trusted_root"])))]
pub struct VerifyModelOptions {
    /// The model: a folder, or one file.
    pub path: PathBuf,
    /// The signature; model.sig in the folder, or FILE.sig, by default.
    #[arg(long)]
    pub signature: Option<PathBuf>,
    /// Trust signatures of this public key.
    #[arg(long)]
    pub key: Option<PathBuf>,
    /// Trust certificates that lead to this root, in PEM; intermediate ones may be given too.
    #[arg(long)]
    pub root: Vec<PathBuf>,
    // What does not go with the chosen kind of trust is refused by name: clap does not insist on what is required where that
    // conflicts with another argument, and would pass over it.
    /// When certificates must be valid: now, issued (when the signer's began, as model_signing does), or a Unix time.
    #[arg(long, default_value = "now", requires = "root", conflicts_with_all = ["key", "trusted_root"])]
    pub at: String,
    /// Trust Sigstore as this file (trusted_root.json) describes it. Everything is checked offline.
    #[arg(long, requires_all = ["identity", "issuer"])]
    pub trusted_root: Option<PathBuf>,
    /// The signer's e-mail address or URI.
    #[arg(long, requires = "trusted_root", conflicts_with_all = ["key", "root"])]
    pub identity: Option<String>,
    /// Who attested the identity: the URL of an OpenID Connect issuer.
    #[arg(long, requires = "trusted_root", conflicts_with_all = ["key", "root"])]
    pub issuer: Option<String>,
    /// Follow symbolic links to files.
    #[arg(long)]
    pub allow_symlinks: bool,
    /// Leave this out, besides what the signer left out: a path relative to the model.
    #[arg(long)]
    pub ignore: Vec<String>,
    /// Accept files that are not in the signature, and list them.
    #[arg(long)]
    pub ignore_unsigned: bool,
    /// Compare with a cache of BLAKE3 digests where an earlier --fast run has confirmed the same bytes.
    #[arg(long)]
    pub fast: bool,
    /// Honour revocations of this public key too.
    #[arg(long)]
    pub trust: Vec<PathBuf>,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `ostrom passport`.
#[derive(Debug, Args)]
pub struct PassportOptions {
    /// The model: a folder, or one file.
    pub path: PathBuf,
    /// Where to write it; FOLDER.passport.json or FILE.passport.json, beside the model, by default. Of a folder that
    /// has none beside it, --verify reads the ostrom-passport.json in it.
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Write the CycloneDX 1.6 bill of materials here too.
    #[arg(long)]
    pub cyclonedx: Option<PathBuf>,
    /// The Ed25519 key to sign with; the default key otherwise.
    #[arg(long)]
    pub sign_key: Option<PathBuf>,
    /// The public key that a signature beside the model is checked with, with --verify too.
    #[arg(long)]
    pub key: Option<PathBuf>,
    /// Check an existing passport against the files instead of making one.
    #[arg(long, conflicts_with_all = ["cyclonedx", "sign_key"])]
    pub verify: bool,
    /// Trust this public key.
    #[arg(long)]
    pub trust: Vec<PathBuf>,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `ostrom lineage …`.
#[derive(Debug, Subcommand)]
pub enum LineageCommand {
    /// Say, signed, what came from what.
    #[command(after_help = "Examples:
  ostrom lineage add ./my-fine-tune --from ./base --relation fine-tune
  ostrom lineage add quant.gguf --from ./base --relation quantisation --evidence
  ostrom lineage add ./model --from 9f86d081884c7d65… --relation trained-on

--json: {\"record\", \"file\", \"relation\", \"children\": [{\"name\", \"digest\"}…], \"parents\": [{\"name\", \"digest\"}…],
         \"basis\": {\"claim\": …} or {\"evidence\": {\"method\", \"result\", \"figures\"}}}

Exit status: 0 it is on record, 1 nothing was recorded.")]
    Add {
        /// What came into being: a path, or a SHA-256 digest.
        child: String,
        /// From what: a path, or a SHA-256 digest. Several for a merge.
        #[arg(long, required = true)]
        from: Vec<String>,
        /// fine-tune, adapter, merge, quantisation, conversion, trained-on or copy.
        #[arg(long)]
        relation: Relation,
        /// Compare, and record the result as evidence: digests for a copy, tensors otherwise. Both must be paths. What
        /// does not show the relation is not recorded.
        #[arg(long)]
        evidence: bool,
        /// The Ed25519 key to sign with; the default key otherwise.
        #[arg(long)]
        sign_key: Option<PathBuf>,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show what something came from.
    #[command(after_help = "Examples:
  ostrom lineage show ./my-model
  ostrom lineage show 9f86d081 --descendants --svg tree.svg

--json: {\"artifact\": {\"name\", \"digest\"}, \"direction\": \"ancestors\" or \"descendants\", \"known\", \"svg\": FILE or null,
         \"artifacts\": [{\"name\", \"digest\", \"distance\", \"trusted\", \"mark\": \"revoked\", \"affected\", \"suspected\" or null}…],
         \"edges\": [{\"child\", \"parent\", \"relation\", \"basis\", \"trusted\", \"record\"}…]}")]
    Show(ShowOptions),
    /// List what descends from something, with the shortest chain to each.
    #[command(after_help = "Examples:
  ostrom lineage affected-by 9f86d081884c7d65…
  ostrom lineage affected-by ./model                # what descends from it, or from a file or folder in it

--json: {\"artifact\": {\"name\", \"digest\"}, \"known\": whether any lineage is on record about it,
         \"affected\": [{\"digest\", \"name\", \"distance\", \"trusted\", \"chain\": edges as of `lineage show`}…]}

Exit status: 0 what descends from it is listed, 1 error, or nothing is on record about it.")]
    AffectedBy(WalkOptions),
    /// Show what a model's own files say of its parents, data sets and licence.
    #[command(after_help = "Example:\n  ostrom lineage claims ./model

Exit status: 0 all that is claimed is shown, 1 something could not be read.")]
    Claims {
        /// A model's folder or file.
        path: PathBuf,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Compare the tensors of two models: the same, derived, or unrelated.
    #[command(after_help = "Example:\n  ostrom lineage compare ./fine-tune ./base --all

Exit status: 0 the comparison says which, 1 too little could be compared, or something could not be read.")]
    Compare {
        /// A model's folder or file (safetensors, GGUF).
        a: PathBuf,
        /// Another.
        b: PathBuf,
        /// Compare every number, not a sample.
        #[arg(long)]
        all: bool,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Take in signed records that somebody gave you.
    #[command(after_help = "Example:
  ostrom lineage import record.json

--json: {\"records\": [{\"file\", \"record\", \"predicateType\", \"trusted\": whether a trusted key signed it}…]}
What was taken in before a file that cannot be used is told all the same.")]
    Import {
        /// Files with one DSSE envelope each.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
}

/// `ostrom lineage show`.
#[derive(Debug, Args)]
pub struct ShowOptions {
    /// A path, a digest, its first digits (8 or more), or a name in the records.
    pub artifact: String,
    /// What came from it, instead of what it came from.
    #[arg(long)]
    pub descendants: bool,
    /// Write it as a picture too.
    #[arg(long)]
    pub svg: Option<PathBuf>,
    /// Draw with ASCII only.
    #[arg(long)]
    pub ascii: bool,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
    /// Trust this public key.
    #[arg(long)]
    pub trust: Vec<PathBuf>,
}

/// `ostrom lineage affected-by`.
#[derive(Debug, Args)]
pub struct WalkOptions {
    /// A path, a digest, its first digits (8 or more), or a name in the records.
    pub artifact: String,
    /// Trust this public key.
    #[arg(long)]
    pub trust: Vec<PathBuf>,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `ostrom revoke`.
#[derive(Debug, Args)]
pub struct RevokeOptions {
    /// What must not be used any more: a SHA-256 digest, or a path.
    pub artifact: String,
    /// Why.
    #[arg(long)]
    pub reason: String,
    /// How bad it is to go on using it. It is told, and decides nothing: `scan` and `verify` fail for a revocation of any
    /// severity.
    #[arg(long, default_value = "critical")]
    pub severity: Severity,
    /// What to use instead: a digest or a path.
    #[arg(long)]
    pub replacement: Option<String>,
    /// Lift this revocation (the digest that `revoke` printed) instead of making one.
    #[arg(long, conflicts_with_all = ["replacement", "severity"])]
    pub reinstate: Option<Digest>,
    /// The Ed25519 key to sign with; the default key otherwise.
    #[arg(long)]
    pub sign_key: Option<PathBuf>,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}
