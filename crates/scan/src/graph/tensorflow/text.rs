//! Graphs in protobuf's text form. TensorFlow loads `saved_model.pbtxt` as it loads `saved_model.pb`.

use super::reach::Operators;
use crate::detect::{Match, Probe};
use crate::examination::{Examination, escape};
use crate::graph::ops::Reach;
use crate::graph::{TF_ASSET, TF_TABLE, location};
use crate::source::View;
use crate::trouble::Trouble;

/// How deep messages may lie in one another. Protobuf's own bound is 100.
const DEPTH: usize = 10_000;

/// Whether the file is named as text forms of messages are.
pub(crate) fn detect(probe: &Probe<'_>) -> Result<Match, Trouble> {
    Ok(if probe.extension() == "pbtxt" { Match::Weak } else { Match::No })
}

/// Judges every operator that a node in the text has, every one that an attribute calls by its name, and places that tables and
/// assets are read from. Other messages in text form have none, and so no finding.
pub(crate) fn examine(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    let held = scan.limits().held;
    if view.len() > held as u64 {
        return Err(Trouble::Limit(format!("a graph in text form has more than {held} bytes")));
    }
    let text = view.bytes(0, held)?;
    let mut operators = Operators::default();
    let mut tokens = Tokens { text: &text, at: 0 };
    let (mut before, mut key) = (Token::Other, Vec::new());
    // The messages that are open, by the names of their fields.
    let mut open: Vec<Vec<u8>> = Vec::new();
    let mut elsewhere = None;
    while let Some((offset, token)) = tokens.next() {
        match (&before, &token) {
            (Token::Name(name), Token::Colon) => key.clone_from(name),
            (Token::Name(name), Token::Open) => enter(&mut open, name)?,
            (_, Token::Open) => enter(&mut open, &key)?,
            (_, Token::Close) => {
                open.pop();
            }
            // Several texts may stand between brackets.
            (_, Token::Text(value)) => {
                let value = String::from_utf8_lossy(value);
                let place = offset as u64;
                match (open.last().map_or(&b""[..], Vec::as_slice), key.as_slice()) {
                    (_, b"op") => operators.node(&value, "", place)?,
                    (b"func", b"name") => operators.call(&value, "", place)?,
                    (b"signature", b"name") => operators.function(&value)?,
                    (b"asset_file_def", b"filename") => {
                        if let Some(reason) = location::outside(&value) {
                            let what = format!("asset: `{}` {reason}", escape(&value, 1000));
                            scan.report(TF_ASSET, Some(place), what);
                        }
                    }
                    (_, b"string_val") if elsewhere.is_none() && location::outside(&value).is_some() => {
                        // Messages are no places, though they may have `/..` in them.
                        elsewhere =
                            (!value.starts_with(char::is_control)).then(|| (place, escape(&value, 500)));
                    }
                    _ => {}
                }
            }
            _ => {}
        }
        before = token;
    }
    // Which constant a table is read from is not followed in text form.
    if let Some((place, value)) = elsewhere
        && operators.has(Reach::Asset)
    {
        scan.report(TF_TABLE, Some(place), format!("`{value}`"));
    }
    operators.report(false, scan);
    Ok(())
}

/// A message begins.
fn enter(open: &mut Vec<Vec<u8>>, name: &[u8]) -> Result<(), Trouble> {
    if open.len() >= DEPTH {
        return Err(Trouble::Limit(format!("messages lie more than {DEPTH} deep in one another")));
    }
    // No field of interest has a longer name.
    open.push(name.get(..64).unwrap_or(name).to_vec());
    Ok(())
}

#[derive(PartialEq)]
enum Token {
    Name(Vec<u8>),
    Text(Vec<u8>),
    Colon,
    Open,
    Close,
    Other,
}

struct Tokens<'a> {
    text: &'a [u8],
    at: usize,
}

impl Tokens<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_blank(&mut self) {
        while let Some(byte) = self.peek() {
            if byte == b'#' {
                while self.peek().is_some_and(|byte| byte != b'\n') {
                    self.at += 1;
                }
            } else if byte <= b' ' || byte >= 0x7f {
                // White space, for protobuf's reader in C++ or the one in Python, which has many more kinds of it. Neither takes
                // anything else of these here.
                self.at += 1;
            } else {
                break;
            }
        }
    }

    fn next(&mut self) -> Option<(usize, Token)> {
        self.skip_blank();
        let start = self.at;
        let first = self.peek()?;
        let token = match first {
            b':' => {
                self.at += 1;
                Token::Colon
            }
            b'{' | b'<' => {
                self.at += 1;
                Token::Open
            }
            b'}' | b'>' => {
                self.at += 1;
                Token::Close
            }
            b'"' | b'\'' => {
                // Texts that follow one another are one text.
                let mut text = Vec::new();
                while let Some(quote @ (b'"' | b'\'')) = self.peek() {
                    self.at += 1;
                    self.quoted(quote, &mut text);
                    self.skip_blank();
                }
                Token::Text(text)
            }
            byte if byte.is_ascii_alphanumeric() || byte == b'_' => {
                while self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                    self.at += 1;
                }
                Token::Name(self.text.get(start..self.at).unwrap_or_default().to_vec())
            }
            _ => {
                self.at += 1;
                Token::Other
            }
        };
        Some((start, token))
    }

    fn quoted(&mut self, quote: u8, text: &mut Vec<u8>) {
        while let Some(byte) = self.peek() {
            self.at += 1;
            if byte == quote {
                return;
            }
            text.push(if byte == b'\\' { self.escaped() } else { byte });
        }
    }

    /// What follows a backslash: a number in base 8 or 16, or a letter.
    fn escaped(&mut self) -> u8 {
        let Some(byte) = self.peek() else { return b'\\' };
        let (radix, most) = match byte {
            b'x' | b'X' => {
                self.at += 1;
                (16, 2)
            }
            b'0'..=b'7' => (8, 3),
            _ => {
                self.at += 1;
                return match byte {
                    b'n' => b'\n',
                    b't' => b'\t',
                    other => other,
                };
            }
        };
        let mut value = 0_u32;
        for _ in 0..most {
            let Some(digit) = self.peek().and_then(|byte| char::from(byte).to_digit(radix)) else { break };
            value = value * radix + digit;
            self.at += 1;
        }
        (value & 0xff) as u8
    }
}
