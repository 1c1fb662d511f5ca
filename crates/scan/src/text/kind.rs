//! Which kind of text a file is: by its first bytes, and by the name under which loaders look for it.

use super::base_name;
use crate::detect::{MODEL_EXTENSIONS, Match, Probe};
use crate::trouble::Trouble;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Native,
    Python,
    TorchScript,
    Notebook,
    Json,
    Tokenizer,
    SentencePiece,
    Vocabulary,
    Yaml,
    Triton,
    Card,
    Html,
    Shell,
    Requirements,
    Template,
    PathFile,
    Code,
    Text,
    Data,
    Pointer,
}

impl Kind {
    /// Whether readers of YAML may be given such a file by its path, and would take it.
    pub(super) fn is_loose(self) -> bool {
        matches!(
            self,
            Self::Vocabulary
                | Self::Card
                | Self::Html
                | Self::Shell
                | Self::Requirements
                | Self::Template
                | Self::Code
                | Self::Text
                | Self::Data
        )
    }
}

/// Whether only models have this extension: text under one of these is not taken for just a text. In folders of Python
/// packages a `.pth` is a text that Python reads.
fn is_model(extension: &str) -> bool {
    extension != "pth" && MODEL_EXTENSIONS.contains(&extension)
}

/// Lists of tokens, full of characters that are odd anywhere else.
const VOCABULARIES: [&str; 9] = [
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "dict.txt",
    "spiece.vocab",
    "tokenizer.vocab",
    "sentencepiece.bpe.vocab",
    "vocab.bpe",
    "vocabulary.txt",
];

pub(super) fn kind(probe: &Probe<'_>) -> Result<Option<(Kind, Match)>, Trouble> {
    let name = base_name(probe.name);
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    if let Some(sure) = super::native::mark(probe, extension)? {
        return Ok(Some((Kind::Native, sure)));
    }
    if probe.view.len() == 0 {
        return Ok(None);
    }
    let text = is_text(probe.head);
    Ok(by_name(probe, &name, extension, text)
        .or_else(|| by_content(probe, extension, text))
        .map(|kind| (kind, Match::Weak)))
}

/// What a loader takes a file of this name for, whatever is in it: a control character at the beginning makes no text
/// harmless. Only where other formats share the name does the content have a say.
fn by_name(probe: &Probe<'_>, name: &str, extension: &str, text: bool) -> Option<Kind> {
    if probe.head.starts_with(b"version https://git-lfs.github.com/spec/") {
        return Some(Kind::Pointer);
    }
    if matches!(extension, "py" | "pyw" | "pyi") {
        let folders = probe.name.replace('\\', "/");
        let packed = folders.starts_with("code/") || folders.contains("/code/");
        return Some(if packed && is_torchscript(probe) { Kind::TorchScript } else { Kind::Python });
    }
    if VOCABULARIES.contains(&name) {
        return Some(Kind::Vocabulary);
    }
    Some(match extension {
        "json" if name == "tokenizer.json" => Kind::Tokenizer,
        "json" => Kind::Json,
        "ipynb" => Kind::Notebook,
        "jsonl" | "ndjson" | "csv" | "tsv" => Kind::Data,
        "tiktoken" | "bpe" | "vocab" => Kind::Vocabulary,
        "yaml" | "yml" => Kind::Yaml,
        "md" | "markdown" | "mdx" | "rst" => Kind::Card,
        "html" | "htm" | "xhtml" | "svg" => Kind::Html,
        "sh" | "bash" | "zsh" | "ksh" | "csh" | "fish" | "bat" | "cmd" | "ps1" | "psm1" | "command"
        | "vbs" | "wsf" => Kind::Shell,
        "jinja" | "jinja2" | "j2" => Kind::Template,
        "pth" if text => Kind::PathFile,
        "js" | "mjs" | "cjs" | "ts" | "tsx" | "jsx" | "rb" | "pl" | "php" | "lua" | "java" | "go" | "rs"
        | "c" | "cc" | "cpp" | "cu" | "cuh" | "h" | "hpp" | "swift" | "kt" | "cs" | "m" | "mm" | "jl"
        | "r" | "cl" | "metal" | "toml" | "cfg" | "ini"
            if text =>
        {
            Kind::Code
        }
        "txt" | "in" if name.contains("requirements") || name.starts_with("constraints") => {
            Kind::Requirements
        }
        _ if name == "mlmodel" => Kind::Yaml,
        "pbtxt" if name == "config.pbtxt" => Kind::Triton,
        "" if name == "dockerfile" || name == "makefile" => Kind::Code,
        "" if name.starts_with("readme") => Kind::Card,
        _ => return None,
    })
}

fn by_content(probe: &Probe<'_>, extension: &str, text: bool) -> Option<Kind> {
    let model = is_model(extension);
    if !text {
        return (model || extension == "spm")
            .then(|| is_sentencepiece(probe))
            .filter(|is| *is)
            .map(|_| Kind::SentencePiece);
    }
    let head = probe.head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(probe.head);
    if let Some(line) = head.strip_prefix(b"#!").and_then(|rest| rest.split(|byte| *byte == b'\n').next()) {
        let line = String::from_utf8_lossy(line);
        if line.contains("python") {
            return Some(Kind::Python);
        }
        if line.contains("sh") {
            return Some(Kind::Shell);
        }
        return Some(Kind::Code);
    }
    let first = head.trim_ascii_start();
    let json = |open: u8, next: &[u8]| {
        first.first() == Some(&open)
            && first
                .get(1..)
                .is_some_and(|rest| rest.trim_ascii_start().first().is_some_and(|byte| next.contains(byte)))
    };
    if json(b'{', b"\"}") || (json(b'[', b"{[\"]-0123456789") && extension != "txt") {
        return Some(Kind::Json);
    }
    if is_ranks(first) {
        return Some(Kind::Vocabulary);
    }
    (!model).then_some(Kind::Text)
}

/// Whether the beginning of a file is text: UTF-8 or a single-byte encoding with hardly any control characters, or UTF-16
/// with its mark.
fn is_text(head: &[u8]) -> bool {
    if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
        return head.len() > 2;
    }
    if controls(head) * CONTROLS > head.len() {
        return false;
    }
    match std::str::from_utf8(head) {
        Ok(_) => true,
        // The last character may be cut in two.
        Err(error) if error.error_len().is_none() && error.valid_up_to() + 4 > head.len() => true,
        Err(_) => head.iter().filter(|byte| !byte.is_ascii()).count() * 4 < head.len(),
    }
}

/// In text there are so many bytes for each control character, at least.
pub(super) const CONTROLS: usize = 64;

/// How many bytes are control characters that texts hardly have.
pub(super) fn controls(bytes: &[u8]) -> usize {
    let odd = |byte: &&u8| {
        byte.is_ascii_control()
            && !matches!(byte, b'\t' | b'\n' | b'\r' | b'\x0c' | b'\x08' | b'\x1b' | b'\x7f')
    };
    bytes.iter().filter(odd).count()
}

/// Lines of a token in Base64 and its rank, as tiktoken has them.
fn is_ranks(head: &[u8]) -> bool {
    let mut lines = head.split(|byte| *byte == b'\n').take(4).filter(|line| !line.is_empty());
    let rank = |line: &[u8]| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Some(at) = line.iter().position(|byte| *byte == b' ') else { return false };
        let (token, rank) = line.split_at_checked(at).unwrap_or_default();
        !token.is_empty()
            && token.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(byte))
            && rank.len() > 1
            && rank.iter().skip(1).all(u8::is_ascii_digit)
    };
    lines.next().is_some_and(rank) && lines.next().is_some_and(rank)
}

/// The first message of a SentencePiece model is a piece: its text, its score.
fn is_sentencepiece(probe: &Probe<'_>) -> bool {
    match probe.head {
        [0x0a, len, 0x0a, text, ..] => {
            let score = usize::from(*text) + 4;
            *len < 0x80
                && u32::from(*len) >= u32::from(*text) + 2
                && (probe.head.get(score) == Some(&0x15) || *len == *text + 2)
        }
        _ => false,
    }
}

/// Whether code in a folder `code` is TorchScript's: it is, unless it imports as only Python does.
fn is_torchscript(probe: &Probe<'_>) -> bool {
    let folders = probe.name.replace('\\', "/");
    if folders.contains("code/__torch__") {
        return true;
    }
    let Ok(bytes) = probe.view.bytes(0, 256 << 10) else { return true };
    let has = |mark: &[u8]| bytes.windows(mark.len()).any(|part| part == mark);
    let imports = bytes.split(|byte| matches!(byte, b'\n' | b'\r')).map(<[u8]>::trim_ascii).any(|line| {
        line.starts_with(b"from ") || (line.starts_with(b"import ") && !line.starts_with(b"import __torch__"))
    });
    !imports || has(b"__parameters__ = [") || has(b": __torch__.") || has(b"op_version_set")
}
