//! Tokenizers of SentencePiece.
#![no_main]

ostrom_fuzz::target!("tokenizer.model", ["sentencepiece"]);
