//! MessagePack, as Flax writes models: read to its end, so that nothing but values is in it.
//!
//! Source: the MessagePack specification; Flax's extension types 1 (array), 2 (complex number) and 3 (numpy scalar).

use super::super::rules::{LIMIT, UNKNOWN};
use super::ARRAY_PICKLE;
use crate::detect::{Match, Probe};
use crate::examination::Examination;
use crate::pickle;
use crate::source::View;
use crate::text::base_name;
use crate::trouble::Trouble;

/// How deep values may lie in one another. A level takes one number, so that this bounds time, not memory.
const DEPTH: usize = 512;

/// Names under which spaCy writes MessagePack, without an extension of its own.
const NAMES: [&str; 8] = [
    "model",
    "key2row",
    "vectors",
    "tokenizer",
    "lookups.bin",
    "strings.msg",
    "patterns",
    "trainable_lemmatizer",
];

/// There is no mark: what has the name is one. Names that others use too go with a collection that ends where the file does.
pub(super) fn detect(probe: &Probe<'_>) -> Result<Match, Trouble> {
    let name = base_name(probe.name);
    let collection = matches!(probe.head.first(), Some(0x80..=0x9f | 0xdc..=0xdf));
    let inside = name.ends_with(".spacy") || NAMES.contains(&&*name);
    Ok(match probe.view.len() {
        0 => Match::No,
        _ if probe.extension() == "msgpack" => Match::Weak,
        _ if collection && inside && is_one(probe.view)? => Match::Strong,
        _ => Match::No,
    })
}

/// Whether the bytes are one value, and nothing else.
fn is_one(view: &View) -> Result<bool, Trouble> {
    match walk(view, &mut |_, _| Ok(())) {
        Ok(values) => Ok(values == 1),
        Err(Trouble::Malformed { .. } | Trouble::Limit(_)) => Ok(false),
        Err(other) => Err(other),
    }
}

/// What a value is, by its first byte.
enum Next {
    /// So many bytes, which hold nothing.
    Skip(u64),
    /// So many values follow.
    Values(u64),
    /// An extension of this type and length.
    Extension(i8, u64),
}

/// Bytes that are read at a time: most values take one or two.
const WINDOW: usize = 64 << 10;
/// What a value says of itself: its first byte, and a length with a type.
const HEAD: usize = 6;

/// The bytes around the value that comes next.
struct Window<'a> {
    view: &'a View,
    bytes: Vec<u8>,
    start: u64,
}

impl Window<'_> {
    /// The first bytes of the value at `at`, fewer at the end of the file.
    fn head(&mut self, at: u64) -> Result<&[u8], Trouble> {
        let held = |window: &Self| {
            let from = usize::try_from(at.checked_sub(window.start)?).ok()?;
            (from.checked_add(HEAD)? <= window.bytes.len()).then_some(from)
        };
        let from = match held(self) {
            Some(from) => from,
            None => {
                self.bytes = self.view.bytes(at, WINDOW)?;
                self.start = at;
                0
            }
        };
        let to = from.saturating_add(HEAD).min(self.bytes.len());
        self.bytes.get(from..to).ok_or(Trouble::Changed)
    }
}

/// The most values of one file that are looked at as pickles.
const PICKLES: usize = 1000;

pub(super) fn examine(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    let mut told = false;
    let (mut before, mut objects) = (Vec::new(), None);
    let mut pickles = Vec::new();
    let mut more = false;
    let result = walk(view, &mut |at, value| {
        let said = match value {
            Item::Bytes(len) => {
                // msgpack-numpy unpickles the `data` of arrays whose `kind` is that of objects.
                if before == b"data" && len > 0 {
                    more |= pickles.len() >= PICKLES;
                    pickles.extend((pickles.len() < PICKLES).then_some((at, len)));
                }
                let text =
                    if len <= 4 { view.exactly(at, usize::try_from(len).unwrap_or(0))? } else { Vec::new() };
                if before == b"kind" && text == b"O" {
                    objects = objects.or(Some(at));
                }
                text
            }
            Item::Extension(kind) => {
                if !(1..=3).contains(&kind) && kind != -1 && !told {
                    told = true;
                    scan.report(UNKNOWN, Some(at), format!("a value of the extension type {kind}"));
                }
                Vec::new()
            }
            Item::Other => Vec::new(),
        };
        before = said;
        Ok(())
    });
    if let Some(at) = objects {
        scan.report(ARRAY_PICKLE, Some(at), "an array of objects, which msgpack-numpy unpickles");
        if more {
            scan.report(LIMIT, None, format!("more than {PICKLES} arrays, any of which may be a pickle"));
        }
        for (at, len) in pickles {
            let Some(part) = view.part(at, len) else { continue };
            scan.within(&format!("data at {at}"), |scan| {
                let result = pickle::examine(&part, scan);
                scan.settle(result);
            });
        }
    }
    result.map(drop)
}

/// What stands at a place.
enum Item {
    /// A text or bytes of this length.
    Bytes(u64),
    /// An extension of this type.
    Extension(i8),
    Other,
}

/// Goes through all values, with the place of what is in each. Says how many there are that lie in no other.
fn walk(view: &View, each: &mut dyn FnMut(u64, Item) -> Result<(), Trouble>) -> Result<u64, Trouble> {
    let mut at = 0_u64;
    // How many values are still to come on each level.
    let mut open: Vec<u64> = Vec::new();
    let mut whole = 0_u64;
    let mut window = Window { view, bytes: Vec::new(), start: 0 };
    while at < view.len() {
        let head = window.head(at)?;
        let is_bytes = matches!(head.first(), Some(0xa0..=0xbf | 0xc4..=0xc6 | 0xd9..=0xdb));
        match next(head, &mut at)? {
            Next::Values(0) => each(at, Item::Other)?,
            Next::Values(count) => {
                if open.len() >= DEPTH {
                    return Err(Trouble::Limit(format!("values lie more than {DEPTH} deep in one another")));
                }
                open.push(count);
                each(at, Item::Other)?;
                continue;
            }
            Next::Skip(len) => {
                let end = skip(view, at, len)?;
                each(at, if is_bytes { Item::Bytes(len) } else { Item::Other })?;
                at = end;
            }
            Next::Extension(kind, len) => {
                let end = skip(view, at, len)?;
                each(at, Item::Extension(kind))?;
                at = end;
            }
        }
        // A value is whole, and with it perhaps what it was the last of.
        while let Some(left) = open.last_mut() {
            *left = left.saturating_sub(1);
            if *left > 0 {
                break;
            }
            open.pop();
        }
        whole = whole.saturating_add(open.is_empty().into());
    }
    if open.is_empty() { Ok(whole) } else { Err(Trouble::malformed(at, "ends within a value")) }
}

fn skip(view: &View, at: u64, len: u64) -> Result<u64, Trouble> {
    let end = at.checked_add(len).filter(|end| *end <= view.len());
    end.ok_or_else(|| Trouble::malformed(at, "ends within a value"))
}

/// Reads the beginning of a value, and moves `at` behind it.
fn next(head: &[u8], at: &mut u64) -> Result<Next, Trouble> {
    let start = *at;
    let first = head.first().copied().unwrap_or_default();
    let mut size = |width: usize| -> Result<u64, Trouble> {
        let bytes = head.get(1..=width).ok_or_else(|| Trouble::malformed(start, "ends within a value"))?;
        *at = start.saturating_add(1 + width as u64);
        Ok(bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    };
    let low = u64::from(first & 0x0f);
    Ok(match first {
        0x00..=0x7f | 0xc0 | 0xc2 | 0xc3 | 0xe0..=0xff => Next::Skip(size(0)?),
        0x80..=0x8f => {
            size(0)?;
            Next::Values(low * 2)
        }
        0x90..=0x9f => {
            size(0)?;
            Next::Values(low)
        }
        0xa0..=0xbf => {
            size(0)?;
            Next::Skip(u64::from(first & 0x1f))
        }
        0xc4 | 0xd9 => Next::Skip(size(1)?),
        0xc5 | 0xda => Next::Skip(size(2)?),
        0xc6 | 0xdb => Next::Skip(size(4)?),
        0xcc | 0xd0 => Next::Skip(size(0)?.saturating_add(1)),
        0xcd | 0xd1 => Next::Skip(size(0)?.saturating_add(2)),
        0xca | 0xce | 0xd2 => Next::Skip(size(0)?.saturating_add(4)),
        0xcb | 0xcf | 0xd3 => Next::Skip(size(0)?.saturating_add(8)),
        0xdc => Next::Values(size(2)?),
        0xdd => Next::Values(size(4)?),
        0xde => Next::Values(size(2)?.saturating_mul(2)),
        0xdf => Next::Values(size(4)?.saturating_mul(2)),
        // The type stands behind the length.
        0xd4..=0xd8 => {
            let kind = size(1)?;
            Next::Extension(kind_of(kind), 1 << (first - 0xd4))
        }
        0xc7 => {
            let both = size(2)?;
            Next::Extension(kind_of(both), both >> 8)
        }
        0xc8 => {
            let both = size(3)?;
            Next::Extension(kind_of(both), both >> 8)
        }
        0xc9 => {
            let both = size(5)?;
            Next::Extension(kind_of(both), both >> 8)
        }
        0xc1 => return Err(Trouble::malformed(start, "0xc1 begins no value")),
    })
}

fn kind_of(number: u64) -> i8 {
    i8::from_le_bytes([number.to_le_bytes()[0]])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::data::columns::tests::verdict;

    #[test]
    fn a_model_of_flax_is_read_to_its_end() {
        // {"params": {"w": ext 1 of 5 bytes, "b": [1, -1, 1.5, nil, true, bin]}}
        let model = b"\x81\xa6params\x82\xa1w\xc7\x05\x01abcde\xa1b\x96\x01\xff\xcb\0\0\0\0\0\0\0\0\xc0\xc3\xc4\x02xy";
        assert_eq!(verdict("flax_model.msgpack", model), (vec!["msgpack"], vec![]));
        for len in 1..model.len() {
            assert_eq!(verdict("flax_model.msgpack", &model[..len]).1, ["malformed"], "{len}");
        }
        assert_eq!(verdict("m.msgpack", b"\x81\xa1a\xc1").1, ["malformed"]);
        assert_eq!(verdict("m.msgpack", b"\xd4\x2ax").1, ["unknown-format"]);
        assert_eq!(verdict("m.msgpack", &[0x91; 1000]).1, ["limit"]);
    }

    #[test]
    fn an_array_of_objects_is_a_pickle() {
        let array = |kind: &[u8], data: &[u8]| {
            let length = u8::try_from(data.len()).unwrap();
            [b"\x83\xc4\x02nd\xc3\xc4\x04kind\xc4\x01", kind, b"\xc4\x04data\xc4", &[length], data].concat()
        };
        let call = b"cos\nsystem\n(S'echo'\ntR.";
        let found = verdict("m.msgpack", &array(b"O", call)).1;
        assert!(
            found.contains(&"msgpack-pickle".to_owned())
                && found.contains(&"pickle-dangerous-call".to_owned()),
            "{found:?}"
        );
        assert_eq!(verdict("m.msgpack", &array(b"O", b"N.")).1, ["msgpack-pickle"]);
        assert!(verdict("m.msgpack", &array(b"V", call)).1.is_empty());
    }

    #[test]
    fn what_spacy_writes_is_known_by_its_name_and_its_end() {
        for name in ["vocab/key2row", "textcat/model", "vectors"] {
            assert_eq!(verdict(name, b"\x80").0, ["msgpack"], "{name}");
            assert_eq!(verdict(name, b"\x82\xa1a\x01\xa1b\x92\x01\x02").0, ["msgpack"], "{name}");
            assert!(!verdict(name, b"\x82\xa1a\x01\xa1b\x92\x01\x02\x03").1.is_empty(), "{name}");
        }
        assert!(!verdict("other", b"\x80").1.is_empty());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            verdict("m.msgpack", &bytes);
        }
    }
}
