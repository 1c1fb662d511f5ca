//! Zips as tools write them raise no alarm, and lies in them do.

use super::write::*;
use super::{clean, findings, finds, formats, marked};

const TEXT: &[u8] = b"some text that says nothing, some text that says nothing";

fn two() -> Vec<Item> {
    vec![deflated("a/one.txt", TEXT), stored("a/two.txt", b"two")]
}

#[test]
fn what_ordinary_tools_write_is_clean() {
    clean("x.zip", zip(&[]));
    clean("x.zip", zip(&two()));
    clean("x.zip", zip64(&two()));
    for (marked, wide) in [(true, true), (true, false), (false, true), (false, false)] {
        let items: Vec<_> = two().into_iter().map(|item| streamed(item, marked, wide)).collect();
        clean("x.zip", zip(&items));
    }
    // Info-ZIP: the unpacked size in front, the packed one behind.
    let mut half = streamed(deflated("a", TEXT), true, false);
    half.local.unpacked = TEXT.len() as u32;
    clean("x.zip", zip(&[half, stored("b", b"2")]));
    let mut folder = stored("a/", b"");
    folder.mode = 0o40_755;
    clean("x.zip", zip(&[folder, stored("a/b.txt", b"b")]));
    // numpy: sizes in the local header are of 64 bits, in the directory of 32.
    let mut wide = stored("arr_0.txt", TEXT);
    let len = (TEXT.len() as u64).to_le_bytes();
    wide.local.extra = [&[1, 0, 16, 0][..], &len, &len].concat();
    (wide.local.packed, wide.local.unpacked) = (u32::MAX, u32::MAX);
    clean("x.npz", zip(&[wide]));
    // Names in the encoding of the machine, or in UTF-8.
    let mut name = stored("x", b"1");
    name.central.name = vec![0x82, 0xa0];
    name.local.name = vec![0x82, 0xa0];
    clean("x.zip", zip(&[name]));
    clean("x.zip", zip(&[stored("grüße/Ω.txt", b"1")]));
}

#[test]
fn pytorch_archives_are_recognised_and_their_storages_let_be() {
    // A storage may look like a pickle, a gzip stream or a tar; a pickle may not.
    let gzipped = [&[0x1f, 0x8b, 8, 0xff][..], &[7; 200]].concat();
    let zipped = marked();
    let items: Vec<(&str, &[u8])> = vec![
        ("m/data.pkl", b"\x80\x02}q\0."),
        ("m/byteorder", b"little"),
        ("m/data/0", &gzipped),
        ("m/data/1", &zipped),
        ("m/data/2", b""),
        ("m/version", b"3\n"),
        ("m/.data/serialization_id", b"0123456789012345678901234567890123456789"),
    ];
    let bytes = torch(&items);
    let archive = |found: &String| found.contains("archive-") || found.contains("!m/data/0");
    let found = findings("m.pt", bytes.clone());
    assert!(!found.iter().any(archive), "{found:#?}");
    finds("malformed", "!m/data/1", "m.pt", bytes.clone());
    assert_eq!(formats("m.pt", bytes), ["pytorch-zip", "zip"]);
    // Without the version file nothing is exempt.
    let other: Vec<_> = items.into_iter().filter(|(name, _)| *name != "m/version").collect();
    finds("malformed", "!m/data/0", "m.pt", torch(&other));
}

#[test]
fn torchscript_is_said() {
    let items: [(&str, &[u8]); 4] =
        [("m/data.pkl", b"x"), ("m/version", b"3"), ("m/code/a.txt", b"x"), ("m/constants.pkl", b"x")];
    assert!(formats("m.pt", torch(&items)).contains(&"torchscript"));
}

/// A call of what a TorchScript archive has code for, and a Python package may have a module for.
const OWN: &[u8] = b"\x80\x02c__torch__\nact\n)R.";

#[test]
fn what_python_unpickles_is_not_judged_as_torchscript() {
    let script: [(&str, &[u8]); 4] = [
        ("m/data.pkl", OWN),
        ("m/version", b"3\n"),
        ("m/code/a.txt", b"x"),
        ("m/constants.pkl", b"\x80\x02)."),
    ];
    clean("m.pt", torch(&script));
    finds("pickle-unlisted-callable", "!m/data.pkl", "m.pt", torch(&script[..3]));
    let extern_modules = ("m/.data/extern_modules", &b""[..]);
    let package: Vec<_> = script.into_iter().chain([extern_modules, ("m/.data/version", b"6\n")]).collect();
    finds("pickle-unlisted-callable", "!m/data.pkl", "m.pt", torch(&package));
    // PyTorch takes either file of the version.
    let package: Vec<_> = script.into_iter().chain([extern_modules, ("m/m.pkl", OWN)]).collect();
    finds("pickle-unlisted-callable", "!m/data.pkl", "m.pt", torch(&package));
    finds("pickle-unlisted-callable", "!m/m.pkl", "m.pt", torch(&package));
}

#[test]
fn data_sets_of_tensors_are_known_and_boosters_are_not_kept_to_be_called() {
    let pickled = |pickle: &[u8]| torch(&[("m/data.pkl", pickle), ("m/version", b"3\n")]);
    clean("m.pt", pickled(b"\x80\x02ctorch.utils.data.dataset\nTensorDataset\n)\x81}X\x07\0\0\0tensors)sb."));
    for call in [
        &b"ctorch.utils.data.dataset\nTensorDataset\n(X\x01\0\0\0xtR."[..],
        b"ctorch._dynamo.decorators\n_DimRange\n(X\x01\0\0\0xtR.",
    ] {
        finds("pickle-arguments", "!m/data.pkl", "m.pt", pickled(&[b"\x80\x02", call].concat()));
    }
    clean("m.pt", pickled(b"\x80\x02cxgboost.core\nBooster\n)\x81}X\x01\0\0\0xK\x01sb."));
    let partial = b"\x80\x02cfunctools\npartial\ncxgboost.core\nBooster\n\x85R.";
    finds("pickle-arguments", "!m/data.pkl", "m.pt", pickled(partial));
}

#[test]
fn members_are_examined_by_every_method() {
    let bad = marked();
    let zstd =
        ruzstd::encoding::compress_to_vec(bad.as_slice(), ruzstd::encoding::CompressionLevel::Uncompressed);
    for item in [stored("m", &bad), deflated("m", &bad), packed("m", &bad, 93, zstd)] {
        finds("malformed", "!m", "x.zip", zip(&[item]));
    }
    finds("archive-unsupported", "", "x.zip", zip(&[packed("m", b"x", 1, b"y".to_vec())]));
    let nested = zip(&[deflated("inner.zip", &zip(&[stored("m", &bad)]))]);
    finds("malformed", "!inner.zip!m", "x.zip", nested);
}

#[test]
fn each_field_that_differs_between_the_descriptions_is_found() {
    let change = |change: fn(&mut Says)| {
        let mut items = two();
        change(&mut items[0].local);
        findings("x.zip", zip(&items))
    };
    let changes: [fn(&mut Says); 7] = [
        |local| local.name[0] = b'b',
        |local| local.flags |= 1,
        |local| local.flags |= 8,
        |local| local.method = 0,
        |local| local.crc ^= 1,
        |local| local.packed -= 1,
        |local| local.unpacked += 1,
    ];
    for (index, one) in changes.into_iter().enumerate() {
        let found = change(one);
        assert!(found.iter().any(|one| one.starts_with("archive-readings-differ ")), "{index}: {found:#?}");
    }
}

#[test]
fn a_member_of_two_methods_is_examined_by_both() {
    let bad = marked();
    let mut item = stored("m", &bad);
    item.central.method = 8;
    finds("malformed", "!m", "x.zip", zip(&[item]));
    let mut item = deflated("m", &bad);
    item.central.method = 0;
    item.central.unpacked = item.central.packed;
    finds("malformed", "!m", "x.zip", zip(&[item]));
}

#[test]
fn a_flag_of_encryption_does_not_hide_content() {
    let mut item = stored("m", &marked());
    item.central.flags |= 1;
    item.local.flags |= 1;
    let bytes = zip(&[item.clone()]);
    finds("malformed", "!m", "x.zip", bytes.clone());
    finds("archive-readings-differ", "", "x.zip", bytes);
    // With other content than the checksum says, it is encrypted.
    item.bytes.reverse();
    let found = findings("x.zip", zip(&[item]));
    assert_eq!(found, ["archive-encrypted high"]);
}

#[test]
fn members_without_an_entry_are_found_and_examined() {
    for place in 0..3 {
        let items = [
            stored("h", &marked()),
            streamed(deflated("h", &marked()), true, false),
            streamed(stored("h", &marked()), true, false),
        ];
        for item in items {
            let mut items = two();
            items.insert(place, Item { listed: false, ..item });
            finds("archive-unlisted-member", "", "x.zip", zip(&items));
            finds("malformed", "!h", "x.zip", zip(&items));
        }
    }
}

#[test]
fn order_and_names_that_stand_twice_are_found() {
    let (out, _, count) = body(&two());
    let mut turned = two();
    turned.reverse();
    let split = out.windows(4).rposition(|four| four == b"PK\x03\x04").unwrap() as u32;
    turned[0].at = Some(split);
    turned[1].at = Some(0);
    let (_, directory, _) = body(&turned);
    let len = out.len() as u32;
    let bytes = [out, directory.clone(), end(count, directory.len() as u32, len, b"")].concat();
    assert_eq!(findings("x.zip", bytes), ["archive-readings-differ medium"]);

    let twice = zip(&[stored("a", b"1"), stored("a", b"2")]);
    assert_eq!(findings("x.zip", twice), ["archive-duplicate-name high"]);
    let copies = zip(&[stored("a", b"1"), stored("a", b"1")]);
    assert_eq!(findings("x.zip", copies), ["archive-duplicate-name low"]);
    let cases = zip(&[stored("a/B", b"1"), stored("A/b", b"2")]);
    assert_eq!(findings("x.zip", cases), ["archive-duplicate-name medium"]);
}

#[test]
fn names_that_lead_out_are_found() {
    for name in ["../a", "a/../../b", "/a", "C:\\a", "C:a", "..\\a", "\\\\host\\a", "a/b/../../../c"] {
        let found = findings("x.zip", zip(&[stored(name, b"1")]));
        assert!(found.iter().any(|one| one.starts_with("archive-path-escape high")), "{name}: {found:?}");
    }
    for name in ["a/../b", "a\u{202e}b", "a\u{200b}", "a\nb", ""] {
        assert_eq!(findings("x.zip", zip(&[stored(name, b"1")])), ["archive-odd-name medium"], "{name:?}");
    }
    assert_eq!(findings("x.zip", zip(&[stored("a\\b", b"1")])), ["archive-odd-name low"]);
    finds("archive-readings-differ", "", "x.zip", zip(&[stored("a.txt\0.pkl", b"1")]));
    for name in ["..a/b", "a..b", "./a", "a//b", "ab:c.txt", "…"] {
        clean("x.zip", zip(&[stored(name, b"1")]));
    }
}

#[test]
fn another_name_in_the_extra_field_is_found_unless_it_stands_for_what_has_no_room() {
    let with = |name: &[u8], other: &str| {
        let mut item = stored("x", b"1");
        let mut extra = vec![0x75, 0x70, (5 + other.len()) as u8, 0, 1];
        extra.extend(crc32(name).to_le_bytes());
        extra.extend(other.as_bytes());
        for says in [&mut item.central, &mut item.local] {
            says.name = name.to_vec();
            says.extra = extra.clone();
        }
        zip(&[item])
    };
    clean("x.zip", with(b"gr\x81\xe1e.txt", "grüße.txt"));
    clean("x.zip", with(b"gr??e.txt", "grüße.txt"));
    clean("x.zip", with(b"same.txt", "same.txt"));
    finds("archive-readings-differ", "", "x.zip", with(b"card.txt", "data.pkl"));
    finds("archive-readings-differ", "", "x.zip", with(b"gr\x81\xe1e.txt", "data.pkl"));
    finds("archive-readings-differ", "", "x.zip", with(b"gr\x81\xe1e.txt", "grüße.pkl"));
    finds("archive-path-escape", "", "x.zip", with(b"gr\x81\xe1e.txt", "../grüße.txt"));
}

#[test]
fn links_that_lead_out_are_found() {
    let link = |name: &str, target: &str| {
        let mut item = stored(name, target.as_bytes());
        item.mode = 0o120_777;
        item
    };
    clean("x.zip", zip(&[link("a/current.bin", "../b/1.bin"), stored("b/1.txt", b"1")]));
    finds("archive-link", "", "x.zip", zip(&[link("a", "/etc/passwd")]));
    finds("archive-link", "", "x.zip", zip(&[link("a/b", "../../x")]));
    finds("archive-link", "", "x.zip", zip(&[link("a", "b"), stored("a/x", b"1")]));
    // What is marked as a link and is no path is content.
    let mut item = deflated("m", &marked());
    item.mode = 0o120_777;
    finds("malformed", "!m", "x.zip", zip(&[item]));
}

#[test]
fn content_that_does_not_fit_is_found() {
    let mut item = stored("a", b"one");
    item.bytes = b"two".to_vec();
    finds("archive-checksum", "", "x.zip", zip(&[item]));
    let mut item = deflated("a", TEXT);
    item.central.unpacked -= 1;
    item.local.unpacked -= 1;
    finds("archive-checksum", "", "x.zip", zip(&[item]));
    let mut item = deflated("a", TEXT);
    item.bytes.extend(b"hidden");
    item.central.packed += 6;
    item.local.packed += 6;
    finds("archive-readings-differ", "", "x.zip", zip(&[item]));
    let mut item = streamed(deflated("a", TEXT), true, false);
    item.descriptor[5] ^= 1;
    finds("archive-readings-differ", "", "x.zip", zip(&[item]));
}

#[test]
fn bytes_that_belong_to_nobody_are_found() {
    let mut item = stored("a", b"1");
    item.descriptor = b"hidden between members".to_vec();
    finds("archive-hidden-bytes", "", "x.zip", zip(&[item, stored("b", b"2")]));
    let plain = zip(&two());
    finds("archive-hidden-bytes", "", "x.zip", [b"in front".to_vec(), plain.clone()].concat());
    finds("archive-hidden-bytes", "", "x.zip", [plain.clone(), b"behind".to_vec()].concat());
    clean("x.zip", [plain, vec![0; 300]].concat());
    let (mut out, directory, count) = body(&two());
    let offset = out.len() as u32;
    out.extend(&directory);
    out.extend(b"between directory and end");
    out.extend(end(count, directory.len() as u32, offset, b""));
    finds("archive-hidden-bytes", "", "x.zip", out);
}

#[test]
fn a_second_table_of_contents_is_found() {
    // Another end record in the comment, or in front of it.
    let (out, directory, count) = body(&two());
    let (offset, size) = (out.len() as u32, directory.len() as u32);
    let comment = end(count, size, offset, b"");
    let in_comment = [out.clone(), directory.clone(), end(count, size, offset, &comment)].concat();
    finds("archive-several-directories", "", "x.zip", in_comment);
    // A directory where the offset says, another in front of the end.
    let other = body(&[stored("x", b"1"), stored("y", b"2")]).1;
    let both =
        [out.clone(), directory.clone(), other.clone(), end(2, other.len() as u32, offset, b"")].concat();
    finds("archive-several-directories", "", "x.zip", both);
    // The end records of 32 and 64 bits disagree.
    let mut wide = zip64(&two());
    let at = wide.len() - 6;
    wide[at] ^= 1;
    finds("archive-readings-differ", "", "x.zip", wide);
    let mut counts = zip(&two());
    let at = counts.len() - 12;
    counts[at] += 1;
    finds("archive-readings-differ", "", "x.zip", counts);
    // A zip stored in a zip has an end record too, and is no second table.
    clean("x.zip", zip(&[stored("inner.zip", &zip(&two()))]));
    clean("x.zip", zip(&[stored("inner.zip", &zip64(&two())), stored("b.txt", b"b")]));
}

#[test]
fn a_zip_that_is_cut_off_is_examined_from_the_beginning() {
    let bytes = zip(&[deflated("m", &marked()), stored("b", b"2")]);
    let cut = bytes[..bytes.len() - 30].to_vec();
    finds("malformed", "", "x.zip", cut.clone());
    finds("malformed", "!m", "x.zip", cut);
    let bytes = torch(&[("m/data.pkl", &marked()), ("m/data/0", &[7; 500]), ("m/version", b"3")]);
    finds("malformed", "!m/data.pkl", "m.pt", bytes[..500].to_vec());
}

#[test]
fn members_that_share_bytes_are_not_unpacked_again() {
    let inner = [zip(&[stored("m", b"1")]), vec![0; 1000]].concat();
    let mut again = stored("b", &inner);
    again.at = Some(0);
    let found = findings("x.zip", zip(&[stored("a", &inner), again]));
    assert!(found.contains(&"archive-overlap high".to_owned()), "{found:?}");
    // A member whose content is the next member.
    let mut quoting = stored("a", b"");
    let next = stored("b", b"2");
    let len = 30 + 1 + 1;
    (quoting.central.packed, quoting.central.unpacked) = (len, len);
    (quoting.local.packed, quoting.local.unpacked) = (len, len);
    finds("archive-overlap", "", "x.zip", zip(&[quoting, next]));
}

#[test]
fn only_what_a_loader_would_open_counts_as_a_zip_behind_other_bytes() {
    let behind = [vec![1; 700], zip(&two())].concat();
    assert!(formats("weights.bin", behind.clone()).contains(&"zip"));
    let inside = [behind, vec![1; 100]].concat();
    assert!(!formats("picture.png", inside.clone()).contains(&"zip"));
    assert!(formats("weights.bin", inside.clone()).contains(&"zip"));
    assert!(formats("model.keras", inside).contains(&"zip"));
    let archive = tar(&[tar_item("inner.zip", b'0', "", &zip(&two()))]);
    clean("x.tar", archive.clone());
    clean("x.zip", archive);
}

#[test]
fn text_in_front_of_a_zip_and_bytes_behind_it_hide_no_package() {
    let package = torch(&[("m/data.pkl", b"\x80\x02cos\nsystem\n(X\x02\0\0\0idtR."), ("m/version", b"3\n")]);
    for front in [&b"some text. ".repeat(400)[..], b"GIF89a", b"N."] {
        let bytes = [front, &package, b"#"].concat();
        for name in ["m.pth", "m.pt", "m.ptl", "m.pt2", "m.bin", "m.ckpt", "m"] {
            finds("pickle-dangerous-call", "!m/data.pkl", name, bytes.clone());
        }
    }
    // Under other names the file is not wholly the text that it begins as.
    let long = "some text. ".repeat(1000);
    finds("unknown-format", "", "m.txt", [long.as_bytes(), &[0; 4096], b"#"].concat());
    clean("m.txt", format!("{long}{long}").into_bytes());
    // A pickle that ends before the zip begins.
    finds("pickle-trailing", "", "m.pt", [b"\x80\x02N.", &package[..], b"#"].concat());
    let found = findings("m.pt", [b"\x80\x02N.", &package[..], b"#"].concat());
    assert!(found.iter().any(|found| found == "pickle-trailing high"), "{found:#?}");
    // A zip that a pickle loads is one within it.
    let mut nested = b"\x80\x04\x8c\x0dtorch.storage\x8c\x10_load_from_bytes\x93B".to_vec();
    let inner = torch(&[("m/data.pkl", b"\x80\x02N."), ("m/version", b"3\n")]);
    nested.extend((inner.len() as u32).to_le_bytes());
    clean("m.pt", [nested, inner, b"\x85R.".to_vec()].concat());
}
