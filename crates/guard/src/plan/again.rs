//! How a run that has used up its work goes on without telling what used it up.
//!
//! How much work there is depends on values, so a plan that ended where its work does would tell something about them by ending. So it
//! begins again, with new work and without the values that are *closed*: those whose labels the writer's label does not cover. All of
//! them are failed values now, and no way is taken that depends on them. Calls that were made are not made again: they have the answers
//! that they had. What is left depends on nothing closed, so it comes to the same end wherever the work ran out, and also where it did not:
//! it does no more than a run that has work enough does with what is not closed.
//!
//! What is closed now carries the label of all answers as well, since they may have used up the work.

use std::sync::Arc;

use crate::label::Label;

use super::USED_UP;
use super::run::{Answer, Interpreter, Next};
use super::tree::{Node, Tree};

/// What a step was told.
#[derive(Debug, Clone)]
pub(super) enum Told {
    /// What came of its call.
    Answer(Answer),
    /// The value that was to be endorsed, as it came out of that.
    Endorsed(Tree),
}

impl Interpreter {
    /// What a step was told, as the run goes on with it. It is kept, if everything that led to the step (`label`) is covered by the writer's label:
    /// then a run that begins again comes to it as well.
    pub(super) fn heard(&mut self, step: &str, label: &Label, told: Told) -> Told {
        if let Some(why) = &self.again {
            return told.without_closed(&self.control, Some(why));
        }
        if self.control.covers(label) {
            self.told.insert(step.to_owned(), told.clone().without_closed(&self.control, None));
        }
        told
    }

    /// Whether something with this label is not there any more.
    pub(super) fn is_gone(&self, label: &Label) -> bool {
        self.again.is_some() && !self.control.covers(label)
    }

    /// Begins again without what is closed. False if that would change nothing.
    pub(super) fn begin_again(&mut self) -> bool {
        if self.again.is_some() || self.control.covers(&self.seen) {
            return false;
        }
        let mut fresh = Self::new(Arc::clone(&self.plan), self.control.clone()).with_work(self.budget);
        fresh.told = std::mem::take(&mut self.told);
        fresh.again = Some(self.seen.clone());
        fresh.rules = self.rules;
        self.replace_by(fresh);
        true
    }

    /// Answers a step as it was answered before. False if it was not.
    pub(super) fn recall(&mut self, next: &Next) -> bool {
        let (true, Next::Call { step, .. }) = (self.again.is_some(), next) else { return false };
        match self.told.remove(step) {
            // It is this step that is waited for.
            Some(Told::Answer(answer)) => self.answer(step, answer).is_ok(),
            _ => false,
        }
    }

    /// What came of a step that endorses, if it was taken before.
    pub(super) fn endorsed_before(&mut self, step: &str) -> Option<Tree> {
        let why = self.again.as_ref()?;
        match self.told.remove(step)?.without_closed(&self.control, Some(why)) {
            Told::Endorsed(value) => Some(value),
            Told::Answer(_) => None,
        }
    }
}

impl Told {
    /// The same without what is closed, which is under the label of `why` then.
    fn without_closed(self, control: &Label, why: Option<&Label>) -> Self {
        let open = |tree: Tree| without_closed(tree, control, why);
        match self {
            Self::Endorsed(tree) => Self::Endorsed(open(tree)),
            Self::Answer(Answer { outcome, status }) => {
                let status = status.map(|status| match why {
                    Some(why) if !control.covers(&status) => status.join(why),
                    _ => status,
                });
                Self::Answer(Answer { outcome: outcome.map(open).map_err(open), status })
            }
        }
    }
}

fn without_closed(tree: Tree, control: &Label, why: Option<&Label>) -> Tree {
    let Tree { label, node } = tree;
    if !control.covers(&label) {
        return Tree::failed(USED_UP, why.map_or_else(|| label.clone(), |why| label.join(why)));
    }
    let open = |tree: &Tree| without_closed(tree.clone(), control, why);
    let node = match node {
        Node::List(items) => Node::List(Arc::new(items.iter().map(open).collect())),
        Node::Object(members) => {
            let members = members.iter().map(|(name, member)| (Arc::clone(name), open(member)));
            Node::Object(Arc::new(members.collect()))
        }
        other => other,
    };
    Tree { label, node }
}
