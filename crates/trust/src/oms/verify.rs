//! Verifying a signature, and a folder against it.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use super::bundle::{Bundle, Material};
use super::cache::FastCache;
use super::certificate::CertificateTrust;
use super::error::{Change, Changed, Differences, OmsError, Problem};
use super::hash::HashAlgorithm;
use super::key::{Curve, EcPublicKey};
use super::manifest::{Manifest, Method, Piece};
use super::show::{hex, show};
use super::sign::{name_within, normal, normalised};
use super::sigstore::{self, SigstoreSigner, SigstoreTrust};
use super::tree::{Entry, Tree, walk};
use super::work::{Job, OnProgress, Outcome, Unit, hash_all};
use crate::dsse::IN_TOTO_PAYLOAD_TYPE;

/// Whose signatures count.
#[derive(Debug, Clone)]
pub enum Trust {
    /// Those of this key.
    Key(EcPublicKey),
    /// Those of certificates that lead to these roots.
    Certificates(CertificateTrust),
    /// Those of this identity, by way of Sigstore.
    Sigstore(Box<SigstoreTrust>),
}

/// Who signed, as far as it is proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignedBy {
    /// The holder of a key.
    Key {
        /// The key's name: SHA-256 of its PEM form.
        id: String,
        /// Its curve.
        curve: Curve,
    },
    /// The holder of a certificate.
    Certificate {
        /// The certificate's common name (or its subject in hexadecimal DER). Untrusted text: escape before printing.
        subject: String,
        /// SHA-256 of the certificate.
        fingerprint: ostrom_core::Digest,
        /// When it expires, in seconds since 1970.
        not_after: u64,
    },
    /// An identity that Sigstore attests.
    Sigstore(SigstoreSigner),
}

/// How to verify.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// Follow symbolic links to files. What the signer allowed does not count.
    pub allow_symlinks: bool,
    /// Names within the folder that are left out, in addition to those that the signer left out.
    pub ignore: Vec<String>,
    /// Accept files that are not in the signature, and list them.
    pub ignore_unsigned: bool,
    /// Threads that hash; 0 for one per core.
    pub threads: usize,
}

/// A file whose bytes are those that were signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedFile {
    /// Its name within the folder, with `/` between the parts; `.` if the model is this one file.
    pub path: String,
    /// Its length in bytes.
    pub len: u64,
    /// The digest of the whole file in hexadecimal digits. Nothing with shards, which have a digest each.
    pub digest: Option<String>,
}

/// How much of a fast verification was fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fast {
    /// Files or shards whose bytes were read and compared by BLAKE3 only.
    pub by_blake3: usize,
    /// Files or shards whose signed digest was computed, because the cache did not know it.
    pub in_full: usize,
}

/// A folder that is what was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Who signed.
    pub signer: SignedBy,
    /// The folder's name when it was signed. Untrusted text, and it need not be the name of the folder now.
    pub model: String,
    /// SHA-256 over all digests: the model's name in other statements.
    pub root: ostrom_core::Digest,
    /// The hash function.
    pub hash: HashAlgorithm,
    /// How files were cut.
    pub method: Method,
    /// All files that the signature covers, in its order.
    pub files: Vec<SignedFile>,
    /// Their bytes.
    pub bytes: u64,
    /// Paths that exist and are left out, by the signer's word or the caller's, sorted. Anything may be in them.
    pub ignored: Vec<String>,
    /// Empty files, which the method of shards cannot cover, sorted.
    pub uncovered: Vec<String>,
    /// Files that are not in the signature, if the caller accepts such, sorted.
    pub unsigned: Vec<String>,
    /// What could not be examined among files that need not be signed.
    pub unexamined: Vec<Problem>,
    /// Present if BLAKE3 stood in for the signed digests.
    pub fast: Option<Fast>,
}

/// A payload whose signature holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticated {
    /// Who signed.
    pub signer: SignedBy,
    /// The signed bytes: an in-toto statement.
    pub payload: Vec<u8>,
}

/// Checks who signed a bundle, and nothing about any folder.
///
/// # Errors
/// If it is not a bundle with an in-toto statement, or not signed by whom the caller trusts.
pub fn authenticate(bundle: &[u8], trust: &Trust) -> Result<Authenticated, OmsError> {
    let bundle = Bundle::from_slice(bundle)?;
    if bundle.payload_type != IN_TOTO_PAYLOAD_TYPE {
        return Err(OmsError::Bundle(format!(
            "it carries {}, not an in-toto statement",
            show(&bundle.payload_type)
        )));
    }
    let signer = match (trust, &bundle.material) {
        (Trust::Key(key), Material::Key { hint }) => {
            if hint.as_ref().is_some_and(|hint| *hint != key.id()) {
                return Err(OmsError::Signature("it was made with another key".to_owned()));
            }
            holds(key, &bundle)?;
            SignedBy::Key { id: key.id(), curve: key.curve() }
        }
        (Trust::Certificates(trust), Material::Certificates(chain)) => {
            let (leaf, key) = trust.verify(chain)?;
            holds(&key, &bundle)?;
            SignedBy::Certificate {
                subject: leaf.subject_name(),
                fingerprint: ostrom_core::Digest::of(&leaf.der),
                not_after: leaf.not_after,
            }
        }
        (Trust::Sigstore(trust), Material::Sigstore(material)) => {
            SignedBy::Sigstore(sigstore::verify(&bundle, material, trust)?)
        }
        (trust, material) => {
            return Err(OmsError::Method {
                made_with: match material {
                    Material::Key { .. } => "a key",
                    Material::Certificates(_) => "a certificate and no log entry",
                    Material::Sigstore(_) => "Sigstore",
                },
                trusted: match trust {
                    Trust::Key(_) => "a key",
                    Trust::Certificates(_) => "certificates",
                    Trust::Sigstore(_) => "a Sigstore identity",
                },
            });
        }
    };
    Ok(Authenticated { signer, payload: bundle.payload })
}

fn holds(key: &EcPublicKey, bundle: &Bundle) -> Result<(), OmsError> {
    if key.verify(&bundle.signed_bytes(), &bundle.signature) {
        Ok(())
    } else {
        Err(OmsError::Signature("the statement was changed, or another key signed it".to_owned()))
    }
}

/// Verifies that `model`, a folder or one file, is exactly what was signed. `signature` is the bundle's own place, which
/// is left out if it lies inside the folder.
///
/// # Errors
/// If the signature does not hold for `trust`, or the folder differs: then every extra, missing and changed file is
/// named, and everything that could not be examined.
pub fn verify(
    model: &Path,
    signature: Option<&Path>,
    bundle: &[u8],
    trust: &Trust,
    options: &VerifyOptions,
    on_progress: &OnProgress<'_>,
) -> Result<Verified, OmsError> {
    check((model, signature), bundle, trust, options, None, on_progress)
}

/// The same, with a cache of digests: see [`FastCache`]. The result says how much of it was fast.
///
/// # Errors
/// As [`verify`], and if the cache lies in the folder or cannot be written.
pub fn verify_fast(
    model: &Path,
    signature: Option<&Path>,
    bundle: &[u8],
    trust: &Trust,
    options: &VerifyOptions,
    cache: &mut FastCache,
    on_progress: &OnProgress<'_>,
) -> Result<Verified, OmsError> {
    if name_within(model, cache.path()).is_some() {
        return Err(OmsError::Cache("it lies in the folder that is to be verified".to_owned()));
    }
    check((model, signature), bundle, trust, options, Some(cache), on_progress)
}

fn check(
    (model, signature): (&Path, Option<&Path>),
    bundle: &[u8],
    trust: &Trust,
    options: &VerifyOptions,
    mut cache: Option<&mut FastCache>,
    on_progress: &OnProgress<'_>,
) -> Result<Verified, OmsError> {
    let Authenticated { signer, payload } = authenticate(bundle, trust)?;
    let manifest = Manifest::from_statement(&payload)?;

    // Names that lead out of the folder, or are the folder, ignore nothing; model_signing drops the former as well.
    let mut ignored: HashSet<String> = manifest.ignored.iter().filter_map(|name| normal(name)).collect();
    ignored.extend(normalised(&options.ignore)?);
    ignored.extend(signature.and_then(|path| name_within(model, path)));
    let tree = walk(model, &ignored, options.allow_symlinks);

    let mut comparison = Comparison::new(&manifest, &tree, options.ignore_unsigned);
    // BLAKE3 is itself the signed function: nothing to save.
    let cache = cache.as_mut().filter(|_| manifest.algorithm != HashAlgorithm::Blake3);
    if let Some(cache) = &cache {
        comparison.recall(cache);
    }
    let job = Job {
        files: &tree.files,
        units: &comparison.units,
        algorithm: manifest.algorithm,
        also_blake3: cache.is_some(),
        threads: options.threads,
    };
    let results = hash_all(&job, on_progress);
    let fast = comparison.judge(results, cache.map(|cache| &mut **cache))?;
    let Comparison { differences, files, uncovered, unsigned, unexamined, .. } = comparison;
    if !differences.is_empty() {
        return Err(OmsError::Differs(Box::new(differences)));
    }
    Ok(Verified {
        signer,
        bytes: files.iter().fold(0_u64, |sum, file| sum.saturating_add(file.len)),
        model: manifest.model,
        root: manifest.root,
        hash: manifest.algorithm,
        method: manifest.method,
        files,
        ignored: tree.ignored,
        uncovered,
        unsigned,
        unexamined,
        fast,
    })
}

/// The signed files that are `path` or lie below it.
fn signed_below<'a>(manifest: &'a Manifest, path: &str) -> Vec<&'a str> {
    if path == "." {
        return manifest.files.keys().map(String::as_str).collect();
    }
    let below = format!("{path}/");
    let itself = manifest.files.get_key_value(path).map(|(name, _)| name.as_str());
    let others = manifest.files.range(below.clone()..).map(|(name, _)| name.as_str());
    itself.into_iter().chain(others.take_while(|name| name.starts_with(&below))).collect()
}

/// A stretch of a file that has another digest than the signed one.
struct WrongPiece {
    place: (u64, u64),
    how: Change,
}

/// A folder and a manifest, side by side.
struct Comparison<'a> {
    manifest: &'a Manifest,
    entries: &'a [Entry],
    units: Vec<Unit>,
    /// Of each unit.
    pieces: Vec<&'a Piece>,
    differences: Differences,
    files: Vec<SignedFile>,
    uncovered: Vec<String>,
    unsigned: Vec<String>,
    unexamined: Vec<Problem>,
}

impl<'a> Comparison<'a> {
    fn new(manifest: &'a Manifest, tree: &'a Tree, ignore_unsigned: bool) -> Self {
        let mut this = Self {
            manifest,
            entries: &tree.files,
            units: Vec::new(),
            pieces: Vec::new(),
            differences: Differences::default(),
            files: Vec::new(),
            uncovered: Vec::new(),
            unsigned: Vec::new(),
            unexamined: Vec::new(),
        };
        let mut missing: HashSet<&str> = manifest.files.keys().map(String::as_str).collect();
        for (file, entry) in tree.files.iter().enumerate() {
            match manifest.files.get(&entry.name) {
                Some(pieces) => {
                    missing.remove(entry.name.as_str());
                    this.match_file(file, entry, pieces);
                }
                None if entry.stamp.len == 0 && manifest.method != Method::Files => {
                    this.uncovered.push(entry.name.clone());
                }
                None if ignore_unsigned => this.unsigned.push(entry.name.clone()),
                None => this.differences.extra.push(entry.name.clone()),
            }
        }
        for problem in &tree.problems {
            // A signed file that cannot be examined is there, but not proved; and a folder that cannot be listed may
            // have signed files in it.
            let hidden = signed_below(manifest, &problem.path);
            for name in &hidden {
                missing.remove(name);
            }
            if !hidden.is_empty() || !ignore_unsigned {
                this.differences.unexamined.push(problem.clone());
            } else {
                this.unexamined.push(problem.clone());
            }
        }
        this.differences.missing = missing.into_iter().map(str::to_owned).collect();
        this.differences.missing.sort();
        this
    }

    fn match_file(&mut self, file: usize, entry: &Entry, pieces: &'a [Piece]) {
        let len = entry.stamp.len;
        if let Some(signed) = pieces.last().and_then(|piece| piece.end)
            && signed != len
        {
            self.change(&entry.name, Change::Length { signed, found: len });
            return;
        }
        let digest =
            (self.manifest.method == Method::Files).then(|| pieces.first().map(|piece| hex(&piece.digest)));
        self.files.push(SignedFile { path: entry.name.clone(), len, digest: digest.flatten() });
        for piece in pieces {
            self.units.push(Unit { file, start: piece.start, end: piece.end.unwrap_or(len), known: None });
            self.pieces.push(piece);
        }
    }

    fn change(&mut self, path: &str, how: Change) {
        self.differences.changed.push(Changed { path: path.to_owned(), how });
    }

    fn recall(&mut self, cache: &FastCache) {
        for (unit, piece) in self.units.iter_mut().zip(&self.pieces) {
            let len = unit.end.saturating_sub(unit.start);
            unit.known = cache.get(self.manifest.algorithm, &piece.digest, len);
        }
    }

    /// Compares digests, and remembers those that are right.
    fn judge(
        &mut self,
        results: Vec<Result<Outcome, super::error::Why>>,
        mut cache: Option<&mut FastCache>,
    ) -> Result<Option<Fast>, OmsError> {
        let mut fast = Fast::default();
        let mut wrong: BTreeMap<usize, Vec<WrongPiece>> = BTreeMap::new();
        for ((unit, piece), result) in self.units.iter().zip(&self.pieces).zip(results) {
            match result {
                Ok(Outcome::Known) => fast.by_blake3 += 1,
                Ok(Outcome::Digest { digest, blake3 }) if digest == piece.digest => {
                    fast.in_full += 1;
                    if let (Some(cache), Some(blake3)) = (&mut cache, blake3) {
                        let len = unit.end.saturating_sub(unit.start);
                        cache.put(self.manifest.algorithm, &digest, len, blake3);
                    }
                }
                Ok(Outcome::Digest { digest, .. }) => {
                    let how = Change::Digest { signed: hex(&piece.digest), found: hex(&digest) };
                    wrong
                        .entry(unit.file)
                        .or_default()
                        .push(WrongPiece { place: (unit.start, unit.end), how });
                }
                Err(why) => {
                    let path =
                        self.entries.get(unit.file).map_or_else(String::new, |entry| entry.name.clone());
                    let problem = Problem { path, why };
                    // Once per file, not once per shard.
                    if self.differences.unexamined.last() != Some(&problem) {
                        self.differences.unexamined.push(problem);
                    }
                }
            }
        }
        for (file, changes) in wrong {
            let Some(entry) = self.entries.get(file) else { continue };
            let how = match self.manifest.method {
                Method::Files => changes.into_iter().next().map(|wrong| wrong.how),
                Method::Shards(_) => Some(Change::Shards(changes.iter().map(|wrong| wrong.place).collect())),
            };
            if let Some(how) = how {
                self.change(&entry.name, how);
            }
        }
        self.differences.changed.sort_by(|a, b| a.path.cmp(&b.path));
        match cache {
            Some(cache) => cache.save().map(|()| Some(fast)),
            None => Ok(None),
        }
    }
}
