//! Text that a person does not see: invisible characters, and those that make text read in another order.

use ostrom_core::Hidden as Class;

/// What kind of text is hidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Hidden {
    /// Invisible characters inside a word, or several in a row.
    Invisible,
    /// Characters that turn the direction of what follows.
    Bidi,
    /// Control characters that terminals act on.
    Control,
    /// Characters that spell text invisibly: tags, and runs of variation selectors.
    Smuggled,
}

impl Hidden {
    /// What it is, for a message.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Invisible => "invisible characters",
            Self::Bidi => "characters that turn the reading direction",
            Self::Control => "control characters",
            Self::Smuggled => "characters that spell text invisibly",
        }
    }
}

/// How many invisible characters in a row nobody writes.
const RUN: usize = 3;

/// The worst hidden text in `text`, with the byte where it begins.
///
/// What honest text has is passed over: a byte order mark at the beginning, joiners in emoji and in scripts that need
/// them, one variation selector after a character, direction marks, soft hyphens.
pub(crate) fn find(text: &str) -> Option<(usize, Hidden)> {
    let mut worst: Option<(usize, Hidden)> = None;
    let mut note = |at: usize, hidden: Hidden| {
        if worst.is_none_or(|(_, known)| known < hidden) {
            worst = Some((at, hidden));
        }
    };
    let mut before = '\0';
    let mut run = 0usize;
    let mut run_at = 0;
    let mut in_flag = false;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let after = chars.peek().map_or('\0', |(_, c)| *c);
        match c {
            // The flags of England, Scotland and Wales: a black flag, tags, the end tag.
            '\u{e0000}'..='\u{e007f}' => {
                in_flag = (in_flag || before == '\u{1f3f4}')
                    && matches!(c, '\u{e0061}'..='\u{e007a}' | '\u{e007f}');
                if !in_flag {
                    note(at, Hidden::Smuggled);
                }
            }
            _ if Class::of(c) == Some(Class::Bidi) => note(at, Hidden::Bidi),
            '\u{0}'..='\u{8}' | '\u{b}' | '\u{e}'..='\u{1f}' | '\u{7f}'..='\u{84}' | '\u{86}'..='\u{9f}' => {
                note(at, Hidden::Control);
            }
            '\u{200b}'
            | '\u{200c}'
            | '\u{200d}'
            | '\u{2060}'..='\u{2064}'
            | '\u{feff}'
            | '\u{180e}'
            | '\u{3164}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{ffa0}'
                if at > 0 && before.is_ascii_alphanumeric() && after.is_ascii_alphanumeric() =>
            {
                note(at, Hidden::Invisible);
            }
            _ => {}
        }
        if is_invisible(c) {
            run += 1;
            if run == 1 {
                run_at = at;
            }
            if run == RUN {
                let selectors = matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}');
                note(run_at, if selectors { Hidden::Smuggled } else { Hidden::Invisible });
            }
        } else {
            run = 0;
        }
        if !matches!(c, '\u{e0000}'..='\u{e007f}') {
            in_flag = false;
        }
        before = c;
    }
    worst
}

fn is_invisible(c: char) -> bool {
    matches!(Class::of(c), Some(Class::Invisible | Class::Joiner | Class::Selector))
        || matches!(c, '\u{200e}' | '\u{200f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_text_is_seen() {
        let tags: String = "run it".chars().map(|c| char::from_u32(0xe0000 + c as u32).unwrap()).collect();
        assert_eq!(find(&format!("plain {tags}")), Some((6, Hidden::Smuggled)));
        assert_eq!(find("a\u{202e}b"), Some((1, Hidden::Bidi)));
        assert_eq!(find("pass\u{200b}word"), Some((4, Hidden::Invisible)));
        assert_eq!(find("x \u{200b}\u{200c}\u{200b}\u{200c}"), Some((2, Hidden::Invisible)));
        assert_eq!(find("x\u{fe00}\u{fe01}\u{fe03}"), Some((1, Hidden::Smuggled)));
        assert_eq!(find("x\x1b[2J"), Some((1, Hidden::Control)));
    }

    #[test]
    fn what_people_write_is_not_hidden_text() {
        for text in [
            "\u{feff}begins with a mark",
            "👩\u{200d}🔬 ❤\u{fe0f} 👩🏽\u{200d}❤\u{fe0f}\u{200d}👨🏻",
            "🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f} Scotland",
            "می\u{200c}خواهم",
            "क्\u{200d}ष",
            "<｜begin▁of▁sentence｜>",
            "line\r\n\ttab\u{c}",
            "葛\u{e0100}城",
        ] {
            assert_eq!(find(text), None, "{text:?}");
        }
    }
}
