//! STIX bundles, MITRE ATLAS among them.

use super::{Found, Made, provenance};
use crate::stix::{Envelope, Limits, ReadError};

/// Finds the objects of a STIX bundle, of version 2.1 or 2.0, also of one that lacks the bundle's own `type` and `id`. The objects stay as they
/// are, byte for byte.
///
/// # Errors
/// If it is no bundle at all.
pub fn bundle(source: &str, bytes: &[u8], limits: &Limits) -> Result<Found, ReadError> {
    let envelope = Envelope::read(bytes, limits)?;
    let mut found = Found { source: source.to_owned(), read: envelope.objects.len(), ..Found::default() };
    for item in envelope.items(limits) {
        match item.object {
            Ok(object) => {
                let record = object.id().to_string();
                let provenance =
                    provenance(source, object.facts().spec_version.name(), &record, object.digest());
                found.made.push(Made { object, record, provenance, lost: Vec::new(), is_record: true });
            }
            Err(error) => found.refuse(format!("object {}", item.index), error.to_string()),
        }
    }
    Ok(found)
}
