//! What is found in HDF5 files.

use ostrom_core::Severity::{self, Critical, High, Info, Low, Medium};
use proptest::prelude::*;

use super::fixture::{
    Fixture, bytes_type, committed, external, filters, fixed, hard, join, number, record_type, references,
    special, text_type, typed, variable,
};
use crate::keras::testing::{check, scan};

const LAMBDA: &str = r#"{"class_name": "Sequential", "config": {"layers": [{"class_name": "Lambda", "config":
    {"name": "l", "function": ["4wEAAAAAAAAAAAAAAAABAAAABAAAAEMAAABzDAAAAHQAAKABZAGhAQEAZAJTAA==", null, null],
     "function_type": "lambda"}}]}}"#;
const HONEST: &str = r#"{"class_name": "Sequential", "config": {"layers": [{"class_name": "Dense", "config":
    {"units": 2, "activation": "relu"}}]}}"#;

/// A file with this configuration in each of the ways that an attribute can be kept.
fn configured(config: &str) -> Vec<(&'static str, Vec<u8>)> {
    let mut files = Vec::new();
    for (name, make) in [("old", Fixture::old as fn() -> Fixture), ("new", Fixture::new)] {
        let mut file = make();
        let root = file.object(&[(12, number("n")), (12, fixed("model_config", config))]);
        files.push((name, file.finish(root)));
        let mut file = make();
        let reference = file.variable(config.as_bytes());
        let root = file.continued(&[(12, number("n")), (12, variable("model_config", &reference))]);
        files.push((name, file.finish(root)));
    }
    let mut file = Fixture::new();
    let dense = file.dense(21, &[number("n"), fixed("model_config", config)]);
    let root = file.object(&[dense]);
    files.push(("dense", file.finish(root)));
    files
}

#[test]
fn a_lambda_is_found_however_the_configuration_is_kept() {
    for (name, file) in configured(LAMBDA) {
        check(name, file, &[("keras-lambda", Critical)]);
    }
    for (name, file) in configured(HONEST) {
        check(name, file, &[]);
    }
}

#[test]
fn a_configuration_is_found_in_every_group() {
    let mut file = Fixture::old();
    let inner = file.object(&[(12, fixed("model_config", LAMBDA))]);
    let symbols = file.symbols(&[("a", 0x50_0000_0000), ("model_weights", inner)]);
    let group = file.object(&[symbols]);
    let symbols = file.symbols(&[("group", group)]);
    let root = file.object(&[symbols]);
    let file = file.finish(root);
    let findings = scan("m.h5", file);
    assert!(
        findings
            .iter()
            .any(|f| f.rule.as_str() == "keras-lambda"
                && f.place.contains("/group/model_weights@model_config"))
    );

    let mut file = Fixture::new();
    let inner = file.object(&[(12, fixed("training_config", LAMBDA))]);
    let dense = file.dense(2, &[hard("x", inner)]);
    let group = file.object(&[dense]);
    let root = file.object(&[(6, hard("group", group))]);
    check("links", file.finish(root), &[("keras-lambda", Critical)]);
}

#[test]
fn a_configuration_under_another_name_is_found() {
    let mut file = Fixture::new();
    let root = file.object(&[(12, fixed("renamed", LAMBDA))]);
    check("x.h5", file.finish(root), &[("keras-lambda", Critical)]);
}

#[test]
fn a_configuration_that_is_not_text_is_not_called_clean() {
    let mut file = Fixture::new();
    let root = file.object(&[(12, number("model_config"))]);
    check("x.h5", file.finish(root), &[("hdf5-not-examined", High)]);
}

#[test]
fn arrays_of_pickles_are_not_called_clean() {
    let pickled = &[("hdf5-not-examined", High)][..];
    for (name, value, expect) in [
        ("PSEUDOATOM", "object", pickled),
        ("PSEUDOATOM", "Vobject\np0\n.", pickled),
        ("PSEUDOATOM", "brand new", pickled),
        ("PSEUDOATOM", "vlstring", &[]),
        ("PSEUDOATOM", "vlunicode\0", &[]),
        ("FLAVOR", "Object", pickled),
        ("FLAVOR", "VObject\np0\n.", pickled),
        ("FLAVOR", "numpy", &[]),
        ("FILTERS", "N0N0N.", pickled),
        ("FILTERS", "N0N0N", &[]),
    ] {
        let mut file = Fixture::new();
        let root = file.object(&[(12, fixed(name, value))]);
        check(value, file.finish(root), expect);
    }
    let mut file = Fixture::new();
    let root = file.object(&[(12, number("PSEUDOATOM"))]);
    check("number", file.finish(root), pickled);
}

#[test]
fn attributes_whose_type_lies_elsewhere_are_not_called_clean() {
    let mut file = Fixture::new();
    let root = file.object(&[(12, committed("x", "cos\nsystem\n(Vecho\ntR."))]);
    check("x.h5", file.finish(root), &[("hdf5-not-examined", High)]);
}

/// A file with a type of its own and an attribute that has it, by each version of the reference.
fn with_type(kind: (u8, Vec<u8>), name: &str, data: impl Fn(&mut Fixture) -> Vec<u8>) -> Vec<Vec<u8>> {
    let file = |make: fn() -> Fixture, version: usize| {
        let mut file = make();
        let data = data(&mut file);
        let object = file.object(std::slice::from_ref(&kind));
        let set = file.object(&[(12, typed(name, &references(object)[version], &data))]);
        let symbols = file.symbols(&[("type", object), ("set", set)]);
        let root = file.object(&[symbols]);
        file.finish(root)
    };
    (0..3).flat_map(|version| [file(Fixture::old, version), file(Fixture::new, version)]).collect()
}

#[test]
fn attributes_of_types_of_their_own_are_read() {
    for file in with_type(record_type(), "bounds", |_| vec![0; 8]) {
        check("record.nc", file, &[]);
    }
    for file in with_type(text_type(5), "title", |_| b"ocean".to_vec()) {
        check("text.nc", file, &[]);
    }
    for file in with_type(bytes_type(), "note", |file| file.variable(b"ocean")) {
        check("bytes.nc", file, &[]);
    }
    // Many attributes of one type: it is looked up once.
    let mut file = Fixture::new();
    let object = file.object(&[record_type()]);
    let many: Vec<_> =
        (0..20_000).map(|i| (12, typed(&format!("a{i}"), &references(object)[0], &[0; 8]))).collect();
    let root = file.object(&many);
    check("many.nc", file.finish(root), &[]);
}

#[test]
fn what_attributes_hold_is_found_behind_types_of_their_own() {
    for file in with_type(text_type(LAMBDA.len()), "model_config", |_| LAMBDA.as_bytes().to_vec()) {
        check("m.h5", file, &[("keras-lambda", Critical)]);
    }
    for file in with_type(record_type(), "model_config", |_| vec![0; 8]) {
        check("m.h5", file, &[("hdf5-not-examined", High)]);
    }
    for file in with_type(text_type(6), "PSEUDOATOM", |_| b"object".to_vec()) {
        check("m.h5", file, &[("hdf5-not-examined", High)]);
    }
    let pickle = b"cos\nsystem\n(Vecho\ntR.";
    for file in with_type(bytes_type(), "TITLE", |file| file.variable(pickle)) {
        check("m.h5", file, &[("pickle-dangerous-call", Critical)]);
    }
}

#[test]
fn types_that_are_not_where_they_should_be_are_not_called_clean() {
    let undecided = &[("hdf5-not-examined", High)][..];
    let with = |types: &[(u8, Vec<u8>)], flags: u8, way: u8| {
        let mut file = Fixture::new();
        let object = file.object(types);
        let mut attribute = typed("x", &references(object)[0], &[0; 8]);
        attribute[1] = flags;
        let place = attribute.windows(2).position(|pair| pair == [3, 2]).unwrap();
        attribute[place + 1] = way;
        let root = file.object(&[(12, attribute)]);
        file.finish(root)
    };
    check("honest", with(&[record_type()], 1, 2), &[]);
    check("none", with(&[], 1, 2), undecided);
    check("two", with(&[record_type(), text_type(8)], 1, 2), undecided);
    check("in a table", with(&[record_type()], 1, 1), undecided);
    check("shape", with(&[record_type()], 3, 2), undecided);
    let mut file = Fixture::new();
    let root = file.object(&[(12, typed("x", &references(1 << 40)[0], &[0; 8]))]);
    check("nowhere", file.finish(root), &[("malformed", High)]);
}

#[test]
fn of_a_global_heap_the_object_is_read_that_the_library_reads() {
    let evil = LAMBDA.as_bytes();
    let honest = HONEST.as_bytes();
    let padded = [honest, b" ".repeat(evil.len() - honest.len()).as_slice()].concat();
    let size = evil.len() as u64;
    for (name, objects) in [
        ("behind free space", &[(1, size, &padded[..]), (0, 16, b""), (1, size, evil), (0, 16, b"")][..]),
        ("twice", &[(1, size, &padded[..]), (1, size, evil), (0, 16, b"")]),
        ("overflow", &[(1, size, &padded[..]), (2, u64::MAX - 7, b""), (1, size, evil), (0, 16, b"")]),
    ] {
        let mut file = Fixture::new();
        let reference = file.heap(objects);
        let root = file.object(&[(12, variable("model_config", &reference))]);
        check(name, file.finish(root), &[("malformed", High)]);
    }
    let mut file = Fixture::new();
    let reference = file.heap(&[(1, size, evil), (2, 3, b"abc"), (0, 40, &[7; 24])]);
    let root = file.object(&[(12, variable("model_config", &reference))]);
    check("free space", file.finish(root), &[("keras-lambda", Critical)]);
}

#[test]
fn values_in_other_files_are_found() {
    for (name, severity) in
        [("/etc/passwd", Critical), ("a/../../b", Critical), ("C:\\x", Critical), ("part.raw", High)]
    {
        let mut file = Fixture::new();
        let (heap, places) = file.names(&[name]);
        let set = file.object(&[external(heap, &places)]);
        let root = file.object(&[(6, hard("set", set))]);
        check(name, file.finish(root), &[("hdf5-external-data", severity)]);
    }
    let mut file = Fixture::new();
    let (heap, places) = file.names(&["a", "b"]);
    let set = file.object(&[external(heap, &places)]);
    let root = file.object(&[(6, hard("set", set))]);
    check("two", file.finish(root), &[("hdf5-external-data", High); 2]);
}

/// All elements.
const ALL: [u8; 16] = [3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// What is found in a data set that is mapped from others by this block.
#[track_caller]
fn check_mapping(version: u8, mappings: &[&[u8]], expect: &[(&str, Severity)]) {
    let count = [u8::try_from(mappings.len()).unwrap(), 0, 0, 0, 0, 0, 0, 0];
    let mut file = Fixture::new();
    let block = file.variable(&join(&[&[version], &count, &mappings.concat(), &[0; 4]]));
    let set = file.object(&[(8, join(&[&[4, 3], &block[4..]]))]);
    let root = file.object(&[(6, hard("set", set))]);
    check("mapping", file.finish(root), expect);
}

#[test]
fn every_mapping_of_a_virtual_data_set_is_read() {
    let number = |value: u32| value.to_le_bytes();
    // Elements as each kind and version of selection has them: two points, or two blocks, of one dimension.
    let points = join(&[&number(1), &number(1), &[0; 8], &number(1), &number(2), &[7; 8]]);
    let points_2 = join(&[&number(1), &number(2), &[8], &number(1), &[2, 0, 0, 0, 0, 0, 0, 0], &[7; 16]]);
    let blocks = join(&[&number(2), &number(1), &[0; 8], &number(1), &number(2), &[7; 16]]);
    let blocks_2 = join(&[&number(2), &number(2), &[1], &[0; 4], &number(1), &[7; 32]]);
    let blocks_3 = join(&[&number(2), &number(3), &[1, 2], &number(1), &[7; 8]]);
    let uneven_3 = join(&[&number(2), &number(3), &[0, 2], &number(1), &[2, 0], &[7; 8]]);
    for elements in [&points, &points_2, &blocks, &blocks_2, &blocks_3, &uneven_3] {
        let own = join(&[b".\0a\0", elements, &ALL]);
        let other = join(&[b"/etc/passwd\0a\0", &ALL, elements]);
        check_mapping(0, &[&own, &own], &[("hdf5-external-data", Medium)]);
        let both = [("hdf5-external-data", Critical), ("hdf5-external-data", Medium)];
        check_mapping(0, &[&own, &other], &both);
        check_mapping(0, &[&other, &own], &both);
    }
    // Version 1 of HDF5 2.0: flags, and names that an earlier mapping has.
    let own = join(&[&[4], b"a\0", &ALL, &ALL]);
    let named = join(&[&[0], b"other.h5\0a\0", &ALL, &ALL]);
    let same = join(&[&[3], &[1, 0, 0, 0, 0, 0, 0, 0], &[0; 8], &ALL, &ALL]);
    let further = join(&[&[2], b"../b.h5\0", &[0; 8], &ALL, &ALL]);
    check_mapping(1, &[&own, &own], &[("hdf5-external-data", Medium)]);
    let all =
        [("hdf5-external-data", Critical), ("hdf5-external-data", High), ("hdf5-external-data", Medium)];
    check_mapping(1, &[&own, &named, &same, &further], &all);
    // What is in none of these forms is undecided.
    for (version, mapping) in [(2, &own), (1, &join(&[&[8], b"a\0", &ALL, &ALL]))] {
        check_mapping(version, &[mapping], &[("malformed", High)]);
    }
    check_mapping(0, &[&join(&[b".\0a\0", &[9, 0, 0, 0], &ALL])], &[("malformed", High)]);
}

#[test]
fn the_superblock_names_no_other_members_than_the_root_group() {
    let build = || {
        let mut file = Fixture::old();
        let inner = file.object(&[(12, number("n"))]);
        let symbols = file.symbols(&[("a", inner)]);
        let table = symbols.1.clone();
        let root = file.object(&[symbols]);
        let at = file.bytes.windows(16).rposition(|bytes| bytes == table).unwrap();
        let mut bytes = file.finish(root);
        bytes[72] = 1;
        bytes[80..96].copy_from_slice(&table);
        (bytes, at)
    };
    check("same", build().0, &[]);
    let (mut bytes, at) = build();
    bytes[at..at + 8].fill(0xff);
    check("nowhere", bytes.clone(), &[("malformed", High)]);
    bytes[72] = 0;
    check("nowhere, no copy", bytes, &[("malformed", High)]);
    let (mut bytes, _) = build();
    bytes[80] ^= 8;
    check("other", bytes, &[("malformed", High)]);
}

#[test]
fn dense_storage_without_an_index_is_not_called_clean() {
    for missing in [2, 10] {
        let mut file = Fixture::new();
        let (kind, mut body) = file.dense(2, &[special("x", 64, b"\0other.h5\0/secret\0")]);
        body[missing..missing + 8].fill(0xff);
        let root = file.object(&[(kind, body.clone())]);
        check("one", file.finish(root), &[("malformed", High)]);
        let mut file = Fixture::new();
        body[2..18].fill(0xff);
        let root = file.object(&[(kind, body)]);
        check("neither", file.finish(root), &[]);
    }
}

#[test]
fn links_into_other_files_are_found() {
    let mut file = Fixture::new();
    let external = special("x", 64, b"\0other.h5\0/secret\0");
    let dense = file.dense(2, &[external.clone(), special("soft", 1, b"/a")]);
    let root = file.object(&[(6, external), (6, special("plug-in", 100, b"?")), dense]);
    let found = scan("x.h5", file.finish(root));
    let rules: Vec<_> = found.iter().map(|finding| finding.rule.as_str()).collect();
    assert_eq!(rules, ["hdf5-external-link", "hdf5-external-link", "hdf5-not-examined"]);
    assert!(found[0].message.contains("/secret in other.h5"), "{}", found[0].message);
}

#[test]
fn filters_of_plug_ins_are_named() {
    let mut file = Fixture::new();
    let root = file.object(&[filters(&[1, 2, 3]), filters(&[32_000]), filters(&[1, 32_001, 40_000, 40_000])]);
    check("x.h5", file.finish(root), &[("hdf5-filter", Medium), ("hdf5-filter", Info)]);
    assert_eq!(crate::rule("hdf5-filter").unwrap().severity, Low);
}

#[test]
fn loops_end() {
    for new in [false, true] {
        let mut file = if new { Fixture::new() } else { Fixture::old() };
        // The first object lies where the file's second block begins: a group that holds itself.
        let at = file.bytes.len() as u64;
        let root = if new {
            file.object(&[(6, hard("self", at))])
        } else {
            let symbols = file.symbols(&[("x", 200)]);
            file.object(&[symbols])
        };
        let findings = scan("x.h5", file.finish(root));
        assert!(findings.iter().all(|finding| finding.rule.as_str() == "malformed"), "{findings:#?}");
    }
    let mut file = Fixture::new();
    let root = file.object(&[(0x10, join(&[&[58, 0, 0, 0, 0, 0, 0, 0], &[24, 0, 0, 0, 0, 0, 0, 0]]))]);
    check("continues", file.finish(root), &[("malformed", High)]);
}

#[test]
fn a_user_block_is_passed_over() {
    for size in [512, 1024, 4096] {
        let (_, file) = configured(LAMBDA).swap_remove(0);
        check("x.mat", [vec![b'm'; size], file].concat(), &[("keras-lambda", Critical)]);
    }
}

/// Files with everything that is read.
fn all_kinds() -> Vec<Vec<u8>> {
    let mut files: Vec<_> = configured(HONEST).into_iter().map(|(_, file)| file).collect();
    let mut file = Fixture::new();
    let (heap, places) = file.names(&["a.raw"]);
    let set = file.object(&[external(heap, &places), filters(&[1, 40_000])]);
    let dense = file.dense(2, &[hard("set", set), special("x", 64, b"\0o.h5\0/s\0")]);
    let root = file.object(&[dense]);
    files.push(file.finish(root));
    let mut file = Fixture::old();
    let inner = file.object(&[(12, fixed("model_config", HONEST))]);
    let symbols = file.symbols(&[("model_weights", inner)]);
    let root = file.object(&[symbols]);
    files.push(file.finish(root));
    files
}

#[test]
fn a_file_cut_anywhere_is_examined_to_an_end() {
    for file in all_kinds() {
        // Dense storage is mostly zeros; the ends of its blocks are enough.
        for end in (0..file.len()).filter(|end| *end < 600 || file[*end..].iter().take(8).any(|b| *b != 0)) {
            let findings = scan("x.h5", &file[..end]);
            assert!(
                !findings.is_empty() || end == 0 || end + 8 >= file.len(),
                "cut at {end} of {} is clean",
                file.len()
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn flipped_bytes_never_panic(which in 0..7_usize, flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut file = all_kinds().swap_remove(which);
        for (index, value) in flips {
            let at = index.index(file.len());
            file[at] = value;
        }
        scan("x.h5", file);
    }

    #[test]
    fn wild_numbers_never_panic(which in 0..7_usize, at in any::<prop::sample::Index>(), value in any::<[u8; 8]>()) {
        let mut file = all_kinds().swap_remove(which);
        let at = at.index(file.len() - 8);
        file[at..at + 8].copy_from_slice(&value);
        scan("x.h5", file);
    }

    #[test]
    fn arbitrary_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..400), version in 0..5_u8) {
        let mut file = super::file::MARK.to_vec();
        file.push(version);
        file.append(&mut bytes);
        scan("x.h5", file);
    }
}
