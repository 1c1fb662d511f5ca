//! Labels: who may have influenced a value, who may read it, where it came from.
//!
//! The three axes are separate. A join makes a label that is true of whatever was made from both values: influencers add up
//! (union), readers are those of both (intersection), origins add up. Joins are idempotent, commutative and associative, and
//! only ever restrict; the property tests hold them to it.

mod set;

use serde::{Deserialize, Serialize};

pub use set::Names;

/// Past this many influencers a set becomes [`Integrity::Anyone`], which is sound because it allows less.
pub const MAX_INFLUENCERS: usize = 64;
/// Past this many origins, those of one server are told as the server only; past this many servers (a server may claim any names), as
/// [`ANYWHERE`].
pub const MAX_ORIGINS: usize = 64;
/// The origin that stands for all: what has it descends from every source.
pub const ANYWHERE: &str = "*";

/// The influencer that stands for the principal who runs the agent.
pub const USER: &str = "user";
/// The influencer that stands for the guard's own words.
pub const GUARD: &str = "guard";

/// Who may have influenced a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Integrity {
    /// These and nobody else. The empty set is a constant.
    Of(Names),
    /// Anybody: the top, which only a sink open to anyone accepts.
    Anyone,
}

impl Integrity {
    /// Influenced by `name` only.
    #[must_use]
    pub fn by(name: &str) -> Self {
        Self::Of([name].into_iter().collect())
    }

    /// Whether everyone who may have influenced `self` is also in `allowed`.
    #[must_use]
    pub fn is_within(&self, allowed: &Self) -> bool {
        match (self, allowed) {
            (_, Self::Anyone) => true,
            (Self::Anyone, Self::Of(_)) => false,
            (Self::Of(who), Self::Of(allowed)) => who.is_within(allowed),
        }
    }

    /// The influencers of either.
    #[must_use]
    pub fn join(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Of(a), Self::Of(b)) => {
                let both = a.union(b);
                if both.len() > MAX_INFLUENCERS { Self::Anyone } else { Self::Of(both) }
            }
            _ => Self::Anyone,
        }
    }
}

/// Who may read a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Readers {
    /// Public.
    Everyone,
    /// These only; the empty set is *nobody*.
    Only(Names),
}

impl Readers {
    /// Whether `reader` may read it.
    #[must_use]
    pub fn includes(&self, reader: &str) -> bool {
        match self {
            Self::Everyone => true,
            Self::Only(names) => names.contains(reader),
        }
    }

    /// Whether all of `audience` may read it.
    #[must_use]
    pub fn include_all(&self, audience: &Self) -> bool {
        match (self, audience) {
            (Self::Everyone, _) => true,
            (Self::Only(_), Self::Everyone) => false,
            (Self::Only(names), Self::Only(audience)) => audience.is_within(names),
        }
    }

    /// The readers of both.
    #[must_use]
    pub fn join(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Everyone, readers) | (readers, Self::Everyone) => readers.clone(),
            (Self::Only(a), Self::Only(b)) => Self::Only(a.intersection(b)),
        }
    }
}

/// What a value is made of, as far as the guard knows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Label {
    /// Who may have influenced it.
    pub integrity: Integrity,
    /// Who may read it.
    pub readers: Readers,
    /// Where it came from (`SERVER/TOOL` and, of a field of its result that the policy names, `SERVER/TOOL#POINTER` besides; `SERVER#OBJECT`), for
    /// endorsement, explanations and revocation.
    #[serde(default, skip_serializing_if = "Names::is_empty")]
    pub provenance: Names,
}

impl Label {
    /// Of what nobody influenced and everybody may read: the unit of [`Label::join`].
    #[must_use]
    pub fn constant() -> Self {
        Self {
            integrity: Integrity::Of(Names::default()),
            readers: Readers::Everyone,
            provenance: Names::default(),
        }
    }

    /// Of what the principal said.
    #[must_use]
    pub fn user(readers: Readers) -> Self {
        Self { integrity: Integrity::by(USER), readers, provenance: Names::default() }
    }

    /// Of what was made from both.
    #[must_use]
    pub fn join(&self, other: &Self) -> Self {
        Self {
            integrity: self.integrity.join(&other.integrity),
            readers: self.readers.join(&other.readers),
            provenance: bounded(self.provenance.union(&other.provenance)),
        }
    }

    /// Whether joining `other` would change nothing about what is allowed.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        other.integrity.is_within(&self.integrity) && other.readers.include_all(&self.readers)
    }

    /// Where it came from, without the fields: for people.
    #[must_use]
    pub fn sources(&self) -> Names {
        let is_field =
            |origin: &str| origin.split_once('#').is_some_and(|(of, _)| self.provenance.contains(of));
        self.provenance.iter().filter(|origin| !is_field(origin)).cloned().collect()
    }

    /// Whether something from `source` is in it. A source is `SERVER` or an origin.
    ///
    /// Errs towards yes: an origin that was shortened to its server answers for everything of that server.
    #[must_use]
    pub fn descends_from(&self, source: &str) -> bool {
        let server = server_of(source);
        self.provenance.iter().any(|origin| {
            &**origin == source
                || &**origin == server
                || &**origin == ANYWHERE
                || (source == server && server_of(origin) == server)
        })
    }
}

/// A JSON value with its label.
#[derive(Debug, Clone, PartialEq)]
pub struct Labelled {
    /// The value.
    pub value: serde_json::Value,
    /// What is known of it.
    pub label: Label,
}

/// The server in an origin.
#[must_use]
pub fn server_of(origin: &str) -> &str {
    origin.split(['/', '#']).next().unwrap_or(origin)
}

/// Shortens origins to their servers when they grow too many, and those to one that stands for all.
fn bounded(origins: Names) -> Names {
    let is_all = origins.contains(ANYWHERE);
    if origins.len() <= MAX_ORIGINS && !is_all {
        return origins;
    }
    let servers: Names = origins.iter().map(|origin| server_of(origin)).collect();
    if is_all || servers.len() > MAX_ORIGINS { std::iter::once(ANYWHERE).collect() } else { servers }
}

#[cfg(test)]
mod tests;
