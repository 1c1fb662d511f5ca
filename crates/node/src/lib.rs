//! A node: sign-in, web pages, REST API, TAXII and federation over HTTP.
//!
//! [`serve`] runs one; [`client`] talks to one. Which routes belong to whom:
//!
//! | paths | module | who asks |
//! |---|---|---|
//! | `/`, `/sign-in`, `/invite/…`, pages | `ui` | people, in a session |
//! | `/feeds/TOKEN/…` | `ui` | feed readers, with the token in the address |
//! | `/auth/…` | [`sign_in`] | forms and passkey scripts of those pages |
//! | `/api/v1/…` | `api` | machine tokens, and sessions (with the CSRF header where something changes) |
//! | `/taxii2/…` | `taxii` | machine tokens, as Bearer or Basic |
//! | `/federation/v1/…` | `federation` | peers' tokens |
//! | `/log/…` | `log` | everybody |
//!
//! For pages: take [`who::Actor`] (anybody), [`who::SignedIn`] (a person in a session), [`web::Csrf`] (the token for forms: hidden field
//! `csrf`) and [`web::Checked`] (a form whose token holds). `/auth/password`, `/auth/sign-out`, `/auth/invitation` and `/auth/provider` take the forms
//! of the pages `/sign-in?failed=…&next=…` and `/invite/SECRET`, and send the browser on.
//!
//! *Invariant:* a node has no rule of its own about who may see what. Handlers hand a [`who::Actor`]'s reader to the services and show what
//! comes back.
//!
//! *Invariant:* "not allowed" is [`Failure::NotFound`], byte for byte what "does not exist" is.

mod api;
mod app;
mod base;
pub mod client;
mod clock;
mod config;
mod duty;
mod error;
mod evaluation;
mod exports;
mod federation;
mod folder;
pub mod local;
mod log;
mod logs;
pub mod net;
mod note;
mod publish;
mod serve;
pub mod sign_in;
mod taxii;
mod ticks;
pub mod ui;
pub mod web;
pub mod who;

pub use app::App;
pub use base::BaseUrl;
pub use clock::Clock;
pub use config::{Config, Exposure, Limits, Oidc};
pub use error::{Failure, Problem, StartError};
pub use evaluation::Evaluated;
pub use serve::{Node, serve};
