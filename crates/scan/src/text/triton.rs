//! `config.pbtxt`, by which Triton serves the model of a folder: which backend, with which environment.

use super::hidden::Sort;
use super::instructions::lists;
use super::{CONFIG_PATH, REMOTE_CODE, escapes, hidden, text_of};
use crate::examination::{Examination, escape};
use crate::source::View;
use crate::trouble::Trouble;

/// The parameters with the path of code: the packed environment of the Python backend, libraries of batching and of OpenVINO.
const PATHS: [&str; 3] = ["EXECUTION_ENV_PATH", "TRITON_BATCH_STRATEGY_PATH", "CPU_EXTENSION_PATH"];

pub(super) fn examine(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    let text = text_of(view, scan)?;
    hidden::examine(&text, 0, Sort::Prose, scan);
    let fields = fields(&text);
    for (key, value) in &fields {
        let runs = match key.as_str() {
            "backend" => !value.is_empty() && !lists().triton_backends.contains(value),
            "default_model_filename" => value.ends_with(".py"),
            "op_library_filename" => true,
            _ => PATHS.contains(&value.as_str()),
        };
        if matches!(key.as_str(), "op_library_filename" | "input_data_file") && escapes(value) {
            let what = format!("{key} leads out of the folder: {}", escape(value, 200));
            scan.report(CONFIG_PATH, None, what);
        }
        if runs {
            let what = format!("{key}: Triton runs code of this folder, by {:?}", escape(value, 200));
            scan.report(REMOTE_CODE, None, what);
        }
    }
    // The parts of a parameter come in any order.
    for parts in fields.windows(2) {
        let [(_, first), (_, second)] = parts else { continue };
        for (name, path) in [(first, second), (second, first)] {
            if PATHS.contains(&name.as_str()) && escapes(path) {
                let what = format!("{name}: runs what lies outside the folder: {}", escape(path, 200));
                scan.report(CONFIG_PATH, None, what);
            }
        }
    }
    Ok(())
}

/// The strings of a text in protobuf's format, each with the name that stands before it.
fn fields(text: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut key = String::new();
    // Strings one behind the other are one.
    let mut joins = false;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '#' => while rest.next_if(|c| *c != '\n').is_some() {},
            '"' | '\'' => {
                let value = string(c, &mut rest);
                match found.last_mut().filter(|_| joins) {
                    Some((_, last)) => last.push_str(&value),
                    None => found.push((key.clone(), value)),
                }
                joins = true;
            }
            c if c.is_alphanumeric() || c == '_' => {
                key = std::iter::once(c)
                    .chain(std::iter::from_fn(|| rest.next_if(|c| c.is_alphanumeric() || *c == '_')))
                    .collect();
                joins = false;
            }
            c => joins = joins && c.is_whitespace(),
        }
    }
    found
}

/// What is left of a string up to its quote, escapes undone.
fn string(quote: char, rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> String {
    let mut value = String::new();
    while let Some(c) = rest.next() {
        if c == quote {
            break;
        }
        if c != '\\' {
            value.push(c);
            continue;
        }
        let (radix, most) = match rest.peek() {
            Some('x' | 'X') => (16, 2),
            Some('u') => (16, 4),
            Some('U') => (16, 8),
            Some('0'..='7') => (8, 3),
            _ => {
                value.extend(rest.next());
                continue;
            }
        };
        if radix == 16 {
            rest.next();
        }
        let digits: String = std::iter::from_fn(|| rest.next_if(|c| c.is_digit(radix))).take(most).collect();
        value.extend(u32::from_str_radix(&digits, radix).ok().and_then(char::from_u32));
    }
    value
}
