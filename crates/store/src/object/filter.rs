//! What a page is asked for.

use ostrom_core::{ObjectId, Timestamp};

/// Which versions of an object. Several at once mean all that any of them names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versions {
    /// The first that the reader may see in the collection.
    pub first: bool,
    /// The last that the reader may see in the collection.
    pub last: bool,
    /// All that the reader may see.
    pub all: bool,
    /// These.
    pub exactly: Vec<Timestamp>,
}

impl Versions {
    /// The last, as TAXII has it where nothing is said.
    pub const LAST: Self = Self { first: false, last: true, all: false, exactly: Vec::new() };
    /// All.
    pub const ALL: Self = Self { first: false, last: false, all: true, exactly: Vec::new() };
}

impl Default for Versions {
    fn default() -> Self {
        Self::LAST
    }
}

/// What a page is asked for. Empty lists do not restrict.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Only what was added after this time.
    pub added_after: Option<Timestamp>,
    /// Only these objects; at most [`Filter::MAX`].
    pub ids: Vec<ObjectId>,
    /// Only these types; at most [`Filter::MAX`].
    pub kinds: Vec<String>,
    /// Only these versions of STIX; at most [`Filter::MAX`].
    pub spec_versions: Vec<String>,
    /// Which versions of each object. First and last are taken among all versions that the reader may see in the collection, whatever else is asked for.
    pub versions: Versions,
}

impl Filter {
    /// The most members of one list.
    pub const MAX: usize = 256;
}
