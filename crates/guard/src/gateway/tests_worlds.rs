//! The property that the guard is for, of all of it: an agent that is a random function of everything that it was told calls tools, reads
//! what is kept, takes up resources, prompts and completions, and makes up plans, under budgets and endorsements. Two worlds differ in nothing but what one source says. As long as a
//! run's label says that this source has no part in it, the run is told the same in both, to the letter; and what arrives at
//! the tool that the source must not reach is the same.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{LazyLock, Mutex};

use serde_json::{Value, json};

use super::house::*;
use super::*;
use crate::flow::{Mutant, with};
use crate::label::{Integrity, Label, Readers};
use crate::pin::FirstUse;
use crate::policy::InForce;

/// From whom the observer must be kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Axis {
    /// A source that must not influence.
    Outside,
    /// A secret that must not be told.
    Secret,
}

impl Axis {
    /// How a policy writes the label of what the source says.
    const fn written(self) -> &'static str {
        match self {
            Self::Outside => "influencers = [\"outside\"], readers = \"everyone\"",
            Self::Secret => "influencers = [], readers = [\"user\", \"server:s\"]",
        }
    }

    /// The same as a server claims it.
    fn claimed(self) -> Value {
        match self {
            Self::Outside => {
                json!({"integrity": {"of": ["outside"]}, "readers": "everyone", "provenance": []})
            }
            Self::Secret => {
                json!({"integrity": {"of": []}, "readers": {"only": ["user", "server:s"]}, "provenance": []})
            }
        }
    }

    fn is_apart(self, label: &Label) -> bool {
        match (self, &label.integrity) {
            (Self::Outside, Integrity::Of(names)) => !names.contains("outside"),
            (Self::Outside, Integrity::Anyone) => false,
            (Self::Secret, _) => label.readers == Readers::Everyone,
        }
    }
}

/// What counts calls.
const COUNTS: [&str; 4] = ["", "tool", "run", "cedar"];
const REVEALS: [&str; 2] = ["value", "reference"];

const RULE: &str = "permit (principal, action, resource);
forbid (principal, action == Action::\"call\", resource == Tool::\"s/probe\") when { context.used.tool > 3 };";

/// Which tools there are: what `news`, `flaky` and `silent` say is the source's, so is most of `letter` and `mail`,
/// and what `look` says by its server's own word.
fn rules(axis: Axis, reveal: &str, counts: &str) -> Arc<InForce> {
    let strange = axis.written();
    let act = match axis {
        Axis::Outside => "critical = true\ninfluencers = [\"user\", \"server:s\"]",
        Axis::Secret => "critical = false\naudience = \"everyone\"",
    };
    let mut text = format!(
        "[servers.s]
command = [\"x\"]
[servers.s.resources]
result = {{ {strange}, reveal = \"{reveal}\" }}
[servers.s.prompts]
result = {{ {strange}, reveal = \"{reveal}\" }}
[servers.s.tools.news]
critical = false
result = {{ {strange}, reveal = \"{reveal}\" }}
[servers.s.tools.letter]
critical = false
result = {{ influencers = [], readers = \"everyone\", reveal = \"reference\", fields = {{ \"/items\" = {{ {strange} }}, \"/t\" = {{ {strange} }}, \"/p\" = {{ {strange}, endorse = [{{ one-of = [\"low\", \"high\"] }}] }} }} }}
[servers.s.tools.mail]
critical = false
result = {{ influencers = [], readers = \"everyone\", reveal = \"value\", fields = {{ \"/items\" = {{ {strange} }}, \"/t\" = {{ {strange} }}, \"/p\" = {{ {strange}, endorse = [{{ one-of = [\"low\", \"high\"] }}] }} }} }}
[servers.s.tools.flaky]
critical = false
result = {{ {strange}, reveal = \"reference\" }}
[servers.s.tools.silent]
critical = false
result = {{ {strange}, reveal = \"reference\", fields = {{ \"/t\" = {{ {strange} }} }} }}
[servers.s.tools.save]
critical = false
memory = {{ access = \"write\", object = \"name\", content = \"text\" }}
result = {{ influencers = [], readers = \"everyone\", reveal = \"status\" }}
[servers.s.tools.load]
critical = false
memory = {{ access = \"read\", object = \"name\" }}
result = {{ {strange}, reveal = \"{reveal}\" }}
[servers.s.tools.look]
critical = false
result = {{ influencers = [], readers = \"everyone\", reveal = \"reference\" }}
[servers.s.tools.probe]
critical = false
result = {{ influencers = [], readers = \"everyone\", reveal = \"value\" }}
[servers.s.tools.act]
{act}
otherwise = \"deny\"
result = {{ influencers = [], readers = \"everyone\", reveal = \"value\" }}
"
    );
    match counts {
        "tool" => text.push_str("[budgets.tools]\n\"s/probe\" = 4\n"),
        "run" => text.push_str("[budgets]\ncalls-per-run = 9\n"),
        "cedar" => text.push_str("[policy]\ncedar = [\"rules.cedar\"]\n"),
        _ => {}
    }
    policy_with(&text, (counts == "cedar").then_some(RULE))
}

/// Random numbers that follow from what an agent has seen.
struct Dice(u64, u64);

impl Dice {
    fn of(seen: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        seen.hash(&mut hasher);
        Self(hasher.finish(), 0)
    }

    fn roll(&mut self, sides: usize) -> usize {
        self.1 += 1;
        let mut hasher = DefaultHasher::new();
        (self.0, self.1).hash(&mut hasher);
        usize::try_from(hasher.finish() % sides as u64).unwrap()
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.roll(of.len())].clone()
    }
}

const SOURCES: [&str; 9] = ["news", "letter", "mail", "look", "flaky", "silent", "load", "probe", "news"];

/// An expression over `v`, the result of a source.
fn expression(dice: &mut Dice) -> Value {
    let hidden = json!({"contains": [{"template": {"text": "{t}", "values": {"t": {"ref": "v/t"}}}}, "2"]});
    dice.one(&[
        json!({"ref": "v/p"}),
        json!({"ref": "v/t"}),
        json!({"ref": "v"}),
        json!("low"),
        json!({"choose": [hidden, "low", "high"]}),
        json!({"length": {"ref": "v/items"}}),
        hidden,
    ])
}

/// A call in a plan. That an argument could not be made, so that the call is not counted, is a way in which a source can make a run do less:
/// where calls are `counted`, there is always something to give.
fn call(dice: &mut Dice, who: usize, with: Value, counted: bool) -> Value {
    let with = if counted { json!({"default": [with, "none"]}) } else { with };
    let tool = dice.one(&["probe", "act", "act", "act", "save"]);
    let arguments = match dice.roll(3) {
        _ if tool == "save" => json!({"name": dice.one(&["ours", "theirs"]), "text": with}),
        0 => json!({ "w": who }),
        _ => json!({"w": who, "x": with}),
    };
    json!({"call": tool, "with": arguments, "on_error": dice.one(&["continue", "stop"])})
}

/// Steps that make something of `v`.
fn plan(dice: &mut Dice, who: usize, sources: &[&str], counted: bool) -> Value {
    let source = dice.one(sources);
    let with = if source == "load" { json!({"name": dice.one(&["ours", "theirs"])}) } else { json!({}) };
    let mut steps = vec![json!({"id": "v", "call": source, "with": with, "on_error": "continue"})];
    for _ in 0..=dice.roll(3) {
        let value = expression(dice);
        match dice.roll(5) {
            0 => {
                let inner = call(dice, who, json!({"ref": "i"}), counted);
                steps.push(json!({"for": "i", "in": {"ref": "v/items"}, "max": 8, "do": [inner]}));
            }
            1 => steps.push(
                json!({"if": {"==": [value, "low"]}, "then": [call(dice, who, json!("then"), counted)], "else": []}),
            ),
            2 => {
                let shape = dice.one(&[
                    json!({"one_of": ["low", "high"]}),
                    json!({"text": {"pattern": "(?s).*", "max_bytes": 60}}),
                    json!({"text": {"pattern": "(?s).*", "max_bytes": 60}}),
                    json!("boolean"),
                ]);
                steps.push(json!({"endorse": "e", "be": value, "as": shape}));
                steps.push(call(dice, who, json!({"ref": "e"}), counted));
            }
            3 => steps.push(json!({"require": {"==": [value, "low"]}})),
            _ => steps.push(call(dice, who, value, counted)),
        }
    }
    steps.push(json!({"return": {"o": expression(dice)}}));
    json!({"plan": steps})
}

/// What is asked for that is no call of a tool.
const READS: [&str; 3] = ["resources/read", "prompts/get", "completion/complete"];

/// What an agent does next, which follows from what it was told: the tool or what else it asks for, and with what.
fn move_of(
    dice: &mut Dice,
    who: usize,
    sources: &[&'static str],
    handles: &[String],
    counted: bool,
) -> (&'static str, Value) {
    let pointer = dice.one(&["", "#/p", "#/t", "#/items/2", "#/none"]);
    let value = match handles {
        [] => json!("low"),
        _ => json!(format!("{}{pointer}", dice.one(handles))),
    };
    let object = dice.one(&["ours", "ours", "theirs"]);
    match dice.roll(12) {
        10 => match dice.one(&READS) {
            "resources/read" => ("resources/read", json!({"uri": "note:///a"})),
            "prompts/get" => ("prompts/get", json!({"name": "ask", "arguments": {"a": value}})),
            _ => {
                let of = json!({"type": "ref/prompt", "name": "ask"});
                ("completion/complete", json!({"ref": of, "argument": {"name": "a", "value": value}}))
            }
        },
        0 | 1 => match dice.one(sources) {
            "load" => ("load", json!({ "name": object })),
            source => (source, json!({})),
        },
        2 if !handles.is_empty() => ("reveal", json!({ "ref": value })),
        2 | 3 => ("act", json!({"w": who, "x": value})),
        4 => ("act", json!({"w": who})),
        5 => ("probe", json!({ "x": value })),
        6 => ("save", json!({"name": object, "text": value})),
        7 => ("load", json!({ "name": object })),
        _ => ("run_plan", plan(dice, who, sources, counted)),
    }
}

static RANDOM: LazyLock<regex::Regex> = LazyLock::new(|| {
    regex::Regex::new(r"ostrom:ref:[A-Za-z0-9_-]{22}|r-[0-9a-f]{12}|\b[0-9a-f]{12}\b|\b[0-9a-f]{64}\b")
        .unwrap()
});

/// What an agent was told, with a number instead of what is random: that differs from one play to the next.
#[derive(Default)]
struct Transcript {
    told: Vec<String>,
    /// Handles, in the order in which they were seen.
    handles: Vec<String>,
}

impl Transcript {
    fn plain(&mut self, said: &str) -> String {
        let plain = RANDOM.replace_all(said, |found: &regex::Captures<'_>| {
            let text = &found[0];
            if !text.starts_with("ostrom:ref:") {
                return "RANDOM".to_owned();
            }
            let known = self.handles.iter().position(|handle| handle == text);
            let at = known.unwrap_or_else(|| {
                self.handles.push(text.to_owned());
                self.handles.len() - 1
            });
            format!("HANDLE {at}")
        });
        plain.into_owned()
    }
}

/// A move of one of the agents: what came of it, and whether its run was still apart from the source afterwards.
struct Moved {
    who: usize,
    told: String,
    is_apart: bool,
    /// How many calls had arrived at `act` by then.
    arrived: usize,
}

struct Played {
    moves: Vec<Moved>,
    /// Arguments of the calls that arrived at `act`.
    arrived: Vec<Value>,
}

const MOVES: usize = 12;

/// A store: of one object in it the source says what is in it, whoever wrote it.
fn store(difference: usize) -> Acts {
    let stored = Mutex::new(BTreeMap::new());
    Box::new(move |tool, arguments| {
        let (object, mut stored) = (arguments["name"].as_str()?.to_owned(), stored.lock().unwrap());
        match tool {
            "save" => {
                let content = &arguments["text"];
                stored.insert(object, content.as_str().map_or_else(|| content.to_string(), str::to_owned));
                Some(text("saved"))
            }
            _ if object == "theirs" => Some(text(&format!("planted {difference}"))),
            _ => Some(text(stored.get(&object)?)),
        }
    })
}

async fn play(axis: Axis, rules: Arc<InForce>, counted: bool, agents: u64, difference: usize) -> Played {
    let tools = ["news", "letter", "mail", "look", "flaky", "silent", "save", "load", "probe", "act"];
    let server = Fake::new(&tools);
    *server.acts.lock().unwrap() = Some(store(difference));
    let items: Vec<String> = (0..=difference * 2).map(|at| format!("item {at} of {difference}")).collect();
    let said = json!({"items": items, "t": format!("text {difference}"), "p": "low"});
    let whole = json!({"resultType": "complete", "content": [], "structuredContent": said});
    server.answers("news", whole.clone());
    server.answers("letter", whole.clone());
    server.answers("mail", whole.clone());
    // Whether there is a result, an error, or no answer at all is the source's choice, too.
    server.answers("flaky", if difference.is_multiple_of(2) { json!(-32_000) } else { whole.clone() });
    server.answers("silent", if difference.is_multiple_of(2) { json!("it is down") } else { whole.clone() });
    let contents = json!([{"uri": "note:///a", "text": format!("text {difference}")}]);
    server.answers("resources/read", json!({"resultType": "complete", "contents": contents}));
    let messages =
        json!([{"role": "user", "content": {"type": "text", "text": format!("ask {difference}")}}]);
    server.answers("ask", json!({"resultType": "complete", "messages": messages}));
    server.answers(
        "prompts/list",
        json!({"resultType": "complete", "prompts": [{"name": "ask", "arguments": [{"name": "a"}]}]}),
    );
    let values: Vec<String> = (0..difference).map(|at| format!("value {at}")).collect();
    server
        .answers("completion/complete", json!({"resultType": "complete", "completion": {"values": values}}));
    *server.can.lock().unwrap() =
        Some(json!({"tools": {}, "resources": {}, "prompts": {}, "completions": {}}));
    let mut claimed = whole;
    claimed["_meta"] = json!({ LABEL: axis.claimed() });
    server.answers("look", claimed);
    let house = house_under(rules, &[("s", server.clone())], FirstUse::TrustOnFirstUse);
    house.tools().await;
    house.ask(&caller("ana", None), "prompts/list", json!({})).await.unwrap();
    // Two agents of one person, or of two.
    let names = ["ana", if agents.is_multiple_of(2) { "ana" } else { "ben" }];
    let mut runs = Vec::new();
    for name in names {
        let (_, token) = house.gateway.mint(name).unwrap();
        runs.push(house.gateway.open(name, Some(&token)).unwrap().unwrap());
    }
    // Few, so that an agent comes back to what it has begun.
    let mut dice = Dice::of(agents);
    let sources: Vec<&str> = (0..3).map(|_| dice.one(&SOURCES)).collect();
    let mut transcripts = [Transcript::default(), Transcript::default()];
    let mut moves = Vec::new();
    for at in 0..MOVES {
        let who = at % 2;
        let agent = caller(names[who], Some(&runs[who]));
        let mut dice = Dice::of((agents, who, &transcripts[who].told));
        let (tool, arguments) = move_of(&mut dice, who, &sources, &transcripts[who].handles, counted);
        let (method, params) = match READS.contains(&tool) {
            true => (tool, arguments.clone()),
            false => ("tools/call", json!({"name": tool, "arguments": arguments})),
        };
        let said = house.ask(&agent, method, params).await;
        let said = match said {
            Ok(result) => serde_json::to_string(&result).unwrap(),
            Err(error) => format!("error: {}", error.message),
        };
        let said = transcripts[who].plain(&said);
        let key = ContextKey { principal: names[who].into(), run: Some(runs[who].clone()) };
        let is_apart = axis.is_apart(house.gateway.shared.lock().engine.context(&key));
        let told = format!("{tool} {} → {said}", transcripts[who].plain(&arguments.to_string()));
        transcripts[who].told.push(said);
        moves.push(Moved { who, told, is_apart, arrived: server.got("act").len() });
    }
    Played { moves, arrived: server.got("act") }
}

/// How much there was to see, so that the test cannot pass for want of it.
#[derive(Debug, Default)]
struct Tally {
    told: usize,
    plans: usize,
    reads: usize,
    apart_at_the_end: usize,
    arrived: usize,
}

/// What differs between two plays that should not.
///
/// Where in one world a value lacks a part whose place an agent names, or an object is not what a run has stored there, only that world's run is told so,
/// and joins: these are the ways in which a source can make a run do less. What either run does from then on, with what the other stores, is not compared.
fn difference(one: &Played, other: &Played, tally: &mut Tally) -> Option<String> {
    let mut has_joined = [false; 2];
    let (mut a_arrived, mut b_arrived) = (0, 0);
    for (a, b) in one.moves.iter().zip(&other.moves) {
        let lacks = |moved: &Moved| moved.told.contains("The value of the handle in");
        let stops = a.told.starts_with("load ") || lacks(a) || lacks(b);
        if !has_joined[a.who] && a.is_apart != b.is_apart && stops {
            break;
        }
        (a_arrived, b_arrived) = (a.arrived, b.arrived);
        if has_joined[a.who] {
            continue;
        }
        if a.is_apart != b.is_apart {
            return Some(format!("run {}: only one is apart\n  {}\n  {}", a.who, a.told, b.told));
        }
        has_joined[a.who] = !a.is_apart;
        if a.is_apart {
            tally.told += 1;
            tally.plans += usize::from(a.told.starts_with("run_plan"));
            tally.reads += usize::from(READS.iter().any(|read| a.told.starts_with(read)));
            if a.told != b.told {
                return Some(format!("run {} is told\n  {}\n  {}", a.who, a.told, b.told));
            }
        }
    }
    tally.apart_at_the_end += has_joined.iter().filter(|joined| !**joined).count();
    tally.arrived += a_arrived;
    let (a, b) = (&one.arrived[..a_arrived], &other.arrived[..b_arrived]);
    (a != b).then(|| {
        let mut text = format!("{} and {} calls arrive", a.len(), b.len());
        for (a, b) in a.iter().zip(b).filter(|(a, b)| a != b).take(1) {
            let _ = write!(text, "\n  {a}\n  {b}");
        }
        text
    })
}

/// Plays `agents` agents in both worlds of each policy.
fn worlds(axes: &[Axis], agents: u64) -> Result<Tally, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut tally = Tally::default();
    for axis in axes {
        for reveal in REVEALS {
            for counts in COUNTS {
                let rules = rules(*axis, reveal, counts);
                for agent in 0..agents {
                    let played = |difference| {
                        runtime.block_on(play(*axis, rules.clone(), !counts.is_empty(), agent, difference))
                    };
                    let (one, other) = (played(1), played(2));
                    if std::env::var("SHOW").is_ok() {
                        for one in &one.moves {
                            eprintln!(
                                "{axis:?} {counts} {} {} {}",
                                one.who,
                                one.is_apart,
                                one.told.chars().take(700).collect::<String>()
                            );
                        }
                    }
                    if let Some(found) = difference(&one, &other, &mut tally) {
                        return Err(format!(
                            "{axis:?}, {reveal}, counted by {counts:?}, agent {agent}: {found}"
                        ));
                    }
                }
            }
        }
    }
    Ok(tally)
}

#[test]
fn whoever_is_apart_from_a_source_is_told_the_same_whatever_it_says() {
    let tally = worlds(&[Axis::Outside, Axis::Secret], 60).unwrap_or_else(|found| panic!("{found}"));
    assert!(tally.told > 5_000 && tally.plans > 1_000 && tally.arrived > 1_000, "{tally:?}");
    assert!(tally.apart_at_the_end > 200 && tally.reads > 100, "{tally:?}");
}

#[test]
fn without_any_one_of_these_rules_somebody_is_told() {
    let mut survivors = Vec::new();
    for mutant in [
        Mutant::RevealedDoesNotJoin,
        Mutant::ResultDoesNotJoin,
        Mutant::HandlesWithoutLabel,
        Mutant::PlanValuesWithoutLabel,
        Mutant::CountsTellNothing,
        Mutant::RefusalsNumbered,
        Mutant::FieldsForgotten,
        Mutant::ChangedObjectTrusted,
        Mutant::ArgumentsMayBeUntrusted,
        Mutant::ArgumentsMayLeak,
    ] {
        if with(mutant, || worlds(&[Axis::Outside], 120).is_ok() && worlds(&[Axis::Secret], 120).is_ok()) {
            survivors.push(mutant);
        }
    }
    assert!(survivors.is_empty(), "nobody noticed {survivors:?}");
}
