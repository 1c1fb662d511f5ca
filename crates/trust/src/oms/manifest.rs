//! The signed statement: which files, cut and hashed how, with which digests.
//!
//! Source: OpenSSF Model Signing specification v1.0, and `model_signing` 1.1.1 where it is silent.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::error::OmsError;
use super::hash::HashAlgorithm;
use super::show::{hex, show};
use super::tree::by_parts;

const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
const PREDICATE_TYPE: &str = "https://model_signing/signature/v1.0";
const OLD_PREDICATE_TYPE: &str = "https://model_signing/Digests/v0.1";

/// The shard size that `model_signing` takes if none is given.
pub const DEFAULT_SHARD_SIZE: NonZeroU64 = match NonZeroU64::new(1_000_000_000) {
    Some(size) => size,
    None => NonZeroU64::MIN,
};

/// How a folder becomes a list of digests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// One digest per file.
    #[default]
    Files,
    /// One digest per this many bytes of a file. Empty files have none: the format cannot cover them.
    Shards(NonZeroU64),
}

impl Method {
    /// The stretches of a file of this length.
    pub(super) fn pieces(self, len: u64) -> Vec<(u64, u64)> {
        match self {
            Self::Files => vec![(0, len)],
            Self::Shards(size) => {
                let size = size.get();
                (0..len.div_ceil(size))
                    .map(|number| {
                        let start = number.saturating_mul(size);
                        (start, start.saturating_add(size).min(len))
                    })
                    .collect()
            }
        }
    }
}

/// A stretch of a file and its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) start: u64,
    /// Byte after the last. Unknown for a whole file.
    pub(super) end: Option<u64>,
    pub(super) digest: Vec<u8>,
}

/// What was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Manifest {
    /// The folder's name when it was signed; informative.
    pub(super) model: String,
    pub(super) algorithm: HashAlgorithm,
    pub(super) method: Method,
    pub(super) allow_symlinks: bool,
    pub(super) ignored: Vec<String>,
    /// By name. The pieces of a file touch each other and begin at 0.
    pub(super) files: BTreeMap<String, Vec<Piece>>,
    /// SHA-256 over all digests, in the order of the statement.
    pub(super) root: ostrom_core::Digest,
}

#[derive(Serialize, Deserialize)]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    predicate: Predicate,
}

#[derive(Deserialize)]
struct Head {
    #[serde(rename = "_type")]
    kind: String,
    #[serde(rename = "predicateType")]
    predicate_type: String,
}

#[derive(Serialize, Deserialize)]
struct Subject {
    name: String,
    digest: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
struct Predicate {
    resources: Vec<Resource>,
    serialization: Serialization,
}

#[derive(Serialize, Deserialize)]
struct Resource {
    name: String,
    algorithm: String,
    digest: String,
}

#[derive(Serialize, Deserialize)]
struct Serialization {
    method: String,
    hash_type: String,
    allow_symlinks: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ignore_paths: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shard_size: Option<serde_json::Number>,
}

impl Manifest {
    /// A manifest of these files, and its root digest.
    pub(super) fn new(
        model: String,
        (algorithm, method): (HashAlgorithm, Method),
        allow_symlinks: bool,
        ignored: Vec<String>,
        files: BTreeMap<String, Vec<Piece>>,
    ) -> Self {
        let mut manifest = Self {
            model,
            algorithm,
            method,
            allow_symlinks,
            ignored,
            files,
            root: ostrom_core::Digest::of(b""),
        };
        let mut hasher = Sha256::new();
        for (_, piece) in manifest.in_order() {
            hasher.update(&piece.digest);
        }
        manifest.root = ostrom_core::Digest::from_bytes(hasher.finalize().into());
        manifest
    }

    /// All pieces in the format's order.
    fn in_order(&self) -> Vec<(&String, &Piece)> {
        let mut files: Vec<_> = self.files.iter().collect();
        files.sort_by(|(a, _), (b, _)| by_parts(a, b));
        files.into_iter().flat_map(|(name, pieces)| pieces.iter().map(move |piece| (name, piece))).collect()
    }

    /// The name of the algorithm in each resource.
    fn resource_algorithm(&self) -> String {
        resource_algorithm(self.algorithm, self.method)
    }

    /// The in-toto statement.
    ///
    /// # Errors
    /// Never in practice: all fields are strings and numbers.
    pub(super) fn to_statement(&self) -> Result<Vec<u8>, OmsError> {
        let algorithm = self.resource_algorithm();
        let resources = self
            .in_order()
            .into_iter()
            .map(|(name, piece)| Resource {
                name: match piece.end {
                    Some(end) if self.method != Method::Files => format!("{name}:{}:{end}", piece.start),
                    _ => name.clone(),
                },
                algorithm: algorithm.clone(),
                digest: hex(&piece.digest),
            })
            .collect();
        let (method, shard_size) = match self.method {
            Method::Files => ("files", None),
            Method::Shards(size) => ("shards", Some(size.get().into())),
        };
        let statement = Statement {
            kind: STATEMENT_TYPE.to_owned(),
            subject: vec![Subject {
                name: self.model.clone(),
                digest: BTreeMap::from([("sha256".to_owned(), self.root.to_string())]),
            }],
            predicate_type: PREDICATE_TYPE.to_owned(),
            predicate: Predicate {
                resources,
                serialization: Serialization {
                    method: method.to_owned(),
                    hash_type: self.algorithm.to_string(),
                    allow_symlinks: self.allow_symlinks,
                    ignore_paths: self.ignored.clone(),
                    shard_size,
                },
            },
        };
        serde_json::to_vec(&statement).map_err(|error| OmsError::Statement(error.to_string()))
    }

    /// Reads a statement whose signature holds.
    ///
    /// # Errors
    /// [`OmsError::Statement`] if it is not a model signature or contradicts itself; [`OmsError::Unsupported`] if it is
    /// of the format before v1.0.
    pub(super) fn from_statement(bytes: &[u8]) -> Result<Self, OmsError> {
        let bad = OmsError::Statement;
        let head: Head = serde_json::from_slice(bytes).map_err(|error| bad(error.to_string()))?;
        if head.kind != STATEMENT_TYPE {
            return Err(bad(format!("its type is {}, not in-toto Statement v1", show(&head.kind))));
        }
        if head.predicate_type == OLD_PREDICATE_TYPE {
            return Err(OmsError::Unsupported(
                "the signature is of the format before Model Signing v1.0; have the model signed again"
                    .to_owned(),
            ));
        }
        if head.predicate_type != PREDICATE_TYPE {
            return Err(bad(format!("it claims {}, not {PREDICATE_TYPE}", show(&head.predicate_type))));
        }
        let statement: Statement = serde_json::from_slice(bytes).map_err(|error| bad(error.to_string()))?;
        let [subject] = statement.subject.as_slice() else {
            return Err(bad(format!("it has {} subjects, not one", statement.subject.len())));
        };
        let Predicate { resources, serialization } = statement.predicate;
        let algorithm: HashAlgorithm = serialization.hash_type.parse().map_err(bad)?;
        let method = method(&serialization).map_err(bad)?;
        let (files, root) = read_resources(&resources, algorithm, method).map_err(bad)?;
        if subject.digest.get("sha256").is_none_or(|digest| *digest != root.to_string()) {
            return Err(bad("its root digest is not that of its resources".to_owned()));
        }
        if files.is_empty() {
            return Err(bad("it covers no file".to_owned()));
        }
        Ok(Self {
            model: subject.name.clone(),
            algorithm,
            method,
            allow_symlinks: serialization.allow_symlinks,
            ignored: serialization.ignore_paths,
            files,
            root,
        })
    }
}

fn resource_algorithm(algorithm: HashAlgorithm, method: Method) -> String {
    match method {
        Method::Files => algorithm.to_string(),
        Method::Shards(size) => format!("{algorithm}-sharded-{size}"),
    }
}

fn method(serialization: &Serialization) -> Result<Method, String> {
    match serialization.method.as_str() {
        "files" => Ok(Method::Files),
        "shards" => {
            let size = serialization.shard_size.as_ref().ok_or("it has no shard size")?;
            // model_signing writes the number as protobuf has it: 1000000000.0
            let size = size.as_u64().or_else(|| whole(size.as_f64()?)).and_then(NonZeroU64::new);
            Ok(Method::Shards(size.ok_or("its shard size is not a positive whole number")?))
        }
        other => Err(format!("its serialisation is {}, not files or shards", show(other))),
    }
}

/// A floating-point number that is a whole one, where these are exact.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked before")]
fn whole(number: f64) -> Option<u64> {
    (number.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&number)).then_some(number as u64)
}

type Files = BTreeMap<String, Vec<Piece>>;

fn read_resources(
    resources: &[Resource],
    algorithm: HashAlgorithm,
    method: Method,
) -> Result<(Files, ostrom_core::Digest), String> {
    let expected = resource_algorithm(algorithm, method);
    let mut hasher = Sha256::new();
    let mut files = Files::new();
    for resource in resources {
        let at = || show(&resource.name);
        if resource.algorithm != expected {
            return Err(format!(
                "{} has a digest of kind {}, not {expected}",
                at(),
                show(&resource.algorithm)
            ));
        }
        let digest = data_encoding::HEXLOWER_PERMISSIVE
            .decode(resource.digest.as_bytes())
            .ok()
            .filter(|digest| digest.len() == algorithm.digest_len())
            .ok_or_else(|| format!("{} has a malformed digest", at()))?;
        hasher.update(&digest);
        let (name, start, end) = match method {
            Method::Files => (resource.name.as_str(), 0, None),
            Method::Shards(_) => {
                let (name, start, end) =
                    shard(&resource.name).ok_or_else(|| format!("{} names no shard", at()))?;
                (name, start, Some(end))
            }
        };
        files.entry(name.to_owned()).or_default().push(Piece { start, end, digest });
    }
    for (name, pieces) in &mut files {
        pieces.sort_by_key(|piece| piece.start);
        if !sound(pieces, method) {
            return Err(format!("{} is named twice, or its shards do not fit together", show(name)));
        }
    }
    Ok((files, ostrom_core::Digest::from_bytes(hasher.finalize().into())))
}

/// `name:start:end`. A name may have colons of its own.
fn shard(resource: &str) -> Option<(&str, u64, u64)> {
    let mut parts = resource.rsplitn(3, ':');
    let end = parts.next()?.parse().ok()?;
    let start = parts.next()?.parse().ok()?;
    Some((parts.next()?, start, end))
}

/// Whether these are all pieces of one file: one, or full shards and a rest.
fn sound(pieces: &[Piece], method: Method) -> bool {
    match (method, pieces.last()) {
        (Method::Files, _) => pieces.len() == 1,
        (Method::Shards(_), Some(Piece { end: Some(end), .. })) => {
            // Work stays linear: as many pieces as there are, or it is not sound.
            let Method::Shards(size) = method else { return false };
            end.div_ceil(size.get()) == pieces.len() as u64
                && method
                    .pieces(*end)
                    .iter()
                    .zip(pieces)
                    .all(|(&(start, end), piece)| piece.start == start && piece.end == Some(end))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn piece(start: u64, end: Option<u64>, fill: u8) -> Piece {
        Piece { start, end, digest: vec![fill; 32] }
    }

    fn example(method: Method) -> Manifest {
        let pieces = |len: u64| {
            method
                .pieces(len)
                .into_iter()
                .map(|(start, end)| piece(start, (method != Method::Files).then_some(end), 7))
                .collect()
        };
        let files = BTreeMap::from([("a/x".to_owned(), pieces(5)), ("a.txt".to_owned(), pieces(4))]);
        Manifest::new("m".to_owned(), (HashAlgorithm::Sha256, method), false, vec![".git".to_owned()], files)
    }

    fn shards(size: u64) -> Method {
        Method::Shards(NonZeroU64::new(size).unwrap())
    }

    #[test]
    fn statements_read_back() {
        for method in [Method::Files, shards(2), shards(5), shards(100)] {
            let manifest = example(method);
            assert_eq!(Manifest::from_statement(&manifest.to_statement().unwrap()).unwrap(), manifest);
        }
    }

    #[test]
    fn shards_cover_a_file_exactly() {
        assert_eq!(shards(2).pieces(5), [(0, 2), (2, 4), (4, 5)]);
        assert_eq!(shards(2).pieces(4), [(0, 2), (2, 4)]);
        assert_eq!(shards(2).pieces(0), []);
        assert_eq!(shards(u64::MAX).pieces(u64::MAX), [(0, u64::MAX)]);
    }

    #[test]
    fn resources_come_part_by_part() {
        let text = String::from_utf8(example(shards(2)).to_statement().unwrap()).unwrap();
        let place = |name: &str| text.find(name).unwrap();
        assert!(place("a/x:0:2") < place("a/x:4:5") && place("a/x:4:5") < place("a.txt:0:2"));
    }

    #[test]
    fn a_shard_size_written_as_a_float_is_read() {
        let text = String::from_utf8(example(shards(2)).to_statement().unwrap()).unwrap();
        let float = text.replace("\"shard_size\":2", "\"shard_size\":2.0");
        assert_ne!(text, float);
        assert_eq!(Manifest::from_statement(float.as_bytes()).unwrap(), example(shards(2)));
        for size in ["0", "-2", "2.5", "1e300", "\"2\"", "null"] {
            let bad = text.replace("\"shard_size\":2", &format!("\"shard_size\":{size}"));
            assert!(Manifest::from_statement(bad.as_bytes()).is_err(), "{size}");
        }
    }

    #[test]
    fn statements_that_contradict_themselves_are_refused() {
        let files = String::from_utf8(example(Method::Files).to_statement().unwrap()).unwrap();
        let sharded = String::from_utf8(example(shards(2)).to_statement().unwrap()).unwrap();
        for (text, from, to) in [
            (&files, "\"a/x\"", "\"a.txt\""),
            (&files, "0707", "0708"),
            (&files, "\"algorithm\":\"sha256\"", "\"algorithm\":\"blake3\""),
            (&files, "\"method\":\"files\"", "\"method\":\"trees\""),
            (&files, "\"hash_type\":\"sha256\"", "\"hash_type\":\"md5\""),
            (&files, "signature/v1.0", "signature/v2.0"),
            (&files, "Digests", "Digests"),
            (&files, "Statement/v1", "Statement/v0.1"),
            (&sharded, "a/x:2:4", "a/x:2:3"),
            (&sharded, "a/x:4:5", "a/x:6:7"),
            (&sharded, "a/x:4:5", "a/x:4:7"),
            (&sharded, "a/x:4:5", "a/x"),
            (&sharded, "a/x:0:2", "a/x:0:18446744073709551616"),
        ] {
            if from != to {
                let changed = text.replacen(from, to, 1);
                assert_ne!(**text, changed, "{from} is not in the text");
                assert!(Manifest::from_statement(changed.as_bytes()).is_err(), "{from} → {to} was taken");
            }
        }
        let huge = sharded.replace("a/x:4:5", "a/x:18446744073709551614:18446744073709551615");
        assert!(Manifest::from_statement(huge.as_bytes()).is_err());
        let empty = Manifest::new(
            "m".to_owned(),
            (HashAlgorithm::Sha256, Method::Files),
            false,
            vec![],
            BTreeMap::new(),
        );
        assert!(
            Manifest::from_statement(&empty.to_statement().unwrap()).is_err(),
            "a signature over nothing was taken"
        );
    }

    #[test]
    fn the_old_format_is_named() {
        let text = r#"{"_type":"https://in-toto.io/Statement/v1","predicateType":"https://model_signing/Digests/v0.1","subject":[]}"#;
        assert!(matches!(Manifest::from_statement(text.as_bytes()), Err(OmsError::Unsupported(_))));
    }

    proptest! {
        #[test]
        fn broken_statements_never_panic(cut in 0_usize..800, position in 0_usize..800, byte: u8) {
            let mut bytes = example(shards(2)).to_statement().unwrap();
            if let Some(place) = bytes.get_mut(position) {
                *place = byte;
            }
            bytes.truncate(cut);
            let _ = Manifest::from_statement(&bytes);
        }
    }
}
