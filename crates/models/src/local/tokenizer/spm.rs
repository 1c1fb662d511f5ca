//! SentencePiece's greedy merging by score, with byte fallback, as llama.cpp does it for Llama 2 and Gemma.

use std::collections::HashMap;

use super::Kind;
use super::merge::{Symbol, merge};
use crate::local::gguf::{GgufError, Header, Value};

/// What stands for a space in the vocabulary.
pub const SPACE: &str = "\u{2581}";

/// SentencePiece.
pub struct Spm {
    /// Text → (order, token); pieces of a better score have a smaller order.
    pieces: HashMap<String, (i32, u32)>,
    byte_tokens: Vec<Option<u32>>,
    unknown: Option<u32>,
    space_prefix: bool,
}

/// Maps a score to an integer that sorts best first.
fn order(score: f32) -> i32 {
    let bits = (-score).to_bits().cast_signed();
    bits ^ ((bits >> 31).cast_unsigned() >> 1).cast_signed()
}

impl Spm {
    /// Reads the scores.
    pub fn read(header: &Header, tokens: &[(String, Kind)]) -> Result<Self, GgufError> {
        let key = "tokenizer.ggml.scores";
        let scores = header.array(key).ok_or_else(|| GgufError::Metadata(key.to_owned()))?;
        let mut pieces = HashMap::with_capacity(tokens.len());
        let mut byte_tokens = vec![None; 256];
        for (((text, kind), id), score) in tokens.iter().zip(0_u32..).zip(scores) {
            match (kind, score) {
                (Kind::Normal | Kind::UserDefined, Value::Float(score)) => {
                    #[expect(
                        clippy::cast_possible_truncation,
                        reason = "scores are 32-bit floats in the file"
                    )]
                    pieces.entry(text.clone()).or_insert((order(*score as f32), id));
                }
                (Kind::Byte, _) => {
                    let byte = text.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
                    let byte = byte.and_then(|hex| usize::from_str_radix(hex, 16).ok());
                    if let Some(place) = byte.and_then(|byte| byte_tokens.get_mut(byte)) {
                        *place = Some(id);
                    }
                }
                _ => {}
            }
        }
        let unknown =
            header.unsigned("tokenizer.ggml.unknown_token_id").and_then(|id| u32::try_from(id).ok());
        let space_prefix = header.bool("tokenizer.ggml.add_space_prefix").unwrap_or(true);
        Ok(Self { pieces, byte_tokens, unknown, space_prefix })
    }

    /// Appends the tokens of `text`.
    pub fn encode(&self, text: &str, after_special: bool, out: &mut Vec<u32>) {
        let prefix = if self.space_prefix && after_special { " " } else { "" };
        let text = [prefix, text].concat().replace(' ', SPACE);
        let lookup =
            |start: usize, end: usize| text.get(start..end).and_then(|piece| self.pieces.get(piece)).copied();
        let symbols = text
            .char_indices()
            .map(|(at, c)| {
                Symbol::new(at, at + c.len_utf8(), lookup(at, at + c.len_utf8()).map(|(_, id)| id))
            })
            .collect();
        for symbol in merge(symbols, |left, right| lookup(left.start, right.end)) {
            if let Some(id) = symbol.id {
                out.push(id);
                continue;
            }
            for byte in text.get(symbol.start..symbol.end).unwrap_or_default().bytes() {
                out.extend(self.byte_tokens.get(usize::from(byte)).copied().flatten().or(self.unknown));
            }
        }
    }
}

/// The bytes that a token's text stands for.
pub fn bytes(text: &str, is_byte: bool) -> Vec<u8> {
    if is_byte {
        let hex = text.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
        return hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()).into_iter().collect();
    }
    text.replace(SPACE, " ").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn better_scores_come_first() {
        assert!(order(0.0) < order(-1.0) && order(3.0) < order(-0.5) && order(-7.0) < order(-7.5));
    }
}
