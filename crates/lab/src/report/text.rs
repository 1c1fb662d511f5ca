//! Words for figures, and what attackers wrote with the invisible made visible.

use std::ops::Range;

use crate::metrics::Rate;
use crate::rule::is_invisible;

/// Stands between a number and its unit.
const NBSP: char = '\u{a0}';

/// A count with its thousands apart.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// "1 attack", "2 attacks".
pub fn plural(n: u64, one: &str, many: &str) -> String {
    format!("{}{NBSP}{}", count(n), if n == 1 { one } else { many })
}

/// A share in per cent without the sign. Near the ends it keeps a decimal, so that little does not look like nothing.
fn number(share: f64) -> String {
    match share.clamp(0.0, 1.0) * 100.0 {
        x if x < 1e-7 => "0".to_owned(),
        x if x < 0.05 => "<0.1".to_owned(),
        x if x < 0.95 => format!("{x:.1}"),
        x if x > 100.0 - 1e-7 => "100".to_owned(),
        x if x > 99.95 => ">99.9".to_owned(),
        x if x > 99.05 => format!("{x:.1}"),
        x => format!("{x:.0}"),
    }
}

/// A share in per cent.
pub fn percent(share: f64) -> String {
    format!("{}{NBSP}%", number(share))
}

/// A span of shares, or the one that both ends round to.
pub fn span(low: f64, high: f64) -> String {
    let (low, high) = (number(low), number(high));
    if low == high { format!("{low}{NBSP}%") } else { format!("{low}–{high}{NBSP}%") }
}

/// A rate, or what it lies between where trials failed.
pub fn share(rate: &Rate) -> String {
    rate.bounds().map_or_else(|| "not tested".to_owned(), |(least, most)| span(least, most))
}

/// "23 of 144".
pub fn tally(rate: &Rate) -> String {
    let failed = if rate.failed > 0 { format!(", {} failed", count(rate.failed)) } else { String::new() };
    format!("{}{NBSP}of{NBSP}{}{failed}", count(rate.successes), count(rate.trials))
}

/// The names as a list in a sentence.
pub fn list(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

/// A stretch of somebody's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// What is printed.
    pub text: String,
    /// It stands for characters that have no picture of their own.
    pub hidden: bool,
    /// The attacker's work.
    pub injected: bool,
    /// Ostrom's own words: something is left out.
    pub note: bool,
}

/// How a character is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Glyph {
    /// As it is.
    Plain,
    /// A tag character, by the ASCII character that it mirrors.
    Tag,
    /// By its number.
    Code(char),
}

impl Glyph {
    fn of(c: char) -> (Self, char) {
        let mirrored = u32::from(c).checked_sub(0xe0000).filter(|code| (0x20..0x7f).contains(code));
        if let Some(ascii) = mirrored.and_then(char::from_u32) {
            return (Self::Tag, ascii);
        }
        let unseen = is_invisible(c)
            || matches!(c, '\u{2028}' | '\u{2029}')
            || (c.is_control() && c != '\n' && c != '\t');
        (if unseen { Self::Code(c) } else { Self::Plain }, c)
    }
}

/// Characters in a row that are shown the same way.
struct Stretch {
    glyph: Glyph,
    injected: bool,
    text: String,
    length: u64,
}

impl From<Stretch> for Piece {
    fn from(run: Stretch) -> Self {
        let text = match run.glyph {
            Glyph::Plain => run.text,
            Glyph::Tag => format!("⟨tag:{}⟩", run.text),
            Glyph::Code(c) if run.length == 1 => format!("⟨{:04X}⟩", u32::from(c)),
            Glyph::Code(c) => format!("⟨{:04X}×{}⟩", u32::from(c), run.length),
        };
        Self { text, hidden: run.glyph != Glyph::Plain, injected: run.injected, note: false }
    }
}

/// A text for reading: at most `limit` characters of it, around `injected` (in characters), with a note where
/// something is left out.
pub fn pieces(text: &str, injected: &Range<usize>, limit: usize) -> Vec<Piece> {
    let total = text.chars().count();
    let start = injected.start.saturating_sub(limit / 4).min(total.saturating_sub(limit));
    let left = total.saturating_sub(start).saturating_sub(limit);
    let mut runs: Vec<Stretch> = Vec::new();
    for (index, c) in text.chars().enumerate().skip(start).take(limit) {
        let ((glyph, shown), injected) = (Glyph::of(c), injected.contains(&index));
        match runs.last_mut() {
            Some(run) if run.glyph == glyph && run.injected == injected => {
                run.text.push(shown);
                run.length += 1;
            }
            _ => runs.push(Stretch { glyph, injected, text: shown.to_string(), length: 1 }),
        }
    }
    let note = |n: usize| {
        let text = format!("[{} not shown]", plural(n as u64, "character", "characters"));
        (n > 0).then_some(Piece { text, hidden: false, injected: false, note: true })
    };
    note(start).into_iter().chain(runs.into_iter().map(Piece::from)).chain(note(left)).collect()
}

/// A name or a note as one text, for where there is no room for more.
pub fn visible(text: &str) -> String {
    pieces(text, &(0..0), 1_200).into_iter().map(|piece| piece.text).collect()
}

/// Where `text` differs from `original`, in characters: from the first difference to the last. Where the same
/// difference can be read in several ways, the one that begins with a line is taken.
pub fn changed(text: &str, original: &str) -> Range<usize> {
    let same = |(a, b): &(char, char)| a == b;
    let (length, before) = (text.chars().count(), original.chars().count());
    let prefix = text.chars().zip(original.chars()).take_while(same).count();
    let rest = length.min(before).saturating_sub(prefix);
    let suffix = text.chars().rev().zip(original.chars().rev()).take_while(same).count().min(rest);
    let (start, end) = (prefix, length.saturating_sub(suffix));
    let before_start = text.chars().rev().skip(length.saturating_sub(start));
    let before_end = text.chars().rev().skip(suffix);
    // The range can move left for as long as the character it takes in is the one it lets go.
    let slides = before_start.zip(before_end).take_while(same);
    let slide = slides.enumerate().find(|&(_, (c, _))| c == '\n').map_or(0, |(steps, _)| steps);
    start.saturating_sub(slide)..end.saturating_sub(slide)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_is_not_nothing() {
        for (share, expect) in [
            (0.0, "0\u{a0}%"),
            (1e-17, "0\u{a0}%"),
            (0.0001, "<0.1\u{a0}%"),
            (0.004, "0.4\u{a0}%"),
            (0.0097, "1\u{a0}%"),
            (0.161, "16\u{a0}%"),
            (0.996, "99.6\u{a0}%"),
            (0.9999, ">99.9\u{a0}%"),
            (1.0, "100\u{a0}%"),
        ] {
            assert_eq!(percent(share), expect);
        }
        assert_eq!(span(0.1, 0.24), "10–24\u{a0}%");
        assert_eq!(span(0.101, 0.102), "10\u{a0}%");
        assert_eq!([999, 1_000, 1_234_567].map(count), ["999", "1,000", "1,234,567"]);
    }

    #[test]
    fn the_invisible_is_shown() {
        assert_eq!(visible("a\u{200b}b"), "a⟨200B⟩b");
        assert_eq!(visible("\u{200b}\u{200b}\u{200b}\u{202e}x"), "⟨200B×3⟩⟨202E⟩x");
        assert_eq!(visible("\u{e0041}\u{e0042}\u{e0001}"), "⟨tag:AB⟩⟨E0001⟩");
        assert_eq!(visible("bell\u{7}, line\n\ttab\r"), "bell⟨0007⟩, line\n\ttab⟨000D⟩");
        assert_eq!(visible("Grüße, 日本"), "Grüße, 日本");
    }

    #[test]
    fn long_texts_are_shortened_around_the_injection() {
        let original = format!("{}{}", "a".repeat(500), "b".repeat(500));
        let attacked = format!("{}OBEY{}", "a".repeat(500), "b".repeat(500));
        let change = changed(&attacked, &original);
        assert_eq!(change, 500..504);
        let pieces = pieces(&attacked, &change, 100);
        let texts: Vec<&str> = pieces.iter().map(|piece| piece.text.as_str()).collect();
        assert_eq!(texts[0], "[475\u{a0}characters not shown]");
        assert_eq!(texts[2], "OBEY");
        assert!(pieces[2].injected && !pieces[1].injected && pieces[0].note);
        assert_eq!(texts[4], "[429\u{a0}characters not shown]");
        assert_eq!(changed("aXa", "aa"), 1..2);
        assert_eq!(changed("<a>\n<X>\n<b>", "<a>\n<b>"), 4..8);
        assert_eq!(changed("<a>\n<b>", "<a>\n<c>"), 5..6);
        assert_eq!(changed("same", "same"), 4..4);
        assert_eq!(changed("", "gone"), 0..0);
    }
}
