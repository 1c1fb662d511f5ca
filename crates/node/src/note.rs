//! What goes into the audit log beside the reading and writing of objects: what is done to members, to accounts and in cases.
//!
//! *Invariant:* a deed is written before what it tells of takes effect, or is answered. Names of people and groups may stand in it, secrets and addresses never.

use ostrom_core::{CaseId, OrgId};
use ostrom_exchange::service::Deed;

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

/// Writes down what an administrator does; `concerns` is the organisation that it is done to, if it is one.
pub(crate) async fn administration(
    app: &App,
    actor: &Actor,
    concerns: Option<OrgId>,
    what: String,
) -> Result<(), Failure> {
    let mut deed = Deed::new(&actor.asker(), ADMINISTER, what, app.clock().now());
    deed.concerns = concerns.filter(|concerned| Some(*concerned) != actor.organisation());
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
