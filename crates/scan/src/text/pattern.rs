//! Regular expressions that may take time exponential in the text.

/// How deep groups may lie in one another.
const DEPTH: usize = 64;

/// What of `pattern` repeats a repetition, so that a text can be split in exponentially many ways. Heuristic: it looks for
/// an unbounded repetition of a group in which nothing but an unbounded repetition must match.
pub(crate) fn exponential(pattern: &str) -> Option<String> {
    let mut reader = Reader { chars: pattern.chars().collect(), at: 0, found: None };
    reader.choice(0);
    reader.found
}

#[derive(Debug, Clone, Copy, Default)]
struct Piece {
    /// It may match nothing.
    empty: bool,
    /// It may match any number of the same things.
    unbounded: bool,
    /// It is nothing but such a repetition, and what may be empty.
    splits: bool,
}

struct Reader {
    chars: Vec<char>,
    at: usize,
    found: Option<String>,
}

impl Reader {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn choice(&mut self, depth: usize) -> Piece {
        let mut piece = self.sequence(depth);
        while self.peek() == Some('|') {
            self.at += 1;
            let other = self.sequence(depth);
            piece.empty |= other.empty;
            piece.splits |= other.splits;
            piece.unbounded |= other.unbounded;
        }
        piece
    }

    fn sequence(&mut self, depth: usize) -> Piece {
        let mut all = Piece { empty: true, ..Piece::default() };
        let mut splitting = 0usize;
        let mut needed = 0usize;
        while let Some(c) = self.peek() {
            if matches!(c, '|' | ')') {
                break;
            }
            let start = self.at;
            let mut piece = self.atom(depth);
            if let Some((unbounded, empty)) = self.quantifier() {
                if unbounded && piece.splits && self.found.is_none() {
                    let text: String =
                        self.chars.get(start..self.at).unwrap_or_default().iter().take(80).collect();
                    self.found = Some(text);
                }
                piece.splits = unbounded;
                piece.unbounded |= unbounded;
                piece.empty |= empty;
            }
            all.unbounded |= piece.unbounded;
            splitting += usize::from(piece.splits);
            needed += usize::from(!piece.splits && !piece.empty);
            all.empty &= piece.empty;
        }
        all.splits = splitting > 0 && needed == 0;
        all
    }

    fn atom(&mut self, depth: usize) -> Piece {
        let Some(c) = self.peek() else { return Piece::default() };
        self.at += 1;
        match c {
            '\\' => {
                let class = self.peek();
                self.at += 1;
                if matches!(class, Some('p' | 'P' | 'x' | 'u')) && self.peek() == Some('{') {
                    while self.peek().is_some_and(|c| c != '}') {
                        self.at += 1;
                    }
                    self.at += 1;
                }
                Piece { empty: matches!(class, Some('b' | 'B' | 'A' | 'z' | 'Z')), ..Piece::default() }
            }
            '[' => {
                if self.peek() == Some('^') {
                    self.at += 1;
                }
                let first = self.at;
                while let Some(c) = self.peek() {
                    if c == ']' && self.at > first {
                        break;
                    }
                    self.at += if c == '\\' { 2 } else { 1 };
                }
                self.at += 1;
                Piece::default()
            }
            '(' if depth < DEPTH => {
                let mut atomic = false;
                let mut look = false;
                if self.peek() == Some('?') {
                    self.at += 1;
                    match self.peek() {
                        Some('>') => atomic = true,
                        Some('=' | '!') => look = true,
                        Some('<') => look = matches!(self.chars.get(self.at + 1), Some('=' | '!')),
                        _ => {}
                    }
                    // Flags and names end at a colon or bracket.
                    while let Some(c) = self.peek() {
                        if c == ')' {
                            break;
                        }
                        self.at += 1;
                        if matches!(c, ':' | '>' | '=' | '!') {
                            break;
                        }
                    }
                }
                let mut piece = self.choice(depth + 1);
                self.at += 1;
                if atomic || look {
                    piece.splits = false;
                }
                piece.empty |= look;
                piece
            }
            '^' | '$' => Piece { empty: true, ..Piece::default() },
            _ => Piece::default(),
        }
    }

    /// Whether the quantifier that is next is unbounded and may match nothing. A possessive one gives nothing back.
    fn quantifier(&mut self) -> Option<(bool, bool)> {
        let (mut unbounded, empty) = match self.peek()? {
            '*' => (true, true),
            '+' => (true, false),
            '?' => (false, true),
            '{' => {
                let rest = self.chars.get(self.at..)?;
                let len = rest.iter().take(16).position(|c| *c == '}')?;
                let inside: String = rest.get(1..len)?.iter().collect();
                if inside.is_empty() || !inside.chars().all(|c| c.is_ascii_digit() || c == ',') {
                    return None;
                }
                self.at += len;
                let most = inside.split(',').next_back().and_then(|most| most.parse::<u32>().ok());
                (most.is_none_or(|most| most > 30) && inside.contains(','), inside.starts_with('0'))
            }
            _ => return None,
        };
        self.at += 1;
        match self.peek() {
            Some('+') => {
                self.at += 1;
                unbounded = false;
            }
            Some('?') => self.at += 1,
            _ => {}
        }
        Some((unbounded, empty))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn repeated_repetitions_are_found() {
        for pattern in [
            "(a+)+$",
            "(a*)*b",
            "^(\\w+\\s?)*$",
            "(?:x|a+)+",
            "(?:[a-z]+)*!",
            "((a+))+",
            "(a{1,})+",
            "(?P<n>\\d+)*x",
        ] {
            assert!(exponential(pattern).is_some(), "{pattern}");
        }
    }

    #[test]
    fn patterns_of_real_tokenizers_are_fine() {
        for pattern in [
            r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re)?|\p{N}{1,3}",
            r"(?>a+)+",
            r"(?:a++)+",
            r"(\s+x)+",
            r".*\.(q_proj|v_proj)$",
            r"model\.layers\.\d+\.(self_attn|mlp)\..*",
            r"[!\x22#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+",
            r"^(?:.*?(?:language|text).*?(?:self_attn|mlp).*?(?:q_proj|k_proj)).*?$",
        ] {
            assert_eq!(exponential(pattern), None, "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn no_pattern_makes_it_panic(pattern in r"[a(){}\[\]|*+?\\^$:<>=!,0-9p]{0,60}") {
            exponential(&pattern);
        }
    }
}
