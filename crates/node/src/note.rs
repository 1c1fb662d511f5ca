//! What goes into the audit log beside the reading and writing of objects: what is done to members, to accounts and in cases.
//!
//! *Invariant:* a deed is written before what it tells of takes effect, or is answered. Names of people and groups may stand in it, secrets and addresses never.

use ostrom_core::{CaseId, OrgId};
use ostrom_exchange::service::{Actor as Asker, Deed};

use crate::who::Actor;
use crate::{App, Failure};

/// An administrator changes members, groups, collections or peers. All administrators may know, and those whom it concerns.
pub(crate) const ADMINISTER: &str = "administer";
/// A person changes how they sign in.
pub(crate) const ACCOUNT: &str = "account";
/// A person makes or ends a token.
pub(crate) const TOKEN: &str = "token";
/// Something happens in a case, or somebody looks at one.
pub(crate) const CASE: &str = "case";

/// Who administers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum By<'a> {
    /// Somebody who has signed in.
    Actor(&'a Actor),
    /// Whoever runs the node, on its own machine.
    CommandLine,
}

impl<'a> From<&'a Actor> for By<'a> {
    fn from(actor: &'a Actor) -> Self {
        Self::Actor(actor)
    }
}

/// Writes down what an administrator does; `concerns` is the organisation that it is done to, if it is one.
pub(crate) async fn administration(
    app: &App,
    by: impl Into<By<'_>>,
    concerns: Option<OrgId>,
    what: String,
) -> Result<(), Failure> {
    let now = app.clock().now();
    let (mut deed, own) = match by.into() {
        By::Actor(actor) => (Deed::new(&actor.asker(), ADMINISTER, what, now), actor.organisation()),
        By::CommandLine => {
            let mut deed = Deed::new(&Asker::nobody(true), ADMINISTER, what, now);
            deed.who = "command-line".to_owned();
            (deed, None)
        }
    };
    deed.concerns = concerns.filter(|concerned| Some(*concerned) != own);
    Ok(app.exchange.note(deed).await?)
}

/// Writes down what somebody does to an account or a token of their own organisation.
pub(crate) async fn own(app: &App, actor: &Actor, did: &'static str, what: String) -> Result<(), Failure> {
    Ok(app.exchange.note(Deed::new(&actor.asker(), did, what, app.clock().now())).await?)
}

/// Writes down what somebody does in a case. Who is not a party of the case does not learn which one it is.
pub(crate) async fn case(app: &App, actor: &Actor, case: CaseId, what: &str) -> Result<(), Failure> {
    let mut deed = Deed::new(&actor.asker(), CASE, what, app.clock().now());
    deed.first = Some(format!("case--{case}"));
    deed.count = 1;
    Ok(app.exchange.note(deed).await?)
}
