//! Runs against an endpoint: whole, failing, capped, killed, and resumed.

use std::fs;
use std::process::Stdio;

use crate::endpoint::Endpoint;
use crate::place::{Place, Ran};

#[test]
fn a_run_is_whole_signed_and_verified() {
    let (place, endpoint) = (Place::new(), Endpoint::start());
    let run = place.run(&endpoint, "out", &["--json"]).exits(0).json();
    assert_eq!(run["metrics"]["failed"], 0);
    assert_eq!(run["metrics"]["attack_success"]["trials"], 6);
    for name in
        ["manifest.json", "statement.dsse.json", "key.pub.pem", "suite.json", "trials.jsonl", "report.html"]
    {
        assert!(place.path("out").join(name).is_file(), "{name}");
    }
    assert!(!place.path("out/run").exists(), "a finished run keeps no journal");
    let verified = place.ostrom(&["eval", "verify", "out", "--json"]).exits(0).json();
    assert_eq!((&verified["holds"], &verified["failed"]), (&true.into(), &0.into()));
    assert_eq!(verified["trials"], run["metrics"]["planned"]);
    let report = place.ostrom(&["eval", "report", "out", "--out", "again.html"]).exits(0);
    assert!(report.out.contains("again.html"));
    assert_eq!(place.read("again.html"), place.read("out/report.html"));
}

#[test]
fn the_same_run_twice_is_the_same_manifest_and_a_defence_is_compared() {
    let (place, endpoint) = (Place::new(), Endpoint::start());
    place.run(&endpoint, "a", &["--concurrency", "1"]).exits(0);
    place.run(&endpoint, "b", &["--concurrency", "16"]).exits(0);
    assert_eq!(place.read("a/manifest.json"), place.read("b/manifest.json"));
    place.run(&endpoint, "c", &["--defence", "delimit,sandwich"]).exits(0);
    assert_ne!(place.read("a/manifest.json"), place.read("c/manifest.json"));
    place.ostrom(&["eval", "compare", "a", "c", "--json"]).exits(0).json();
    place.ostrom(&["eval", "compare", "a", "b"]).exits(0).says("attack success");
}

#[test]
fn settings_come_from_the_file_and_flags_win() {
    let (place, endpoint) = (Place::new(), Endpoint::start());
    let text = format!(
        "suite = \"tiny\"\nrepeat = 2\nseed = 5\n[reach]\ntarget = \"openai:mock\"\nbase_url = {:?}\n",
        endpoint.url()
    );
    fs::write(place.path("run.toml"), text).unwrap();
    place.ostrom(&["eval", "run", "--config", "run.toml", "--seed", "9", "--out", "out"]).exits(0);
    let manifest: serde_json::Value = serde_json::from_slice(&place.read("out/manifest.json")).unwrap();
    assert_eq!((&manifest["settings"]["repeat"], &manifest["settings"]["seed"]), (&2.into(), &9.into()));
}

#[test]
fn failures_are_counted_and_tried_again_on_resume() {
    let (place, endpoint) = (Place::new(), Endpoint::start());
    place.run(&endpoint, "whole", &[]).exits(0);
    endpoint.set_broken(true);
    let run = place.run(&endpoint, "out", &["--max-attempts", "1", "--json"]).exits(4);
    let json = run.json();
    let planned = json["metrics"]["planned"].as_u64().unwrap();
    assert_eq!(json["metrics"]["failed"], planned);
    run.complains(&format!("{planned} of {planned} trials failed")).complains("ostrom eval resume out");
    let verified = place.ostrom(&["eval", "verify", "out", "--json"]).exits(0).json();
    assert_eq!(verified["failed"], planned, "a bundle does not hide what failed");
    endpoint.set_broken(false);
    place.ostrom(&["eval", "resume", "out"]).exits(0);
    assert_eq!(place.read("out/manifest.json"), place.read("whole/manifest.json"));
}

#[test]
fn a_cap_stops_the_run_and_a_higher_one_finishes_it() {
    let (place, endpoint) = (Place::new(), Endpoint::start());
    place.run(&endpoint, "whole", &[]).exits(0);
    let before = endpoint.requests();
    let capped = place.run(&endpoint, "out", &["--max-requests", "7"]).exits(3);
    capped.complains("the cap of 7 requests is reached").complains("ostrom eval resume out");
    assert_eq!(endpoint.requests() - before, 7);
    assert!(!place.path("out/manifest.json").exists(), "a part of a run is no bundle");
    place.ostrom(&["eval", "verify", "out"]).exits(1).complains("no bundle");
    place.ostrom(&["eval", "resume", "out", "--max-requests", "10000"]).exits(0);
    assert_eq!(place.read("out/manifest.json"), place.read("whole/manifest.json"));
    place.ostrom(&["eval", "verify", "out"]).exits(0);
}

#[test]
fn a_killed_run_goes_on_where_it_was() {
    let (place, endpoint) = (Place::new(), Endpoint::start());
    place.run(&endpoint, "whole", &[]).exits(0);
    let all = endpoint.requests();
    let url = endpoint.url();
    let mut args = Place::run_args(&url, "out");
    args.extend(["--concurrency", "1"]);
    endpoint.close_after(all / 2);
    let mut child = place.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    endpoint.wait_for_one_at_the_gate();
    child.kill().unwrap();
    child.wait().unwrap();
    endpoint.open();
    // A kill in the middle of writing leaves half a line.
    let journal = place.path("out/run/journal.jsonl");
    let mut lines = fs::read(&journal).unwrap();
    let finished = lines.iter().filter(|&&byte| byte == b'\n').count();
    assert!(finished > 0, "nothing was kept");
    lines.extend_from_slice(b"{\"index\":3,\"tri");
    fs::write(&journal, lines).unwrap();

    let before = endpoint.requests();
    place.ostrom(&["eval", "resume", "out"]).exits(0);
    let again = endpoint.requests() - before;
    assert!(again < all, "what was finished was played again: {again} of {all} requests");
    assert_eq!(place.read("out/manifest.json"), place.read("whole/manifest.json"));
    place.ostrom(&["eval", "verify", "out"]).exits(0);
    place.ostrom(&["eval", "resume", "out"]).exits(1).complains("no unfinished run");
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_what_is_finished_and_says_how_to_go_on() {
    let (place, endpoint) = (Place::new(), Endpoint::start());
    place.run(&endpoint, "whole", &[]).exits(0);
    let all = endpoint.requests();
    let url = endpoint.url();
    let mut args = Place::run_args(&url, "out");
    args.extend(["--concurrency", "1"]);
    endpoint.close_after(all / 2);
    let child = place.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    endpoint.wait_for_one_at_the_gate();
    let interrupt =
        std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupt.success());
    // The request at the gate has no answer: stopping does not wait for it.
    let output = child.wait_with_output().unwrap();
    endpoint.open();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("stopped by the user") && said.contains("ostrom eval resume out"), "{said}");
    place.ostrom(&["eval", "resume", "out"]).exits(0);
    assert_eq!(place.read("out/manifest.json"), place.read("whole/manifest.json"));
}

#[test]
fn a_journal_changed_from_outside_is_refused() {
    let (place, endpoint) = (Place::new(), Endpoint::start());
    place.run(&endpoint, "out", &["--max-requests", "7"]).exits(3);
    let journal = place.path("out/run/journal.jsonl");
    let text = fs::read_to_string(&journal).unwrap();
    fs::write(&journal, text.replacen("\"index\"", "\"indax\"", 1)).unwrap();
    place.ostrom(&["eval", "resume", "out"]).exits(1).complains("journal.jsonl");
}

#[test]
fn a_run_is_not_continued_with_another_target() {
    let (place, endpoint, other) = (Place::new(), Endpoint::start(), Endpoint::start());
    place.run(&endpoint, "out", &["--max-requests", "7"]).exits(3);
    place.ostrom(&["eval", "resume", "out", "--base-url", &other.url()]).exits(1).complains("not the one");
    assert_eq!(other.requests(), 0);
}

#[test]
fn a_key_is_sent_and_never_written_down() {
    let (place, endpoint) = (Place::new(), Endpoint::start());
    let url = endpoint.url();
    let mut args = Place::run_args(&url, "out");
    args.extend(["--key-env", "MOCK_KEY", "--max-requests", "7"]);
    let secret = "sk-0123456789-secret";
    let ran = Ran::of(place.command(&args).env("MOCK_KEY", secret)).exits(3);
    assert_eq!(endpoint.authorization().unwrap(), format!("Bearer {secret}"));
    assert!(!ran.out.contains(secret) && !ran.err.contains(secret));
    for folder in ["out", "out/run"] {
        for entry in fs::read_dir(place.path(folder)).unwrap().map(Result::unwrap) {
            let text = fs::read(entry.path()).unwrap_or_default();
            assert!(!String::from_utf8_lossy(&text).contains(secret), "{}", entry.path().display());
        }
    }
    // The name of the variable is on record, so the key must be there again.
    place.ostrom(&["eval", "resume", "out"]).exits(1).complains("MOCK_KEY is not set");
    let mut resume = place.command(&["eval", "resume", "out", "--max-requests", "9"]);
    let resumed = Ran::of(resume.env("MOCK_KEY", secret)).exits(3);
    resumed.complains(&format!("requests go to mock at {url}, with the key in MOCK_KEY"));
}

/// Somebody else's folder must not choose to whom the user's key goes, nor what is signed as the user's.
#[test]
fn a_run_that_another_key_began_sends_nothing_before_it_is_adopted() {
    let (place, endpoint) = (Place::new(), Endpoint::start());
    let url = endpoint.url();
    let resume = |more: &[&str]| {
        let mut args = vec!["eval", "resume", "theirs"];
        args.extend(more);
        Ran::of(place.command(&args).env("MOCK_KEY", "sk-0123456789-secret"))
    };
    place.run(&endpoint, "theirs", &["--max-requests", "7", "--sign-key", "theirs.pem"]).exits(3);
    let plan = String::from_utf8(place.read("theirs/run/plan.json")).unwrap();
    let plan = plan.replace("\"reach\":{", "\"reach\":{\"key_env\":\"MOCK_KEY\",");
    fs::write(place.path("theirs/run/plan.json"), plan).unwrap();
    let before = endpoint.requests();
    for more in [&[][..], &["--sign-key", "theirs.pem"], &["--base-url", &url, "--key-env", "MOCK_KEY"]] {
        let refused =
            resume(more).exits(1).complains("was not begun with the key").complains("--sign-key FILE");
        refused
            .complains("--adopt --target openai:MODEL --base-url URL")
            .complains(&format!("mock at {url}"));
    }
    resume(&["--adopt"]).exits(2).complains("--target");
    resume(&["--adopt", "--target", "openai:mock"]).exits(1).complains("where is the endpoint?");
    assert_eq!(endpoint.requests(), before);
    // Neither the key nor the cap that the folder names is taken.
    let adopted = resume(&["--adopt", "--target", "openai:mock", "--base-url", &url]).exits(0);
    adopted.complains(&format!("requests go to mock at {url}, without a key"));
    assert!(endpoint.requests() > before);
    assert_eq!(endpoint.authorization(), None);
    place.ostrom(&["eval", "verify", "theirs", "--key", "home/data/keys/default.pem"]).exits(0);
}

#[test]
fn verify_says_what_it_did_not_verify_and_refuses_what_does_not_belong_there() {
    let (place, endpoint) = (Place::new(), Endpoint::start());
    place.run(&endpoint, "whole", &[]).exits(0);
    let whole = place.ostrom(&["eval", "verify", "whole", "--json"]).exits(0).json();
    assert_eq!(whole["notVerified"], serde_json::json!([]));
    endpoint.set_broken(true);
    place.run(&endpoint, "failed", &["--max-attempts", "1"]).exits(4);
    place.ostrom(&["eval", "verify", "failed"]).exits(0).says("not      run/:").says("not verified");
    let json = place.ostrom(&["eval", "verify", "failed", "--json"]).exits(0).json();
    assert_eq!(json["notVerified"], serde_json::json!(["run/"]));
    place.ostrom(&["eval", "pack", "failed", "--out", "failed.tar.zst"]).exits(0);
    let packed = place.ostrom(&["eval", "verify", "failed.tar.zst", "--json"]).exits(0).json();
    assert_eq!((&packed["bundle"], &packed["notVerified"]), (&json["bundle"], &serde_json::json!([])));
    for (name, is_folder) in [("notes.txt", false), ("more", true), ("spent.json", true)] {
        let path = place.path("failed/run").join(name);
        let _absent = fs::remove_file(&path);
        if is_folder {
            fs::create_dir(&path).unwrap()
        } else {
            fs::write(&path, "x").unwrap()
        }
        place.ostrom(&["eval", "verify", "failed"]).exits(1).complains(name).complains("does not belong");
        if is_folder { fs::remove_dir(&path).unwrap() } else { fs::remove_file(&path).unwrap() }
    }
    place.ostrom(&["eval", "verify", "failed"]).exits(0);
    // Where nothing failed there is nothing to try again.
    fs::create_dir(place.path("whole/run")).unwrap();
    place.ostrom(&["eval", "verify", "whole"]).exits(1).complains("whole/run does not belong to the bundle");
}

#[test]
fn an_adopted_run_is_ones_own() {
    let (place, endpoint) = (Place::new(), Endpoint::start());
    let url = endpoint.url();
    place.run(&endpoint, "out", &["--max-requests", "7", "--sign-key", "theirs.pem"]).exits(3);
    let adopt = ["eval", "resume", "out", "--adopt", "--target", "openai:mock", "--base-url", &url];
    place.ostrom(&[&adopt[..], &["--max-requests", "9"]].concat()).exits(3);
    place.ostrom(&["eval", "resume", "out", "--sign-key", "theirs.pem"]).exits(1).complains("--adopt");
    place.ostrom(&["eval", "resume", "out"]).exits(3).complains("the cap of 9 requests is reached");
    place.ostrom(&["eval", "resume", "out", "--max-requests", "10000"]).exits(0);
}

#[test]
fn a_plan_of_another_run_than_the_bundle_beside_it_is_refused() {
    let (place, endpoint) = (Place::new(), Endpoint::start());
    endpoint.set_broken(true);
    place.run(&endpoint, "a", &["--max-attempts", "1"]).exits(4);
    place.run(&endpoint, "b", &["--max-attempts", "1", "--seed", "9"]).exits(4);
    fs::remove_dir_all(place.path("a/run")).unwrap();
    fs::rename(place.path("b/run"), place.path("a/run")).unwrap();
    endpoint.set_broken(false);
    let before = endpoint.requests();
    place.ostrom(&["eval", "resume", "a"]).exits(1).complains("it has other settings than a/manifest.json");
    assert_eq!(endpoint.requests(), before);
}

/// Through a link in a folder from elsewhere, any file of the user's could be cut off or overwritten.
#[cfg(unix)]
#[test]
fn resuming_follows_no_link_out_of_the_folder() {
    use std::os::unix::fs::symlink;

    let (place, endpoint) = (Place::new(), Endpoint::start());
    place.run(&endpoint, "out", &["--max-requests", "7"]).exits(3);
    let thesis = "years of work, without a newline";
    fs::write(place.path("thesis.txt"), thesis).unwrap();
    for name in ["run/journal.jsonl", "run/plan.json", "run/plan.dsse.json", "run/spent.json", "suite.json"] {
        let (file, kept) = (place.path("out").join(name), place.path("kept"));
        fs::rename(&file, &kept).unwrap();
        symlink(place.path("thesis.txt"), &file).unwrap();
        place.ostrom(&["eval", "resume", "out"]).exits(1).complains(name).complains("it is a link");
        fs::remove_file(&file).unwrap();
        fs::rename(&kept, &file).unwrap();
    }
    fs::rename(place.path("out/run"), place.path("elsewhere")).unwrap();
    symlink(place.path("elsewhere"), place.path("out/run")).unwrap();
    place.ostrom(&["eval", "resume", "out"]).exits(1).complains("it is a link");
    fs::remove_file(place.path("out/run")).unwrap();
    fs::rename(place.path("elsewhere"), place.path("out/run")).unwrap();
    // What is written under these names takes the link's place.
    for name in ["run/spent.part", "manifest.part", "trials.part", "report.html"] {
        symlink(place.path("thesis.txt"), place.path("out").join(name)).unwrap();
    }
    place.ostrom(&["eval", "resume", "out", "--max-requests", "10000"]).exits(0);
    place.ostrom(&["eval", "verify", "out"]).exits(0);
    fs::remove_file(place.path("out/report.html")).unwrap();
    symlink(place.path("thesis.txt"), place.path("out/report.html")).unwrap();
    place.ostrom(&["eval", "report", "out"]).exits(0);
    assert_eq!(place.read("thesis.txt"), thesis.as_bytes());
}

#[test]
fn a_folder_that_holds_something_is_left_alone() {
    let (place, endpoint) = (Place::new(), Endpoint::start());
    fs::create_dir(place.path("out")).unwrap();
    fs::write(place.path("out/thesis.txt"), "years of work").unwrap();
    place.run(&endpoint, "out", &[]).exits(1).complains("is not empty").complains("--out");
    assert_eq!(place.read("out/thesis.txt"), b"years of work");
    assert_eq!(fs::read_dir(place.path("out")).unwrap().count(), 1);
    assert_eq!(endpoint.requests(), 0);
}

/// An administrator may write everywhere, so the binary runs as nobody where the tests run as one.
#[cfg(unix)]
#[test]
fn a_folder_that_may_not_be_written_is_named_with_a_way_out() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    use std::os::unix::process::CommandExt as _;

    let (place, endpoint) = (Place::new(), Endpoint::start());
    let allow = |name: &str, mode| {
        fs::set_permissions(place.path(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    for (name, mode) in [("home", 0o777), ("closed", 0o555)] {
        fs::create_dir(place.path(name)).unwrap();
        allow(name, mode);
    }
    allow("", 0o755);
    let url = endpoint.url();
    let args = Place::run_args(&url, "closed/out");
    let is_root = fs::metadata(place.path("tiny")).unwrap().uid() == 0;
    let ran = if is_root {
        // The build folder may be out of nobody's reach.
        fs::copy(env!("CARGO_BIN_EXE_ostrom"), place.path("ostrom")).unwrap();
        Ran::of(place.command_of(&place.path("ostrom"), &args).uid(65534).gid(65534))
    } else {
        place.ostrom(&args)
    };
    ran.exits(1).complains("closed/out").complains("choose a folder that you may write to with --out");
    assert_eq!(endpoint.requests(), 0);
}

/// A disk with room for the suite and for some of the trials: files may not grow beyond a limit.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_stops_the_run_and_loses_no_finished_trial() {
    let (place, endpoint) = (Place::new(), Endpoint::start());
    let url = endpoint.url();
    let run = |out| {
        ["eval", "run", "--suite", "starter", "--target", "openai:mock", "--base-url", &url, "--out", out]
    };
    place.ostrom(&run("whole")).exits(0);
    let blocks = place.read("whole/suite.json").len() / 512 + 40;
    assert!(place.read("whole/trials.jsonl").len() > (blocks + 40) * 512, "the trials fit on this disk");
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
    let mut args = vec!["-c", &script, env!("CARGO_BIN_EXE_ostrom")];
    let command = run("out");
    args.extend(command);
    let full = Ran::of(&mut place.command_of(std::path::Path::new("sh"), &args)).exits(3);
    full.complains("journal.jsonl").complains("ostrom eval resume out");
    let before = endpoint.requests();
    place.ostrom(&["eval", "resume", "out"]).exits(0);
    assert!(endpoint.requests() > before);
    assert_eq!(place.read("out/manifest.json"), place.read("whole/manifest.json"));
    place.ostrom(&["eval", "verify", "out"]).exits(0);
}

#[test]
fn what_was_spent_before_a_stop_counts_after_it() {
    let (place, endpoint) = (Place::new(), Endpoint::start());
    place.run(&endpoint, "out", &["--max-requests", "7"]).exits(3);
    let before = endpoint.requests();
    place.ostrom(&["eval", "resume", "out"]).exits(3).complains("the cap of 7 requests is reached");
    assert_eq!(endpoint.requests(), before, "the cap began again");
    place.ostrom(&["eval", "resume", "out", "--max-requests", "9"]).exits(3);
    assert_eq!(endpoint.requests() - before, 2);
}

#[test]
fn two_at_once_do_not_work_on_one_run() {
    let (place, endpoint) = (Place::new(), Endpoint::start());
    let url = endpoint.url();
    let mut args = Place::run_args(&url, "out");
    args.extend(["--concurrency", "1"]);
    endpoint.close_after(3);
    let mut child = place.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    endpoint.wait_for_one_at_the_gate();
    place.ostrom(&["eval", "resume", "out"]).exits(1).complains("another `ostrom` is working on this run");
    endpoint.open();
    assert!(child.wait().unwrap().success());
    place.ostrom(&["eval", "verify", "out"]).exits(0);
}

#[test]
fn an_endpoint_that_only_fails_is_left_alone_after_a_while() {
    let (place, endpoint) = (Place::new(), Endpoint::start());
    endpoint.set_broken(true);
    let stopped = place.run(&endpoint, "out", &["--max-attempts", "1", "--repeat", "9"]).exits(3);
    stopped
        .complains("20 trials failed one after the other")
        .complains("out of order")
        .complains("eval resume out");
    assert!(endpoint.requests() < 40, "{} requests", endpoint.requests());
    endpoint.set_broken(false);
    place.ostrom(&["eval", "resume", "out"]).exits(0);
}

#[test]
fn a_comparison_with_failed_trials_is_incomplete_and_says_so() {
    let (place, endpoint) = (Place::new(), Endpoint::start());
    place.run(&endpoint, "whole", &[]).exits(0);
    endpoint.set_broken(true);
    let run = place.run(&endpoint, "failed", &["--max-attempts", "1"]).exits(4);
    run.complains("of them: the endpoint failed 1 times, last with HTTP 500 (out of order)");
    let compared =
        place.ostrom(&["eval", "compare", "whole", "failed"]).exits(4).says("(6 failed)").says("(4 failed)");
    compared
        .complains("the comparison is incomplete")
        .complains("in failed (again with: ostrom eval resume failed)")
        .complains("repeat 0): the endpoint failed 1 times");
    let json = place.ostrom(&["eval", "compare", "whole", "failed", "--json"]).exits(4).json();
    let utility = &json["utility_under_attack"];
    assert_eq!((&utility["failed"], &utility["pairs"]), (&4.into(), &4.into()), "a failed pair was left out");
    assert!(utility["difference"].is_null(), "a difference as if nothing had failed");
    assert_eq!(utility["range"].as_array().unwrap().len(), 2);
    let failed = json["failed_trials"][1].as_array().unwrap();
    assert_eq!((json["failed_trials"][0].as_array().unwrap().len(), failed.len() > 6), (0, true));
    assert!(failed.iter().all(|trial| trial["reason"].as_str().unwrap().contains("out of order")));
}

/// Every form of export has a failed trial in it, and the command says so with its exit status.
#[test]
fn an_export_with_failed_trials_names_them_and_is_no_success() {
    let (place, endpoint) = (Place::new(), Endpoint::start());
    endpoint.set_broken(true);
    place.run(&endpoint, "failed", &["--max-attempts", "1"]).exits(4);
    for format in ["csv", "avid", "garak", "parquet"] {
        let ran = place.ostrom(&["eval", "export", "failed", "--format", format, "--out", format]).exits(4);
        ran.complains("trials have no outcome")
            .complains("repeat 0): the endpoint failed 1 times")
            .complains("ostrom eval resume failed");
        assert!(!place.read(format).is_empty());
    }
    let trials = String::from_utf8(place.read("failed/trials.jsonl")).unwrap().lines().count();
    let csv = String::from_utf8(place.read("csv")).unwrap();
    assert_eq!(csv.matches("out of order").count(), trials, "a failed trial is missing");
    let avid: serde_json::Value = serde_json::from_slice(&place.read("avid")).unwrap();
    assert_eq!(avid["metrics"][0]["results"]["attack_success"]["failed"], 6);
    let garak = String::from_utf8(place.read("garak")).unwrap();
    let lines: Vec<serde_json::Value> =
        garak.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let attempts: Vec<_> = lines.iter().filter(|line| line["entry_type"] == "attempt").collect();
    assert_eq!(attempts.len(), 6);
    assert!(attempts.iter().all(|attempt| attempt["status"] == 1 && attempt["notes"]["failed"].is_string()));
    let sum = |key: &str| {
        lines
            .iter()
            .filter(|line| line["entry_type"] == "eval")
            .map(|e| e[key].as_u64().unwrap())
            .sum::<u64>()
    };
    assert_eq!((sum("nones"), sum("total_processed"), sum("total_evaluated")), (6, 6, 0));
    assert!(lines[0]["ostrom.note"].as_str().unwrap().contains(&format!("{} of their trials", trials - 6)));
    // Parquet keeps texts as they are.
    let rows = place.read("parquet").windows(12).filter(|bytes| bytes == b"out of order").count();
    assert!(rows >= 1, "no reason in the Parquet file");
}
