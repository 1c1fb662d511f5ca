//! From a filled form to a shared thing, and into the store.

use std::collections::BTreeSet;

use ostrom_core::handling::{Embargo, Handling, Party, Policy, Tlp};
use ostrom_core::{CollectionId, ObjectId, OrgId, PersonId, Timestamp, Uuid};
use ostrom_exchange::incident::Disruption;
use ostrom_exchange::service::{self, Refusal, ServiceError, Strictness};
use ostrom_exchange::stix::marking;
use ostrom_exchange::types::{
    Advisory, Affected, Common, Determination, Flaw, Incident, IncidentCore, Lesson, Mitigation, Rate,
    Record, Reference, Relation, Technique, Transfer, TypeError,
};

use super::duties;
use super::visit::Visit;
use crate::sign_in::secret;
use crate::ui::entries::{Entries, Problems};
use crate::ui::harmless_url;
use crate::ui::part::from_field;
use crate::ui::view::Kind;
use crate::{Failure, duty};

/// The longest text of a field, in characters.
const LONGEST: usize = 20_000;
/// The most ids in a field.
const MOST: usize = 100;

/// What a form's marks say.
pub fn handling(entries: &Entries, owner: OrgId, author: PersonId, problems: &mut Problems) -> Handling {
    let tlp = entries.get("tlp").parse::<Tlp>();
    if tlp.is_err() {
        problems.add("tlp", "Choose a mark");
    }
    let mut handling = Handling::new(owner, tlp.unwrap_or(Tlp::Red));
    handling.author = Some(author);
    handling.audience = parties(entries, "to", problems);
    if let Some(text) = entries.some("embargo") {
        match from_field(text) {
            Some(until) => {
                handling.embargo = Some(Embargo { until, parties: parties(entries, "embargo-to", problems) });
            }
            None => problems.add("embargo", "Write a date and time, such as 2026-12-24T12:00"),
        }
    }
    handling
}

fn parties(entries: &Entries, name: &str, problems: &mut Problems) -> BTreeSet<Party> {
    let mut found = BTreeSet::new();
    for text in entries.all(name).filter(|text| !text.is_empty()) {
        let party = text.split_once(':').and_then(|(kind, id)| match kind {
            "organisation" => id.parse().ok().map(Party::Organisation),
            "person" => id.parse().ok().map(Party::Person),
            "group" => id.parse().ok().map(Party::Group),
            _ => None,
        });
        match party {
            Some(party) => {
                found.insert(party);
            }
            None => problems.add(name.to_owned(), "This is no recipient: choose from the list"),
        }
    }
    found
}

fn text(
    entries: &Entries,
    name: &str,
    what: &str,
    most: usize,
    required: bool,
    problems: &mut Problems,
) -> String {
    let text = entries.get(name).to_owned();
    if required && text.is_empty() {
        problems.add(name, what.to_owned());
    }
    if text.chars().count() > most {
        problems.add(name, format!("Use at most {most} characters"));
    }
    if text.contains('\0') {
        problems.add(name, "Leave out the character NUL");
    }
    text
}

fn time(entries: &Entries, name: &str, problems: &mut Problems) -> Option<Timestamp> {
    let text = entries.some(name)?;
    let time = from_field(text);
    if time.is_none() {
        problems.add(name, "Write a date and time, such as 2026-11-22T14:05");
    }
    time
}

fn ids(entries: &Entries, name: &str, problems: &mut Problems) -> Vec<ObjectId> {
    let mut found = Vec::new();
    for line in entries.get(name).split_whitespace().take(MOST) {
        // People paste addresses: the id is their last part.
        let id = line.trim_end_matches('/').rsplit('/').next().unwrap_or(line);
        match id.parse() {
            Ok(id) => found.push(id),
            Err(_) => problems.add(
                name,
                format!(
                    "{} is not an id such as vulnerability--… or the address of a page here",
                    line.chars().take(80).collect::<String>()
                ),
            ),
        }
    }
    found
}

fn number(entries: &Entries, name: &str, problems: &mut Problems) -> Option<u64> {
    let text = entries.some(name)?;
    let number = text.parse().ok();
    if number.is_none() {
        problems.add(name, "Write a whole number");
    }
    number
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

/// The marks of what is saved.
#[derive(Debug, Clone)]
pub enum Marks {
    /// Those of the form.
    New(Box<Handling>),
    /// Those that it had, which the form cannot show: they stay as they are.
    Kept(Policy),
}

/// Whether the form's fields can say all that the thing's marks say: then the form shows them, and what it sends takes their place.
pub fn fits_the_form(record: &Record, own: &Policy) -> bool {
    let mut handlings = own.handlings();
    let (Some(only), None) = (handlings.next(), handlings.next()) else { return false };
    let refs: BTreeSet<&ObjectId> = record.common().object_marking_refs.iter().collect();
    let same = || marking::marks(only).is_ok_and(|marks| marks.refs.iter().collect::<BTreeSet<_>>() == refs);
    only.iep.is_none() && only.refused.is_none() && (refs.is_empty() || same())
}

/// Whether parts of the thing have marks of their own, which say in which place they stand.
pub fn has_granular_marks(record: &Record) -> bool {
    record.common().other.contains_key("granular_markings")
}

/// What a form makes: the thing, and relationships from it.
pub struct Draft {
    /// The thing.
    pub record: Record,
    /// Relationships.
    pub relations: Vec<Record>,
}

/// Makes a thing of a form. `before`: the version that it follows.
pub fn draft(
    kind: Kind,
    entries: &Entries,
    owner: OrgId,
    now: Timestamp,
    before: Option<&Record>,
    problems: &mut Problems,
) -> Result<Draft, Failure> {
    let title = text(entries, "title", "Give a title", 300, true, problems);
    let body = text(entries, "description", "Write what it is", LONGEST, true, problems);
    let common = |name: &str| -> Result<Common, Failure> {
        match before {
            Some(record) => Ok(record.common().clone().next_version(now)),
            None => Common::new(name, Uuid::from_bytes(secret::uuid()?), now, Some(owner))
                .map_err(Failure::internal),
        }
    };
    let mut relations = Vec::new();
    let record = match kind {
        Kind::Flaw => Record::Flaw(flaw(entries, common("vulnerability")?, before, &title, &body, problems)),
        Kind::Incident => {
            Record::Incident(incident(entries, common("incident")?, before, &title, &body, problems))
        }
        Kind::Technique => {
            let mut it = match before {
                Some(Record::Technique(it)) => {
                    Technique { common: common("attack-pattern")?, name: title, ..it.clone() }
                }
                _ => Technique::new(common("attack-pattern")?, &title),
            };
            it.description = some(&body);
            it.aliases = entries
                .get("aliases")
                .split(',')
                .map(str::trim)
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect();
            let known = |reference: &Reference| {
                reference.source_name == "mitre-atlas"
                    && reference.external_id.as_deref() == entries.some("atlas")
            };
            if !it.common.external_references.iter().any(known) {
                it.common.external_references.retain(|reference| reference.source_name != "mitre-atlas");
                let atlas = entries.some("atlas").map(|atlas| Reference::id("mitre-atlas", atlas));
                it.common.external_references.extend(atlas);
            }
            Record::Technique(it)
        }
        Kind::Mitigation => {
            let mut it = match before {
                Some(Record::Mitigation(it)) => {
                    Mitigation { common: common("course-of-action")?, name: title, ..it.clone() }
                }
                _ => Mitigation::new(common("course-of-action")?, &title),
            };
            it.description = some(&body);
            for target in ids(entries, "mitigates", problems) {
                let common = Common::new("relationship", Uuid::from_bytes(secret::uuid()?), now, Some(owner))
                    .map_err(Failure::internal)?;
                relations.push(Record::Relation(Relation::new(
                    common,
                    it.common.id().clone(),
                    "mitigates",
                    target,
                )));
            }
            Record::Mitigation(it)
        }
        Kind::Lesson => {
            let about = ids(entries, "about", problems);
            if about.is_empty() {
                problems.add("about", "Name at least one thing that it is about");
            }
            let mut it = Lesson::new(common("note")?, &title, &body, about);
            if let Some(Record::Lesson(before)) = before {
                it.authors.clone_from(&before.authors);
                it.extensions = before.extensions.clone();
            }
            Record::Lesson(it)
        }
        Kind::Advisory => {
            let about = ids(entries, "about", problems);
            if about.is_empty() {
                problems.add("about", "Name at least one thing that it is about");
            }
            let mut it = match before {
                Some(Record::Advisory(it)) => {
                    Advisory { common: common("grouping")?, name: title, object_refs: about, ..it.clone() }
                }
                _ => Advisory::draft(common("grouping")?, &title, about),
            };
            it.description = some(&body);
            Record::Advisory(it)
        }
        // A result is what a signed bundle says, and nothing that somebody fills in.
        Kind::Evaluation => return Err(Failure::NotFound),
    };
    Ok(Draft { record, relations })
}

fn flaw(
    entries: &Entries,
    common: Common,
    before: Option<&Record>,
    title: &str,
    body: &str,
    problems: &mut Problems,
) -> Flaw {
    let mut it = match before {
        Some(Record::Flaw(it)) => Flaw { common, name: title.to_owned(), ..it.clone() },
        _ => Flaw::new(common, title),
    };
    let steps = text(entries, "reproduce", "", LONGEST, false, problems);
    it.description =
        Some(if steps.is_empty() { body.to_owned() } else { format!("{body}\n\n## {STEPS}\n\n{steps}") });
    let short = |name: &str, problems: &mut Problems| {
        some(&text(entries, name, "Name the model or system", 300, name == "model", problems))
    };
    // What the form does not show stays as it was.
    let kept = it.extensions.ai.affected.first().cloned().unwrap_or_default();
    let affected = Affected {
        vendor: short("vendor", problems),
        model: short("model", problems),
        version: short("model-version", problems),
        endpoint: short("endpoint", problems),
        valid_from: time(entries, "seen-from", problems),
        valid_until: time(entries, "seen-until", problems),
        ..kept
    };
    if matches!((affected.valid_from, affected.valid_until), (Some(from), Some(until)) if from > until) {
        problems.add("seen-until", "This is earlier than when it was first seen");
    }
    let ai = &mut it.extensions.ai;
    ai.affected = vec![affected];
    match (number(entries, "trials", problems), number(entries, "successes", problems)) {
        (None, None) => {}
        (Some(trials), Some(successes)) => match Rate::wilson(successes, trials) {
            Ok(rate) => ai.attack_success = vec![rate],
            Err(_) => problems.add("successes", "It cannot work more often than it was tried"),
        },
        (Some(_), None) => problems.add("successes", "Say how often it worked, too"),
        (None, Some(_)) => problems.add("trials", "Say how often it was tried, too"),
    }
    ai.transfer = transfers(entries, problems);
    it.common.labels.retain(|label| !label.starts_with("severity:"));
    match entries.get("severity") {
        level @ ("critical" | "high" | "medium" | "low") => {
            it.common.labels.push(format!("severity:{level}"))
        }
        _ => problems.add("severity", "Choose how bad it is"),
    }
    // References without an address, such as CVE's, are not in the form: they stay.
    let before = std::mem::take(&mut it.common.external_references);
    let (with_url, mut references): (Vec<_>, Vec<_>) =
        before.into_iter().partition(|reference| reference.url.is_some());
    for line in entries.get("references").lines().map(str::trim).filter(|line| !line.is_empty()).take(MOST) {
        // What an address may not hold unencoded would make it another one for another reader.
        let odd = |c: char| matches!(c, '"' | '<' | '>' | '`' | '{' | '}' | '|' | '^');
        match harmless_url(line).filter(|url| !url.contains(odd)) {
            Some(url) => {
                let known = with_url.iter().find(|reference| reference.url.as_deref() == Some(url));
                references.push(known.cloned().unwrap_or_else(|| Reference::url("report", url)));
            }
            None => problems.add("references", "Write one https address in a line"),
        }
    }
    it.common.external_references = references;
    it
}

/// `Fennec 2 Chat: 31 of 120`, one in a line.
fn transfers(entries: &Entries, problems: &mut Problems) -> Vec<Transfer> {
    let mut found = Vec::new();
    for line in entries.get("transfer").lines().map(str::trim).filter(|line| !line.is_empty()).take(MOST) {
        let read = line.rsplit_once(':').and_then(|(model, rate)| {
            let (successes, trials) = rate.split_once("of")?;
            let rate = Rate::wilson(successes.trim().parse().ok()?, trials.trim().parse().ok()?).ok()?;
            let model =
                Some(model.trim()).filter(|model| !model.is_empty() && model.chars().count() <= 300)?;
            Some(Transfer { to: Affected::model(model), success: rate })
        });
        match read {
            Some(transfer) => found.push(transfer),
            None => problems.add("transfer", "Write one model in a line, such as Fennec 2 Chat: 31 of 120"),
        }
    }
    found
}

/// The heading under which steps to reproduce stand in a description, since STIX has no place of its own for them.
pub const STEPS: &str = "Steps to reproduce";

fn incident(
    entries: &Entries,
    common: Common,
    before: Option<&Record>,
    title: &str,
    body: &str,
    problems: &mut Problems,
) -> Incident {
    let mut it = match before {
        Some(Record::Incident(it)) => Incident { common, name: title.to_owned(), ..it.clone() },
        _ => Incident::new(common, title),
    };
    it.description = some(body);
    let facts = duties::facts(entries, problems);
    let ai = &mut it.extensions.ai;
    ai.incident_severity = duties::severity(&facts);
    if let Ok(facts) = serde_json::to_value(&facts) {
        ai.other.insert(duty::FACTS.to_owned(), facts);
    }
    ai.occurred = time(entries, "occurred", problems);
    let system = entries.some("system");
    let provider = entries.some("provider");
    if system.is_some() || provider.is_some() {
        ai.affected = vec![Affected {
            vendor: provider.map(str::to_owned),
            model: system.map(str::to_owned),
            ..Affected::default()
        }];
    }
    let mut core =
        it.extensions.core.take().unwrap_or_else(|| IncidentCore::new(Determination::Suspected, "new"));
    core.incident_types = facts.effects.iter().map(|effect| effect.harm.name().to_owned()).collect();
    core.incident_types.dedup();
    it.extensions.core = Some(core);
    it
}

/// The form as it was, for editing.
pub fn entries_of(record: &Record, policy: &Policy) -> Entries {
    let mut entries = Entries::default();
    let field = |time: Option<Timestamp>| time.map(crate::ui::part::field_value).unwrap_or_default();
    match record {
        Record::Flaw(it) => {
            entries.push("title", &*it.name);
            let whole = it.description.clone().unwrap_or_default();
            let (body, steps) = whole.split_once(&format!("\n\n## {STEPS}\n\n")).unwrap_or((&whole, ""));
            entries.push("description", body);
            entries.push("reproduce", steps);
            if let Some(affected) = it.extensions.ai.affected.first() {
                entries.push("vendor", affected.vendor.clone().unwrap_or_default());
                entries.push("model", affected.model.clone().unwrap_or_default());
                entries.push("model-version", affected.version.clone().unwrap_or_default());
                entries.push("endpoint", affected.endpoint.clone().unwrap_or_default());
                entries.push("seen-from", field(affected.valid_from));
                entries.push("seen-until", field(affected.valid_until));
            }
            if let Some(rate) = it.extensions.ai.attack_success.first() {
                entries.push("trials", rate.trials.to_string());
                entries.push("successes", rate.successes.to_string());
            }
            let lines: Vec<String> = it
                .extensions
                .ai
                .transfer
                .iter()
                .filter_map(|it| {
                    Some(format!(
                        "{}: {} of {}",
                        it.to.model.as_ref()?,
                        it.success.successes,
                        it.success.trials
                    ))
                })
                .collect();
            entries.push("transfer", lines.join("\n"));
            if let Some(level) = it.common.labels.iter().find_map(|label| label.strip_prefix("severity:")) {
                entries.push("severity", level);
            }
            let urls: Vec<&str> =
                it.common.external_references.iter().filter_map(|it| it.url.as_deref()).collect();
            entries.push("references", urls.join("\n"));
        }
        Record::Incident(it) => {
            entries.push("title", &*it.name);
            entries.push("description", it.description.clone().unwrap_or_default());
            let ai = &it.extensions.ai;
            entries.push("occurred", field(ai.occurred));
            if let Some(affected) = ai.affected.first() {
                entries.push("system", affected.model.clone().unwrap_or_default());
                entries.push("provider", affected.vendor.clone().unwrap_or_default());
            }
            let facts = duty::facts_of(ai);
            for effect in facts.iter().flat_map(|facts| &facts.effects) {
                entries.push(if effect.actual { "happened" } else { "possible" }, effect.harm.name());
                if effect.serious {
                    entries.push("serious", effect.harm.name());
                }
                if effect.irreversible {
                    entries.push("irreversible", "yes");
                }
            }
            if let Some(facts) = facts {
                let society = match facts.society {
                    Disruption::None => "none",
                    Disruption::Potential => "potential",
                    Disruption::Actual => "actual",
                };
                entries.push("society", society);
                for (name, on) in
                    [("breach", facts.cybersecurity_breach), ("widespread", facts.widespread_infringement)]
                {
                    if on {
                        entries.push(name, "yes");
                    }
                }
            }
        }
        Record::Technique(it) => {
            entries.push("title", &*it.name);
            entries.push("description", it.description.clone().unwrap_or_default());
            entries.push("aliases", it.aliases.join(", "));
            let atlas = it.common.external_references.iter().find(|it| it.source_name == "mitre-atlas");
            entries.push("atlas", atlas.and_then(|it| it.external_id.clone()).unwrap_or_default());
        }
        Record::Mitigation(it) => {
            entries.push("title", &*it.name);
            entries.push("description", it.description.clone().unwrap_or_default());
        }
        Record::Advisory(it) => {
            entries.push("title", &*it.name);
            entries.push("description", it.description.clone().unwrap_or_default());
            let about: Vec<&str> = it.object_refs.iter().map(ObjectId::as_str).collect();
            entries.push("about", about.join("\n"));
        }
        Record::Lesson(it) => {
            entries.push("title", it.title.clone().unwrap_or_default());
            entries.push("description", &*it.content);
            let about: Vec<&str> = it.object_refs.iter().map(ObjectId::as_str).collect();
            entries.push("about", about.join("\n"));
        }
        _ => {}
    }
    if let Some(handling) = policy.handlings().next() {
        entries.push("tlp", handling.tlp.name());
        let name = |party: &Party| match party {
            Party::Organisation(id) => format!("organisation:{id}"),
            Party::Person(id) => format!("person:{id}"),
            Party::Group(id) => format!("group:{id}"),
        };
        for party in &handling.audience {
            entries.push("to", name(party));
        }
        if let Some(embargo) = &handling.embargo {
            entries.push("embargo", field(Some(embargo.until)));
            for party in &embargo.parties {
                entries.push("embargo-to", name(party));
            }
        }
    }
    entries
}

/// What a record that will not do says about which field.
pub fn wrong(error: &TypeError, problems: &mut Problems) {
    problems.add("", format!("It cannot be kept like this: {error}"));
}

/// Writes things with the same marks into one collection: the first is the thing itself. What the exchange refuses is told.
pub async fn keep(
    visit: &Visit,
    collection: CollectionId,
    marks: &Marks,
    records: Vec<Record>,
) -> Result<(), Failure> {
    let found = visit.reading().await?.collection(&collection.to_string()).await?;
    let collection = found.ok_or(Failure::NotFound)?;
    let actor = visit.actor.asker();
    let refs = records.first().map(|first| first.common().object_marking_refs.clone()).unwrap_or_default();
    for mut record in records {
        let exchange = &visit.app.exchange;
        let outcomes = match marks {
            Marks::New(handling) => {
                let draft = service::Draft { record, handling: Handling::clone(handling), along: Vec::new() };
                exchange.write(&actor, &collection, draft, visit.now).await
            }
            Marks::Kept(_) => {
                record.common_mut().object_marking_refs.clone_from(&refs);
                let object = record.write().map_err(|error| failed(error.into()))?;
                exchange.take(&actor, &collection, vec![object.into()], Strictness::Strict, visit.now).await
            }
        }
        .map_err(failed)?;
        for outcome in outcomes {
            outcome.result.map_err(|refusal| match refusal {
                Refusal::Conflict => Failure::Conflict(
                    "somebody has changed it in the meantime: load the page again".to_owned(),
                ),
                other => Failure::Unprocessable(other.to_string()),
            })?;
        }
    }
    Ok(())
}

/// What the exchange says, as the node tells it.
pub fn failed(error: ServiceError) -> Failure {
    match error {
        ServiceError::NotFound(_) => Failure::NotFound,
        ServiceError::Forbidden(why) => Failure::Forbidden(why),
        ServiceError::Read(error) => Failure::Unprocessable(error.to_string()),
        ServiceError::Type(error) => Failure::Unprocessable(error.to_string()),
        ServiceError::Marks(error) => Failure::Unprocessable(error.to_string()),
        ServiceError::Store(error) => error.into(),
        other => Failure::internal(other),
    }
}
