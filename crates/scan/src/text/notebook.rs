//! Notebooks: their code, the commands in it, and what their outputs run.

use ostrom_core::Severity;

use super::hidden::Sort;
use super::json::{Json, Next, Node};
use super::lines::{ends_python, lines};
use super::{ACTIVE_CONTENT, NOTEBOOK_COMMAND, NOTEBOOK_OUTPUT, card, hidden, script, shell};
use crate::examination::{Examination, escape};
use crate::folder::fact;
use crate::source::View;
use crate::trouble::Trouble;

pub(super) fn examine(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    scan.note(fact::CODE, "notebook");
    // Pictures lie in notebooks as text, so they are long; only one cell is held at a time.
    let mut json = Json::new(view, scan.limits().held)?;
    let mut number = 0u64;
    if json.next()? != Next::Map {
        return Err(Trouble::malformed(0, "a notebook that is no JSON object"));
    }
    json.map(|json, key| match (key.as_str(), json.next()?) {
        ("cells", Next::List) => json.list(|json| {
            cell(&json.node()?, &mut number, scan);
            Ok(())
        }),
        // Notebooks of version 3 have worksheets.
        ("worksheets", Next::List) => {
            let sheets = json.node()?;
            for cells in sheets.items().iter().filter_map(|sheet| sheet.get("cells")) {
                for one in cells.items() {
                    cell(one, &mut number, scan);
                }
            }
            Ok(())
        }
        _ => json.skip(),
    })
}

fn cell(cell: &Node, number: &mut u64, scan: &mut Examination<'_>) {
    *number = number.saturating_add(1);
    let source = joined(cell.get("source").or_else(|| cell.get("input")));
    let kind = cell.get("cell_type").and_then(Node::as_text).unwrap_or("");
    scan.within(&format!("cell {number}"), |scan| {
        match kind {
            "code" => code(&source, scan),
            _ => card::prose(&source, scan),
        }
        for output in cell.get("outputs").map_or(&[][..], Node::items) {
            outputs(output, scan);
        }
    });
}

/// Notebooks keep texts whole or as lists of lines.
fn joined(node: Option<&Node>) -> String {
    node.map(|node| node.texts().concat()).unwrap_or_default()
}

fn code(source: &str, scan: &mut Examination<'_>) {
    // A cell magic may run what comes after it as a cell, which may begin with one more.
    let mut source = source;
    while let Some(magic) = source.trim_start().strip_prefix("%%") {
        let (head, body) = magic.split_at(magic.find(ends_python).unwrap_or(magic.len()));
        match head.split_whitespace().next().unwrap_or("") {
            "bash" | "sh" | "script" | "cmd" | "perl" | "ruby" | "system" | "!" | "sx" => {
                scan.report(NOTEBOOK_COMMAND, Some(0), format!("runs a cell by %%{}", escape(head, 60)));
                shell::commands(body, NOTEBOOK_COMMAND, scan);
                return;
            }
            "html" | "javascript" | "js" | "svg" => {
                hidden::examine(body, 0, Sort::Code, scan);
                scan.report(ACTIVE_CONTENT, Some(0), format!("shows what %%{} makes", escape(head, 60)));
                return;
            }
            "writefile" | "latex" | "markdown" | "file" => {
                hidden::examine(body, 0, Sort::Prose, scan);
                return;
            }
            _ => source = body,
        }
    }
    python(source, scan);
}

/// Python with IPython's commands taken out.
fn python(source: &str, scan: &mut Examination<'_>) {
    let mut plain = String::with_capacity(source.len());
    // A command that goes on in the next line: where it began, and what of it there is.
    let mut open: Option<(u64, String)> = None;
    for (place, line) in lines(source, ends_python) {
        let bare = line.trim_start();
        let indent = line.get(..line.len() - bare.len()).unwrap_or("");
        let (place, mut text) = match (open.take(), shell_line(bare)) {
            (Some((place, text)), _) => {
                plain.push('\n');
                (place, text + bare)
            }
            (None, Some(command)) => {
                plain.push_str(indent);
                plain.push_str("pass\n");
                (place, command.to_owned())
            }
            (None, None) => {
                match timed(bare) {
                    Some(code) => plain.extend([indent, code]),
                    // Other magics and questions are no Python either.
                    None if bare.starts_with(['%', '?']) || bare.trim_end().ends_with('?') => {
                        plain.extend([indent, "pass\n"]);
                    }
                    None => plain.push_str(line),
                }
                continue;
            }
        };
        if text.trim_end().ends_with('\\') {
            text.truncate(text.trim_end().len() - 1);
            open = Some((place, text));
        } else {
            self::command(&text, place, scan);
        }
    }
    if let Some((place, text)) = open {
        self::command(&text, place, scan);
    }
    script::examine_code(&plain, scan);
}

/// The Python that a magic runs to see how long it takes, without the magic's options.
fn timed(line: &str) -> Option<&str> {
    let (name, mut rest) = line.strip_prefix('%')?.split_once([' ', '\t'])?;
    if !matches!(name, "time" | "timeit" | "prun" | "lprun" | "memit" | "mprun" | "debug") {
        return None;
    }
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        let option = rest.starts_with('-') || rest.starts_with(|c: char| c.is_ascii_digit());
        match rest.split_once([' ', '\t']) {
            Some((_, after)) if option => rest = after,
            _ => return Some(rest),
        }
    }
}

/// The command of a line that IPython gives to a shell.
fn shell_line(line: &str) -> Option<&str> {
    let timed = timed(line).unwrap_or(line);
    timed
        .strip_prefix("!!")
        .or_else(|| timed.strip_prefix('!'))
        .or_else(|| magic(line))
        .or_else(|| assigned(line).and_then(|value| value.strip_prefix('!').or_else(|| magic(value))))
}

fn magic(line: &str) -> Option<&str> {
    ["%system", "%sx", "%sc"].iter().find_map(|name| line.strip_prefix(name)?.strip_prefix([' ', '\t']))
}

/// What a line assigns, if it begins as a command does: behind the first `=` outside brackets, quotes and comments.
fn assigned(line: &str) -> Option<&str> {
    let mut depth = 0_u32;
    let mut quote = None;
    let mut chars = line.char_indices();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (_, '\\') => {
                chars.next();
            }
            (Some(open), _) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '#') => return None,
            (None, '(' | '[' | '{') => depth = depth.saturating_add(1),
            (None, ')' | ']' | '}') => depth = depth.saturating_sub(1),
            (None, '=') if depth == 0 => {
                let value = line.get(at + 1..)?.trim_start();
                return value.starts_with(['!', '%']).then_some(value);
            }
            _ => {}
        }
    }
    None
}

/// One command of a shell.
fn command(command: &str, offset: u64, scan: &mut Examination<'_>) {
    if let Some(what) = shell::danger(command) {
        scan.report_as(Severity::High, NOTEBOOK_COMMAND, Some(offset), format!("runs {what}"));
        return;
    }
    // Notebooks install packages and look around; that is what they are for.
    let first = command.split_whitespace().next().unwrap_or("");
    let usual = matches!(
        first,
        "pip"
            | "pip3"
            | "conda"
            | "mamba"
            | "uv"
            | "apt"
            | "apt-get"
            | "ls"
            | "nvidia-smi"
            | "cat"
            | "head"
            | "pwd"
            | "mkdir"
            | "unzip"
            | "tar"
            | "git"
            | "wget"
            | "curl"
            | "cp"
            | "mv"
            | "du"
            | "df"
            | "echo"
            | "huggingface-cli"
            | "hf"
            | "cd"
            | "rm"
            | "free"
            | "tree"
            | "lscpu"
            | "tail"
            | "wc"
            | "gdown"
            | "kaggle"
            | "jupyter"
            | "touch"
            | "which"
            | "zip"
    );
    let severity = if usual || command.contains("pip install") { Severity::Info } else { Severity::Medium };
    scan.report_as(severity, NOTEBOOK_COMMAND, Some(offset), format!("runs {}", escape(command.trim(), 200)));
}

/// What an output makes a browser run. Notebook programs show it only of notebooks that people trust.
fn outputs(output: &Node, scan: &mut Examination<'_>) {
    let Some(data) = output.get("data") else { return };
    for (kind, value) in data.pairs() {
        let text = joined(Some(value));
        let runs = match kind.as_str() {
            "application/javascript" => true,
            "text/html" | "image/svg+xml" | "text/markdown" => text.to_ascii_lowercase().contains("<script"),
            _ => false,
        };
        if runs {
            let severity = if card::steals(&text) { Severity::High } else { Severity::Low };
            scan.report_as(
                severity,
                NOTEBOOK_OUTPUT,
                None,
                format!("an output of the kind {} runs a script", escape(kind, 60)),
            );
        }
    }
}
