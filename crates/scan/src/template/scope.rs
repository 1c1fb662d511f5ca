//! Gives what loops and macros bind a name of its own, so that `value` of one loop is not `value` of another.

use std::collections::BTreeMap;

use super::ast::{Args, Expr, ExprKind, StepKind, Stmt, StmtKind};

/// What parts a name from the place where it is bound. No name of a template has it.
const MARK: char = '@';

/// The name as the template has it.
pub(super) fn plain(name: &str) -> &str {
    name.split(MARK).next().unwrap_or_default()
}

/// Renames in a whole template.
pub(super) fn rename(body: &mut [Stmt]) {
    Names::default().body(body);
}

#[derive(Default)]
struct Names {
    /// What a name stands for, innermost last.
    bound: BTreeMap<String, Vec<String>>,
}

impl Names {
    fn bind(&mut self, names: &[String], at: usize) {
        for name in names {
            self.bound.entry(name.clone()).or_default().push(format!("{name}{MARK}{at}"));
        }
    }

    fn release(&mut self, names: &[String]) {
        for name in names {
            if let Some(stack) = self.bound.get_mut(name) {
                stack.pop();
            }
        }
    }

    fn now(&self, name: &str) -> Option<&String> {
        self.bound.get(name)?.last()
    }

    fn body(&mut self, body: &mut [Stmt]) {
        for stmt in body {
            let at = stmt.at;
            match &mut stmt.kind {
                StmtKind::Raw(_) | StmtKind::Break | StmtKind::Continue | StmtKind::Debug => {}
                StmtKind::Emit(expr) | StmtKind::Do(expr) | StmtKind::Load { name: expr, .. } => {
                    self.expr(expr)
                }
                StmtKind::For { target, iter, filter, body, otherwise } => {
                    self.expr(iter);
                    self.body(otherwise);
                    let names = target.keys();
                    self.bind(&names, at);
                    self.expr(target);
                    filter.iter_mut().for_each(|filter| self.expr(filter));
                    self.body(body);
                    self.release(&names);
                }
                StmtKind::If { branches, otherwise } => {
                    for (test, body) in branches {
                        self.expr(test);
                        self.body(body);
                    }
                    self.body(otherwise);
                }
                StmtKind::Set { target, value } => {
                    self.expr(value);
                    self.expr(target);
                }
                StmtKind::SetBlock { target, body, .. } => {
                    self.body(body);
                    self.expr(target);
                }
                StmtKind::With { pairs, body } => {
                    for (target, value) in pairs {
                        self.expr(value);
                        self.expr(target);
                    }
                    self.body(body);
                }
                StmtKind::Macro { params, body, .. } => self.params(params, body, at),
                StmtKind::CallBlock { params, call, body } => {
                    self.expr(call);
                    self.params(params, body, at);
                }
                StmtKind::FilterBlock { filter, body } => {
                    self.expr(filter);
                    self.body(body);
                }
                StmtKind::Group(body) => self.body(body),
            }
        }
    }

    fn params(&mut self, params: &mut [(String, Option<Expr>)], body: &mut [Stmt], at: usize) {
        let names: Vec<String> = params.iter().map(|(name, _)| name.clone()).collect();
        for (_, default) in params.iter_mut() {
            default.iter_mut().for_each(|default| self.expr(default));
        }
        self.bind(&names, at);
        for (name, _) in params {
            if let Some(now) = self.now(name) {
                *name = now.clone();
            }
        }
        self.body(body);
        self.release(&names);
    }

    fn expr(&self, expr: &mut Expr) {
        match &mut expr.kind {
            ExprKind::Text(_) | ExprKind::Int(_) | ExprKind::Float | ExprKind::Const => {}
            ExprKind::Name(name) => {
                if let Some(now) = self.now(name) {
                    *name = now.clone();
                }
            }
            ExprKind::List(items) => items.iter_mut().for_each(|item| self.expr(item)),
            ExprKind::Dict(pairs) => pairs.iter_mut().for_each(|(key, value)| {
                self.expr(key);
                self.expr(value);
            }),
            ExprKind::Chain(first, rest) => {
                self.expr(first);
                rest.iter_mut().for_each(|(_, expr)| self.expr(expr));
            }
            ExprKind::Compare(first, rest) => {
                self.expr(first);
                rest.iter_mut().for_each(|(_, expr)| self.expr(expr));
            }
            ExprKind::Not(inner) | ExprKind::Sign(inner) => self.expr(inner),
            ExprKind::Cond { then, test, otherwise } => {
                self.expr(then);
                self.expr(test);
                otherwise.iter_mut().for_each(|expr| self.expr(expr));
            }
            ExprKind::Postfix(base, steps) => {
                self.expr(base);
                for step in steps {
                    match &mut step.kind {
                        StepKind::Attr(_) => {}
                        StepKind::Item(item) => self.expr(item),
                        StepKind::Slice(parts) => parts.iter_mut().for_each(|part| self.expr(part)),
                        StepKind::Call(args) | StepKind::Filter(_, args) | StepKind::Test { args, .. } => {
                            self.args(args);
                        }
                    }
                }
            }
        }
    }

    fn args(&self, args: &mut Args) {
        args.places.iter_mut().for_each(|arg| self.expr(arg));
        args.names.iter_mut().for_each(|(_, arg)| self.expr(arg));
    }
}
