//! CycloneDX files that lie beside a model.

use serde::Deserialize;

use super::{Claims, Parent, clean};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bom {
    bom_format: String,
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    components: Vec<Component>,
}

#[derive(Deserialize, Default)]
struct Metadata {
    component: Option<Component>,
}

#[derive(Deserialize)]
struct Component {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    hashes: Vec<Hash>,
    #[serde(default)]
    licenses: Vec<LicenceChoice>,
    #[serde(default)]
    pedigree: Option<Pedigree>,
}

#[derive(Deserialize)]
struct Hash {
    alg: String,
    content: String,
}

#[derive(Deserialize)]
struct LicenceChoice {
    license: Option<NamedLicence>,
    expression: Option<String>,
}

#[derive(Deserialize)]
struct NamedLicence {
    id: Option<String>,
    name: Option<String>,
    url: Option<String>,
}

#[derive(Deserialize)]
struct Pedigree {
    #[serde(default)]
    ancestors: Vec<Component>,
}

/// Reads the models of a bill of materials: their licences and ancestors.
pub(super) fn read(claims: &mut Claims, text: &str, file: &str) -> Result<(), String> {
    let bom: Bom = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if bom.bom_format != "CycloneDX" {
        return Err("not a CycloneDX file".to_owned());
    }
    let all = bom.metadata.component.into_iter().chain(bom.components);
    for model in all.filter(|component| component.kind == "machine-learning-model") {
        for choice in model.licenses {
            let source = format!("{file}: licenses");
            if let Some(expression) = choice.expression {
                claims.licence(&expression, None, source);
            } else if let Some(licence) = choice.license {
                let name = licence.id.or(licence.name).unwrap_or_default();
                claims.licence(&name, licence.url.as_deref(), source);
            }
        }
        for ancestor in model.pedigree.map(|pedigree| pedigree.ancestors).unwrap_or_default() {
            let hash = ancestor.hashes.iter().find(|hash| hash.alg == "SHA-256");
            if let Some(name) = clean(&ancestor.name) {
                claims.parents.push(Parent {
                    name,
                    revision: ancestor.version.as_deref().and_then(clean),
                    url: None,
                    digest: hash.and_then(|hash| hash.content.to_ascii_lowercase().parse().ok()),
                    relation: None,
                    source: format!("{file}: pedigree.ancestors"),
                });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ostrom_core::Digest;

    use super::*;

    #[test]
    fn ancestors_come_with_their_digests() {
        let digest = Digest::of(b"base");
        let text = serde_json::json!({
            "bomFormat": "CycloneDX", "specVersion": "1.6",
            "metadata": {"component": {"type": "machine-learning-model", "name": "m",
                "licenses": [{"license": {"id": "MIT"}}, {"expression": "MIT OR Apache-2.0"}],
                "pedigree": {"ancestors": [{"type": "machine-learning-model", "name": "base", "version": "1",
                    "hashes": [{"alg": "SHA-256", "content": digest.to_string().to_uppercase()}]}]}}},
            "components": [{"type": "library", "name": "numpy", "licenses": [{"license": {"id": "BSD-3-Clause"}}]}],
        });
        let mut claims = Claims::default();
        read(&mut claims, &text.to_string(), "bom.json").unwrap();
        assert_eq!((claims.parents[0].digest, claims.parents.len()), (Some(digest), 1));
        assert_eq!(claims.licences.len(), 2, "a library's licence is not the model's");
        assert!(read(&mut claims, r#"{"bomFormat":"SPDX"}"#, "bom.json").is_err());
        assert!(read(&mut claims, &format!("{}{}", "[".repeat(5000), "]".repeat(5000)), "bom.json").is_err());
    }
}
