//! The YAML at the head of a model card, as far as lineage needs it: texts and lists of texts at the outermost level.
//!
//! Other keys are passed over without being understood. A wanted key whose value is of any other kind is an error: a guess at YAML's
//! finer points would be a claim that nobody made.

use super::Claims;
use crate::lineage::Relation;

const WANTED: [&str; 6] =
    ["base_model", "base_model_relation", "datasets", "license", "license_name", "license_link"];

/// Reads a card.
pub(super) fn read(claims: &mut Claims, text: &str, file: &str) -> Result<(), String> {
    let Some(lines) = head(text)? else { return Ok(()) };
    let values = |key: &str| values(&lines, key);
    let source = |key: &str| format!("{file}: {key}");
    let relation = match values("base_model_relation")?.first().map(String::as_str) {
        Some("finetune" | "fine-tune") => Some(Relation::FineTune),
        Some("adapter") => Some(Relation::Adapter),
        Some("merge") => Some(Relation::Merge),
        Some("quantized") => Some(Relation::Quantisation),
        _ => None,
    };
    for name in values("base_model")? {
        claims.parent(&name, relation, source("base_model"));
    }
    for name in values("datasets")? {
        claims.data_set(&name, None, source("datasets"));
    }
    let (own, link) = (values("license_name")?, values("license_link")?);
    for name in values("license")? {
        // `other` means that the name stands beside it.
        let name = own.first().filter(|_| name == "other").unwrap_or(&name);
        claims.licence(name, link.first().map(String::as_str), source("license"));
    }
    Ok(())
}

/// The lines between the two `---`; `None` if the card does not begin with one.
fn head(text: &str) -> Result<Option<Vec<&str>>, String> {
    let mut lines = text.trim_start_matches('\u{feff}').lines();
    if lines.next().map(str::trim_end) != Some("---") {
        return Ok(None);
    }
    let mut head = Vec::new();
    for line in lines {
        match line.trim_end() {
            "---" | "..." => return Ok(Some(head)),
            line => head.push(line),
        }
    }
    Err("its front matter has no end".to_owned())
}

/// What follows a key of the outermost level, if the line begins with one.
fn top_level(line: &str) -> Option<(&str, &str)> {
    let (key, rest) = line.split_once(':')?;
    let key = key.trim_matches(['"', '\'']);
    let plain = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    (plain && !line.starts_with([' ', '\t', '-']) && (rest.is_empty() || rest.starts_with([' ', '\t'])))
        .then_some((key, rest))
}

/// The texts at a key; none if it is not there.
fn values(lines: &[&str], wanted: &str) -> Result<Vec<String>, String> {
    debug_assert!(WANTED.contains(&wanted));
    let unread = || format!("{wanted} is written in a way that is not read");
    let mut found = lines.iter().enumerate().filter_map(|(at, line)| {
        top_level(line).filter(|(key, _)| *key == wanted).map(|(_, rest)| (at, without_comment(rest).trim()))
    });
    let Some((at, rest)) = found.next() else { return Ok(Vec::new()) };
    if found.next().is_some() {
        return Err(format!("{wanted} occurs twice"));
    }
    let below = lines.get(at + 1..).unwrap_or_default();
    let is_inside = |line: &&&str| line.trim().is_empty() || line.starts_with([' ', '\t', '-', '#', ']']);
    let mut below = below.iter().take_while(is_inside).map(|line| without_comment(line).trim());
    if rest.starts_with('[') {
        let mut whole = rest.to_owned();
        while !whole.ends_with(']') {
            whole.push_str(below.next().ok_or_else(unread)?);
        }
        let inner = whole.strip_prefix('[').and_then(|text| text.strip_suffix(']')).ok_or_else(unread)?;
        return inner
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(|item| scalar(item).ok_or_else(unread))
            .collect();
    }
    if !rest.is_empty() {
        let text = scalar(rest).ok_or_else(unread)?;
        if below.any(|line| !line.is_empty()) {
            return Err(unread());
        }
        return Ok(if is_null(&text) { Vec::new() } else { vec![text] });
    }
    let items = below.filter(|line| !line.is_empty());
    items
        .map(|line| line.strip_prefix('-').map(str::trim).and_then(scalar).ok_or_else(unread))
        .filter(|item| !item.as_ref().is_ok_and(|text| is_null(text)))
        .collect()
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null")
}

/// A line up to its comment. A `#` begins one only at the start or after a space, and outside quotes.
fn without_comment(line: &str) -> &str {
    let (mut quote, mut before) = (None, ' ');
    for (at, c) in line.char_indices() {
        match (quote, c) {
            (None, '#') if before.is_whitespace() => return line.get(..at).unwrap_or_default(),
            (None, '"' | '\'') if before.is_whitespace() || matches!(before, '[' | ',') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            _ => {}
        }
        before = c;
    }
    line
}

/// A plain or quoted text on one line.
fn scalar(text: &str) -> Option<String> {
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote) {
            let inner = inner.strip_suffix(quote)?;
            // Escapes and doubled quotes are YAML's finer points.
            return (!inner.contains([quote, '\\'])).then(|| inner.to_owned());
        }
    }
    let special = text.starts_with(['&', '*', '!', '|', '>', '%', '@', '`', '{', '}', '[', ']', '?', ',']);
    (!special && !text.contains(": ") && !text.ends_with(':') && !text.contains(" #"))
        .then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn card(front: &str) -> Result<Claims, String> {
        let mut claims = Claims::default();
        read(&mut claims, &format!("---\n{front}\n---\n# Text\nbase_model: not/this\n"), "README.md")?;
        Ok(claims)
    }

    fn parents(front: &str) -> Vec<String> {
        card(front).unwrap().parents.into_iter().map(|parent| parent.name).collect()
    }

    #[test]
    fn the_ways_in_which_cards_are_written() {
        for front in [
            "base_model: a/b",
            "base_model: \"a/b\"",
            "base_model: 'a/b'   # the base",
            "base_model:\n- a/b",
            "base_model:\n  - a/b\n\nlicense: mit",
            "base_model: [a/b]",
            "tags:\n- x\nbase_model: [\n  \"a/b\"\n]\nlicense: mit",
            "model-index:\n- name: x\n  base_model: c/d\n  results:\n  - task: {type: t}\nbase_model:   a/b",
        ] {
            assert_eq!(parents(front), ["a/b"], "{front}");
        }
        assert_eq!(parents("base_model: [a/b, 'c/d']"), ["a/b", "c/d"]);
        assert!(parents("base_model:\nlicense: mit").is_empty());
        assert!(parents("base_model: null").is_empty());
    }

    #[test]
    fn relation_licence_and_data_sets() {
        let claims = card(
            "base_model: a/b\nbase_model_relation: quantized\nlicense: other\nlicense_name: gemma\n\
             license_link: https://example.org/terms\ndatasets: [x/y, z]",
        )
        .unwrap();
        assert_eq!(claims.parents[0].relation, Some(Relation::Quantisation));
        assert_eq!(claims.licences[0].name, "gemma");
        assert_eq!(claims.licences[0].url.as_deref(), Some("https://example.org/terms"));
        assert_eq!(claims.data_sets.len(), 2);
    }

    #[test]
    fn what_is_not_understood_is_said_and_not_guessed() {
        for front in [
            "base_model: &anchor a/b",
            "base_model: |\n  a/b",
            "base_model: {name: a/b}",
            "base_model:\n- name: a/b",
            "base_model: \"a\\u0062\"",
            "base_model: a/b\n  c/d",
            "base_model: a\nbase_model: b",
            "base_model: [a, b",
        ] {
            assert!(card(front).is_err(), "{front}");
        }
        let mut claims = Claims::default();
        assert!(read(&mut claims, "---\nbase_model: a/b\n", "README.md").is_err(), "no end");
        assert!(read(&mut claims, "# Just a card\n", "README.md").is_ok() && claims.parents.is_empty());
    }

    proptest! {
        #[test]
        fn any_text_never_panics(text in "(base_model|license|datasets)?[:\\[\\]\\- \n\"'#a,é]{0,60}") {
            let _ = card(&text);
        }
    }
}
