//! What follows from a case's publication: its advisory is opened to everybody.

use ostrom_core::handling::{Handling, Tlp};
use ostrom_core::{CaseId, ObjectId};
use ostrom_exchange::disclosure::{View, What};
use ostrom_exchange::service::{Actor as Asker, Draft};
use ostrom_exchange::stix::{Limits, Object};
use ostrom_exchange::types::Record;
use ostrom_store::Object as Kept;

use crate::who::Actor;
use crate::{App, Failure};

/// Lets the actor do something in a case, with what follows from it.
pub(crate) async fn act(app: &App, actor: &Actor, case: CaseId, what: &What) -> Result<View, Failure> {
    own_advisory(app, actor, what).await?;
    let view = app.cases.act(&actor.reader, case, what, app.clock().now()).await?;
    if let What::Published { advisory: Some(advisory) } = what {
        opened(app, advisory).await;
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
    if owner.is_some() && owner == actor.organisation() {
        Ok(())
    } else {
        Err(Failure::Unprocessable("choose an advisory of your own organisation".to_owned()))
    }
}

/// Lets the clock do its part in all cases, with what follows from it.
pub(crate) async fn tick(app: &App) -> Result<(), String> {
    let ticked = app.cases.tick(app.clock().now()).await.map_err(|error| error.to_string())?;
    for event in ticked.iter().flat_map(|ticked| &ticked.events) {
        if let What::Published { advisory: Some(advisory) } = &event.what {
            opened(app, advisory).await;
        }
    }
    Ok(())
}

/// The case is published whatever happens here; what cannot be opened by itself is opened by a person, and the log says so.
async fn opened(app: &App, advisory: &ObjectId) {
    if let Err(failure) = open(app, advisory).await {
        Failure::Internal(format!(
            "the advisory {advisory} of a published case stays as it is marked: {failure:?}"
        ))
        .log();
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
