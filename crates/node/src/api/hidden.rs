//! What of the audit log its viewer may know: deeds of colleagues name objects and cases that are not for everybody in the organisation.
//!
//! *Invariant:* no id of an object or case that the viewer may not see now leaves here, however it was written in the deed, and no count that
//! tells of one.

use std::collections::{BTreeMap, BTreeSet};

use ostrom_core::{CaseId, ObjectId, Uuid};
use serde_json::{Map, Value};

use crate::who::Actor;
use crate::{App, Failure};

/// What stands in the place of an id.
pub(crate) const REDACTED: &str = "(not for you)";
/// How long a UUID is, in characters.
const UUID: usize = 36;

/// Takes out of deeds what the viewer may not know.
pub(super) async fn hide(app: &App, viewer: &Actor, deeds: &mut [Value]) -> Result<(), Failure> {
    let mut named = BTreeSet::new();
    for deed in deeds.iter_mut().filter_map(Value::as_object_mut) {
        for (_, value) in
            deed.iter_mut().filter(|(name, _)| matches!(name.as_str(), "first" | "last" | "what"))
        {
            let Some(text) = value.as_str() else { continue };
            // An address may hold its letters encoded; what is looked at is what is shown.
            let text = decoded(text);
            named.extend(names(&text).into_iter().map(|name| name.text));
            *value = Value::String(text);
        }
    }
    let visible = visible(app, viewer, named).await?;
    let own = viewer.person().map(|person| format!("person:{}", person.id));
    for deed in deeds.iter_mut().filter_map(Value::as_object_mut) {
        restrict(deed, &visible, own.as_deref());
    }
    Ok(())
}

fn restrict(deed: &mut Map<String, Value>, visible: &BTreeSet<String>, own: Option<&str>) {
    let mut hidden = false;
    let mut shown = BTreeSet::new();
    for name in ["what", "first", "last"] {
        let Some(Value::String(text)) = deed.get_mut(name) else { continue };
        let (clean, found) = without(text, visible);
        hidden |= found;
        if name != "what" {
            shown.insert(clean.clone());
        }
        *text = clean;
    }
    let who = deed.get("who").and_then(Value::as_str).unwrap_or_default();
    let by_viewer = own == Some(who);
    // Machines and the node see what the organisation sees, and so does everybody in it.
    let by_person = who.starts_with("person:");
    let count = deed.get("count").and_then(Value::as_u64).unwrap_or(0);
    let all_named = count <= shown.len() as u64;
    if hidden || (by_person && !by_viewer && !all_named) {
        deed.remove("count");
    }
    if hidden {
        deed.remove("sha256");
        deed.insert("hidden".to_owned(), Value::Bool(true));
    }
}

/// Those of the names that the viewer may see now.
async fn visible(app: &App, viewer: &Actor, named: BTreeSet<String>) -> Result<BTreeSet<String>, Failure> {
    let now = app.clock().now();
    let (mut objects, mut seen) = (BTreeMap::<ObjectId, String>::new(), BTreeSet::new());
    for name in named {
        if let Some(case) = name.strip_prefix("case--") {
            let Ok(id) = case.parse::<CaseId>() else { continue };
            if app.cases.get(&viewer.reader, id, now).await?.is_some() {
                seen.insert(name);
            }
        } else if let Ok(id) = name.parse::<ObjectId>() {
            objects.insert(id, name);
        }
    }
    let ids: Vec<ObjectId> = objects.keys().cloned().collect();
    for head in app.store.reading(&viewer.reader, now).await?.heads(&ids).await? {
        seen.extend(objects.remove(&head.key.id));
    }
    Ok(seen)
}

/// An id in a text.
struct Name {
    /// As an object's id, or `case--UUID`.
    text: String,
    start: usize,
    end: usize,
}

/// The ids in a text: `KIND--UUID`, and `/cases/UUID`.
fn names(text: &str) -> Vec<Name> {
    let mut found = Vec::new();
    let uuid = |at: usize| {
        let end = at.checked_add(UUID)?;
        let uuid = text.get(at..end)?.to_ascii_lowercase();
        uuid.parse::<Uuid>().ok().map(|_| (uuid, end))
    };
    for (at, mark) in text.match_indices("--") {
        let Some((uuid, end)) = uuid(at.saturating_add(mark.len())) else { continue };
        let kind = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let before = text.get(..at).unwrap_or_default();
        let start = before.rfind(|c| !kind(c)).map_or(0, |last| {
            last.saturating_add(
                before.get(last..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8),
            )
        });
        let kind = text.get(start..at).unwrap_or_default().to_ascii_lowercase();
        found.push(Name { text: format!("{kind}--{uuid}"), start, end });
    }
    for (at, mark) in text.match_indices("/cases/") {
        let start = at.saturating_add(mark.len());
        if let Some((uuid, end)) = uuid(start) {
            found.push(Name { text: format!("case--{uuid}"), start, end });
        }
    }
    found.sort_by_key(|name| name.start);
    found
}

/// The text without the names of what is not visible, and whether there were any.
fn without(text: &str, visible: &BTreeSet<String>) -> (String, bool) {
    let (mut clean, mut from, mut hidden) = (String::with_capacity(text.len()), 0, false);
    for name in names(text) {
        if visible.contains(&name.text) || name.start < from {
            continue;
        }
        clean.push_str(text.get(from..name.start).unwrap_or_default());
        clean.push_str(REDACTED);
        (from, hidden) = (name.end, true);
    }
    clean.push_str(text.get(from..).unwrap_or_default());
    (clean, hidden)
}

/// Without per cent signs before letters' numbers, until there are none left.
fn decoded(text: &str) -> String {
    let mut text = text.to_owned();
    // Each round makes it shorter.
    while let Some(next) = decoded_once(&text) {
        text = next;
    }
    text
}

fn decoded_once(text: &str) -> Option<String> {
    let (mut bytes, mut rest, mut changed) = (Vec::with_capacity(text.len()), text.as_bytes(), false);
    while let [first, tail @ ..] = rest {
        let coded = match rest {
            [b'%', a, b, ..] => {
                let digit =
                    |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                digit(*a).zip(digit(*b)).map(|(a, b)| a.wrapping_mul(16) | b)
            }
            _ => None,
        };
        if let Some(byte) = coded {
            bytes.push(byte);
            rest = rest.get(3..).unwrap_or_default();
            changed = true;
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    changed.then(|| String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "vulnerability--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061";

    #[test]
    fn an_id_is_found_however_it_is_written() {
        let case = "/cases/0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061/opening";
        for text in [
            format!("page /flaws/{ID}?x={ID}"),
            format!("page /flaws/{}", ID.replace("--", "%2D%2d")),
            format!("page /flaws/{}", ID.replace("--", "%252D-")),
            format!("ü{ID}ü"),
            ID.to_uppercase(),
            case.to_owned(),
        ] {
            let (clean, hidden) = without(&decoded(&text), &BTreeSet::new());
            assert!(hidden && !clean.to_lowercase().contains("0c7b5b88"), "{text}: {clean}");
            assert!(clean.contains(REDACTED));
        }
        let visible = BTreeSet::from([ID.to_owned()]);
        assert_eq!(without(&format!("page /flaws/{ID}"), &visible), (format!("page /flaws/{ID}"), false));
        assert_eq!(without("page /search?q=a--b", &visible), ("page /search?q=a--b".to_owned(), false));
    }

    proptest! {
        #[test]
        fn no_text_panics_and_no_id_survives(before in ".{0,40}", after in ".{0,40}", cut in 0_usize..60) {
            let text = format!("{before}{ID}{after}");
            let (clean, _) = without(&decoded(&text), &BTreeSet::new());
            prop_assert!(!clean.contains("0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061"), "{}", clean);
            let short: String = text.chars().take(cut).collect();
            let _ = without(&decoded(&short), &BTreeSet::new());
        }
    }
}
