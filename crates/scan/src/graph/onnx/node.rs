//! Operators of the nodes: collected first, judged when all functions of the model are known.

use std::collections::{BTreeMap, BTreeSet};

use crate::examination::{Examination, escape};
use crate::graph::{
    ONNX_COMPILED, ONNX_CUSTOM_OP, ONNX_EXTENSIONS_OP, ONNX_PYTHON_OP, ONNX_SHADOW, ONNX_UNKNOWN_OP, ops,
};
use crate::trouble::Trouble;

/// How many different operators, or functions, a model may have.
const DIFFERENT: usize = 20_000;

/// The standard domain has two names.
fn domain(name: &str) -> &str {
    if name.is_empty() { "ai.onnx" } else { name }
}

/// The operators and functions of a model.
#[derive(Default)]
pub(crate) struct Operators {
    /// Domain and name; where first, and how often.
    used: BTreeMap<(String, String), (u64, u64)>,
    functions: BTreeMap<(String, String), u64>,
}

impl Operators {
    /// Takes in a node.
    pub(crate) fn node(&mut self, in_domain: &str, name: &str, offset: u64) -> Result<(), Trouble> {
        let key = (domain(in_domain).to_owned(), name.to_owned());
        if let Some((_, count)) = self.used.get_mut(&key) {
            *count = count.saturating_add(1);
            return Ok(());
        }
        if self.used.len() >= DIFFERENT {
            return Err(Trouble::Limit(format!("more than {DIFFERENT} different operators")));
        }
        self.used.insert(key, (offset, 1));
        Ok(())
    }

    /// Takes in a function of the model.
    pub(crate) fn function(&mut self, in_domain: &str, name: &str, offset: u64) -> Result<(), Trouble> {
        if self.functions.len() >= DIFFERENT {
            return Err(Trouble::Limit(format!("more than {DIFFERENT} functions")));
        }
        self.functions.insert((domain(in_domain).to_owned(), name.to_owned()), offset);
        Ok(())
    }

    /// Judges them.
    pub(crate) fn report(&self, scan: &mut Examination<'_>) {
        let known = ops::onnx();
        for ((domain, name), offset) in &self.functions {
            if known.domains.get(domain).is_some_and(|list| list.contains(name)) {
                let what = format!(
                    "the model's own function {} takes the place of that operator",
                    show(domain, name)
                );
                scan.report(ONNX_SHADOW, Some(*offset), what);
            }
        }
        let mut custom: BTreeMap<&str, (u64, u64, BTreeSet<&str>)> = BTreeMap::new();
        for ((domain, name), (offset, count)) in &self.used {
            let shown = format!("{} ({count} nodes)", show(domain, name));
            // No function takes their place: loaders that know them look no further.
            if known.python.contains(name) {
                scan.report(ONNX_PYTHON_OP, Some(*offset), shown);
            } else if self.functions.contains_key(&(domain.clone(), name.clone())) {
                continue;
            } else if known.compiled.contains(name) {
                scan.report(ONNX_COMPILED, Some(*offset), shown);
            } else if known.extensions.contains(domain) {
                scan.report(ONNX_EXTENSIONS_OP, Some(*offset), shown);
            } else if let Some(list) = known.domains.get(domain) {
                if !list.contains(name) {
                    scan.report(ONNX_UNKNOWN_OP, Some(*offset), shown);
                }
            } else {
                let (first, nodes, names) = custom.entry(domain).or_insert((*offset, 0, BTreeSet::new()));
                *first = (*first).min(*offset);
                *nodes = nodes.saturating_add(*count);
                names.insert(name);
            }
        }
        for (domain, (offset, nodes, names)) in custom {
            let list: Vec<_> = names.iter().take(20).map(|name| escape(name, 100)).collect();
            let what = format!(
                "{nodes} nodes have {} operators of the domain {}: {}",
                names.len(),
                escape(domain, 200),
                list.join(", ")
            );
            scan.report(ONNX_CUSTOM_OP, Some(offset), what);
        }
    }
}

fn show(domain: &str, name: &str) -> String {
    format!("{}::{}", escape(domain, 200), escape(name, 200))
}
