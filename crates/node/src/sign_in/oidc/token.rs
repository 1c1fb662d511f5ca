//! ID tokens (OpenID Connect Core, section 3.1.3.7).

use ostrom_http::{ASYMMETRIC, validation};
use serde::Deserialize;
use serde_json::Value;

use super::provider::Known;
use crate::Failure;

/// Who somebody is for the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The provider's name for them, which never changes.
    pub(crate) subject: String,
    /// The address, if the provider says that it is theirs.
    pub(crate) email: Option<String>,
}

#[derive(Clone, Deserialize)]
struct Claims {
    sub: String,
    aud: Value,
    azp: Option<String>,
    nonce: Option<String>,
    email: Option<String>,
    email_verified: Option<Value>,
}

impl Known {
    /// Whether there is a key that may have signed this.
    pub(super) fn has_key_for(&self, token: &str) -> bool {
        jsonwebtoken::decode_header(token).is_ok_and(|header| self.keys.has_key_for(&header))
    }

    /// Who the token is about, if it is good.
    pub(super) fn identity(
        &self,
        token: &str,
        issuer: &str,
        client: &str,
        nonce: &str,
    ) -> Result<Identity, Failure> {
        let refused = || Failure::Unauthenticated;
        let header = jsonwebtoken::decode_header(token).map_err(|_| refused())?;
        // An extension that must be understood is not.
        if !ASYMMETRIC.contains(&header.alg) || header.crit.is_some() {
            return Err(refused());
        }
        let mut validation = validation(header.alg, issuer, client);
        validation.required_spec_claims.insert("sub".to_owned());
        let claims: Claims = self.keys.claims(token, &header, &validation).ok_or_else(refused)?;
        let several = claims.aud.as_array().is_some_and(|list| list.len() > 1);
        let for_us = claims.azp.as_ref().map_or(!several, |party| party == client);
        let plain = !claims.sub.is_empty() && claims.sub.len() <= 255;
        if claims.nonce.as_deref() != Some(nonce) || !for_us || !plain {
            return Err(refused());
        }
        let verified = matches!(&claims.email_verified, Some(Value::Bool(true)));
        Ok(Identity { subject: claims.sub, email: claims.email.filter(|_| verified) })
    }
}
