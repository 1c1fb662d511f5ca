//! Tokenizers: `tokenizer.json`, SentencePiece models.

use std::collections::BTreeMap;

use ostrom_core::Severity;

use super::json::{Json, Next, Node};
use super::{CONFIG_REGEX, JSON_DUPLICATE, TOKENIZER_TOKEN, config, pattern};
use crate::examination::{Examination, escape};
use crate::source::View;
use crate::trouble::Trouble;

/// `tokenizer.json`. It may be longer than what is held: the vocabulary streams by.
pub(super) fn examine(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    let mut json = Json::new(view, scan.limits().held)?;
    if json.next()? != Next::Map {
        return config::examine(view, scan);
    }
    let mut repeated = None;
    json.map(|json, key| {
        match key.as_str() {
            "normalizer" | "pre_tokenizer" | "decoder" | "post_processor" => patterns(&json.node()?, scan),
            "added_tokens" => tokens(&json.node()?, scan),
            "model" => {
                let before = json.duplicates().map_or(0, |(_, _, count)| count);
                json.skip()?;
                // Two tokens that differ only in halves of pairs look the same here: that is no sign of anything.
                repeated = json
                    .duplicates()
                    .filter(|(_, _, count)| *count > before)
                    .map(|(offset, key, _)| (offset, key.to_owned()));
            }
            "auto_map" | "chat_template" => {
                let node = json.node()?;
                config::pair(&key, &node, scan);
            }
            _ => json.skip()?,
        }
        Ok(())
    })?;
    if let Some((offset, key)) = repeated {
        let what =
            format!("the vocabulary has {:?} twice; loaders keep the first or the last", escape(&key, 100));
        scan.report(JSON_DUPLICATE, Some(offset), what);
    }
    Ok(())
}

/// Regular expressions anywhere in `node`.
fn patterns(node: &Node, scan: &mut Examination<'_>) {
    let mut open = vec![node];
    while let Some(node) = open.pop() {
        for (key, value) in node.pairs() {
            if key == "Regex"
                && let Some(part) = value.as_text().and_then(pattern::exponential)
            {
                scan.report(
                    CONFIG_REGEX,
                    None,
                    format!("the part {:?} repeats a repetition", escape(&part, 100)),
                );
            }
            open.push(value);
        }
        open.extend(node.items());
    }
}

/// Added tokens: two of the same text, or of a text that only looks the same.
fn tokens(node: &Node, scan: &mut Examination<'_>) {
    let mut seen: BTreeMap<&str, String> = BTreeMap::new();
    for token in node.items() {
        let Some(content) = token.get("content").and_then(Node::as_text) else { continue };
        let id = match token.get("id") {
            Some(Node::Number(id)) => format!("{id}"),
            _ => String::new(),
        };
        if let Some(other) = seen.insert(content, id.clone())
            && other != id
        {
            let what = format!("the added token {:?} is {other} and {id}", escape(content, 100));
            scan.report(TOKENIZER_TOKEN, None, what);
        }
        // Vocabularies are full of odd characters, each a token of its own; beside others in one token they hide.
        let hides = |c: char| matches!(c, '\u{e0001}'..='\u{e007f}' | '\u{202a}'..='\u{202e}');
        let shows = |c: char| c.is_ascii_alphanumeric();
        if content.contains(hides) && content.contains(shows) {
            let what = format!("the added token {:?} looks like another", escape(content, 100));
            scan.report_as(Severity::Medium, TOKENIZER_TOKEN, None, what);
        }
    }
}

/// A SentencePiece model: messages of known fields, one after the other.
pub(super) fn examine_sentencepiece(view: &View, _: &mut Examination<'_>) -> Result<(), Trouble> {
    let mut at = 0u64;
    while at < view.len() {
        let head = view.bytes(at, 11)?;
        let tag = head.first().copied().unwrap_or_default();
        let (len, size) = varint(head.get(1..).unwrap_or_default())
            .ok_or_else(|| Trouble::malformed(at, "SentencePiece: a length that does not end"))?;
        let field = tag >> 3;
        if tag & 7 != 2 || !(1..=5).contains(&field) {
            return Err(Trouble::malformed(
                at,
                format!("SentencePiece: a field {field} that it does not have"),
            ));
        }
        let end = at
            .checked_add(1 + size)
            .and_then(|start| start.checked_add(len))
            .filter(|end| *end <= view.len());
        at = end.ok_or_else(|| Trouble::malformed(at, "SentencePiece: a field beyond the end"))?;
    }
    Ok(())
}

/// A number of seven bits a byte, and how many bytes it took.
fn varint(bytes: &[u8]) -> Option<(u64, u64)> {
    let mut value = 0u64;
    for (count, byte) in bytes.iter().take(9).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * count);
        if byte & 0x80 == 0 {
            return Some((value, count as u64 + 1));
        }
    }
    None
}
