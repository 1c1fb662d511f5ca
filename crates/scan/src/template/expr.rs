//! Jinja's expressions, as Jinja2 ranks its operators.

use super::ast::{Args, Comparison, Expr, ExprKind, Op, Step, StepKind};
use super::lexer::Kind;
use super::parser::{Parsed, Parser};

/// The most conditions that follow one another in `a if b if c …` without nesting.
const MAX_CONDS: usize = 64;

impl Parser {
    /// An expression, or several with commas between them.
    pub(super) fn tuple(&mut self, conds: bool) -> Parsed<Expr> {
        let at = self.at();
        let mut items = Vec::new();
        let mut is_tuple = false;
        loop {
            let done = matches!(self.peek(), None | Some(Kind::TagEnd | Kind::EmitEnd | Kind::Sign(")")));
            if done && is_tuple {
                break;
            }
            items.push(if conds { self.expr()? } else { self.deeper(Self::or)? });
            if !self.sign(",") {
                break;
            }
            is_tuple = true;
        }
        Ok(match items.pop() {
            Some(only) if items.is_empty() && !is_tuple => only,
            last => {
                items.extend(last);
                Expr { at, kind: ExprKind::List(items) }
            }
        })
    }

    pub(super) fn expr(&mut self) -> Parsed<Expr> {
        self.deeper(Self::cond)
    }

    fn cond(&mut self) -> Parsed<Expr> {
        let at = self.at();
        let mut expr = self.or()?;
        for _ in 0..MAX_CONDS {
            if !self.word("if") {
                return Ok(expr);
            }
            let test = Box::new(self.or()?);
            let otherwise = if self.word("else") { Some(Box::new(self.expr()?)) } else { None };
            expr = Expr { at, kind: ExprKind::Cond { then: Box::new(expr), test, otherwise } };
        }
        self.fault("too many conditions")
    }

    fn chain(
        &mut self,
        operand: fn(&mut Self) -> Parsed<Expr>,
        operator: fn(&mut Self) -> Option<Op>,
    ) -> Parsed<Expr> {
        let at = self.at();
        let first = operand(self)?;
        let mut rest = Vec::new();
        while let Some(op) = operator(self) {
            rest.push((op, operand(self)?));
        }
        if rest.is_empty() {
            return Ok(first);
        }
        Ok(Expr { at, kind: ExprKind::Chain(Box::new(first), rest) })
    }

    fn or(&mut self) -> Parsed<Expr> {
        self.chain(Self::and, |parser| parser.word("or").then_some(Op::Or))
    }

    fn and(&mut self) -> Parsed<Expr> {
        self.chain(Self::not, |parser| parser.word("and").then_some(Op::And))
    }

    fn not(&mut self) -> Parsed<Expr> {
        let at = self.at();
        if self.word("not") {
            let inner = self.deeper(Self::not)?;
            return Ok(Expr { at, kind: ExprKind::Not(Box::new(inner)) });
        }
        self.compare()
    }

    fn compare(&mut self) -> Parsed<Expr> {
        let at = self.at();
        let first = self.sum()?;
        let mut rest = Vec::new();
        loop {
            let comparison = if self.sign("==") {
                Comparison::Equal
            } else if self.sign("!=") {
                Comparison::Unequal
            } else if self.sign("<=") || self.sign(">=") || self.sign("<") || self.sign(">") {
                Comparison::Order
            } else if self.word("in") {
                Comparison::In
            } else if self.is_word("not")
                && matches!(self.peek_after(), Some(Kind::Name(name)) if name == "in")
            {
                self.advance();
                self.advance();
                Comparison::NotIn
            } else {
                break;
            };
            rest.push((comparison, self.sum()?));
        }
        if rest.is_empty() {
            return Ok(first);
        }
        Ok(Expr { at, kind: ExprKind::Compare(Box::new(first), rest) })
    }

    fn sum(&mut self) -> Parsed<Expr> {
        self.chain(Self::concat, |parser| {
            if parser.sign("+") { Some(Op::Add) } else { parser.sign("-").then_some(Op::Subtract) }
        })
    }

    fn concat(&mut self) -> Parsed<Expr> {
        self.chain(Self::product, |parser| parser.sign("~").then_some(Op::Concat))
    }

    fn product(&mut self) -> Parsed<Expr> {
        self.chain(Self::power, |parser| {
            [("*", Op::Multiply), ("//", Op::FloorDivide), ("/", Op::Divide), ("%", Op::Modulo)]
                .into_iter()
                .find_map(|(sign, op)| parser.sign(sign).then_some(op))
        })
    }

    fn power(&mut self) -> Parsed<Expr> {
        self.chain(|parser| parser.unary(true), |parser| parser.sign("**").then_some(Op::Power))
    }

    fn unary(&mut self, filters: bool) -> Parsed<Expr> {
        let at = self.at();
        let mut expr = if self.sign("-") || self.sign("+") {
            let inner = self.deeper(|parser| parser.unary(false))?;
            Expr { at, kind: ExprKind::Sign(Box::new(inner)) }
        } else {
            self.primary()?
        };
        let mut steps = Vec::new();
        self.postfix(&mut steps)?;
        if filters {
            self.filters(&mut steps)?;
        }
        if !steps.is_empty() {
            expr = Expr { at, kind: ExprKind::Postfix(Box::new(expr), steps) };
        }
        Ok(expr)
    }

    /// Filters, tests and calls of what they give.
    fn filters(&mut self, steps: &mut Vec<Step>) -> Parsed<()> {
        loop {
            let at = self.at();
            if self.sign("|") {
                steps.push(self.filter()?);
            } else if self.word("is") {
                let kind = self.test()?;
                steps.push(Step { at, kind });
            } else if self.sign("(") {
                let args = self.args()?;
                steps.push(Step { at, kind: StepKind::Call(args) });
            } else {
                return Ok(());
            }
        }
    }

    fn primary(&mut self) -> Parsed<Expr> {
        let at = self.at();
        let Some(kind) = self.peek().cloned() else { return self.fault("an expression is missing") };
        let kind = match kind {
            Kind::Name(name) => {
                self.advance();
                match name.as_str() {
                    "true" | "True" | "false" | "False" | "none" | "None" => ExprKind::Const,
                    _ => ExprKind::Name(name),
                }
            }
            Kind::Text(mut text) => {
                self.advance();
                while let Some(Kind::Text(more)) = self.peek() {
                    text.push_str(more);
                    self.advance();
                }
                ExprKind::Text(text)
            }
            Kind::Int(value) => {
                self.advance();
                ExprKind::Int(value)
            }
            Kind::Float => {
                self.advance();
                ExprKind::Float
            }
            Kind::Sign("(") => {
                self.advance();
                if self.sign(")") {
                    ExprKind::List(Vec::new())
                } else {
                    let inner = self.tuple(true)?;
                    self.expect(")")?;
                    return Ok(inner);
                }
            }
            Kind::Sign("[") => {
                self.advance();
                let mut items = Vec::new();
                while !self.sign("]") {
                    if !items.is_empty() {
                        self.expect(",")?;
                        if self.sign("]") {
                            break;
                        }
                    }
                    items.push(self.expr()?);
                }
                ExprKind::List(items)
            }
            Kind::Sign("{") => {
                self.advance();
                let mut pairs = Vec::new();
                while !self.sign("}") {
                    if !pairs.is_empty() {
                        self.expect(",")?;
                        if self.sign("}") {
                            break;
                        }
                    }
                    let key = self.expr()?;
                    self.expect(":")?;
                    pairs.push((key, self.expr()?));
                }
                ExprKind::Dict(pairs)
            }
            _ => return self.fault("an expression is missing"),
        };
        Ok(Expr { at, kind })
    }

    fn postfix(&mut self, steps: &mut Vec<Step>) -> Parsed<()> {
        loop {
            let at = self.at();
            let kind = if self.sign(".") {
                match self.peek().cloned() {
                    Some(Kind::Name(name)) => {
                        self.advance();
                        StepKind::Attr(name)
                    }
                    Some(Kind::Int(value)) => {
                        let at = self.at();
                        self.advance();
                        StepKind::Item(Expr { at, kind: ExprKind::Int(value) })
                    }
                    _ => return self.fault("a name is missing"),
                }
            } else if self.sign("[") {
                self.subscript()?
            } else if self.sign("(") {
                StepKind::Call(self.args()?)
            } else {
                return Ok(());
            };
            steps.push(Step { at, kind });
        }
    }

    /// A subscript, with its opening bracket taken.
    fn subscript(&mut self) -> Parsed<StepKind> {
        let at = self.at();
        let mut parts = Vec::new();
        let (mut slice, mut several) = (false, false);
        while !self.sign("]") {
            if self.sign(":") {
                slice = true;
            } else if self.sign(",") {
                several = true;
            } else {
                parts.push(self.expr()?);
            }
        }
        if slice {
            return Ok(StepKind::Slice(parts));
        }
        match parts.pop() {
            Some(only) if parts.is_empty() && !several => Ok(StepKind::Item(only)),
            Some(last) => {
                parts.push(last);
                Ok(StepKind::Item(Expr { at, kind: ExprKind::List(parts) }))
            }
            None => self.fault("a subscript is empty"),
        }
    }

    /// Arguments, with the opening parenthesis taken.
    fn args(&mut self) -> Parsed<Args> {
        let mut args = Args::default();
        let mut first = true;
        while !self.sign(")") {
            if !first {
                self.expect(",")?;
                if self.sign(")") {
                    break;
                }
            }
            first = false;
            if self.sign("**") {
                let value = self.expr()?;
                args.names.push((String::new(), value));
            } else if self.sign("*") {
                args.places.push(self.expr()?);
            } else if let (Some(Kind::Name(name)), Some(Kind::Sign("="))) = (self.peek(), self.peek_after()) {
                let name = name.clone();
                self.advance();
                self.advance();
                args.names.push((name, self.expr()?));
            } else {
                args.places.push(self.expr()?);
            }
        }
        Ok(args)
    }

    /// A filter, with its bar taken.
    pub(super) fn filter(&mut self) -> Parsed<Step> {
        let at = self.at();
        let name = self.dotted()?;
        let args = if self.sign("(") { self.args()? } else { Args::default() };
        Ok(Step { at, kind: StepKind::Filter(name, args) })
    }

    /// A test, with its "is" taken.
    fn test(&mut self) -> Parsed<StepKind> {
        let negated = self.word("not");
        self.dotted()?;
        let mut args = Args::default();
        let begins = match self.peek() {
            Some(Kind::Name(name)) => {
                !matches!(name.as_str(), "else" | "or" | "and" | "if" | "is" | "in" | "not" | "recursive")
            }
            Some(Kind::Text(_) | Kind::Int(_) | Kind::Float | Kind::Sign("[" | "{")) => true,
            _ => false,
        };
        if self.sign("(") {
            args = self.args()?;
        } else if begins {
            let at = self.at();
            let base = self.primary()?;
            let mut steps = Vec::new();
            self.postfix(&mut steps)?;
            let kind = ExprKind::Postfix(Box::new(base), steps);
            args.places.push(Expr { at, kind });
        }
        Ok(StepKind::Test { negated, args })
    }

    fn dotted(&mut self) -> Parsed<String> {
        let mut name = self.name()?;
        while self.sign(".") {
            name.push('.');
            name.push_str(&self.name()?);
        }
        Ok(name)
    }
}
