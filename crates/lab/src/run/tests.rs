//! When a run stops, and what it goes on with.

use std::sync::atomic::{AtomicU64, Ordering};

use ostrom_models::http::Spent;
use ostrom_models::{Message, ModelError, Usage};

use super::*;
use crate::scripted::{Scripted, play, run};

fn fails(reason: &str) -> Result<String, ModelError> {
    Err(ModelError::Unsupported(reason.to_owned()))
}

fn fails_alike(_: &[Message]) -> Result<String, ModelError> {
    fails("out of order")
}

fn fails_each_time_otherwise(_: &[Message]) -> Result<String, ModelError> {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    fails(&CALLS.fetch_add(1, Ordering::Relaxed).to_string())
}

#[test]
fn when_nothing_but_one_failure_comes_the_run_stops_and_can_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = run(folder.path(), Suite::load("starter").unwrap(), &[]);
    let Ended::Stopped(why) = play(&mut run, Scripted(fails_alike), false) else { panic!("it went on") };
    assert!(why.contains("20 trials") && why.contains("out of order"), "{why}");
    let (total, done) = run.progress();
    assert!((20..30).contains(&done) && done < total, "{done} of {total}");
    // What was never played comes before what failed: the next stop has reached other trials.
    play(&mut run, Scripted(fails_alike), true);
    assert!(run.progress().1 >= 40);
    assert_eq!(play(&mut run, Scripted(|_| Ok("Fine.".to_owned())), true), Ended::Complete);
    assert_eq!((run.progress().1, run.journal().failed()), (total, 0));
}

#[test]
fn trials_that_fail_again_do_not_undo_a_finished_run() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = run(folder.path(), Suite::load("starter").unwrap(), &[]);
    assert_eq!(play(&mut run, Scripted(fails_each_time_otherwise), false), Ended::Complete);
    let total = run.progress().0;
    assert_eq!(run.journal().failed(), total);
    let length = || std::fs::read_to_string(folder.path().join("run/journal.jsonl")).unwrap().lines().count();
    let before = length();
    assert_eq!(play(&mut run, Scripted(fails_alike), true), Ended::Complete);
    assert!((20..30).contains(&(length() - before)), "every failed trial was tried in vain");
}

#[test]
fn what_was_spent_is_what_was_noted_or_what_the_journal_shows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(SPENT);
    let spent = |requests, input_tokens| Spent {
        requests,
        tokens: Usage { input_tokens, output_tokens: 0 },
        cost_usd: None,
    };
    assert_eq!(read_spent(&path, spent(3, 5)).unwrap(), spent(3, 5));
    std::fs::write(&path, serde_json::to_vec(&spent(9, 4)).unwrap()).unwrap();
    assert_eq!(read_spent(&path, spent(3, 5)).unwrap(), spent(9, 5));
    std::fs::write(&path, "{").unwrap();
    assert!(read_spent(&path, spent(3, 5)).is_err());
}
