//! JSON that two readers cannot read in two ways: no name twice in an object, and not too deep.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// The most values in one text.
const VALUES: usize = 4 << 20;

/// Whether `bytes` are one JSON value, in UTF-8, nested at most `depth` deep, with no name twice in an object.
///
/// # Errors
/// What is wrong, and where.
pub fn check(bytes: &[u8], depth: usize) -> Result<(), String> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| format!("not UTF-8 from byte {} on", error.valid_up_to()))?;
    let mut left = VALUES;
    let mut reader = serde_json::Deserializer::from_str(text);
    Strict { depth, left: &mut left }.deserialize(&mut reader).map_err(|error| error.to_string())?;
    reader.end().map_err(|error| error.to_string())
}

struct Strict<'a> {
    depth: usize,
    left: &'a mut usize,
}

impl Strict<'_> {
    fn inside(&mut self) -> Option<Strict<'_>> {
        Some(Strict { depth: self.depth.checked_sub(1)?, left: self.left })
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        *self.left = self.left.checked_sub(1).ok_or_else(|| D::Error::custom("too many values"))?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        loop {
            let Some(inside) = self.inside() else { return Err(A::Error::custom("nested too deep")) };
            if list.next_element_seed(inside)?.is_none() {
                return Ok(());
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut names = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            let Some(inside) = self.inside() else { return Err(A::Error::custom("nested too deep")) };
            map.next_value_seed(inside)?;
            if let Some(twice) = names.replace(name) {
                let twice: String = twice.chars().take(80).collect();
                return Err(A::Error::custom(format!("the name {twice:?} stands twice in an object")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_two_readers_could_read_in_two_ways_is_refused() {
        check(br#"{"a":[1,-2,0.5,"x",null,true,{"a":{}}],"b":{}}"#, 8).unwrap();
        for bad in [
            &br#"{"a":1,"a":2}"#[..],
            br#"{"a":1,"\u0061":2}"#,
            br#"[{"x":{"a":1,"a":2}}]"#,
            b"{\"a\":\"\xff\"}",
            b"{} {}",
            b"",
            b"{\"a\":1",
            b"[NaN]",
        ] {
            assert!(check(bad, 8).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        check(deep(8).as_bytes(), 8).unwrap();
        assert!(check(deep(9).as_bytes(), 8).is_err());
        assert!(check(deep(1_000_000).as_bytes(), 8).is_err());
    }

    proptest! {
        #[test]
        fn nothing_panics_and_what_is_taken_is_json(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if check(&bytes, 8).is_ok() {
                prop_assert!(serde_json::from_slice::<serde_json::Value>(&bytes).is_ok());
            }
        }

        #[test]
        fn what_serde_writes_is_taken(map in proptest::collection::btree_map("\\PC{0,8}", any::<i32>(), 0..8)) {
            prop_assert!(check(&serde_json::to_vec(&map).unwrap(), 8).is_ok());
        }
    }
}
