//! What metadata may say: text for people, not programs, and nothing that people cannot see.

use crate::examination::{Examination, escape};

use super::{HIDDEN_TEXT, METADATA_CODE, METADATA_LARGE, hidden};

/// Descriptions, thumbnails and training records reach a few megabytes.
const LARGE: usize = 8 << 20;

/// Words that only programs have. Training records and merge recipes, which are JSON, have none of them.
const CODE: [&str; 16] = [
    "os.system(",
    "subprocess.",
    "__import__(",
    "__globals__",
    "__subclasses__",
    "__reduce__",
    "builtins.exec",
    "pickle.loads(",
    "eval(base64",
    "exec(base64",
    "<script",
    "javascript:",
    "#!/bin/",
    "#!/usr/bin/",
    "powershell -",
    "curl -s",
];

/// Looks at a name (of a tensor or a key), `at` the byte where it was read.
pub(super) fn name(text: &str, at: u64, scan: &mut Examination<'_>) {
    if let Some((_, hidden)) = hidden::find(text) {
        scan.report(
            HIDDEN_TEXT,
            Some(at),
            format!("the name {:?} has {}", escape(text, 100), hidden.words()),
        );
    }
}

/// Looks at the text of the metadata entry `key`, `at` the byte where it was read.
pub(super) fn value(key: &str, text: &str, at: u64, scan: &mut Examination<'_>) {
    let key = escape(key, 100);
    if text.len() > LARGE {
        scan.report(METADATA_LARGE, Some(at), format!("{key} has {} bytes of text", text.len()));
    }
    if let Some((_, hidden)) = hidden::find(text) {
        scan.report(HIDDEN_TEXT, Some(at), format!("{key} has {}", hidden.words()));
    }
    // Pickles of protocol 4 and 5, and of 2 and 3, as base64 writes their beginning.
    let pickled =
        ["gASV", "gAWV", "gAJj", "gANj"].into_iter().find(|mark| text.trim_start().starts_with(mark));
    if let Some(word) = pickled.or_else(|| CODE.into_iter().find(|word| contains(text, word))) {
        scan.report(METADATA_CODE, Some(at), format!("{key} has {word:?} in it: {}", escape(text, 120)));
    }
}

/// Whether `text` has `word`, in whatever case, without a copy of `text`.
fn contains(text: &str, word: &str) -> bool {
    text.as_bytes().windows(word.len()).any(|window| window.eq_ignore_ascii_case(word.as_bytes()))
}
