//! Files that people write, and what lies beside weights: configuration, code, notebooks, cards, native code.

mod card;
mod config;
mod exported;
mod expressions;
mod front_matter;
mod hidden;
mod instructions;
mod interpolations;
mod json;
mod kind;
mod lines;
mod native;
mod nodes;
mod notebook;
mod objects;
mod pattern;
mod python;
mod requirements;
mod scalars;
mod script;
mod shell;
mod stream;
mod tags;
mod templates;
mod tokenizer;
mod torchscript;
mod triton;
mod yaml;

use std::borrow::Cow;

pub(crate) use self::front_matter::front_matter;
use self::hidden::Sort;
use self::kind::Kind;
pub(crate) use self::python::LONGEST as LONGEST_CODE;
pub(crate) use self::script::examine_source;
use crate::detect::{Format, Match, Probe};
use crate::examination::Examination;
use crate::folder::fact;
use crate::source::View;
use crate::trouble::Trouble;

macro_rules! formats {
    ($($kind:ident = $name:literal by $examine:path),* $(,)?) => {
        /// The formats that are examined here.
        pub(crate) const FORMATS: &[Format] = &[$(Format {
            name: $name,
            detect: |probe: &Probe<'_>| Ok(kind::kind(probe)?.map_or(Match::No, |(kind, sure)| match kind {
                Kind::$kind => sure,
                _ => Match::No,
            })),
            examine: |view: &View, scan: &mut Examination<'_>| {
                $examine(view, scan)?;
                if Kind::$kind.is_loose() { yaml::examine_unnamed(view, scan) } else { Ok(()) }
            },
        }),*];
    };
}

formats! {
    Native = "native-code" by native::examine,
    Python = "python" by script::examine,
    TorchScript = "torchscript-code" by torchscript::examine,
    Notebook = "notebook" by notebook::examine,
    Json = "json" by config::examine,
    Tokenizer = "tokenizer" by tokenizer::examine,
    SentencePiece = "sentencepiece" by tokenizer::examine_sentencepiece,
    Vocabulary = "vocabulary" by nothing_more,
    Yaml = "yaml" by yaml::examine,
    Triton = "triton-config" by triton::examine,
    Card = "card" by card::examine,
    Html = "html" by card::examine_html,
    Shell = "shell-script" by shell::examine,
    Requirements = "requirements" by requirements::examine,
    Template = "chat-template" by examine_template,
    PathFile = "path-configuration" by script::examine_path_file,
    Code = "source-code" by examine_code,
    Text = "text" by stream::examine_text,
    Data = "data-set" by stream::examine_data,
    Pointer = "git-lfs-pointer" by examine_pointer,
}

crate::rules::declare! {
    JSON_DUPLICATE = "json-duplicate-key",
    JSON_BROKEN = "json-broken",
    REMOTE_CODE = "remote-code",
    REMOTE_CODE_ELSEWHERE = "remote-code-elsewhere",
    CONFIG_OBJECT = "config-builds-object",
    CONFIG_PATH = "config-path-escape",
    EXPORT_EXPRESSION = "export-expression",
    EXPORT_BUILD = "export-build",
    CONFIG_REGEX = "config-regex",
    TOKENIZER_TOKEN = "tokenizer-odd-token",
    REQUIREMENT_SOURCE = "requirement-source",
    NATIVE_CODE = "native-code",
    PATH_CONFIGURATION = "path-configuration",
    SHELL_SCRIPT = "shell-script",
    NOTEBOOK_COMMAND = "notebook-command",
    NOTEBOOK_OUTPUT = "notebook-output-script",
    HIDDEN_TEXT = "hidden-text",
    BIDI_TEXT = "bidi-text",
    HIDDEN_INSTRUCTIONS = "hidden-instructions",
    HIDDEN_STYLE = "hidden-style",
    ACTIVE_CONTENT = "active-content",
    POINTER = "git-lfs-pointer",
    PYTHON_COMMANDS = "python-commands",
    PYTHON_DYNAMIC_CODE = "python-dynamic-code",
    PYTHON_HIDDEN_CODE = "python-hidden-code",
    PYTHON_NATIVE_CALL = "python-native-call",
    PYTHON_NETWORK = "python-network",
    PYTHON_UNPICKLES = "python-unpickles",
    PYTHON_SECRETS = "python-secrets",
    PYTHON_EXFILTRATION = "python-exfiltration",
    PYTHON_OBFUSCATED = "python-obfuscated",
    PYTHON_DYNAMIC_IMPORT = "python-dynamic-import",
    PYTHON_REMOTE_CODE = "python-remote-code",
    PYTHON_DELETES = "python-deletes",
    PYTHON_UNREAD = "python-unread",
    DATASET_SCRIPT = "dataset-script",
    TORCHSCRIPT_FILES = "torchscript-files",
    TORCHSCRIPT_OPERATOR = "torchscript-operator",
}

/// Prose is not longer than this; longer text is a corpus.
const PROSE: u64 = 1 << 20;

/// All of `view` as text: UTF-8, UTF-16 with a mark, or else bytes as characters.
pub(crate) fn text_of(view: &View, scan: &Examination<'_>) -> Result<String, Trouble> {
    let held = scan.limits().held;
    if view.len() > held as u64 {
        return Err(Trouble::Limit(format!("a text of {} bytes; at most {held} are held", view.len())));
    }
    let bytes = view.bytes(0, held)?;
    let wide = |from: fn([u8; 2]) -> u16| {
        let units = bytes.chunks_exact(2).skip(1).filter_map(|pair| <[u8; 2]>::try_from(pair).ok());
        char::decode_utf16(units.map(from)).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
    };
    Ok(match bytes.get(..2) {
        Some([0xff, 0xfe]) => wide(u16::from_le_bytes),
        Some([0xfe, 0xff]) => wide(u16::from_be_bytes),
        _ => match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => error.as_bytes().iter().map(|byte| char::from(*byte)).collect(),
        },
    })
}

/// The file's own name, without folders, in lower case.
pub(crate) fn base_name(name: &str) -> Cow<'_, str> {
    let name = name.rsplit(['/', '\\']).next().unwrap_or(name);
    if name.chars().any(char::is_uppercase) { name.to_lowercase().into() } else { name.into() }
}

/// Whether a relative path leads out of its folder, or is not relative.
pub(crate) fn escapes(path: &str) -> bool {
    crate::graph::location::outside(path).is_some()
}

/// The chat template of a configuration, examined as the file it could as well be.
fn chat_template(text: &str, scan: &mut Examination<'_>) {
    scan.descend("chat_template.jinja", &View::new(text.as_bytes().to_vec()));
}

/// Files of chat templates.
fn examine_template(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    let text = text_of(view, scan)?;
    crate::template::template(&text, scan);
    hidden::examine(&text, 0, Sort::Code, scan);
    Ok(())
}

/// Whether nothing but its beginning makes a format of this name of a file.
pub(crate) fn is_told_by_its_beginning(format: &str) -> bool {
    matches!(format, "text" | "path-configuration")
}

/// Reports what is text at its beginning only.
///
/// # Errors
/// If it cannot be read.
pub(crate) fn check_the_rest(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    stream::is_text_throughout(view, scan)
}

/// Formats that are known, so that they are not taken for models, and hold nothing that is run.
fn nothing_more(_: &View, _: &mut Examination<'_>) -> Result<(), Trouble> {
    Ok(())
}

/// Code that nothing here reads. Only that it is there, and what in it does not show.
fn examine_code(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    let name = base_name(scan.name()).into_owned();
    let settings = [".toml", ".cfg", ".ini"].iter().any(|end| name.ends_with(end));
    if !settings && name.contains('.') {
        scan.note(fact::CODE, "source");
    }
    if settings {
        let text = text_of(view, scan)?;
        yaml::templates(&text, scan);
        if text.lines().any(asks_for_code) {
            let what = "asks for trust_remote_code, which runs code that comes with models";
            scan.report(REMOTE_CODE, None, what);
        }
    }
    exported::source(scan);
    stream::watch(view, Sort::Code, scan)
}

/// Whether a line of TOML or of an `.ini` sets `trust_remote_code`, by itself or in a value in braces.
fn asks_for_code(line: &str) -> bool {
    let off = ["false", "off", "no", "0", "null", "none"];
    line.split("trust_remote_code").skip(1).any(|rest| {
        let value = rest.trim_start_matches(['"', '\'', ' ', '\t']).strip_prefix(['=', ':']);
        let value = value.map(|value| value.trim_start_matches(['"', '\'', ' ', '\t']).to_lowercase());
        value.is_some_and(|value| !value.is_empty() && !off.iter().any(|off| value.starts_with(off)))
    })
}

fn examine_pointer(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    let text = String::from_utf8_lossy(&view.bytes(0, 1024)?).into_owned();
    let oid = text.lines().find_map(|line| line.strip_prefix("oid ")).unwrap_or("an unnamed object");
    scan.report(POINTER, None, format!("stands for {oid}, which is not here"));
    Ok(())
}

#[cfg(test)]
mod tests;
