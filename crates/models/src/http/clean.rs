//! Text from an endpoint, made fit to be shown.

use serde::Deserialize;
use serde_json::Value;

use crate::model::Response;
use crate::secret::Secret;

/// The longest quotation of an endpoint, in characters.
pub(super) const QUOTE_CHARS: usize = 200;

/// Keys shorter than this are not masked in answers: local servers take dummies such as `test`, which occur in
/// ordinary text, and masking those would change what the model said. Real keys are longer.
const MASKED_KEY_CHARS: usize = 16;

/// `text` on one line, without control or invisible formatting characters, the key masked, at most
/// [`QUOTE_CHARS`] characters.
pub(super) fn quote(text: &str, key: Option<&Secret>) -> String {
    let mut line = String::with_capacity(text.len().min(4 * QUOTE_CHARS));
    for word in text.split(is_unprintable).filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    // INVARIANT: masked before it is shortened, or a part of the key could stay at the end.
    let line = match key {
        Some(key) => key.mask_in(&line),
        None => line,
    };
    match line.char_indices().nth(QUOTE_CHARS) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

/// Control characters, and the invisible ones that reorder or hide text in a terminal.
fn is_unprintable(c: char) -> bool {
    c.is_control()
        || c.is_whitespace()
        || matches!(c,
            '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
            | '\u{FEFF}' | '\u{E0000}'..='\u{E007F}')
}

/// What an error's body says: the message of the usual JSON shapes, or else the body itself. Not cleaned yet.
pub(super) fn error_message(body: &[u8]) -> String {
    json_error(body).unwrap_or_else(|| String::from_utf8_lossy(body).into_owned())
}

/// `{"error": {"message": …}}`, `{"error": …}`, `{"message": …}` or `{"detail": …}`.
pub(super) fn json_error(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Body {
        error: Option<Value>,
        message: Option<Value>,
        detail: Option<Value>,
    }
    let body: Body = serde_json::from_slice(body).ok()?;
    let value = body.error.or(body.message).or(body.detail)?;
    let value = value.get("message").unwrap_or(&value);
    Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

/// Masks the key in everything of an answer that a transcript keeps.
pub(super) fn mask_answer(response: &mut Response, key: &Secret) {
    if key.expose().len() < MASKED_KEY_CHARS {
        return;
    }
    let mask = |text: &mut String| *text = key.mask_in(text);
    mask(&mut response.text);
    for call in &mut response.tool_calls {
        mask(&mut call.id);
        mask(&mut call.name);
        mask(&mut call.arguments);
    }
    response.reported_model.iter_mut().for_each(mask);
    response.logprobs.iter_mut().flatten().for_each(|token| mask(&mut token.token));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{StopReason, Usage};

    #[test]
    fn quotations_are_one_clean_short_line() {
        let key = Secret::new("sk-very-secret").unwrap();
        assert_eq!(quote("\u{1b}[31mbad\r\n\tkey\u{202e} sk-very-secret\0", Some(&key)), "[31mbad key ***");
        assert_eq!(quote(&"é".repeat(300), None), format!("{}…", "é".repeat(200)));
        assert_eq!(quote(&"é".repeat(200), None), "é".repeat(200));
    }

    #[test]
    fn a_key_across_the_cut_is_masked_whole() {
        let key = Secret::new("sk-very-secret").unwrap();
        let text = quote(&format!("{}sk-very-secret and more", "x".repeat(195)), Some(&key));
        assert_eq!(text, format!("{}*** a…", "x".repeat(195)));
    }

    #[test]
    fn messages_are_found_in_the_usual_shapes() {
        for body in [
            r#"{"error":{"message":"no","type":"x"}}"#,
            r#"{"error":"no"}"#,
            r#"{"type":"error","error":{"type":"overloaded","message":"no"}}"#,
            r#"{"message":"no"}"#,
            r#"{"detail":"no"}"#,
            "no",
        ] {
            assert_eq!(error_message(body.as_bytes()), "no", "{body}");
        }
    }

    #[test]
    fn answers_keep_no_key_but_dummies_change_nothing() {
        let answer = |text: &str| Response {
            text: text.to_owned(),
            tool_calls: Vec::new(),
            usage: Usage::default(),
            stop: StopReason::EndOfTurn,
            logprobs: None,
            reported_model: Some(text.to_owned()),
        };
        let mut response = answer("your key is sk-0123456789abcdef");
        mask_answer(&mut response, &Secret::new("sk-0123456789abcdef").unwrap());
        assert_eq!(response, answer("your key is ***"));
        let mut response = answer("this is a test");
        mask_answer(&mut response, &Secret::new("test").unwrap());
        assert_eq!(response, answer("this is a test"));
    }
}
