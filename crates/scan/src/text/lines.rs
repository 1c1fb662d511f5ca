//! Lines as those who read a text end them, which is not always as an editor shows them.

/// What ends a line of YAML, for PyYAML and libyaml.
pub(super) fn ends_yaml(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// What ends a line for Python's `str.splitlines`.
pub(super) fn ends_python(c: char) -> bool {
    ends_yaml(c) || matches!(c, '\x0b' | '\x0c' | '\x1c'..='\x1e')
}

/// The lines with what ends them, and where each begins. The two characters of `\r\n` may end two lines, the second of which is
/// empty.
pub(super) fn lines(text: &str, ends: fn(char) -> bool) -> impl Iterator<Item = (u64, &str)> {
    let mut offset = 0_u64;
    text.split_inclusive(ends).map(move |line| {
        let start = offset;
        offset = offset.saturating_add(line.len() as u64);
        (start, line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_where_readers_end_them() {
        let text = "a\rb\u{85}c\u{2028}d\x0be\r\n";
        let all = |ends| lines(text, ends).map(|(at, line)| (at, line.trim())).collect::<Vec<_>>();
        assert_eq!(all(ends_yaml), [(0, "a"), (2, "b"), (5, "c"), (9, "d\x0be"), (13, "")]);
        assert_eq!(all(ends_python).len(), 6);
    }
}
