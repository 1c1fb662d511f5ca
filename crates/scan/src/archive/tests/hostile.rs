//! Whatever the bytes are, the examination ends, within its bounds.

use proptest::prelude::*;

use super::run;
use super::write::*;
use crate::Limits;

fn tight() -> Limits {
    Limits { depth: 4, unpacked: 1 << 20, members: 200, held: 1 << 16, findings: 50 }
}

fn examples() -> Vec<Vec<u8>> {
    let text = b"some text, some text, some text".repeat(4);
    let inner = zip(&[deflated("a.txt", &text), streamed(stored("b", b"2"), true, false)]);
    vec![
        inner.clone(),
        zip64(&[streamed(deflated("x", &inner), true, true), stored("d/", b"")]),
        torch(&[("m/data.pkl", b"\x80\x02."), ("m/data/0", &text), ("m/version", b"3")]),
        tar(&[
            tar_item("a", b'0', "", &inner),
            tar_item("l", b'2', "a", b""),
            tar_item("x", b'x', "", b"10 path=b\n"),
        ])[..4096]
            .to_vec(),
        gzip(&tar(&[tar_item("a", b'0', "", &text)])),
        zlib(&text),
        [b"ZF0x7c               ".to_vec(), zlib(&text)].concat(),
        ruzstd::encoding::compress_to_vec(text.as_slice(), ruzstd::encoding::CompressionLevel::Fastest),
    ]
}

#[test]
fn no_archive_cut_at_any_byte_panics() {
    for bytes in examples() {
        for len in 0..bytes.len() {
            run(&tight(), "x.pt", bytes[..len].to_vec());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_archive_with_changed_bytes_panics(
        index in 0..8_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
    ) {
        let mut bytes = examples().swap_remove(index);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let outcome = run(&tight(), "x.keras", bytes);
        prop_assert!(outcome.findings.len() <= 50);
    }

    #[test]
    fn no_bytes_behind_a_mark_panic(
        mark in prop::sample::select(vec![
            &b"PK\x03\x04"[..], b"PK\x05\x06", b"\x1f\x8b\x08\0\0\0\0\0\0\xff", b"\x78\x9c", b"ZF0x10               ",
            b"BZh91AY&SY", b"\xfd7zXZ\0", b"\x5d\0\0\x80\0", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18", b"\x50\x2a\x4d\x18",
        ]),
        rest in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        run(&tight(), "x", [mark, &rest].concat());
    }

    #[test]
    fn members_come_out_as_they_went_in(contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..5)) {
        let items: Vec<_> = contents
            .iter()
            .enumerate()
            .map(|(n, bytes)| {
                let name = format!("{n}");
                match n % 3 {
                    0 => stored(&name, bytes),
                    1 => deflated(&name, bytes),
                    _ => streamed(deflated(&name, bytes), true, n % 2 == 0),
                }
            })
            .collect();
        let found = run(&Limits::default(), "x.zip", zip(&items)).findings;
        prop_assert!(found.iter().all(|finding| finding.place.contains('!')), "{:?}", found);
    }
}
