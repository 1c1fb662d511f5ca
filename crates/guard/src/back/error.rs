//! What goes wrong with a server.

use std::sync::Arc;

use crate::wire::RpcError;

/// What went wrong. Texts that came from the server are cleaned, shortened, and have secrets masked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It did not get as far as answering requests.
    #[error("could not be started: {0}")]
    CannotStart(String),
    /// It ended, or the connection did, while the request was under way.
    #[error("{reason}{}", if *.sent { "; the call was under way and may have run" } else { "" })]
    Gone {
        /// How.
        reason: String,
        /// Whether it may have got the request.
        sent: bool,
    },
    /// The guard ended it because it broke a limit.
    #[error("was cut off: {0}")]
    CutOff(String),
    /// Its answer did not come in time; the request is cancelled.
    #[error("did not answer in time (limits.call-seconds); the call was cancelled but may have run")]
    Deadline,
    /// Too many requests are under way.
    #[error("has {0} requests under way already; try again later")]
    Busy(usize),
    /// It broke the protocol.
    #[error("broke the protocol: {0}")]
    Protocol(String),
    /// An HTTP status that is not success.
    #[error("answered HTTP status {status}: {message}")]
    Refused {
        /// The status.
        status: u16,
        /// What it said.
        message: String,
    },
    /// No connection; the request was not sent.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// No token, or one that the server does not take.
    #[error("needs authorization: {0}")]
    Unauthorized(String),
    /// [`Server::stop`](super::Server::stop) was called.
    #[error("was stopped")]
    Stopped,
    /// A person stopped the request while it waited to be sent.
    #[error("was not asked: {0}")]
    Withdrawn(Box<RpcError>),
}

impl Fault {
    /// Whether the request may have had an effect. False only when it is known that it had none.
    #[must_use]
    pub fn may_have_run(&self) -> bool {
        match self {
            Self::CannotStart(_)
            | Self::Busy(_)
            | Self::Unreachable(_)
            | Self::Unauthorized(_)
            | Self::Stopped
            | Self::Withdrawn(_) => false,
            Self::Gone { sent, .. } => *sent,
            Self::CutOff(_) | Self::Deadline | Self::Protocol(_) | Self::Refused { .. } => true,
        }
    }
}

/// A fault, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("server {server} {fault}")]
pub struct BackError {
    server: Arc<str>,
    fault: Fault,
}

impl BackError {
    pub(super) fn new(server: &Arc<str>, fault: Fault) -> Self {
        Self { server: Arc::clone(server), fault }
    }

    /// The server's name.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    /// What went wrong.
    #[must_use]
    pub const fn fault(&self) -> &Fault {
        &self.fault
    }

    /// Whether the request may have had an effect. False only when it is known that it had none.
    #[must_use]
    pub fn may_have_run(&self) -> bool {
        self.fault.may_have_run()
    }

    /// The error to answer with.
    #[must_use]
    pub fn to_rpc(&self) -> RpcError {
        RpcError::new(RpcError::INTERNAL, self.to_string())
    }
}
