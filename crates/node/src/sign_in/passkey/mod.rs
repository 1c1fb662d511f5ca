//! Passkeys: the relying party's side of Web Authentication, level 2 (sections 7.1 and 7.2).
//!
//! Credentials are discoverable and verify their user, since they are the only factor. No attestation is asked for, and none is taken: what
//! brand an authenticator has is not this node's business.

mod challenge;
mod cose;
mod data;
#[cfg(test)]
mod tests;

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Deserializer};
use sha2::{Digest as _, Sha256};

pub(crate) use challenge::Challenges;
use cose::PublicKey;
use data::{AuthenticatorData, client_data};

use crate::BaseUrl;

/// Why a passkey does not sign anybody in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasskeyError {
    /// Not what WebAuthn has.
    #[error("the browser sent {0}")]
    Malformed(&'static str),
    /// Another algorithm than ES256 and EdDSA.
    #[error("this passkey's algorithm is not supported (ES256 and EdDSA are)")]
    Algorithm,
    /// Made for another site.
    #[error("this passkey was used on another site")]
    OtherSite,
    /// The challenge is another one, or over.
    #[error("this took too long: try again")]
    Challenge,
    /// The authenticator did not verify its user.
    #[error("the authenticator must verify you, by a PIN or your finger for example")]
    NotVerified,
    /// The signature is wrong.
    #[error("the signature does not hold")]
    Signature,
}

/// Bytes that a script sends as Base64url.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        BASE64URL_NOPAD.decode(text.as_bytes()).map(Self).map_err(serde::de::Error::custom)
    }
}

/// What the browser answers to a registration.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Registration {
    /// The client data.
    #[serde(rename = "clientDataJSON")]
    pub client_data: Bytes,
    /// The attestation object.
    pub attestation_object: Bytes,
}

/// A passkey that may be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPasskey {
    /// The credential's id.
    pub id: Vec<u8>,
    /// The key, in COSE.
    pub public_key: Vec<u8>,
    /// The counter.
    pub sign_count: u32,
}

impl Registration {
    /// Checks the answer (section 7.1).
    ///
    /// # Errors
    /// If it is not an answer to this challenge, made here.
    pub fn verify(&self, challenge: &[u8; 32], base: &BaseUrl) -> Result<NewPasskey, PasskeyError> {
        client_data(&self.client_data.0, "webauthn.create", challenge, base)?;
        let (object, rest) = cose::value(&self.attestation_object.0)?;
        let malformed = PasskeyError::Malformed;
        let ciborium::Value::Map(map) = &object else {
            return Err(malformed("an attestation that is not a map"));
        };
        if !rest.is_empty() {
            return Err(malformed("an attestation with something after it"));
        }
        let get =
            |name: &str| map.iter().find(|(key, _)| key.as_text() == Some(name)).map(|(_, value)| value);
        let none = get("fmt").and_then(ciborium::Value::as_text) == Some("none")
            && get("attStmt").and_then(ciborium::Value::as_map).is_some_and(Vec::is_empty);
        if !none {
            return Err(malformed("an attestation, which was not asked for"));
        }
        let bytes = get("authData").and_then(ciborium::Value::as_bytes);
        let bytes = bytes.ok_or(malformed("an attestation without authenticator data"))?;
        let data = AuthenticatorData::read(bytes, base)?;
        let attested = data.attested.ok_or(malformed("an attestation without a credential"))?;
        Ok(NewPasskey {
            id: attested.id.to_vec(),
            public_key: attested.cose.to_vec(),
            sign_count: data.sign_count,
        })
    }
}

/// What the browser answers to a sign-in.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Assertion {
    /// The client data.
    #[serde(rename = "clientDataJSON")]
    pub client_data: Bytes,
    /// The authenticator data.
    pub authenticator_data: Bytes,
    /// The signature over both.
    pub signature: Bytes,
    /// Whose passkey it is, as we named them: the person's UUID.
    pub user_handle: Bytes,
}

impl Assertion {
    /// Checks the answer against the key that was kept (section 7.2). Gives the counter; whether it went up is the caller's to ask.
    ///
    /// # Errors
    /// If it is not an answer to this challenge, made here, by that key.
    pub fn verify(
        &self,
        challenge: &[u8; 32],
        base: &BaseUrl,
        public_key: &[u8],
    ) -> Result<u32, PasskeyError> {
        client_data(&self.client_data.0, "webauthn.get", challenge, base)?;
        let data = AuthenticatorData::read(&self.authenticator_data.0, base)?;
        let (key, _) = PublicKey::read(public_key)?;
        let mut message = self.authenticator_data.0.clone();
        message.extend_from_slice(&Sha256::digest(&self.client_data.0));
        key.verify(&message, &self.signature.0)?;
        Ok(data.sign_count)
    }
}

/// What a script hands to `navigator.credentials.create`, with bytes in Base64url.
#[must_use]
pub fn creation(
    base: &BaseUrl,
    title: &str,
    user: (&[u8], &str, &str),
    challenge: &[u8; 32],
    known: &[Vec<u8>],
) -> serde_json::Value {
    let (id, email, name) = user;
    let known: Vec<_> = known
        .iter()
        .map(|id| serde_json::json!({"type": "public-key", "id": BASE64URL_NOPAD.encode(id)}))
        .collect();
    serde_json::json!({
        "challenge": BASE64URL_NOPAD.encode(challenge),
        "rp": {"id": base.host(), "name": title},
        "user": {"id": BASE64URL_NOPAD.encode(id), "name": email, "displayName": name},
        "pubKeyCredParams": [{"type": "public-key", "alg": cose::EDDSA}, {"type": "public-key", "alg": cose::ES256}],
        "timeout": challenge::SECONDS * 1000,
        "attestation": "none",
        "excludeCredentials": known,
        "authenticatorSelection": {"residentKey": "required", "requireResidentKey": true, "userVerification": "required"},
    })
}

/// What a script hands to `navigator.credentials.get`, with bytes in Base64url.
#[must_use]
pub fn request(base: &BaseUrl, challenge: &[u8; 32]) -> serde_json::Value {
    serde_json::json!({
        "challenge": BASE64URL_NOPAD.encode(challenge),
        "rpId": base.host(),
        "timeout": challenge::SECONDS * 1000,
        "allowCredentials": [],
        "userVerification": "required",
    })
}
