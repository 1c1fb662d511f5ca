//! The shape of a model, read from its GGUF metadata.

use super::gguf::{GgufError, Header};

/// The families of transformers that the forward pass knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// Llama 2 and 3, Mistral, SmolLM.
    Llama,
    /// Qwen 2 and 2.5.
    Qwen2,
    /// Gemma 3, text only.
    Gemma3,
}

/// The shape of a model.
#[derive(Debug, Clone)]
pub struct Config {
    /// The family.
    pub architecture: Architecture,
    /// Number of layers.
    pub layers: usize,
    /// Width of the residual stream.
    pub width: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; each serves `heads / kv_heads` query heads.
    pub kv_heads: usize,
    /// Numbers per head.
    pub head_width: usize,
    /// Width of the feed-forward layer.
    pub feed_forward: usize,
    /// Longest context that the model was made for, in tokens.
    pub context: usize,
    /// Epsilon of the norms.
    pub epsilon: f32,
    /// Numbers of each head that are rotated.
    pub rope_width: usize,
    /// Base of the rotation frequencies.
    pub rope_base: f64,
    /// Positions are divided by this (linear scaling).
    pub rope_scale: f64,
    /// Base of the rotation frequencies in sliding-window layers.
    pub local_rope_base: f64,
    /// Positions seen by sliding-window layers.
    pub window: Option<usize>,
}

/// Bounds that keep every product of sizes far from overflow and every allocation honest.
const MAX_WIDTH: u64 = 65_536;
const MAX_LAYERS: u64 = 1_024;

impl Config {
    /// Reads the shape.
    ///
    /// # Errors
    /// If an entry is missing, or the numbers do not fit together.
    pub fn read(header: &Header) -> Result<Self, GgufError> {
        let name = header
            .string("general.architecture")
            .ok_or_else(|| GgufError::Metadata("general.architecture".to_owned()))?;
        let architecture = match name {
            "llama" => Architecture::Llama,
            "qwen2" => Architecture::Qwen2,
            "gemma3" => Architecture::Gemma3,
            other => {
                return Err(GgufError::Corrupt(format!(
                    "architecture {other:?} is not supported; supported: llama, qwen2, gemma3"
                )));
            }
        };
        let size = |key: &str, largest: u64| {
            let key = format!("{name}.{key}");
            match header.unsigned(&key) {
                #[expect(clippy::cast_possible_truncation, reason = "bounded by `largest`")]
                Some(n) if (1..=largest).contains(&n) => Ok(n as usize),
                _ => Err(GgufError::Metadata(key)),
            }
        };
        let width = size("embedding_length", MAX_WIDTH)?;
        let heads = size("attention.head_count", MAX_WIDTH)?;
        let kv_heads = size("attention.head_count_kv", MAX_WIDTH).unwrap_or(heads);
        let head_width = size("attention.key_length", MAX_WIDTH).unwrap_or(width / heads);
        let rope_width = size("rope.dimension_count", MAX_WIDTH).unwrap_or(head_width);
        let value_width = size("attention.value_length", MAX_WIDTH).unwrap_or(head_width);
        if value_width != head_width
            || !heads.is_multiple_of(kv_heads)
            || rope_width > head_width
            || !rope_width.is_multiple_of(2)
            || !head_width.is_multiple_of(16)
        {
            return Err(GgufError::Corrupt(format!(
                "{heads} query heads, {kv_heads} key heads, widths {head_width}, {value_width}, {rope_width}"
            )));
        }
        if header.unsigned(&format!("{name}.expert_count")).is_some_and(|n| n > 0) {
            return Err(GgufError::Corrupt("mixtures of experts are not supported".to_owned()));
        }
        let float = |key: &str| header.float(&format!("{name}.{key}"));
        let rope_scale = match header.string(&format!("{name}.rope.scaling.type")) {
            None | Some("none") => 1.0,
            Some("linear") => float("rope.scaling.factor").filter(|f| *f >= 1.0).unwrap_or(1.0),
            Some(other) => {
                return Err(GgufError::Corrupt(format!("rope scaling {other:?} is not supported")));
            }
        };
        #[expect(clippy::cast_possible_truncation, reason = "an epsilon was a 32-bit float in the file")]
        let epsilon = float("attention.layer_norm_rms_epsilon").unwrap_or(1e-5) as f32;
        let gemma = architecture == Architecture::Gemma3;
        Ok(Self {
            architecture,
            layers: size("block_count", MAX_LAYERS)?,
            width,
            heads,
            kv_heads,
            head_width,
            feed_forward: size("feed_forward_length", 16 * MAX_WIDTH)?,
            context: size("context_length", 1 << 24)?,
            epsilon,
            rope_width,
            rope_base: float("rope.freq_base").unwrap_or(10_000.0),
            rope_scale,
            local_rope_base: 10_000.0,
            window: if gemma { size("attention.sliding_window", 1 << 24).ok() } else { None },
        })
    }

    /// Whether this layer sees only the last [`Config::window`] positions. Gemma 3: five of six do.
    pub fn is_local(&self, layer: usize) -> bool {
        self.window.is_some() && !(layer + 1).is_multiple_of(6)
    }

    /// Width of all query heads together.
    pub fn query_width(&self) -> usize {
        self.heads * self.head_width
    }

    /// Width of all key (or value) heads together.
    pub fn kv_width(&self) -> usize {
        self.kv_heads * self.head_width
    }
}
