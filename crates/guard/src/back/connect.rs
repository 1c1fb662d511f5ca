//! From a way to a server to a live connection: which revision does it speak?

use std::sync::Arc;
use std::time::Duration;

use serde_json::Map;
use tokio::time::timeout;

use super::config::MakeCommand;
use super::http::{Endpoint, Probe, Upstream};
use super::link::{Call, Link, Transport};
use super::state::{Common, judge};
use super::stdio::Process;
use super::table::{Caller, Kind};
use super::{Answer, Era, Fault, ServerInfo, shape};
use crate::relay::Relay;
use crate::wire::Revision;

/// Where to connect to.
pub(super) enum Target {
    Command(MakeCommand),
    Http(Arc<Endpoint>),
}

impl Target {
    /// How long a person may take to allow the guard, on top of what a start may take.
    pub(super) fn patience(&self) -> Duration {
        match self {
            Self::Command(_) => Duration::ZERO,
            Self::Http(endpoint) => endpoint.patience(),
        }
    }
}

/// Connects and finds out what the server speaks, unless `era` says so.
pub(super) async fn connect(
    target: &Target,
    common: &Arc<Common>,
    era: Era,
) -> Result<(Link, ServerInfo), Fault> {
    match target {
        Target::Command(make) => {
            let (process, info) = match era {
                Era::Modern => modern(make, common).await?,
                Era::Legacy => legacy(make, common).await?,
                Era::Detect => detect(make, common).await?,
            };
            Ok((Link { transport: Transport::Process(process), revision: info.revision }, info))
        }
        Target::Http(endpoint) => {
            let found = match era {
                Era::Legacy => None,
                Era::Modern | Era::Detect => match Upstream::probe(endpoint, common).await? {
                    Probe::Modern(found) => Some(*found),
                    Probe::Legacy if era == Era::Modern => {
                        return Err(Fault::CannotStart(NOT_MODERN.to_owned()));
                    }
                    Probe::Legacy => None,
                },
            };
            let (upstream, info) = match found {
                Some(found) => found,
                None => Upstream::legacy(endpoint, common).await?,
            };
            Ok((Link { transport: Transport::Http(upstream), revision: info.revision }, info))
        }
    }
}

const NOT_MODERN: &str = "it does not speak revision 2026-07-28; let the guard detect the revision";

async fn modern(make: &MakeCommand, common: &Arc<Common>) -> Result<(Process, ServerInfo), Fault> {
    let process = Process::spawn(make, &common.settings, common.table(Kind::ModernShared))?;
    match judge(discover(&process).await?)? {
        Some(info) => Ok((process, info)),
        None => Err(Fault::CannotStart(NOT_MODERN.to_owned())),
    }
}

async fn legacy(make: &MakeCommand, common: &Arc<Common>) -> Result<(Process, ServerInfo), Fault> {
    let process = Process::spawn(make, &common.settings, common.table(Kind::Legacy))?;
    let outcome = handshake(&process, common).await?;
    let info = initialized(&process, outcome).await?;
    Ok((process, info))
}

/// What a process of unknown revision turned out to be.
enum Found {
    Modern(Box<ServerInfo>),
    /// An older one that has not seen a handshake yet.
    Older,
    /// An older one that has answered a handshake.
    Greeted(Answer),
    /// It is of no use any more; the next one is started as this.
    Restart(Era),
}

/// Asks `server/discover` first, as the specification wants it. Older servers answer that with some error, not at all, or by ending.
async fn detect(make: &MakeCommand, common: &Arc<Common>) -> Result<(Process, ServerInfo), Fault> {
    let process = Process::spawn(make, &common.settings, common.table(Kind::ModernShared))?;
    match find(&process, common).await? {
        Found::Modern(info) => Ok((process, *info)),
        Found::Older => {
            process.table().set_kind(Kind::Legacy);
            let outcome = handshake(&process, common).await?;
            let info = initialized(&process, outcome).await?;
            Ok((process, info))
        }
        Found::Greeted(outcome) => {
            process.table().set_kind(Kind::Legacy);
            let info = initialized(&process, outcome).await?;
            Ok((process, info))
        }
        Found::Restart(era) => {
            drop(process);
            if era == Era::Modern { modern(make, common).await } else { legacy(make, common).await }
        }
    }
}

async fn find(process: &Process, common: &Common) -> Result<Found, Fault> {
    let first = |outcome: Answer| -> Result<Found, Fault> {
        Ok(judge(outcome)?.map_or(Found::Older, |info| Found::Modern(Box::new(info))))
    };
    // Once a handshake was sent as well, a server of both kinds may have chosen the older one.
    let late = |outcome: Answer| -> Result<Option<Found>, Fault> {
        Ok(judge(outcome)?.map(|_| Found::Restart(Era::Modern)))
    };
    let mut probe = std::pin::pin!(discover(process));
    match timeout(common.limits().probe, &mut probe).await {
        Ok(Ok(outcome)) => return first(outcome),
        Ok(Err(fault @ (Fault::CannotStart(_) | Fault::CutOff(_)))) => return Err(fault),
        // It ended rather than answer what it does not know.
        Ok(Err(_)) => return Ok(Found::Restart(Era::Legacy)),
        // It may be slow to start, or wait for a handshake: whichever it answers.
        Err(_) => {}
    }
    let mut greeting = std::pin::pin!(handshake(process, common));
    tokio::select! {
        outcome = &mut probe => match outcome {
            Ok(outcome) => if let Some(found) = late(outcome)? { return Ok(found) },
            Err(_) => return Ok(Found::Restart(Era::Legacy)),
        },
        outcome = &mut greeting => return match outcome {
            Ok(Ok(result)) => Ok(Found::Greeted(Ok(result))),
            // Servers of the newest revision refuse it, and answer the other one.
            Ok(Err(error)) => match timeout(common.limits().probe, &mut probe).await {
                Ok(Ok(outcome)) => Ok(late(outcome)?.unwrap_or(Found::Greeted(Err(error)))),
                _ => Ok(Found::Greeted(Err(error))),
            },
            Err(_) => Ok(Found::Restart(Era::Legacy)),
        },
    }
    match greeting.await {
        Ok(outcome) => Ok(Found::Greeted(outcome)),
        Err(_) => Ok(Found::Restart(Era::Legacy)),
    }
}

async fn discover(process: &Process) -> Result<Answer, Fault> {
    guards(process, Revision::V2026_07_28, "server/discover", Map::new()).await
}

async fn handshake(process: &Process, common: &Common) -> Result<Answer, Fault> {
    let params = shape::initialize(common.capabilities());
    guards(process, Revision::NEWEST_LEGACY, "initialize", params).await
}

async fn guards(
    process: &Process,
    revision: Revision,
    method: &str,
    mut params: Map<String, serde_json::Value>,
) -> Result<Answer, Fault> {
    let (nothing, relay) = (Map::new(), Relay::nowhere());
    let caller = Caller { guard: true, ..Caller::default() };
    process.call(revision, &Call { method, capabilities: &nothing, caller, relay: &relay }, &mut params).await
}

async fn initialized(process: &Process, outcome: Answer) -> Result<ServerInfo, Fault> {
    let result = outcome.map_err(|error| {
        Fault::CannotStart(format!("it refused initialize: {}", super::clean::quote(&error.to_string())))
    })?;
    let info = ServerInfo::of_initialize(result).map_err(Fault::CannotStart)?;
    process.notify("notifications/initialized", &Map::new()).await?;
    Ok(info)
}
