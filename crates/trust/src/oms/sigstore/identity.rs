//! Who the certificate says signed, and who attested that.
//!
//! Source: sigstore/fulcio, `docs/oid-info.md`.

use der::Decode as _;
use der::asn1::{ObjectIdentifier, Utf8StringRef};

use super::super::error::OmsError;
use super::super::show::show;
use super::super::x509::{AltName, Certificate};
use super::refuse;

/// The issuer as bare text; deprecated.
const ISSUER_V1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.1");
/// The issuer as a DER UTF8String.
pub(super) const ISSUER_V2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.8");
/// The type of an `otherName` that is a user name.
const USER_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.7");

/// Checks identity and issuer, letter by letter. Returns the identity.
pub(super) fn verify(leaf: &Certificate, identity: &str, issuer: &str) -> Result<String, OmsError> {
    let found =
        found_issuer(leaf).ok_or_else(|| refuse("the certificate does not name an issuer of identities"))?;
    if found != issuer {
        return Err(refuse(format!(
            "the identity was attested by {}, not by {}",
            show(&found),
            show(issuer)
        )));
    }
    let names: Vec<String> = leaf
        .alt_names()
        .ok_or_else(|| refuse("the certificate's names cannot be read"))?
        .into_iter()
        .filter_map(|name| match name {
            AltName::Email(text) | AltName::Uri(text) => Some(text),
            AltName::Other(kind, text) => (kind == USER_NAME).then_some(text),
        })
        .collect();
    if names.iter().any(|name| name == identity) {
        return Ok(identity.to_owned());
    }
    let names: Vec<String> = names.iter().map(|name| show(name)).collect();
    Err(refuse(format!("it was signed by {}, not by {}", names.join(", "), show(identity))))
}

fn found_issuer(leaf: &Certificate) -> Option<String> {
    if let Some(value) = leaf.extension(ISSUER_V2) {
        return Utf8StringRef::from_der(value).ok().map(|text| text.as_str().to_owned());
    }
    std::str::from_utf8(leaf.extension(ISSUER_V1)?).ok().map(str::to_owned)
}
