//! Python's tokens, as the language reference has them. Positions are bytes of the source.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A logical line begins; `end` is its indentation in columns.
    Line,
    Name,
    Number,
    /// A string or bytes literal with its prefix and quotes.
    Text,
    /// A literal with replacement fields: f-strings, t-strings.
    Format,
    Operator,
    /// What no Python takes: a string that does not end, a stray character.
    Bad,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Token {
    /// Its text in the source it was read from.
    pub(crate) fn text<'s>(&self, source: &'s str) -> &'s str {
        source.get(self.start as usize..self.end as usize).unwrap_or("")
    }
}

/// How deep replacement fields may lie in one another.
const NESTING: usize = 8;

/// The longest operators first.
const OPERATORS: [&str; 26] = [
    "**=", "//=", ">>=", "<<=", "...", "==", "!=", "<=", ">=", "->", ":=", "+=", "-=", "*=", "/=", "%=",
    "&=", "|=", "^=", "@=", "**", "//", "<<", ">>", "<>", "!",
];

/// The tokens of `source`, which is shorter than 4 GiB.
pub(crate) fn lex(source: &str) -> Vec<Token> {
    let mut lexer = Lexer::new(source, 0, source.len());
    if source.starts_with('\u{feff}') {
        lexer.at = '\u{feff}'.len_utf8();
    }
    lexer.begin_line();
    lexer.run();
    lexer.tokens
}

/// The tokens of one replacement field: an expression, whatever lines it spans.
pub(crate) fn lex_field(source: &str, start: usize, end: usize) -> Vec<Token> {
    let mut lexer = Lexer::new(source, start, end);
    lexer.depth = 1;
    lexer.run();
    lexer.tokens
}

/// Where the expressions of a format literal stand, those of its format specifications too.
pub(crate) fn fields(source: &str, token: Token) -> Vec<(usize, usize)> {
    let lexer = Lexer::new(source, token.start as usize, token.end as usize);
    let mut found = Vec::new();
    let quote =
        (token.start..token.end).map(|at| at as usize).find(|at| matches!(lexer.byte(*at), b'"' | b'\''));
    if let Some(quote) = quote {
        lexer.skip_literal(quote, true, 0, Some(&mut found));
    }
    found
}

struct Lexer<'s> {
    source: &'s str,
    bytes: &'s [u8],
    at: usize,
    end: usize,
    /// Open brackets; inside them a new line means nothing.
    depth: usize,
    tokens: Vec<Token>,
}

/// Whether `c` may stand in a name. More than Python takes: what it refuses cannot run.
fn in_name(c: char) -> bool {
    c == '_' || c.is_alphanumeric() || (!c.is_ascii() && !c.is_whitespace())
}

impl<'s> Lexer<'s> {
    fn new(source: &'s str, at: usize, end: usize) -> Self {
        Self { source, bytes: source.as_bytes(), at, end, depth: 0, tokens: Vec::new() }
    }

    /// The byte at `at`; 0 at the end.
    fn byte(&self, at: usize) -> u8 {
        if at < self.end { self.bytes.get(at).copied().unwrap_or(0) } else { 0 }
    }

    fn rest(&self) -> &'s str {
        self.source.get(self.at..self.end).unwrap_or("")
    }

    fn push(&mut self, kind: Kind, start: usize, end: usize) {
        let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        self.tokens.push(Token { kind, start: place(start), end: place(end) });
    }

    /// At the beginning of a physical line outside brackets: skips blank lines and notes the indentation of the first other.
    fn begin_line(&mut self) {
        let mut column = 0usize;
        while self.at < self.end {
            match self.byte(self.at) {
                b' ' => column += 1,
                b'\t' => column = (column / 8 + 1) * 8,
                b'\x0c' | b'\n' | b'\r' => column = 0,
                b'#' => {
                    self.skip_comment();
                    continue;
                }
                _ => {
                    self.push(Kind::Line, self.at, column);
                    return;
                }
            }
            self.at += 1;
        }
    }

    fn skip_comment(&mut self) {
        // Python ends a line at a lone carriage return too; an editor may show what follows it as part of the comment.
        while self.at < self.end && !matches!(self.byte(self.at), b'\n' | b'\r') {
            self.at += 1;
        }
    }

    fn run(&mut self) {
        while self.at < self.end {
            let start = self.at;
            match self.byte(start) {
                b' ' | b'\t' | b'\x0c' => self.at += 1,
                b'\n' | b'\r' => {
                    self.at += 1;
                    if self.depth == 0 {
                        self.begin_line();
                    }
                }
                b'#' => self.skip_comment(),
                b'\\' => match (self.byte(start + 1), self.byte(start + 2)) {
                    (b'\r', b'\n') => self.at += 3,
                    (b'\r' | b'\n', _) => self.at += 2,
                    _ => {
                        self.at += 1;
                        self.push(Kind::Bad, start, start + 1);
                    }
                },
                b'"' | b'\'' => self.literal(start, start, false),
                b'0'..=b'9' => self.number(),
                b'.' if self.byte(start + 1).is_ascii_digit() => self.number(),
                _ => self.word(),
            }
        }
    }

    fn number(&mut self) {
        let start = self.at;
        let mut dot = false;
        loop {
            let byte = self.byte(self.at);
            let exponent = matches!(byte, b'+' | b'-')
                && matches!(self.byte(self.at.wrapping_sub(1)), b'e' | b'E')
                && self.at > start
                && !matches!(self.byte(start + 1), b'x' | b'X');
            let point = byte == b'.' && !dot && !self.byte(self.at + 1).is_ascii_alphabetic();
            dot |= point;
            if !(byte.is_ascii_alphanumeric() || byte == b'_' || exponent || point) {
                break;
            }
            self.at += 1;
        }
        self.push(Kind::Number, start, self.at);
    }

    fn word(&mut self) {
        let start = self.at;
        let rest = self.rest();
        let len = rest.find(|c| !in_name(c)).unwrap_or(rest.len());
        if len > 0 {
            self.at += len;
            let prefix = rest.get(..len).unwrap_or("");
            if len <= 2
                && matches!(self.byte(self.at), b'"' | b'\'')
                && prefix.bytes().all(|byte| b"rRbBuUfFtT".contains(&byte))
            {
                let format = prefix.bytes().any(|byte| b"fFtT".contains(&byte));
                self.literal(start, self.at, format);
            } else {
                self.push(Kind::Name, start, self.at);
            }
            return;
        }
        let operator = OPERATORS.iter().find(|operator| rest.starts_with(**operator));
        let len = operator.map_or_else(|| rest.chars().next().map_or(1, char::len_utf8), |op| op.len());
        self.at += len;
        let kind = match self.byte(start) {
            b'(' | b'[' | b'{' => {
                self.depth += 1;
                Kind::Operator
            }
            b')' | b']' | b'}' => {
                self.depth = self.depth.saturating_sub(1);
                Kind::Operator
            }
            byte if operator.is_some() || b"+-*/%@&|^~<>.,:;=".contains(&byte) => Kind::Operator,
            _ => Kind::Bad,
        };
        self.push(kind, start, self.at);
    }

    fn literal(&mut self, start: usize, quote: usize, format: bool) {
        let (end, whole) = self.skip_literal(quote, format, 0, None);
        self.at = end;
        let kind = match (whole, format) {
            (false, _) => Kind::Bad,
            (true, true) => Kind::Format,
            (true, false) => Kind::Text,
        };
        self.push(kind, start, end);
    }

    /// Where the literal whose quotes begin at `quote` ends, and whether it does.
    fn skip_literal(
        &self,
        quote: usize,
        format: bool,
        level: usize,
        mut found: Option<&mut Vec<(usize, usize)>>,
    ) -> (usize, bool) {
        let mark = self.byte(quote);
        let triple = self.byte(quote + 1) == mark && self.byte(quote + 2) == mark;
        let mut at = quote + if triple { 3 } else { 1 };
        let raw =
            (1..=2).any(|back| quote.checked_sub(back).is_some_and(|at| b"rR".contains(&self.byte(at))));
        while at < self.end {
            let byte = self.byte(at);
            match byte {
                // Before a brace a backslash is just one, except in the name of a character.
                b'\\' if format && matches!(self.byte(at + 1), b'{' | b'}') => at += 1,
                b'\\' if format && !raw && self.byte(at + 1) == b'N' && self.byte(at + 2) == b'{' => {
                    while at < self.end && !matches!(self.byte(at), b'}' | b'\n') {
                        at += 1;
                    }
                }
                b'\\' => at += if self.byte(at + 1) == b'\r' && self.byte(at + 2) == b'\n' { 3 } else { 2 },
                b'\n' | b'\r' if !triple => return (at, false),
                b'{' if format && self.byte(at + 1) == b'{' => at += 2,
                b'{' if format => {
                    let Some(end) = self.skip_field(at + 1, level + 1, found.as_deref_mut()) else {
                        return (self.end, false);
                    };
                    at = end;
                }
                _ if byte == mark && !triple => return (at + 1, true),
                _ if byte == mark && self.byte(at + 1) == mark && self.byte(at + 2) == mark => {
                    return (at + 3, true);
                }
                _ => at += 1,
            }
        }
        (self.end, false)
    }

    /// The end of the replacement field whose expression begins at `start`; `None` if it has none.
    fn skip_field(
        &self,
        start: usize,
        level: usize,
        mut found: Option<&mut Vec<(usize, usize)>>,
    ) -> Option<usize> {
        if level > NESTING {
            return None;
        }
        let mut at = start;
        let mut depth = 0usize;
        let mut expression = None;
        while at < self.end {
            let byte = self.byte(at);
            match byte {
                b'}' if depth == 0 => {
                    if let Some(found) = found {
                        found.push((start, expression.unwrap_or(at)));
                    }
                    return Some(at + 1);
                }
                b'{' if expression.is_some() => {
                    at = self.skip_field(at + 1, level + 1, found.as_deref_mut())?;
                    continue;
                }
                // After the colon everything is a format specification, quotes too.
                _ if expression.is_some() => {}
                b'"' | b'\'' => {
                    let before = |back: usize| {
                        at.checked_sub(back).filter(|at| *at >= start).map_or(0, |at| self.byte(at))
                    };
                    let prefixed = |byte: u8| b"fFtT".contains(&byte);
                    let format = prefixed(before(1)) || (b"rR".contains(&before(1)) && prefixed(before(2)));
                    let (end, whole) = self.skip_literal(at, format, level + 1, None);
                    if !whole {
                        return None;
                    }
                    at = end;
                    continue;
                }
                b'(' | b'[' | b'{' => depth += 1,
                b')' | b']' | b'}' => depth = depth.saturating_sub(1),
                b'!' if depth == 0 && self.byte(at + 1) != b'=' && expression.is_none() => {
                    expression = Some(at);
                }
                b':' if depth == 0 => expression = Some(at),
                _ => {}
            }
            at += 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> Vec<String> {
        lex(source)
            .iter()
            .map(|token| match token.kind {
                Kind::Line => format!("|{}", token.end),
                Kind::Bad => format!("bad:{}", token.text(source)),
                _ => token.text(source).to_owned(),
            })
            .collect()
    }

    #[test]
    fn tokens_are_those_of_python() {
        assert_eq!(words("a = b\n  c(1.5e-3)\n"), ["|0", "a", "=", "b", "|2", "c", "(", "1.5e-3", ")"]);
        assert_eq!(words("x = (1,\n   2)\ny"), ["|0", "x", "=", "(", "1", ",", "2", ")", "|0", "y"]);
        assert_eq!(words("a \\\n b"), ["|0", "a", "b"]);
        assert_eq!(words("r'\\'' rb\"x\" '''a\n'b''' "), ["|0", "r'\\''", "rb\"x\"", "'''a\n'b'''"]);
        assert_eq!(
            words("1..real 1.0.real x.y"),
            ["|0", "1.", ".", "real", "1.0", ".", "real", "x", ".", "y"]
        );
    }

    #[test]
    fn a_carriage_return_ends_a_comment() {
        assert_eq!(words("# hello\ros.system"), ["|0", "os", ".", "system"]);
    }

    #[test]
    fn what_no_python_takes_is_marked() {
        assert_eq!(words("a = 'x\nb"), ["|0", "a", "=", "bad:'x", "|0", "b"]);
        assert_eq!(words("a $ b"), ["|0", "a", "bad:$", "b"]);
    }

    #[test]
    fn backslashes_do_not_hide_fields() {
        let found = |source: &str| {
            let token = lex(source)[1];
            assert_eq!((token.kind, token.end as usize), (Kind::Format, source.len()), "{source}");
            fields(source, token)
                .into_iter()
                .map(|(start, end)| source.get(start..end).unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(found(r"f'\{a}'"), ["a"]);
        assert_eq!(found(r"f'\{{b}} \'{a}'"), ["a"]);
        assert_eq!(found(r"f'\N{DIGIT ONE}{a}'"), ["a"]);
        assert_eq!(found(r"rf'({a})(\{{)\N{b}'"), ["a", "b"]);
    }

    #[test]
    fn fields_of_format_strings_are_found() {
        let source = "f'a{{b}}{x!r:>{width}} {d['k']} {g(\"}\")} {a != b}'";
        let tokens = lex(source);
        assert_eq!(tokens.len(), 2);
        let mut found: Vec<_> = fields(source, tokens[1])
            .into_iter()
            .map(|(start, end)| source.get(start..end).unwrap())
            .collect();
        found.sort_unstable();
        assert_eq!(found, ["a != b", "d['k']", "g(\"}\")", "width", "x"]);
    }
}
