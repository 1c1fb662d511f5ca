use proptest::prelude::*;

use super::super::testing::{findings, rules};

fn file(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

fn check(header: &str, data: usize, expect: &[&str]) {
    assert_eq!(rules("model.safetensors", &file(header, &vec![7; data])), expect, "{header}");
}

#[test]
fn what_the_reference_writes_is_clean() {
    check("{}      ", 0, &[]);
    check(
        r#"{"__metadata__":{"format":"pt","url":"https://example.org/x"},"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"b":{"dtype":"U8","shape":[3],"data_offsets":[16,19]}}   "#,
        19,
        &[],
    );
    // Scalars, empty tensors, and elements of less than a byte.
    check(
        r#"{"a":{"dtype":"F64","shape":[],"data_offsets":[0,8]},"e":{"dtype":"I64","shape":[0,9],"data_offsets":[8,8]},"f":{"dtype":"F4","shape":[4],"data_offsets":[8,10]},"g":{"dtype":"F6_E2M3","shape":[4],"data_offsets":[10,13]}}"#,
        13,
        &[],
    );
    for (dtype, bytes) in
        [("BOOL", 1), ("F8_E4M3", 1), ("BF16", 2), ("U16", 2), ("I32", 4), ("C64", 8), ("U64", 8)]
    {
        check(
            &format!(r#"{{"a":{{"dtype":"{dtype}","shape":[1],"data_offsets":[0,{bytes}]}}}}"#),
            bytes,
            &[],
        );
    }
}

#[test]
fn a_file_is_known_without_its_extension() {
    let bytes = file(r#"{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,2]}}"#, &[1, 2]);
    assert_eq!(rules("weights", &bytes), ["tensor-size-mismatch"]);
}

#[test]
fn names_that_occur_twice_are_found_at_every_level() {
    let tensor = r#"{"dtype":"U8","shape":[0],"data_offsets":[0,0]}"#;
    check(&format!(r#"{{"a":{tensor},"\u0061":{tensor}}}"#), 0, &["tensor-duplicate-name"]);
    check(r#"{"__metadata__":{"a":"1","a":"2"}}"#, 0, &["tensor-duplicate-name"]);
    check(r#"{"__metadata__":{},"__metadata__":{}}"#, 0, &["tensor-duplicate-name"]);
    check(
        r#"{"a":{"dtype":"U8","dtype":"I8","shape":[0],"data_offsets":[0,0]}}"#,
        0,
        &["tensor-duplicate-name"],
    );
}

#[test]
fn places_must_fit_the_data_exactly() {
    let two = |b: &str| {
        format!(
            r#"{{"a":{{"dtype":"U8","shape":[4],"data_offsets":[0,4]}},"b":{{"dtype":"U8","shape":[4],"data_offsets":[{b}]}}}}"#
        )
    };
    check(&two("4,8"), 8, &[]);
    check(&two("2,6"), 6, &["tensor-overlap"]);
    check(&two("5,9"), 9, &["tensor-hole"]);
    check(&two("4,8"), 9, &["tensor-trailing-data"]);
    check(&two("4,8"), 7, &["tensor-out-of-bounds", "tensor-trailing-data"]);
    check(&two("8,4"), 4, &["tensor-out-of-bounds"]);
    check(&two("4,18446744073709551615"), 4, &["tensor-out-of-bounds"]);
    check("{}", 5, &["tensor-trailing-data"]);
    check(r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}"#, 2, &["tensor-hole"]);
}

#[test]
fn shapes_must_give_the_length() {
    let one = |dtype: &str, shape: &str, end: u64| {
        format!(r#"{{"a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[0,{end}]}}}}"#)
    };
    check(&one("F32", "[2]", 4), 4, &["tensor-size-mismatch"]);
    check(&one("F4", "[3]", 2), 2, &["tensor-size-mismatch"]);
    check(&one("U8", "[4294967296,4294967296]", 0), 0, &["tensor-size-mismatch"]);
    check(&one("F64", "[9223372036854775807]", 8), 8, &["tensor-size-mismatch"]);
    check(&one("Q9", "[1]", 1), 1, &["tensor-unknown-type"]);
    check(&one("U8", "[-1]", 1), 1, &["malformed"]);
    check(&one("U8", "[1.0]", 1), 1, &["malformed"]);
    check(&one("U8", "[1e0]", 1), 1, &["malformed"]);
}

#[test]
fn headers_that_loaders_read_differently_are_found() {
    check("\t{}", 0, &["tensor-nonstandard-header"]);
    check("{}\n", 0, &["tensor-nonstandard-header"]);
    check(r#"{"__metadata__":{"a":1,"b":[{}],"c":null}}"#, 0, &["tensor-nonstandard-header"]);
    check(
        r#"{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"code":{"x":[1]}}}"#,
        0,
        &["tensor-nonstandard-header"],
    );
    for broken in ["{", "{} {}", "{}\0", r#"{"a":1}"#, r#"{"a":{}}"#, r#"{"__metadata__":[]}"#, "{'a':1}"] {
        check(broken, 0, &["malformed"]);
    }
    check("[]", 0, &["malformed", "tensor-nonstandard-header"]);
}

#[test]
fn the_header_is_bounded() {
    assert_eq!(rules("a.safetensors", b""), ["malformed"]);
    assert_eq!(rules("a.safetensors", &[0xff; 64]), ["malformed"]);
    assert_eq!(rules("a.safetensors", &[&9u64.to_le_bytes()[..], b"{}"].concat()), ["malformed"]);
    let long = format!(r#"{{"{}":1}}"#, "x".repeat(17 << 20));
    assert_eq!(rules("a.safetensors", &file(&long, &[])), ["limit"]);
    let many = file("{}", &vec![0; 100_000_001]);
    let mut over = many;
    over[..8].copy_from_slice(&100_000_001u64.to_le_bytes());
    assert_eq!(rules("a.safetensors", &over), ["limit"]);
}

#[test]
fn metadata_is_read_for_what_it_hides() {
    check("{\"__metadata__\":{\"note\":\"a\\u202eb\"}}", 0, &["tensor-hidden-text"]);
    check(r#"{"__metadata__":{"x":"import os; os.system('id')"}}"#, 0, &["tensor-metadata-code"]);
    check(r#"{"__metadata__":{"x":"gASVIAAAAAAAAACMBXBvc2l4lIwGc3lzdGVt"}}"#, 0, &["tensor-metadata-code"]);
    check(
        r#"{"__metadata__":{"modelspec.thumbnail":"data:image/jpeg;base64,/9j/4AAQ","ss_tag_frequency":"{\"a\": {\"1girl\": 3}}","modelspec.description":"<p>made for fun</p>"}}"#,
        0,
        &[],
    );
    let name = r#"{"a\u200bb":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}"#;
    check(name, 0, &["tensor-hidden-text"]);
}

fn honest() -> Vec<u8> {
    file(
        r#"{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"b":{"dtype":"U8","shape":[3],"data_offsets":[16,19]}}   "#,
        &[7; 19],
    )
}

#[test]
fn cut_anywhere_it_is_a_finding() {
    let bytes = honest();
    assert_eq!(rules("a.safetensors", &bytes), [""; 0]);
    for cut in 0..bytes.len() {
        assert!(!findings("a.safetensors", &bytes[..cut]).is_empty(), "cut at {cut}");
    }
}

proptest! {
    #[test]
    fn no_bytes_stop_the_examination(place in 0usize..170, byte: u8, junk: Vec<u8>) {
        let mut bytes = honest();
        let place = place % bytes.len();
        bytes[place] = byte;
        findings("a.safetensors", &bytes);
        findings("a.safetensors", &junk);
        let header = String::from_utf8_lossy(&junk).into_owned();
        findings("a.safetensors", &file(&format!("{{\"{header}"), &[]));
    }
}
