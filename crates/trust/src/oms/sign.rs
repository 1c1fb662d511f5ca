//! Signing a folder.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Component, Path};
use std::time::{SystemTime, UNIX_EPOCH};

use super::bundle::{MAX_BUNDLE, Named, write};
use super::error::{OmsError, Problem, Why};
use super::hash::HashAlgorithm;
use super::key::{EcPublicKey, EcSecretKey};
use super::manifest::{Manifest, Method, Piece};
use super::pem;
use super::tree::{Tree, walk};
use super::work::{Job, OnProgress, Outcome, Unit, hash_all};
use super::x509::Certificate;
use crate::dsse::{IN_TOTO_PAYLOAD_TYPE, pre_authentication_encoding};

/// What `model_signing` ignores by default: version control says nothing about a model.
const GIT_PATHS: [&str; 4] = [".git", ".gitattributes", ".github", ".gitignore"];

/// Beginning of the names of files that a command is writing beside or in a model. What was killed leaves one behind, and nobody
/// means it to be part of the model, so [`sign`] refuses it.
pub const UNFINISHED: &str = ".ostrom-unfinished-";

/// Who signs.
#[derive(Debug)]
pub struct Signer {
    key: EcSecretKey,
    /// The signer's certificate first. Empty for a bare key.
    chain: Vec<Vec<u8>>,
}

impl Signer {
    /// Signs with a bare key, which verifiers must know.
    pub fn key(key: EcSecretKey) -> Self {
        Self { key, chain: Vec::new() }
    }

    /// Signs with a key and its certificate, both in PEM. `chain` has the certificates between it and the root; the
    /// root itself may be among them.
    ///
    /// # Errors
    /// If a text has no certificate, the certificate is for another key, or it may not be used for signing.
    pub fn certificate<'a>(
        key: EcSecretKey,
        certificate: &str,
        chain: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, OmsError> {
        let mut ders = pem::certificates(certificate).map_err(OmsError::Certificate)?;
        let Some(first) = ders.first() else {
            return Err(OmsError::Certificate("there is none".to_owned()));
        };
        let leaf = Certificate::from_der(first).map_err(OmsError::Certificate)?;
        if leaf.ec_key() != Some(key.public()) {
            return Err(OmsError::Certificate("it is for another key".to_owned()));
        }
        if !leaf.may_sign_code() {
            return Err(OmsError::Certificate(
                "it is not meant for signing; no verifier would accept it".to_owned(),
            ));
        }
        for text in chain {
            ders.extend(pem::certificates(text).map_err(OmsError::Certificate)?);
        }
        Ok(Self { key, chain: ders })
    }

    /// Checks that the signer's certificate is valid at `time`. A bare key always is.
    ///
    /// # Errors
    /// If it has expired by then, or is not valid yet: whoever verifies would refuse what it signs.
    pub fn check_time(&self, time: SystemTime) -> Result<(), OmsError> {
        let Some(leaf) = self.chain.first() else { return Ok(()) };
        let leaf = Certificate::from_der(leaf).map_err(OmsError::Certificate)?;
        let time = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        leaf.check_time(time).map_err(OmsError::Certificate)
    }

    /// The public key that verifiers need, or that the certificate is for.
    pub fn public(&self) -> EcPublicKey {
        self.key.public()
    }
}

/// How to sign.
#[derive(Debug, Clone)]
pub struct SignOptions {
    /// The hash function.
    pub hash: HashAlgorithm,
    /// One digest per file, or per shard. With BLAKE3 it is always per file, as in `model_signing`.
    pub method: Method,
    /// Follow symbolic links to files. Links to folders are always refused.
    pub allow_symlinks: bool,
    /// Names within the folder that are left out, with all that is below them.
    pub ignore: Vec<String>,
    /// Also leave out `.git`, `.github`, `.gitattributes` and `.gitignore` at the top of the folder.
    pub ignore_git: bool,
    /// Threads that hash; 0 for one per core.
    pub threads: usize,
}

impl Default for SignOptions {
    fn default() -> Self {
        Self {
            hash: HashAlgorithm::default(),
            method: Method::default(),
            allow_symlinks: false,
            ignore: Vec::new(),
            ignore_git: true,
            threads: 0,
        }
    }
}

/// A signature, and what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The Sigstore bundle in JSON: the content of the signature file.
    pub bundle: Vec<u8>,
    /// SHA-256 over all digests: the model's name in other statements.
    pub root: ostrom_core::Digest,
    /// Files that are covered.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Paths that exist and are left out, sorted.
    pub ignored: Vec<String>,
    /// Empty files, which the method of shards cannot cover, sorted.
    pub uncovered: Vec<String>,
}

/// Signs all files of `model`, a folder or one file. `signature` is where the caller will put the bundle: if that is
/// inside the folder, it is left out (a file that is there already, too).
///
/// # Errors
/// If anything in the folder cannot be read or covered: then nothing is signed, and all of it is named.
pub fn sign(
    model: &Path,
    signature: Option<&Path>,
    signer: &Signer,
    options: &SignOptions,
    on_progress: &OnProgress<'_>,
) -> Result<Signed, OmsError> {
    let mut ignored = normalised(&options.ignore)?;
    if options.ignore_git {
        ignored.extend(GIT_PATHS.map(str::to_owned));
    }
    ignored.extend(signature.and_then(|path| name_within(model, path)));
    ignored.sort();
    ignored.dedup();
    let set: HashSet<String> = ignored.iter().cloned().collect();
    let mut tree = walk(model, &set, options.allow_symlinks);
    tree.refuse_unfinished();
    let method = if options.hash == HashAlgorithm::Blake3 { Method::Files } else { options.method };
    if method != Method::Files {
        tree.refuse_colons();
    }

    let mut units = Vec::new();
    let mut uncovered = Vec::new();
    for (file, entry) in tree.files.iter().enumerate() {
        let pieces = method.pieces(entry.stamp.len);
        if pieces.is_empty() {
            uncovered.push(entry.name.clone());
        }
        units.extend(pieces.into_iter().map(|(start, end)| Unit { file, start, end, known: None }));
    }
    if units.is_empty() && tree.problems.is_empty() {
        return Err(OmsError::Nothing(model.to_owned()));
    }
    // Do not read terabytes for a signature that cannot be made.
    let unexamined = |problems| OmsError::Unexamined { path: model.to_owned(), problems };
    if !tree.problems.is_empty() {
        return Err(unexamined(tree.problems));
    }
    let job = Job {
        files: &tree.files,
        units: &units,
        algorithm: options.hash,
        also_blake3: false,
        threads: options.threads,
    };
    let results = hash_all(&job, on_progress);

    let mut files: BTreeMap<String, Vec<Piece>> = BTreeMap::new();
    let mut problems = Vec::new();
    for (unit, result) in units.iter().zip(results) {
        let Some(entry) = tree.files.get(unit.file) else { continue };
        match result {
            Ok(Outcome::Digest { digest, .. }) => {
                let end = (method != Method::Files).then_some(unit.end);
                files.entry(entry.name.clone()).or_default().push(Piece { start: unit.start, end, digest });
            }
            // INVARIANT: no unit has a known digest when signing.
            Ok(Outcome::Known) => problems.push(Problem { path: entry.name.clone(), why: Why::Moving }),
            Err(why) => problems.push(Problem { path: entry.name.clone(), why }),
        }
    }
    if !problems.is_empty() {
        problems.dedup();
        return Err(unexamined(problems));
    }

    let count = files.len();
    let manifest =
        Manifest::new(model_name(model), (options.hash, method), options.allow_symlinks, ignored, files);
    let payload = manifest.to_statement()?;
    let signature = signer.key.sign(&pre_authentication_encoding(IN_TOTO_PAYLOAD_TYPE, &payload));
    let named = if signer.chain.is_empty() {
        Named::Key { hint: signer.key.public().id() }
    } else {
        Named::Certificates(&signer.chain)
    };
    let bundle = write(&named, &payload, &signature)?;
    if bundle.len() > MAX_BUNDLE {
        return Err(OmsError::Options(
            "the signature would be longer than 256 MiB; take larger shards".to_owned(),
        ));
    }
    let bytes = tree.files.iter().fold(0_u64, |sum, entry| sum.saturating_add(entry.stamp.len));
    Ok(Signed { bundle, root: manifest.root, files: count, bytes, ignored: tree.ignored, uncovered })
}

impl Tree {
    fn refuse_unfinished(&mut self) {
        let unfinished =
            |name: &str| name.rsplit('/').next().is_some_and(|last| last.starts_with(UNFINISHED));
        for entry in self.files.iter().filter(|entry| unfinished(&entry.name)) {
            let why = Why::Name(
                "was left behind by a command that was stopped, or is being written by one; remove it if none is running",
            );
            self.problems.push(Problem { path: entry.name.clone(), why });
        }
    }

    /// `model_signing` cannot read back a shard of such a file.
    fn refuse_colons(&mut self) {
        for entry in self.files.iter().filter(|entry| entry.name.contains(':')) {
            let why = Why::Name("has a colon in its name, which signatures of shards cannot have");
            self.problems.push(Problem { path: entry.name.clone(), why });
        }
    }
}

/// Ignored names without `./` and trailing `/`.
///
/// # Errors
/// If a name leads out of the folder or is the folder itself.
pub(super) fn normalised(names: &[String]) -> Result<Vec<String>, OmsError> {
    names
        .iter()
        .map(|name| {
            normal(name).ok_or_else(|| {
                OmsError::Options(format!("{name:?} cannot be ignored: it is not a name within the folder"))
            })
        })
        .collect()
}

/// A name within a folder, with `/` between its parts.
pub(super) fn normal(name: &str) -> Option<String> {
    let mut parts = Vec::new();
    for component in Path::new(name).components() {
        match component {
            Component::Normal(part) => parts.push(part.to_str()?),
            Component::CurDir => {}
            _ => return None,
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

/// The name of `path` within the folder `model`, if it lies there. `path` itself need not exist.
pub(super) fn name_within(model: &Path, path: &Path) -> Option<String> {
    let model = fs::canonicalize(model).ok()?;
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let full = fs::canonicalize(parent).ok()?.join(path.file_name()?);
    normal(full.strip_prefix(model).ok()?.to_str()?)
}

/// The last part of the folder's path.
fn model_name(model: &Path) -> String {
    let name = model.file_name().map(std::ffi::OsStr::to_os_string);
    let name = name.or_else(|| Some(fs::canonicalize(model).ok()?.file_name()?.to_os_string()));
    name.map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned())
}
