//! Characters that a reader does not see: inserted between visible ones, or carrying the text themselves.

pub(super) fn zero_width(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 4);
    for (position, c) in text.chars().enumerate() {
        if position > 0 {
            out.push('\u{200B}');
        }
        out.push(c);
    }
    out
}

pub(super) fn tag_characters(text: &str) -> String {
    text.chars()
        .filter(|c| matches!(c, ' '..='~'))
        .filter_map(|c| char::from_u32(0xE0000 + u32::from(c)))
        .collect()
}

pub(super) fn variation_selectors(text: &str) -> String {
    // The selectors attach to a character before them: without one, some software shows a placeholder.
    let selector = |byte: u8| match u32::from(byte) {
        low @ 0..16 => char::from_u32(0xFE00 + low),
        high => char::from_u32(0xE0100 + high - 16),
    };
    std::iter::once('.').chain(text.bytes().filter_map(selector)).collect()
}

pub(super) fn bidi_override(text: &str) -> String {
    let reversed: String = text.chars().rev().collect();
    format!("\u{202E}{reversed}\u{202C}")
}

pub(super) fn soft_hyphen(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 3);
    let mut after_letter = false;
    for c in text.chars() {
        if after_letter && c.is_alphabetic() {
            out.push('\u{AD}');
        }
        out.push(c);
        after_letter = c.is_alphabetic();
    }
    out
}

pub(super) fn combining_marks(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 3);
    for c in text.chars() {
        out.push(c);
        if c.is_alphabetic() {
            out.push('\u{336}');
        }
    }
    out
}
