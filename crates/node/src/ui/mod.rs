//! The web pages.

use axum::Router;

use crate::App;

/// The pages' routes.
pub fn routes() -> Router<App> {
    Router::new()
}
