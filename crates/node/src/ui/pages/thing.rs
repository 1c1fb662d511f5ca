//! From a stored object to what pages show of it.

use ostrom_core::handling::Policy;
use ostrom_core::{ObjectId, Timestamp};
use ostrom_exchange::stix;
use ostrom_exchange::types::{Affected, Ai, Rate, Record, Reference, Severity};
use ostrom_store::{Head, Object};
use serde_json::Value;

use super::names::Names;
use crate::ui::part::{Badge, Block, Cell, Facts, Link, Proportion, Section, Table, Tone, When};
use crate::ui::view::{Kind, ListRow};
use crate::ui::{Chart, Html, markdown};

/// A shared thing, read.
pub struct Thing {
    /// What the store knows.
    pub head: Head,
    /// What its own marks say.
    pub own: Policy,
    /// The kind whose pages it has.
    pub kind: Option<Kind>,
    /// As one of our types, if it is one.
    pub record: Option<Record>,
    /// As it is.
    pub stix: Option<stix::Object>,
}

/// The STIX types of a kind.
pub const fn types(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Flaw => &["vulnerability"],
        Kind::Incident => &["incident"],
        Kind::Technique => &["attack-pattern"],
        Kind::Mitigation => &["course-of-action"],
        Kind::Lesson | Kind::Evaluation => &["note"],
        Kind::Advisory => &["report", "grouping"],
    }
}

/// The kind that a STIX type alone says; for notes, it takes the content.
pub fn kind_of_type(name: &str) -> Option<Kind> {
    Kind::ALL.into_iter().find(|kind| types(*kind).contains(&name))
}

/// The permanent link of something whose content is not known here.
pub fn link_of(id: &ObjectId) -> String {
    format!("/objects/{id}")
}

impl Thing {
    /// Reads it. What cannot be read is shown as it is.
    pub fn read(object: Object) -> Self {
        let stix = stix::Object::read(&object.body, &stix::Limits::default()).ok();
        let record = stix.as_ref().and_then(|stix| Record::parse(stix).ok());
        let kind = match &record {
            Some(Record::Evaluation(_)) => Some(Kind::Evaluation),
            Some(Record::Lesson(_)) => Some(Kind::Lesson),
            _ => kind_of_type(object.head.kind()),
        };
        Self { head: object.head, own: object.own, kind, record, stix }
    }

    /// Its permanent link.
    pub fn href(&self) -> String {
        match self.kind {
            Some(kind) => format!("{}/{}", kind.path(), self.head.key.id),
            None => link_of(&self.head.key.id),
        }
    }

    /// Its title.
    pub fn title(&self) -> String {
        if self.head.title.trim().is_empty() {
            format!("Untitled {}", self.head.kind())
        } else {
            self.head.title.clone()
        }
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.stix.as_ref().and_then(|stix| stix.text(name))
    }

    /// Its main text, in Markdown.
    pub fn body(&self) -> &str {
        let name = if self.head.kind() == "note" { "content" } else { "description" };
        self.text(name).unwrap_or_default()
    }

    /// Ostrom's extension.
    pub fn ai(&self) -> Option<&Ai> {
        match self.record.as_ref()? {
            Record::Flaw(it) => Some(&it.extensions.ai),
            Record::Technique(it) => Some(&it.extensions.ai),
            Record::Incident(it) => Some(&it.extensions.ai),
            Record::Mitigation(it) => Some(&it.extensions.ai),
            Record::Lesson(it) => Some(&it.extensions.ai),
            Record::Advisory(it) => Some(&it.extensions.ai),
            Record::Sighting(it) => Some(&it.extensions.ai),
            Record::Evaluation(it) => Some(&it.extensions.ai),
            Record::Opinion(it) => Some(&it.extensions.ai),
            Record::Relation(_) => None,
        }
    }

    /// Severity and state.
    pub fn badges(&self) -> Vec<Badge> {
        let mut badges = Vec::new();
        if let Some(stix) = &self.stix {
            let labels = stix.get("labels").and_then(Value::as_array).into_iter().flatten();
            for label in labels.filter_map(Value::as_str) {
                let level = match label {
                    "severity:critical" => ("Critical", 4),
                    "severity:high" => ("High", 3),
                    "severity:medium" => ("Medium", 2),
                    "severity:low" => ("Low", 1),
                    _ => continue,
                };
                badges.push(Badge::level(level.0, level.1));
            }
            if stix.facts().revoked {
                badges.push(Badge::new("Withdrawn", Tone::Bad));
            }
        }
        if let Some(ai) = self.ai() {
            badges.extend(ai.incident_severity.map(severity));
            if let Some(disclosure) = &ai.disclosure {
                badges.push(Badge::new(state_name(disclosure.state.name()), Tone::Info));
            }
        }
        badges
    }

    /// A row of a list. `policy` is the effective one.
    pub fn row(&self, policy: &Policy, names: &Names, now: Timestamp, mixed: bool) -> ListRow {
        ListRow {
            href: self.href(),
            title: self.title(),
            sub: markdown::summary(self.body(), 180),
            kind: self.kind.filter(|_| mixed),
            tlp: Badge::tlp(policy.tlp()),
            badges: self.badges(),
            owner: names.organisation(self.head.owner),
            when: When::from_now(self.head.key.added, now),
        }
    }

    /// Its texts.
    pub fn texts(&self) -> Vec<(String, Html)> {
        let main = match self.kind {
            Some(Kind::Incident) => "What happened",
            Some(Kind::Technique) => "How it works",
            Some(Kind::Mitigation) => "What to do",
            Some(Kind::Lesson) => "What was learned",
            Some(Kind::Evaluation) => "Result",
            _ => "Description",
        };
        vec![(main.to_owned(), markdown::render(self.body()))]
    }

    /// Names and values.
    pub fn facts(&self) -> Facts {
        let mut facts = Facts::new();
        if let Some(ai) = self.ai() {
            for affected in ai.affected.iter().take(20) {
                facts = facts.fact("Affected", Cell::text(affected_text(affected)));
            }
            if let Some(occurred) = ai.occurred {
                facts = facts.fact("Happened", Cell::When(When::at(occurred)));
            }
            if let Some(disclosure) = &ai.disclosure {
                let state = state_name(disclosure.state.name());
                facts = facts.fact(
                    "Disclosure",
                    match disclosure.case {
                        Some(case) => Cell::link(state, format!("/cases/{case}")),
                        None => Cell::text(state),
                    },
                );
            }
            if let Some(evaluation) = &ai.evaluation {
                facts = facts
                    .fact("Suite", Cell::text(&evaluation.suite.name))
                    .fact("Suite's digest", Cell::Code(evaluation.suite.sha256.to_string()))
                    .fact("Bundle's digest", Cell::Code(evaluation.bundle_sha256.to_string()))
                    .fact("Signed by", Cell::Code(evaluation.signer.clone()))
                    .fact("Signed", Cell::When(When::at(evaluation.signed)));
            }
        }
        match &self.record {
            Some(Record::Technique(it)) => {
                facts = facts.maybe("Other names", Some(&it.aliases.join(", ")));
                let phases: Vec<&str> =
                    it.kill_chain_phases.iter().map(|phase| phase.phase_name.as_str()).collect();
                facts = facts.maybe("Phases", Some(&phases.join(", ")));
            }
            Some(Record::Incident(it)) => {
                if let Some(core) = &it.extensions.core {
                    facts = facts
                        .fact("Determination", Cell::text(core.determination.name()))
                        .fact("Investigation", Cell::text(&core.investigation_status))
                        .maybe("Kinds", Some(&core.incident_types.join(", ")));
                }
            }
            Some(Record::Advisory(it)) => {
                if let Some(published) = it.published {
                    facts = facts.fact("Published", Cell::When(When::at(published)));
                }
            }
            _ => {}
        }
        if self.record.is_none()
            && let Some(stix) = &self.stix
        {
            for (name, value) in stix.map().iter().take(60) {
                let shown = match name.as_str() {
                    "type"
                    | "id"
                    | "spec_version"
                    | "description"
                    | "content"
                    | "name"
                    | "object_marking_refs"
                    | "extensions" => continue,
                    _ => match value {
                        Value::String(text) => text.chars().take(500).collect(),
                        other => other.to_string().chars().take(500).collect::<String>(),
                    },
                };
                facts = facts.fact(name, Cell::text(shown));
            }
        }
        facts
    }

    /// What its kind adds: charts.
    pub fn sections(&self) -> Vec<Section> {
        let Some(ai) = self.ai() else { return Vec::new() };
        let mut sections = Vec::new();
        let mut rates: Vec<Proportion> = ai
            .attack_success
            .iter()
            .map(|rate| proportion(rate.technique.clone().unwrap_or_else(|| "Attack".to_owned()), rate))
            .collect();
        rates.extend(
            ai.transfer
                .iter()
                .map(|it| proportion(format!("{} (transfer)", affected_text(&it.to)), &it.success)),
        );
        if !rates.is_empty() {
            let caption = "Attack success rate, 95 % intervals";
            let chart = Chart::proportions(caption, "Attack success rate", "Trials", &rates, false);
            sections.push(Section::new("asr", "How often it works", vec![Block::Chart(chart)]));
        }
        if let Some(evaluation) = &ai.evaluation {
            let rates: Vec<Proportion> =
                evaluation.mechanisms.iter().map(|it| proportion(it.name.clone(), &it.success)).collect();
            if !rates.is_empty() {
                let caption = "Attack success rate by mechanism, 95 % intervals";
                let chart = Chart::proportions(caption, "Attack success rate", "Trials", &rates, false);
                sections.push(Section::new("mechanisms", "Attack success rate", vec![Block::Chart(chart)]));
            }
            let utilities = [
                ("Benign utility", &evaluation.benign_utility),
                ("Utility under attack", &evaluation.utility_under_attack),
            ];
            let rates: Vec<Proportion> = utilities
                .into_iter()
                .filter_map(|(name, rate)| Some(proportion(name.to_owned(), rate.as_ref()?)))
                .collect();
            if !rates.is_empty() {
                let caption = "Share of the user's tasks that were done, 95 % interval";
                let chart = Chart::proportions(caption, "Utility", "Tasks", &rates, true);
                sections.push(Section::new("utility", "Utility", vec![Block::Chart(chart)]));
            }
        }
        sections
    }

    /// Links to elsewhere.
    pub fn references(&self) -> Vec<Link> {
        let Some(record) = &self.record else { return Vec::new() };
        record.common().external_references.iter().take(100).map(reference).collect()
    }
}

fn reference(reference: &Reference) -> Link {
    let text = match (&reference.external_id, &reference.description) {
        (Some(id), _) => format!("{}: {id}", reference.source_name),
        (None, Some(text)) => {
            format!("{}: {}", reference.source_name, text.chars().take(120).collect::<String>())
        }
        (None, None) => reference.url.clone().unwrap_or_else(|| reference.source_name.clone()),
    };
    match &reference.url {
        Some(url) => Link::external(text, url),
        None => Link::text(text),
    }
}

fn proportion(name: String, rate: &Rate) -> Proportion {
    Proportion { name, hits: rate.successes, of: rate.trials, low: rate.low, high: rate.high }
}

/// A model or service in one line.
pub fn affected_text(affected: &Affected) -> String {
    let mut parts: Vec<String> =
        [&affected.vendor, &affected.model, &affected.version].into_iter().flatten().cloned().collect();
    if let Some(endpoint) = &affected.endpoint {
        parts.push(format!("({endpoint})"));
    }
    if let Some(from) = affected.valid_from {
        parts.push(format!("from {}", When::date(from).shown()));
    }
    if let Some(until) = affected.valid_until {
        parts.push(format!("until {}", When::date(until).shown()));
    }
    parts.join(" ")
}

/// An incident's place on the scale.
pub fn severity(severity: Severity) -> Badge {
    let (name, bars) = match severity {
        Severity::Hazard => ("Hazard", 1),
        Severity::SeriousHazard => ("Serious hazard", 2),
        Severity::Incident => ("Incident", 2),
        Severity::SeriousIncident => ("Serious incident", 3),
        Severity::Disaster => ("Disaster", 4),
    };
    Badge::level(name, bars)
}

/// A word of a state, with a capital and without hyphens.
pub fn state_name(word: &str) -> String {
    let text = word.replace('-', " ");
    let mut chars = text.chars();
    let first: String = chars.next().map(|c| c.to_uppercase().collect()).unwrap_or_default();
    format!("{first}{}", chars.as_str())
}

/// An empty table for sightings and opinions.
pub fn voices_table() -> Table {
    Table::new("Sightings and opinions", &["Who", "What", "When", "Note"])
}
