//! Files that pages load, and the colours.

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, SET_COOKIE};
use serde::Deserialize;

use super::visit::{THEME_COOKIE, go, local};
use crate::ui::asset;
use crate::ui::view::Theme;
use crate::web::Checked;
use crate::{App, Failure};

/// A file that pages load.
pub async fn file(Path(name): Path<String>) -> Result<Response, Failure> {
    let asset = asset::find(&format!("/assets/{name}")).ok_or(Failure::NotFound)?;
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(asset.kind)),
        (CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
    ];
    Ok((headers, asset.bytes).into_response())
}

/// The form in the footer.
#[derive(Deserialize)]
pub struct Colours {
    theme: String,
    #[serde(default)]
    back: String,
}

/// Keeps the colours in a cookie.
pub async fn colours(State(app): State<App>, Checked(form): Checked<Colours>) -> Result<Response, Failure> {
    let mut response = go(local(&form.back))?;
    let secure = if app.base.is_https() { "; Secure" } else { "" };
    let name = Theme::read(&form.theme).name();
    let cookie = format!("{THEME_COOKIE}={name}; Path=/; Max-Age=31536000; SameSite=Lax; HttpOnly{secure}");
    response.headers_mut().append(SET_COOKIE, HeaderValue::from_str(&cookie).map_err(Failure::internal)?);
    Ok(response)
}
