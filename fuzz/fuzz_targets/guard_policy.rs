//! A configuration from a stranger. The input is files one after another, each with a line `==> PATH` before it; what comes
//! before the first such line is guard.toml. Every other file can be reached by `include` and by `policy.cedar`.
#![no_main]

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use ostrom_guard::label::{Label, Readers};
use ostrom_guard::policy::cedar::{Action, Question, Target, Used};
use ostrom_guard::policy::{Config, Policy};

fuzz_target!(|text: &str| {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    let mut name = "guard.toml".to_owned();
    for line in text.lines() {
        if let Some(path) = line.strip_prefix("==> ") {
            name = path.to_owned();
        } else {
            let file = files.entry(name.clone()).or_default();
            file.push_str(line);
            file.push('\n');
        }
    }
    let read = |path: &Path| -> io::Result<String> {
        path.to_str().and_then(|path| files.get(path)).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    };
    let guard = files.get("guard.toml").map_or("", String::as_str);
    match Config::from_text("guard.toml", guard, Path::new(""), &read) {
        Err(problems) => {
            assert!(!problems.is_empty(), "refused without a reason");
            assert!(
                !problems.iter().any(|problem| problem.message().contains('\n')),
                "a problem of several lines"
            );
        }
        Ok(config) => {
            let again =
                Config::from_text("guard.toml", guard, Path::new(""), &read).expect("it was accepted before");
            assert_eq!(again.version(), config.version(), "the policy version is a function of the text");
            let policy = Policy::new(config).expect("what was accepted can be used");
            let label = Label::user(Readers::Everyone);
            for (server, facts) in &policy.config.servers {
                let rules = facts.tool("tool");
                assert!(
                    rules.critical.is_some() && rules.influencers.is_some() && rules.result.readers.is_some()
                );
                let arguments = BTreeMap::from([("a".to_owned(), serde_json::json!([1, 2.5, "x"]))]);
                let target = Target::tool(server, "tool", true);
                let decision = policy.policies.decide(&Question {
                    principal: "local",
                    run: Some("run"),
                    plan: false,
                    action: Action::Call,
                    target: &target,
                    control: &label,
                    data: &label,
                    arguments: &arguments,
                    seconds: 0,
                    used: Used::default(),
                });
                assert!(!decision.permit || decision.errors.is_empty(), "permitted in spite of an error");
            }
        }
    }
});
