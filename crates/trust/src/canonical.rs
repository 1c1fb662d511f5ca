//! RFC 8785 canonical JSON, over which digests of JSON are taken.

use ostrom_core::Digest;
use serde::Serialize;

/// A value that has no canonical JSON (a NaN, a map with keys that are not strings).
#[derive(Debug, thiserror::Error)]
#[error("this value has no canonical JSON (RFC 8785): {0}")]
pub struct CanonicalError(#[from] serde_json::Error);

/// The RFC 8785 bytes of `value`.
///
/// # Errors
/// If the value cannot be JSON.
pub fn canonical_json<T: Serialize>(value: &T) -> Result<Vec<u8>, CanonicalError> {
    Ok(serde_json_canonicalizer::to_vec(value)?)
}

/// The digest of `value`'s canonical JSON.
///
/// # Errors
/// If the value cannot be JSON.
pub fn digest_of<T: Serialize>(value: &T) -> Result<Digest, CanonicalError> {
    Ok(Digest::of(&canonical_json(value)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_8785_section_3_2() {
        let value: serde_json::Value = serde_json::from_str(
            r#"{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],
                "string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}"#,
        )
        .unwrap();
        let expected = "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\
                        \"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}";
        assert_eq!(String::from_utf8(canonical_json(&value).unwrap()).unwrap(), expected);
    }
}
