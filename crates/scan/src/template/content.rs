//! Hidden instructions: what a template says to the model only if a message says something, or on some days.
//!
//! Honest templates look into messages too, for marks such as `</think>`, and put out other marks. What they do not do
//! is to put out language, or take a message away, because of language in it.

use std::collections::BTreeMap;

use super::ast::{self, Expr, ExprKind, StepKind, Stmt, StmtKind};
use super::flow::{Flow, On, Trigger};
use super::fold::{Constants, Value};
use super::{CONDITIONAL_CONTENT, CONDITIONAL_DATE, EXHAUSTION, Found, OVERRIDE, URL, prose};

/// Reports what `body` says, and when.
pub(super) fn check(body: &[Stmt], constants: &Constants, found: &mut Vec<Found>) {
    let flow = Flow::of(body, constants);
    if !flow.is_complete() {
        found.push(Found::new(EXHAUSTION, 0, "variables depend on one another too deeply to be followed"));
    }
    let mut check = Check { flow: &flow, constants, found, macros: BTreeMap::new() };
    check.macros(body);
    check.said(body);
    check.body(body);
}

struct Check<'c, 't> {
    flow: &'c Flow<'t>,
    constants: &'t Constants,
    found: &'c mut Vec<Found>,
    /// A little of what each macro says, if it says something.
    macros: BTreeMap<String, String>,
}

/// What a branch does.
#[derive(Default)]
struct Said {
    /// The literal text that it puts out or keeps for later.
    text: String,
    /// Whether it puts out what a message says.
    content: bool,
    /// Whether it puts something else in the place of what a message says.
    replaces: bool,
    /// Whether it leaves the message out.
    skips: bool,
}

impl Check<'_, '_> {
    fn macros(&mut self, body: &[Stmt]) {
        let mut macros = BTreeMap::new();
        ast::walk(body, &mut |stmt| {
            let StmtKind::Macro { name, body, .. } = &stmt.kind else { return };
            let mut text = String::new();
            ast::walk(body, &mut |stmt| match &stmt.kind {
                StmtKind::Raw(raw) => text.push_str(raw),
                StmtKind::Emit(expr) => self.literals(expr, &mut text),
                _ => {}
            });
            if prose::words(&text) >= prose::SENTENCE {
                macros.insert(name.clone(), prose::sentence(&text));
            }
        });
        self.macros = macros;
    }

    /// What is said at any time.
    fn said(&mut self, body: &[Stmt]) {
        let mut texts = Vec::new();
        ast::walk(body, &mut |stmt| match &stmt.kind {
            StmtKind::Raw(text) => texts.push((stmt.at, text.clone())),
            StmtKind::Emit(expr) | StmtKind::Set { value: expr, .. } => {
                let mut said = String::new();
                self.literals(expr, &mut said);
                texts.push((stmt.at, said));
            }
            _ => {}
        });
        for (at, text) in texts {
            if prose::overrides(&text) {
                self.found.push(Found::new(OVERRIDE, at, "the model is told to ignore what it was told"));
            }
            if prose::has_url(&text) {
                self.found.push(Found::new(URL, at, "a web address is put into the conversation"));
            }
        }
    }

    fn body(&mut self, body: &[Stmt]) {
        for stmt in body {
            stmt.exprs(&mut |expr| expr.walk(&mut |expr| self.cond(expr)));
            match &stmt.kind {
                StmtKind::If { branches, otherwise } => self.branches(branches, otherwise),
                StmtKind::For { iter, filter, body, .. } => {
                    let mut triggers = filter.as_ref().map_or_else(Vec::new, |test| self.flow.triggers(test));
                    // `for part in content.split('x')`, `for m in messages|selectattr('content', 'search', 'x')`
                    if let ExprKind::Postfix(_, steps) = &iter.kind {
                        let selects = |kind: &StepKind| matches!(kind, StepKind::Filter(name, _) if name.starts_with("select") || name.starts_with("reject"));
                        if steps.iter().any(|step| selects(&step.kind)) {
                            triggers.extend(self.flow.triggers(iter));
                        }
                    }
                    if self.branch(stmt.at, &triggers, body, None) {
                        continue;
                    }
                    stmt.bodies().into_iter().for_each(|inner| self.body(inner));
                }
                _ => stmt.bodies().into_iter().for_each(|inner| self.body(inner)),
            }
        }
    }

    fn branches(&mut self, branches: &[(Expr, Vec<Stmt>)], otherwise: &[Stmt]) {
        let all: Vec<Said> =
            branches.iter().map(|(_, body)| self.of(body)).chain([self.of(otherwise)]).collect();
        let shows_content = all.iter().any(|said| said.content);
        // What is known in each branch: that the tests before it do not hold.
        let mut carried: Vec<Trigger> = Vec::new();
        for (test, body) in branches {
            let own = self.flow.triggers(test);
            let triggers: Vec<Trigger> = carried.iter().chain(&own).copied().collect();
            if !self.branch(test.at, &triggers, body, Some(shows_content)) {
                self.body(body);
            }
            for trigger in own {
                let trigger = Trigger { present: !trigger.present, ..trigger };
                if !carried.contains(&trigger) {
                    carried.push(trigger);
                }
            }
        }
        let at = otherwise.first().map_or(0, |stmt| stmt.at);
        if !self.branch(at, &carried, otherwise, Some(shows_content)) {
            self.body(otherwise);
        }
    }

    /// Reports a branch that is taken because of `triggers`, if it says what it should not. `shows_content` says
    /// whether it, or a branch beside it, puts out the message.
    fn branch(
        &mut self,
        at: usize,
        triggers: &[Trigger],
        body: &[Stmt],
        shows_content: Option<bool>,
    ) -> bool {
        if triggers.is_empty() {
            return false;
        }
        let said = self.of(body);
        let words = prose::words(&said.text);
        for on in [On::Content, On::Date] {
            let natural = triggers.iter().any(|trigger| trigger.on == on && trigger.natural);
            let direct = triggers.iter().any(|trigger| trigger.on == on && trigger.natural && trigger.direct);
            let present = triggers.iter().any(|trigger| trigger.on == on && trigger.present);
            let (rule, why) = match on {
                On::Content => (CONDITIONAL_CONTENT, "what a message says"),
                On::Date => (CONDITIONAL_DATE, "the date"),
            };
            let what = if (natural || present) && words >= prose::SENTENCE {
                format!("{words} words are put in depending on {why}")
            } else if direct && said.replaces {
                format!("a message is replaced depending on {why}")
            } else if natural
                && (said.skips || (shows_content == Some(true) && !said.content && !body.is_empty()))
            {
                format!("a message is left out depending on {why}")
            } else {
                continue;
            };
            self.found.push(Found::new(rule, at, what));
            return true;
        }
        false
    }

    /// `then if test else otherwise`
    fn cond(&mut self, expr: &Expr) {
        let ExprKind::Cond { then, test, otherwise } = &expr.kind else { return };
        let triggers = self.flow.triggers(test);
        for (branch, holds) in [(Some(then), true), (otherwise.as_ref(), false)] {
            let Some(branch) = branch else { continue };
            let mut text = String::new();
            self.literals(branch, &mut text);
            if prose::words(&text) < prose::SENTENCE {
                continue;
            }
            for on in [On::Content, On::Date] {
                let due = triggers
                    .iter()
                    .any(|trigger| trigger.on == on && (trigger.natural || trigger.present == holds));
                let (rule, why) = match on {
                    On::Content => (CONDITIONAL_CONTENT, "what a message says"),
                    On::Date => (CONDITIONAL_DATE, "the date"),
                };
                if due {
                    self.found.push(Found::new(
                        rule,
                        branch.at,
                        format!("words are put in depending on {why}"),
                    ));
                }
            }
        }
    }

    /// What `body` does.
    fn of(&self, body: &[Stmt]) -> Said {
        let mut said = Said::default();
        ast::walk(body, &mut |stmt| match &stmt.kind {
            StmtKind::Raw(text) => said.text.push_str(text),
            StmtKind::Emit(expr) => {
                said.content |= self.flow.origin(expr).content;
                self.literals(expr, &mut said.text);
            }
            StmtKind::CallBlock { call, .. } => self.literals(call, &mut said.text),
            StmtKind::Set { target, value } => {
                self.literals(value, &mut said.text);
                said.text.push(' ');
                let holds = target.keys().iter().any(|key| self.flow.holds_content(key));
                said.replaces |= holds && self.constants.fold(value).is_some_and(|value| is_language(&value));
                // What is kept for later shows the message too.
                said.content |= self.flow.origin(value).content;
            }
            StmtKind::Continue | StmtKind::Break => said.skips = true,
            _ => {}
        });
        said
    }

    /// The literal text in what an expression comes to: not what it is compared with, nor what errors say.
    fn literals(&self, expr: &Expr, out: &mut String) {
        match &expr.kind {
            ExprKind::Text(text) => out.push_str(text),
            ExprKind::Compare(..) | ExprKind::Not(_) => {}
            ExprKind::Cond { then, otherwise, .. } => {
                self.literals(then, out);
                out.push(' ');
                otherwise.iter().for_each(|expr| self.literals(expr, out));
            }
            ExprKind::Dict(pairs) => pairs.iter().for_each(|(_, value)| self.literals(value, out)),
            _ => {
                if let Some((name, _)) = expr.called() {
                    if matches!(name, "raise_exception" | "strftime_now") {
                        return;
                    }
                    // What a macro says is said where it is called.
                    if let Some(text) = self.macros.get(name) {
                        out.push_str(text);
                    }
                }
                if let ExprKind::Name(_) = expr.kind
                    && let Some(text) = self.constants.text(expr)
                {
                    out.push_str(&text);
                }
                if let ExprKind::Postfix(_, steps) = &expr.kind {
                    if steps.iter().any(|step| matches!(step.kind, StepKind::Test { .. })) {
                        return;
                    }
                    if let Some(text) = expr.key().and_then(|_| self.constants.text(expr)) {
                        out.push_str(&text);
                    }
                }
                expr.children(&mut |child| self.literals(child, out));
            }
        }
    }
}

/// Whether a value has words that could stand for a message.
fn is_language(value: &Value) -> bool {
    match value {
        Value::Text(text) => prose::words(text) > 0,
        _ => false,
    }
}
