//! Sigstore bundles in JSON, as far as a model signature needs them.
//!
//! Source: sigstore/protobuf-specs, `sigstore_bundle.proto` and `sigstore_rekor.proto`, in protobuf's JSON form.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize};

use super::error::OmsError;
use crate::dsse::{IN_TOTO_PAYLOAD_TYPE, pre_authentication_encoding};

/// The media type that is written, and the only one for signatures with keys and certificates.
const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// What Sigstore clients have written before.
const SIGSTORE_MEDIA_TYPES: [&str; 4] = [
    MEDIA_TYPE,
    "application/vnd.dev.sigstore.bundle+json;version=0.3",
    "application/vnd.dev.sigstore.bundle+json;version=0.2",
    "application/vnd.dev.sigstore.bundle+json;version=0.1",
];

/// A signature of 100,000 files takes about 20 MB.
pub(super) const MAX_BUNDLE: usize = 256 << 20;

/// Longer chains are not met in practice; a bound on work.
const MAX_CERTIFICATES: usize = 16;

/// A bundle, read but not believed.
#[derive(Debug)]
pub(super) struct Bundle {
    pub(super) material: Material,
    pub(super) payload_type: String,
    pub(super) payload: Vec<u8>,
    /// The one signature.
    pub(super) signature: Vec<u8>,
}

/// What the bundle brings to check its signature with.
#[derive(Debug)]
pub(super) enum Material {
    /// A bare key, of which it may give the name.
    Key { hint: Option<String> },
    /// Certificates, the signer's first, and no log entry.
    Certificates(Vec<Vec<u8>>),
    /// A Fulcio certificate and one log entry.
    Sigstore(Box<SigstoreMaterial>),
}

/// The material of a Sigstore signature.
#[derive(Debug)]
pub(super) struct SigstoreMaterial {
    pub(super) certificate: Vec<u8>,
    pub(super) entry: LogEntry,
    /// RFC 3161 time stamps, in DER.
    pub(super) timestamps: Vec<Vec<u8>>,
}

impl Bundle {
    /// Reads a bundle.
    ///
    /// # Errors
    /// If it is too big, malformed, or not a bundle of one DSSE signature.
    pub(super) fn from_slice(bytes: &[u8]) -> Result<Self, OmsError> {
        let bad = |why: &str| OmsError::Bundle(why.to_owned());
        if bytes.len() > MAX_BUNDLE {
            return Err(bad("it is longer than 256 MiB"));
        }
        let raw: RawBundle =
            serde_json::from_slice(bytes).map_err(|error| OmsError::Bundle(error.to_string()))?;
        if !SIGSTORE_MEDIA_TYPES.contains(&raw.media_type.as_str()) {
            return Err(bad("it is not a Sigstore bundle of version 0.1, 0.2 or 0.3"));
        }
        let Some(envelope) = raw.dsse_envelope else {
            return Err(bad("it has no DSSE envelope"));
        };
        let [signature] = envelope.signatures.as_slice() else {
            return Err(bad("it does not have exactly one signature"));
        };
        let signature = signature.sig.0.clone();
        let material = raw.verification_material.sort(&raw.media_type)?;
        Ok(Self { material, payload_type: envelope.payload_type, payload: envelope.payload.0, signature })
    }

    /// The bytes that were signed.
    pub(super) fn signed_bytes(&self) -> Vec<u8> {
        pre_authentication_encoding(&self.payload_type, &self.payload)
    }
}

impl RawMaterial {
    fn sort(self, media_type: &str) -> Result<Material, OmsError> {
        let bad = |why: &str| Err(OmsError::Bundle(why.to_owned()));
        let entries = self.tlog_entries.unwrap_or_default();
        let certificates = match (self.public_key, self.x509_certificate_chain, self.certificate) {
            (Some(key), None, None) => {
                if !entries.is_empty() {
                    return bad("it combines a bare key with log entries");
                }
                if media_type != MEDIA_TYPE {
                    return bad("a signature with a key takes a bundle of version 0.3");
                }
                return Ok(Material::Key { hint: key.hint.filter(|hint| !hint.is_empty()) });
            }
            (None, Some(chain), None) => chain.certificates,
            (None, None, Some(certificate)) => vec![certificate],
            _ => return bad("it does not name exactly one of key, certificate and certificate chain"),
        };
        let certificates: Vec<Vec<u8>> = certificates.into_iter().map(|raw| raw.raw_bytes.0).collect();
        if certificates.len() > MAX_CERTIFICATES {
            return bad("it has more than 16 certificates");
        }
        let Some(leaf) = certificates.first() else {
            return bad("its certificate chain is empty");
        };
        let mut entries = entries.into_iter();
        match (entries.next(), entries.next()) {
            (None, _) => Ok(Material::Certificates(certificates)),
            (Some(entry), None) => {
                let timestamps = self.timestamp_verification_data.unwrap_or_default().rfc3161_timestamps;
                let timestamps: Vec<_> = timestamps.into_iter().map(|raw| raw.signed_timestamp.0).collect();
                Ok(Material::Sigstore(Box::new(SigstoreMaterial {
                    certificate: leaf.clone(),
                    entry,
                    timestamps,
                })))
            }
            _ => bad("it has more than one log entry"),
        }
    }
}

/// Base64, as protobuf's JSON has bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Base64(pub(super) Vec<u8>);

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        STANDARD.decode(text.as_bytes()).map(Self).map_err(|_| serde::de::Error::custom("not base64"))
    }
}

/// A 64-bit number, which protobuf's JSON writes as a string and reads as either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Number(pub(super) u64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number(u64),
            Text(String),
        }
        match Either::deserialize(deserializer)? {
            Either::Number(number) => Ok(Self(number)),
            Either::Text(text) => text.parse().map(Self).map_err(serde::de::Error::custom),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawBundle {
    media_type: String,
    verification_material: RawMaterial,
    dsse_envelope: Option<RawEnvelope>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawMaterial {
    public_key: Option<RawKey>,
    x509_certificate_chain: Option<RawChain>,
    certificate: Option<RawCertificate>,
    tlog_entries: Option<Vec<LogEntry>>,
    timestamp_verification_data: Option<RawTimestamps>,
}

#[derive(Deserialize)]
struct RawKey {
    hint: Option<String>,
}

#[derive(Deserialize)]
struct RawChain {
    certificates: Vec<RawCertificate>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawCertificate {
    raw_bytes: Base64,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct RawTimestamps {
    #[serde(default)]
    rfc3161_timestamps: Vec<RawTimestamp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawTimestamp {
    signed_timestamp: Base64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawEnvelope {
    payload: Base64,
    payload_type: String,
    signatures: Vec<RawSignature>,
}

#[derive(Deserialize)]
struct RawSignature {
    sig: Base64,
}

/// An entry of a transparency log, as the bundle tells it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LogEntry {
    pub(super) log_index: Option<Number>,
    pub(super) log_id: LogId,
    pub(super) kind_version: KindVersion,
    pub(super) integrated_time: Option<Number>,
    pub(super) inclusion_promise: Option<InclusionPromise>,
    pub(super) inclusion_proof: Option<InclusionProof>,
    pub(super) canonicalized_body: Base64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LogId {
    pub(super) key_id: Base64,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct KindVersion {
    pub(super) kind: String,
    pub(super) version: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InclusionPromise {
    pub(super) signed_entry_timestamp: Base64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InclusionProof {
    pub(super) log_index: Option<Number>,
    pub(super) root_hash: Base64,
    pub(super) tree_size: Number,
    #[serde(default)]
    pub(super) hashes: Vec<Base64>,
    pub(super) checkpoint: Checkpoint,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Checkpoint {
    pub(super) envelope: String,
}

/// How the signer is named in a bundle that is written.
pub(super) enum Named<'a> {
    Key { hint: String },
    Certificates(&'a [Vec<u8>]),
}

/// A bundle as JSON.
///
/// # Errors
/// Never in practice: all fields are strings.
pub(super) fn write(named: &Named<'_>, payload: &[u8], signature: &[u8]) -> Result<Vec<u8>, OmsError> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Out {
        media_type: &'static str,
        verification_material: serde_json::Value,
        dsse_envelope: OutEnvelope,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct OutEnvelope {
        payload: String,
        payload_type: &'static str,
        signatures: [serde_json::Value; 1],
    }
    let verification_material = match named {
        Named::Key { hint } => serde_json::json!({"publicKey": {"hint": hint}, "tlogEntries": []}),
        Named::Certificates(chain) => {
            let certificates: Vec<_> =
                chain.iter().map(|der| serde_json::json!({"rawBytes": STANDARD.encode(der)})).collect();
            serde_json::json!({"x509CertificateChain": {"certificates": certificates}, "tlogEntries": []})
        }
    };
    let bundle = Out {
        media_type: MEDIA_TYPE,
        verification_material,
        dsse_envelope: OutEnvelope {
            payload: STANDARD.encode(payload),
            payload_type: IN_TOTO_PAYLOAD_TYPE,
            signatures: [serde_json::json!({"sig": STANDARD.encode(signature), "keyid": ""})],
        },
    };
    let mut bytes = serde_json::to_vec(&bundle).map_err(|error| OmsError::Bundle(error.to_string()))?;
    bytes.push(b'\n');
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written() -> Vec<u8> {
        write(&Named::Key { hint: "ab".to_owned() }, b"payload", b"signature").unwrap()
    }

    #[test]
    fn a_written_bundle_reads_back() {
        let bundle = Bundle::from_slice(&written()).unwrap();
        assert_eq!(bundle.payload, b"payload");
        assert_eq!(bundle.signature, b"signature");
        assert!(matches!(bundle.material, Material::Key { hint: Some(hint) } if hint == "ab"));
        let bytes = write(&Named::Certificates(&[vec![1], vec![2]]), b"p", b"s").unwrap();
        let bundle = Bundle::from_slice(&bytes).unwrap();
        assert!(matches!(bundle.material, Material::Certificates(chain) if chain == [vec![1], vec![2]]));
    }

    #[test]
    fn ambiguous_bundles_are_refused() {
        let text = String::from_utf8(written()).unwrap();
        let certificate = r#""certificate":{"rawBytes":"AQ=="},"publicKey""#;
        for (from, to) in [
            ("\"publicKey\"", certificate),
            ("\"signatures\":[", r#""signatures":[{"sig":"AQ=="},"#),
            (".v0.3+json", ".v0.4+json"),
            ("\"publicKey\"", "\"unknown\""),
            ("\"dsseEnvelope\"", "\"messageSignature\""),
            ("\"payload\":\"", "\"payload\":\"!"),
            ("\"payload\":", "\"payload\":\"AQ==\",\"payload\":"),
        ] {
            let changed = text.replacen(from, to, 1);
            assert_ne!(text, changed);
            assert!(Bundle::from_slice(changed.as_bytes()).is_err(), "{from} → {to} was taken");
        }
    }

    proptest! {
        #[test]
        fn broken_bundles_never_panic(cut in 0_usize..400, position in 0_usize..400, byte: u8) {
            let mut bytes = written();
            if let Some(place) = bytes.get_mut(position) {
                *place = byte;
            }
            bytes.truncate(cut);
            let _ = Bundle::from_slice(&bytes);
        }
    }
}
