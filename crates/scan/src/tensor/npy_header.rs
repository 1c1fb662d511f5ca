//! The header of a numpy file: a Python literal, of which only what numpy writes is taken.

/// What a header says.
pub(super) struct Header {
    /// What an element is.
    pub(super) content: Content,
    /// How many there are; `None` if there is no such number.
    pub(super) elements: Option<u64>,
}

/// What elements are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// So many bytes each.
    Bytes(u64),
    /// Python objects, at least in part: the data are a pickle.
    Objects,
    /// A type that no list has.
    Unknown(String),
}

/// A Python literal.
#[derive(Debug)]
enum Literal {
    Text(String),
    Bool(bool),
    Int(u64),
    None,
    Tuple(Vec<Literal>),
    List(Vec<Literal>),
    Dict(Vec<(Literal, Literal)>),
}

const MAX_DEPTH: usize = 32;

type Read<T> = Result<T, &'static str>;

/// Reads a header.
///
/// # Errors
/// If it is anything but a dict of `descr`, `fortran_order` and `shape`.
pub(super) fn read(text: &str) -> Read<Header> {
    let mut parser = Parser { rest: text, depth: 0 };
    let Literal::Dict(pairs) = parser.literal()? else { return Err("the header is not a dict") };
    // numpy pads with spaces and ends with a newline.
    if !parser.rest.trim_matches([' ', '\n']).is_empty() {
        return Err("something follows the dict");
    }
    let (mut content, mut elements, mut order) = (None, None, None);
    for (key, value) in pairs {
        let Literal::Text(key) = key else { return Err("a key is not text") };
        let twice = match key.as_str() {
            "descr" => content.replace(descr(&value)?).is_some(),
            "shape" => elements.replace(shape(&value)?).is_some(),
            "fortran_order" => {
                let Literal::Bool(value) = value else { return Err("fortran_order is not a truth value") };
                order.replace(value).is_some()
            }
            _ => return Err("a key that numpy does not write"),
        };
        if twice {
            return Err("a key occurs twice");
        }
    }
    match (content, elements, order) {
        (Some(content), Some(elements), Some(_)) => Ok(Header { content, elements }),
        _ => Err("descr, shape or fortran_order is missing"),
    }
}

/// How many elements a shape has.
fn shape(value: &Literal) -> Read<Option<u64>> {
    let Literal::Tuple(extents) = value else { return Err("the shape is not a tuple") };
    let mut elements = Some(1u64);
    let mut empty = false;
    for extent in extents {
        let Literal::Int(extent) = extent else { return Err("an extent is not a number") };
        empty |= *extent == 0;
        elements = elements.and_then(|elements| elements.checked_mul(*extent));
    }
    Ok(if empty { Some(0) } else { elements })
}

/// What a type description describes.
fn descr(value: &Literal) -> Read<Content> {
    match value {
        Literal::Text(text) => Ok(simple(text)),
        Literal::List(fields) => {
            let mut size = 0u64;
            let mut unknown = None;
            let mut objects = false;
            for field in fields {
                let Literal::Tuple(field) = field else { return Err("a field is not a tuple") };
                let (name, kind, extents) = match field.as_slice() {
                    [name, kind] => (name, kind, None),
                    [name, kind, extents] => (name, kind, Some(extents)),
                    _ => return Err("a field is not a name, a type and a shape"),
                };
                match name {
                    Literal::Text(_) => {}
                    Literal::Tuple(both)
                        if matches!(both.as_slice(), [Literal::Text(_), Literal::Text(_)]) => {}
                    _ => return Err("the name of a field is not text"),
                }
                match times(descr(kind)?, extents)? {
                    Content::Objects => objects = true,
                    Content::Unknown(kind) => unknown = Some(kind),
                    Content::Bytes(bytes) => size = size.checked_add(bytes).ok_or("a type is too large")?,
                }
            }
            // Objects decide: with one of them, all of the data are a pickle.
            Ok(if objects {
                Content::Objects
            } else {
                unknown.map_or(Content::Bytes(size), Content::Unknown)
            })
        }
        // A type with a shape of its own.
        Literal::Tuple(both) => match both.as_slice() {
            [kind, extents] => times(descr(kind)?, Some(extents)),
            _ => Err("a type is not a type and a shape"),
        },
        _ => Err("descr is no description of a type"),
    }
}

fn times(content: Content, extents: Option<&Literal>) -> Read<Content> {
    let elements = match extents {
        None => Some(1),
        Some(Literal::Int(extent)) => Some(*extent),
        Some(extents) => shape(extents)?,
    };
    Ok(match content {
        Content::Bytes(bytes) => Content::Bytes(
            elements.and_then(|elements| elements.checked_mul(bytes)).ok_or("a type is too large")?,
        ),
        other => other,
    })
}

/// A type that is written as one string: byte order, kind, bytes, and a unit for times.
fn simple(text: &str) -> Content {
    let unknown = || Content::Unknown(text.to_owned());
    let rest = text.strip_prefix(['<', '>', '|', '=']).unwrap_or(text);
    let mut chars = rest.chars();
    let Some(kind) = chars.next() else { return unknown() };
    let rest = chars.as_str();
    // Objects of whatever size a machine gives them.
    if kind == 'O' && rest.bytes().all(|byte| byte.is_ascii_digit()) {
        return Content::Objects;
    }
    let digits = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    let (size, unit) = rest.split_at(rest.len().saturating_sub(digits.len()));
    let has_unit = !unit.is_empty();
    let is_unit = unit.strip_prefix('[').and_then(|unit| unit.strip_suffix(']')).is_some_and(|unit| {
        !unit.is_empty()
            && unit.len() < 24
            && unit.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'/')
    });
    let Ok(size) = size.parse::<u64>() else {
        return if rest.is_empty() && kind == '?' { Content::Bytes(1) } else { unknown() };
    };
    let known = match kind {
        'b' => size == 1,
        'i' | 'u' => matches!(size, 1 | 2 | 4 | 8),
        'f' => matches!(size, 2 | 4 | 8 | 10 | 12 | 16),
        'c' => matches!(size, 8 | 16 | 20 | 24 | 32),
        'M' | 'm' => size == 8,
        'S' | 'a' | 'V' | 'U' => true,
        _ => false,
    };
    if !known || (has_unit && !(is_unit && matches!(kind, 'M' | 'm'))) {
        return unknown();
    }
    match if kind == 'U' { size.checked_mul(4) } else { Some(size) } {
        Some(bytes) => Content::Bytes(bytes),
        None => unknown(),
    }
}

struct Parser<'a> {
    rest: &'a str,
    depth: usize,
}

impl Parser<'_> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn take(&mut self, token: &str) -> bool {
        self.space();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn literal(&mut self) -> Read<Literal> {
        self.depth = self.depth.saturating_add(1);
        if self.depth > MAX_DEPTH {
            return Err("the header is nested too deeply");
        }
        let literal = self.value();
        self.depth = self.depth.saturating_sub(1);
        literal
    }

    fn value(&mut self) -> Read<Literal> {
        if self.take("{") {
            return self.dict();
        }
        if self.take("[") {
            return Ok(Literal::List(self.items("]")?.0));
        }
        if self.take("(") {
            let (mut items, comma) = self.items(")")?;
            // Parentheses around one value are only parentheses.
            return Ok(match items.pop() {
                Some(only) if items.is_empty() && !comma => only,
                last => {
                    items.extend(last);
                    Literal::Tuple(items)
                }
            });
        }
        for (word, literal) in
            [("True", Literal::Bool(true)), ("False", Literal::Bool(false)), ("None", Literal::None)]
        {
            if self.take(word) {
                return Ok(literal);
            }
        }
        if self.take("'") {
            return self.text('\'');
        }
        if self.take("\"") {
            return self.text('"');
        }
        self.number()
    }

    fn dict(&mut self) -> Read<Literal> {
        let mut pairs = Vec::new();
        loop {
            if self.take("}") {
                return Ok(Literal::Dict(pairs));
            }
            let key = self.literal()?;
            if !self.take(":") {
                return Err("a key has no value");
            }
            pairs.push((key, self.literal()?));
            if !self.take(",") {
                return if self.take("}") { Ok(Literal::Dict(pairs)) } else { Err("the dict does not end") };
            }
        }
    }

    /// Values up to `end`, and whether a comma came last.
    fn items(&mut self, end: &str) -> Read<(Vec<Literal>, bool)> {
        let mut items = Vec::new();
        let mut comma = false;
        loop {
            if self.take(end) {
                return Ok((items, comma));
            }
            if !items.is_empty() && !comma {
                return Err("values are not separated");
            }
            items.push(self.literal()?);
            comma = self.take(",");
        }
    }

    fn text(&mut self, quote: char) -> Read<Literal> {
        let mut text = String::new();
        let mut chars = self.rest.chars();
        loop {
            match chars.next() {
                None | Some('\n') => return Err("text does not end"),
                Some(c) if c == quote => break,
                // Names of fields may have quotes and backslashes; what other escapes mean does not matter here.
                Some('\\') => {
                    text.push('\\');
                    text.extend(chars.next());
                }
                Some(c) => text.push(c),
            }
        }
        self.rest = chars.as_str();
        Ok(Literal::Text(text))
    }

    fn number(&mut self) -> Read<Literal> {
        let after = self.rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let (digits, after) = self.rest.split_at(self.rest.len().saturating_sub(after.len()));
        // Python 2 wrote an L after long numbers.
        let number = digits.parse().map_err(|_| "neither a literal nor a number that an array can have")?;
        self.rest = after.strip_prefix('L').unwrap_or(after);
        Ok(Literal::Int(number))
    }
}
