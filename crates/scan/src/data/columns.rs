//! Tables in columns: Parquet and Arrow (IPC files, IPC streams, Feather). Their rows are not looked at; their schema is, since
//! Arrow's readers once unpickled a part of it.
//!
//! Sources: Apache Parquet's and Apache Arrow's format documents; CVE-2023-47248.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::{PICKLE, ROWS};
use crate::detect::{Match, Probe};
use crate::examination::Examination;
use crate::source::View;
use crate::trouble::Trouble;

const PARQUET: &[u8] = b"PAR1";
/// A Parquet file whose footer is encrypted.
const SEALED: &[u8] = b"PARE";
const ARROW: &[u8] = b"ARROW1";
const FEATHER: &[u8] = b"FEA1";
/// What each message of an Arrow stream begins with.
const CONTINUES: [u8; 4] = [0xff; 4];
/// The name of the extension type whose description is a pickle.
const PYTHON_TYPE: &[u8] = b"arrow.py_extension_type";

pub(super) fn detect_parquet(probe: &Probe<'_>) -> Result<Match, Trouble> {
    if probe.head.starts_with(PARQUET) || probe.head.starts_with(SEALED) {
        return Ok(Match::Strong);
    }
    // Readers look at the end alone.
    let tail = match probe.view.len().checked_sub(4).filter(|at| *at >= 8) {
        Some(at) => probe.view.bytes(at, 4)?,
        None => Vec::new(),
    };
    Ok(if tail == PARQUET || tail == SEALED { Match::Weak } else { Match::No })
}

pub(super) fn examine_parquet(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    let early = || Trouble::malformed(view.len(), "a Parquet file without its footer");
    let at = view.len().checked_sub(8).ok_or_else(early)?;
    let end = view.bytes(at, 8)?;
    if end.ends_with(SEALED) {
        return Err(Trouble::Limit("the footer of the Parquet file is encrypted".to_owned()));
    }
    if !end.ends_with(PARQUET) {
        return Err(early());
    }
    let len = u64::from(word(&end));
    let start = at.checked_sub(len).ok_or_else(early)?;
    schema(view, start, len, scan)?;
    scan.report(ROWS, None, "the columns of the Parquet file were not looked at");
    Ok(())
}

pub(super) fn detect_arrow(probe: &Probe<'_>) -> Result<Match, Trouble> {
    if probe.head.starts_with(b"ARROW1\0\0") || probe.head.starts_with(FEATHER) {
        return Ok(Match::Strong);
    }
    let len = probe.head.get(4..).map_or(0, word);
    let stream = probe.head.starts_with(&CONTINUES)
        && len % 8 == 0
        && (8..1 << 30).contains(&len)
        && u64::from(len) <= probe.view.len().saturating_sub(8);
    Ok(if stream { Match::Weak } else { Match::No })
}

pub(super) fn examine_arrow(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    let head = view.bytes(0, 16)?;
    let early = || Trouble::malformed(view.len(), "an Arrow file without its footer");
    if head.starts_with(FEATHER) {
        // The first version of Feather has no types of Python's; its description stands at the end as Parquet's does.
        let at = view.len().checked_sub(8).ok_or_else(early)?;
        let end = view.bytes(at, 8)?;
        let len = u64::from(word(&end));
        let start = at.checked_sub(len).filter(|_| end.ends_with(FEATHER)).ok_or_else(early)?;
        schema(view, start, len, scan)?;
    } else {
        let file = head.starts_with(ARROW);
        let first = if file { 8 } else { 0 };
        // The first message is the schema. Before version 0.15 it began with its length.
        let mark = view.bytes(first, 8)?;
        let (at, len) = match mark.strip_prefix(&CONTINUES) {
            Some(len) => (first.saturating_add(8), word(len)),
            None => (first.saturating_add(4), word(&mark)),
        };
        schema(view, at, u64::from(len), scan)?;
        if file {
            let at = view.len().checked_sub(10).ok_or_else(early)?;
            let end = view.bytes(at, 10)?;
            let len = u64::from(word(&end));
            let start = at.checked_sub(len).filter(|_| end.ends_with(ARROW)).ok_or_else(early)?;
            schema(view, start, len, scan)?;
        }
    }
    scan.report(ROWS, None, "the columns of the Arrow file were not looked at");
    Ok(())
}

/// Looks for types that are pickles. Parquet has Arrow's schema in Base64.
fn schema(view: &View, at: u64, len: u64, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    let held = scan.limits().held;
    let len = usize::try_from(len).ok().filter(|len| *len <= held);
    let len = len.ok_or_else(|| Trouble::Limit(format!("a schema of more than {held} bytes")))?;
    let bytes = view.exactly(at, len)?;
    let mut marks = vec![PYTHON_TYPE.to_vec()];
    marks.extend((0..3).map(in_base64));
    let place = marks.iter().find_map(|mark| bytes.windows(mark.len()).position(|part| part == mark));
    if let Some(place) = place {
        let what = "its schema has a type of Python's, described by a pickle";
        scan.report(PICKLE, Some(at.saturating_add(place as u64)), what);
    }
    Ok(())
}

/// The name in Base64, `shift` bytes behind the beginning of a group of three: those characters that no neighbour changes.
fn in_base64(shift: usize) -> Vec<u8> {
    let mut bytes = vec![0; shift];
    bytes.extend_from_slice(PYTHON_TYPE);
    let text = STANDARD_NO_PAD.encode(&bytes);
    let from = (shift * 8).div_ceil(6);
    let to = bytes.len() * 8 / 6;
    text.as_bytes().get(from..to).unwrap_or_default().to_vec()
}

fn word(bytes: &[u8]) -> u32 {
    bytes.first_chunk::<4>().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Limits;

    pub(in crate::data) fn verdict(name: &str, bytes: &[u8]) -> (Vec<&'static str>, Vec<String>) {
        let outcome = Examination::run(&Limits::default(), name, &View::new(bytes.to_vec()));
        let found = outcome.findings.iter().map(|finding| finding.rule.to_string()).collect();
        (outcome.formats.into_iter().collect(), found)
    }

    fn parquet(footer: &[u8]) -> Vec<u8> {
        [b"PAR1rows", footer, &(footer.len() as u32).to_le_bytes(), b"PAR1"].concat()
    }

    fn arrow(schema: &[u8], footer: &[u8]) -> Vec<u8> {
        let len = (schema.len() as u32).to_le_bytes();
        let end = (footer.len() as u32).to_le_bytes();
        [b"ARROW1\0\0\xff\xff\xff\xff", &len[..], schema, b"rows", footer, &end, b"ARROW1"].concat()
    }

    #[test]
    fn tables_are_known_and_what_is_not_looked_at_is_said() {
        assert_eq!(
            verdict("a.parquet", &parquet(b"schema")),
            (vec!["parquet"], vec!["data-set-rows".to_owned()])
        );
        assert_eq!(
            verdict("a.arrow", &arrow(b"schema", b"x")),
            (vec!["arrow"], vec!["data-set-rows".to_owned()])
        );
        let stream = [&[0xff_u8; 4][..], &8_u32.to_le_bytes(), b"schema..", b"rest"].concat();
        assert_eq!(verdict("a.arrow", &stream), (vec!["arrow"], vec!["data-set-rows".to_owned()]));
    }

    #[test]
    fn a_schema_that_is_a_pickle_is_found_wherever_it_stands() {
        for shift in 0..3 {
            let schema = STANDARD_NO_PAD.encode([&vec![b'x'; shift][..], PYTHON_TYPE, b"..."].concat());
            let (_, found) = verdict("a.parquet", &parquet(schema.as_bytes()));
            assert!(found.contains(&"data-set-pickle".to_owned()), "{shift}: {found:?}");
        }
        for file in [arrow(PYTHON_TYPE, b""), arrow(b"", PYTHON_TYPE)] {
            assert!(verdict("data", &file).1.contains(&"data-set-pickle".to_owned()));
        }
        // Without the mark at the beginning, which readers do not look at.
        let mut bare = parquet(PYTHON_TYPE);
        bare[..4].copy_from_slice(b"rows");
        assert!(verdict("a.parquet", &bare).1.contains(&"data-set-pickle".to_owned()));
    }

    #[test]
    fn broken_and_encrypted_tables_are_undecided() {
        for file in [
            b"PAR1rows".to_vec(),
            parquet(b"x")[..9].to_vec(),
            b"ARROW1\0\0\xff\xff\xff\xff\x02\0\0\0nofooter".to_vec(),
        ] {
            assert_eq!(verdict("a", &file).1, ["malformed"], "{file:?}");
        }
        assert_eq!(verdict("a.parquet", b"PARErows\x04\0\0\0PARE").1, ["limit"]);
        assert_eq!(
            verdict(
                "a.parquet",
                &parquet(&[0; 3])[..11].iter().chain(b"\xff\xff\xff\xffPAR1").copied().collect::<Vec<_>>()
            )
            .1,
            ["malformed"]
        );
    }

    proptest! {
        #[test]
        fn no_bytes_behind_a_mark_panic(which in 0_usize..5, rest in prop::collection::vec(any::<u8>(), 0..60), tail in 0_usize..3) {
            let mark: &[u8] = [&b"PAR1"[..], b"ARROW1\0\0", b"FEA1", b"\xff\xff\xff\xff", b""][which];
            let end: &[u8] = [&b"PAR1"[..], b"ARROW1", b"FEA1"][tail];
            verdict("a.arrow", &[mark, &rest, end].concat());
        }
    }
}
