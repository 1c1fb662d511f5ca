//! What a Jinja template consists of.
//!
//! Chains (`a ~ b ~ c`, `x.y.z|f|g`, `elif`) are lists, so that the tree is only as deep as the template nests.

/// A statement, or a stretch of text.
#[derive(Debug)]
pub(super) struct Stmt {
    /// The byte of the template where it begins.
    pub(super) at: usize,
    pub(super) kind: StmtKind,
}

#[derive(Debug)]
pub(super) enum StmtKind {
    /// Text that is put out as it is.
    Raw(String),
    /// `{{ … }}`, and `{% print … %}`.
    Emit(Expr),
    For {
        target: Expr,
        iter: Expr,
        filter: Option<Expr>,
        body: Vec<Stmt>,
        otherwise: Vec<Stmt>,
    },
    /// `if` and each `elif`, then `else`.
    If {
        branches: Vec<(Expr, Vec<Stmt>)>,
        otherwise: Vec<Stmt>,
    },
    Set {
        target: Expr,
        value: Expr,
    },
    /// `{% set x %}…{% endset %}`, and whether filters are applied.
    SetBlock {
        target: Expr,
        filtered: bool,
        body: Vec<Stmt>,
    },
    With {
        pairs: Vec<(Expr, Expr)>,
        body: Vec<Stmt>,
    },
    Macro {
        name: String,
        params: Vec<(String, Option<Expr>)>,
        body: Vec<Stmt>,
    },
    /// `{% call(x) f() %}…{% endcall %}`.
    CallBlock {
        params: Vec<(String, Option<Expr>)>,
        call: Expr,
        body: Vec<Stmt>,
    },
    /// `{% filter f %}…{% endfilter %}`; the expression is the filters, applied to nothing.
    FilterBlock {
        filter: Expr,
        body: Vec<Stmt>,
    },
    /// A block that only groups: `block`, `generation`, `autoescape`.
    Group(Vec<Stmt>),
    /// `{% do … %}`.
    Do(Expr),
    /// `import`, `from`, `include`, `extends`: another template.
    Load {
        tag: &'static str,
        name: Expr,
    },
    Break,
    Continue,
    /// `{% debug %}`.
    Debug,
}

/// An expression.
#[derive(Debug)]
pub(super) struct Expr {
    /// The byte of the template where it begins.
    pub(super) at: usize,
    pub(super) kind: ExprKind,
}

#[derive(Debug)]
pub(super) enum ExprKind {
    Text(String),
    /// A whole number; `None` if it is too large for one.
    Int(Option<i64>),
    Float,
    /// `true`, `false`, `none`.
    Const,
    Name(String),
    /// Lists and tuples.
    List(Vec<Expr>),
    Dict(Vec<(Expr, Expr)>),
    /// Operators of one rank, from left to right.
    Chain(Box<Expr>, Vec<(Op, Expr)>),
    /// `==`, `<`, `in` and the like.
    Compare(Box<Expr>, Vec<(Comparison, Expr)>),
    Not(Box<Expr>),
    /// `-x` and `+x`.
    Sign(Box<Expr>),
    /// `then if test else otherwise`.
    Cond {
        then: Box<Expr>,
        test: Box<Expr>,
        otherwise: Option<Box<Expr>>,
    },
    /// A value and what is done to it, one after the other.
    Postfix(Box<Expr>, Vec<Step>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Or,
    And,
    Add,
    Subtract,
    Concat,
    Multiply,
    Divide,
    FloorDivide,
    Modulo,
    Power,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Unequal,
    Order,
    In,
    NotIn,
}

/// One thing that is done to a value.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) at: usize,
    pub(super) kind: StepKind,
}

#[derive(Debug)]
pub(super) enum StepKind {
    /// `.name`
    Attr(String),
    /// `[x]`
    Item(Expr),
    /// `[a:b:c]`
    Slice(Vec<Expr>),
    /// `(…)`
    Call(Args),
    /// `|name(…)`
    Filter(String, Args),
    /// `is name(…)`, `is not name(…)`
    Test { negated: bool, args: Args },
}

/// Arguments: by place (also `*x`) and by name (`**x` has none).
#[derive(Debug, Default)]
pub(super) struct Args {
    pub(super) places: Vec<Expr>,
    pub(super) names: Vec<(String, Expr)>,
}

impl Args {
    /// All values.
    pub(super) fn all(&self) -> impl Iterator<Item = &Expr> {
        self.places.iter().chain(self.names.iter().map(|(_, value)| value))
    }
}

impl Expr {
    /// Calls `f` with each expression directly in this one.
    pub(super) fn children<'t>(&'t self, f: &mut dyn FnMut(&'t Expr)) {
        match &self.kind {
            ExprKind::Text(_) | ExprKind::Int(_) | ExprKind::Float | ExprKind::Const | ExprKind::Name(_) => {}
            ExprKind::List(items) => items.iter().for_each(f),
            ExprKind::Dict(pairs) => pairs.iter().for_each(|(key, value)| {
                f(key);
                f(value);
            }),
            ExprKind::Chain(first, rest) => {
                f(first);
                rest.iter().for_each(|(_, expr)| f(expr));
            }
            ExprKind::Compare(first, rest) => {
                f(first);
                rest.iter().for_each(|(_, expr)| f(expr));
            }
            ExprKind::Not(inner) | ExprKind::Sign(inner) => f(inner),
            ExprKind::Cond { then, test, otherwise } => {
                f(then);
                f(test);
                otherwise.iter().for_each(|expr| f(expr));
            }
            ExprKind::Postfix(base, steps) => {
                f(base);
                for step in steps {
                    match &step.kind {
                        StepKind::Attr(_) => {}
                        StepKind::Item(item) => f(item),
                        StepKind::Slice(parts) => parts.iter().for_each(&mut *f),
                        StepKind::Call(args) | StepKind::Filter(_, args) | StepKind::Test { args, .. } => {
                            args.all().for_each(&mut *f);
                        }
                    }
                }
            }
        }
    }

    /// Calls `f` with this expression and all within it.
    pub(super) fn walk<'t>(&'t self, f: &mut dyn FnMut(&'t Expr)) {
        f(self);
        self.children(&mut |child| child.walk(f));
    }

    /// What a variable is kept under: `x`, or `ns.x` for what a namespace holds.
    pub(super) fn key(&self) -> Option<String> {
        match &self.kind {
            ExprKind::Name(name) => Some(name.clone()),
            ExprKind::Postfix(base, steps) => match (&base.kind, steps.as_slice()) {
                (ExprKind::Name(name), [Step { kind: StepKind::Attr(attr), .. }]) => {
                    Some(format!("{name}.{attr}"))
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// The variables that an assignment to this sets.
    pub(super) fn keys(&self) -> Vec<String> {
        match &self.kind {
            ExprKind::List(items) => items.iter().flat_map(Self::keys).collect(),
            _ => self.key().into_iter().collect(),
        }
    }

    /// The name and the arguments, if this is the call of a function by its name, whatever is done to the result.
    pub(super) fn called(&self) -> Option<(&str, &Args)> {
        match &self.kind {
            ExprKind::Postfix(base, steps) => match (&base.kind, steps.first()) {
                (ExprKind::Name(name), Some(Step { kind: StepKind::Call(args), .. })) => Some((name, args)),
                _ => None,
            },
            _ => None,
        }
    }
}

impl Stmt {
    /// Calls `f` with each expression of this statement itself.
    pub(super) fn exprs<'t>(&'t self, f: &mut dyn FnMut(&'t Expr)) {
        let params = |params: &'t [(String, Option<Expr>)], f: &mut dyn FnMut(&'t Expr)| {
            params.iter().filter_map(|(_, default)| default.as_ref()).for_each(f);
        };
        match &self.kind {
            StmtKind::Raw(_)
            | StmtKind::Group(_)
            | StmtKind::Break
            | StmtKind::Continue
            | StmtKind::Debug => {}
            StmtKind::Emit(expr) | StmtKind::Do(expr) => f(expr),
            StmtKind::For { target, iter, filter, .. } => {
                f(target);
                f(iter);
                filter.iter().for_each(f);
            }
            StmtKind::If { branches, .. } => branches.iter().for_each(|(test, _)| f(test)),
            StmtKind::Set { target, value } => {
                f(target);
                f(value);
            }
            StmtKind::SetBlock { target, .. } => f(target),
            StmtKind::With { pairs, .. } => pairs.iter().for_each(|(target, value)| {
                f(target);
                f(value);
            }),
            StmtKind::Macro { params: list, .. } => params(list, f),
            StmtKind::CallBlock { params: list, call, .. } => {
                params(list, f);
                f(call);
            }
            StmtKind::FilterBlock { filter, .. } => f(filter),
            StmtKind::Load { name, .. } => f(name),
        }
    }

    /// The statements within this one.
    pub(super) fn bodies(&self) -> Vec<&[Stmt]> {
        match &self.kind {
            StmtKind::For { body, otherwise, .. } => vec![body, otherwise],
            StmtKind::If { branches, otherwise } => {
                branches.iter().map(|(_, body)| body.as_slice()).chain([otherwise.as_slice()]).collect()
            }
            StmtKind::SetBlock { body, .. }
            | StmtKind::With { body, .. }
            | StmtKind::Macro { body, .. }
            | StmtKind::CallBlock { body, .. }
            | StmtKind::FilterBlock { body, .. }
            | StmtKind::Group(body) => vec![body],
            _ => Vec::new(),
        }
    }
}

/// Calls `f` with all statements of `body`, however deep.
pub(super) fn walk<'t>(body: &'t [Stmt], f: &mut dyn FnMut(&'t Stmt)) {
    for stmt in body {
        f(stmt);
        for inner in stmt.bodies() {
            walk(inner, f);
        }
    }
}
