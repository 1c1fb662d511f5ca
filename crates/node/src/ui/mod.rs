//! The web pages: rendered on the server, usable with the keyboard alone and without scripts (passkeys excepted).
//!
//! [`part`] has what pages are made of, [`view`] has one view model for each kind of page. Neither knows the store: handlers fill view
//! models in, and so does `examples/catalogue`, with made-up data, to look at the pages.
//!
//! *Invariant:* no inline script or style anywhere, `style` attributes included: the Content-Security-Policy allows none.
//!
//! *Invariant:* a text reaches a page escaped by a template, or through [`markdown`]. No template says `safe`.

pub mod asset;
mod chart;
pub mod entries;
mod html;
pub mod markdown;
mod pages;
pub mod part;
pub mod view;

pub use chart::{Chart, percent};
pub use html::{Html, harmless_url};

use axum::Router;
use axum::middleware::from_fn_with_state;

use crate::App;

pub(crate) use pages::for_browsers;

/// The pages' routes, errors as pages included.
pub fn routes(app: &App) -> Router<App> {
    pages::routes().layer(from_fn_with_state(app.clone(), pages::faults))
}
