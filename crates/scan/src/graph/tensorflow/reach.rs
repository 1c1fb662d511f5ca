//! Operators of a graph and its functions: collected first, judged when all functions are known.

use std::collections::{BTreeMap, BTreeSet};

use ostrom_core::Severity;

use crate::examination::{Examination, escape};
use crate::graph::ops::{self, Reach};
use crate::graph::{TF_NATIVE, TF_PYTHON, TF_READ, TF_REMOTE, TF_SAVE, TF_UNKNOWN, TF_WRITE};
use crate::trouble::Trouble;

/// How many different operators, or functions, a graph may have.
const DIFFERENT: usize = 50_000;

struct Used {
    offset: u64,
    count: u64,
    /// The first node that has it.
    node: String,
}

/// The operators and functions of a file.
#[derive(Default)]
pub(crate) struct Operators {
    used: BTreeMap<String, Used>,
    functions: BTreeSet<String>,
}

impl Operators {
    /// Takes in a node.
    pub(crate) fn node(&mut self, op: &str, node: &str, offset: u64) -> Result<(), Trouble> {
        if let Some(used) = self.used.get_mut(op) {
            used.count = used.count.saturating_add(1);
            return Ok(());
        }
        if self.used.len() >= DIFFERENT {
            return Err(Trouble::Limit(format!("more than {DIFFERENT} different operators")));
        }
        self.used.insert(op.to_owned(), Used { offset, count: 1, node: escape(node, 300) });
        Ok(())
    }

    /// Takes in a name that a node calls a function by. TensorFlow takes an operator's name there too.
    pub(crate) fn call(&mut self, name: &str, node: &str, offset: u64) -> Result<(), Trouble> {
        if matches!(ops::tensorflow(name), Reach::Unknown | Reach::Plain) {
            return Ok(());
        }
        self.node(name, node, offset)
    }

    /// Takes in a function.
    pub(crate) fn function(&mut self, name: &str) -> Result<(), Trouble> {
        if self.functions.len() >= DIFFERENT {
            return Err(Trouble::Limit(format!("more than {DIFFERENT} functions")));
        }
        self.functions.insert(name.to_owned());
        Ok(())
    }

    /// Whether one of them reaches there.
    pub(crate) fn has(&self, reach: Reach) -> bool {
        self.used.keys().any(|op| ops::tensorflow(op) == reach)
    }

    /// Judges them. `followed` says that the paths of checkpoints are judged elsewhere.
    pub(crate) fn report(&self, followed: bool, scan: &mut Examination<'_>) {
        for (op, used) in &self.used {
            let nodes = if used.count == 1 { "1 node".to_owned() } else { format!("{} nodes", used.count) };
            let what = format!("{} ({nodes}, first `{}`)", escape(op, 200), used.node);
            let rule = match ops::tensorflow(op) {
                Reach::Write => TF_WRITE,
                Reach::Read => TF_READ,
                Reach::Python => TF_PYTHON,
                Reach::Remote => TF_REMOTE,
                Reach::Native => TF_NATIVE,
                Reach::Unknown if !self.functions.contains(op) => TF_UNKNOWN,
                Reach::Save if !followed => {
                    let what = format!("{what}; where to, is not followed in a graph in text form");
                    scan.report_as(Severity::Medium, TF_SAVE, Some(used.offset), what);
                    continue;
                }
                Reach::Save | Reach::Restore | Reach::Asset | Reach::Plain | Reach::Unknown => continue,
            };
            scan.report(rule, Some(used.offset), what);
        }
    }
}
