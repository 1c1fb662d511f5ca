//! The `general.` entries of GGUF files.

use super::{Claims, clean};
use crate::lineage::Relation;
use crate::lineage::weights::{Metadata, read_metadata};
use crate::source::View;

/// The most base models or data sets that one file names.
const MAX_NAMED: u64 = 64;

/// llama.cpp's names of `general.file_type`.
const FILE_TYPES: [(u64, &str); 36] = [
    (0, "F32"),
    (1, "F16"),
    (2, "Q4_0"),
    (3, "Q4_1"),
    (7, "Q8_0"),
    (8, "Q5_0"),
    (9, "Q5_1"),
    (10, "Q2_K"),
    (11, "Q3_K_S"),
    (12, "Q3_K_M"),
    (13, "Q3_K_L"),
    (14, "Q4_K_S"),
    (15, "Q4_K_M"),
    (16, "Q5_K_S"),
    (17, "Q5_K_M"),
    (18, "Q6_K"),
    (19, "IQ2_XXS"),
    (20, "IQ2_XS"),
    (21, "Q2_K_S"),
    (22, "IQ3_XS"),
    (23, "IQ3_XXS"),
    (24, "IQ1_S"),
    (25, "IQ4_NL"),
    (26, "IQ3_S"),
    (27, "IQ3_M"),
    (28, "IQ2_S"),
    (29, "IQ2_M"),
    (30, "IQ4_XS"),
    (31, "IQ1_M"),
    (32, "BF16"),
    (33, "Q4_0_4_4"),
    (34, "Q4_0_4_8"),
    (35, "Q4_0_8_8"),
    (36, "TQ1_0"),
    (37, "TQ2_0"),
    (38, "MXFP4_MOE"),
];

/// Reads what a file says about itself.
pub(super) fn read(claims: &mut Claims, view: &View, file: &str) -> Result<(), String> {
    let metadata = read_metadata(view).map_err(|trouble| trouble.to_string())?;
    let source = |key: &str| format!("{file}: {key}");
    for index in 0..metadata.number("general.base_model.count").unwrap_or(0).min(MAX_NAMED) {
        let key = |end: &str| format!("general.base_model.{index}.{end}");
        named(claims, &metadata, &key, |claims, name, url, revision| {
            let before = claims.parents.len();
            claims.parent(name, None, source(&key("name")));
            if let Some(parent) = claims.parents.get_mut(before) {
                (parent.url, parent.revision) = (url.and_then(clean), revision.and_then(clean));
            }
        });
    }
    for index in 0..metadata.number("general.dataset.count").unwrap_or(0).min(MAX_NAMED) {
        let key = |end: &str| format!("general.dataset.{index}.{end}");
        named(claims, &metadata, &key, |claims, name, url, _| {
            claims.data_set(name, url, source(&key("name")));
        });
    }
    for name in metadata.list("general.datasets") {
        claims.data_set(name, None, source("general.datasets"));
    }
    let kind = metadata.number("general.file_type");
    let kind = kind.and_then(|kind| FILE_TYPES.iter().find(|(id, _)| *id == kind)).map(|(_, name)| *name);
    let relation = match kind {
        Some("F32" | "F16" | "BF16") => Some(Relation::Conversion),
        Some(_) => Some(Relation::Quantisation),
        None => None,
    };
    // The file that this one was converted from, under whichever key.
    for key in ["general.source.repo_url", "general.source.huggingface.repository", "general.source.url"] {
        if let Some(name) = metadata.text(key) {
            let before = claims.parents.len();
            claims.parent(name, relation, source(key));
            if let Some(parent) = claims.parents.get_mut(before).filter(|parent| parent.name.contains("://"))
            {
                parent.url = Some(parent.name.clone());
            }
            break;
        }
    }
    if let Some(name) = metadata.text("general.license") {
        claims.licence(name, metadata.text("general.license.link"), source("general.license"));
    }
    let maker = metadata.text("general.quantized_by").and_then(clean);
    let notes = [("general.file_type", kind.map(str::to_owned)), ("general.quantized_by", maker)];
    claims.notes.extend(notes.into_iter().filter_map(|(key, value)| Some((source(key), value?))));
    Ok(())
}

/// Hands over one entry of a numbered list: name (with its organisation), place, version.
fn named(
    claims: &mut Claims,
    metadata: &Metadata,
    key: &dyn Fn(&str) -> String,
    take: impl FnOnce(&mut Claims, &str, Option<&str>, Option<&str>),
) {
    let get = |end: &str| metadata.text(&key(end));
    let url = get("repo_url").or_else(|| get("url"));
    let name = match (get("organization"), get("name")) {
        (Some(organisation), Some(name)) => format!("{organisation}/{name}"),
        (_, Some(name)) => name.to_owned(),
        (_, None) => url.unwrap_or_default().to_owned(),
    };
    take(claims, &name, url, get("version"));
}
