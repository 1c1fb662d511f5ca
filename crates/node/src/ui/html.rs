//! Text that is known to be harmless HTML.

use std::fmt;

use askama::filters::HtmlSafe;

/// HTML that this crate made itself, or made harmless. Only [`super::markdown`] and [`super::chart`] make it: no template may say
/// `safe`, so this type is the only way in which markup reaches a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Html(String);

impl Html {
    /// INVARIANT: `text` is well-formed and holds nothing of a stranger's that was not escaped.
    pub(super) const fn trusted(text: String) -> Self {
        Self(text)
    }

    /// The markup.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.trim().is_empty()
    }
}

impl fmt::Display for Html {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl HtmlSafe for Html {}

/// Appends `text` so that it stays text, in an element or in a quoted attribute.
pub(super) fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // What changes the direction of the text around it would let a text pose as another.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => out.push('\u{fffd}'),
            _ => out.push(c),
        }
    }
}

/// A link's address if its scheme is one that cannot run anything, or it leads to this node.
pub fn harmless_url(url: &str) -> Option<&str> {
    let trimmed = url.trim();
    if trimmed.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') || trimmed.len() > 2_000 {
        return None;
    }
    let lower = trimmed.to_ascii_lowercase();
    let fine = ["https://", "http://", "mailto:"].iter().any(|scheme| lower.starts_with(scheme));
    fine.then_some(trimmed)
}
