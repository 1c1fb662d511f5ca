//! What string literals say.

/// The text of a string or bytes literal, given with prefix and quotes; bytes as the characters of the same numbers.
/// `None` if it holds a character name that is not one of a plain letter.
pub(crate) fn decode(literal: &str) -> Option<String> {
    let quote = literal.find(['"', '\''])?;
    let (prefix, quoted) = literal.split_at_checked(quote)?;
    let mark = quoted.get(..1)?;
    let triple = mark.repeat(3);
    let body = match quoted.strip_prefix(&triple).and_then(|rest| rest.strip_suffix(&triple)) {
        Some(body) => body,
        None => quoted.strip_prefix(mark)?.strip_suffix(mark)?,
    };
    let has = |letter: char| prefix.chars().any(|c| c.eq_ignore_ascii_case(&letter));
    if has('r') || !body.contains('\\') {
        return Some(body.to_owned());
    }
    unescape(body, has('b'))
}

fn unescape(body: &str, bytes: bool) -> Option<String> {
    let mut out = String::with_capacity(body.len());
    let mut chars = body.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let Some(escape) = chars.next() else { break };
        let number =
            |chars: &mut std::iter::Peekable<std::str::Chars<'_>>, first: u32, radix: u32, most: usize| {
                let mut value = first;
                for _ in 0..most {
                    let Some(digit) = chars.peek().and_then(|c| c.to_digit(radix)) else { break };
                    value = value.saturating_mul(radix).saturating_add(digit);
                    chars.next();
                }
                char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER)
            };
        match escape {
            '\n' => {}
            '\r' => {
                chars.next_if_eq(&'\n');
            }
            'a' => out.push('\x07'),
            'b' => out.push('\x08'),
            'f' => out.push('\x0c'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'v' => out.push('\x0b'),
            'x' => out.push(number(&mut chars, 0, 16, 2)),
            'u' if !bytes => out.push(number(&mut chars, 0, 16, 4)),
            'U' if !bytes => out.push(number(&mut chars, 0, 16, 8)),
            'N' if !bytes => out.push(named(&mut chars)?),
            '0'..='7' => {
                let first = escape.to_digit(8).unwrap_or(0);
                out.push(number(&mut chars, first, 8, 2));
            }
            '\\' | '\'' | '"' => out.push(escape),
            other => out.extend(['\\', other]),
        }
    }
    Some(out)
}

/// The character of `{LATIN SMALL LETTER A}`. Other names would need a table that is not worth having.
fn named(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    chars.next_if_eq(&'{')?;
    let name: String = chars.by_ref().take(100).take_while(|c| *c != '}').collect();
    let name = name.to_ascii_uppercase();
    if name == "LOW LINE" {
        return Some('_');
    }
    let (letter, small) = match name.strip_prefix("LATIN SMALL LETTER ") {
        Some(letter) => (letter, true),
        None => (name.strip_prefix("LATIN CAPITAL LETTER ")?, false),
    };
    let mut letters = letter.chars();
    let c = letters.next().filter(char::is_ascii_alphabetic)?;
    letters.next().is_none().then(|| if small { c.to_ascii_lowercase() } else { c })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_resolved() {
        for (literal, text) in [
            (r"'os'", "os"),
            (r#"b"\x6f\163""#, "os"),
            (r"u'\u006f\U00000073'", "os"),
            (r"'\N{LATIN SMALL LETTER O}s'", "os"),
            (r"r'\x6f'", r"\x6f"),
            ("'''a\\\nb'''", "ab"),
            (r"'\d'", r"\d"),
            ("''", ""),
        ] {
            assert_eq!(decode(literal).as_deref(), Some(text), "{literal}");
        }
        assert_eq!(decode(r"'\N{GREEK SMALL LETTER OMICRON}'"), None);
    }
}
