use proptest::prelude::*;

use super::*;
use crate::incident::{Effect, Harm};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn id(text: &str) -> Id {
    text.parse().unwrap()
}

const AWARE: &str = "2026-09-01T12:00:00Z";

fn situation(effects: &[Effect]) -> Situation {
    Situation {
        facts: Facts { effects: effects.to_vec(), ..Facts::default() },
        jurisdictions: BTreeSet::from(["EU".to_owned()]),
        subjects: BTreeSet::from([Subject::ProviderOfHighRiskSystem, Subject::ProviderOfSystemicRiskModel]),
        aware: at(AWARE),
        resolved: None,
        reports: Vec::new(),
    }
}

/// (rule, due) for one clock.
fn check(clock: &str, situation: &Situation, expect: &[(&str, Option<&str>)]) {
    let clocks = Clock::built_in().unwrap();
    let found: Vec<(String, Option<String>)> = duties(&clocks, situation, situation.aware)
        .into_iter()
        .filter(|duty| duty.clock.as_str() == clock)
        .map(|duty| (duty.rule.to_string(), duty.due.map(|due| due.date())))
        .collect();
    let expect: Vec<_> =
        expect.iter().map(|(rule, due)| ((*rule).to_owned(), due.map(str::to_owned))).collect();
    assert_eq!(found, expect);
}

#[test]
fn the_files_that_come_with_ostrom_are_sound() {
    let clocks = Clock::built_in().unwrap();
    let days = |clock: &str| -> Vec<u32> {
        let clock = clocks.iter().find(|found| found.id.as_str() == clock).unwrap();
        clock.rules.iter().filter(|rule| rule.from == From::Awareness).map(|rule| rule.days).collect()
    };
    assert_eq!(days("eu-ai-act-article-73"), [15, 10, 2]);
    assert_eq!(days("eu-gpai-code-of-practice"), [2, 5, 10, 15]);
    let listed = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/clocks")).unwrap();
    let listed = listed.filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|e| e == "toml"));
    assert_eq!(listed.count(), clocks.len(), "a clock's file is not built in");
}

#[test]
fn article_73() {
    let check = |situation: &Situation, expect: &[(&str, Option<&str>)]| {
        check("eu-ai-act-article-73", situation, expect);
    };
    check(&situation(&[Effect::actual(Harm::Rights)]), &[("report", Some("2026-09-16"))]);
    check(&situation(&[Effect::actual(Harm::Health).serious()]), &[("report", Some("2026-09-16"))]);
    check(&situation(&[Effect::actual(Harm::Death)]), &[("report-death", Some("2026-09-11"))]);
    let outage = Effect::actual(Harm::CriticalInfrastructure).serious();
    check(&situation(std::slice::from_ref(&outage)), &[]);
    let outage = outage.irreversible();
    // The shortest period of those that hold.
    let all = [Effect::actual(Harm::Rights), Effect::actual(Harm::Death), outage];
    check(&situation(&all), &[("report-widespread", Some("2026-09-03"))]);
    let mut widespread = situation(&[]);
    widespread.facts.widespread_infringement = true;
    check(&widespread, &[("report-widespread", Some("2026-09-03"))]);
}

#[test]
fn what_could_happen_or_is_not_serious_starts_no_clock() {
    let clocks = Clock::built_in().unwrap();
    let slight =
        [Effect::potential(Harm::Death), Effect::actual(Harm::Health), Effect::actual(Harm::Property)];
    assert_eq!(duties(&clocks, &situation(&slight), at(AWARE)), []);
}

#[test]
fn a_clock_is_for_those_it_concerns_from_when_it_applies() {
    let clocks = Clock::built_in().unwrap();
    let dead = situation(&[Effect::actual(Harm::Death)]);
    assert!(!duties(&clocks, &dead, at(AWARE)).is_empty());
    let elsewhere = Situation { jurisdictions: BTreeSet::from(["CH".to_owned()]), ..dead.clone() };
    assert_eq!(duties(&clocks, &elsewhere, at(AWARE)), []);
    let nobody = Situation { subjects: BTreeSet::new(), ..dead.clone() };
    assert_eq!(duties(&clocks, &nobody, at(AWARE)), []);
    let early = Situation { aware: at("2026-08-01T23:59:59Z"), ..dead };
    assert!(
        duties(&clocks, &early, at(AWARE)).iter().all(|duty| duty.clock.as_str() != "eu-ai-act-article-73")
    );
}

#[test]
fn the_code_of_practice() {
    let check = |situation: &Situation, expect: &[(&str, Option<&str>)]| {
        check("eu-gpai-code-of-practice", situation, expect);
    };
    let mut breach = situation(&[]);
    breach.facts.cybersecurity_breach = true;
    check(
        &breach,
        &[
            ("initial-cybersecurity", Some("2026-09-06")),
            ("intermediate", Some("2026-10-04")),
            ("final", None),
        ],
    );
    // The initial report was made: the next within four weeks of it, and so on.
    let report = |group: &str, time: &str| Report {
        clock: id("eu-gpai-code-of-practice"),
        group: id(group),
        at: at(time),
    };
    breach.reports.push(report("initial", "2026-09-02T12:00:00Z"));
    breach.reports.push(report("intermediate", "2026-09-20T12:00:00Z"));
    check(
        &breach,
        &[
            ("initial-cybersecurity", Some("2026-09-06")),
            ("intermediate", Some("2026-10-18")),
            ("final", None),
        ],
    );
    breach.resolved = Some(at("2026-10-01T00:00:00Z"));
    check(&breach, &[("initial-cybersecurity", Some("2026-09-06")), ("final", Some("2026-11-30"))]);
}

#[test]
fn how_a_duty_stands() {
    let clocks = Clock::built_in().unwrap();
    let mut dead = situation(&[Effect::actual(Harm::Death)]);
    dead.subjects = BTreeSet::from([Subject::ProviderOfHighRiskSystem]);
    let standing = |dead: &Situation, now: &str| duties(&clocks, dead, at(now)).first().unwrap().standing;
    assert_eq!(standing(&dead, "2026-09-01T12:00:00Z"), Standing::Running);
    assert_eq!(standing(&dead, "2026-09-09T11:59:59Z"), Standing::Running);
    assert_eq!(standing(&dead, "2026-09-09T12:00:00Z"), Standing::DueSoon);
    assert_eq!(standing(&dead, "2026-09-11T12:00:00Z"), Standing::DueSoon);
    assert_eq!(standing(&dead, "2026-09-11T12:00:00.001Z"), Standing::Overdue);
    let report = |time| Report { clock: id("eu-ai-act-article-73"), group: id("report"), at: at(time) };
    dead.reports = vec![report("2026-09-11T12:00:00Z")];
    assert_eq!(standing(&dead, "2026-12-01T00:00:00Z"), Standing::Met);
    dead.reports = vec![report("2026-09-12T12:00:00Z")];
    assert_eq!(standing(&dead, "2026-12-01T00:00:00Z"), Standing::MetLate);
}

#[test]
fn what_is_due_is_kept_until_it_is_done() {
    let clocks = Clock::built_in().unwrap();
    let mut breach = situation(&[]);
    breach.facts.cybersecurity_breach = true;
    let kept = |breach: &Situation| -> Vec<String> {
        let duties = duties(&clocks, breach, at(AWARE));
        duties.iter().filter_map(|duty| Some(duty.to_due(None, &Policy::default())?.name)).collect()
    };
    let initial = "eu-gpai-code-of-practice/initial-cybersecurity";
    assert_eq!(kept(&breach), [initial, "eu-gpai-code-of-practice/intermediate"]);
    let clock = id("eu-gpai-code-of-practice");
    breach.reports.push(Report { clock, group: id("initial"), at: at(AWARE) });
    assert_eq!(kept(&breach), ["eu-gpai-code-of-practice/intermediate"]);
}

#[test]
fn a_draft_says_what_is_missing() {
    let clocks = Clock::built_in().unwrap();
    let mut dead = situation(&[Effect { persons: Some(2), ..Effect::actual(Harm::Death) }]);
    dead.subjects = BTreeSet::from([Subject::ProviderOfHighRiskSystem]);
    let duty = duties(&clocks, &dead, at(AWARE)).remove(0);
    let answers = BTreeMap::from([
        ("provider".to_owned(), "Example Ltd".to_owned()),
        ("measures".to_owned(), "  ".to_owned()),
    ]);
    let draft = Draft::new(&clocks[0], &duty, &dead, &answers).unwrap();
    let missing: Vec<&str> = draft.missing().map(|entry| entry.id.as_str()).collect();
    assert_eq!(
        missing,
        ["system", "member-states", "occurred", "description", "causal-link", "measures", "completeness"]
    );
    let text = draft.to_text();
    assert!(
        text.contains("death: 2") && text.contains("Example Ltd") && text.contains("[missing]"),
        "{text}"
    );
    assert_eq!(Draft::new(&clocks[1], &duty, &dead, &answers), None);
}

fn working() -> Clock {
    let text = include_str!("../../clocks/eu-ai-act-article-73.toml")
        .replace("counting = \"calendar\"", "counting = \"working\"\nholidays = [\"2026-12-25\"]");
    Clock::from_toml(&text).unwrap()
}

#[test]
fn working_days_leave_out_week_ends_and_holidays() {
    let clock = working();
    // Thursday, 24 December 2026: Friday is a holiday, so the first working day is Monday.
    assert_eq!(clock.after_days(at("2026-12-24T09:00:00Z"), 1), at("2026-12-28T09:00:00Z"));
    // Saturday.
    assert_eq!(clock.after_days(at("2026-12-26T09:00:00Z"), 2), at("2026-12-29T09:00:00Z"));
    assert_eq!(clock.after_days(at("1969-12-26T09:00:00Z"), 1), at("1969-12-29T09:00:00Z"), "before 1970");
}

#[test]
fn a_bad_file_is_refused_with_its_reason() {
    let good = include_str!("../../clocks/eu-ai-act-article-73.toml");
    for (from, to, why) in [
        ("schema = 1", "schema = 2", "schema 2"),
        ("days = 10", "days = 0", "use 1 to"),
        ("id = \"report-death\"", "id = \"report\"", "two of duty report"),
        (
            "harm = \"death\"",
            "harm = \"death\"\n  event = \"cybersecurity-breach\"",
            "either a harm or an event",
        ),
        ("harm = \"death\"", "harm = \"sadness\"", "sadness"),
        ("form = \"report\"", "form = \"letter\"", "letter"),
        ("checked = \"2026-11-22\"", "checked = \"2026-02-30\"", "not a day"),
        ("from = \"awareness\"", "from = \"resolution\"", "from awareness"),
        ("counting = \"calendar\"", "counting = \"calendar\"\nunknown = 1", "unknown"),
    ] {
        assert!(good.contains(from), "{from}");
        let error = Clock::from_toml(&good.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(error.contains(why), "{why:?} is not in {error:?}");
    }
}

proptest! {
    #[test]
    fn more_facts_never_give_more_time(
        harms in prop::collection::vec((0..Harm::ALL.len(), any::<[bool; 3]>()), 0..5),
        more in (0..Harm::ALL.len(), any::<[bool; 3]>()),
        breach in any::<bool>(),
    ) {
        let clocks = Clock::built_in().unwrap();
        let effect = |(harm, [actual, serious, irreversible]): (usize, [bool; 3])| {
            Effect { harm: Harm::ALL[harm], actual, serious, irreversible, persons: None }
        };
        let mut now = situation(&harms.iter().copied().map(effect).collect::<Vec<_>>());
        let before = duties(&clocks, &now, at(AWARE));
        now.facts.effects.push(effect(more));
        now.facts.cybersecurity_breach = breach;
        let after = duties(&clocks, &now, at(AWARE));
        for duty in before {
            let same = after.iter().find(|other| (&other.clock, &other.group) == (&duty.clock, &duty.group));
            let same = same.expect("a duty vanished");
            prop_assert!(same.due.is_none() || same.due <= duty.due);
        }
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        let _ = Clock::from_toml(&text);
    }

    #[test]
    fn working_days_are_never_shorter_than_calendar_days(seconds in 0_i64..4_000_000_000, days in 1_u32..40) {
        let start = Timestamp::EPOCH.plus_seconds(seconds);
        let due = working().after_days(start, days);
        prop_assert!(due >= start.plus_seconds(i64::from(days) * DAY));
        prop_assert!(working().is_working(due));
    }
}
