//! From text to tokens and back, with the vocabulary and the rules that the GGUF file names.
//!
//! Checked against llama.cpp token by token: see `docs/models.md`.

mod bpe;
mod merge;
mod spm;

use std::collections::HashMap;

use aho_corasick::{AhoCorasick, MatchKind};

use super::gguf::{GgufError, Header, Value};

/// ggml's kinds of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

/// A tokenizer.
pub struct Tokenizer {
    tokens: Vec<(String, Kind)>,
    special: AhoCorasick,
    special_ids: Vec<u32>,
    scheme: Scheme,
    bos: Option<u32>,
    eos: Option<u32>,
    add_bos: bool,
    stops: Vec<u32>,
}

enum Scheme {
    Bpe(bpe::Bpe),
    Spm(spm::Spm),
}

/// Texts of tokens that end a turn, whatever the file's `eos` says: chat models often name only one of theirs.
const STOP_TEXTS: [&str; 9] = [
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<eos>",
    "</s>",
];

impl Tokenizer {
    /// Reads the vocabulary and the rules.
    ///
    /// # Errors
    /// If an entry is missing or the file names a scheme that is not known.
    pub fn read(header: &Header) -> Result<Self, GgufError> {
        let tokens = read_tokens(header)?;
        let ids: HashMap<&str, u32> =
            tokens.iter().zip(0_u32..).map(|((text, _), id)| (text.as_str(), id)).collect();
        let scheme = match header.string("tokenizer.ggml.model") {
            Some("gpt2") => Scheme::Bpe(bpe::Bpe::read(header, &ids)?),
            Some("llama") => Scheme::Spm(spm::Spm::read(header, &tokens)?),
            other => {
                let message = format!("tokenizer model {other:?} is not supported; supported: gpt2, llama");
                return Err(GgufError::Corrupt(message));
            }
        };
        let (special_texts, special_ids): (Vec<&str>, Vec<u32>) = tokens
            .iter()
            .zip(0_u32..)
            .filter(|((text, kind), _)| matches!(kind, Kind::Control | Kind::UserDefined) && !text.is_empty())
            .map(|((text, _), id)| (text.as_str(), id))
            .unzip();
        let special = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(&special_texts)
            .map_err(|error| GgufError::Corrupt(format!("special tokens: {error}")))?;
        let id = |key: &str| {
            let id = header.unsigned(&format!("tokenizer.ggml.{key}"))?;
            u32::try_from(id).ok().filter(|&id| (id as usize) < tokens.len())
        };
        let (bos, eos) = (id("bos_token_id"), id("eos_token_id"));
        let mut stops: Vec<u32> =
            [eos, id("eot_token_id"), id("eom_token_id")].into_iter().flatten().collect();
        stops.extend(STOP_TEXTS.iter().filter_map(|text| ids.get(text)).copied().filter(|&id| {
            tokens.get(id as usize).is_some_and(|(_, kind)| matches!(kind, Kind::Control | Kind::UserDefined))
        }));
        stops.sort_unstable();
        stops.dedup();
        let spm = matches!(scheme, Scheme::Spm(_));
        let add_bos = header.bool("tokenizer.ggml.add_bos_token").unwrap_or(spm);
        Ok(Self { special, special_ids, scheme, bos, eos, add_bos, stops, tokens })
    }

    /// The tokens of `text`. Texts of special tokens become those tokens, also in the middle of what a user wrote:
    /// that is what servers do with a rendered chat template, and what template-mimicking attacks live on.
    /// With `start`, the beginning-of-sequence token comes first if the file asks for it.
    pub fn encode(&self, text: &str, start: bool) -> Vec<u32> {
        let mut out = Vec::new();
        if start && self.add_bos {
            out.extend(self.bos);
        }
        let mut rest = 0;
        let mut after_special = true;
        for found in self.special.find_iter(text) {
            self.encode_plain(text.get(rest..found.start()).unwrap_or_default(), after_special, &mut out);
            let id = self.special_ids.get(found.pattern().as_usize()).copied();
            // A template that writes the BOS itself does not get a second one.
            let repeated = start && self.add_bos && found.start() == 0 && id == self.bos;
            out.extend(id.filter(|_| !repeated));
            rest = found.end();
            after_special = true;
        }
        if rest > 0 && rest == text.len() {
            after_special = false;
        }
        self.encode_plain(text.get(rest..).unwrap_or_default(), after_special, &mut out);
        out
    }

    fn encode_plain(&self, text: &str, after_special: bool, out: &mut Vec<u32>) {
        if text.is_empty() {
            return;
        }
        match &self.scheme {
            Scheme::Bpe(bpe) => bpe.encode(text, out),
            Scheme::Spm(spm) => spm.encode(text, after_special, out),
        }
    }

    /// The bytes of one token; nothing for control tokens.
    pub fn bytes(&self, token: u32) -> Vec<u8> {
        match self.tokens.get(token as usize) {
            None | Some((_, Kind::Control | Kind::Unknown | Kind::Unused)) => Vec::new(),
            Some((text, Kind::UserDefined)) => text.replace(spm::SPACE, " ").into_bytes(),
            Some((text, kind)) => match &self.scheme {
                Scheme::Bpe(bpe) => bpe.bytes(text),
                Scheme::Spm(_) => spm::bytes(text, *kind == Kind::Byte),
            },
        }
    }

    /// The text of tokens; invalid UTF-8 becomes replacement characters.
    pub fn decode(&self, tokens: &[u32]) -> String {
        let bytes: Vec<u8> = tokens.iter().flat_map(|&token| self.bytes(token)).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The text of a token as the vocabulary writes it, control tokens included.
    pub fn raw(&self, token: u32) -> Option<&str> {
        self.tokens.get(token as usize).map(|(text, _)| text.as_str())
    }

    /// The beginning-of-sequence token.
    pub fn bos(&self) -> Option<u32> {
        self.bos
    }

    /// The end-of-sequence token.
    pub fn eos(&self) -> Option<u32> {
        self.eos
    }

    /// Whether this token ends the model's turn.
    pub fn is_stop(&self, token: u32) -> bool {
        self.stops.binary_search(&token).is_ok()
    }

    /// Tokens in the vocabulary.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether the vocabulary is empty. It never is.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }
}

fn read_tokens(header: &Header) -> Result<Vec<(String, Kind)>, GgufError> {
    let key = "tokenizer.ggml.tokens";
    let texts =
        header.array(key).filter(|a| !a.is_empty()).ok_or_else(|| GgufError::Metadata(key.to_owned()))?;
    let kinds = header.array("tokenizer.ggml.token_type");
    texts
        .iter()
        .enumerate()
        .map(|(i, text)| {
            let Value::String(text) = text else { return Err(GgufError::Metadata(key.to_owned())) };
            let kind = match kinds.and_then(|kinds| kinds.get(i)) {
                Some(Value::Signed(2) | Value::Unsigned(2)) => Kind::Unknown,
                Some(Value::Signed(3) | Value::Unsigned(3)) => Kind::Control,
                Some(Value::Signed(4) | Value::Unsigned(4)) => Kind::UserDefined,
                Some(Value::Signed(5) | Value::Unsigned(5)) => Kind::Unused,
                Some(Value::Signed(6) | Value::Unsigned(6)) => Kind::Byte,
                _ => Kind::Normal,
            };
            Ok((text.clone(), kind))
        })
        .collect()
}
