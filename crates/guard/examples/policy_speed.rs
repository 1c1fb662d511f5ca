//! What the policies cost: `cargo run --release -p ostrom-guard --example policy_speed`.
//!
//! Prints the median and the 99th percentile of a decision for several sets of 100 policies: of questions that were never
//! asked before, and of one that is asked again and again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a measurement, not a library"
)]

use std::fmt::Write as _;
use std::time::Instant;

use ostrom_guard::label::{Integrity, Label, Readers};
use ostrom_guard::policy::Policies;
use ostrom_guard::policy::cedar::{Action, Question, Target, Used};
use ostrom_guard::policy::config::CedarText;
use serde_json::{Value, json};

const CALLS: usize = 10_000;

fn main() {
    let conditions = [
        ("no condition", String::new()),
        ("a label", "when { [\"user\"].containsAll(context.control.influencers) }".to_owned()),
        (
            "label, two arguments, time and budget",
            "when { [\"user\", \"colleagues\"].containsAll(context.data.influencers) &&
               context.arguments.hasTag(\"/to\") && context.arguments.getTag(\"/to\") has text &&
               [\"alice@example.org\", \"bob@example.org\"].contains(context.arguments.getTag(\"/to\").text) &&
               context.arguments.hasTag(\"/amount\") && context.arguments.getTag(\"/amount\") has decimal &&
               context.arguments.getTag(\"/amount\").decimal.lessThan(decimal(\"100.0\")) &&
               context.time.hour < 24 && context.used.run < 100 }"
                .to_owned(),
        ),
    ];
    println!(
        "{:<36} {:<38} {:>19} {:>19}",
        "100 policies", "each with", "new: p50, p99 µs", "known: p50, p99"
    );
    for (name, condition) in &conditions {
        let mut by_tool = String::new();
        let mut by_server = String::new();
        let mut general = String::new();
        for n in 0..100 {
            writeln!(
                by_tool,
                "permit (principal, action == Action::\"call\", resource == Tool::\"mail/t{n}\") {condition};"
            )
            .unwrap();
            let server = n % 10;
            writeln!(by_server, "permit (principal, action == Action::\"call\", resource in Server::\"s{server}\") {condition};").unwrap();
            writeln!(general, "permit (principal, action == Action::\"call\", resource) {condition};")
                .unwrap();
        }
        measure("one for each of 100 tools", name, &by_tool, "mail", "t7");
        measure("ten for each of 10 servers", name, &by_server, "s7", "t");
        measure("all for every tool (the worst case)", name, &general, "mail", "t7");
    }
}

fn measure(shape: &str, condition: &str, text: &str, server: &str, tool: &str) {
    let servers: Vec<String> = (0..10).map(|n| format!("s{n}")).chain(["mail".to_owned()]).collect();
    let servers: Vec<&str> = servers.iter().map(String::as_str).collect();
    let file = CedarText { name: "p.cedar".to_owned(), text: text.to_owned() };
    let policies = Policies::load(&[file], &servers).expect("policies of this file");
    let target = Target::tool(server, tool, true);
    let control = Label::user(Readers::Only(["user", "server:mail", "outside"].into_iter().collect()));
    let data =
        Label { integrity: Integrity::Of(["user", "colleagues"].into_iter().collect()), ..control.clone() };
    let Value::Object(arguments) =
        json!({"to": "alice@example.org", "subject": "x", "body": "text ".repeat(50), "amount": 12.5})
    else {
        return;
    };
    let arguments = arguments.into_iter().collect();
    let question = Question {
        principal: "alice",
        run: Some("run"),
        plan: false,
        action: Action::Call,
        target: &target,
        control: &control,
        data: &data,
        arguments: &arguments,
        seconds: 1_763_800_000,
        used: Used::default(),
    };
    let known = time(&policies, question, &["alice".to_owned()]);
    let strangers: Vec<String> = (0..CALLS).map(|n| format!("principal {n}")).collect();
    let new = time(&policies, question, &strangers);
    println!(
        "{shape:<36} {condition:<38} {:>9.2} {:>9.2} {:>9.2} {:>9.2}",
        new[CALLS / 2],
        new[CALLS * 99 / 100],
        known[CALLS / 2],
        known[CALLS * 99 / 100],
    );
}

/// Microseconds of each decision, in order of size.
fn time(policies: &Policies, question: Question<'_>, principals: &[String]) -> Vec<f64> {
    let mut times: Vec<f64> = (0..CALLS)
        .map(|n| {
            let question = Question { principal: &principals[n % principals.len()], ..question };
            let start = Instant::now();
            let decision = std::hint::black_box(policies.decide(std::hint::black_box(&question)));
            let time = start.elapsed().as_secs_f64() * 1e6;
            assert!(decision.errors.is_empty(), "{decision}");
            time
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times
}
