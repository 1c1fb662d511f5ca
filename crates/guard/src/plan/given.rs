//! What a plan gives back, whatever its end was.

use std::collections::BTreeMap;

use serde_json::json;

use crate::label::{Label, Labelled};

use super::run::{Interpreter, Next};

/// What a plan gives back. Its shape tells nothing that its writer's label does not cover.
#[derive(Debug, Clone, PartialEq)]
pub struct Given {
    /// By name: what the plan returns, or `failure` alone if it failed and its writer may know that.
    pub outputs: BTreeMap<String, Labelled>,
    /// What was done, what was not, and why.
    pub report: Labelled,
    /// All that decided how many calls the plan has made, but for arguments that failed.
    pub counted: Label,
    /// The label of whoever wrote the plan.
    pub control: Label,
}

impl Given {
    /// Whether something of this label can be shown as it is. What the writer has come to see meanwhile does not count: that may be
    /// different where the plan came to another end.
    #[must_use]
    pub fn shows(&self, label: &Label) -> bool {
        self.control.covers(label)
    }
}

impl Interpreter {
    /// What the plan gives back at its end; nothing if `next` is not one.
    ///
    /// That it failed, and that it did not, are under the label of all that decided it. Where the writer's label does not cover that, a plan that failed
    /// gives the names that it would have given, each with the failure as its value: names cannot be kept back.
    #[must_use]
    pub fn given(&self, next: Next) -> Option<Given> {
        let control = self.control.clone();
        let counted = self.counted.clone();
        match next {
            Next::Done { outputs, report, pc } => {
                let outputs = outputs.into_iter().map(|(name, output)| {
                    let output = output.unwrap_or_else(|why| Labelled {
                        value: json!({"failed": why.value}),
                        label: why.label,
                    });
                    (name, Labelled { label: output.label.join(&pc), ..output })
                });
                let report = Labelled { label: report.label.join(&pc), ..report };
                Some(Given { outputs: outputs.collect(), report, counted, control })
            }
            Next::Failed { step, why, mut report } => {
                let failure = json!({"failed": step, "why": why.value});
                report.label = report.label.join(&why.label);
                if let Some(report) = report.value.as_object_mut() {
                    report.insert("ended".to_owned(), failure.clone());
                }
                let failure = Labelled { value: failure, label: why.label };
                let outputs = if control.covers(&failure.label) {
                    BTreeMap::from([("failure".to_owned(), failure)])
                } else {
                    self.plan.outputs.iter().map(|(name, _)| (name.clone(), failure.clone())).collect()
                };
                Some(Given { outputs, report, counted, control })
            }
            Next::Call { .. } | Next::Endorse { .. } => None,
        }
    }
}
