//! Runs on a local model: whole, small, with random weights.

use std::fs;

use crate::place::{Place, Ran};
use crate::tiny_gguf::{CHATML, tiny_gguf};

/// A place with a model in `tiny.gguf`.
fn with_model(template: &str) -> Place {
    let place = Place::new();
    fs::write(place.path("tiny.gguf"), tiny_gguf("llama", Some(template))).unwrap();
    place
}

fn run(out: &str) -> Vec<&str> {
    let mut args = vec!["eval", "run", "--suite", "tiny", "--target", "local:tiny.gguf", "--max-tokens", "8"];
    args.extend(["--out", out]);
    args
}

#[test]
fn a_rerun_gets_the_same_answers_and_an_invented_answer_is_noticed() {
    let place = with_model(CHATML);
    place.ostrom(&run("out")).exits(0);
    let rerun = ["eval", "verify", "out", "--rerun", "6", "--target", "local:tiny.gguf"];
    place.ostrom(&rerun).exits(0).says("replayed 6 trials");
    fs::write(place.path("tiny.gguf"), tiny_gguf("qwen2", Some(CHATML))).unwrap();
    place.ostrom(&rerun).exits(1).complains("rerun");
}

/// A disk that is full after some trials, for want of a way to kill at a known moment.
#[cfg(target_os = "linux")]
#[test]
fn an_interrupted_run_ends_in_the_same_bundle_as_one_that_was_not() {
    let place = with_model(CHATML);
    place.ostrom(&run("whole")).exits(0);
    let (suite, trials) = (place.read("whole/suite.json").len(), place.read("whole/trials.jsonl").len());
    let blocks = (suite.max(trials / 2)) / 512 + 1;
    assert!(trials > blocks * 512, "the trials fit on this disk: {trials} of {}", blocks * 512);
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
    let mut args = vec!["-c", &script, env!("CARGO_BIN_EXE_ostrom")];
    args.extend(run("out"));
    Ran::of(&mut place.command_of(std::path::Path::new("sh"), &args)).exits(3).complains("eval resume out");
    place.ostrom(&["eval", "resume", "out"]).exits(0);
    assert_eq!(place.read("out/manifest.json"), place.read("whole/manifest.json"));
}

#[test]
fn chat_answers_as_text_or_as_json() {
    let place = with_model(CHATML);
    let chat = ["model", "chat", "tiny.gguf", "--prompt", "Hello", "--max-tokens", "6"];
    place.ostrom(&chat).exits(0);
    let json = place.ostrom(&[&chat[..], &["--json"]].concat()).exits(0).json();
    assert!(json["answer"].is_string());
    assert_eq!((&json["stop"], &json["usage"]["output_tokens"]), (&"length".into(), &6.into()));
}

#[test]
fn a_hostile_chat_template_costs_an_error() {
    let bomb = "{% set n = namespace(x='0123456789') %}{% for i in range(27) %}{% set n.x = n.x + n.x %}{% endfor %}\
                {{ n.x | length }}";
    let place = with_model(bomb);
    place.ostrom(&["model", "chat", "tiny.gguf", "--prompt", "Hello"]).exits(1).complains("hostile");
    let ran = place.ostrom(&run("out"));
    assert!(matches!(ran.code, Some(3 | 4)), "{:?}: {}", ran.code, ran.err);
    ran.complains("hostile");
    place.ostrom(&["model", "list"]).exits(0);
}

#[test]
fn a_file_that_is_cut_off_or_unknown_is_refused() {
    let place = Place::new();
    let whole = tiny_gguf("llama", Some(CHATML));
    fs::write(place.path("cut.gguf"), &whole[..whole.len() - 100]).unwrap();
    fs::write(place.path("other.gguf"), tiny_gguf("mamba", Some(CHATML))).unwrap();
    for (file, said) in [("cut.gguf", "cut.gguf"), ("other.gguf", "supported: llama, qwen2, gemma3")] {
        let target = format!("local:{file}");
        let args = ["eval", "run", "--suite", "tiny", "--target", &target, "--out", "out"];
        place.ostrom(&args).exits(1).complains(said);
        place.ostrom(&["model", "chat", file, "--prompt", "Hello"]).exits(1).complains(said);
    }
    assert!(!place.path("out").exists());
}
