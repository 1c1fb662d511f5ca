//! Deliberate mistakes, which the suite must notice: one that does not is worth nothing.

use ostrom_core::{CollectionId, ObjectId, Timestamp};
use ostrom_store::Store;

use super::{Post, Question, Seen, Taking, Target};
use crate::service::Actor;
use crate::taxii::DATE_LAST;

/// A mistake that real servers make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    /// `more` is computed over everything, and the filter comes after.
    More,
    /// What is there, but not for the reader, is answered with 403.
    Forbidden,
    /// The header with the time of the last object counts hidden ones.
    Date,
    /// The number of a collection's objects is told.
    Count,
    /// An older version that may be seen is left out where a newer one is hidden.
    Newest,
    /// Whoever posts under an id that is taken is told so.
    Taken,
}

impl Mistake {
    /// Whether it shows only when something is written.
    pub const fn is_in_writing(self) -> bool {
        matches!(self, Self::Taken)
    }
}

impl Mistake {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::More, Self::Forbidden, Self::Date, Self::Count, Self::Newest, Self::Taken];
}

/// A server with a mistake.
#[derive(Debug)]
pub struct Mutant<T> {
    target: T,
    store: Store,
    mistake: Mistake,
}

impl<T: Target> Mutant<T> {
    /// Spoils a server over this store.
    pub const fn new(target: T, store: Store, mistake: Mistake) -> Self {
        Self { target, store, mistake }
    }

    /// Everything in a collection, whoever may see it: id, version and when it was added.
    async fn all(&self, collection: CollectionId) -> Vec<(ObjectId, Timestamp, Timestamp)> {
        let page = self.store.custody().page(collection, None, 5000).await;
        let rows = page.map(|page| page.rows).unwrap_or_default();
        rows.into_iter().map(|row| (row.key.id, row.key.version, row.key.added)).collect()
    }

    async fn spoil(&self, question: &Question, mut seen: Seen) -> Seen {
        let parts: Vec<&str> = question.path.split('/').filter(|part| !part.is_empty()).collect();
        let at = parts.iter().position(|part| *part == "collections");
        let rest = at.and_then(|at| parts.get(at + 1..)).unwrap_or_default();
        let Some(collection) = rest.first().and_then(|id| id.parse::<CollectionId>().ok()) else {
            return seen;
        };
        match (self.mistake, rest) {
            (Mistake::Forbidden, [_, "objects", id, ..]) if seen.status == 404 => {
                let id = id.parse::<ObjectId>();
                let Ok(id) = id else { return seen };
                let is_here = self.store.custody().versions(&id).await.is_ok_and(|found| !found.is_empty());
                if is_here {
                    seen.status = 403;
                }
            }
            (Mistake::More, [_, "objects"]) if seen.status == 200 && question.query.contains("limit=1") => {
                let text = String::from_utf8_lossy(&seen.body).into_owned();
                let shown = text.matches("\"created\":").count();
                if self.all(collection).await.len() > shown {
                    seen.body = text.replacen("\"more\":false", "\"more\":true", 1).into_bytes();
                }
            }
            (Mistake::Date, [_, "objects" | "manifest"]) if seen.status == 200 => {
                let last = self.all(collection).await.into_iter().map(|(_, _, added)| added).max();
                for (name, value) in &mut seen.headers {
                    if let (DATE_LAST, Some(last)) = (name.as_str(), last) {
                        *value = last.to_string();
                    }
                }
            }
            (Mistake::Count, [_]) if seen.status == 200 => {
                let count = self.all(collection).await.len();
                seen.body.extend_from_slice(format!("<!-- {count} objects -->").as_bytes());
            }
            (Mistake::Newest, [_, "objects", id]) if seen.status == 200 => {
                let Ok(id) = id.parse::<ObjectId>() else { return seen };
                let newest = self.all(collection).await.into_iter().find(|(found, _, _)| *found == id);
                if let Some((_, version, _)) = newest
                    && !String::from_utf8_lossy(&seen.body).contains(&version.to_string())
                {
                    seen.body = b"{}".to_vec();
                }
            }
            _ => {}
        }
        seen
    }
}

impl<T: Target> Target for Mutant<T> {
    async fn ask(&self, actor: &Actor, question: &Question, now: Timestamp) -> Seen {
        let seen = self.target.ask(actor, question, now).await;
        self.spoil(question, seen).await
    }
}

impl<T: Taking> Taking for Mutant<T> {
    async fn post(&self, actor: &Actor, post: &Post, now: Timestamp) -> Seen {
        let mut taken = 0_usize;
        if self.mistake == Mistake::Taken {
            let envelope: serde_json::Value = serde_json::from_slice(&post.body).unwrap_or_default();
            for object in envelope.get("objects").and_then(|all| all.as_array()).into_iter().flatten() {
                let id = object.get("id").and_then(|id| id.as_str()).and_then(|id| id.parse().ok());
                let Some(id): Option<ObjectId> = id else { continue };
                let found = self.store.custody().versions(&id).await;
                taken = taken.saturating_add(found.map_or(0, |found| usize::from(!found.is_empty())));
            }
        }
        let mut seen = self.target.post(actor, post, now).await;
        if self.mistake == Mistake::Taken {
            seen.body.extend_from_slice(format!("<!-- {taken} taken -->").as_bytes());
        }
        seen
    }
}
