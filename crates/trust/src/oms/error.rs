//! What can be wrong with a signature, a folder, or both.

use std::fmt;
use std::path::PathBuf;

use super::show::show;

/// Why signing or verifying failed. Every variant ends in failure: there is no warning among them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OmsError {
    /// The bytes are not a Sigstore bundle with a DSSE envelope.
    #[error("not a model signature: {0}")]
    Bundle(String),
    /// The bundle is well-formed, but of a kind that is not verified here.
    #[error("{0}")]
    Unsupported(String),
    /// The signed statement is not a model signature, or contradicts itself.
    #[error("the signed statement is not sound: {0}")]
    Statement(String),
    /// A key cannot be read, made or used.
    #[error(transparent)]
    Key(#[from] super::key::EcKeyError),
    /// The signature does not hold for the trusted key.
    #[error("the signature does not hold: {0}")]
    Signature(String),
    /// A certificate cannot be read, or its chain does not lead to a trusted root.
    #[error("certificate: {0}")]
    Certificate(String),
    /// Identity, transparency log or certificate authority of a Sigstore signature do not hold.
    #[error("Sigstore: {0}")]
    Sigstore(String),
    /// The signature was made in one way and the caller trusts another.
    #[error("the signature was made with {made_with}, but what is trusted is {trusted}")]
    Method {
        /// How it was made.
        made_with: &'static str,
        /// What the caller gave.
        trusted: &'static str,
    },
    /// Nothing was signed because the folder could not be examined completely.
    #[error("{} cannot be signed completely:{}", path.display(), Lines(problems))]
    Unexamined {
        /// The folder.
        path: PathBuf,
        /// Everything that stands in the way.
        problems: Vec<Problem>,
    },
    /// There is nothing in the folder that could be signed.
    #[error("{} has no file to sign", .0.display())]
    Nothing(PathBuf),
    /// An option contradicts itself or the format.
    #[error("{0}")]
    Options(String),
    /// The signature holds, but the folder is not what was signed.
    #[error("the signature holds, but the folder is not what was signed:{0}")]
    Differs(Box<Differences>),
    /// The cache of the fast mode cannot be used.
    #[error("the cache of --fast: {0}")]
    Cache(String),
}

/// All differences between a folder and what was signed. At least one list is not empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences {
    /// Files that are there but were not signed, sorted.
    pub extra: Vec<String>,
    /// Files that were signed but are not there, sorted.
    pub missing: Vec<String>,
    /// Files that are there but have other bytes than those that were signed, sorted.
    pub changed: Vec<Changed>,
    /// What could not be examined, and so may hide anything.
    pub unexamined: Vec<Problem>,
}

impl Differences {
    pub(super) fn is_empty(&self) -> bool {
        self.extra.is_empty()
            && self.missing.is_empty()
            && self.changed.is_empty()
            && self.unexamined.is_empty()
    }
}

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for name in &self.extra {
            write!(f, "\n  extra: {}", show(name))?;
        }
        for name in &self.missing {
            write!(f, "\n  missing: {}", show(name))?;
        }
        for changed in &self.changed {
            write!(f, "\n  changed: {} ({})", show(&changed.path), changed.how)?;
        }
        for problem in &self.unexamined {
            write!(f, "\n  not examined: {problem}")?;
        }
        Ok(())
    }
}

/// A file whose bytes are not those that were signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Its name within the folder, with `/` between the parts.
    pub path: String,
    /// How it differs.
    pub how: Change,
}

/// How a file differs from what was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Another digest.
    Digest {
        /// The signed digest, in hexadecimal digits.
        signed: String,
        /// The file's digest.
        found: String,
    },
    /// Other digests in these shards (first byte, byte after the last).
    Shards(Vec<(u64, u64)>),
    /// Another length; such a file is not hashed.
    Length {
        /// Bytes that were signed.
        signed: u64,
        /// Bytes that the file has.
        found: u64,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digest { signed, found } => write!(f, "signed {signed}, found {found}"),
            Self::Shards(shards) => {
                f.write_str("in bytes")?;
                for (number, (start, end)) in shards.iter().enumerate() {
                    write!(f, "{} {start} to {end}", if number == 0 { "" } else { "," })?;
                }
                Ok(())
            }
            Self::Length { signed, found } => write!(f, "signed {signed} bytes, found {found}"),
        }
    }
}

/// A path that cannot be examined, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Its name within the folder. Bytes that are not UTF-8 are replaced; see [`Why::NotUtf8`].
    pub path: String,
    /// What stands in the way.
    pub why: Why,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", show(&self.path), self.why)
    }
}

/// Why a path cannot be examined.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// The system does not let us read it.
    Unreadable(String),
    /// A symbolic link, and links are not allowed.
    Link,
    /// A symbolic link to nothing.
    BrokenLink,
    /// A symbolic link to a folder. The format has no place for what is behind it.
    LinkToFolder,
    /// Neither a file nor a folder: a pipe, a socket, a device.
    Special,
    /// A name that is not UTF-8, which JSON cannot hold.
    NotUtf8,
    /// A name that the serialisation cannot express.
    Name(&'static str),
    /// It changed while it was read.
    Moving,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(why) => write!(f, "cannot be read ({why})"),
            Self::Link => f.write_str("is a symbolic link, and links are not allowed"),
            Self::BrokenLink => f.write_str("is a symbolic link to nothing"),
            Self::LinkToFolder => f.write_str(
                "is a symbolic link to a folder, which no model signature can cover; ignore it by name",
            ),
            Self::Special => f.write_str("is neither a file nor a folder (a pipe, a socket or a device)"),
            Self::NotUtf8 => f.write_str("has a name that is not UTF-8"),
            Self::Name(why) => f.write_str(why),
            Self::Moving => f.write_str("changed while it was read"),
        }
    }
}

struct Lines<'a>(&'a [Problem]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}
