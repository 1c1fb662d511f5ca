//! A model's weights, read from a GGUF file and packed for the kernels.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use ostrom_core::Digest;
use sha2::{Digest as _, Sha256};

use super::config::{Architecture, Config};
use super::gguf::{GgufError, Header, TensorInfo};
use super::matrix::Matrix;
use super::quant::Format;

/// One transformer layer.
pub struct Layer {
    /// Norm before attention.
    pub attention_norm: Vec<f32>,
    /// Queries, keys and values, stacked: the outputs of these matrices in order are q, k, v.
    pub qkv: Vec<Matrix>,
    /// Bias of q, k, v (Qwen 2).
    pub qkv_bias: Option<Vec<f32>>,
    /// Norms of each head's queries and keys (Gemma 3).
    pub head_norms: Option<[Vec<f32>; 2]>,
    /// From the heads back to the stream.
    pub output: Matrix,
    /// Norm after attention (Gemma 3).
    pub post_attention_norm: Option<Vec<f32>>,
    /// Norm before the feed-forward layer.
    pub feed_forward_norm: Vec<f32>,
    /// Gate and up, stacked in this order.
    pub gate_up: Vec<Matrix>,
    /// Down.
    pub down: Matrix,
    /// Norm after the feed-forward layer (Gemma 3).
    pub post_feed_forward_norm: Option<Vec<f32>>,
}

/// All weights.
pub struct Weights {
    /// The embedding as it lies in the file; rows are unpacked when they are needed.
    embedding: Embedding,
    /// Layers in order.
    pub layers: Vec<Layer>,
    /// Norm before the output.
    pub output_norm: Vec<f32>,
    /// From the stream to the vocabulary.
    pub head: Matrix,
    /// Divisors of the rotation frequencies (Llama 3.1), one per pair.
    pub rope_factors: Option<Vec<f32>>,
    /// Tokens in the vocabulary.
    pub vocabulary: usize,
}

struct Embedding {
    format: Format,
    bytes: Vec<u8>,
    row_bytes: usize,
}

impl Weights {
    /// The embedding of a token, `None` if there is no such token.
    pub fn embedding(&self, token: u32) -> Option<Vec<f32>> {
        let start = (token as usize).checked_mul(self.embedding.row_bytes)?;
        let row = self.embedding.bytes.get(start..start.checked_add(self.embedding.row_bytes)?)?;
        let format = self.embedding.format;
        Some(if format.is_float() {
            format.floats(row)
        } else {
            format.unpack(row).iter().flat_map(|block| block.numbers().collect::<Vec<_>>()).collect()
        })
    }
}

/// The digest and header of a GGUF file.
///
/// # Errors
/// If the file cannot be read or is not a sound GGUF file.
pub fn inspect(path: &Path) -> Result<(Digest, Header), GgufError> {
    let mut file = File::open(path)?;
    let header = Header::read(BufReader::new(&file), file.metadata()?.len())?;
    file.seek(SeekFrom::Start(0))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            n => hasher.update(buffer.get(..n).unwrap_or_default()),
        }
    }
    Ok((Digest::from_bytes(hasher.finalize().into()), header))
}

struct Loader<'a> {
    file: File,
    header: &'a Header,
}

impl Loader<'_> {
    fn find(&self, name: &str) -> Result<&TensorInfo, GgufError> {
        self.header.tensors.get(name).ok_or_else(|| GgufError::MissingTensor(name.to_owned()))
    }

    fn bytes(&mut self, name: &str) -> Result<(TensorInfo, Vec<u8>), GgufError> {
        let info = self.find(name)?.clone();
        // INVARIANT: the header has checked that the tensor lies inside the file, so this allocates no more
        // than the file's length.
        let mut bytes = Vec::new();
        self.file.seek(SeekFrom::Start(info.offset))?;
        (&self.file).take(info.length).read_to_end(&mut bytes)?;
        if bytes.len() as u64 != info.length {
            let left = bytes.len() as u64;
            return Err(GgufError::Truncated { what: "a tensor", needed: info.length, left });
        }
        Ok((info, bytes))
    }

    fn matrix(&mut self, name: &str, inputs: usize, outputs: usize) -> Result<Matrix, GgufError> {
        let (info, bytes) = self.bytes(name)?;
        if info.dimensions != [inputs as u64, outputs as u64] {
            let shape = info.dimensions;
            return Err(GgufError::Corrupt(format!(
                "tensor {name:?} is {shape:?}, expected [{inputs}, {outputs}]"
            )));
        }
        Matrix::pack(info.format, &bytes, inputs, outputs)
    }

    fn vector(&mut self, name: &str, length: usize) -> Result<Vec<f32>, GgufError> {
        let (info, bytes) = self.bytes(name)?;
        let numbers = info.format.floats(&bytes);
        if numbers.len() == length {
            Ok(numbers)
        } else {
            Err(GgufError::Corrupt(format!("tensor {name:?} is {:?} {:?}", info.format, info.dimensions)))
        }
    }

    fn layer(&mut self, config: &Config, index: usize) -> Result<Layer, GgufError> {
        let name = |part: &str| format!("blk.{index}.{part}");
        let (width, q, kv) = (config.width, config.query_width(), config.kv_width());
        let gemma = config.architecture == Architecture::Gemma3;
        let qkv = vec![
            self.matrix(&name("attn_q.weight"), width, q)?,
            self.matrix(&name("attn_k.weight"), width, kv)?,
            self.matrix(&name("attn_v.weight"), width, kv)?,
        ];
        let qkv_bias = if self.header.tensors.contains_key(&name("attn_q.bias")) {
            let mut bias = self.vector(&name("attn_q.bias"), q)?;
            bias.extend(self.vector(&name("attn_k.bias"), kv)?);
            bias.extend(self.vector(&name("attn_v.bias"), kv)?);
            Some(bias)
        } else {
            None
        };
        let head_norms = if gemma {
            Some([
                self.vector(&name("attn_q_norm.weight"), config.head_width)?,
                self.vector(&name("attn_k_norm.weight"), config.head_width)?,
            ])
        } else {
            None
        };
        let post_attention_norm =
            gemma.then(|| self.vector(&name("post_attention_norm.weight"), width)).transpose()?;
        let post_feed_forward_norm =
            gemma.then(|| self.vector(&name("post_ffw_norm.weight"), width)).transpose()?;
        let gate_up = vec![
            self.matrix(&name("ffn_gate.weight"), width, config.feed_forward)?,
            self.matrix(&name("ffn_up.weight"), width, config.feed_forward)?,
        ];
        Ok(Layer {
            attention_norm: self.vector(&name("attn_norm.weight"), width)?,
            qkv: Matrix::stack(qkv),
            qkv_bias,
            head_norms,
            output: self.matrix(&name("attn_output.weight"), q, width)?,
            post_attention_norm,
            feed_forward_norm: self.vector(&name("ffn_norm.weight"), width)?,
            gate_up: Matrix::stack(gate_up),
            down: self.matrix(&name("ffn_down.weight"), config.feed_forward, width)?,
            post_feed_forward_norm,
        })
    }
}

/// Reads all weights.
///
/// # Errors
/// If a tensor is missing or has another shape than the metadata say.
pub fn load(path: &Path, header: &Header, config: &Config) -> Result<Weights, GgufError> {
    let mut loader = Loader { file: File::open(path)?, header };
    let (info, bytes) = loader.bytes("token_embd.weight")?;
    let vocabulary = match info.dimensions.as_slice() {
        &[width, tokens] if width == config.width as u64 && (1..=1 << 22).contains(&tokens) => {
            usize::try_from(tokens).unwrap_or(usize::MAX)
        }
        other => return Err(GgufError::Corrupt(format!("the embedding has the shape {other:?}"))),
    };
    let head = if header.tensors.contains_key("output.weight") {
        loader.matrix("output.weight", config.width, vocabulary)?
    } else {
        Matrix::pack(info.format, &bytes, config.width, vocabulary)?
    };
    let layers = (0..config.layers).map(|i| loader.layer(config, i)).collect::<Result<_, _>>()?;
    let rope_factors = if header.tensors.contains_key("rope_freqs.weight") {
        Some(loader.vector("rope_freqs.weight", config.rope_width / 2)?)
    } else {
        None
    };
    Ok(Weights {
        embedding: Embedding { format: info.format, row_bytes: bytes.len() / vocabulary, bytes },
        layers,
        output_norm: loader.vector("output_norm.weight", config.width)?,
        head,
        rope_factors,
        vocabulary,
    })
}
