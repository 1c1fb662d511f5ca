//! Two runs that differ only in what one influencer wrote, or in what one reader may not know, make the same calls as far as that influencer
//! did not take part, or that reader may know; and breaking any rule shows.

use super::random::{Tooling, World, plan};
use super::*;

const RULES: [Rule; 13] = [
    Rule::ConditionIntoCounter,
    Rule::ListIntoCounter,
    Rule::AssignedElsewhere,
    Rule::StopIntoCounter,
    Rule::StopInBranch,
    Rule::HandlerIntoCounter,
    Rule::CounterIntoValue,
    Rule::ArgumentsIntoResult,
    Rule::ContainerIntoMember,
    Rule::WholeOperands,
    Rule::TestIntoSelection,
    Rule::KeysIntoOrder,
    Rule::ChoiceIntoValue,
];

/// Whom the low observer must not depend on.
#[derive(Clone, Copy)]
enum Axis {
    Influencer,
    Reader,
}

impl Axis {
    fn strange(self) -> Label {
        match self {
            Self::Influencer => by("stranger").join(&user()),
            Self::Reader => Label { readers: Readers::Only(["user"].into_iter().collect()), ..user() },
        }
    }

    fn is_low(self, label: &Label) -> bool {
        match (self, &label.integrity) {
            (Self::Influencer, Integrity::Of(names)) => !names.contains("stranger"),
            (Self::Influencer, Integrity::Anyone) => false,
            (Self::Reader, _) => label.readers.includes("outsider"),
        }
    }
}

/// What a low observer sees of a run.
#[derive(Debug, PartialEq, Default)]
struct Seen {
    calls: Vec<(String, String, String)>,
    end: Option<String>,
    outputs: Vec<String>,
    report: Option<String>,
}

/// How much a run had to show, so that the test cannot pass for want of anything to see.
#[derive(Default)]
struct Tally {
    calls: usize,
    low: usize,
    ends: usize,
    differing: usize,
}

fn observe(
    plan: &Plan,
    axis: Axis,
    number: u64,
    work: u64,
    broken: Option<Rule>,
) -> (Seen, Vec<String>, Interpreter) {
    let world = World { number, strange: axis.strange() };
    let mut machine = Interpreter::new(plan.clone(), user()).with_work(work);
    machine.rules.broken = broken;
    let mut seen = Seen::default();
    let mut all = Vec::new();
    loop {
        match machine.next() {
            Next::Call { step, tool, arguments, pc, .. } => {
                let values: BTreeMap<_, _> =
                    arguments.iter().map(|(name, value)| (name, &value.value)).collect();
                let values = serde_json::to_string(&values).unwrap();
                all.push(format!("{step} {tool} {values}"));
                if axis.is_low(&pc) && arguments.values().all(|argument| axis.is_low(&argument.label)) {
                    seen.calls.push((step.clone(), tool.clone(), values));
                }
                machine.answer(&step, world.answer(&tool, &arguments)).unwrap();
            }
            Next::Endorse { step, value, .. } => machine.endorsed(&step, &value.label).unwrap(),
            Next::Done { outputs, report, pc } => {
                if axis.is_low(&pc) {
                    seen.end = Some("done".to_owned());
                }
                for (name, output) in outputs {
                    let (Ok(it) | Err(it)) = &output;
                    if axis.is_low(&it.label) {
                        seen.outputs.push(format!("{name} {} {}", output.is_ok(), it.value));
                    }
                }
                seen.report = axis.is_low(&report.label).then(|| report.value.to_string());
                return (seen, all, machine);
            }
            Next::Failed { step, why, report } => {
                assert!(
                    step != "plan" || work < MAX_WORK,
                    "a random plan must not run out of work: {}",
                    why.value
                );
                if axis.is_low(&why.label) {
                    seen.end = Some(format!("failed {step} {}", why.value));
                }
                seen.report = axis.is_low(&report.label).then(|| report.value.to_string());
                return (seen, all, machine);
            }
        }
    }
}

/// Whether two worlds look alike to the low observer.
fn alike(seed: u64, broken: Option<Rule>, tally: &mut Tally) -> Result<(), String> {
    let axis = if seed.is_multiple_of(2) { Axis::Influencer } else { Axis::Reader };
    let written = plan(seed);
    let plan =
        Plan::parse(&written, &Tooling).unwrap_or_else(|error| panic!("seed {seed}: {error}\n{written:#}"));
    let (one, all, _) = observe(&plan, axis, 1, MAX_WORK, broken);
    let (other, others, _) = observe(&plan, axis, 2, MAX_WORK, broken);
    tally.calls += all.len();
    tally.low += one.calls.len();
    tally.ends += usize::from(one.end.is_some());
    tally.differing += usize::from(all != others);
    if one == other { Ok(()) } else { Err(format!("seed {seed}\n{one:#?}\n{other:#?}\n{written:#}")) }
}

#[test]
fn what_strangers_write_changes_no_call_that_they_did_not_influence() {
    let mut tally = Tally::default();
    for seed in 0..6_000 {
        if let Err(difference) = alike(seed, None, &mut tally) {
            panic!("{difference}");
        }
    }
    // There was something to see: calls that must not change, runs that did change, and ends of both kinds.
    assert!(
        tally.low > 10_000 && tally.calls > tally.low + 10_000,
        "{} of {} calls are low",
        tally.low,
        tally.calls
    );
    assert!(
        tally.differing > 2_000 && tally.ends > 500,
        "{} runs differ, {} end low",
        tally.differing,
        tally.ends
    );
}

/// What is given out of a run, as far as its shape and what is low of it go.
fn given(machine: &mut Interpreter, axis: Axis) -> Vec<(String, Option<Value>)> {
    let end = machine.next();
    let given = machine.given(end).unwrap();
    let all = given.outputs.iter().map(|(name, output)| (name.clone(), output));
    let all = all.chain([("report".to_owned(), &given.report)]);
    all.map(|(name, output)| {
        assert_eq!(axis.is_low(&output.label), given.shows(&output.label));
        (name, axis.is_low(&output.label).then(|| output.value.clone()))
    })
    .collect()
}

#[test]
fn neither_where_the_work_ends_nor_what_the_end_was_changes_what_strangers_may_not_change() {
    let (mut ran_out, mut ran_out_in_one, mut ended_unseen, mut low) = (0, 0, 0, 0);
    for seed in 0..1_000 {
        let axis = if seed % 2 == 0 { Axis::Influencer } else { Axis::Reader };
        let written = plan(seed);
        let plan = Plan::parse(&written, &Tooling).unwrap();
        // From too little for anything to enough for nearly everything.
        for work in [15, 40, 80, 150, 300, 600, 1_200, MAX_WORK] {
            let (one, _, mut machine) = observe(&plan, axis, 1, work, None);
            let (other, _, mut others) = observe(&plan, axis, 2, work, None);
            ran_out += u32::from(machine.again.is_some());
            ran_out_in_one += u32::from(machine.again.is_some() != others.again.is_some());
            ended_unseen += u32::from(one.end.is_none());
            low += one.calls.len();
            assert_eq!(one, other, "seed {seed}, work {work}\n{written:#}");
            let (one, other) = (given(&mut machine, axis), given(&mut others, axis));
            assert_eq!(one, other, "seed {seed}, work {work}\n{written:#}");
        }
    }
    assert!(
        ran_out > 1_000 && ran_out_in_one > 100 && ended_unseen > 1_000 && low > 5_000,
        "{ran_out} runs out of work, {ran_out_in_one} in one world only, {ended_unseen} ends unseen, {low} low calls"
    );
}

#[test]
fn every_rule_that_is_broken_shows() {
    for rule in RULES {
        let found = (0..20_000).find(|seed| alike(*seed, Some(rule), &mut Tally::default()).is_err());
        assert!(found.is_some(), "{rule:?} is broken and no plan shows it");
        eprintln!("{rule:?}: shown by plan {}", found.unwrap());
    }
}
