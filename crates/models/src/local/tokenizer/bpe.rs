//! Byte-level byte-pair encoding, as GPT-2 and its descendants do it.

use std::collections::HashMap;

use fancy_regex::Regex;

use super::merge::{Symbol, merge};
use crate::local::gguf::{GgufError, Header, Value};

/// Byte-pair encoding over the byte alphabet of GPT-2.
pub struct Bpe {
    /// Splits text into words, each expression within the pieces of the one before.
    splits: Vec<Regex>,
    /// (left, right) → (rank, joined).
    merges: HashMap<(u32, u32), (u32, u32)>,
    byte_tokens: Vec<Option<u32>>,
    /// Whole words that are taken as they are, without merging (Llama 3).
    whole_words: HashMap<String, u32>,
    byte_of: HashMap<char, u8>,
    alphabet: Vec<char>,
}

const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const LLAMA3: &str = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The character that stands for a byte in a GPT-2 vocabulary: printable ones for themselves, the rest shifted.
fn alphabet() -> Vec<char> {
    let printable = |b: u8| (33..=126).contains(&b) || (161..=172).contains(&b) || b >= 174;
    let mut shifted = 256_u32..;
    (0..=255_u8)
        .map(|b| {
            if printable(b) { char::from(b) } else { shifted.next().and_then(char::from_u32).unwrap_or(' ') }
        })
        .collect()
}

impl Bpe {
    /// Reads the merges and the pre-tokenizer.
    pub fn read(header: &Header, ids: &HashMap<&str, u32>) -> Result<Self, GgufError> {
        let pre = header.string("tokenizer.ggml.pre").unwrap_or("gpt-2");
        let expressions: &[&str] = match pre {
            "gpt-2" | "gpt2" | "phi-2" | "mpt" | "olmo" | "jais" => &[GPT2],
            "smollm" | "starcoder" | "refact" | "command-r" | "codeshell" => &[r"\p{N}", GPT2],
            "llama-bpe" | "llama3" | "llama-v3" | "dbrx" | "smaug-bpe" => &[LLAMA3],
            "qwen2" | "deepseek-r1-qwen" | "stablelm2" => &[QWEN2],
            other => {
                return Err(GgufError::Corrupt(format!(
                    "pre-tokenizer {other:?} is not supported; supported: gpt-2, smollm, llama-bpe, qwen2"
                )));
            }
        };
        let splits = expressions
            .iter()
            .map(|expression| Regex::new(expression))
            .collect::<Result<_, _>>()
            .map_err(|error| GgufError::Corrupt(error.to_string()))?;
        let key = "tokenizer.ggml.merges";
        let listed = header.array(key).ok_or_else(|| GgufError::Metadata(key.to_owned()))?;
        let mut merges = HashMap::with_capacity(listed.len());
        for (value, rank) in listed.iter().zip(0_u32..) {
            let Value::String(text) = value else { return Err(GgufError::Metadata(key.to_owned())) };
            // The separator is the first space that is not the first character.
            let cut = text.char_indices().skip(1).find(|(_, c)| *c == ' ').map(|(at, _)| at);
            let Some((left, right)) = cut.and_then(|at| Some((text.get(..at)?, text.get(at + 1..)?))) else {
                return Err(GgufError::Corrupt(format!("merge {rank} is {text:?}")));
            };
            let joined = [left, right].concat();
            if let (Some(&a), Some(&b), Some(&c)) = (ids.get(left), ids.get(right), ids.get(joined.as_str()))
            {
                merges.entry((a, b)).or_insert((rank, c));
            }
        }
        let alphabet = alphabet();
        let byte_tokens = alphabet.iter().map(|c| ids.get(c.to_string().as_str()).copied()).collect();
        let whole_words = if expressions == [LLAMA3] {
            ids.iter().map(|(text, &id)| ((*text).to_owned(), id)).collect()
        } else {
            HashMap::new()
        };
        let byte_of = alphabet.iter().copied().zip(0..=255).collect();
        Ok(Self { splits, merges, byte_tokens, whole_words, byte_of, alphabet })
    }

    /// Appends the tokens of `text`.
    pub fn encode(&self, text: &str, out: &mut Vec<u32>) {
        let mut pieces = vec![text];
        for split in &self.splits {
            pieces = pieces.into_iter().flat_map(|piece| cut(piece, split)).collect();
        }
        for piece in pieces {
            self.word(piece, out);
        }
    }

    fn word(&self, word: &str, out: &mut Vec<u32>) {
        if !self.whole_words.is_empty() {
            let spelt: String = word.bytes().filter_map(|b| self.alphabet.get(usize::from(b))).collect();
            if let Some(&id) = self.whole_words.get(&spelt) {
                out.push(id);
                return;
            }
        }
        let symbols = word
            .bytes()
            .enumerate()
            .map(|(i, byte)| {
                Symbol::new(i, i + 1, self.byte_tokens.get(usize::from(byte)).copied().flatten())
            })
            .collect();
        let joined = merge(symbols, |left, right| self.merges.get(&(left.id?, right.id?)).copied());
        out.extend(joined.into_iter().filter_map(|symbol| symbol.id));
    }

    /// The bytes that a token's text stands for.
    pub fn bytes(&self, text: &str) -> Vec<u8> {
        text.chars().filter_map(|c| self.byte_of.get(&c)).copied().collect()
    }
}

/// Matches and what lies between them, in order.
fn cut<'t>(text: &'t str, split: &Regex) -> Vec<&'t str> {
    let mut pieces = Vec::new();
    let mut rest = 0;
    // A backtracking limit that is hit ends the search; the rest is one piece.
    for found in split.find_iter(text).map_while(Result::ok) {
        pieces.extend(text.get(rest..found.start()).filter(|gap| !gap.is_empty()));
        pieces.push(found.as_str());
        rest = found.end();
    }
    pieces.extend(text.get(rest..).filter(|gap| !gap.is_empty()));
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_is_a_bijection() {
        let alphabet = alphabet();
        let distinct: std::collections::HashSet<char> = alphabet.iter().copied().collect();
        assert_eq!((alphabet.len(), distinct.len()), (256, 256));
        assert_eq!((alphabet[32], alphabet[10], alphabet[65]), ('Ġ', 'Ċ', 'A'));
    }

    #[test]
    fn digits_apart_for_smollm() {
        let (digits, gpt2) = (Regex::new(r"\p{N}").unwrap(), Regex::new(GPT2).unwrap());
        let pieces: Vec<&str> =
            cut("in 1984, it's  x", &digits).into_iter().flat_map(|p| cut(p, &gpt2)).collect();
        assert_eq!(pieces, ["in", " ", "1", "9", "8", "4", ",", " it", "'s", " ", " x"]);
    }
}
