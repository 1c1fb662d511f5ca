//! Statements: what they bind, where scopes begin and end. Whatever is not understood is walked as expressions.

use super::lexer::Kind;
use super::value::Value;
use super::walker::{ScopeKind, Walker};

impl Walker<'_> {
    pub(super) fn module(&mut self) {
        let mut column = 0;
        while let Some(token) = self.peek() {
            let before = self.at;
            if token.kind == Kind::Line {
                column = token.end;
                self.leave(column);
                self.at += 1;
            }
            self.statement(column);
            if self.at == before {
                self.at += 1;
            }
        }
        self.leave(0);
    }

    fn ends(&self) -> bool {
        matches!(self.kind(0), None | Some(Kind::Line)) || self.word(0) == ";"
    }

    /// One simple statement, or the head of a compound one; its body follows as statements of their own.
    fn statement(&mut self, column: u32) {
        match self.word(0) {
            ";" | ":" => self.at += 1,
            "import" => self.import(),
            "from" if self.kind(0) == Some(Kind::Name) => self.import_from(),
            "async" => self.at += 1,
            "def" => self.define(column),
            "class" if self.kind(1) == Some(Kind::Name) => self.class(column),
            "for" => self.each(),
            "if" | "elif" | "else" | "while" | "return" | "assert" | "raise" | "del" | "global"
            | "nonlocal" | "try" | "finally" | "except" | "yield" | "pass" | "break" | "continue" | "@" => {
                self.at += 1
            }
            "with" => {
                self.at += 1;
                // `with (a as b, c as d):` and `with a as b, c as d:` alike.
                self.expressions();
            }
            _ => self.simple(),
        }
    }

    /// `import a.b as c, d`
    fn import(&mut self) {
        self.at += 1;
        while let Some(path) = self.dotted() {
            if self.take("as") {
                if let Some(name) = self.take_name() {
                    self.bind(&name, Value::path(&path));
                }
            } else {
                let first = path.split('.').next().unwrap_or(&path).to_owned();
                self.sibling(&first);
                self.bind(&first, Value::path(&first));
            }
            if !self.take(",") {
                break;
            }
        }
    }

    fn sibling(&mut self, module: &str) {
        if self.gathered.siblings.len() < 256 {
            self.gathered.siblings.insert(module.to_owned());
        }
    }

    fn dotted(&mut self) -> Option<String> {
        let mut path = self.take_name()?;
        while self.word(0) == "." && self.kind(1) == Some(Kind::Name) {
            self.at += 1;
            path.push('.');
            path.push_str(&self.take_name()?);
        }
        Some(path)
    }

    /// `from ..a import b as c, d`
    fn import_from(&mut self) {
        self.at += 1;
        let mut path = String::new();
        while matches!(self.word(0), "." | "...") {
            path.push_str(self.word(0));
            self.at += 1;
        }
        let relative = !path.is_empty();
        if self.word(0) != "import"
            && let Some(dotted) = self.dotted()
        {
            let first = dotted.split('.').next().unwrap_or("").to_owned();
            self.sibling(&first);
            path.push_str(&dotted);
        }
        if !self.take("import") {
            return;
        }
        if self.take("*") {
            if self.lists.has_names_of(&path) {
                self.stars.insert(path);
            }
            return;
        }
        let bracket = self.take("(");
        while let Some(name) = self.take_name() {
            if relative && path.ends_with('.') {
                self.sibling(&name);
            }
            let offset = self.offset();
            let full = if path.ends_with('.') { format!("{path}{name}") } else { format!("{path}.{name}") };
            let bound = if self.take("as") { self.take_name().unwrap_or(name) } else { name };
            // Importing a dangerous name is a use of it: what it is called by afterwards does not matter.
            self.used(&full, offset, false);
            self.bind(&bound, Value::path(&full));
            if !self.take(",") {
                break;
            }
        }
        if bracket {
            self.take(")");
        }
    }

    /// `def name(parameters) -> result:`
    fn define(&mut self, column: u32) {
        self.at += 1;
        if let Some(name) = self.take_name() {
            self.shadow(&name);
        }
        if self.word(0) == "[" {
            self.bracketed("]");
        }
        let mut parameters = Vec::new();
        if self.take("(") {
            while !matches!(self.word(0), ")" | "") || self.is_literal() {
                let before = self.at;
                if matches!(self.word(0), "*" | "**" | "," | "/") {
                    self.at += 1;
                    continue;
                }
                parameters.extend(self.take_name());
                if self.take(":") {
                    self.expression();
                }
                if self.take("=") {
                    self.expression();
                }
                if self.at == before {
                    self.at += 1;
                }
            }
            self.take(")");
        }
        if self.take("->") {
            self.expression();
        }
        self.enter(ScopeKind::Function, column);
        for name in parameters {
            self.shadow(&name);
        }
        self.take(":");
    }

    fn is_literal(&self) -> bool {
        matches!(self.kind(0), Some(Kind::Text | Kind::Format))
    }

    fn class(&mut self, column: u32) {
        self.at += 1;
        if let Some(name) = self.take_name() {
            self.shadow(&name);
        }
        if self.word(0) == "[" {
            self.bracketed("]");
        }
        if self.take("(") {
            let offset = self.offset();
            for base in self.arguments().positional {
                if let Value::Path(path) = &base
                    && (path.ends_with(".GeneratorBasedBuilder")
                        || path.ends_with(".ArrowBasedBuilder")
                        || path.ends_with(".BeamBasedBuilder"))
                {
                    self.note(crate::text::DATASET_SCRIPT, None, offset, "builds a data set by running code");
                }
            }
        }
        self.enter(ScopeKind::Class, column);
        self.take(":");
    }

    /// `for targets in iterable:`
    fn each(&mut self) {
        self.at += 1;
        let targets = self.targets();
        if self.take("in") {
            let value = self.expressions();
            self.bind_items(&targets, &value);
        }
    }

    /// Names up to `in`.
    pub(super) fn targets(&mut self) -> Vec<String> {
        let mut names = Vec::new();
        while !self.ends() && !matches!(self.word(0), "in" | ":") {
            if self.kind(0) == Some(Kind::Name) && self.word(1) != "." {
                names.extend(self.take_name());
            } else {
                self.at += 1;
            }
        }
        names
    }

    /// Binds loop variables to what an iterable may give.
    pub(super) fn bind_items(&mut self, targets: &[String], value: &Value) {
        let item = match value {
            Value::List(items) => {
                items.iter().find(|item| matches!(item, Value::Path(_) | Value::Made(_))).cloned()
            }
            Value::Made(_) => Some(value.clone()),
            _ => None,
        };
        for name in targets {
            self.bind(name, item.clone().unwrap_or(Value::Unknown));
        }
    }

    /// An assignment, or expressions.
    fn simple(&mut self) {
        // A string that is a statement is documentation.
        if self.kind(0) == Some(Kind::Text) {
            let mut ahead = 1;
            while self.kind(ahead) == Some(Kind::Text) {
                ahead += 1;
            }
            if matches!(self.kind(ahead), None | Some(Kind::Line)) {
                self.at += ahead;
                return;
            }
        }
        let mut targets: Vec<Vec<String>> = Vec::new();
        loop {
            if self.kind(0) == Some(Kind::Name) && self.word(1) == "=" {
                targets.push(self.take_name().into_iter().collect());
                self.at += 1;
                continue;
            }
            // `a: T = b`
            if self.kind(0) == Some(Kind::Name)
                && self.word(1) == ":"
                && targets.is_empty()
                && !is_keyword(self.word(0))
            {
                let name = self.take_name();
                self.at += 1;
                self.expression();
                if self.take("=") {
                    targets.push(name.into_iter().collect());
                    continue;
                }
                return;
            }
            if let Some(names) = self.tuple_target() {
                targets.push(names);
                continue;
            }
            break;
        }
        let loose = self.gathered.loose;
        let value = self.expressions();
        if matches!(self.word(0), "=" | "+=" | "|=") {
            // An assignment to an attribute or an item; what is assigned is walked next.
            self.at += 1;
            return;
        }
        if targets.is_empty() {
            return;
        }
        if matches!(value, Value::Path(_)) {
            // The name stands for the module from here on, and is followed.
            self.gathered.loose = loose;
        }
        for names in targets {
            match (names.as_slice(), &value) {
                ([name], _) => self.bind(name, value.clone()),
                (names, Value::List(items)) if items.len() == names.len() => {
                    let pairs: Vec<_> = names.iter().cloned().zip(items.iter().cloned()).collect();
                    for (name, item) in pairs {
                        self.bind(&name, item);
                    }
                }
                (names, other) => {
                    let item = other.origin().map_or(Value::Unknown, Value::Made);
                    for name in names {
                        self.bind(name, item.clone());
                    }
                }
            }
        }
    }

    /// `a, b =`: the names, past the sign.
    fn tuple_target(&mut self) -> Option<Vec<String>> {
        let mut names = Vec::new();
        let mut ahead = 0;
        // Both are bounded: where brackets are left over, every one of them is looked ahead from.
        while names.len() < 32 && ahead < 128 {
            match self.word(ahead) {
                "(" | ")" | "[" | "]" | "*" if self.kind(ahead) == Some(Kind::Operator) => {}
                "," => {}
                "=" if !names.is_empty() => {
                    self.at += ahead + 1;
                    return (names.len() > 1).then_some(names).or_else(|| {
                        // `(a) = b` is as good as `a = b`; `a[b] = c` is not.
                        self.at -= ahead + 1;
                        None
                    });
                }
                _ if self.kind(ahead) == Some(Kind::Name)
                    && (ahead == 0 || self.kind(ahead - 1) == Some(Kind::Operator))
                    && !matches!(self.word(ahead + 1), "[" | "(" | ".") =>
                {
                    names.push(super::walker::normal(self.word(ahead)));
                }
                _ => return None,
            }
            ahead += 1;
        }
        None
    }
}

/// Names that are followed by a colon without being annotated.
fn is_keyword(word: &str) -> bool {
    matches!(word, "else" | "try" | "finally" | "lambda" | "except")
}
