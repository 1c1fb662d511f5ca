//! Jinja's tokens, as Jinja2 with its usual delimiters takes them.

/// A token and the byte of the template where it begins.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) at: usize,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// Text between tags.
    Raw(String),
    /// `{{`
    EmitStart,
    /// `}}`
    EmitEnd,
    /// `{%`
    TagStart,
    /// `%}`
    TagEnd,
    Name(String),
    Text(String),
    /// `None` if it does not fit.
    Int(Option<i64>),
    Float,
    /// An operator or a bracket.
    Sign(&'static str),
}

/// Why a template is not one, and where.
pub(super) type Fault = (usize, String);

/// Longer signs first.
const SIGNS: [&str; 25] = [
    "//", "**", "==", "!=", "<=", ">=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", "<", ">",
    "=", ".", ":", "|", ",",
];

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    tokens: Vec<Token>,
}

/// Cuts a template into tokens.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, Fault> {
    let mut lexer = Lexer { text, at: 0, tokens: Vec::new() };
    while !lexer.rest().is_empty() {
        lexer.outside()?;
    }
    Ok(lexer.tokens)
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn push(&mut self, at: usize, kind: Kind) {
        self.tokens.push(Token { at, kind });
    }

    fn fault<T>(&self, what: impl Into<String>) -> Result<T, Fault> {
        Err((self.at, what.into()))
    }

    fn take(&mut self, token: &str) -> bool {
        let is = self.rest().starts_with(token);
        if is {
            self.at = self.at.saturating_add(token.len());
        }
        is
    }

    fn skip_space(&mut self) {
        let rest = self.rest().trim_start();
        self.at = self.text.len().saturating_sub(rest.len());
    }

    /// Text up to a tag, and the tag.
    fn outside(&mut self) -> Result<(), Fault> {
        let rest = self.rest();
        let mut from = 0;
        let mark = loop {
            match rest.get(from..).and_then(|rest| rest.find('{')) {
                None => break rest.len(),
                Some(found) => {
                    let at = from.saturating_add(found);
                    let tag = rest.get(at..).unwrap_or_default();
                    if ["{{", "{%", "{#"].iter().any(|start| tag.starts_with(start)) {
                        break at;
                    }
                    from = at.saturating_add(1);
                }
            }
        };
        if let Some(raw) = rest.get(..mark).filter(|raw| !raw.is_empty()) {
            self.push(self.at, Kind::Raw(raw.to_owned()));
            self.at = self.at.saturating_add(mark);
        }
        let at = self.at;
        if self.take("{#") {
            let Some(end) = self.rest().find("#}") else { return self.fault("a comment does not end") };
            self.at = self.at.saturating_add(end).saturating_add(2);
        } else if self.take("{{") {
            self.push(at, Kind::EmitStart);
            self.inside("}}", Kind::EmitEnd)?;
        } else if self.take("{%") {
            if let Some(after) = self.raw_tag("raw", self.at) {
                self.raw(after)?;
            } else {
                self.push(at, Kind::TagStart);
                self.inside("%}", Kind::TagEnd)?;
            }
        }
        Ok(())
    }

    /// Where the tag of only this name ends, if it is what follows at `at`.
    fn raw_tag(&self, name: &str, at: usize) -> Option<usize> {
        let rest = self.text.get(at..)?;
        let rest =
            rest.strip_prefix(['-', '+']).unwrap_or(rest).trim_start().strip_prefix(name)?.trim_start();
        let rest = rest.strip_prefix(['-', '+']).unwrap_or(rest).strip_prefix("%}")?;
        Some(self.text.len().saturating_sub(rest.len()))
    }

    /// What `{% raw %}` keeps.
    fn raw(&mut self, from: usize) -> Result<(), Fault> {
        let mut search = from;
        loop {
            let Some(found) = self.text.get(search..).and_then(|rest| rest.find("{%")) else {
                return self.fault("raw text does not end");
            };
            let start = search.saturating_add(found);
            let inside = start.saturating_add(2);
            if let Some(after) = self.raw_tag("endraw", inside) {
                let text = self.text.get(from..start).unwrap_or_default().to_owned();
                self.push(from, Kind::Raw(text));
                self.at = after;
                return Ok(());
            }
            search = inside;
        }
    }

    /// Tokens up to the end of a tag.
    fn inside(&mut self, end: &str, kind: Kind) -> Result<(), Fault> {
        // A sign of white space control belongs to the tag.
        let _ = self.take("-") || self.take("+");
        let mut open = Vec::new();
        loop {
            self.skip_space();
            let at = self.at;
            if open.is_empty() {
                let rest = self.rest();
                let tail = rest.strip_prefix(['-', '+']).unwrap_or(rest);
                if let Some(after) = rest.strip_prefix(end).or_else(|| tail.strip_prefix(end)) {
                    self.at = self.text.len().saturating_sub(after.len());
                    self.push(at, kind);
                    return Ok(());
                }
            }
            let Some(first) = self.rest().chars().next() else { return self.fault("a tag does not end") };
            if first == '"' || first == '\'' {
                self.string(first)?;
            } else if first.is_ascii_digit() {
                self.number();
            } else if first == '_' || first.is_alphanumeric() {
                let rest = self.rest();
                let after = rest.trim_start_matches(|c: char| c == '_' || c.is_alphanumeric());
                let name = rest.get(..rest.len().saturating_sub(after.len())).unwrap_or_default().to_owned();
                self.at = self.text.len().saturating_sub(after.len());
                self.push(at, Kind::Name(name));
            } else {
                let Some(sign) = SIGNS.into_iter().find(|sign| self.rest().starts_with(sign)) else {
                    return self.fault(format!("{first:?} in a tag"));
                };
                self.at = self.at.saturating_add(sign.len());
                match sign {
                    "(" => open.push(")"),
                    "[" => open.push("]"),
                    "{" => open.push("}"),
                    ")" | "]" | "}" if open.pop() != Some(sign) => {
                        return Err((at, format!("{sign:?} closes nothing")));
                    }
                    _ => {}
                }
                self.push(at, Kind::Sign(sign));
            }
        }
    }

    fn number(&mut self) {
        let at = self.at;
        let rest = self.rest();
        let after = rest.trim_start_matches(|c: char| c == '_' || c.is_ascii_alphanumeric());
        let mut word = rest.get(..rest.len().saturating_sub(after.len())).unwrap_or_default();
        let mut float = false;
        let radix = match word.get(..2) {
            Some("0x" | "0X") => 16,
            Some("0o" | "0O") => 8,
            Some("0b" | "0B") => 2,
            _ => 10,
        };
        let mut len = word.len();
        if radix == 10 {
            // `1.5` and `1e-5` are numbers; in `x.0.y` the point is followed by no digit of this number.
            let digits = |text: &str| {
                text.len()
                    .saturating_sub(text.trim_start_matches(|c: char| c == '_' || c.is_ascii_digit()).len())
            };
            len = digits(rest);
            word = rest.get(..len).unwrap_or_default();
            let before_is_point = matches!(self.tokens.last(), Some(Token { kind: Kind::Sign("."), .. }));
            let tail = rest.get(len..).unwrap_or_default();
            if let Some(fraction) = tail.strip_prefix('.').filter(|_| !before_is_point) {
                let more = digits(fraction);
                if more > 0 {
                    float = true;
                    len = len.saturating_add(more).saturating_add(1);
                }
            }
            let tail = rest.get(len..).unwrap_or_default();
            if let Some(exponent) = tail.strip_prefix(['e', 'E']) {
                let unsigned = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
                let more = digits(unsigned);
                if more > 0 {
                    float = true;
                    len = len
                        .saturating_add(1)
                        .saturating_add(exponent.len() - unsigned.len())
                        .saturating_add(more);
                }
            }
        }
        self.at = self.at.saturating_add(len);
        let digits = word.replace('_', "");
        let digits = if radix == 10 { digits.as_str() } else { digits.get(2..).unwrap_or_default() };
        let kind = if float { Kind::Float } else { Kind::Int(i64::from_str_radix(digits, radix).ok()) };
        self.push(at, kind);
    }

    /// A string, unescaped as Python does.
    fn string(&mut self, quote: char) -> Result<(), Fault> {
        let start = self.at;
        let mut text = String::new();
        let mut chars = self.text.get(start.saturating_add(1)..).unwrap_or_default().chars();
        loop {
            match chars.next() {
                None => return self.fault("a string does not end"),
                Some(c) if c == quote => break,
                Some('\\') => {
                    let rest = chars.as_str();
                    let (c, len) =
                        unescape(rest).ok_or_else(|| (start, "a string has a broken escape".to_owned()))?;
                    text.extend(c);
                    chars = rest.get(len..).unwrap_or_default().chars();
                }
                Some(c) => text.push(c),
            }
        }
        self.at = self.text.len().saturating_sub(chars.as_str().len());
        self.push(start, Kind::Text(text));
        Ok(())
    }
}

/// What the escape whose text after the backslash begins `rest` stands for, and its length. Nothing is put in for half
/// a pair of surrogates, nor for a character by its name, which is not decided here.
fn unescape(rest: &str) -> Option<(Option<char>, usize)> {
    let first = rest.chars().next()?;
    let hex = |digits: usize| {
        let text = rest.get(1..digits.checked_add(1)?)?;
        u32::from_str_radix(text, 16).ok().map(|code| (char::from_u32(code), digits.saturating_add(1)))
    };
    match first {
        '\n' => Some((None, 1)),
        'a' => Some((Some('\x07'), 1)),
        'b' => Some((Some('\x08'), 1)),
        'f' => Some((Some('\x0c'), 1)),
        'n' => Some((Some('\n'), 1)),
        'r' => Some((Some('\r'), 1)),
        't' => Some((Some('\t'), 1)),
        'v' => Some((Some('\x0b'), 1)),
        '\\' | '\'' | '"' => Some((Some(first), 1)),
        'x' => hex(2),
        'u' => hex(4),
        'U' => hex(8),
        // By name: `\N{LOW LINE}` is an underscore. No honest template does this.
        'N' => None,
        '0'..='7' => {
            let digits = rest.bytes().take(3).take_while(|byte| matches!(byte, b'0'..=b'7')).count();
            let code = u32::from_str_radix(rest.get(..digits)?, 8).ok()?;
            Some((char::from_u32(code), digits))
        }
        // Python keeps the backslash of what is no escape; the character follows as itself.
        _ => Some((Some('\\'), 0)),
    }
}
