//! Tars.

use super::write::*;
use super::{clean, findings, finds, formats, marked};

fn pax(records: &[(&str, &str)]) -> Vec<u8> {
    let mut out = String::new();
    for (key, value) in records {
        let rest = format!(" {key}={value}\n");
        let len =
            (1..4).map(|digits| rest.len() + digits).find(|len| len.to_string().len() + rest.len() == *len);
        out.push_str(&format!("{}{rest}", len.unwrap()));
    }
    tar_item("PaxHeaders/x", b'x', "", out.as_bytes())
}

fn file(name: &str) -> Vec<u8> {
    tar_item(name, b'0', "", b"content")
}

#[test]
fn what_ordinary_tools_write_is_clean() {
    clean("x.tar", tar(&[tar_item("./", b'5', "", b""), file("./a.txt"), file("b/c.txt")]));
    clean("x.tar", tar(&[tar_item("a/b", b'2', "../c", b""), tar_item("d", b'1', "c", b""), file("c")]));
    let long = "d/".repeat(80) + "name.txt";
    clean("x.tar", tar(&[pax(&[("path", &long), ("mtime", "1.5")]), file(long.split_at(100).0)]));
    clean("x.tar", tar(&[pax(&[("path", "grüße")]), file("gr__e")]));
    clean("x.tar", tar(&[tar_item("././@LongLink", b'L', "", long.as_bytes()), file(long.split_at(100).0)]));
    // The file's own size is in the pax records only where the header has no room for it.
    clean("x.tar", tar(&[pax(&[("size", "7")]), tar_sized("a", b'0', "", b"content", 0)]));
    assert_eq!(formats("x.tar", tar(&[file("a")])), ["tar"]);
    // Without a mark, by its checksum.
    let mut old = tar(&[file("a")]);
    old[257..265].fill(0);
    let sum: u32 = old[..512].iter().map(|byte| u32::from(*byte)).sum::<u32>()
        - old[148..156].iter().map(|byte| u32::from(*byte)).sum::<u32>()
        + 8 * 32;
    old[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    assert_eq!(formats("x.tar", old.clone()), ["tar"]);
    clean("x.tar", old);
}

#[test]
fn members_are_examined() {
    finds("malformed", "!a/m", "x.tar", tar(&[file("a.txt"), tar_item("a/m", b'0', "", &marked())]));
    // A type that nobody knows is a file.
    finds("malformed", "!m", "x.tar", tar(&[tar_item("m", b'Q', "", &marked())]));
    finds("malformed", "!x.tar!m", "x.tar.gz", gzip(&tar(&[tar_item("m", b'7', "", &marked())])));
    finds("malformed", "!x.tar!m", "x.tgz", gzip(&tar(&[tar_item("m", b'0', "", &marked())])));
}

#[test]
fn a_header_that_is_text_throughout_is_one() {
    // Without a mark, without a null byte, and with a checksum as only Python's `int` reads it.
    let mut block = vec![b'a'; 100];
    block.extend(b"0000644 0000000 0000000 00000001000 00000000000         0");
    block.resize(512, b'x');
    block[329..345].copy_from_slice(b"0000000 0000000 ");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("0o{sum:06o}").as_bytes());
    let member = [marked(), vec![b' '; 512 - 64]].concat();
    for name in ["model", "model.pth", "notes.txt"] {
        let found = findings(name, tar(&[[block.clone(), member.clone()].concat()]));
        assert!(found.iter().any(|found| found.starts_with("malformed!aaa")), "{name}: {found:#?}");
    }
}

#[test]
fn names_links_and_devices_are_found() {
    finds("archive-path-escape", "", "x.tar", tar(&[file("../a")]));
    finds("archive-path-escape", "", "x.tar", tar(&[file("/a")]));
    finds("archive-path-escape", "", "x.tar", tar(&[pax(&[("path", "../a")]), file("a")]));
    finds("archive-link", "", "x.tar", tar(&[tar_item("a", b'2', "/etc", b"")]));
    finds("archive-link", "", "x.tar", tar(&[tar_item("a/b", b'2', "../..", b"")]));
    finds("archive-link", "", "x.tar", tar(&[tar_item("a", b'1', "../x", b"")]));
    finds("archive-link", "", "x.tar", tar(&[tar_item("a", b'2', "b", b""), file("a/x")]));
    finds(
        "archive-link",
        "",
        "x.tar",
        tar(&[tar_item("a", b'2', ".", b""), tar_item("b", b'1', "a/x", b"")]),
    );
    finds(
        "archive-link",
        "",
        "x.tar",
        tar(&[pax(&[("linkpath", "/etc/shadow")]), tar_item("a", b'2', "b", b"")]),
    );
    for kind in *b"346" {
        finds("archive-device", "", "x.tar", tar(&[tar_item("a", kind, "", b"")]));
    }
    assert_eq!(findings("x.tar", tar(&[file("a"), file("./a")])), ["archive-duplicate-name high"]);
}

#[test]
fn what_readers_disagree_about_is_found() {
    let differ = |bytes| finds("archive-readings-differ", "", "x.tar", bytes);
    differ(tar(&[pax(&[("path", "b.pkl")]), file("a.txt")]));
    differ(tar(&[pax(&[("size", "512")]), file("a"), vec![0; 512]]));
    differ(tar(&[tar_item("././@LongLink", b'L', "", b"b.pkl"), file("a.txt")]));
    differ(tar(&[tar_item("a", b'g', "", b"10 path=b\n"), file("a")]));
    differ(tar(&[tar_item("a", b'2', "b", &marked()), file("b")]));
    // After the end.
    let joined = [tar(&[file("a")]), tar(&[tar_item("m", b'0', "", &marked())])].concat();
    differ(joined.clone());
    finds("malformed", "!m", "x.tar", joined);
    finds("archive-hidden-bytes", "", "x.tar", [tar(&[file("a")]), vec![9; 600]].concat());
    finds("archive-unsupported", "", "x.tar", tar(&[tar_item("a", b'S', "", b"content")]));
    finds("archive-unsupported", "", "x.tar", tar(&[pax(&[("GNU.sparse.major", "1")]), file("a")]));
}

#[test]
fn broken_tars_are_undecided() {
    let whole = tar(&[file("a"), file("b")]);
    let mut broken = whole.clone();
    broken[1024] ^= 1;
    finds("malformed", "", "x.tar", broken);
    finds("malformed", "", "x.tar", tar_sized("a", b'0', "", b"content", 5000));
    let mut huge = whole;
    huge[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    finds("malformed", "", "x.tar", huge);
}
