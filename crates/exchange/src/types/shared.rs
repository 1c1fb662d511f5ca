//! What all types have in common: how they are read and written.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Common;
use crate::stix::{Defect, Limits, Object, check};

/// Why something is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TypeError {
    /// A property does not hold what it should.
    #[error("{property}: {why}")]
    Property {
        /// Which.
        property: String,
        /// What it should hold.
        why: String,
    },
    /// The object is of another type.
    #[error("a STIX {found} is not {wanted}")]
    Other {
        /// Its type.
        found: String,
        /// What was asked for.
        wanted: &'static str,
    },
    /// What would be written is not valid STIX.
    #[error("it would not be valid STIX: {0}")]
    Defect(String),
}

impl TypeError {
    pub(super) fn property(property: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Property { property: property.into(), why: why.into() }
    }
}

impl From<&Defect> for TypeError {
    fn from(defect: &Defect) -> Self {
        Self::Defect(defect.to_string())
    }
}

/// A type of Ostrom's, as a STIX object.
pub trait Shared: Serialize + DeserializeOwned {
    /// What it is called in messages: `a flaw`.
    const WHAT: &'static str;
    /// The STIX types that it can have.
    const KINDS: &'static [&'static str];

    /// The common properties.
    fn common(&self) -> &Common;

    /// The common properties.
    fn common_mut(&mut self) -> &mut Common;

    /// Whether the type's own properties hold what they should.
    ///
    /// # Errors
    /// The first that does not.
    fn check(&self) -> Result<(), TypeError>;

    /// Reads it out of an object. What it does not know stays in [`Common::other`].
    ///
    /// # Errors
    /// If the object is of another type, or a property does not hold what it should.
    fn parse(object: &Object) -> Result<Self, TypeError> {
        if !Self::KINDS.contains(&object.kind()) {
            return Err(TypeError::Other { found: object.kind().to_owned(), wanted: Self::WHAT });
        }
        let parsed = Self::deserialize(Value::Object(object.map().clone())).map_err(|error| {
            TypeError::property(Self::WHAT, error.to_string().chars().take(200).collect::<String>())
        })?;
        parsed.check()?;
        Ok(parsed)
    }

    /// Writes it as a STIX object, which is valid.
    ///
    /// # Errors
    /// If a property does not hold what it should.
    fn write(&self) -> Result<Object, TypeError> {
        self.check()?;
        let bytes = serde_json::to_vec(self).map_err(|error| TypeError::Defect(error.to_string()))?;
        let object =
            Object::read(&bytes, &Limits::default()).map_err(|error| TypeError::Defect(error.to_string()))?;
        match check(&object).first() {
            Some(defect) => Err(defect.into()),
            None => Ok(object),
        }
    }
}

/// Refuses a text that is empty or longer than `most` characters.
pub(super) fn bounded(property: &str, text: &str, most: usize) -> Result<(), TypeError> {
    if text.trim().is_empty() {
        return Err(TypeError::property(property, "must not be empty"));
    }
    if text.chars().count() > most {
        return Err(TypeError::property(property, format!("has more than {most} characters")));
    }
    Ok(())
}

/// Longest name.
pub(super) const NAME: usize = 500;
/// Longest text.
pub(super) const TEXT: usize = 100_000;

pub(super) fn named(name: &str, description: Option<&str>) -> Result<(), TypeError> {
    bounded("name", name, NAME)?;
    description.map_or(Ok(()), |text| bounded("description", text, TEXT))
}
