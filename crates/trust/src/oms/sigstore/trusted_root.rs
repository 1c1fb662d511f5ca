//! `trusted_root.json`: the authorities and logs that a verifier trusts.
//!
//! Source: sigstore/protobuf-specs, `sigstore_trustroot.proto`.

use std::path::Path;

use der::DateTime;
use ed25519_dalek::pkcs8::DecodePublicKey as _;
use serde::Deserialize;

use super::super::bundle::Base64;
use super::super::error::OmsError;
use super::super::key::{EcPublicKey, read_text};
use super::super::x509::Certificate;

const MEDIA_TYPES: [&str; 2] = [
    "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
    "application/vnd.dev.sigstore.trustedroot.v0.2+json",
];

/// Authorities and logs that are trusted.
#[derive(Debug, Clone)]
pub struct TrustedRoot {
    pub(super) authorities: Vec<Authority>,
    pub(super) logs: Vec<Log>,
    pub(super) certificate_logs: Vec<Log>,
}

/// A certificate authority.
#[derive(Debug, Clone)]
pub(super) struct Authority {
    /// The root is the last.
    pub(super) chain: Vec<Certificate>,
    pub(super) period: Period,
}

/// A transparency log.
#[derive(Debug, Clone)]
pub(super) struct Log {
    pub(super) url: String,
    pub(super) id: Vec<u8>,
    pub(super) key: LogKey,
    pub(super) period: Period,
}

/// A log's key.
#[derive(Debug, Clone)]
pub(super) enum LogKey {
    Ec(EcPublicKey),
    Ed25519(Box<ed25519_dalek::VerifyingKey>),
    /// A kind that is not verified here; every signature by it is refused.
    Unsupported,
}

impl LogKey {
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Ec(key) => key.verify(message, signature),
            Self::Ed25519(key) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()),
            Self::Unsupported => false,
        }
    }
}

/// When something was in use, in seconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(super) struct Period {
    start: u64,
    end: u64,
}

impl Period {
    pub(super) fn includes(self, time: u64) -> bool {
        (self.start..=self.end).contains(&time)
    }
}

impl TrustedRoot {
    /// Reads a `trusted_root.json`, or a client trust configuration that has one inside.
    ///
    /// # Errors
    /// If the file cannot be read or is something else.
    pub fn load(path: &Path) -> Result<Self, OmsError> {
        Self::from_json(&read_text(path)?)
    }

    /// Reads the JSON text; see [`TrustedRoot::load`].
    ///
    /// # Errors
    /// If it is something else.
    pub fn from_json(text: &str) -> Result<Self, OmsError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Configuration {
            trusted_root: serde_json::Value,
        }
        let bad = |why: String| OmsError::Sigstore(format!("not a trusted root: {why}"));
        let raw: Raw = match serde_json::from_str::<Configuration>(text) {
            Ok(configuration) => serde_json::from_value(configuration.trusted_root),
            Err(_) => serde_json::from_str(text),
        }
        .map_err(|error| bad(error.to_string()))?;
        if !MEDIA_TYPES.contains(&raw.media_type.as_str()) {
            return Err(bad("its media type is unknown".to_owned()));
        }
        let logs = |logs: Vec<RawLog>| logs.into_iter().map(RawLog::read).collect::<Result<Vec<_>, _>>();
        let authorities =
            raw.certificate_authorities.into_iter().map(RawAuthority::read).collect::<Result<_, _>>();
        Ok(Self {
            authorities: authorities.map_err(bad)?,
            logs: logs(raw.tlogs).map_err(bad)?,
            certificate_logs: logs(raw.ctlogs).map_err(bad)?,
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    media_type: String,
    #[serde(default)]
    tlogs: Vec<RawLog>,
    #[serde(default)]
    certificate_authorities: Vec<RawAuthority>,
    #[serde(default)]
    ctlogs: Vec<RawLog>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawLog {
    #[serde(default)]
    base_url: String,
    hash_algorithm: String,
    public_key: RawKey,
    log_id: RawLogId,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawLogId {
    key_id: Base64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawKey {
    raw_bytes: Base64,
    #[serde(default)]
    valid_for: RawPeriod,
}

#[derive(Deserialize, Default)]
struct RawPeriod {
    start: Option<String>,
    end: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawAuthority {
    cert_chain: RawChain,
    #[serde(default)]
    valid_for: RawPeriod,
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

impl RawLog {
    fn read(self) -> Result<Log, String> {
        if self.hash_algorithm != "SHA2_256" {
            return Err(format!("the log {} does not hash with SHA-256", self.base_url));
        }
        let der = &self.public_key.raw_bytes.0;
        let key = match EcPublicKey::from_spki(der) {
            Some(key) => LogKey::Ec(key),
            None => ed25519_dalek::VerifyingKey::from_public_key_der(der)
                .map_or(LogKey::Unsupported, |key| LogKey::Ed25519(Box::new(key))),
        };
        Ok(Log {
            url: self.base_url,
            id: self.log_id.key_id.0,
            key,
            period: self.public_key.valid_for.read()?,
        })
    }
}

impl RawAuthority {
    fn read(self) -> Result<Authority, String> {
        let certificates = self.cert_chain.certificates.iter();
        let chain =
            certificates.map(|raw| Certificate::from_der(&raw.raw_bytes.0)).collect::<Result<_, _>>()?;
        Ok(Authority { chain, period: self.valid_for.read()? })
    }
}

impl RawPeriod {
    fn read(self) -> Result<Period, String> {
        let start = self.start.map_or(Ok(0), |text| seconds(&text))?;
        let end = self.end.map_or(Ok(u64::MAX), |text| seconds(&text))?;
        Ok(Period { start, end })
    }
}

/// Seconds since 1970 of an RFC 3339 time in UTC. Fractions are cut.
fn seconds(text: &str) -> Result<u64, String> {
    let whole = match text.split_once('.') {
        Some((whole, fraction)) if fraction.ends_with('Z') => format!("{whole}Z"),
        _ => text.to_owned(),
    };
    let time: DateTime = whole.parse().map_err(|_| format!("{text:?} is not a time in UTC"))?;
    Ok(time.unix_duration().as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        assert_eq!(seconds("2021-01-12T11:53:27Z"), Ok(1_610_452_407));
        assert_eq!(seconds("2022-10-31T23:59:59.999Z"), Ok(1_667_260_799));
        assert!(seconds("2022-10-31T23:59:59+01:00").is_err());
        assert!(seconds("yesterday").is_err());
    }

    #[test]
    fn other_files_are_refused() {
        assert!(TrustedRoot::from_json("{}").is_err());
        assert!(TrustedRoot::from_json(r#"{"mediaType":"text/plain"}"#).is_err());
    }
}
