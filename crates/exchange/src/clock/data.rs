//! The files that say which clocks there are: their schema, and what must hold for them.

use std::collections::BTreeSet;

use ostrom_core::{Id, Timestamp};
use serde::Deserialize;

use crate::incident::{Effect, Facts, Harm};

/// The version of the schema that is read.
const SCHEMA: u32 = 1;
/// Longer than any clock file.
const MAX_FILE: usize = 256 << 10;
/// More days than any clock has.
const MAX_DAYS: u32 = 3_660;

/// Whether a clock binds by law.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Force {
    /// By law.
    Law,
    /// Those who have agreed to it.
    Voluntary,
}

/// Whose duty it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// The provider of a high-risk AI system placed on the Union market.
    ProviderOfHighRiskSystem,
    /// The provider of a general-purpose AI model with systemic risk.
    ProviderOfSystemicRiskModel,
}

/// Which days count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Counting {
    /// Every day, each of 24 hours.
    Calendar,
    /// Monday to Friday in UTC, without the clock's holidays.
    Working,
}

/// From when a period runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum From {
    /// When who has the duty became aware.
    Awareness,
    /// When the initial report was made; before it was, when it is due.
    InitialReport,
    /// When the incident was resolved.
    Resolution,
}

/// Something that starts a clock and is not a harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Happening {
    /// [`Facts::cybersecurity_breach`].
    CybersecurityBreach,
    /// [`Facts::widespread_infringement`].
    WidespreadInfringement,
}

/// One of the things that start a clock: a harm that has happened, or a happening.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trigger {
    /// A harm of this kind.
    #[serde(default)]
    pub harm: Option<Harm>,
    /// Only if it is called serious.
    #[serde(default)]
    pub serious: bool,
    /// Only if it is irreversible.
    #[serde(default)]
    pub irreversible: bool,
    /// This has happened.
    #[serde(default)]
    pub event: Option<Happening>,
}

impl Trigger {
    /// Whether these facts start the clock. What only could happen starts none.
    pub fn holds(&self, facts: &Facts) -> bool {
        let effect = |effect: &Effect| {
            effect.actual
                && Some(effect.harm) == self.harm
                && (effect.serious || !self.serious)
                && (effect.irreversible || !self.irreversible)
        };
        match self.event {
            Some(Happening::CybersecurityBreach) => facts.cybersecurity_breach,
            Some(Happening::WidespreadInfringement) => facts.widespread_infringement,
            None => facts.effects.iter().any(effect),
        }
    }
}

/// One thing that is due.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its name within the clock.
    pub id: Id,
    /// Of the rules of a group that hold, only the one that is due first counts.
    pub group: Id,
    /// What is due.
    pub what: String,
    /// To whom.
    pub to: String,
    /// By which provision.
    pub reference: String,
    /// From when the period runs.
    pub from: From,
    /// Its length.
    pub days: u32,
    /// Whether it is due again each time the period has passed, until the incident is resolved.
    #[serde(default)]
    pub repeats: bool,
    /// It is due soon when no more than this is left, in hours.
    pub soon_hours: u32,
    /// The form that is to be filled.
    pub form: Id,
    /// It is due only where a rule of this group holds.
    #[serde(default)]
    pub after: Option<Id>,
    /// What starts it: any of these. None are needed where `after` is given.
    #[serde(default)]
    pub trigger: Vec<Trigger>,
}

/// A field of a form.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Its name; the same thing has the same name in every form.
    pub id: Id,
    /// What is asked.
    pub label: String,
    /// Whether a report without it is incomplete.
    pub required: bool,
}

/// What a report asks for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Form {
    /// Its name within the clock.
    pub id: Id,
    /// What it is called.
    pub name: String,
    /// Where the list of fields comes from.
    pub source: String,
    /// The fields, in order.
    pub field: Vec<Field>,
}

/// A regulatory clock.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clock {
    schema: u32,
    /// Its name.
    pub id: Id,
    /// What it is called.
    pub name: String,
    /// Where it holds: `EU`.
    pub jurisdiction: String,
    /// Whether it binds by law.
    pub force: Force,
    /// The act it is in.
    pub act: String,
    /// Where the text is found.
    pub source: String,
    /// Which version of the text.
    pub version: String,
    /// The day, `2026-11-22`, on which somebody last compared this file with its source.
    pub checked: String,
    /// From which day on it applies.
    pub applies_from: String,
    /// Whose duties these are.
    pub subject: Subject,
    /// Which days count.
    pub counting: Counting,
    /// Days that do not count among working days, `2026-12-25`.
    #[serde(default)]
    pub holidays: BTreeSet<String>,
    /// What a reader has to know.
    #[serde(default)]
    pub notes: Vec<String>,
    /// What is due.
    #[serde(rename = "duty")]
    pub rules: Vec<Rule>,
    /// What the reports ask for.
    #[serde(rename = "form")]
    pub forms: Vec<Form>,
}

/// What is wrong with a clock's file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a clock's file: {0}")]
pub struct ClockError(String);

impl Clock {
    /// Reads a clock's file and checks it.
    ///
    /// # Errors
    /// If it does not follow the schema, or what it says does not fit together.
    pub fn from_toml(text: &str) -> Result<Self, ClockError> {
        if text.len() > MAX_FILE {
            return Err(ClockError(format!("longer than {MAX_FILE} bytes")));
        }
        let clock: Self = toml::from_str(text).map_err(|error| ClockError(error.to_string()))?;
        clock.check().map_err(ClockError)?;
        Ok(clock)
    }

    /// The clocks that come with Ostrom.
    ///
    /// # Errors
    /// Never in a build whose tests have passed.
    pub fn built_in() -> Result<Vec<Self>, ClockError> {
        const FILES: [&str; 2] = [
            include_str!("../../clocks/eu-ai-act-article-73.toml"),
            include_str!("../../clocks/eu-gpai-code-of-practice.toml"),
        ];
        FILES.into_iter().map(Self::from_toml).collect()
    }

    /// The form of this name.
    pub fn form(&self, id: &Id) -> Option<&Form> {
        self.forms.iter().find(|form| form.id == *id)
    }

    fn check(&self) -> Result<(), String> {
        if self.schema != SCHEMA {
            return Err(format!("schema {} is not read here; this version reads {SCHEMA}", self.schema));
        }
        if self.jurisdiction.is_empty() || self.rules.is_empty() || self.forms.is_empty() {
            return Err("it needs a jurisdiction, a duty and a form".to_owned());
        }
        for date in self.holidays.iter().chain([&self.checked, &self.applies_from]) {
            day(date)?;
        }
        distinct("duty", self.rules.iter().map(|rule| &rule.id))?;
        distinct("form", self.forms.iter().map(|form| &form.id))?;
        for form in &self.forms {
            distinct("field", form.field.iter().map(|field| &field.id))?;
            if form.field.is_empty() {
                return Err(format!("form {} asks for nothing", form.id));
            }
        }
        self.rules.iter().try_for_each(|rule| self.check_rule(rule))
    }

    fn check_rule(&self, rule: &Rule) -> Result<(), String> {
        let id = &rule.id;
        if self.form(&rule.form).is_none() {
            return Err(format!("duty {id} names the form {}, which is not here", rule.form));
        }
        if !(1..=MAX_DAYS).contains(&rule.days) {
            return Err(format!("duty {id} has {} days: use 1 to {MAX_DAYS}", rule.days));
        }
        if let Some(after) = &rule.after
            && (*after == rule.group
                || !self.rules.iter().any(|other| other.group == *after && other.after.is_none()))
        {
            return Err(format!(
                "duty {id} comes after {after}, which no duty with triggers has as its group"
            ));
        }
        if rule.after.is_some() != rule.trigger.is_empty() {
            return Err(format!("duty {id} needs either triggers or `after`"));
        }
        if (rule.from == From::Awareness) == rule.after.is_some() {
            return Err(format!(
                "duty {id}: what comes after another runs from that, and the rest from awareness"
            ));
        }
        for trigger in &rule.trigger {
            if trigger.harm.is_some() == trigger.event.is_some() {
                return Err(format!("a trigger of duty {id} needs either a harm or an event"));
            }
            if trigger.event.is_some() && (trigger.serious || trigger.irreversible) {
                return Err(format!("a trigger of duty {id}: only harms are serious or irreversible"));
            }
        }
        Ok(())
    }
}

fn distinct<'a>(what: &str, ids: impl Iterator<Item = &'a Id>) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for id in ids {
        if !seen.insert(id) {
            return Err(format!("there are two of {what} {id}"));
        }
    }
    Ok(())
}

/// The beginning of a day.
pub(super) fn day(text: &str) -> Result<Timestamp, String> {
    format!("{text}T00:00:00Z").parse().map_err(|_| format!("{text:?} is not a day such as 2026-11-22"))
}
