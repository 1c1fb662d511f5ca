//! Authenticator data and client data (WebAuthn level 2, sections 6.1 and 5.8.1).

use ciborium::Value;
use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest as _, Sha256};

use super::PasskeyError;
use super::cose::{self, PublicKey};
use crate::BaseUrl;
use crate::web::json;

/// The largest text that a browser would send.
const LARGEST: usize = 64 << 10;

/// What an authenticator says.
#[derive(Debug)]
pub(super) struct AuthenticatorData<'a> {
    pub(super) sign_count: u32,
    pub(super) attested: Option<Attested<'a>>,
}

/// A new credential.
#[derive(Debug)]
pub(super) struct Attested<'a> {
    pub(super) id: &'a [u8],
    /// The key as the authenticator wrote it.
    pub(super) cose: &'a [u8],
}

impl<'a> AuthenticatorData<'a> {
    /// Reads the data and holds it against this node: its name, the user's presence and verification.
    pub(super) fn read(bytes: &'a [u8], base: &BaseUrl) -> Result<Self, PasskeyError> {
        let short = || PasskeyError::Malformed("authenticator data that is cut off");
        if bytes.len() > LARGEST {
            return Err(PasskeyError::Malformed("authenticator data that is too long"));
        }
        let (rp, rest) = bytes.split_first_chunk::<32>().ok_or_else(short)?;
        let ([flags], rest) = rest.split_first_chunk::<1>().ok_or_else(short)?;
        let (count, rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
        let ours: [u8; 32] = Sha256::digest(base.host().as_bytes()).into();
        if *rp != ours {
            return Err(PasskeyError::OtherSite);
        }
        let flag = |bit: u8| flags & (1 << bit) != 0;
        let (present, verified, backup_able, backed_up) = (flag(0), flag(2), flag(3), flag(4));
        if !present || !verified {
            return Err(PasskeyError::NotVerified);
        }
        if backed_up && !backup_able {
            return Err(PasskeyError::Malformed("flags that contradict each other"));
        }
        let (attested, rest) = if flag(6) {
            let (_aaguid, rest) = rest.split_first_chunk::<16>().ok_or_else(short)?;
            let (length, rest) = rest.split_first_chunk::<2>().ok_or_else(short)?;
            let length = usize::from(u16::from_be_bytes(*length));
            if length == 0 || length > 1023 {
                return Err(PasskeyError::Malformed("a credential's id of a strange length"));
            }
            let (id, rest) = rest.split_at_checked(length).ok_or_else(short)?;
            let (_key, after) = PublicKey::read(rest)?;
            let cose = rest.get(..rest.len().saturating_sub(after.len())).ok_or_else(short)?;
            (Some(Attested { id, cose }), after)
        } else {
            (None, rest)
        };
        let rest = if flag(7) {
            match cose::value(rest)? {
                (Value::Map(_), after) => after,
                _ => return Err(PasskeyError::Malformed("extensions that are not a map")),
            }
        } else {
            rest
        };
        if !rest.is_empty() {
            return Err(PasskeyError::Malformed("authenticator data with something after it"));
        }
        Ok(Self { sign_count: u32::from_be_bytes(*count), attested })
    }
}

/// Holds client data against the ceremony, the challenge and this node's origin.
pub(super) fn client_data(
    bytes: &[u8],
    ceremony: &str,
    challenge: &[u8; 32],
    base: &BaseUrl,
) -> Result<(), PasskeyError> {
    let bad = PasskeyError::Malformed("client data that cannot be read");
    if bytes.len() > LARGEST || json::check(bytes, 8).is_err() {
        return Err(bad);
    }
    let Ok(data) = serde_json::from_slice::<serde_json::Value>(bytes) else { return Err(bad) };
    let text = |name: &str| data.get(name).and_then(serde_json::Value::as_str);
    if text("type") != Some(ceremony) {
        return Err(PasskeyError::Malformed("client data of another ceremony"));
    }
    if text("challenge") != Some(&*BASE64URL_NOPAD.encode(challenge)) {
        return Err(PasskeyError::Challenge);
    }
    let crosses = data.get("crossOrigin").is_some_and(|value| value.as_bool() != Some(false));
    if text("origin") != Some(&*base.origin()) || crosses || data.get("topOrigin").is_some() {
        return Err(PasskeyError::OtherSite);
    }
    Ok(())
}
