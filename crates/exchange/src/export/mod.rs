//! Exports: what is shared here, in the forms that others read.
//!
//! Every export says what it could not carry ([`NotCarried`]): a [`Ledger`] starts with everything that an object holds, each
//! exporter strikes out what it has written, and the rest is the list. What the form asks for and nobody has said is listed too
//! ([`Export::missing`]). Nothing is made up to fill a form.

mod avid;
mod csaf;
mod ledger;
mod oecd;
mod osv;

#[cfg(test)]
mod tests;

use serde::Serialize;
use serde_json::Value;

pub use avid::avid;
pub use csaf::{Publisher, PublisherCategory, Revision, SecurityAdvisory, csaf};
pub use ledger::{Ledger, NotCarried};
pub use oecd::{CRITERIA, Criterion, IncidentReport, oecd};
pub use osv::osv;

use crate::stix::Object;

/// An export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Export {
    /// What to call the file.
    pub file_name: String,
    /// Its bytes: JSON in UTF-8, ending in a newline.
    #[serde(skip)]
    pub bytes: Vec<u8>,
    /// What it could not carry.
    pub not_carried: Vec<NotCarried>,
    /// What the form asks for and nobody has said.
    pub missing: Vec<String>,
}

/// Why there is no export.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// The form is for something else.
    #[error("{form} does not fit: {why}")]
    DoesNotFit {
        /// Which form.
        form: &'static str,
        /// Why.
        why: String,
    },
    /// Something that the form must have is missing.
    #[error("{form} needs {what}")]
    Missing {
        /// Which form.
        form: &'static str,
        /// What.
        what: String,
    },
    /// It cannot be written.
    #[error("it cannot be written as JSON: {0}")]
    Json(String),
}

fn export(
    file_name: String,
    value: &Value,
    ledger: Ledger,
    missing: Vec<String>,
) -> Result<Export, ExportError> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|error| ExportError::Json(error.to_string()))?;
    bytes.push(b'\n');
    Ok(Export { file_name, bytes, not_carried: ledger.finish(), missing })
}

/// A STIX bundle of these objects, each with its bytes as they came. Nothing is lost.
///
/// # Errors
/// If an object's bytes are not UTF-8.
pub fn stix(bundle: ostrom_core::Uuid, objects: &[Object]) -> Result<Export, ExportError> {
    let mut bytes = format!("{{\"type\":\"bundle\",\"id\":\"bundle--{bundle}\",\"objects\":[").into_bytes();
    for (number, object) in objects.iter().enumerate() {
        if number > 0 {
            bytes.push(b',');
        }
        bytes.extend_from_slice(object.bytes());
    }
    bytes.extend_from_slice(b"]}\n");
    serde_json::from_slice::<serde::de::IgnoredAny>(&bytes)
        .map_err(|error| ExportError::Json(error.to_string()))?;
    Ok(Export {
        file_name: format!("bundle--{bundle}.json"),
        bytes,
        not_carried: Vec::new(),
        missing: Vec::new(),
    })
}
