//! Regulatory clocks: what is due to whom, by when, after an incident.
//!
//! The clocks are data (`clocks/*.toml`): who has the duty, what starts it, how long it runs, by which provision and from which
//! version of the text. [`duties`] is a pure function of them and of what is known. It is an aid and no legal advice: it takes
//! the earliest reading where a text leaves room, and says by which provision, so that somebody can look.

mod data;
mod draft;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use ostrom_core::handling::Policy;
use ostrom_core::{Id, OrgId, Timestamp};
use ostrom_store::NewDue;
use serde::{Deserialize, Serialize};

pub use data::{Clock, ClockError, Counting, Field, Force, Form, From, Happening, Rule, Subject, Trigger};
pub use draft::{Draft, Entry};

use crate::incident::Facts;

/// Seconds of a day.
const DAY: i64 = 86_400;
/// Days of holidays that a count of working days goes over at most, beyond the week-ends.
const MAX_HOLIDAYS: i64 = 1_000;

/// What a clock has to know of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Situation {
    /// What happened.
    pub facts: Facts,
    /// Where: `EU`.
    pub jurisdictions: BTreeSet<String>,
    /// Which duties whoever asks has.
    pub subjects: BTreeSet<Subject>,
    /// When they became aware.
    pub aware: Timestamp,
    /// When the incident was resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<Timestamp>,
    /// When a report of each group was made, by clock and group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reports: Vec<Report>,
}

/// A report that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// By which clock.
    pub clock: Id,
    /// Of which group of duties.
    pub group: Id,
    /// When.
    pub at: Timestamp,
}

/// How a duty stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// What its period runs from has not happened.
    Waiting,
    /// There is time.
    Running,
    /// Little time is left.
    DueSoon,
    /// The time has passed.
    Overdue,
    /// It was done, in time.
    Met,
    /// It was done, too late.
    MetLate,
}

/// Something that is due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Duty {
    /// By which clock.
    pub clock: Id,
    /// By which rule of it.
    pub rule: Id,
    /// Of which group.
    pub group: Id,
    /// What.
    pub what: String,
    /// To whom.
    pub to: String,
    /// By which provision, of which act.
    pub reference: String,
    /// Whether by law.
    pub by_law: bool,
    /// By when; `None` while it waits.
    pub due: Option<Timestamp>,
    /// When it was done.
    pub done: Option<Timestamp>,
    /// How it stands.
    pub standing: Standing,
    /// The form.
    pub form: Id,
}

impl Duty {
    /// What the store keeps of it, for those whom `policy` lets know: a name that is unique for the incident, and the duty in
    /// JSON. `None` if nothing is due: it waits, or is done.
    pub fn to_due(&self, party: Option<OrgId>, policy: &Policy) -> Option<NewDue> {
        let due = self.due.filter(|_| self.done.is_none())?;
        // INVARIANT: a duty is text and times.
        let detail = serde_json::to_string(self).unwrap_or_default();
        let name = format!("{}/{}", self.clock, self.rule);
        Some(NewDue { name, due, party, policy: policy.clone(), detail })
    }
}

/// What is due by `clocks` in this situation, as of `now`; what is due first comes first, what waits last.
pub fn duties(clocks: &[Clock], situation: &Situation, now: Timestamp) -> Vec<Duty> {
    let mut duties: Vec<Duty> = clocks.iter().flat_map(|clock| clock.duties(situation, now)).collect();
    duties.sort_by(|a, b| {
        let key = |duty: &Duty| (duty.due.is_none(), duty.due, duty.clock.clone(), duty.rule.clone());
        key(a).cmp(&key(b))
    });
    duties
}

impl Clock {
    fn duties(&self, situation: &Situation, now: Timestamp) -> Vec<Duty> {
        let applies = data::day(&self.applies_from).is_ok_and(|from| situation.aware >= from);
        let concerns = situation.jurisdictions.contains(&self.jurisdiction)
            && situation.subjects.contains(&self.subject);
        if !applies || !concerns {
            return Vec::new();
        }
        let started = |rule: &Rule| rule.trigger.iter().any(|trigger| trigger.holds(&situation.facts));
        // Of each group, the rule that is due first.
        let mut first: BTreeMap<&Id, (&Rule, Timestamp)> = BTreeMap::new();
        for rule in self.rules.iter().filter(|rule| started(rule)) {
            let due = self.after_days(situation.aware, rule.days);
            let entry = first.entry(&rule.group).or_insert((rule, due));
            if due < entry.1 {
                *entry = (rule, due);
            }
        }
        let mut duties: Vec<Duty> = first
            .values()
            .map(|(rule, due)| {
                let done = self.reports(situation, rule).min();
                self.duty(rule, Some(*due), done, now)
            })
            .collect();
        for rule in &self.rules {
            if let Some((_, initial_due)) = rule.after.as_ref().and_then(|after| first.get(after)) {
                duties.extend(self.follow_up(rule, *initial_due, situation, now));
            }
        }
        duties
    }

    /// What is due after another report.
    fn follow_up(
        &self,
        rule: &Rule,
        initial_due: Timestamp,
        situation: &Situation,
        now: Timestamp,
    ) -> Option<Duty> {
        let initial = situation
            .reports
            .iter()
            .filter(|report| report.clock == self.id && Some(&report.group) == rule.after.as_ref())
            .map(|report| report.at)
            .min();
        let done: Vec<Timestamp> = self.reports(situation, rule).collect();
        let start = match rule.from {
            From::Awareness => Some(situation.aware),
            From::InitialReport => Some(initial.unwrap_or(initial_due)),
            From::Resolution => situation.resolved,
        };
        if !rule.repeats {
            return Some(self.duty(
                rule,
                start.map(|at| self.after_days(at, rule.days)),
                done.into_iter().min(),
                now,
            ));
        }
        // The period begins anew with each report, and ends with the incident.
        let start = done.iter().copied().chain(start).max()?;
        let due = self.after_days(start, rule.days);
        let is_over = situation.resolved.is_some_and(|resolved| resolved <= due);
        (!is_over).then(|| self.duty(rule, Some(due), None, now))
    }

    fn reports<'a>(
        &'a self,
        situation: &'a Situation,
        rule: &'a Rule,
    ) -> impl Iterator<Item = Timestamp> + 'a {
        let ours = move |report: &&Report| report.clock == self.id && report.group == rule.group;
        situation.reports.iter().filter(ours).map(|report| report.at)
    }

    fn duty(&self, rule: &Rule, due: Option<Timestamp>, done: Option<Timestamp>, now: Timestamp) -> Duty {
        let standing = match (due, done) {
            (None, None) => Standing::Waiting,
            (None, Some(_)) => Standing::Met,
            (Some(due), Some(done)) if done <= due => Standing::Met,
            (Some(_), Some(_)) => Standing::MetLate,
            (Some(due), None) if now > due => Standing::Overdue,
            (Some(due), None) if now.plus_seconds(i64::from(rule.soon_hours) * 3_600) >= due => {
                Standing::DueSoon
            }
            (Some(_), None) => Standing::Running,
        };
        Duty {
            clock: self.id.clone(),
            rule: rule.id.clone(),
            group: rule.group.clone(),
            what: rule.what.clone(),
            to: rule.to.clone(),
            reference: format!("{}, {}", rule.reference, self.act),
            by_law: self.force == Force::Law,
            due,
            done,
            standing,
            form: rule.form.clone(),
        }
    }

    /// The point in time `days` days after `start`.
    pub fn after_days(&self, start: Timestamp, days: u32) -> Timestamp {
        match self.counting {
            Counting::Calendar => start.plus_seconds(i64::from(days) * DAY),
            Counting::Working => {
                let mut left = days;
                let mut at = start;
                // A year of holidays on end is no calendar: the bound keeps a bad file from turning the loop into one.
                for _ in 0..i64::from(days).saturating_mul(7).saturating_add(MAX_HOLIDAYS) {
                    if left == 0 {
                        break;
                    }
                    at = at.plus_seconds(DAY);
                    left -= u32::from(self.is_working(at));
                }
                at
            }
        }
    }

    fn is_working(&self, at: Timestamp) -> bool {
        // 1 January 1970 was a Thursday; Monday is 0.
        let weekday = (at.micros().div_euclid(DAY * 1_000_000) + 3).rem_euclid(7);
        weekday < 5 && !self.holidays.contains(&at.date())
    }
}
