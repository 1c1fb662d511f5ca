//! Log entries: that the log has the entry (RFC 6962 inclusion proof under a signed checkpoint), and when it took it in
//! (signed entry timestamp).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::super::bundle::{InclusionProof, LogEntry};
use super::super::error::OmsError;
use super::super::show::hex;
use super::refuse;
use super::trusted_root::{Log, TrustedRoot};
use crate::canonical_json;

type Hash = [u8; 32];

/// What the log vouches for.
pub(super) struct Logged {
    pub(super) log: String,
    pub(super) log_index: u64,
    pub(super) integrated_time: u64,
}

/// Checks an entry's proof, checkpoint and promise against the log that it names.
pub(super) fn verify(entry: &LogEntry, root: &TrustedRoot) -> Result<Logged, OmsError> {
    let log = root
        .logs
        .iter()
        .find(|log| log.id == entry.log_id.key_id.0)
        .ok_or_else(|| refuse("the signature is in a log that the trust root does not have"))?;
    let proof =
        entry.inclusion_proof.as_ref().ok_or_else(|| refuse("the log entry has no inclusion proof"))?;
    included(&entry.canonicalized_body.0, proof).map_err(refuse)?;
    checkpoint(proof, log).map_err(refuse)?;
    let (log_index, integrated_time) = promised(entry, log)?;
    if !log.period.includes(integrated_time) {
        return Err(refuse("the log's key was not in use when the entry was made"));
    }
    Ok(Logged { log: log.url.clone(), log_index, integrated_time })
}

fn hash(prefix: u8, parts: [&[u8]; 2]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([prefix]);
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize().into()
}

/// RFC 6962 section 2.1: the hash of an entry.
pub(super) fn leaf_hash(body: &[u8]) -> Hash {
    hash(0, [body, b""])
}

/// RFC 6962 section 2.1: the hash of an inner node.
pub(super) fn node_hash(left: &[u8], right: &[u8]) -> Hash {
    hash(1, [left, right])
}

/// Checks an inclusion proof, as RFC 9162 section 2.1.3.2 says.
fn included(body: &[u8], proof: &InclusionProof) -> Result<(), String> {
    let (mut node, size) = (proof.log_index.map_or(0, |index| index.0), proof.tree_size.0);
    if node >= size {
        return Err("the inclusion proof is for an entry beyond the end of the log".to_owned());
    }
    let mut last = size - 1;
    let mut hash = leaf_hash(body);
    for sibling in &proof.hashes {
        if sibling.0.len() != 32 || last == 0 {
            return Err("the inclusion proof has the wrong length".to_owned());
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(&sibling.0, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, &sibling.0);
        }
        node >>= 1;
        last >>= 1;
    }
    if last == 0 && proof.root_hash.0 == hash {
        Ok(())
    } else {
        Err("the inclusion proof does not lead from the entry to the root of the log".to_owned())
    }
}

/// Checks that the log signed the size and root of the proof (a signed note).
fn checkpoint(proof: &InclusionProof, log: &Log) -> Result<(), String> {
    let text = proof.checkpoint.envelope.as_str();
    let malformed = || "the checkpoint is malformed".to_owned();
    let (body, signatures) = text.split_once("\n\n").ok_or_else(malformed)?;
    let note = format!("{body}\n");
    let mut lines = body.lines();
    let (_origin, size, root) = (
        lines.next().ok_or_else(malformed)?,
        lines.next().ok_or_else(malformed)?,
        lines.next().ok_or_else(malformed)?,
    );
    if size.parse() != Ok(proof.tree_size.0)
        || STANDARD.decode(root).ok().as_ref() != Some(&proof.root_hash.0)
    {
        return Err("the checkpoint is of another state of the log than the inclusion proof".to_owned());
    }
    // Witnesses may have signed as well; the log itself must have.
    let hint = log.id.get(..4).ok_or_else(malformed)?;
    for line in signatures.lines() {
        let mut words = line.strip_prefix("\u{2014} ").ok_or_else(malformed)?.split(' ');
        let signature =
            words.next_back().and_then(|word| STANDARD.decode(word).ok()).ok_or_else(malformed)?;
        if let Some(signature) = signature.strip_prefix(hint)
            && log.key.verify(note.as_bytes(), signature)
        {
            return Ok(());
        }
    }
    Err("the checkpoint is not signed by the log".to_owned())
}

/// What the signed entry timestamp signs, in canonical JSON.
#[derive(Serialize)]
pub(super) struct Promise {
    body: String,
    #[serde(rename = "integratedTime")]
    integrated_time: u64,
    #[serde(rename = "logID")]
    log_id: String,
    #[serde(rename = "logIndex")]
    log_index: u64,
}

impl Promise {
    pub(super) fn new(body: &[u8], integrated_time: u64, log_id: &[u8], log_index: u64) -> Self {
        Self { body: STANDARD.encode(body), integrated_time, log_id: hex(log_id), log_index }
    }
}

/// Checks the signed entry timestamp. Returns index and time.
fn promised(entry: &LogEntry, log: &Log) -> Result<(u64, u64), OmsError> {
    let time = entry.integrated_time.map(|time| time.0).filter(|time| *time > 0);
    let (Some(time), Some(promise)) = (time, &entry.inclusion_promise) else {
        return Err(OmsError::Unsupported(
            "the signature's time comes from an RFC 3161 time stamp only (Rekor v2), which is not verified here"
                .to_owned(),
        ));
    };
    let index = entry.log_index.map_or(0, |index| index.0);
    let signed = Promise::new(&entry.canonicalized_body.0, time, &entry.log_id.key_id.0, index);
    let signed = canonical_json(&signed).map_err(|error| refuse(error.to_string()))?;
    if log.key.verify(&signed, &promise.signed_entry_timestamp.0) {
        Ok((index, time))
    } else {
        Err(refuse("the log did not sign the entry's time and place (signed entry timestamp)"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::bundle::{Base64, Checkpoint, Number};
    use super::*;

    /// The root of the tree over these leaves, and the proof for one of them (RFC 6962 section 2.1, recursively).
    fn tree(leaves: &[Hash], index: usize) -> (Hash, Vec<Hash>) {
        if leaves.len() == 1 {
            return (leaves[0], vec![]);
        }
        let split = leaves.len().next_power_of_two() / 2;
        let (left, right) = leaves.split_at(split);
        if index < split {
            let (root, mut proof) = tree(left, index);
            let other = tree(right, 0).0;
            proof.push(other);
            (node_hash(&root, &other), proof)
        } else {
            let (root, mut proof) = tree(right, index - split);
            let other = tree(left, 0).0;
            proof.push(other);
            (node_hash(&other, &root), proof)
        }
    }

    fn proof(index: usize, size: usize, root: Hash, hashes: &[Hash]) -> InclusionProof {
        InclusionProof {
            log_index: Some(Number(index as u64)),
            root_hash: Base64(root.to_vec()),
            tree_size: Number(size as u64),
            hashes: hashes.iter().map(|hash| Base64(hash.to_vec())).collect(),
            checkpoint: Checkpoint { envelope: String::new() },
        }
    }

    #[test]
    fn every_leaf_of_every_small_tree_is_proved_and_nothing_else() {
        for size in 1..=17_usize {
            let bodies: Vec<Vec<u8>> = (0..size).map(|number| vec![number as u8; 3]).collect();
            let leaves: Vec<Hash> = bodies.iter().map(|body| leaf_hash(body)).collect();
            for (index, own) in bodies.iter().enumerate() {
                let (root, hashes) = tree(&leaves, index);
                assert_eq!(included(own, &proof(index, size, root, &hashes)), Ok(()));
                assert!(included(b"other", &proof(index, size, root, &hashes)).is_err());
                assert!(included(own, &proof(size, size, root, &hashes)).is_err());
                assert!(included(own, &proof(index, size, [0; 32], &hashes)).is_err());
                if size > 1 {
                    assert!(included(own, &proof((index + 1) % size, size, root, &hashes)).is_err());
                    assert!(included(own, &proof(index, size, root, &hashes[1..])).is_err());
                }
                let longer: Vec<Hash> = hashes.iter().copied().chain([[0; 32]]).collect();
                assert!(included(own, &proof(index, size, root, &longer)).is_err());
            }
        }
    }
}
