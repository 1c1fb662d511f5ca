//! That a log entry is about this envelope, signed with this certificate, and no other (CVE-2022-36056).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::super::bundle::{Base64, Bundle, LogEntry};
use super::super::error::OmsError;
use super::super::pem;
use super::super::show::{hex, show};
use super::super::x509::Certificate;
use super::refuse;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    api_version: String,
    kind: String,
    spec: Spec,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    payload_hash: HashValue,
    signatures: Vec<Signature>,
}

#[derive(Deserialize)]
struct HashValue {
    algorithm: String,
    value: String,
}

#[derive(Deserialize)]
struct Signature {
    signature: Base64,
    /// A PEM certificate.
    verifier: Base64,
}

/// Compares an entry of kind `dsse` 0.0.1 with the bundle. Other kinds are refused. (The entry's `envelopeHash` is over
/// JSON bytes that no bundle keeps; payload, signature and certificate say the same.)
pub(super) fn verify(entry: &LogEntry, bundle: &Bundle, leaf: &Certificate) -> Result<(), OmsError> {
    let named = &entry.kind_version;
    if (named.kind.as_str(), named.version.as_str()) != ("dsse", "0.0.1") {
        return Err(OmsError::Unsupported(format!(
            "log entries of kind {} {} are not verified here, only dsse 0.0.1",
            show(&named.kind),
            show(&named.version)
        )));
    }
    let body: Body = serde_json::from_slice(&entry.canonicalized_body.0)
        .map_err(|error| refuse(format!("the log entry is not of kind dsse: {error}")))?;
    if (body.kind.as_str(), body.api_version.as_str()) != ("dsse", "0.0.1") {
        return Err(refuse("the log entry is of another kind than the bundle says"));
    }
    if body.spec.payload_hash.algorithm != "sha256"
        || body.spec.payload_hash.value != hex(&Sha256::digest(&bundle.payload))
    {
        return Err(refuse("the log entry is about another statement"));
    }
    let [signature] = body.spec.signatures.as_slice() else {
        return Err(refuse("the log entry does not have exactly one signature"));
    };
    if signature.signature.0 != bundle.signature {
        return Err(refuse("the log entry is about another signature"));
    }
    let certificate =
        std::str::from_utf8(&signature.verifier.0).ok().and_then(|text| pem::certificates(text).ok());
    if certificate.as_deref() != Some(std::slice::from_ref(&leaf.der)) {
        return Err(refuse(format!(
            "the log entry is about another certificate ({})",
            STANDARD.encode(Sha256::digest(&signature.verifier.0))
        )));
    }
    Ok(())
}
