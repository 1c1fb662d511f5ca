//! The user's records of lineage and revocation, and the keys whose word counts.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use ostrom_core::{Digest, Statement};
use ostrom_scan::lineage::{Artifact, Edge, Graph, Store};
use ostrom_scan::revocation::{Revocations, Revoked, Standing};
use ostrom_trust::{Envelope, KeyError, PublicKey};
use serde_json::{Value, json};

use crate::eval::signing_key;
use crate::fail::Failure;
use crate::paths;

/// What is on record.
pub struct Records {
    pub graph: Graph,
    pub revocations: Revocations,
    /// Records that could not be used; any of them may have been a revocation.
    pub problems: Vec<String>,
}

impl Records {
    /// Reads all records. Those count that the user's own key signed, a key in the folder of trusted keys, or one of
    /// `trust`.
    pub fn load(trust: &[PathBuf]) -> Result<Self, Failure> {
        let store = Store::new(paths::records()?);
        let records = store.load(&trusted(trust)?)?;
        let (graph, revocations) = (Graph::new(&records)?, Revocations::new(&records));
        let problems = graph.problems().iter().chain(revocations.problems());
        let mut problems: Vec<String> = problems
            .map(|problem| format!("{}: {}", store.folder().join(&problem.name).display(), problem.what))
            .collect();
        problems.sort();
        problems.dedup();
        Ok(Self { graph, revocations, problems })
    }

    /// Whether nothing at all is on record, so that nothing needs to be looked up.
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
            && self.revocations.holding().next().is_none()
            && self.revocations.claimed().next().is_none()
    }

    /// What is known against an artifact or any part of it.
    pub fn standing(&self, digests: &[Digest]) -> Standing {
        self.revocations.standing(&self.graph, digests)
    }

    /// What is known against an artifact that was read from `path`, or against anything that lies there with it: what is no part
    /// of it by its name is on the disk all the same.
    pub fn standing_at(&self, path: &Path, artifact: &Artifact) -> Result<Standing, Failure> {
        if self.is_empty() {
            return Ok(Standing::Clear);
        }
        let mut digests = artifact.digests();
        digests.extend(artifact.digests_beside(path)?);
        Ok(self.standing(&digests))
    }

    /// The artifact that a user means: a path, a digest, its beginning, or a name on record.
    pub fn find(&self, text: &str) -> Result<(String, Digest), Failure> {
        let (name, digest, _) = self.find_with_parts(text)?;
        Ok((name, digest))
    }

    /// As [`Self::find`], with all digests that stand for it or for a part of it, its own first. What is only on record is without
    /// its parts.
    pub fn find_with_parts(&self, text: &str) -> Result<(String, Digest, Vec<Digest>), Failure> {
        if let Some(artifact) = named_with_parts(text)? {
            return Ok(artifact);
        }
        match self.graph.find(text).as_slice() {
            [digest] => Ok((self.graph.name(*digest).unwrap_or_default().to_owned(), *digest, vec![*digest])),
            [] => Err(Failure::new(format!(
                "{text}: no such path, and no artifact of that digest or name is on record"
            ))),
            several => Err(Failure::new(format!(
                "{text}: {} artifacts on record fit; give more digits",
                several.len()
            ))),
        }
    }
}

/// The artifact that a user means, without records: a path, or a whole digest.
pub fn named(text: &str) -> Result<Option<(String, Digest)>, Failure> {
    Ok(named_with_parts(text)?.map(|(name, digest, _)| (name, digest)))
}

/// As [`named`], with all digests that stand for it or for a part of it, its own first.
fn named_with_parts(text: &str) -> Result<Option<(String, Digest, Vec<Digest>)>, Failure> {
    if Path::new(text).exists() {
        let artifact = Artifact::read(Path::new(text))?;
        let parts = artifact.digests();
        return Ok(Some((artifact.name, artifact.digest, parts)));
    }
    let digest = text.strip_prefix("sha256:").unwrap_or(text);
    Ok(digest.parse::<Digest>().ok().map(|digest| (digest.short(), digest, vec![digest])))
}

/// As [`named`]; neither is an error.
pub fn artifact(text: &str) -> Result<(String, Digest), Failure> {
    named(text)?
        .ok_or_else(|| Failure::new(format!("{text}: neither a path nor a SHA-256 digest of 64 digits")))
}

/// Signs a statement and puts it on record.
pub fn record(statement: &Statement, sign_key: Option<&Path>) -> Result<Digest, Failure> {
    let key = signing_key(sign_key)?;
    Ok(Store::new(paths::records()?).add(&Envelope::sign(statement, &key)?)?)
}

/// The file of a record: what somebody else takes in with `ostrom lineage import`.
pub fn record_file(id: Digest) -> Result<PathBuf, Failure> {
    Ok(paths::records()?.join(format!("{id}.json")))
}

/// The keys whose records count.
pub fn trusted(more: &[PathBuf]) -> Result<Vec<PublicKey>, Failure> {
    // Only a key that is not there is passed over: one that cannot be read may have revoked what is asked about.
    let mut keys = match PublicKey::load(&paths::key()?) {
        Err(KeyError::File { source, .. }) if source.kind() == ErrorKind::NotFound => Vec::new(),
        own => vec![own?],
    };
    keys.extend(PublicKey::load_folder(&paths::trusted_keys()?)?);
    for path in more {
        keys.push(PublicKey::load(path)?);
    }
    Ok(keys)
}

/// Why a revocation concerns an artifact, in lines for people.
fn explain(graph: &Graph, revoked: &Revoked, chain: &[Edge]) -> String {
    let mut text =
        format!("{} (sha256:{}) is revoked: {}", revoked.name, revoked.digest.short(), revoked.reason);
    if let Some((name, digest)) = &revoked.replacement {
        text.push_str(&format!("; use {name} (sha256:{digest}) instead"));
    }
    for edge in chain {
        let name = |digest: Digest| graph.name(digest).map_or_else(|| digest.short(), str::to_owned);
        text.push_str(&format!(
            "\n  {}: {} {} ({})",
            name(edge.child),
            edge.relation.phrase(),
            name(edge.parent),
            edge.basis.describe()
        ));
    }
    text
}

/// Fails for everything that is on record against an artifact, and for records that could not be read. `but` says what else is
/// known of it: that its signature holds.
pub fn refuse_unless_clear(records: &Records, standing: &Standing, but: &str) -> Result<(), Failure> {
    match against(records, standing) {
        None => Ok(()),
        Some(what) => Err(Failure::new(format!("{but}, but {what}"))),
    }
}

/// Everything that is on record against an artifact, and records that could not be read, in lines for people.
pub fn against(records: &Records, standing: &Standing) -> Option<String> {
    let graph = &records.graph;
    Some(match standing {
        Standing::Clear if records.problems.is_empty() => return None,
        Standing::Clear => format!(
            "records could not be read, and any of them may be a revocation:\n  {}",
            records.problems.join("\n  ")
        ),
        Standing::Revoked(revoked) => format!("it must not be used: {}", explain(graph, revoked, &[])),
        Standing::Affected(revoked, chain) => {
            format!("it descends from something revoked: {}", explain(graph, revoked, chain))
        }
        Standing::Suspected(revoked, chain) => format!(
            "somebody whose key is not trusted here says: {}\nTrust their key with --trust, or remove the record",
            explain(graph, revoked, chain)
        ),
    })
}

/// A standing as JSON.
pub fn standing_json(standing: &Standing) -> Value {
    let revoked = |revoked: &Revoked| {
        json!({"digest": revoked.digest, "name": revoked.name, "reason": revoked.reason, "severity": revoked.severity,
               "statement": revoked.statement, "recordedUnix": revoked.recorded_unix})
    };
    match standing {
        Standing::Clear => json!({"standing": "clear"}),
        Standing::Suspected(what, chain) => {
            json!({"standing": "suspected", "by": revoked(what), "steps": chain.len()})
        }
        Standing::Affected(what, chain) => {
            json!({"standing": "affected", "by": revoked(what), "steps": chain.len()})
        }
        Standing::Revoked(what) => json!({"standing": "revoked", "by": revoked(what)}),
    }
}
