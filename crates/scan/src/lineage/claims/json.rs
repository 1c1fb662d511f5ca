//! JSON beside the weights, and the metadata of safetensors.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Claims, clean};
use crate::lineage::Relation;

#[derive(Deserialize)]
struct Config {
    #[serde(default, rename = "_name_or_path")]
    name_or_path: Option<String>,
}

#[derive(Deserialize)]
struct Adapter {
    #[serde(default)]
    base_model_name_or_path: Option<String>,
    #[serde(default)]
    revision: Option<String>,
}

/// `config.json`: the name or path from which the model was loaded before it was saved here.
pub(super) fn config(claims: &mut Claims, text: &str, file: &str) -> Result<(), String> {
    let config: Config = serde_json::from_str(text).map_err(|error| error.to_string())?;
    claims.parent(&config.name_or_path.unwrap_or_default(), None, format!("{file}: _name_or_path"));
    Ok(())
}

/// PEFT's `adapter_config.json`.
pub(super) fn adapter(claims: &mut Claims, text: &str, file: &str) -> Result<(), String> {
    let adapter: Adapter = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let before = claims.parents.len();
    claims.parent(
        &adapter.base_model_name_or_path.unwrap_or_default(),
        Some(Relation::Adapter),
        format!("{file}: base_model_name_or_path"),
    );
    if let Some(parent) = claims.parents.get_mut(before) {
        parent.revision = adapter.revision.as_deref().and_then(clean);
    }
    Ok(())
}

/// `__metadata__` of safetensors: the keys of the Model Metadata Standard (`modelspec.`) and of kohya's trainers (`ss_`).
pub(super) fn safetensors(claims: &mut Claims, metadata: &BTreeMap<String, String>, file: &str) {
    let source = |key: &str| format!("{file}: {key}");
    let get = |key: &str| metadata.get(key).map(String::as_str);
    if let Some(name) = get("ss_sd_model_name") {
        let before = claims.parents.len();
        let relation = get("ss_network_module").map(|_| Relation::Adapter);
        claims.parent(name, relation, source("ss_sd_model_name"));
        if let Some(parent) = claims.parents.get_mut(before) {
            // The full SHA-256 of the base's file, where the trainer has taken one.
            parent.digest = get("ss_new_sd_model_hash").and_then(|hash| hash.parse().ok());
        }
    }
    for name in get("modelspec.merged_from").unwrap_or_default().split(',') {
        claims.parent(name, Some(Relation::Merge), source("modelspec.merged_from"));
    }
    if let Some(name) = get("base_model") {
        claims.parent(name, None, source("base_model"));
    }
    for key in ["modelspec.license", "license"] {
        if let Some(name) = get(key) {
            claims.licence(name, None, source(key));
        }
    }
}

#[cfg(test)]
mod tests {
    use ostrom_core::Digest;

    use super::*;

    #[test]
    fn adapters_name_their_base_and_its_version() {
        let mut claims = Claims::default();
        adapter(&mut claims, r#"{"base_model_name_or_path":"a/b","revision":"abc","r":8}"#, "f").unwrap();
        assert_eq!(claims.parents[0].relation, Some(Relation::Adapter));
        assert_eq!(claims.parents[0].revision.as_deref(), Some("abc"));
        assert!(adapter(&mut claims, r#"{"base_model_name_or_path":null}"#, "f").is_ok());
        assert!(config(&mut claims, r#"{"_name_or_path":7}"#, "f").is_err());
        assert_eq!(claims.parents.len(), 1);
    }

    #[test]
    fn a_digest_in_the_metadata_is_kept() {
        let digest = Digest::of(b"base");
        let metadata = BTreeMap::from([
            ("ss_sd_model_name".to_owned(), "base.safetensors".to_owned()),
            ("ss_new_sd_model_hash".to_owned(), digest.to_string()),
            ("modelspec.merged_from".to_owned(), "a, b".to_owned()),
        ]);
        let mut claims = Claims::default();
        safetensors(&mut claims, &metadata, "f");
        assert_eq!(claims.parents[0].digest, Some(digest));
        assert_eq!(claims.parents.len(), 3);
    }
}
