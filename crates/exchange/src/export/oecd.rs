//! Incident reports with the fields of the OECD's common reporting framework: OECD, *Towards a common reporting framework for AI incidents*,
//! OECD Artificial Intelligence Papers 34 (2025). The framework names 29 criteria, seven of them mandatory, and no file format: this
//! one is ours.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Export, ExportError, Ledger, export};
use crate::incident::{Disruption, Facts};
use crate::types::{Incident, Shared as _};

/// A criterion of the framework.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Criterion {
    /// Its number, 1 to 29.
    pub number: u8,
    /// What is asked.
    pub name: &'static str,
    /// Whether a report must have it.
    pub mandatory: bool,
}

const fn criterion(number: u8, name: &'static str) -> Criterion {
    Criterion { number, name, mandatory: matches!(number, 1 | 2 | 3 | 4 | 7 | 10 | 11) }
}

/// All criteria, in the framework's order.
pub const CRITERIA: [Criterion; 29] = [
    criterion(1, "Title"),
    criterion(2, "Description of the incident"),
    criterion(3, "How the AI system relates to the incident"),
    criterion(4, "Submitter information"),
    criterion(5, "Date of first known occurrence"),
    criterion(6, "Countries where the incident occurred"),
    criterion(7, "Supporting materials"),
    criterion(8, "Name and version of the AI system or product"),
    criterion(9, "Organisations that developed and deployed it"),
    criterion(10, "Severity"),
    criterion(11, "Type of harm"),
    criterion(12, "Quantification of harm"),
    criterion(13, "Unintended or wrongful use"),
    criterion(14, "Affected stakeholders"),
    criterion(15, "Impacts on human or fundamental rights"),
    criterion(16, "Associated AI Principles"),
    criterion(17, "Industries"),
    criterion(18, "Business functions"),
    criterion(19, "Critical functions and infrastructure"),
    criterion(20, "Breadth of deployment"),
    criterion(21, "Link to the training data"),
    criterion(22, "Link to the AI model"),
    criterion(23, "Usage rights"),
    criterion(24, "Interaction of several AI systems"),
    criterion(25, "Tasks of the AI system"),
    criterion(26, "Maximum level of autonomy"),
    criterion(27, "Actions taken"),
    criterion(28, "Steps to reproduce"),
    criterion(29, "Additional information"),
];

const WHY: &[(&str, &str)] = &[
    ("object_marking_refs", "the framework has no marks: whoever sends the report decides who gets it"),
    ("confidence", "the framework has no criterion for how sure one is"),
    ("ai.disclosure", "the framework is not about disclosure"),
    ("ai.attack_success", "the framework has no criterion for attack success rates"),
    ("ai.transfer", "the framework has no criterion for transfer"),
    ("ai.incident_facts", "the framework has no criterion for it"),
];

/// Where an incident keeps its facts, in Ostrom's extension.
const FACTS: &str = "incident_facts";

/// What a report is made of.
#[derive(Debug, Clone)]
pub struct IncidentReport<'a> {
    /// The incident.
    pub incident: &'a Incident,
    /// Its harms, if somebody stated them elsewhere than in the incident itself (`incident_facts`).
    pub facts: Option<&'a Facts>,
    /// Answers by the numbers of the criteria, in words. They go before what follows from the incident.
    pub answers: &'a BTreeMap<u8, String>,
}

/// The report.
///
/// # Errors
/// If an answer is to a criterion that does not exist.
pub fn oecd(report: &IncidentReport<'_>) -> Result<Export, ExportError> {
    if let Some(number) = report.answers.keys().find(|number| !(1..=29).contains(*number)) {
        let why = format!("there is no criterion {number}: they are numbered 1 to 29");
        return Err(ExportError::DoesNotFit { form: "the common reporting framework", why });
    }
    let incident = report.incident;
    let stated = stated(incident);
    let report = &IncidentReport { facts: report.facts.or(stated.as_ref()), ..report.clone() };
    let id = incident.common().id().to_string();
    let mut ledger = Ledger::new(WHY);
    ledger.add(&id, incident);
    ledger.carried_all(
        &id,
        &[
            "name",
            "description",
            "created",
            "ai.occurred",
            "ai.incident_severity",
            "ai.affected.vendor",
            "ai.affected.model",
            "ai.affected.version",
            "ai.affected.endpoint",
            "external_references",
        ],
    );
    if stated.is_some() {
        let told = ["effects.harm", "effects.actual", "effects.serious", "effects.persons", "society"];
        told.iter().for_each(|fact| ledger.carried(&id, &format!("ai.{FACTS}.{fact}")));
    }
    let known = known(report);
    let answer = |number: u8| {
        let given = report.answers.get(&number).filter(|answer| !answer.trim().is_empty());
        given.map(|answer| json!(answer)).or_else(|| known.get(&number).cloned())
    };
    let mut missing = Vec::new();
    let criteria: Vec<Value> = CRITERIA
        .iter()
        .map(|criterion| {
            let found = answer(criterion.number);
            if found.is_none() && criterion.mandatory {
                missing.push(format!("criterion {} is mandatory: {}", criterion.number, criterion.name));
            }
            json!({
                "number": criterion.number,
                "criterion": criterion.name,
                "mandatory": criterion.mandatory,
                "answer": found,
            })
        })
        .collect();
    let value = json!({
        "framework": "OECD common reporting framework for AI incidents (2025)",
        "incident": id,
        "version": incident.common().modified,
        "criteria": criteria,
    });
    ledger.carried(&id, "modified");
    export(format!("oecd-{}.json", incident.common().id().uuid()), &value, ledger, missing)
}

/// The facts that stand in the incident itself.
fn stated(incident: &Incident) -> Option<Facts> {
    serde_json::from_value(incident.extensions.ai.other.get(FACTS)?.clone()).ok()
}

/// What follows from the incident and its facts.
fn known(report: &IncidentReport<'_>) -> BTreeMap<u8, Value> {
    let incident = report.incident;
    let ai = &incident.extensions.ai;
    let mut known = BTreeMap::from([(1, json!(incident.name))]);
    let mut put = |number: u8, value: Option<Value>| drop(value.map(|value| known.insert(number, value)));
    put(2, incident.description.as_ref().map(|text| json!(text)));
    put(5, ai.occurred.map(|time| json!(time)));
    let references = &incident.common().external_references;
    put(7, (!references.is_empty()).then(|| json!(references)));
    let systems: Vec<Value> = ai
        .affected
        .iter()
        .map(|one| json!({ "name": one.model, "version": one.version, "endpoint": one.endpoint }))
        .collect();
    put(8, (!systems.is_empty()).then(|| json!(systems)));
    let mut vendors: Vec<&str> = ai.affected.iter().filter_map(|one| one.vendor.as_deref()).collect();
    vendors.dedup();
    put(9, (!vendors.is_empty()).then(|| json!(vendors)));
    let classified = report.facts.and_then(Facts::classify).map(|found| found.class.name());
    put(
        10,
        ai.incident_severity
            .map(|severity| json!(severity.name()))
            .or_else(|| classified.map(|name| json!(name))),
    );
    let Some(facts) = report.facts else { return known };
    let mut harms: Vec<Value> = facts
        .effects
        .iter()
        .map(|effect| json!({ "harm": effect.harm, "actual": effect.actual, "serious": effect.is_serious() }))
        .collect();
    if facts.society != Disruption::None {
        harms.push(
            json!({ "harm": "society", "actual": facts.society == Disruption::Actual, "serious": true }),
        );
    }
    let persons: Vec<Value> = facts
        .effects
        .iter()
        .filter_map(|effect| Some(json!({ "harm": effect.harm, "persons": effect.persons? })))
        .collect();
    let infrastructure =
        facts.effects.iter().any(|effect| effect.harm == crate::incident::Harm::CriticalInfrastructure);
    let mut put = |number: u8, value: Option<Value>| drop(value.map(|value| known.insert(number, value)));
    put(11, (!harms.is_empty()).then(|| json!(harms)));
    put(12, (!persons.is_empty()).then(|| json!(persons)));
    put(19, infrastructure.then(|| json!("critical infrastructure is affected")));
    known
}
