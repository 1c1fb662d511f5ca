//! How people and machines show who they are.

mod forms;
mod invite;
mod keys;
mod oidc;
pub mod passkey;
mod password;
mod provider;
pub mod secret;
pub(crate) mod session;
mod throttle;
pub(crate) mod token;

use axum::Router;
use axum::routing::{get, post};

use crate::{App, Config, StartError};

pub use invite::{FirstMember, Invitation, invitation, invite};
pub(crate) use invite::{OPERATOR, email, first as first_link, name};
pub use password::SHORTEST as SHORTEST_PASSWORD;
pub use token::{FEED, NewToken, SCOPES};

/// What sign-in keeps in memory.
pub(crate) struct SignIn {
    pub(crate) passwords: password::Passwords,
    pub(crate) challenges: passkey::Challenges,
    pub(crate) throttle: throttle::Throttle,
    pub(crate) openid: Option<oidc::OpenId>,
}

impl SignIn {
    pub(crate) fn new(config: &Config, redirect: String) -> Result<Self, StartError> {
        Ok(Self {
            passwords: password::Passwords::new(config.limits.hashing),
            challenges: passkey::Challenges::default(),
            throttle: throttle::Throttle::new(&config.limits),
            openid: oidc::OpenId::new(config, redirect)?,
        })
    }
}

/// `/auth/…`.
pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/auth/session", get(forms::session))
        .route("/auth/password", post(forms::password))
        .route("/auth/password/change", post(forms::change))
        .route("/auth/sign-out", post(forms::sign_out))
        .route("/auth/invitation", post(forms::accept))
        .route("/auth/passkey/begin", post(keys::begin))
        .route("/auth/passkey/finish", post(keys::finish))
        .route("/auth/passkey/register/begin", post(keys::register_begin))
        .route("/auth/passkey/register/finish", post(keys::register_finish))
        .route("/auth/passkey/remove", post(keys::remove))
        .route("/auth/provider", get(provider::begin))
        .route("/auth/provider/callback", get(provider::callback))
}
