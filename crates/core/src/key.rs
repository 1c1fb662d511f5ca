//! Names of things that nodes keep: typed UUIDs, one type for each kind of thing, and ids of shared objects.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};
pub use uuid::Uuid;

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not {what}")]
pub struct KeyError {
    found: String,
    what: &'static str,
}

impl KeyError {
    fn new(found: &str, what: &'static str) -> Self {
        Self { found: found.chars().take(80).collect(), what }
    }
}

macro_rules! keys {
    ($($(#[$doc:meta])* $name:ident, $what:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// The id that this UUID is.
            pub const fn new(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl FromStr for $name {
            type Err = KeyError;

            fn from_str(text: &str) -> Result<Self, KeyError> {
                uuid(text).map(Self).ok_or_else(|| KeyError::new(text, $what))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

keys! {
    /// An organisation that is a member of a node. It is also the UUID of its STIX identity.
    OrgId, "an organisation's id (a UUID)";
    /// A person of an organisation.
    PersonId, "a person's id (a UUID)";
    /// A trust group.
    GroupId, "a trust group's id (a UUID)";
    /// A collection of objects.
    CollectionId, "a collection's id (a UUID)";
    /// A case of coordinated disclosure.
    CaseId, "a case's id (a UUID)";
    /// A token of a machine.
    TokenId, "a token's id (a UUID)";
    /// A peer node.
    PeerId, "a peer's id (a UUID)";
}

/// A UUID written in the one usual way: lower case, with hyphens.
fn uuid(text: &str) -> Option<Uuid> {
    let fine = text.len() == 36 && !text.bytes().any(|byte| byte.is_ascii_uppercase());
    fine.then(|| Uuid::try_parse(text).ok()).flatten()
}

/// The id of a shared object, as in STIX 2.1: a type of 3 to 250 characters, two hyphens and a UUID.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ObjectId(String);

impl ObjectId {
    /// Composes an id.
    ///
    /// # Errors
    /// If `kind` is not a type's name.
    pub fn new(kind: &str, uuid: Uuid) -> Result<Self, KeyError> {
        format!("{kind}--{uuid}").parse()
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The type, `vulnerability`.
    pub fn kind(&self) -> &str {
        self.0.split_once("--").map_or("", |(kind, _)| kind)
    }

    /// What follows the type.
    pub fn uuid(&self) -> Uuid {
        self.0.split_once("--").and_then(|(_, rest)| uuid(rest)).unwrap_or_default()
    }
}

impl FromStr for ObjectId {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let fine = text.split_once("--").is_some_and(|(kind, rest)| {
            (3..=250).contains(&kind.len())
                && kind.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                && !kind.starts_with('-')
                && !kind.ends_with('-')
                && uuid(rest).is_some()
        });
        if fine {
            Ok(Self(text.to_owned()))
        } else {
            Err(KeyError::new(
                text,
                "an object's id such as vulnerability--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061",
            ))
        }
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ObjectId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_objects() {
        let id: ObjectId = "attack-pattern--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061".parse().unwrap();
        assert_eq!(id.kind(), "attack-pattern");
        assert_eq!(id.uuid().to_string(), "0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061");
        for bad in [
            "",
            "attack-pattern",
            "attack-pattern--",
            "ab--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061",
            "Abc--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061",
            "abc--0C7B5B88-8FF7-4A4D-AA9D-FEB398CD0061",
            "abc--0c7b5b888ff74a4daa9dfeb398cd0061",
            "abc--{0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061}",
            "abc--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061 ",
            "a/../b--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061",
        ] {
            assert!(bad.parse::<ObjectId>().is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn an_id_is_written_in_one_way_only() {
        let text = "0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061";
        assert_eq!(text.parse::<OrgId>().unwrap().to_string(), text);
        assert!(text.to_uppercase().parse::<OrgId>().is_err());
        assert!(text.replace('-', "").parse::<OrgId>().is_err());
    }
}
