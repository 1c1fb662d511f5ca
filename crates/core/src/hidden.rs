//! Characters that people do not see and models do, or that show text in another order than it is.
//!
//! This is only the table; what is suspicious where is for those who use it to say, since emoji and many scripts have
//! honest uses of most classes.

/// What a character that does not show as itself is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hidden {
    /// A control character other than tab, line feed and carriage return.
    Control,
    /// A line or paragraph separator.
    Separator,
    /// Nothing to see: soft hyphens, fillers, zero-width spaces, invisible operators, musical controls.
    Invisible,
    /// A zero-width joiner or non-joiner. Emoji and many scripts need them.
    Joiner,
    /// A mark that has a direction and no shape.
    Mark,
    /// A control that turns the direction of what follows.
    Bidi,
    /// A variation selector. In a row they can spell bytes.
    Selector,
    /// A tag character, an invisible copy of an ASCII character. Flags of regions are made of them.
    Tag,
    /// Unassigned, and invisible in advance.
    Reserved,
    /// Interlinear annotation, and unassigned neighbours.
    Annotation,
}

impl Hidden {
    /// What `c` is, if it does not show as itself.
    pub fn of(c: char) -> Option<Self> {
        Some(match c {
            ' '..='~' | '\t' | '\n' | '\r' => return None,
            _ if c.is_control() => Self::Control,
            '\u{2028}' | '\u{2029}' => Self::Separator,
            '\u{200c}' | '\u{200d}' => Self::Joiner,
            '\u{61c}' | '\u{200e}' | '\u{200f}' => Self::Mark,
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => Self::Bidi,
            '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' => {
                Self::Selector
            }
            '\u{e0000}'..='\u{e007f}' => Self::Tag,
            '\u{2065}' | '\u{e0080}'..='\u{e00ff}' | '\u{e01f0}'..='\u{e0fff}' => Self::Reserved,
            '\u{fff0}'..='\u{fffb}' => Self::Annotation,
            '\u{ad}'
            | '\u{34f}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{17b4}'
            | '\u{17b5}'
            | '\u{180e}'
            | '\u{200b}'
            | '\u{2060}'..='\u{2064}'
            | '\u{206a}'..='\u{206f}'
            | '\u{3164}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{1d173}'..='\u{1d17a}' => Self::Invisible,
            _ => return None,
        })
    }

    /// What it is, for a message.
    pub fn words(self) -> &'static str {
        match self {
            Self::Control => "control characters",
            Self::Separator => "line separators",
            Self::Invisible => "invisible characters",
            Self::Joiner => "zero-width joiners",
            Self::Mark => "direction marks",
            Self::Bidi => "characters that turn the reading direction",
            Self::Selector => "variation selectors",
            Self::Tag => "tag characters, which spell text invisibly",
            Self::Reserved => "unassigned characters that do not show",
            Self::Annotation => "annotation characters",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shows_is_not_hidden() {
        for c in "aZ0 \t\n\r~é漢ع가😀🏴\u{301}\u{3000}\u{a0}\u{fffd}".chars() {
            assert_eq!(Hidden::of(c), None, "{c:?}");
        }
    }

    #[test]
    fn every_class_is_told_from_the_others() {
        for (c, class) in [
            ('\u{1b}', Hidden::Control),
            ('\u{85}', Hidden::Control),
            ('\u{2028}', Hidden::Separator),
            ('\u{200b}', Hidden::Invisible),
            ('\u{180e}', Hidden::Invisible),
            ('\u{feff}', Hidden::Invisible),
            ('\u{200d}', Hidden::Joiner),
            ('\u{200f}', Hidden::Mark),
            ('\u{202e}', Hidden::Bidi),
            ('\u{2067}', Hidden::Bidi),
            ('\u{fe0f}', Hidden::Selector),
            ('\u{e0100}', Hidden::Selector),
            ('\u{e0041}', Hidden::Tag),
            ('\u{2065}', Hidden::Reserved),
            ('\u{fff9}', Hidden::Annotation),
        ] {
            assert_eq!(Hidden::of(c), Some(class), "{c:?}");
        }
    }
}
