//! Bundles and envelopes, taken apart.

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::object::Object;
use super::read::{Limits, ReadError};

/// What a bundle or TAXII envelope holds: the bytes of each object, as they stand in it.
#[derive(Debug)]
pub struct Envelope<'a> {
    /// The bytes of each object, in their order.
    pub objects: Vec<&'a [u8]>,
    /// The bundle's `type`; a TAXII envelope has none.
    pub kind: Option<String>,
}

/// One object of an envelope: read, or why it could not be.
#[derive(Debug)]
pub struct Item {
    /// Its place, from 0.
    pub index: usize,
    /// The object.
    pub object: Result<Object, ReadError>,
}

impl<'a> Envelope<'a> {
    /// Finds the objects of a bundle (`{"type": "bundle", "objects": […]}`), a TAXII envelope (`{"objects": […]}`), or takes the whole
    /// for a single object if it has neither shape.
    ///
    /// # Errors
    /// If it is too long, is not JSON, holds too many objects, or says `objects` twice.
    pub fn read(bytes: &'a [u8], limits: &Limits) -> Result<Self, ReadError> {
        let (found, limit) = (bytes.len(), limits.envelope);
        if found > limit {
            return Err(ReadError::TooLong { what: "a bundle", found, limit });
        }
        let wrong = |error: String| ReadError::Json(error.chars().take(200).collect());
        let text = std::str::from_utf8(bytes).map_err(|error| wrong(error.to_string()))?;
        let mut reader = serde_json::Deserializer::from_str(text);
        let shape = Shape::deserialize(&mut reader).map_err(|error| wrong(error.to_string()))?;
        reader.end().map_err(|error| wrong(error.to_string()))?;
        match (shape.objects, shape.kind.as_deref()) {
            (Some(objects), kind @ (None | Some("bundle"))) => {
                if objects.len() > limits.objects {
                    return Err(ReadError::TooMany(limits.objects));
                }
                let objects = objects.into_iter().map(|raw| raw.get().as_bytes()).collect();
                Ok(Self { objects, kind: kind.map(ToOwned::to_owned) })
            }
            (None, Some("bundle")) if !shape.odd => {
                Ok(Self { objects: Vec::new(), kind: Some("bundle".to_owned()) })
            }
            (_, Some(kind)) if kind != "bundle" => {
                Ok(Self { objects: vec![text.trim_matches(JSON_SPACE).as_bytes()], kind: None })
            }
            (None, None) if shape.keys == 0 => Ok(Self { objects: Vec::new(), kind: None }),
            _ => Err(ReadError::Shape(
                "neither a STIX object nor a bundle or envelope: send {\"objects\": […]}".to_owned(),
            )),
        }
    }

    /// Reads each object.
    pub fn items(&self, limits: &Limits) -> impl Iterator<Item = Item> {
        self.objects
            .iter()
            .enumerate()
            .map(|(index, bytes)| Item { index, object: Object::read(bytes, limits) })
    }
}

const JSON_SPACE: &[char] = &[' ', '\t', '\n', '\r'];

#[derive(Default)]
struct Shape<'a> {
    objects: Option<Vec<&'a RawValue>>,
    kind: Option<String>,
    /// `objects` is not a list.
    odd: bool,
    keys: usize,
}

/// Far more than anybody's limit, so that a hostile list is not gathered to the end.
const MOST_OBJECTS: usize = 1_000_000;

struct Objects<'a>(Vec<&'a RawValue>);

impl<'de> Deserialize<'de> for Objects<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Objects<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list of objects")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Objects<'de>, A::Error> {
                let mut list = Vec::new();
                while let Some(raw) = access.next_element::<&'de RawValue>()? {
                    if list.len() >= MOST_OBJECTS {
                        return Err(A::Error::custom("too many objects"));
                    }
                    list.push(raw);
                }
                Ok(Objects(list))
            }
        }
        deserializer.deserialize_seq(List)
    }
}

impl<'de> Deserialize<'de> for Shape<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Shape<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a STIX object, a bundle or a TAXII envelope")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Shape<'de>, A::Error> {
                let mut shape = Shape::default();
                while let Some(key) = access.next_key::<String>()? {
                    shape.keys += 1;
                    match key.as_str() {
                        "objects" if shape.objects.is_some() => {
                            return Err(A::Error::custom("the key \"objects\" stands twice"));
                        }
                        "type" if shape.kind.is_some() => {
                            return Err(A::Error::custom("the key \"type\" stands twice"));
                        }
                        // A single observed-data of STIX 2.0 has a dictionary here.
                        "objects" => match access.next_value::<&'de RawValue>()? {
                            raw if raw.get().starts_with('[') => {
                                let Objects(list) =
                                    serde_json::from_str(raw.get()).map_err(A::Error::custom)?;
                                shape.objects = Some(list);
                            }
                            _ => shape.odd = true,
                        },
                        "type" => shape.kind = Some(access.next_value()?),
                        _ => {
                            access.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(shape)
            }
        }
        deserializer.deserialize_map(Keys)
    }
}
