//! Rule 3: trusted action and permitted flow.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::facts::{Otherwise, ToolFacts, server_name};
use super::mutant::{Mutant, mutated};
use super::violation::{Subject, Violation};
use crate::label::{GUARD, Label, Names, Readers};

/// A call as the rules see it.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The server.
    pub server: &'a str,
    /// The tool, by the server's own name.
    pub tool: &'a str,
    /// What the policy says about it.
    pub facts: &'a ToolFacts,
    /// Of everything that decided that this call is made.
    pub control: &'a Label,
    /// The arguments.
    pub arguments: &'a BTreeMap<String, Argument<'a>>,
}

/// An argument as the rules see it.
#[derive(Debug, Clone)]
pub struct Argument<'a> {
    /// As the server will get it; `None` when only its label is known (a replay without the openings).
    pub value: Option<&'a Value>,
    /// At least the control label, and what the value carries.
    pub label: Label,
}

/// An argument whose influencers the policy accepts because of its value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endorsed {
    /// The argument.
    pub argument: String,
    /// The influence that remains, in bits.
    pub bits: f64,
}

/// What the rules say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "verdict")]
pub enum Verdict {
    /// The flow is permitted.
    Allow {
        /// Values that were endorsed on the way.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        endorsed: Vec<Endorsed>,
    },
    /// It is not.
    Refuse {
        /// Why, most important first; never empty.
        violations: Vec<Violation>,
        /// Whether a person may approve it all the same.
        askable: bool,
    },
}

impl Verdict {
    /// Whether the call may go.
    #[must_use]
    pub const fn allows(&self) -> bool {
        matches!(self, Self::Allow { .. })
    }
}

/// Decides about `call`. Pure.
#[must_use]
pub fn decide(call: &Call<'_>) -> Verdict {
    let mut violations = Vec::new();
    let mut endorsed = Vec::new();
    if call.facts.critical {
        trusted_action(call, &mut violations, &mut endorsed);
    }
    permitted_flow(call, &mut violations);
    if violations.is_empty() {
        Verdict::Allow { endorsed }
    } else {
        Verdict::Refuse { violations, askable: call.facts.otherwise == Otherwise::Ask }
    }
}

fn trusted_action(call: &Call<'_>, violations: &mut Vec<Violation>, endorsed: &mut Vec<Endorsed>) {
    let allowed = &call.facts.influencers;
    if !call.control.integrity.is_within(allowed) && !mutated(Mutant::ControlMayBeUntrusted) {
        violations.push(Violation::influenced(call, Subject::Call, call.control, allowed));
    }
    for (name, argument) in call.arguments {
        let allowed = call.facts.influencers_of(name);
        if argument.label.integrity.is_within(allowed) || mutated(Mutant::ArgumentsMayBeUntrusted) {
            continue;
        }
        let constraint = call.facts.arguments.get(name).and_then(|facts| facts.endorse.as_ref());
        match (constraint, argument.value) {
            (Some(constraint), Some(value))
                if constraint.accepts(value) || mutated(Mutant::EndorsesAnything) =>
            {
                endorsed.push(Endorsed { argument: name.clone(), bits: constraint.residual_bits(value) });
            }
            _ => {
                violations.push(Violation::influenced(
                    call,
                    Subject::Argument(name.clone()),
                    &argument.label,
                    allowed,
                ));
            }
        }
    }
}

fn permitted_flow(call: &Call<'_>, violations: &mut Vec<Violation>) {
    let audience = audience(call);
    // That the call is made tells the server something, even without arguments.
    if !call.control.readers.include_all(&audience) && !mutated(Mutant::ControlMayLeak) {
        violations.push(Violation::leaks(call, Subject::Call, call.control, &audience));
    }
    for (name, argument) in call.arguments {
        let own = own_audience(call, name);
        let audience = own.as_ref().unwrap_or(&audience);
        if !argument.label.readers.include_all(audience) && !mutated(Mutant::ArgumentsMayLeak) {
            violations.push(Violation::leaks(
                call,
                Subject::Argument(name.clone()),
                &argument.label,
                audience,
            ));
        }
    }
}

/// Who reads one argument, if the policy says that it is others than those who read the rest.
fn own_audience(call: &Call<'_>, argument: &str) -> Option<Readers> {
    let declared = call.facts.arguments.get(argument)?.audience.as_ref()?;
    if mutated(Mutant::ArgumentAudienceIgnored) {
        return None;
    }
    Some(match declared {
        Readers::Everyone => Readers::Everyone,
        Readers::Only(names) if call.server == GUARD || mutated(Mutant::ServerReadsNothing) => {
            Readers::Only(names.clone())
        }
        Readers::Only(names) => {
            Readers::Only(names.union(&std::iter::once(server_name(call.server)).collect::<Names>()))
        }
    })
}

/// Everyone who reads the arguments: the server, who the policy names, and who the arguments name.
fn audience(call: &Call<'_>) -> Readers {
    let Readers::Only(declared) = &call.facts.audience else { return Readers::Everyone };
    let mut names = Vec::new();
    // The guard has seen everything already: a plan that is submitted tells it nothing.
    if call.server != GUARD && !mutated(Mutant::ServerReadsNothing) {
        names.push(server_name(call.server));
    }
    for argument in call.facts.audience_of.iter().filter(|_| !mutated(Mutant::NamedReadersIgnored)) {
        match call.arguments.get(argument).map(|argument| argument.value) {
            Some(Some(Value::String(name))) => names.push(name.clone()),
            Some(Some(Value::Array(values))) => {
                for value in values {
                    match value {
                        Value::String(name) => names.push(name.clone()),
                        _ => return Readers::Everyone,
                    }
                }
            }
            Some(Some(Value::Null)) | None => {}
            // A value that names nobody the guard can understand may name anybody.
            Some(_) => return Readers::Everyone,
        }
    }
    Readers::Only(declared.union(&names.into_iter().collect::<Names>()))
}
