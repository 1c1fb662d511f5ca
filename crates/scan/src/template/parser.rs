//! Jinja's grammar, as Jinja2 has it, with the extensions that chat templates use: loop controls, `do`, and the
//! `generation` block of the transformers library.

use super::ast::{Expr, ExprKind, Step, StepKind, Stmt, StmtKind};
use super::lexer::{Fault, Kind, Token};

/// How deep statements and expressions may nest, together. Real templates stay below 20.
const MAX_DEPTH: usize = 64;

pub(super) type Parsed<T> = Result<T, Fault>;

/// The tree of a template.
pub(super) fn parse(tokens: Vec<Token>, len: usize) -> Parsed<Vec<Stmt>> {
    let mut parser = Parser { tokens, next: 0, len, depth: 0 };
    let body = parser.body(&[])?;
    match parser.peek() {
        None => Ok(body),
        Some(_) => parser.fault("an end of nothing"),
    }
}

pub(super) struct Parser {
    tokens: Vec<Token>,
    next: usize,
    len: usize,
    depth: usize,
}

impl Parser {
    pub(super) fn peek(&self) -> Option<&Kind> {
        self.tokens.get(self.next).map(|token| &token.kind)
    }

    pub(super) fn peek_after(&self) -> Option<&Kind> {
        self.tokens.get(self.next.saturating_add(1)).map(|token| &token.kind)
    }

    pub(super) fn at(&self) -> usize {
        self.tokens.get(self.next).map_or(self.len, |token| token.at)
    }

    pub(super) fn fault<T>(&self, what: impl Into<String>) -> Parsed<T> {
        Err((self.at(), what.into()))
    }

    pub(super) fn advance(&mut self) {
        self.next = self.next.saturating_add(1);
    }

    fn take(&mut self, kind: &Kind) -> bool {
        let is = self.peek() == Some(kind);
        if is {
            self.advance();
        }
        is
    }

    pub(super) fn sign(&mut self, sign: &'static str) -> bool {
        self.take(&Kind::Sign(sign))
    }

    fn is_sign(&self, sign: &'static str) -> bool {
        self.peek() == Some(&Kind::Sign(sign))
    }

    pub(super) fn expect(&mut self, sign: &'static str) -> Parsed<()> {
        if self.sign(sign) { Ok(()) } else { self.fault(format!("{sign:?} is missing")) }
    }

    pub(super) fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Some(Kind::Name(name)) if name == word)
    }

    pub(super) fn word(&mut self, word: &str) -> bool {
        let is = self.is_word(word);
        if is {
            self.advance();
        }
        is
    }

    pub(super) fn name(&mut self) -> Parsed<String> {
        match self.peek() {
            Some(Kind::Name(name)) => {
                let name = name.clone();
                self.advance();
                Ok(name)
            }
            _ => self.fault("a name is missing"),
        }
    }

    pub(super) fn deeper<T>(&mut self, work: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.depth = self.depth.saturating_add(1);
        if self.depth > MAX_DEPTH {
            return self.fault("nested too deeply");
        }
        let result = work(self);
        self.depth = self.depth.saturating_sub(1);
        result
    }

    fn end_tag(&mut self) -> Parsed<()> {
        if self.take(&Kind::TagEnd) { Ok(()) } else { self.fault("the tag does not end here") }
    }

    /// Statements up to a tag of one of these names, which is taken up to and with its name.
    fn body(&mut self, ends: &[&str]) -> Parsed<Vec<Stmt>> {
        let mut body = Vec::new();
        while let Some(kind) = self.peek() {
            let at = self.at();
            match kind {
                Kind::Raw(text) => {
                    let text = text.clone();
                    self.advance();
                    body.push(Stmt { at, kind: StmtKind::Raw(text) });
                }
                Kind::EmitStart => {
                    self.advance();
                    let value = self.tuple(true)?;
                    if !self.take(&Kind::EmitEnd) {
                        return self.fault("the expression does not end here");
                    }
                    body.push(Stmt { at, kind: StmtKind::Emit(value) });
                }
                Kind::TagStart => {
                    if let Some(Kind::Name(name)) = self.peek_after()
                        && ends.contains(&name.as_str())
                    {
                        self.advance();
                        return Ok(body);
                    }
                    self.advance();
                    let kind = self.deeper(Self::statement)?;
                    body.push(Stmt { at, kind });
                }
                _ => return self.fault("a token outside of tags"),
            }
        }
        if ends.is_empty() { Ok(body) } else { self.fault(format!("{} is missing", ends.join(" or "))) }
    }

    /// Statements up to the tag of this name, which is taken.
    fn block(&mut self, end: &str) -> Parsed<Vec<Stmt>> {
        let body = self.body(&[end])?;
        self.advance();
        // The end of a block may repeat its name.
        if end == "endblock" && matches!(self.peek(), Some(Kind::Name(_))) {
            self.advance();
        }
        self.end_tag()?;
        Ok(body)
    }

    fn statement(&mut self) -> Parsed<StmtKind> {
        let at = self.at();
        let tag = self.name()?;
        Ok(match tag.as_str() {
            "for" => self.for_loop()?,
            "if" => self.if_else()?,
            "set" => self.set()?,
            "with" => {
                let mut pairs = Vec::new();
                while self.peek() != Some(&Kind::TagEnd) {
                    if !pairs.is_empty() {
                        self.expect(",")?;
                    }
                    let target = self.target(false)?;
                    self.expect("=")?;
                    pairs.push((target, self.expr()?));
                }
                self.end_tag()?;
                StmtKind::With { pairs, body: self.block("endwith")? }
            }
            "macro" => {
                let name = self.name()?;
                self.expect("(")?;
                let params = self.params()?;
                self.end_tag()?;
                StmtKind::Macro { name, params, body: self.block("endmacro")? }
            }
            "call" => {
                let params = if self.sign("(") { self.params()? } else { Vec::new() };
                let call = self.expr()?;
                self.end_tag()?;
                StmtKind::CallBlock { params, call, body: self.block("endcall")? }
            }
            "filter" => {
                let mut steps = vec![self.filter()?];
                while self.sign("|") {
                    steps.push(self.filter()?);
                }
                self.end_tag()?;
                let nothing = Expr { at, kind: ExprKind::Const };
                let filter = Expr { at, kind: ExprKind::Postfix(Box::new(nothing), steps) };
                StmtKind::FilterBlock { filter, body: self.block("endfilter")? }
            }
            "generation" => {
                self.end_tag()?;
                StmtKind::Group(self.block("endgeneration")?)
            }
            "autoescape" => {
                self.expr()?;
                self.end_tag()?;
                StmtKind::Group(self.block("endautoescape")?)
            }
            "block" => {
                self.name()?;
                while self.word("scoped") || self.word("required") {}
                self.end_tag()?;
                StmtKind::Group(self.block("endblock")?)
            }
            "print" => {
                let value = self.tuple(true)?;
                self.end_tag()?;
                StmtKind::Emit(value)
            }
            "do" => {
                let value = self.tuple(true)?;
                self.end_tag()?;
                StmtKind::Do(value)
            }
            "break" | "continue" | "debug" => {
                self.end_tag()?;
                match tag.as_str() {
                    "break" => StmtKind::Break,
                    "continue" => StmtKind::Continue,
                    _ => StmtKind::Debug,
                }
            }
            "include" | "import" | "extends" | "from" => {
                let name = self.expr()?;
                // What follows (`import x as y`, `ignore missing`, `with context`) does not matter: another
                // template is loaded.
                while self.peek().is_some_and(|kind| *kind != Kind::TagEnd) {
                    self.advance();
                }
                self.end_tag()?;
                let tag = match tag.as_str() {
                    "include" => "include",
                    "import" => "import",
                    "extends" => "extends",
                    _ => "from",
                };
                StmtKind::Load { tag, name }
            }
            other => return Err((at, format!("the tag {other:?} is not known"))),
        })
    }

    fn for_loop(&mut self) -> Parsed<StmtKind> {
        let target = self.target(true)?;
        if !self.word("in") {
            return self.fault("\"in\" is missing");
        }
        let iter = self.tuple(false)?;
        let filter = if self.word("if") { Some(self.expr()?) } else { None };
        let _ = self.word("recursive");
        self.end_tag()?;
        let body = self.body(&["endfor", "else"])?;
        let otherwise = if self.word("else") {
            self.end_tag()?;
            self.block("endfor")?
        } else {
            self.advance();
            self.end_tag()?;
            Vec::new()
        };
        Ok(StmtKind::For { target, iter, filter, body, otherwise })
    }

    fn if_else(&mut self) -> Parsed<StmtKind> {
        let mut branches = Vec::new();
        loop {
            let test = self.tuple(false)?;
            self.end_tag()?;
            branches.push((test, self.body(&["elif", "else", "endif"])?));
            if self.word("elif") {
                continue;
            }
            if self.word("else") {
                self.end_tag()?;
                let otherwise = self.block("endif")?;
                return Ok(StmtKind::If { branches, otherwise });
            }
            self.advance();
            self.end_tag()?;
            return Ok(StmtKind::If { branches, otherwise: Vec::new() });
        }
    }

    fn set(&mut self) -> Parsed<StmtKind> {
        let target = self.target(true)?;
        if self.sign("=") {
            let value = self.tuple(true)?;
            self.end_tag()?;
            return Ok(StmtKind::Set { target, value });
        }
        let mut filtered = false;
        while self.sign("|") {
            self.filter()?;
            filtered = true;
        }
        self.end_tag()?;
        Ok(StmtKind::SetBlock { target, filtered, body: self.block("endset")? })
    }

    /// What is assigned to: names, `namespace.name`, and lists of them.
    fn target(&mut self, many: bool) -> Parsed<Expr> {
        let at = self.at();
        let mut targets = Vec::new();
        let mut is_list = false;
        loop {
            if self.sign("(") {
                targets.push(self.deeper(|parser| parser.target(true))?);
                self.expect(")")?;
            } else {
                let at = self.at();
                let base = Expr { at, kind: ExprKind::Name(self.name()?) };
                let at = self.at();
                targets.push(if self.sign(".") {
                    let step = Step { at, kind: StepKind::Attr(self.name()?) };
                    Expr { at: base.at, kind: ExprKind::Postfix(Box::new(base), vec![step]) }
                } else {
                    base
                });
            }
            if !many || !self.sign(",") {
                break;
            }
            is_list = true;
            if self.is_word("in") || self.is_sign("=") {
                break;
            }
        }
        Ok(match targets.pop() {
            Some(only) if targets.is_empty() && !is_list => only,
            last => {
                targets.extend(last);
                Expr { at, kind: ExprKind::List(targets) }
            }
        })
    }

    /// Parameters, with the opening parenthesis taken.
    fn params(&mut self) -> Parsed<Vec<(String, Option<Expr>)>> {
        let mut params = Vec::new();
        while !self.sign(")") {
            if !params.is_empty() {
                self.expect(",")?;
                if self.sign(")") {
                    break;
                }
            }
            let name = self.name()?;
            let default = if self.sign("=") { Some(self.expr()?) } else { None };
            params.push((name, default));
        }
        Ok(params)
    }
}
