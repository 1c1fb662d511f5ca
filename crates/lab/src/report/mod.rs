//! The report: one self-contained HTML file for people who decide.

use crate::bundle::{Bundle, BundleError};

/// The report of a bundle: a pure function of it.
///
/// # Errors
/// If the bundle cannot be read.
pub fn html(bundle: &Bundle) -> Result<String, BundleError> {
    Ok(format!("<!doctype html>{}", bundle.digest))
}
