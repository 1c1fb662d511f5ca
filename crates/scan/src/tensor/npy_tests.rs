use proptest::prelude::*;

use super::super::testing::{findings, rules};

fn file(version: u8, header: &str, data: usize) -> Vec<u8> {
    let header = format!("{header}\n");
    let length = header.len();
    let length = if version == 1 {
        (length as u16).to_le_bytes().to_vec()
    } else {
        (length as u32).to_le_bytes().to_vec()
    };
    [b"\x93NUMPY".to_vec(), vec![version, 0], length, header.into_bytes(), vec![7; data]].concat()
}

fn header(descr: &str, shape: &str) -> String {
    format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}   ")
}

fn check(descr: &str, shape: &str, data: usize, expect: &[&str]) {
    for version in 1..=3 {
        assert_eq!(rules("a.npy", &file(version, &header(descr, shape), data)), expect, "{descr} {shape}");
    }
}

#[test]
fn what_numpy_writes_is_clean() {
    for (descr, size) in [
        ("'<f4'", 4),
        ("'|b1'", 1),
        ("'>i8'", 8),
        ("'<f16'", 16),
        ("'<c32'", 32),
        ("'|S5'", 5),
        ("'<U3'", 12),
        ("'|V2'", 2),
        ("'<M8[ns]'", 8),
        ("'<m8[25s]'", 8),
        ("[('a', '<i4'), ('b', '<f8', (2,)), ('', '|V4')]", 24),
        ("[(('title', 'name'), '<i2'), ('n', [('x', '|u1'), ('y', '<f4')])]", 7),
        ("('<f4', (3,))", 12),
    ] {
        check(descr, "(2,)", 2 * size, &[]);
        check(descr, "()", size, &[]);
        check(descr, "(3, 0, 18446744073709551615)", 0, &[]);
    }
    check("'<f4'", "(2L, 1L)", 8, &[]);
}

#[test]
fn the_shape_must_give_the_length() {
    check("'<f4'", "(2,)", 7, &["tensor-out-of-bounds"]);
    check("'<f4'", "(2,)", 9, &["tensor-trailing-data"]);
    check("'<f8'", "(4294967296, 4294967296)", 0, &["tensor-size-mismatch"]);
    check("'<f8'", "(9223372036854775807,)", 0, &["tensor-size-mismatch"]);
    check("'<q4'", "(2,)", 8, &["tensor-unknown-type"]);
    check("'<U9223372036854775807'", "(2,)", 8, &["tensor-unknown-type"]);
}

#[test]
fn objects_are_reported_and_their_pickle_is_descended_into() {
    for descr in [
        "'|O'",
        "'O'",
        "'|O8'",
        "[('a', '<i4'), ('b', '|O')]",
        "[('a', [('b', '|O', (2,))])]",
        "('|O', (2,))",
    ] {
        for version in 1..=3 {
            let found = findings("a.npy", &file(version, &header(descr, "(1,)"), 1));
            assert!(found.iter().any(|finding| finding.rule.as_str() == "numpy-object-array"), "{descr}");
            // The bytes that follow are no pickle here, so the descent leaves its mark.
            assert!(found.iter().any(|finding| finding.place == "a.npy!objects.pkl"), "{descr}");
        }
    }
}

#[test]
fn a_header_that_numpy_does_not_write_is_found() {
    for odd in [
        "{'descr': __import__('os').system('id'), 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': [1]}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
        "{'descr': '<f4', 'fortran_order': False}",
        "{'descr': '<f4', 'descr': '|O', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 1}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} or exit()",
        "{'descr': '<' 'f4', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': None, 'fortran_order': False, 'shape': (1,)}",
        "dict(descr='<f4')",
        "",
    ] {
        assert_eq!(rules("a.npy", &file(1, odd, 4)), ["numpy-header"], "{odd}");
    }
    let deep = header(&"(".repeat(10_000), "(1,)");
    assert_eq!(rules("a.npy", &file(1, &deep, 4)), ["numpy-header"]);
}

#[test]
fn arrays_that_follow_one_another_are_all_examined() {
    let one = file(1, &header("'<f4'", "(2,)"), 8);
    assert_eq!(rules("a.npy", &[one.clone(), one.clone(), one.clone()].concat()), ["numpy-several-arrays"]);
    let objects = file(1, &header("'|O'", "(2,)"), 8);
    let found = rules("a.npy", &[one, objects].concat());
    assert!(
        found.contains(&"numpy-object-array".to_owned())
            && found.contains(&"numpy-several-arrays".to_owned())
    );
}

#[test]
fn versions_and_lengths_are_bounded() {
    assert_eq!(rules("a.npy", b"\x93NUMPY\x04\0\x10\0\0\0"), ["malformed"]);
    assert_eq!(rules("a.npy", b"\x93NUMPY\x01\x01\x10\0"), ["malformed"]);
    assert_eq!(rules("a.npy", b"\x93NUMPY\x02\0\xff\xff\xff\xff"), ["malformed"]);
    assert_eq!(rules("a.npy", &file(2, &" ".repeat(2 << 20), 0)), ["limit"]);
    assert_eq!(rules("a.npy", &[file(3, "", 0), b"\xff".to_vec()].concat()).len(), 1);
}

#[test]
fn cut_anywhere_it_is_a_finding() {
    let bytes = file(1, &header("[('a', '<i4'), ('b', '<f8', (2,))]", "(2,)"), 40);
    assert_eq!(rules("a.npy", &bytes), [""; 0]);
    for cut in 1..bytes.len() {
        assert!(!findings("a.npy", &bytes[..cut]).is_empty(), "cut at {cut}");
    }
}

proptest! {
    #[test]
    fn no_bytes_stop_the_examination(place in 0usize..200, byte: u8, junk: Vec<u8>, text in "[{}()\\[\\]',:a-zA-Z0-9 \\\\|<]{0,80}") {
        let mut bytes = file(1, &header("[('a', '<i4'), ('b', '<f8', (2,))]", "(2,)"), 40);
        let place = place % bytes.len();
        bytes[place] = byte;
        findings("a.npy", &bytes);
        findings("a.npy", &[b"\x93NUMPY".to_vec(), junk].concat());
        findings("a.npy", &file(3, &text, 8));
        findings("a.npy", &file(3, &header(&text, "(1,)"), 8));
    }
}
