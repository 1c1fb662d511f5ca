//! Duties to report an incident: what is due to whom by when, and the draft of the form. For the pages and the API alike.
//!
//! What happened is in the incident, for everybody who may read it. Who has which duty since when is each organisation's own business: it lies
//! beside the clocks in the store, under a policy for that organisation alone.

use std::collections::BTreeMap;

use ostrom_core::handling::{Handling, Policy, Tlp};
use ostrom_core::{Id, ObjectId, OrgId, Timestamp};
use ostrom_exchange::clock::{Clock, Draft, Duty, Report, Situation, duties};
use ostrom_exchange::incident::Facts;
use ostrom_exchange::service::Deed;
use ostrom_exchange::types::{Ai, Incident};
use ostrom_store::{Due, NewDue, Reading};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::who::Actor;
use crate::{App, Failure};

/// Where an incident keeps its facts, in Ostrom's extension.
pub(crate) const FACTS: &str = "incident_facts";

/// Most reports of an incident that are kept.
const MOST: usize = 200;

/// What lies beside a clock.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Detail {
    /// What the organisation has said.
    pub(crate) situation: Situation,
    /// By which clock.
    pub(crate) clock: Id,
    /// By which rule of it.
    pub(crate) rule: Id,
    /// To whom.
    pub(crate) to: String,
    /// By which provision.
    pub(crate) reference: String,
}

/// What is read of anything that lies beside a clock; and all that lies there once no clock runs any more.
#[derive(Debug, Serialize, Deserialize)]
struct Said {
    situation: Situation,
}

/// What an organisation has said of an incident is read and written anew as a whole: one after the other, or a report that was sent is lost.
static NAMING: Mutex<()> = Mutex::const_new(());

/// A duty whose clock runs.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    /// As the store has it.
    pub(crate) due: Due,
    /// What lies beside it.
    pub(crate) detail: Detail,
}

/// A duty that an address names.
#[derive(Debug)]
pub(crate) struct Named {
    /// What the organisation has said.
    pub(crate) situation: Situation,
    /// The clock.
    pub(crate) clock: Clock,
    /// The duty, as it stands now.
    pub(crate) duty: Duty,
}

/// The name of an organisation's duties in the store. Two organisations may have something under the same id, and neither learns of the other's.
fn subject(id: &ObjectId, organisation: OrgId) -> String {
    format!("{id}/{organisation}")
}

fn clocks() -> Result<Vec<Clock>, Failure> {
    Clock::built_in().map_err(Failure::internal)
}

/// The facts that an incident carries.
pub(crate) fn facts_of(ai: &Ai) -> Option<Facts> {
    serde_json::from_value(ai.other.get(FACTS)?.clone()).ok()
}

/// What is due in a situation.
pub(crate) fn due(situation: &Situation, now: Timestamp) -> Result<Vec<Duty>, Failure> {
    Ok(duties(&clocks()?, situation, now))
}

/// Since when the clock of a duty runs, if it is one of an incident.
pub(crate) fn aware(due: &Due) -> Option<Timestamp> {
    serde_json::from_str::<Detail>(&due.detail).ok().map(|detail| detail.situation.aware)
}

/// The duties of an organisation whose clocks run for an incident.
pub(crate) async fn kept(
    reading: &Reading,
    id: &ObjectId,
    organisation: OrgId,
) -> Result<Vec<Kept>, Failure> {
    let due = reading.due_of(&subject(id, organisation)).await?;
    let read = |due: Due| Some(Kept { detail: serde_json::from_str(&due.detail).ok()?, due });
    Ok(due.into_iter().filter_map(read).collect())
}

/// What an organisation has said of its duties for an incident.
pub(crate) async fn situation(
    reading: &Reading,
    id: &ObjectId,
    organisation: OrgId,
) -> Result<Option<Situation>, Failure> {
    // Beside every clock lies the whole.
    let due = reading.due_of(&subject(id, organisation)).await?;
    Ok(due.iter().find_map(|due| serde_json::from_str::<Said>(&due.detail).ok()).map(|said| said.situation))
}

/// The duty of an organisation that an address names. Everything else is not found.
pub(crate) async fn named(
    reading: &Reading,
    id: &ObjectId,
    organisation: OrgId,
    (clock, rule): (&str, &str),
    now: Timestamp,
) -> Result<Named, Failure> {
    let situation = situation(reading, id, organisation).await?.ok_or(Failure::NotFound)?;
    let is_it = |duty: &Duty| duty.clock.as_str() == clock && duty.rule.as_str() == rule;
    let duty = due(&situation, now)?.into_iter().find(is_it).ok_or(Failure::NotFound)?;
    let clock = clocks()?.into_iter().find(|known| known.id == duty.clock).ok_or(Failure::NotFound)?;
    Ok(Named { situation, clock, duty })
}

impl Named {
    /// The draft of the form, with what the incident says where the form asks the same.
    pub(crate) fn draft(&self, incident: Option<&Incident>) -> Option<Draft> {
        let mut answers = BTreeMap::new();
        if let Some(text) = incident.and_then(|incident| incident.description.as_ref()) {
            for field in ["description", "chain-of-events", "incident"] {
                answers.insert(field.to_owned(), text.clone());
            }
        }
        if let Some(affected) = incident.and_then(|incident| incident.extensions.ai.affected.first()) {
            for field in ["system", "model"] {
                answers.insert(field.to_owned(), crate::ui::affected_text(affected));
            }
        }
        Draft::new(&self.clock, &self.duty, &self.situation, &answers)
    }
}

/// Keeps the clocks of an incident for the actor's organisation alone, in the place of those that it had. Reports that it has said were sent stay sent.
pub(crate) async fn keep(
    app: &App,
    actor: &Actor,
    id: &ObjectId,
    situation: Option<&Situation>,
) -> Result<(), Failure> {
    let organisation = actor.organisation().ok_or(Failure::Unauthenticated)?;
    let now = app.clock().now();
    let _one_at_a_time = NAMING.lock().await;
    let reading = app.store.reading(&actor.reader, now).await?;
    let before = self::situation(&reading, id, organisation).await?;
    if situation.is_none() && before.is_none() {
        return Ok(());
    }
    let situation = situation.map(|situation| {
        let mut situation = situation.clone();
        for report in before.iter().flat_map(|before| &before.reports) {
            if !situation.reports.contains(report) {
                situation.reports.push(report.clone());
            }
        }
        situation
    });
    let what = if situation.is_some() { "duties named" } else { "duties taken back" };
    set(app, actor, organisation, id, situation.as_ref(), "duties", what.to_owned()).await
}

/// Writes down that a report was sent: its clock stops.
pub(crate) async fn sent(
    app: &App,
    actor: &Actor,
    id: &ObjectId,
    named: Named,
    at: Timestamp,
) -> Result<(), Failure> {
    let organisation = actor.organisation().ok_or(Failure::Unauthenticated)?;
    let Named { duty, .. } = named;
    let _one_at_a_time = NAMING.lock().await;
    let reading = app.store.reading(&actor.reader, app.clock().now()).await?;
    let mut situation = self::situation(&reading, id, organisation).await?.ok_or(Failure::NotFound)?;
    // What lies beside every clock stays small.
    if situation.reports.len() >= MOST {
        return Err(Failure::Unprocessable(format!("{MOST} reports of this incident are on record already")));
    }
    situation.reports.push(Report { clock: duty.clock, group: duty.group, at });
    set(app, actor, organisation, id, Some(&situation), "report", format!("sent: {}", duty.what)).await
}

async fn set(
    app: &App,
    actor: &Actor,
    organisation: OrgId,
    id: &ObjectId,
    situation: Option<&Situation>,
    did: &'static str,
    what: String,
) -> Result<(), Failure> {
    let now = app.clock().now();
    let mut new = Vec::new();
    if let Some(situation) = situation {
        let policy = Policy::new([Handling::new(organisation, Tlp::AmberStrict)]);
        let clocks = clocks()?;
        for duty in duties(&clocks, situation, now) {
            let (Some(due), None) = (duty.due, duty.done) else { continue };
            let name = format!("{}, {}", duty.what, act(&clocks, &duty.clock));
            let detail = Detail {
                situation: situation.clone(),
                clock: duty.clock,
                rule: duty.rule,
                to: duty.to,
                reference: duty.reference,
            };
            let detail = serde_json::to_string(&detail).map_err(Failure::internal)?;
            new.push(NewDue { name, due, party: Some(organisation), policy: policy.clone(), detail });
        }
        if new.is_empty() {
            // Nothing is due. What was said and sent is kept all the same: naming duties anew must not begin anew.
            let detail =
                serde_json::to_string(&Said { situation: situation.clone() }).map_err(Failure::internal)?;
            let (name, due) = ("nothing is due".to_owned(), Timestamp::MAX);
            new.push(NewDue { name, due, party: Some(organisation), policy, detail });
        }
    }
    let mut deed = Deed::new(&actor.asker(), did, what, now);
    deed.first = Some(id.to_string());
    deed.count = 1;
    app.exchange.note(deed).await?;
    let mut writing = app.store.writing(now).await?;
    writing.set_due(&subject(id, organisation), &new).await?;
    writing.commit().await?;
    Ok(())
}

/// A clock's name in short.
fn act(clocks: &[Clock], id: &Id) -> String {
    let name = clocks.iter().find(|clock| clock.id == *id).map_or(id.as_str(), |clock| clock.name.as_str());
    name.split(':').next().unwrap_or(name).to_owned()
}
