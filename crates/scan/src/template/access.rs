//! What a template reaches for: attributes, functions, filters, other templates, and time without end.

use ostrom_core::Severity;

use super::ast::{Args, Expr, ExprKind, Op, Step, StepKind, Stmt, StmtKind};
use super::fold::{Constants, Value};
use super::{
    ATTR_FILTER, COMPUTED, DANGEROUS, EXHAUSTION, Found, GADGET, INTERNALS, LOADS, PRIVATE, UNKNOWN_CALLABLE,
    hidden,
};

/// Attributes without underscores that lead into the interpreter.
const INTERNAL: [&str; 24] = [
    "mro",
    "func_globals",
    "func_code",
    "func_closure",
    "func_defaults",
    "im_func",
    "im_self",
    "im_class",
    "gi_frame",
    "gi_code",
    "gi_yieldfrom",
    "cr_frame",
    "cr_code",
    "cr_await",
    "ag_frame",
    "ag_code",
    "ag_await",
    "tb_frame",
    "tb_next",
    "f_globals",
    "f_locals",
    "f_builtins",
    "f_code",
    "f_back",
];

/// Names with underscores on both sides, which as a whole text mean one thing only.
pub(super) const DUNDERS: [&str; 40] = [
    "__base__",
    "__bases__",
    "__builtins__",
    "__call__",
    "__class__",
    "__closure__",
    "__code__",
    "__dict__",
    "__dir__",
    "__enter__",
    "__exit__",
    "__file__",
    "__func__",
    "__get__",
    "__getattr__",
    "__getattribute__",
    "__getitem__",
    "__globals__",
    "__import__",
    "__init__",
    "__init_subclass__",
    "__loader__",
    "__main__",
    "__module__",
    "__mro__",
    "__name__",
    "__new__",
    "__objclass__",
    "__qualname__",
    "__reduce__",
    "__reduce_ex__",
    "__self__",
    "__set__",
    "__setattr__",
    "__setstate__",
    "__spec__",
    "__subclasses__",
    "__subclasshook__",
    "__traceback__",
    "__wrapped__",
];

/// Functions that templates call, and what gives them: Jinja, then the transformers library.
const FUNCTIONS: [&str; 10] = [
    "range",
    "dict",
    "namespace",
    "super",
    "caller",
    "loop",
    "varargs",
    "kwargs",
    "raise_exception",
    "strftime_now",
];

/// Names that run programs where a renderer offers them. As variables of honest templates they make no sense either.
const PROGRAMS: [&str; 22] = [
    "eval",
    "exec",
    "execfile",
    "compile",
    "open",
    "getattr",
    "setattr",
    "delattr",
    "globals",
    "locals",
    "vars",
    "breakpoint",
    "__import__",
    "__builtins__",
    "builtins",
    "importlib",
    "os",
    "sys",
    "subprocess",
    "popen",
    "pty",
    "system",
];

/// Methods that run programs, whatever they belong to.
const METHODS: [&str; 12] = [
    "popen",
    "system",
    "check_output",
    "check_call",
    "getoutput",
    "getstatusoutput",
    "eval",
    "exec",
    "spawn",
    "load_module",
    "import_module",
    "import_string",
];

/// Objects that attacks on template engines start from, and chat templates have no use for.
const GADGETS: [&str; 11] = [
    "lipsum",
    "cycler",
    "joiner",
    "self",
    "request",
    "config",
    "session",
    "g",
    "url_for",
    "get_flashed_messages",
    "environ",
];

/// Jinja's filters, and the transformers library's `tojson`.
const FILTERS: [&str; 58] = [
    "abs",
    "batch",
    "capitalize",
    "center",
    "count",
    "d",
    "default",
    "dictsort",
    "e",
    "escape",
    "filesizeformat",
    "first",
    "float",
    "forceescape",
    "format",
    "groupby",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "pprint",
    "random",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "safe",
    "select",
    "selectattr",
    "slice",
    "sort",
    "string",
    "striptags",
    "sum",
    "title",
    "tojson",
    "trim",
    "truncate",
    "unique",
    "upper",
    "urlencode",
    "urlize",
    "wordcount",
    "wordwrap",
    "xmlattr",
    "fromjson",
    "from_json",
    "split",
    "keys",
    "values",
];

/// More rounds, or characters, than a conversation has.
const HUGE: i64 = 10_000_000;

struct Check<'t, 'f> {
    constants: &'t Constants,
    found: &'f mut Vec<Found>,
}

/// Reports what `body` reaches for.
pub(super) fn check(body: &[Stmt], constants: &Constants, found: &mut Vec<Found>) {
    Check { constants, found }.body(body, 1);
}

impl Check<'_, '_> {
    fn report(&mut self, rule: &'static str, at: usize, what: impl Into<String>) {
        self.found.push(Found::new(rule, at, what));
    }

    /// `rounds` is how often this is run, as far as literals say.
    fn body(&mut self, body: &[Stmt], rounds: i64) {
        for stmt in body {
            stmt.exprs(&mut |expr| self.expr(expr));
            let mut inside = rounds;
            match &stmt.kind {
                StmtKind::Load { tag, .. } => {
                    self.report(LOADS, stmt.at, format!("{tag:?} loads another template"));
                }
                StmtKind::Debug => self.report(GADGET, stmt.at, "\"debug\" shows what the renderer holds"),
                StmtKind::For { iter, .. } => {
                    if let Some(times) = self.rounds(iter) {
                        inside = rounds.saturating_mul(times.max(1));
                        if inside >= HUGE && rounds < HUGE {
                            self.report(EXHAUSTION, stmt.at, format!("{inside} rounds of a loop"));
                        }
                    }
                }
                _ => {}
            }
            for inner in stmt.bodies() {
                self.body(inner, inside);
            }
        }
    }

    /// How often a loop over a range of literals goes round.
    fn rounds(&self, iter: &Expr) -> Option<i64> {
        let ("range", args) = iter.called()? else { return None };
        let number = |expr: &Expr| match self.constants.fold(expr) {
            Some(Value::Int(number)) => Some(number),
            _ if matches!(expr.kind, ExprKind::Int(None)) => Some(i64::MAX),
            _ => None,
        };
        let args: Vec<i64> = args.places.iter().map(number).collect::<Option<_>>()?;
        let (start, stop, step) = match args.as_slice() {
            [stop] => (0, *stop, 1),
            [start, stop] => (*start, *stop, 1),
            [start, stop, step] => (*start, *stop, *step),
            _ => return None,
        };
        let span = if step < 0 { start.saturating_sub(stop) } else { stop.saturating_sub(start) };
        span.checked_div(step.saturating_abs())
    }

    fn expr(&mut self, expr: &Expr) {
        // What comes to a name that only the interpreter has is reported where it is put together.
        if let Some(text) = self.constants.text(expr) {
            if let Some(name) = text.split('.').find(|part| DUNDERS.contains(part)) {
                let whole = matches!(expr.kind, ExprKind::Text(_));
                let how = if whole { "the text" } else { "comes to the text" };
                self.report(INTERNALS, expr.at, format!("{how} {name:?}, a name inside the interpreter"));
                return;
            }
            if let Some(field) = format_field(&text) {
                self.report(INTERNALS, expr.at, format!("a format with the field {field:?}"));
            }
            if let Some((_, hidden)) = hidden::find(&text)
                && hidden > hidden::Hidden::Invisible
            {
                self.report(super::HIDDEN, expr.at, format!("a text with {}", hidden.words()));
            }
        }
        match &expr.kind {
            ExprKind::Name(name) => self.name(name, expr.at, false),
            ExprKind::Chain(..) => self.multiplied(expr),
            ExprKind::Dict(_) => {}
            ExprKind::Postfix(base, steps) => {
                self.postfix(base, steps);
                // The base's name has been looked at together with the call.
                let called = matches!(steps.first(), Some(Step { kind: StepKind::Call(_), .. }));
                let is_called_name = called && matches!(base.kind, ExprKind::Name(_));
                expr.children(&mut |child| {
                    if !(is_called_name && std::ptr::eq(child, &raw const **base)) {
                        self.expr(child);
                    }
                });
                return;
            }
            _ => {}
        }
        expr.children(&mut |child| self.expr(child));
    }

    /// A variable or function by its name.
    fn name(&mut self, name: &str, at: usize, called: bool) {
        if is_dunder(name) {
            self.report(INTERNALS, at, format!("the name {name:?}"));
        } else if self.constants.binds(name) {
        } else if PROGRAMS.contains(&name)
            && (called || !matches!(name, "open" | "compile" | "system" | "vars"))
        {
            self.report(DANGEROUS, at, format!("{name:?}, which runs programs"));
        } else if GADGETS.contains(&name) {
            self.report(GADGET, at, format!("{name:?}, which chat templates have no use for"));
        } else if called && !FUNCTIONS.contains(&name) {
            self.report(UNKNOWN_CALLABLE, at, format!("the function {name:?}"));
        }
    }

    fn postfix(&mut self, base: &Expr, steps: &[Step]) {
        if let (ExprKind::Name(name), Some(Step { kind: StepKind::Call(args), at })) =
            (&base.kind, steps.first())
        {
            self.name(name, base.at, true);
            if matches!(name.as_str(), "range" | "lipsum") && args.all().any(|arg| self.is_huge(arg)) {
                self.report(EXHAUSTION, *at, format!("{name:?} with a huge number"));
            }
        }
        let mut rest = steps.iter().peekable();
        while let Some(step) = rest.next() {
            let called = matches!(rest.peek(), Some(Step { kind: StepKind::Call(_), .. }));
            match &step.kind {
                StepKind::Attr(name) => {
                    self.attribute(name, step.at);
                    if called && METHODS.contains(&name.as_str()) {
                        self.report(DANGEROUS, step.at, format!("the method {name:?}, which runs programs"));
                    }
                }
                StepKind::Item(item) => {
                    let first = steps.first().is_some_and(|first| std::ptr::eq(first, step));
                    match &base.kind {
                        ExprKind::Name(name)
                            if first
                                && self.constants.is_object(name)
                                && self.constants.fold(item).is_none() =>
                        {
                            let what = format!("an attribute of {name:?}, whose name is not written out");
                            self.report(COMPUTED, step.at, what);
                        }
                        _ => self.computed(item, step.at, false),
                    }
                }
                StepKind::Filter(name, args) => self.filter(name, args, step.at),
                StepKind::Call(args) => self.keywords(args, step.at),
                StepKind::Slice(_) | StepKind::Test { .. } => {}
            }
        }
    }

    fn attribute(&mut self, name: &str, at: usize) {
        if is_dunder(name) || INTERNAL.contains(&name) {
            self.report(INTERNALS, at, format!("the attribute {name:?}"));
        } else if name.starts_with('_') {
            self.report(PRIVATE, at, format!("the attribute {name:?}"));
        }
    }

    /// The name of an attribute, as an expression. Subscripts reach attributes too.
    fn computed(&mut self, name: &Expr, at: usize, attribute: bool) {
        match self.constants.fold(name) {
            Some(Value::Text(text)) => {
                for part in text.split('.') {
                    // A whole text of this kind is reported where it stands.
                    if DUNDERS.contains(&part) {
                    } else if is_dunder(part) || INTERNAL.contains(&part) {
                        self.report(INTERNALS, at, format!("the attribute {part:?}"));
                    } else if attribute && part.starts_with('_') {
                        self.report(PRIVATE, at, format!("the attribute {part:?}"));
                    }
                }
            }
            Some(_) => {}
            None if self.is_built(name) => {
                self.report(COMPUTED, at, "the name of an attribute is put together from pieces");
            }
            None => {}
        }
    }

    /// Whether a name that could not be told is put together from pieces that the template has.
    fn is_built(&self, name: &Expr) -> bool {
        let (mut builds, mut literal, mut outside, mut written) = (false, false, false, false);
        name.walk(&mut |expr| match &expr.kind {
            ExprKind::Chain(_, rest) => {
                builds |= rest.iter().any(|(op, right)| match op {
                    Op::Concat => true,
                    Op::Add | Op::Modulo | Op::Multiply => {
                        matches!(right.kind, ExprKind::Text(_) | ExprKind::List(_))
                    }
                    _ => false,
                });
                builds |= matches!(&expr.kind, ExprKind::Chain(first, _) if matches!(first.kind, ExprKind::Text(_)));
            }
            ExprKind::Postfix(base, steps) => {
                // Whatever is done to a text of the template, if that could not be followed, is done to hide it.
                let own = self.constants.fold(base).is_some();
                builds |= steps.iter().any(|step| match &step.kind {
                    StepKind::Filter(name, _) | StepKind::Attr(name) => {
                        let joins = ["format", "join", "reverse", "sum", "batch", "slice"];
                        own || joins.contains(&name.as_str())
                    }
                    StepKind::Slice(_) => matches!(base.kind, ExprKind::Text(_)),
                    _ => false,
                });
            }
            ExprKind::Text(text) => literal |= text.contains('_') || INTERNAL.contains(&text.as_str()),
            ExprKind::Name(name) => {
                let text = self.constants.text(expr);
                literal |= text.is_some_and(|text| text.contains('_') || INTERNAL.contains(&text.as_str()));
                written |= self.constants.captures(name);
                outside |= !self.constants.binds(name) && name != "dict";
            }
            _ => {}
        });
        written || builds && (literal || !outside)
    }

    fn filter(&mut self, name: &str, args: &Args, at: usize) {
        let attribute = |place: usize| {
            let named = args.names.iter().find(|(name, _)| name == "attribute" || name == "name");
            named.map(|(_, value)| value).or_else(|| args.places.get(place))
        };
        match name {
            "attr" => {
                let Some(wanted) = attribute(0) else { return };
                self.computed(wanted, at, true);
                let severity =
                    if self.constants.fold(wanted).is_some() { Severity::Medium } else { Severity::High };
                let mut found = Found::new(ATTR_FILTER, at, "the filter \"attr\"");
                found.severity = Some(severity);
                self.found.push(found);
            }
            "map" | "sum" | "min" | "max" | "unique" | "sort" | "join" => {
                if let Some((_, wanted)) = args.names.iter().find(|(name, _)| name == "attribute") {
                    self.computed(wanted, at, true);
                }
                // `map('attr', '__class__')` is the filter `attr` for each.
                if name == "map"
                    && let Some(filter) = args.places.first()
                    && self.constants.text(filter).is_none_or(|filter| filter == "attr")
                {
                    let wanted = args.places.get(1);
                    if let Some(wanted) = wanted {
                        self.computed(wanted, at, true);
                    }
                    let told = self.constants.text(filter).is_some()
                        && wanted.is_none_or(|wanted| self.constants.fold(wanted).is_some());
                    let mut found = Found::new(ATTR_FILTER, at, "the filter \"attr\", by way of \"map\"");
                    found.severity = (!told).then_some(Severity::High);
                    self.found.push(found);
                }
            }
            "selectattr" | "rejectattr" | "groupby" => {
                if let Some(wanted) = attribute(0) {
                    self.computed(wanted, at, true);
                }
            }
            "center" | "indent" | "wordwrap" | "truncate" | "format" | "batch" | "slice"
                if args.all().any(|arg| self.is_huge(arg)) =>
            {
                self.report(EXHAUSTION, at, format!("the filter {name:?} with a huge number"));
            }
            _ if !FILTERS.contains(&name) => {
                self.report(UNKNOWN_CALLABLE, at, format!("the filter {name:?}"));
            }
            _ => {}
        }
    }

    /// Names of arguments: `dict(__class__=x)` makes the text too.
    fn keywords(&mut self, args: &Args, at: usize) {
        for (name, _) in &args.names {
            if is_dunder(name) {
                self.report(INTERNALS, at, format!("an argument by the name {name:?}"));
            }
        }
    }

    fn multiplied(&mut self, expr: &Expr) {
        let ExprKind::Chain(first, rest) = &expr.kind else { return };
        let text = |expr: &Expr| matches!(expr.kind, ExprKind::Text(_) | ExprKind::List(_));
        let texts = text(first) || rest.iter().any(|(_, expr)| text(expr));
        let times = rest.iter().any(|(op, _)| *op == Op::Multiply);
        let huge = self.is_huge(first) || rest.iter().any(|(_, expr)| self.is_huge(expr));
        if times && texts && huge {
            self.report(EXHAUSTION, expr.at, "a text, many million times");
        }
        let power = |(op, exponent): &(Op, Expr)| {
            *op == Op::Power
                && match self.constants.fold(exponent) {
                    Some(Value::Int(exponent)) => exponent > 10_000,
                    _ => !matches!(exponent.kind, ExprKind::Float),
                }
        };
        if rest.iter().filter(|(op, _)| *op == Op::Power).count() > 2 || rest.iter().any(power) {
            self.report(EXHAUSTION, expr.at, "a power without bound");
        }
    }

    fn is_huge(&self, expr: &Expr) -> bool {
        match self.constants.fold(expr) {
            Some(Value::Int(number)) => number >= HUGE,
            _ => matches!(expr.kind, ExprKind::Int(None)),
        }
    }
}

fn is_dunder(name: &str) -> bool {
    name.len() > 4
        && name.starts_with("__")
        && name.ends_with("__")
        && name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
}

/// The field of a format that reads an attribute from inside the interpreter: `'{0.__class__}'.format(x)`.
fn format_field(text: &str) -> Option<&str> {
    text.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(field, _)| field).find(|field| {
        field.len() < 200
            && field.split(['.', '[', ']']).skip(1).any(|part| is_dunder(part) || INTERNAL.contains(&part))
    })
}
