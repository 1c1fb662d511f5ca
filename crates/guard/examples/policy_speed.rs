//! What the policies cost: `cargo run --release -p ostrom-guard --example policy_speed`.
//!
//! Prints the median and the 99th percentile of a decision for several sets of 100 policies.
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

const CALLS: usize = 20_000;

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
    println!("{:<50} {:<40} {:>9} {:>9}", "100 policies", "each with", "p50 µs", "p99 µs");
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
    let mut times: Vec<f64> = (0..CALLS)
        .map(|_| {
            let start = Instant::now();
            let decision = std::hint::black_box(policies.decide(std::hint::black_box(&question)));
            let time = start.elapsed().as_secs_f64() * 1e6;
            assert!(decision.errors.is_empty(), "{decision}");
            time
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!("{shape:<50} {condition:<40} {:>9.2} {:>9.2}", times[CALLS / 2], times[CALLS * 99 / 100]);
}
