//! Whether a passport still fits what lies on the disk.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use super::{Kind, Passport, kind_of};
use crate::examination::escape;
use crate::lineage::{Artifact, ArtifactError, Claims, CompareError, FileDigest};

/// Something that is not as the passport says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// It is of this kind, and the passport is about the other.
    Kind(Kind),
    /// A file of the passport is not there.
    Missing(String),
    /// A file is there that the passport does not have.
    Extra(String),
    /// A file has other content.
    Changed(String),
    /// The artifact as a whole has another digest.
    Digest,
    /// The files claim other licences.
    Licences,
    /// The files claim other parents.
    ClaimedParents,
    /// The files claim other data sets.
    DataSets,
    /// A file whose claims cannot be read, so that nothing holds them against the passport.
    Unreadable(String),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind(Kind::Folder) => {
                f.write_str("it is a folder, and the passport is about a single file")
            }
            Self::Kind(Kind::File) => f.write_str("it is a single file, and the passport is about a folder"),
            Self::Missing(path) => write!(f, "{} is missing", escape(path, 200)),
            Self::Extra(path) => write!(f, "{} is not in the passport", escape(path, 200)),
            Self::Changed(path) => write!(f, "{} has changed", escape(path, 200)),
            Self::Digest => f.write_str("the artifact has another digest"),
            Self::Licences => f.write_str("the files claim other licences than the passport says"),
            Self::ClaimedParents => f.write_str("the files claim other parents than the passport says"),
            Self::DataSets => f.write_str("the files claim other data sets than the passport says"),
            Self::Unreadable(name) => write!(f, "what {} claims cannot be read", escape(name, 200)),
        }
    }
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// What is not as the passport says. Empty: everything that could be derived again is.
    pub differences: Vec<Difference>,
    /// What rests on the signer's word alone.
    pub taken_on_trust: Vec<&'static str>,
    /// What was read. What it passes over ([`Artifact::ignored`]) the passport says nothing of, whatever it holds.
    pub artifact: Artifact,
}

/// Derives from the files at `path` what a passport says of them.
///
/// # Errors
/// If the files cannot all be read.
pub fn verify(passport: &Passport, path: &Path) -> Result<Verification, VerifyError> {
    let artifact = Artifact::read(path)?;
    let kind = kind_of(&artifact);
    let mut differences = Vec::new();
    // A file may be the very list of files that a folder's digest is taken of, so equal digests say nothing across kinds.
    if kind != passport.kind {
        differences.push(Difference::Kind(kind));
    }
    let now = |file: &FileDigest| (file.size, file.sha256);
    let (recorded, claims) = match (passport.kind, kind, passport.files.as_slice(), artifact.files.as_slice())
    {
        // A single file may have got another name. What it claims is read under the name that it had.
        (Kind::File, Kind::File, [then], [file]) => {
            if (then.size, then.sha256) != now(file) {
                differences.push(Difference::Changed(then.path.clone()));
            }
            (None, Claims::read_as(path, &then.path))
        }
        (_, _, then, _) => (Some(then), Claims::read(path)?),
    };
    if let Some(recorded) = recorded {
        let recorded: BTreeMap<&str, _> =
            recorded.iter().map(|file| (file.path.as_str(), (file.size, file.sha256))).collect();
        let found: BTreeMap<&str, _> =
            artifact.files.iter().map(|file| (file.path.as_str(), now(file))).collect();
        for (path, state) in &recorded {
            match found.get(path) {
                None => differences.push(Difference::Missing((*path).to_owned())),
                Some(now) if now != state => differences.push(Difference::Changed((*path).to_owned())),
                Some(_) => {}
            }
        }
        let extra = found.keys().filter(|path| !recorded.contains_key(*path));
        differences.extend(extra.map(|path| Difference::Extra((*path).to_owned())));
    }
    let says = [
        (artifact.digest != passport.digest, Difference::Digest),
        (claims.licences != passport.licences, Difference::Licences),
        (claims.parents != passport.claimed_parents, Difference::ClaimedParents),
        (claims.data_sets != passport.data_sets, Difference::DataSets),
    ];
    differences.extend(says.into_iter().filter(|(differs, _)| *differs).map(|(_, what)| what));
    // Whatever is claimed there, it was not compared.
    differences.extend(claims.problems.into_iter().map(|problem| Difference::Unreadable(problem.name)));
    let on_trust = [
        (!passport.recorded_parents.is_empty(), "parents named by lineage records"),
        (passport.scan.is_some(), "the scan's result"),
        (passport.files.iter().any(|file| !file.formats.is_empty()), "formats"),
        (!passport.signatures.is_empty(), "signatures seen"),
        (true, "name, tool and time"),
    ];
    let taken_on_trust = on_trust.into_iter().filter(|(is, _)| *is).map(|(_, what)| what).collect();
    Ok(Verification { differences, taken_on_trust, artifact })
}

/// Why a passport could not be held against the files.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Files cannot be read.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// Claims cannot be read.
    #[error(transparent)]
    Claims(#[from] CompareError),
}
