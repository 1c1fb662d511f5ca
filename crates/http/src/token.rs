//! Signed tokens (RFC 7519, RFC 8725) and the keys that check them (RFC 7517).

use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The algorithms that a token of somebody else's may be signed with: those with a public key.
pub const ASYMMETRIC: [Algorithm; 9] = [
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

/// How far clocks may be apart, in seconds.
const LEEWAY: u64 = 30;
/// The most keys of a set that are looked at.
const MOST_KEYS: usize = 64;
/// The most keys that a token's signature is tried with: each try costs a signature's check.
const MOST_TRIES: usize = 4;

/// Public keys.
pub struct KeySet {
    keys: Vec<Key>,
}

struct Key {
    id: Option<String>,
    /// What it is for, if it says so.
    algorithm: Option<String>,
    key: DecodingKey,
}

/// Why a text is no set of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoKeys {
    /// There is no list of keys.
    #[error("not a JWK set: no list of keys")]
    Shape,
    /// The list has no key of use.
    #[error("no key that can check signatures here")]
    None,
}

impl std::fmt::Debug for KeySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeySet").field("keys", &self.keys.len()).finish()
    }
}

impl KeySet {
    /// Reads a JWK set. Keys that cannot check signatures here are left out, as RFC 7517, section 5, has it.
    ///
    /// # Errors
    /// If it is no JWK set, or no key is left.
    pub fn read(mut set: Value) -> Result<Self, NoKeys> {
        let Some(Value::Array(list)) = set.get_mut("keys").map(Value::take) else {
            return Err(NoKeys::Shape);
        };
        let keys: Vec<Key> = list.into_iter().take(MOST_KEYS).filter_map(read).collect();
        if keys.is_empty() { Err(NoKeys::None) } else { Ok(Self { keys }) }
    }

    /// Whether there is a key that may have signed a token with this header.
    #[must_use]
    pub fn has_key_for(&self, header: &Header) -> bool {
        self.candidates(header).next().is_some()
    }

    /// The claims of a token that one of the keys has signed and that is valid.
    #[must_use]
    pub fn claims<T>(&self, token: &str, header: &Header, validation: &Validation) -> Option<T>
    where
        T: DeserializeOwned + Clone,
    {
        let data = self.candidates(header).find_map(|key| jsonwebtoken::decode(token, key, validation).ok());
        data.map(|data| data.claims)
    }

    fn candidates<'a>(&'a self, header: &'a Header) -> impl Iterator<Item = &'a DecodingKey> {
        let name = format!("{:?}", header.alg);
        let fits = move |key: &&Key| {
            (header.kid.is_none() || header.kid == key.id)
                && key.algorithm.as_ref().is_none_or(|algorithm| *algorithm == name)
                && key.key.family() == header.alg.family()
        };
        self.keys.iter().filter(fits).map(|key| &key.key).take(MOST_TRIES)
    }
}

/// What a token must say: who gave it, for whom, and until when. A start that it names must have come.
#[must_use]
pub fn validation(algorithm: Algorithm, issuer: &str, audience: &str) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.leeway = LEEWAY;
    validation.validate_nbf = true;
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[audience]);
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    validation
}

fn read(value: Value) -> Option<Key> {
    let algorithm = value.get("alg").and_then(Value::as_str).map(str::to_owned);
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    let is_secret = matches!(jwk.algorithm, AlgorithmParameters::OctetKey(_));
    let is_for_signatures =
        jwk.common.public_key_use.as_ref().is_none_or(|purpose| *purpose == PublicKeyUse::Signature);
    if is_secret || !is_for_signatures {
        return None;
    }
    Some(Key { id: jwk.common.key_id.clone(), algorithm, key: DecodingKey::from_jwk(&jwk).ok()? })
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::EncodingKey;
    use p256::pkcs8::EncodePrivateKey as _;
    use serde_json::json;

    use super::*;

    /// A key pair made of one byte.
    fn pair(seed: u8) -> EncodingKey {
        let secret = p256::SecretKey::from_slice(&[seed; 32]).unwrap();
        EncodingKey::from_ec_der(secret.to_pkcs8_der().unwrap().as_bytes())
    }

    fn public(seed: u8, id: &str) -> Value {
        let mut jwk = Jwk::from_encoding_key(&pair(seed), Algorithm::ES256).unwrap();
        jwk.common.key_id = Some(id.to_owned());
        serde_json::to_value(jwk).unwrap()
    }

    fn header(id: &str) -> Header {
        Header { kid: Some(id.to_owned()), ..Header::new(Algorithm::ES256) }
    }

    fn read(keys: &[Value]) -> Result<KeySet, NoKeys> {
        KeySet::read(json!({"keys": keys}))
    }

    fn claims_of(keys: &KeySet, claims: &Value, audience: &str) -> Option<Value> {
        let token = jsonwebtoken::encode(&header("one"), claims, &pair(1)).unwrap();
        keys.claims(&token, &header("one"), &validation(Algorithm::ES256, "https://issuer.example", audience))
    }

    #[test]
    fn keys_that_cannot_check_signatures_are_left_out_and_a_set_without_others_is_refused() {
        let secret = json!({"kty": "oct", "k": "AAAA", "kid": "one", "alg": "HS256"});
        let mut for_encryption = public(1, "one");
        for_encryption["use"] = json!("enc");
        for useless in [&secret, &for_encryption, &json!({"kty": "new"}), &json!(1)] {
            assert_eq!(read(std::slice::from_ref(useless)).unwrap_err(), NoKeys::None, "{useless}");
            assert!(read(&[useless.clone(), public(1, "one")]).unwrap().has_key_for(&header("one")));
        }
        for no_set in [json!([]), json!({"keys": {}}), json!(null)] {
            assert_eq!(KeySet::read(no_set).unwrap_err(), NoKeys::Shape);
        }
    }

    #[test]
    fn a_key_serves_its_own_name_and_algorithm_only() {
        let keys = read(&[public(1, "one")]).unwrap();
        assert!(!keys.has_key_for(&header("two")));
        for algorithm in [Algorithm::RS256, Algorithm::EdDSA, Algorithm::ES384, Algorithm::HS256] {
            let header = Header { kid: Some("one".to_owned()), ..Header::new(algorithm) };
            assert!(!keys.has_key_for(&header), "{algorithm:?}");
        }
    }

    #[test]
    fn claims_are_those_of_a_token_that_is_signed_for_us_and_not_over() {
        let keys = read(&[public(1, "one")]).unwrap();
        let far = 4_102_444_800_u64; // 2100
        let good = json!({"iss": "https://issuer.example", "aud": "us", "exp": far});
        assert_eq!(claims_of(&keys, &good, "us").as_ref(), Some(&good));
        assert_eq!(claims_of(&keys, &good, "others"), None);
        assert_eq!(claims_of(&read(&[public(2, "one")]).unwrap(), &good, "us"), None);
        for (name, value) in [
            ("exp", json!(1)),
            ("exp", Value::Null),
            ("iss", json!("https://other.example")),
            ("iss", Value::Null),
            ("aud", Value::Null),
            ("nbf", json!(far)),
        ] {
            let mut bad = good.clone();
            bad[name] = value;
            assert_eq!(claims_of(&keys, &bad, "us"), None, "{bad}");
        }
    }
}
