//! What is asked for: the parameters of a request.

use ostrom_core::{ObjectId, Timestamp};
use ostrom_store::{Filter, Versions};

/// A parameter that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the parameter {name}: {why}")]
pub struct BadQuery {
    name: &'static str,
    why: &'static str,
}

/// The parameters of a request, as TAXII 2.1 has them (section 3.4 and 3.5). Others are left alone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    /// `added_after` and `match[…]`.
    pub filter: Filter,
    /// Whether `match[version]` was there.
    pub has_version: bool,
    /// `limit`
    pub limit: Option<usize>,
    /// `next`
    pub next: Option<String>,
}

impl Query {
    /// Reads what stands behind the question mark.
    ///
    /// # Errors
    /// If a parameter stands twice or is not what it should be.
    pub fn parse(text: &str) -> Result<Self, BadQuery> {
        let mut query = Self::default();
        let mut seen: Vec<&'static str> = Vec::new();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            let known = [
                "added_after",
                "limit",
                "next",
                "match[id]",
                "match[type]",
                "match[version]",
                "match[spec_version]",
            ];
            let Some(name) = known.into_iter().find(|known| *known == name) else { continue };
            let bad = |why| BadQuery { name, why };
            if seen.contains(&name) {
                return Err(bad("stands twice"));
            }
            seen.push(name);
            match name {
                "added_after" => {
                    let time =
                        value.parse().map_err(|_| bad("is not a time such as 2026-08-02T10:00:00.000Z"))?;
                    query.filter.added_after = Some(time);
                }
                "limit" => {
                    let limit: usize = value.parse().map_err(|_| bad("is not a number"))?;
                    if limit == 0 {
                        return Err(bad("must be at least 1"));
                    }
                    query.limit = Some(limit);
                }
                "next" => query.next = Some(value.into_owned()),
                "match[version]" => {
                    query.has_version = true;
                    query.filter.versions =
                        versions(&value).ok_or_else(|| bad("is neither first, last, all nor times"))?;
                }
                "match[id]" => {
                    // What is no id names nothing that could be here.
                    let ids: Vec<ObjectId> = list(&value).filter_map(|text| text.parse().ok()).collect();
                    query.filter.ids =
                        or_nothing(ids, || "x-none--00000000-0000-4000-8000-000000000000".parse().ok());
                }
                "match[type]" => {
                    query.filter.kinds = list(&value).map(ToOwned::to_owned).collect();
                }
                _ => query.filter.spec_versions = list(&value).map(ToOwned::to_owned).collect(),
            }
            let most = [query.filter.ids.len(), query.filter.kinds.len(), query.filter.spec_versions.len()];
            if most.into_iter().chain([query.filter.versions.exactly.len()]).any(|len| len > Filter::MAX) {
                return Err(bad("names too many: at most 256"));
            }
        }
        Ok(query)
    }
}

fn list(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim)
}

/// An empty list would not restrict at all.
fn or_nothing<T>(mut list: Vec<T>, nothing: impl Fn() -> Option<T>) -> Vec<T> {
    if list.is_empty() {
        list.extend(nothing());
    }
    list
}

fn versions(value: &str) -> Option<Versions> {
    let mut found = Versions { first: false, last: false, all: false, exactly: Vec::new() };
    for word in list(value) {
        match word {
            "first" => found.first = true,
            "last" => found.last = true,
            "all" => found.all = true,
            time => found.exactly.push(time.parse::<Timestamp>().ok()?),
        }
    }
    Some(found)
}
