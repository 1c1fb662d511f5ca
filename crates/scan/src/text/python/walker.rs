//! The state of a walk through Python code: where it is, what names mean there, what was found.

use std::collections::{BTreeMap, BTreeSet};

use ostrom_core::Severity;
use unicode_normalization::UnicodeNormalization as _;

use super::danger::Lists;
use super::lexer::{self, Kind, Token};
use super::value::Value;

/// How deep expressions may lie in one another. Python itself stops at 200 brackets.
pub(super) const DEPTH: usize = 200;

/// One thing that the code does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Deed {
    pub(crate) offset: u64,
    pub(crate) rule: &'static str,
    /// Where it differs from the rule's.
    pub(crate) severity: Option<Severity>,
    pub(crate) what: String,
}

/// What a walk gathers.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    pub(crate) deeds: BTreeSet<Deed>,
    /// Modules of the same folder that it imports.
    pub(crate) siblings: BTreeSet<String>,
    /// Where sensitive modules are handed around as values.
    pub(super) loose: usize,
    /// Where methods are called that run commands if the object is such a module.
    pub(super) suspects: Vec<(u64, String)>,
    /// The walk did not reach the end.
    pub(super) too_deep: bool,
    /// Bytes of code in strings that were walked through.
    pub(super) spent: usize,
}

impl Gathered {
    /// Whether a module that can run anything is handed around as a value.
    pub(crate) fn hands_on(&self) -> bool {
        self.loose > 0
    }
}

pub(super) enum ScopeKind {
    Module,
    Class,
    Function,
}

pub(super) struct Scope {
    pub(super) kind: ScopeKind,
    /// The column of the statement that opened it; a line that is not further right closes it.
    pub(super) column: u32,
    pub(super) names: BTreeMap<String, Value>,
}

pub(super) struct Walker<'s> {
    pub(super) source: &'s str,
    pub(super) tokens: Vec<Token>,
    pub(super) at: usize,
    pub(super) lists: &'static Lists,
    pub(super) scopes: Vec<Scope>,
    /// Modules whose names were all imported.
    pub(super) stars: BTreeSet<String>,
    /// Whether what it does is noted; the first pass only learns the module's names.
    pub(super) noting: bool,
    pub(super) gathered: Gathered,
    pub(super) depth: usize,
    /// How many pieces of code in strings this lies in.
    pub(super) nested: usize,
    /// How many scopes stay open whatever the indentation.
    pub(super) floor: usize,
}

impl<'s> Walker<'s> {
    pub(super) fn peek(&self) -> Option<Token> {
        self.tokens.get(self.at).copied()
    }

    pub(super) fn text(&self, token: Token) -> &'s str {
        token.text(self.source)
    }

    /// The text of the token `ahead` of here; empty at the end and at the beginning of a line.
    pub(super) fn word(&self, ahead: usize) -> &'s str {
        match self.tokens.get(self.at.saturating_add(ahead)) {
            Some(token) if !matches!(token.kind, Kind::Line | Kind::Text | Kind::Format) => {
                token.text(self.source)
            }
            _ => "",
        }
    }

    pub(super) fn kind(&self, ahead: usize) -> Option<Kind> {
        self.tokens.get(self.at.saturating_add(ahead)).map(|token| token.kind)
    }

    /// Goes past `word` if it is next.
    pub(super) fn take(&mut self, word: &str) -> bool {
        let is = self.word(0) == word;
        self.at += usize::from(is);
        is
    }

    /// The name that is next, as Python reads it.
    pub(super) fn take_name(&mut self) -> Option<String> {
        let token = self.peek().filter(|token| token.kind == Kind::Name)?;
        self.at += 1;
        Some(normal(self.text(token)))
    }

    pub(super) fn offset(&self) -> u64 {
        self.peek().or_else(|| self.tokens.last().copied()).map_or(0, |token| u64::from(token.start))
    }

    pub(super) fn note(
        &mut self,
        rule: &'static str,
        severity: Option<Severity>,
        offset: u64,
        what: impl Into<String>,
    ) {
        if self.noting && self.gathered.deeds.len() < 2000 {
            self.gathered.deeds.insert(Deed { offset, rule, severity, what: what.into() });
        }
    }

    /// Whether this runs as soon as the code is imported.
    pub(super) fn at_import(&self) -> bool {
        !self.scopes.iter().any(|scope| matches!(scope.kind, ScopeKind::Function))
    }

    pub(super) fn bind(&mut self, name: &str, value: Value) {
        let lists = self.lists;
        let rank =
            |value: &Value| value.rank(|path| lists.is_sensitive(path) || lists.meaning(path).is_some());
        // Dangerous builtins stay what they are: an assignment that never runs must not hide them.
        if matches!(name, "eval" | "exec" | "__import__" | "getattr" | "__builtins__")
            && value == Value::Unknown
        {
            return;
        }
        let Some(scope) = self.scopes.last_mut() else { return };
        match scope.names.get(name) {
            // Which of two bindings holds cannot be told, so the one that says more is kept.
            Some(old) if rank(old) > rank(&value) => {}
            _ => {
                scope.names.insert(name.to_owned(), value);
            }
        }
    }

    /// Binds a parameter or a definition: these do hide a builtin.
    pub(super) fn shadow(&mut self, name: &str) {
        if let Some(scope) = self.scopes.last_mut()
            && !scope.names.contains_key(name)
        {
            scope.names.insert(name.to_owned(), Value::Unknown);
        }
    }

    pub(super) fn lookup(&self, name: &str) -> Value {
        let innermost = self.scopes.len().saturating_sub(1);
        for (level, scope) in self.scopes.iter().enumerate().rev() {
            if matches!(scope.kind, ScopeKind::Class) && level != innermost {
                continue;
            }
            if let Some(value) = scope.names.get(name) {
                return value.clone();
            }
        }
        for module in &self.stars {
            let path = format!("{module}.{name}");
            if self.lists.meaning(&path).is_some() {
                return Value::path(&path);
            }
        }
        match name {
            "eval" | "exec" | "compile" | "execfile" | "getattr" | "setattr" | "hasattr" | "vars"
            | "globals" | "locals" | "open" | "chr" | "__import__" | "bytes" | "bytearray" | "str"
            | "map" | "reversed" | "isinstance" | "dir" | "reload" | "dict" | "repr" => {
                Value::path(&format!("builtins.{name}"))
            }
            "__builtins__" => Value::path("builtins"),
            _ => Value::Unknown,
        }
    }

    /// Closes the scopes that a line at `column` is not in.
    pub(super) fn leave(&mut self, column: u32) {
        while self.scopes.len() > self.floor && self.scopes.last().is_some_and(|scope| column <= scope.column)
        {
            self.scopes.pop();
        }
    }

    pub(super) fn enter(&mut self, kind: ScopeKind, column: u32) {
        self.scopes.push(Scope { kind, column, names: BTreeMap::new() });
    }

    /// Walks through the replacement fields of a format literal and says what is known of its parts together.
    pub(super) fn format_literal(&mut self, token: Token) -> Value {
        let mut mixed = Value::text("");
        for (start, end) in lexer::fields(self.source, token) {
            let inner = lexer::lex_field(self.source, start, end);
            let outer = std::mem::replace(&mut self.tokens, inner);
            let at = std::mem::replace(&mut self.at, 0);
            let value = self.expressions();
            self.tokens = outer;
            self.at = at;
            mixed = mixed.mix(&value);
        }
        mixed
    }
}

/// A name as Python compares it.
pub(crate) fn normal(name: &str) -> String {
    if name.is_ascii() { name.to_owned() } else { name.nfkc().collect() }
}
