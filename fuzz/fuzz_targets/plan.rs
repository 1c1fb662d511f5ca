//! A plan for `run_plan`, and what its calls are answered: a JSON array of the plan and of the answers, which are used in turn. A plan
//! that the parser takes must run to its end, within the steps that it said.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use ostrom_guard::label::{Label, Readers};
use ostrom_guard::plan::{Answer, Interpreter, Next, Plan, Tool, Tools, Tree};
use ostrom_guard::wire::{Limits, parse_value};
use serde_json::Value;

struct Anything;

impl Tools for Anything {
    fn tool(&self, name: &str) -> Option<Tool<'_>> {
        Some(Tool { reads_only: name.len() % 2 == 0, ..Tool::default() })
    }
}

fuzz_target!(|data: &[u8]| -> Corpus {
    let Ok(Value::Array(parts)) = parse_value(data, &Limits::default()) else { return Corpus::Reject };
    let Some((plan, answers)) = parts.split_first() else { return Corpus::Reject };
    let Ok(plan) = Plan::parse(plan, &Anything) else { return Corpus::Keep };
    let most = plan.steps_at_most();
    let user = Label::user(Readers::Everyone);
    let mut run = Interpreter::new(plan, user.clone());
    let mut answers = answers.iter().cycle();
    let mut asked = 0u64;
    loop {
        match run.next() {
            Next::Call { step, pc, .. } => {
                assert!(pc.covers(&user), "a call without the label of whoever wrote the plan");
                let answer = Tree::new(answers.next().unwrap_or(&Value::Null), user.clone());
                let outcome = if asked % 3 == 2 { Err(answer) } else { Ok(answer) };
                run.answer(&step, Answer { outcome, status: None }).expect("the step was asked for");
            }
            Next::Endorse { step, value, shape, .. } => {
                assert_eq!(
                    shape.admits(&value.value).as_ref(),
                    Some(&value.value),
                    "a value has one spelling"
                );
                run.endorsed(&step, &value.label).expect("the step was asked for");
            }
            Next::Done { .. } | Next::Failed { .. } => break,
        }
        asked += 1;
        assert!(asked <= most, "more steps than the plan said");
    }
    Corpus::Keep
});
