//! Text that others wrote, made fit for an error message; secrets that print masked.

use std::fmt;

/// The longest quotation, in characters.
const QUOTE_CHARS: usize = 300;

/// A token or password that prints masked.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A secret; `None` if it is empty or could not stand in a header.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        (!text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())).then(|| Self(text.to_owned()))
    }

    /// Reads a secret from the environment.
    ///
    /// # Errors
    /// If the variable is missing, empty, or not printable ASCII; the message never has the value.
    pub fn from_env(name: &str) -> Result<Self, String> {
        let value = std::env::var(name)
            .map_err(|_| format!("the environment variable {name} is not set: export it"))?;
        Self::new(value.trim()).ok_or_else(|| {
            format!("the environment variable {name} is empty or holds characters that no token has")
        })
    }

    /// The secret itself, for the header or form that carries it and nothing else.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }

    /// `text` with every occurrence masked: servers like to quote tokens in their errors.
    pub(super) fn mask_in(&self, text: &str) -> String {
        text.replace(&self.0, "***")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// `text` on one line, without control and invisible characters, shortened.
pub(super) fn quote(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(4 * QUOTE_CHARS));
    for word in text.split(is_unprintable).filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        // Enough to cut at; a long text is not walked to its end.
        if line.len() > 8 * QUOTE_CHARS {
            break;
        }
    }
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
            '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
            | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_print_masked() {
        let secret = Secret::new("tok-123456").unwrap();
        assert_eq!(format!("{secret:?}"), "***");
        assert_eq!(secret.mask_in("no tok-123456 here"), "no *** here");
        assert_eq!(Secret::new("a b"), None);
        assert_eq!(Secret::new(""), None);
    }

    #[test]
    fn a_missing_variable_is_named() {
        let error = Secret::from_env("OSTROM_TEST_NO_SUCH_VARIABLE").unwrap_err();
        assert!(error.contains("OSTROM_TEST_NO_SUCH_VARIABLE"), "{error}");
    }

    #[test]
    fn quotations_are_one_short_line() {
        assert_eq!(quote("a\u{1b}[31m\nb\u{202e}c\u{E0041}d"), "a [31m b c d");
        assert_eq!(quote(&"x".repeat(5000)).chars().count(), QUOTE_CHARS + 1);
    }
}
