//! Which variables of a template come from what people write in messages, or from the date.

use std::collections::BTreeMap;

use super::ast::{Args, Comparison, Expr, ExprKind, Op, Step, StepKind, Stmt, StmtKind};
use super::fold::{Constants, Value};
use super::scope;

/// What a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Origin {
    /// A message, or all of them.
    pub(super) message: bool,
    /// From what a message says.
    pub(super) content: bool,
    /// From the date.
    pub(super) date: bool,
    /// From a search in what a message says: where, or how often, something is in it.
    pub(super) searched: bool,
    /// From a decision on what a message says.
    pub(super) by_content: bool,
    /// From a decision on the date.
    pub(super) by_date: bool,
}

impl Origin {
    fn with(self, other: Self) -> Self {
        Self {
            message: self.message || other.message,
            content: self.content || other.content,
            date: self.date || other.date,
            searched: self.searched || other.searched,
            by_content: self.by_content || other.by_content,
            by_date: self.by_date || other.by_date,
        }
    }

    /// What a number or truth value made from it still says.
    fn decided(self) -> Self {
        Self { message: false, content: false, date: false, searched: false, ..self }
    }
}

/// What a test looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trigger {
    pub(super) on: On,
    /// Whether it looks for what people write, and not for a mark of the format.
    pub(super) natural: bool,
    /// Whether what it looks for is there where the test holds.
    pub(super) present: bool,
    /// Whether the test itself looks, and not an earlier one whose outcome was kept.
    pub(super) direct: bool,
}

/// What a test looks into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum On {
    Content,
    Date,
}

/// Parts of a message that hold what was written.
const CONTENT: [&str; 12] = [
    "content",
    "text",
    "reasoning_content",
    "reasoning",
    "thinking",
    "thought",
    "value",
    "query",
    "prompt",
    "question",
    "instruction",
    "user_input",
];

/// Variables of renderers that hold the conversation.
const MESSAGES: [&str; 7] =
    ["message", "messages", "conversation", "conversations", "history", "dialog", "chat"];

/// Variables of renderers that hold the date.
const DATES: [&str; 8] =
    ["date_string", "current_date", "today", "date", "now", "current_time", "datetime", "current_datetime"];

/// Texts that stand for parts of messages, not for what is in them.
const STRUCTURE: [&str; 30] = [
    "image",
    "images",
    "image_url",
    "video",
    "video_url",
    "videos",
    "audio",
    "audio_url",
    "input_audio",
    "text",
    "type",
    "content",
    "role",
    "name",
    "function",
    "tool_calls",
    "tool_call",
    "tool",
    "tools",
    "arguments",
    "parameters",
    "string",
    "object",
    "array",
    "number",
    "integer",
    "boolean",
    "user",
    "assistant",
    "system",
];

/// Marks by which honest templates steer reasoning and calls of tools.
const KNOWN_MARKS: [&str; 16] = [
    "think",
    "tool",
    "reason",
    "answer",
    "channel",
    "system_override",
    "function",
    "image",
    "video",
    "audio",
    "inst",
    "im_start",
    "im_end",
    "turn",
    "response",
    "header_id",
];

/// How many times the flow is followed before it is given up. Assignments mostly come before uses.
const PASSES: usize = 12;

/// The parameters of a macro, as they are called where it is called and as they are called in it.
struct Params<'t> {
    in_order: Vec<&'t str>,
    by_name: BTreeMap<&'t str, &'t str>,
}

/// The flow of a template.
pub(super) struct Flow<'t> {
    constants: &'t Constants,
    origins: BTreeMap<String, Origin>,
    macros: BTreeMap<&'t str, Params<'t>>,
    changed: bool,
}

impl<'t> Flow<'t> {
    pub(super) fn of(body: &'t [Stmt], constants: &'t Constants) -> Self {
        let mut macros = BTreeMap::new();
        super::ast::walk(body, &mut |stmt| {
            if let StmtKind::Macro { name, params, .. } = &stmt.kind {
                let in_order: Vec<&str> = params.iter().map(|(param, _)| param.as_str()).collect();
                let by_name = in_order.iter().map(|param| (scope::plain(param), *param)).collect();
                macros.insert(name.as_str(), Params { in_order, by_name });
            }
        });
        let mut flow = Self { constants, origins: BTreeMap::new(), macros, changed: true };
        for _ in 0..PASSES {
            if !flow.changed {
                break;
            }
            flow.changed = false;
            flow.body(body, Origin::default());
        }
        flow
    }

    /// Whether following it came to an end.
    pub(super) fn is_complete(&self) -> bool {
        !self.changed
    }

    /// Whether a variable of this name ever holds what a message says.
    pub(super) fn holds_content(&self, key: &str) -> bool {
        self.origins.get(key).is_some_and(|origin| origin.content)
    }

    fn mark(&mut self, key: String, origin: Origin) {
        if origin == Origin::default() {
            return;
        }
        let known = self.origins.entry(key).or_default();
        let both = known.with(origin);
        self.changed |= both != *known;
        *known = both;
    }

    fn body(&mut self, body: &'t [Stmt], by: Origin) {
        for stmt in body {
            stmt.exprs(&mut |expr| expr.walk(&mut |expr| self.call(expr)));
            match &stmt.kind {
                StmtKind::Set { target, value } => {
                    let origin = self.origin(value).with(by);
                    target.keys().into_iter().for_each(|key| self.mark(key, origin));
                    if let (Some(key), Some(("namespace", args))) = (target.key(), value.called()) {
                        for (name, value) in &args.names {
                            let origin = self.origin(value).with(by);
                            self.mark(format!("{key}.{name}"), origin);
                        }
                    }
                }
                StmtKind::SetBlock { target, body, .. } => {
                    let mut origin = by;
                    super::ast::walk(body, &mut |stmt| {
                        if let StmtKind::Emit(expr) = &stmt.kind {
                            origin = origin.with(self.origin(expr));
                        }
                    });
                    target.keys().into_iter().for_each(|key| self.mark(key, origin));
                }
                StmtKind::For { target, iter, .. } => {
                    let origin = self.origin(iter).with(by);
                    let names = target.keys();
                    // Of a pair, the first is the name of a part.
                    let skip = usize::from(names.len() == 2);
                    names.into_iter().skip(skip).for_each(|key| self.mark(key, origin));
                }
                StmtKind::With { pairs, .. } => {
                    for (target, value) in pairs {
                        let origin = self.origin(value).with(by);
                        target.keys().into_iter().for_each(|key| self.mark(key, origin));
                    }
                }
                _ => {}
            }
            if let StmtKind::If { branches, otherwise } = &stmt.kind {
                let mut by = by;
                for (test, body) in branches {
                    by = by.with(self.decision(test));
                    self.body(body, by);
                }
                self.body(otherwise, by);
            } else {
                for inner in stmt.bodies() {
                    self.body(inner, by);
                }
            }
        }
    }

    /// What the parameters of a macro that is called here hold.
    fn call(&mut self, expr: &Expr) {
        let Some((name, args)) = expr.called() else { return };
        let Some(params) = self.macros.get(name) else { return };
        let places = args.places.iter().zip(&params.in_order).map(|(value, param)| (value, *param));
        let names =
            args.names.iter().filter_map(|(name, value)| Some((value, *params.by_name.get(name.as_str())?)));
        let given: Vec<(&Expr, &str)> = places.chain(names).collect();
        for (value, param) in given {
            let origin = self.origin(value);
            self.mark(param.to_owned(), origin);
        }
    }

    /// What is decided by a test on language. Marks of the format are what honest templates decide by.
    fn decision(&self, test: &Expr) -> Origin {
        decided(&self.triggers(test))
    }

    /// What a value comes from.
    pub(super) fn origin(&self, expr: &Expr) -> Origin {
        match &expr.kind {
            ExprKind::Text(_) | ExprKind::Int(_) | ExprKind::Float | ExprKind::Const => Origin::default(),
            ExprKind::Name(name) => {
                let mut origin = self.origins.get(name).copied().unwrap_or_default();
                let free = !self.constants.binds(name);
                origin.message |= free && MESSAGES.contains(&name.as_str());
                origin.content |= free && CONTENT.contains(&name.as_str());
                origin.date |= free && DATES.contains(&name.as_str());
                origin
            }
            ExprKind::Compare(..) | ExprKind::Not(_) => self.decision(expr),
            ExprKind::Cond { then, test, otherwise } => {
                let mut origin = self.origin(then).with(self.decision(test));
                if let Some(otherwise) = otherwise {
                    origin = origin.with(self.origin(otherwise));
                }
                origin
            }
            ExprKind::Postfix(base, steps) => self.steps(expr, base, steps),
            _ => {
                let mut origin = Origin::default();
                expr.children(&mut |child| origin = origin.with(self.origin(child)));
                origin
            }
        }
    }

    fn steps(&self, expr: &Expr, base: &Expr, steps: &[Step]) -> Origin {
        if let Some(key) = expr.key().filter(|key| self.constants.binds(key)) {
            return self.origins.get(&key).copied().unwrap_or_default();
        }
        let mut origin = self.origin(base);
        if let ExprKind::Name(name) = &base.kind {
            // `ns.x` and what is done to it.
            if let Some(Step { kind: StepKind::Attr(attr), .. }) = steps.first()
                && let Some(known) = self.origins.get(&format!("{name}.{attr}"))
            {
                origin = origin.with(*known);
            }
            if matches!(steps.first(), Some(Step { kind: StepKind::Call(_), .. })) {
                origin.date |=
                    matches!(name.as_str(), "strftime_now" | "now" | "datetime" | "utcnow" | "today");
                if name == "namespace" {
                    return Origin::default();
                }
            }
        }
        let mut rest = steps.iter().peekable();
        while let Some(step) = rest.next() {
            let called = matches!(rest.peek(), Some(Step { kind: StepKind::Call(_), .. }));
            match &step.kind {
                StepKind::Attr(name) if called => {
                    origin.content |= origin.message && matches!(name.as_str(), "items" | "values");
                    origin.searched |= origin.content
                        && matches!(
                            name.as_str(),
                            "find" | "rfind" | "count" | "index" | "split" | "partition"
                        );
                    if matches!(name.as_str(), "keys" | "strftime") {
                        origin.content = false;
                    }
                }
                StepKind::Attr(name) => self.part(&mut origin, name),
                StepKind::Item(item) => match self.constants.fold(item) {
                    Some(Value::Text(name)) => self.part(&mut origin, &name),
                    Some(_) => {}
                    None => origin = origin.with(self.origin(item).decided()),
                },
                StepKind::Slice(_) => {}
                StepKind::Call(args) => origin = self.args(origin, args),
                StepKind::Filter(name, args) => {
                    origin = self.args(origin, args);
                    match name.as_str() {
                        "length" | "count" | "wordcount" | "int" | "float" | "round" => {
                            origin.content = false
                        }
                        // Of a whole message, or all of them.
                        "string" | "tojson" | "join" | "pprint" | "items" | "dictsort" | "list" => {
                            origin.content |= origin.message;
                        }
                        "map" | "selectattr" | "rejectattr" | "groupby" | "sum" | "unique" | "sort" => {
                            origin.content |= args
                                .all()
                                .filter_map(|arg| self.constants.text(arg))
                                .any(|name| CONTENT.contains(&name.as_str()));
                        }
                        _ => {}
                    }
                }
                StepKind::Test { args, .. } => {
                    let mut triggers = Vec::new();
                    self.held(origin, &args.all().collect::<Vec<_>>(), true, &mut triggers);
                    origin = decided(&triggers);
                }
            }
        }
        origin
    }

    /// A part of a value: what is written, or something about it.
    fn part(&self, origin: &mut Origin, name: &str) {
        origin.content = CONTENT.contains(&name);
        origin.message = false;
    }

    fn args(&self, origin: Origin, args: &Args) -> Origin {
        args.all().fold(origin, |origin, arg| origin.with(self.origin(arg)))
    }

    /// What a test looks for.
    pub(super) fn triggers(&self, test: &Expr) -> Vec<Trigger> {
        let mut triggers = Vec::new();
        self.look(test, true, &mut triggers);
        triggers
    }

    fn look(&self, test: &Expr, holds: bool, triggers: &mut Vec<Trigger>) {
        match &test.kind {
            ExprKind::Not(inner) => self.look(inner, !holds, triggers),
            ExprKind::Chain(first, rest) if rest.iter().all(|(op, _)| matches!(op, Op::And | Op::Or)) => {
                self.look(first, holds, triggers);
                rest.iter().for_each(|(_, expr)| self.look(expr, holds, triggers));
            }
            ExprKind::Compare(first, rest) => {
                let mut parts = vec![first.as_ref()];
                let mut present = holds;
                for (comparison, right) in rest {
                    parts.push(right);
                    if matches!(comparison, Comparison::NotIn | Comparison::Unequal) {
                        present = !holds;
                    }
                }
                self.compared(&parts, present, triggers);
            }
            ExprKind::Postfix(base, steps) => {
                // `content.startswith('x')`, `content is search('x')`, `content|select('x')`: the value, then all
                // that it is held against.
                let mut parts = vec![];
                let mut present = holds;
                for step in steps {
                    match &step.kind {
                        StepKind::Call(args) | StepKind::Filter(_, args) => parts.extend(args.all()),
                        StepKind::Test { args, negated, .. } => {
                            parts.extend(args.all());
                            present ^= *negated;
                        }
                        _ => {}
                    }
                }
                if parts.is_empty() || matches!(steps.last(), Some(Step { kind: StepKind::Attr(_), .. })) {
                    self.flag(test, triggers);
                    return;
                }
                // Without the last, which asks; a method is a name and a call.
                let before = match steps.as_slice() {
                    [
                        before @ ..,
                        Step { kind: StepKind::Attr(_), .. },
                        Step { kind: StepKind::Call(_), .. },
                    ]
                    | [before @ .., _] => before,
                    [] => &[],
                };
                let origin = self.steps(test, base, before);
                self.held(origin, &parts, present, triggers);
            }
            ExprKind::Cond { then, test, otherwise } => {
                self.look(then, holds, triggers);
                self.look(test, holds, triggers);
                if let Some(otherwise) = otherwise {
                    self.look(otherwise, holds, triggers);
                }
            }
            _ => self.flag(test, triggers),
        }
    }

    /// A variable that was decided on earlier.
    fn flag(&self, test: &Expr, triggers: &mut Vec<Trigger>) {
        let origin = self.origin(test);
        for (is, on) in [(origin.by_content, On::Content), (origin.by_date, On::Date)] {
            if is {
                triggers.push(Trigger { on, natural: true, present: true, direct: false });
            }
        }
    }

    fn compared(&self, parts: &[&Expr], present: bool, triggers: &mut Vec<Trigger>) {
        let origin = parts.iter().fold(Origin::default(), |origin, part| origin.with(self.origin(part)));
        self.held(origin, parts, present, triggers);
    }

    fn held(&self, origin: Origin, parts: &[&Expr], present: bool, triggers: &mut Vec<Trigger>) {
        if origin.by_content || origin.by_date {
            for (is, on) in [(origin.by_content, On::Content), (origin.by_date, On::Date)] {
                if is {
                    triggers.push(Trigger { on, natural: true, present: true, direct: false });
                }
            }
        }
        // `content.find('x') >= 0`, `content.split('x')|length > 1`
        let content = origin.content || origin.searched;
        if !(content || origin.date) {
            return;
        }
        let mut texts = Vec::new();
        let mut numbers = false;
        for part in parts {
            part.walk(&mut |expr| match self.constants.fold(expr) {
                Some(Value::Text(text)) => texts.push(text),
                Some(Value::List(items)) => texts.extend(items.into_iter().filter_map(|item| match item {
                    Value::Text(text) => Some(text),
                    _ => None,
                })),
                Some(Value::Int(_)) => numbers = true,
                None => {}
            });
        }
        texts.retain(|text| !text.trim().is_empty());
        if origin.date && (numbers || texts.iter().any(|text| !text.contains('%'))) {
            triggers.push(Trigger { on: On::Date, natural: true, present, direct: true });
        }
        if content && texts.iter().any(|text| !STRUCTURE.contains(&text.as_str())) {
            let natural =
                texts.iter().any(|text| !STRUCTURE.contains(&text.as_str()) && !is_known_mark(text));
            triggers.push(Trigger { on: On::Content, natural, present, direct: true });
        }
    }
}

/// What tests for these decide.
fn decided(triggers: &[Trigger]) -> Origin {
    let natural = |on| triggers.iter().any(|trigger| trigger.natural && trigger.on == on);
    Origin { by_content: natural(On::Content), by_date: natural(On::Date), ..Origin::default() }
}

/// Whether a text is a mark of a format of conversations: `</think>`, `<|im_start|>`, `/no_think`, `[TOOL_CALLS]`.
fn is_known_mark(text: &str) -> bool {
    let text = text.trim();
    if text.len() > 64 || text.contains(char::is_whitespace) {
        return false;
    }
    // Marks between bars belong to tokenizers; nobody writes them.
    let barred = |bar| text.starts_with('<') && text.chars().nth(1) == Some(bar);
    if barred('|') || barred('｜') {
        return true;
    }
    let lower = text.to_lowercase();
    text.starts_with(['<', '[', '/']) && KNOWN_MARKS.iter().any(|mark| lower.contains(mark))
}
