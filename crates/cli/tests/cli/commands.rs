//! Everything that answers without a target, and what is said when something asked for is not there.

use std::fs;

use serde_json::Value;

use crate::place::{Place, Ran};

const URL: &str = "http://127.0.0.1:9/v1";

#[test]
fn help_and_version_go_to_standard_output() {
    let place = Place::new();
    place.ostrom(&["--help"]).exits(0).says("ostrom demo").says("eval").says("suite");
    place.ostrom(&["--version"]).exits(0).says(concat!("ostrom ", env!("CARGO_PKG_VERSION")));
    for command in [
        &["eval"] as &[&str],
        &["eval", "run"],
        &["eval", "verify"],
        &["eval", "resume"],
        &["demo"],
        &["model"],
        &["model", "list"],
        &["suite"],
        &["suite", "list"],
        &["guard"],
        &["lineage"],
        &["key"],
    ] {
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
fn a_key_given_for_its_variable_is_not_repeated() {
    let mut args = Place::run_args(URL, "out");
    args.extend(["--key-env", "sk-0123456789-secret"]);
    let ran = Place::new().ostrom(&args).exits(1).complains("no name of an environment variable");
    assert!(!ran.err.contains("sk-0"), "{}", ran.err);
}

#[test]
fn a_suite_that_takes_a_builtin_name_is_refused() {
    let place = Place::new();
    let suite = fs::read_to_string(place.path("tiny/suite.toml")).unwrap();
    let version = place.ostrom(&["suite", "list", "--json"]).exits(0).json()[1]["version"].clone();
    let borrowed = suite.replace("id = \"tiny\"", "id = \"starter\"");
    let borrowed = borrowed.replace("version = \"1\"", &format!("version = {version}"));
    fs::write(place.path("tiny/suite.toml"), borrowed).unwrap();
    place.ostrom(&["suite", "show", "tiny"]).exits(1).complains("starter").complains("another id or version");
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
        (&["--target", "openai:mock", "--base-url", URL, "--repeat", "4294967295"], "--repeat"),
        (&["--target", "openai:mock", "--base-url", URL, "--seed", "9007199254740992"], "2^53"),
        (&["--target", "local:nothing", "--max-requests", "5"], "--max-requests is for endpoints"),
        (&["--target", "local:nothing", "--max-cost", "5", "--price", "1,1"], "--max-cost is for endpoints"),
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

/// The smallest file that is read as GGUF: an architecture and no tensors.
fn gguf() -> Vec<u8> {
    let mut bytes = b"GGUF".to_vec();
    bytes.extend(3_u32.to_le_bytes());
    bytes.extend(0_u64.to_le_bytes());
    bytes.extend(1_u64.to_le_bytes());
    for (kind, text) in [(None, "general.architecture"), (Some(8_u32), "llama")] {
        bytes.extend(kind.into_iter().flat_map(u32::to_le_bytes));
        bytes.extend((text.len() as u64).to_le_bytes());
        bytes.extend(text.as_bytes());
    }
    bytes.resize(bytes.len().next_multiple_of(32), 0);
    bytes
}

#[test]
fn only_gguf_files_are_pulled_and_none_in_the_place_of_a_reference_model() {
    let place = Place::new();
    for name in ["weights.bin", "smollm2-135m.gguf", "Gemma3-270M.gguf", "mine.gguf"] {
        fs::write(place.path(name), gguf()).unwrap();
    }
    place.ostrom(&["model", "pull", "./weights.bin"]).exits(1).complains("end in .gguf");
    place.ostrom(&["model", "pull", "hf:lab/model/weights.safetensors"]).exits(1).complains("end in .gguf");
    place.ostrom(&["model", "pull", "./smollm2-135m.gguf"]).exits(1).complains("reference model");
    place
        .ostrom(&["model", "pull", "./Gemma3-270M.gguf"])
        .exits(1)
        .complains("ostrom model pull gemma3-270m");
    place.ostrom(&["model", "pull", "hf:lab/model/smollm2-135m.gguf"]).exits(1).complains("reference model");
    place.ostrom(&["model", "pull", "./mine.gguf"]).exits(0).says("mine.gguf");
    let list = place.ostrom(&["model", "list", "--json"]).exits(0).json();
    assert_eq!(list["cached"].as_array().unwrap().len(), 1);
}

#[test]
fn a_cached_file_that_is_not_the_reference_model_is_not_taken_for_it() {
    let place = Place::new();
    fs::create_dir_all(place.path("home/cache/models")).unwrap();
    fs::write(place.path("home/cache/models/smollm2-135m.gguf"), gguf()).unwrap();
    place
        .ostrom(&["model", "pull", "smollm2-135m"])
        .exits(1)
        .complains("not the pinned")
        .complains("Remove it");
    place.ostrom(&["model", "chat", "smollm2-135m", "--prompt", "Hi"]).exits(1).complains("not the pinned");
}

#[test]
fn a_model_is_fetched_from_a_hub_and_checked() {
    let place = Place::new();
    let hub = crate::hub::Hub::start(vec![
        ("/lab/model/resolve/main/small.gguf", gguf()),
        ("/lab/model/resolve/main/bad.gguf", b"no".to_vec()),
    ]);
    let pull = |source: &str, endpoint: &str| {
        Ran::of(place.command(&["model", "pull", source]).env("OSTROM_HF_ENDPOINT", endpoint))
    };
    let digest = pull("hf:lab/model/small.gguf", &hub.url()).exits(0).says("small.gguf");
    assert!(digest.out.contains("sha256:"));
    assert_eq!(place.read("home/cache/models/small.gguf"), gguf());
    pull("hf:lab/model/bad.gguf", &hub.url()).exits(1).complains("bad.gguf");
    pull("hf:lab/model/none.gguf", &hub.url()).exits(1).complains("404");
    pull("hf:lab/model/away.gguf", &hub.url()).exits(1);
    pull("hf:lab/model/cut.gguf", &hub.url()).exits(1);
    pull("hf:lab/model/small.gguf", "http://192.0.2.1").exits(1).complains("not encrypted");
    pull("hf:lab/model/small.gguf", "no url").exits(1).complains("OSTROM_HF_ENDPOINT");
    let kept = fs::read_dir(place.path("home/cache/models")).unwrap().count();
    assert_eq!(kept, 1, "something that is no model was kept");
}
