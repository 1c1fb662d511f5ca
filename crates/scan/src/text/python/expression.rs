//! Expressions: what they come to without running them.

use super::lexer::Kind;
use super::literal;
use super::value::Value;
use super::walker::{DEPTH, Walker};

/// The most items of one list that are kept.
const ITEMS: usize = 128;

/// The arguments of a call.
#[derive(Default)]
pub(super) struct Arguments {
    pub(super) positional: Vec<Value>,
    pub(super) named: Vec<(String, Value)>,
    /// The words that stand for the values of named arguments: `True`, `None`.
    pub(super) words: Vec<(String, String)>,
}

impl Arguments {
    pub(super) fn first(&self) -> &Value {
        self.positional
            .first()
            .or_else(|| self.named.first().map(|(_, value)| value))
            .unwrap_or(&Value::Unknown)
    }

    pub(super) fn second(&self) -> &Value {
        self.positional.get(1).unwrap_or(&Value::Unknown)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Value> {
        self.positional.iter().chain(self.named.iter().map(|(_, value)| value))
    }

    pub(super) fn says(&self, name: &str, word: &str) -> bool {
        self.words.iter().any(|(n, w)| n == name && w == word)
    }
}

impl Walker<'_> {
    /// Expressions with commas between them, up to what is none; a list if there are several.
    pub(super) fn expressions(&mut self) -> Value {
        let first = self.expression();
        if self.word(0) != "," {
            return first;
        }
        let mut items = vec![first];
        while self.take(",") {
            if matches!(self.kind(0), None | Some(Kind::Line))
                || matches!(self.word(0), "=" | ")" | "]" | "}" | ":")
            {
                break;
            }
            let item = self.expression();
            keep(&mut items, item);
        }
        Value::list(items)
    }

    /// One expression. Operators that are not followed mix what they join.
    pub(super) fn expression(&mut self) -> Value {
        if self.depth >= DEPTH {
            self.gathered.too_deep = true;
            self.at += 1;
            return Value::Unknown;
        }
        self.depth += 1;
        let mut value = self.sum();
        loop {
            let word = self.word(0);
            match word {
                "or" | "and" | "if" | "else" | "==" | "!=" | "<" | ">" | "<=" | ">=" | "in" | "is" | "|"
                | "&" | "^" | "<<" | ">>" | "not" => {
                    self.at += 1;
                    let chooses = matches!(word, "or" | "and" | "if" | "else");
                    let other = self.sum();
                    value = match (&value, chooses) {
                        // Either may be the value; what says more counts.
                        (Value::Unknown | Value::Text(_) | Value::Number(_), true) => other,
                        (_, true) => value,
                        (_, false) => value.mix(&other),
                    };
                }
                ":=" => {
                    let name = self.at.checked_sub(1).and_then(|at| self.tokens.get(at)).copied();
                    self.at += 1;
                    value = self.sum();
                    if let Some(name) = name.filter(|token| token.kind == Kind::Name) {
                        let name = super::walker::normal(self.text(name));
                        self.bind(&name, value.clone());
                    }
                }
                "as" => {
                    self.at += 1;
                    if self.kind(0) == Some(Kind::Name)
                        && self.word(1) != "."
                        && let Some(name) = self.take_name()
                    {
                        self.bind(&name, value.clone());
                    }
                }
                _ => break,
            }
        }
        self.depth -= 1;
        value
    }

    fn sum(&mut self) -> Value {
        let mut value = self.term();
        while matches!(self.word(0), "+" | "-") {
            let plus = self.word(0) == "+";
            self.at += 1;
            let other = self.term();
            value = if plus { value.add(&other) } else { value.mix(&other) };
        }
        value
    }

    fn term(&mut self) -> Value {
        let mut value = self.factor();
        while matches!(self.word(0), "*" | "/" | "//" | "%" | "@" | "**") {
            let percent = self.word(0) == "%";
            self.at += 1;
            let other = self.factor();
            value = if percent { value.percent(&other) } else { value.mix(&other) };
        }
        value
    }

    fn factor(&mut self) -> Value {
        while matches!(self.word(0), "-" | "+" | "~" | "not" | "*" | "**" | "await" | "yield" | "from") {
            self.at += 1;
        }
        let value = self.atom();
        self.trailers(value)
    }

    fn atom(&mut self) -> Value {
        let Some(token) = self.peek() else { return Value::Unknown };
        match token.kind {
            Kind::Line => Value::Unknown,
            Kind::Bad => {
                self.at += 1;
                Value::Unknown
            }
            Kind::Number => {
                self.at += 1;
                number(self.text(token)).map_or(Value::Unknown, Value::Number)
            }
            Kind::Text | Kind::Format => self.literals(),
            Kind::Operator => match self.text(token) {
                "(" => {
                    let mut items = self.bracketed(")");
                    match (items.len(), items.pop()) {
                        (1, Some(value)) => value,
                        (0, _) | (_, None) => Value::list(Vec::new()),
                        (_, Some(last)) => {
                            items.push(last);
                            Value::list(items)
                        }
                    }
                }
                "[" => Value::list(self.bracketed("]")),
                "{" => {
                    let items = self.bracketed("}");
                    items.iter().filter_map(Value::origin).max().map_or(Value::Unknown, Value::Made)
                }
                _ => Value::Unknown,
            },
            Kind::Name => match self.text(token) {
                "lambda" => {
                    self.at += 1;
                    while !matches!(self.kind(0), None | Some(Kind::Line))
                        && !matches!(self.word(0), ":" | ")" | "]")
                    {
                        let before = self.at;
                        if self.word(1) == "=" {
                            self.at += 2;
                            self.expression();
                        }
                        if self.at == before {
                            self.at += 1;
                        }
                    }
                    self.take(":");
                    self.expression();
                    Value::Unknown
                }
                "for" | "in" | "if" | "else" | "import" | "def" | "class" | "and" | "or" | "is" | "as" => {
                    Value::Unknown
                }
                "True" | "False" | "None" => {
                    self.at += 1;
                    Value::Unknown
                }
                name => {
                    let name = super::walker::normal(name);
                    let offset = self.offset();
                    self.at += 1;
                    if name == "__builtins__" && self.word(0) != "=" {
                        self.attribute_used(&name, offset);
                    }
                    let value = self.lookup(&name);
                    self.reached(&value, offset);
                    value
                }
            },
        }
    }

    /// Literals beside one another are one.
    fn literals(&mut self) -> Value {
        let offset = self.offset();
        let mut value: Option<Value> = None;
        while let Some(token) = self.peek() {
            let part = match token.kind {
                Kind::Text => literal::decode(self.text(token))
                    .map_or(Value::Made(super::value::Origin::Built), |text| Value::text(&text)),
                Kind::Format => self.format_literal(token),
                _ => break,
            };
            self.at += 1;
            value = Some(match value {
                Some(value) => value.add(&part),
                None => part,
            });
        }
        let value = value.unwrap_or(Value::Unknown);
        self.secret_text(&value, offset);
        value
    }

    fn secret_text(&mut self, value: &Value, offset: u64) {
        if let Value::Text(text) = value
            && text.len() < 4096
            && let Some(part) = self.lists.secret(text)
        {
            self.note(crate::text::PYTHON_SECRETS, None, offset, format!("names {part}"));
        }
    }

    /// The items in brackets, past the closing one. A comprehension is one item: what its iterable comes to.
    pub(super) fn bracketed(&mut self, close: &str) -> Vec<Value> {
        self.at += 1;
        let mut items = Vec::new();
        while let Some(token) = self.peek() {
            if token.kind == Kind::Line {
                break;
            }
            let before = self.at;
            match self.word(0) {
                word if word == close => {
                    self.at += 1;
                    break;
                }
                ")" | "]" | "}" => break,
                "for" => {
                    let made = self.comprehension();
                    items = vec![made];
                }
                "," | ":" | "async" => self.at += 1,
                _ => {
                    let item = self.expression();
                    keep(&mut items, item);
                }
            }
            if self.at == before {
                self.at += 1;
            }
        }
        items
    }

    fn comprehension(&mut self) -> Value {
        self.at += 1;
        let targets = self.targets();
        if !self.take("in") {
            return Value::Unknown;
        }
        let value = self.sum();
        self.bind_items(&targets, &value);
        match value.origin() {
            Some(origin) => Value::Made(origin),
            None if value.is_constant() && !matches!(value, Value::Number(_)) => {
                Value::Made(super::value::Origin::Built)
            }
            None => Value::Unknown,
        }
    }

    /// The arguments of a call, from after the opening bracket to past the closing one.
    pub(super) fn arguments(&mut self) -> Arguments {
        let mut arguments = Arguments::default();
        while let Some(token) = self.peek() {
            if token.kind == Kind::Line {
                break;
            }
            let before = self.at;
            match self.word(0) {
                ")" => {
                    self.at += 1;
                    break;
                }
                "]" | "}" => break,
                "," => self.at += 1,
                "for" | "async" => {
                    let made = self.comprehension();
                    if let Some(last) = arguments.positional.last_mut() {
                        *last = made;
                    }
                }
                _ if token.kind == Kind::Name && self.word(1) == "=" => {
                    let name = self.take_name().unwrap_or_default();
                    self.at += 1;
                    let word = self.word(0).to_owned();
                    let value = self.expression();
                    if arguments.named.len() < ITEMS {
                        arguments.words.push((name.clone(), word));
                        arguments.named.push((name, value));
                    }
                }
                _ => {
                    let value = self.expression();
                    keep(&mut arguments.positional, value);
                }
            }
            if self.at == before {
                self.at += 1;
            }
        }
        arguments
    }

    fn trailers(&mut self, mut value: Value) -> Value {
        loop {
            let offset = self.offset();
            match self.word(0) {
                "." if self.kind(1) == Some(Kind::Name) => {
                    self.at += 1;
                    let name = self.take_name().unwrap_or_default();
                    value = self.attribute(&value, &name, offset);
                }
                "(" => {
                    self.at += 1;
                    let arguments = self.arguments();
                    value = self.call(&value, &arguments, offset);
                }
                "[" => {
                    let reversed = (self.word(1), self.word(2), self.word(3), self.word(4), self.word(5))
                        == (":", ":", "-", "1", "]");
                    let index = self.bracketed("]");
                    value = match (&value, reversed) {
                        (Value::Text(text), true) => {
                            Value::text(&text.chars().rev().take(4096).collect::<String>())
                        }
                        _ => self.item(&value, &index, offset),
                    };
                }
                _ => break,
            }
        }
        if let Value::Path(path) = &value
            && self.lists.is_sensitive(path)
            && self.noting
        {
            self.gathered.loose += 1;
        }
        value
    }
}

/// Keeps an item of a list as far as there is room; what follows still says where it comes from.
fn keep(items: &mut Vec<Value>, item: Value) {
    if items.len() < ITEMS {
        items.push(item);
    } else if let Some(last) = items.last_mut() {
        *last = last.mix(&item);
    }
}

fn number(text: &str) -> Option<i64> {
    let text: String = text.chars().filter(|c| *c != '_').collect::<String>().to_ascii_lowercase();
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            return i64::from_str_radix(digits, radix).ok();
        }
    }
    text.parse().ok()
}
