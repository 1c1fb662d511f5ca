//! The tensors of a model, wherever they lie: safetensors and GGUF files, one or several.

mod gguf;
mod names;
mod numbers;
mod safetensors;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::compare::CompareError;
use crate::source::{OpenFile, View};

pub(super) use gguf::{Metadata, read_metadata};
pub(super) use numbers::{Coding, Number};
pub(super) use safetensors::metadata as safetensors_metadata;

/// The most files that one model is spread over.
const MAX_PARTS: usize = 1000;
const MAX_CONFIG: usize = 1 << 20;

/// One tensor of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tensor {
    /// Which of the files it lies in.
    pub(super) part: usize,
    /// First byte in that file.
    pub(super) offset: u64,
    /// How its numbers are written.
    pub(super) coding: Coding,
    /// Extents, slowest-running first: for a matrix, outputs then inputs.
    pub(super) shape: Vec<u64>,
}

impl Tensor {
    /// Numbers in a row: the fastest-running extent.
    pub(super) fn columns(&self) -> u64 {
        self.shape.last().copied().unwrap_or(1)
    }

    /// All other extents multiplied.
    pub(super) fn rows(&self) -> u64 {
        // INVARIANT: the readers have checked that the product of all extents fits.
        self.shape.split_last().map_or(1, |(_, rest)| rest.iter().copied().fold(1, u64::saturating_mul))
    }

    /// Whether it has more than one extent above 1.
    pub(super) fn is_matrix(&self) -> bool {
        self.shape.iter().filter(|extent| **extent > 1).count() > 1
    }
}

/// How attention is cut into heads, as far as the files say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Heads {
    pub(super) query: Option<u64>,
    pub(super) key: Option<u64>,
}

/// A model's tensors, ready to be read. Holds names and places, no numbers.
#[derive(Clone)]
pub struct Weights {
    pub(super) views: Vec<View>,
    /// By the name that llama.cpp gives to such a tensor, where there is one.
    pub(super) tensors: BTreeMap<String, Tensor>,
    pub(super) heads: Heads,
    /// Whether rows of q and k lie in llama.cpp's order, and Gemma's norms have one added.
    pub(super) is_gguf: bool,
}

impl std::fmt::Debug for Weights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Weights({} tensors in {} files)", self.tensors.len(), self.views.len())
    }
}

/// What one file holds.
pub(super) struct Part {
    pub(super) tensors: Vec<(String, u64, Coding, Vec<u64>)>,
    pub(super) heads: Heads,
    pub(super) is_gguf: bool,
}

#[derive(Deserialize)]
struct Config {
    num_attention_heads: Option<u64>,
    num_key_value_heads: Option<u64>,
    text_config: Option<Box<Config>>,
}

impl Weights {
    /// Opens a `.safetensors` or `.gguf` file, or a folder with the parts of one model. Reads headers only.
    ///
    /// # Errors
    /// If there is no such file, a header is broken, or the folder holds several models.
    pub fn open(path: &Path) -> Result<Self, CompareError> {
        let fail = |source| CompareError::Io { path: path.to_owned(), source };
        let folder = std::fs::metadata(path).map_err(fail)?.is_dir();
        let files = if folder { parts(path)? } else { vec![path.to_owned()] };
        let mut weights =
            Self { views: Vec::new(), tensors: BTreeMap::new(), heads: Heads::default(), is_gguf: false };
        let mut listed = Vec::new();
        for file in files {
            let view = open(&file)?;
            let unfit = |what: String| CompareError::Unfit { path: file.clone(), what };
            let part = if view.bytes(0, 4).is_ok_and(|magic| magic == *b"GGUF") {
                gguf::read(&view)
            } else {
                safetensors::read(&view)
            };
            let part = part.map_err(|trouble| unfit(trouble.to_string()))?;
            if !weights.views.is_empty() && weights.is_gguf != part.is_gguf {
                return Err(unfit("the folder mixes GGUF and safetensors: name one of the files".to_owned()));
            }
            weights.is_gguf = part.is_gguf;
            weights.heads = Heads {
                query: weights.heads.query.or(part.heads.query),
                key: weights.heads.key.or(part.heads.key),
            };
            let index = weights.views.len();
            weights.views.push(view);
            listed.extend(part.tensors.into_iter().map(|(name, offset, coding, shape)| {
                (file.clone(), name, Tensor { part: index, offset, coding, shape })
            }));
        }
        let sandwich = listed.iter().any(|(_, name, _)| name.contains("pre_feedforward_layernorm"));
        for (file, name, tensor) in listed {
            let name = names::canonical(&name, sandwich);
            if weights.tensors.contains_key(&name) {
                let what = format!(
                    "tensor {} occurs twice: if the folder holds several models, name one of the files",
                    crate::examination::escape(&name, 200)
                );
                return Err(CompareError::Unfit { path: file, what });
            }
            weights.tensors.insert(name, tensor);
        }
        if !weights.is_gguf {
            let config = if folder { path.join("config.json") } else { path.with_file_name("config.json") };
            weights.heads = config_heads(&config);
        }
        Ok(weights)
    }

    /// One layer as a model of its own, under the names of the first layer. Empty if there is no such layer. Comparing layers
    /// shows how alike weights are that have only their architecture in common.
    pub fn layer(&self, index: u32) -> Self {
        let prefix = format!("blk.{index}.");
        let tensors = self.tensors.iter().filter_map(|(name, tensor)| {
            Some((format!("blk.0.{}", name.strip_prefix(&prefix)?), tensor.clone()))
        });
        Self { tensors: tensors.collect(), ..self.clone() }
    }

    /// How many tensors there are.
    pub fn len(&self) -> usize {
        self.tensors.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }
}

/// Opens a regular file.
pub(super) fn open(path: &Path) -> Result<View, CompareError> {
    let fail = |source| CompareError::Io { path: path.to_owned(), source };
    if !std::fs::metadata(path).map_err(fail)?.is_file() {
        return Err(CompareError::Unfit { path: path.to_owned(), what: "not a regular file".to_owned() });
    }
    Ok(View::new(File::open(path).and_then(OpenFile::new).map_err(fail)?))
}

/// The weight files at the top of a folder. `model*.safetensors` are preferred: repositories often hold the same weights
/// again under another name.
fn parts(folder: &Path) -> Result<Vec<PathBuf>, CompareError> {
    let fail = |source| CompareError::Io { path: folder.to_owned(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        let is_weights = path
            .extension()
            .is_some_and(|end| end.eq_ignore_ascii_case("safetensors") || end.eq_ignore_ascii_case("gguf"));
        if is_weights {
            found.push(path);
        }
    }
    let is_usual = |path: &PathBuf| {
        path.file_name().is_some_and(|name| {
            let name = name.to_string_lossy();
            name.starts_with("model") && name.ends_with(".safetensors")
        })
    };
    if found.iter().any(is_usual) {
        found.retain(is_usual);
    }
    found.sort();
    let unfit = |what: &str| CompareError::Unfit { path: folder.to_owned(), what: what.to_owned() };
    match found.len() {
        0 => Err(unfit("it holds no .safetensors and no .gguf file")),
        n if n > MAX_PARTS => Err(unfit("it holds more than 1,000 weight files")),
        _ => Ok(found),
    }
}

/// The heads that a Hugging Face `config.json` beside the weights names.
fn config_heads(path: &Path) -> Heads {
    let read = || {
        let bytes = open(path).ok()?.bytes(0, MAX_CONFIG).ok()?;
        serde_json::from_slice::<Config>(&bytes).ok()
    };
    let Some(config) = read() else { return Heads::default() };
    let config = match config.text_config {
        Some(inner) if config.num_attention_heads.is_none() => *inner,
        _ => config,
    };
    Heads {
        query: config.num_attention_heads,
        key: config.num_key_value_heads.or(config.num_attention_heads),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::lineage) use super::gguf::tests::{Value as GgufValue, file as gguf_file};
    pub(in crate::lineage) use super::safetensors::tests::typed as safetensors_file;

    /// A GGUF file with metadata only.
    pub(in crate::lineage) fn gguf(metadata: &[(&str, GgufValue<'_>)]) -> Vec<u8> {
        gguf_file(metadata, &[])
    }

    /// A safetensors file of F32 tensors.
    pub(in crate::lineage) fn safetensors(
        tensors: &[(&str, &[u64], &[f32])],
        metadata: &[(&str, &str)],
    ) -> Vec<u8> {
        super::safetensors::tests::file(tensors, metadata)
    }

    #[test]
    fn a_folder_of_parts_is_one_model() {
        let place = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: Vec<u8>| std::fs::write(place.path().join(name), bytes).unwrap();
        write(
            "model-00001-of-00002.safetensors",
            safetensors(&[("model.norm.weight", &[2], &[1.0, 2.0])], &[]),
        );
        write(
            "model-00002-of-00002.safetensors",
            safetensors(&[("lm_head.weight", &[2, 1], &[1.0, 2.0])], &[]),
        );
        write("consolidated.safetensors", safetensors(&[("norm.weight", &[2], &[1.0, 2.0])], &[]));
        write("config.json", br#"{"text_config":{"num_attention_heads":8}}"#.to_vec());
        let weights = Weights::open(place.path()).unwrap();
        assert_eq!(weights.tensors.keys().collect::<Vec<_>>(), ["output.weight", "output_norm.weight"]);
        assert_eq!(weights.heads, Heads { query: Some(8), key: Some(8) });
        write("model.gguf", gguf(&[]));
        assert!(Weights::open(place.path()).is_ok(), "GGUF beside the usual parts is another copy");
    }

    #[test]
    fn several_models_in_a_folder_must_be_told_apart() {
        let place = tempfile::tempdir().unwrap();
        let tensor = || vec![("a".to_owned(), vec![1], 0, vec![0; 4])];
        for name in ["x.Q4.gguf", "x.Q8.gguf"] {
            std::fs::write(place.path().join(name), gguf_file(&[], &tensor())).unwrap();
        }
        let error = Weights::open(place.path()).unwrap_err().to_string();
        assert!(error.contains("name one of the files"), "{error}");
        assert_eq!(Weights::open(&place.path().join("x.Q4.gguf")).unwrap().len(), 1);
        std::fs::write(place.path().join("notes.gguf"), "hello").unwrap();
        assert!(Weights::open(&place.path().join("notes.gguf")).is_err());
    }
}
