//! Cases with all that follows from what happens in them: deeds in the audit log, and the opening of the advisory when one is published.
//!
//! A case's publication and the opening of its advisory are two writes. Who is killed between them makes up for it: [`catch_up`] looks at
//! published cases whose advisory was not opened, again and again until it is. That it was is kept, so that an advisory that its owner marks
//! more strictly later stays so.

use std::collections::BTreeMap;

use ostrom_core::handling::{Handling, Tlp};
use ostrom_core::{CaseId, ObjectId, Timestamp};
use ostrom_exchange::disclosure::{Event, NewCase, View, What};
use ostrom_exchange::service::{Actor as Asker, Draft};
use ostrom_exchange::stix::{Limits, Object};
use ostrom_exchange::types::Record;
use ostrom_store::Object as Kept;

use crate::who::Actor;
use crate::{App, Failure, note};

/// Opens a case.
pub(crate) async fn begin(app: &App, actor: &Actor, new: &NewCase) -> Result<CaseId, Failure> {
    let id = app.cases.open(&actor.reader, new, app.clock().now()).await?;
    note::case(app, actor, id, "opened").await?;
    Ok(id)
}

/// Lets the actor do something in a case, with what follows from it.
pub(crate) async fn act(app: &App, actor: &Actor, case: CaseId, what: &What) -> Result<View, Failure> {
    own_advisory(app, actor, what).await?;
    let view = app.cases.act(&actor.reader, case, what, app.clock().now()).await?;
    note::case(app, actor, case, what.name()).await?;
    if let What::Published { advisory: Some(advisory) } = what {
        opened(app, case, advisory).await;
    }
    Ok(view)
}

/// Publishing a case opens its advisory to everybody, in its owner's name. So only its owner may choose it; whether another's is
/// there at all is not said.
async fn own_advisory(app: &App, actor: &Actor, what: &What) -> Result<(), Failure> {
    let advisory = match what {
        What::AdvisoryChosen { advisory } => Some(advisory),
        What::Published { advisory } => advisory.as_ref(),
        _ => None,
    };
    let Some(advisory) = advisory else { return Ok(()) };
    let reading = app.store.reading(&actor.reader, app.clock().now()).await?;
    let owner = reading.get(advisory, None).await?.map(|kept| kept.head.owner);
    if owner.is_none() || owner != actor.organisation() {
        return Err(Failure::Unprocessable("choose an advisory of your own organisation".to_owned()));
    }
    // Who chooses it sees it; what is for single persons only, the node could not open.
    match owned(app, advisory).await {
        Ok(_) => Ok(()),
        Err(Failure::NotFound) => Err(Failure::Unprocessable(
            "mark the advisory so that all of your organisation can read it, then choose it".to_owned(),
        )),
        Err(failure) => Err(failure),
    }
}

/// Lets the clock do its part in all cases, with what follows from it.
pub(crate) async fn tick(app: &App) -> Result<(), String> {
    let ticked = app.cases.tick(app.clock().now()).await.map_err(|error| error.to_string())?;
    for ticked in ticked {
        for event in ticked.events {
            if let What::Published { advisory: Some(advisory) } = event.what {
                opened(app, ticked.case, &advisory).await;
            }
        }
    }
    Ok(())
}

/// Opens the advisories of published cases that nobody has opened yet.
///
/// Cases that have not changed since they were looked at are left alone; `looked` remembers them.
pub(crate) async fn catch_up(app: &App, looked: &mut BTreeMap<CaseId, Timestamp>) -> Result<(), String> {
    let text = |error: ostrom_store::Error| error.to_string();
    let cases = app.store.custody().cases().await.map_err(text)?;
    looked.retain(|case, _| cases.binary_search_by_key(case, |(case, _)| *case).is_ok());
    for (case, changed) in cases {
        if looked.get(&case) == Some(&changed) {
            continue;
        }
        let done = match published(app, case).await.map_err(text)? {
            Some(advisory) if app.store.setting(&opened_setting(case)).await.map_err(text)?.is_none() => {
                opened(app, case, &advisory).await
            }
            _ => true,
        };
        if done {
            looked.insert(case, changed);
        }
    }
    Ok(())
}

/// The advisory with which the case was published, if it was.
async fn published(app: &App, case: CaseId) -> Result<Option<ObjectId>, ostrom_store::Error> {
    let events = app.store.custody().case_events(case).await?;
    // Only messages and names come after a publication.
    Ok(events.iter().rev().find_map(|kept| match Event::from_slice(kept.body.as_bytes()).ok()?.what {
        What::Published { advisory } => advisory,
        _ => None,
    }))
}

/// The setting that keeps that a case's advisory was opened.
fn opened_setting(case: CaseId) -> String {
    format!("advisory-opened/{case}")
}

/// The case is published whatever happens here; what cannot be opened now is tried again, and the log says so. Gives whether it was opened.
async fn opened(app: &App, case: CaseId, advisory: &ObjectId) -> bool {
    match open_once(app, case, advisory).await {
        Ok(()) => true,
        Err(failure) => {
            Failure::Internal(format!(
                "the advisory {advisory} of the published case {case} stays as it is marked until it can be opened: {failure:?}"
            ))
            .log();
            false
        }
    }
}

/// Opens it, unless everybody can read it already, and keeps that it was done.
async fn open_once(app: &App, case: CaseId, advisory: &ObjectId) -> Result<(), Failure> {
    let now = app.clock().now();
    let (_, chosen) = owned(app, advisory).await?;
    // A draft becomes another object when it is published.
    let becomes = match advisory.kind() {
        "grouping" => ObjectId::new("report", advisory.uuid()).map_err(Failure::internal)?,
        _ => advisory.clone(),
    };
    let is_done = match owned(app, &becomes).await {
        Ok((_, last)) => last.head.owner == chosen.head.owner && is_open(&last),
        Err(Failure::NotFound) => false,
        Err(failure) => return Err(failure),
    };
    if !is_done {
        open(app, advisory).await?;
    }
    let mut writing = app.store.writing(now).await?;
    writing.set_setting(&opened_setting(case), Some(advisory.as_str())).await?;
    writing.commit().await?;
    Ok(())
}

/// Whether an advisory is published and its own marks open it to everybody. What it refers to may still keep people from it.
fn is_open(kept: &Kept) -> bool {
    let is_clear = |handling: &Handling| {
        handling.tlp == Tlp::Clear && handling.audience.is_empty() && handling.embargo.is_none()
    };
    if !kept.own.handlings().all(is_clear) {
        return false;
    }
    // What is no advisory of ours has no drafts.
    let record = Object::read(&kept.body, &Limits::default()).ok().and_then(|it| Record::parse(&it).ok());
    match record {
        Some(Record::Advisory(advisory)) => advisory.published.is_some(),
        _ => true,
    }
}

/// A new version of the advisory, published, for everybody. The owner of the advisory chose it for the case and so for this.
async fn open(app: &App, id: &ObjectId) -> Result<(), Failure> {
    let (asker, kept) = owned(app, id).await?;
    let now = app.clock().now();
    let wrong = |error: &dyn std::fmt::Display| Failure::internal(error);
    let object = Object::read(&kept.body, &Limits::default()).map_err(|error| wrong(&error))?;
    let record = match Record::parse(&object).map_err(|error| wrong(&error))? {
        Record::Advisory(advisory) => {
            Record::Advisory(advisory.publish(now.to_millis()).map_err(|error| wrong(&error))?)
        }
        mut other => {
            let next = other.common().clone().next_version(now.to_millis());
            *other.common_mut() = next;
            other
        }
    };
    let reading = app.store.reading(&asker.reader, now).await?;
    let collections = reading.collections().await?;
    let collection = collections.into_iter().find(|collection| collection.id == kept.head.key.collection);
    drop(reading);
    let collection = collection.ok_or(Failure::NotFound)?;
    let handling = Handling::new(kept.head.owner, Tlp::Clear);
    let outcomes =
        app.exchange.write(&asker, &collection, Draft { record, handling, along: Vec::new() }, now).await?;
    for outcome in outcomes {
        outcome.result.map_err(Failure::internal)?;
    }
    Ok(())
}

/// The object as its owner sees it, and the node in the owner's place.
async fn owned(app: &App, id: &ObjectId) -> Result<(Asker, Kept), Failure> {
    let now = app.clock().now();
    for organisation in app.store.organisations().await? {
        let asker = Asker::node(organisation.id);
        let found = app.store.reading(&asker.reader, now).await?.get(id, None).await?;
        if let Some(kept) = found.filter(|kept| kept.head.owner == organisation.id) {
            return Ok((asker, kept));
        }
    }
    Err(Failure::NotFound)
}
