//! Everything that answers without a target, and what is said when something asked for is not there.

use std::fs;

use serde_json::Value;

use crate::place::Place;

const URL: &str = "http://127.0.0.1:9/v1";

#[test]
fn help_and_version_go_to_standard_output() {
    let place = Place::new();
    place.ostrom(&["--help"]).exits(0).says("ostrom demo").says("eval").says("suite");
    place.ostrom(&["--version"]).exits(0).says(concat!("ostrom ", env!("CARGO_PKG_VERSION")));
    for command in [&["eval", "run"] as &[&str], &["eval", "verify"], &["eval", "resume"], &["demo"]] {
        place.ostrom(&[command, &["--help"]].concat()).exits(0).says("Example");
    }
}

#[test]
fn an_unknown_flag_is_a_mistake_in_usage() {
    let place = Place::new();
    place.ostrom(&["eval", "run", "--out", "x", "--defense", "none"]).exits(2).complains("--defense");
    place.ostrom(&[]).exits(2).complains("Usage");
}

#[test]
fn completions_are_a_script() {
    Place::new().ostrom(&["completions", "bash"]).exits(0).says("_ostrom");
}

#[test]
fn an_unknown_defence_lists_the_known_ones() {
    let place = Place::new();
    let mut args = Place::run_args(URL, "out");
    args.extend(["--defence", "garlic"]);
    place.ostrom(&args).exits(1).complains("garlic").complains("instruction-hierarchy").complains("sandwich");
    assert!(!place.path("out").exists(), "a run that cannot start left a folder behind");
}

#[test]
fn a_defence_named_twice_is_refused() {
    let mut args = Place::run_args(URL, "out");
    args.extend(["--defence", "sandwich,sandwich"]);
    Place::new().ostrom(&args).exits(1).complains("twice");
}

#[test]
fn an_unknown_suite_lists_the_known_ones() {
    let place = Place::new();
    place.ostrom(&["suite", "show", "nowhere"]).exits(1).complains("nowhere").complains("core, starter");
    let target = ["--target", "openai:mock", "--base-url", URL];
    place
        .ostrom(&[&["eval", "run", "--suite", "nowhere", "--out", "out"], &target as &[&str]].concat())
        .exits(1);
}

#[test]
fn an_unknown_key_of_the_configuration_is_named() {
    let place = Place::new();
    for (text, key) in [("sead = 1\n", "sead"), ("[reach]\nmax_request = 5\n", "max_request")] {
        fs::write(place.path("run.toml"), text).unwrap();
        let mut args = Place::run_args(URL, "out");
        args.extend(["--config", "run.toml"]);
        place.ostrom(&args).exits(1).complains(key).complains("run.toml");
    }
    place.ostrom(&["eval", "run", "--config", "no.toml", "--out", "out"]).exits(1).complains("no.toml");
}

#[test]
fn a_missing_key_is_named_by_its_variable() {
    let mut args = Place::run_args(URL, "out");
    args.extend(["--key-env", "OSTROM_NO_SUCH_KEY"]);
    Place::new().ostrom(&args).exits(1).complains("OSTROM_NO_SUCH_KEY is not set");
}

#[test]
fn targets_that_cannot_be() {
    let place = Place::new();
    let run = ["eval", "run", "--suite", "tiny", "--out", "out"];
    place.ostrom(&run).exits(1).complains("--target");
    for (more, said) in [
        (&["--target", "mock"] as &[&str], "openai:MODEL"),
        (&["--target", "openai:mock"], "--base-url"),
        (&["--target", "local:nothing"], "smollm2-135m"),
        (&["--target", "openai:mock", "--base-url", "http://192.0.2.1/v1"], "plain"),
        (&["--target", "openai:mock", "--base-url", URL, "--max-cost", "1"], "--price"),
        (&["--target", "openai:mock", "--base-url", URL, "--price", "1"], "--price"),
        (&["--target", "openai:mock", "--base-url", URL, "--repeat", "0"], "--repeat"),
    ] {
        place.ostrom(&[&run, more].concat()).exits(1).complains(said);
    }
    assert!(!place.path("out").exists());
}

#[test]
fn suites_as_json() {
    let place = Place::new();
    let list = place.ostrom(&["suite", "list", "--json"]).exits(0).json();
    let ids: Vec<&str> = list.as_array().unwrap().iter().map(|suite| suite["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["core", "starter"]);
    let suite = place.ostrom(&["suite", "show", "tiny", "--json"]).exits(0).json();
    let families: Vec<&Value> =
        suite["cases"].as_array().unwrap().iter().map(|case| &case["family"]).collect();
    assert_eq!(families, ["context", "context", "context", "context", "chat", "chat"]);
    place.ostrom(&["suite", "show", "tiny"]).exits(0).says("6 cases").says("mechanism");
}

#[test]
fn a_defective_suite_is_named_by_its_file() {
    let place = Place::new();
    fs::write(place.path("tiny/notes.toml"), "x = 1\n").unwrap();
    place.ostrom(&["suite", "show", "tiny"]).exits(1).complains("notes.toml");
}

#[test]
fn models_at_hand_are_listed_and_what_is_no_model_is_refused() {
    let place = Place::new();
    let list = place.ostrom(&["model", "list", "--json"]).exits(0).json();
    assert_eq!(list["cached"].as_array().unwrap().len(), 0);
    fs::write(place.path("fake.gguf"), b"GGUF no model at all").unwrap();
    place.ostrom(&["model", "pull", "./fake.gguf"]).exits(1).complains("fake.gguf");
    let list = place.ostrom(&["model", "list", "--json"]).exits(0).json();
    assert_eq!(list["cached"].as_array().unwrap().len(), 0, "a broken file was kept");
    place.ostrom(&["model", "pull", "hf:../../x"]).exits(1).complains("hf:OWNER/REPO/FILE");
}
