//! Compressed streams.

use std::io::Write as _;

use super::write::*;
use super::{clean, findings, finds, formats, marked, run};
use crate::Limits;

type Packer = fn(&[u8]) -> Vec<u8>;

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut out = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

fn lz4(bytes: &[u8]) -> Vec<u8> {
    let blocks = lz4_flex::frame::FrameInfo::new().block_size(lz4_flex::frame::BlockSize::Max64KB);
    let mut out = lz4_flex::frame::FrameEncoder::with_frame_info(blocks, Vec::new());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn lzma2_chunks(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (index, chunk) in bytes.chunks(1 << 15).enumerate() {
        out.push(if index == 0 { 1 } else { 2 });
        out.extend(((chunk.len() - 1) as u16).to_be_bytes());
        out.extend(chunk);
    }
    out.push(0);
    out
}

/// An xz stream of one block, stored, with a CRC-32.
fn xz(bytes: &[u8]) -> Vec<u8> {
    xz_with(bytes, 0)
}

fn xz_with(bytes: &[u8], dictionary: u8) -> Vec<u8> {
    let sealed = |bytes: &[u8]| [bytes, &crc32(bytes).to_le_bytes()].concat();
    let pad = |bytes: &mut Vec<u8>| bytes.resize(bytes.len().div_ceil(4) * 4, 0);
    let number = |value: usize| {
        let (mut value, mut out) = (value, Vec::new());
        while value > 0x7f {
            out.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
        out
    };
    let mut out = [&[0xfd, b'7', b'z', b'X', b'Z', 0][..], &sealed(&[0, 1])].concat();
    let header = sealed(&[2, 0, 0x21, 1, dictionary, 0, 0, 0]);
    let mut block = lzma2_chunks(bytes);
    let unpadded = header.len() + block.len() + 4;
    pad(&mut block);
    out.extend(header);
    out.extend(block);
    out.extend(crc32(bytes).to_le_bytes());
    let mut index = [vec![0], number(1), number(unpadded), number(bytes.len())].concat();
    pad(&mut index);
    let index = sealed(&index);
    let footer = [&(index.len() as u32 / 4 - 1).to_le_bytes()[..], &[0, 1]].concat();
    out.extend(index);
    out.extend(crc32(&footer).to_le_bytes());
    out.extend(footer);
    out.extend(b"YZ");
    out
}

fn zfile(bytes: &[u8]) -> Vec<u8> {
    [format!("ZF{:<19}", format!("{:#x}", bytes.len())).into_bytes(), zlib(bytes)].concat()
}

/// LZMA of zeros, made once by `python3 -c 'lzma.compress(bytes(100), lzma.FORMAT_ALONE)'`.
const LZMA_ZEROS: &[u8] = &[
    0x5d, 0, 0, 0x80, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0x6e, 0xa1, 0x4d, 0x73, 0xdf,
    0xff, 0xff, 0x80, 0x02, 0, 0,
];

/// xz with a CRC-64, made once by `python3 -c 'lzma.compress(b"123456789" * 3)'`.
const XZ_CRC64: &[u8] = &[
    0xfd, 0x37, 0x7a, 0x58, 0x5a, 0, 0, 0x04, 0xe6, 0xd6, 0xb4, 0x46, 0x02, 0, 0x21, 0x01, 0x16, 0, 0, 0,
    0x74, 0x2f, 0xe5, 0xa3, 0xe0, 0, 0x1a, 0, 0x0f, 0x5d, 0, 0x18, 0x8c, 0x82, 0xb6, 0xc4, 0x11, 0x34, 0x5c,
    0x4e, 0xe8, 0xfd, 0x4c, 0x06, 0, 0, 0, 0, 0xf0, 0x6a, 0x52, 0x2b, 0x96, 0x7a, 0x5d, 0x55, 0, 0x01, 0x2b,
    0x1b, 0xae, 0x81, 0x93, 0xdc, 0x1f, 0xb6, 0xf3, 0x7d, 0x01, 0, 0, 0, 0, 0x04, 0x59, 0x5a,
];

const ALL: [(&str, &str, Packer); 7] = [
    ("gzip", "gz", gzip),
    ("zlib", "z", zlib),
    ("bzip2", "bz2", bzip2),
    ("zstd", "zst", zstd),
    ("lz4", "lz4", lz4),
    ("xz", "xz", xz),
    ("joblib-zfile", "z", zfile),
];

#[test]
fn streams_are_told_by_content_and_what_they_hold_is_examined() {
    let long: Vec<u8> = (0..200_000_u32).flat_map(|n| format!("{}\n", n / 7).into_bytes()).collect();
    for (format, extension, pack) in ALL {
        assert_eq!(formats("x.bin", pack(&long)), [format]);
        clean(&format!("x.txt.{extension}"), pack(&long));
        clean(&format!("x.txt.{extension}"), pack(b"short text, but not too short for zlib"));
        finds("malformed", "!x.bin", &format!("dir/x.bin.{extension}"), pack(&marked()));
        finds("malformed", "!x.joblib!x.joblib", "x.joblib", pack(&gzip(&marked())));
    }
}

#[test]
fn streams_that_follow_one_another_are_one() {
    for (format, _, pack) in ALL {
        if matches!(format, "zlib" | "joblib-zfile") {
            continue;
        }
        let half = marked().split_at(20).0.to_vec();
        let both = [pack(&half), pack(&marked()[20..])].concat();
        finds("malformed", "!x", "x", both);
        clean("x.txt", [pack(b"one"), pack(b"two")].concat());
    }
    let skip = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
    clean("x", [skip.clone(), zstd(b"text"), skip.clone(), zstd(b"text")].concat());
    clean("x", [lz4(b"text"), skip].concat());
}

#[test]
fn bytes_after_the_end_are_found_and_padding_is_not() {
    for (format, _, pack) in ALL {
        finds(
            "archive-hidden-bytes",
            "",
            "x",
            [pack(b"a text of more than one word"), b"more".to_vec()].concat(),
        );
        let padded = [pack(b"a text of more than one word"), vec![0; 512]].concat();
        assert_eq!(findings("x", padded), Vec::<String>::new(), "{format}");
    }
}

#[test]
fn what_comes_before_an_error_is_examined() {
    // Loaders that stream run it before they notice.
    let mut noise = 1_u64;
    let long: Vec<u8> = marked()
        .into_iter()
        .chain(std::iter::repeat_with(|| {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (noise >> 56) as u8
        }))
        .take(3_000_000)
        .collect();
    for (format, _, pack) in ALL {
        let mut bytes = pack(&long);
        bytes.truncate(bytes.len() / 2);
        let found = findings("x", bytes);
        assert!(found.contains(&"malformed high".to_owned()), "{format}: {found:?}");
        assert!(found.contains(&"malformed!x high".to_owned()), "{format}: {found:?}");
    }
}

#[test]
fn checksums_are_held_against_the_content() {
    for (format, _, pack) in ALL {
        let mut bytes = pack(b"some text that is stored");
        let at = match format {
            "gzip" => bytes.len() - 8,
            "zlib" | "joblib-zfile" => bytes.len() - 1,
            "bzip2" => 10,
            "xz" => bytes.len() - 36,
            _ => bytes.len() - 2,
        };
        bytes[at] ^= 0x40;
        // zlib that does not unpack at all is not zlib.
        if format != "zlib" && format != "lz4" {
            assert!(!findings("x", bytes).is_empty(), "{format}");
        }
    }
    let mut wrong = zfile(b"text of some length");
    wrong[5] = b'f';
    finds("archive-readings-differ", "", "x", wrong);
}

#[test]
fn the_check_that_xz_has_by_default_is_held_against_the_content() {
    clean("x.txt.xz", XZ_CRC64.to_vec());
    let check = XZ_CRC64.len() - 12 - 8 - 4 - 4;
    let mut wrong = XZ_CRC64.to_vec();
    wrong[check] ^= 1;
    finds("malformed", "", "x.txt.xz", wrong);
}

#[test]
fn lzma_without_a_container_is_unpacked() {
    assert_eq!(formats("x.lzma", LZMA_ZEROS.to_vec()), ["lzma"]);
    assert_eq!(findings("x.lzma", LZMA_ZEROS.to_vec()), ["unknown-format!x high"]);
    finds("malformed", "", "x.lzma", LZMA_ZEROS[..18].to_vec());
    let mut large = LZMA_ZEROS.to_vec();
    large[4] = 0x40;
    finds("archive-unsupported", "", "x.lzma", large);
}

#[test]
fn windows_beyond_the_bound_are_refused_before_they_are_allocated() {
    clean("x", xz_with(b"text", 28));
    finds("archive-unsupported", "", "x", xz_with(b"text", 29));
    finds("archive-unsupported", "", "x", xz_with(b"text", 40));
    let mut frame = zstd(b"text");
    (frame[4], frame[5]) = (0, 0xf0);
    finds("archive-unsupported", "", "x", frame);
    let single = [&0xfd2f_b528_u32.to_le_bytes()[..], &[0xe0], &u64::MAX.to_le_bytes(), &[1, 0, 0]].concat();
    finds("archive-unsupported", "", "x", single);
}

#[test]
fn archives_that_are_not_unpacked_are_undecided() {
    for head in [&b"7z\xbc\xaf\x27\x1c\0\x04rest"[..], b"Rar!\x1a\x07\0rest", b"LZIP\x01rest"] {
        assert_eq!(findings("x.bin", head.to_vec()), ["archive-unsupported high"]);
    }
}

#[test]
fn text_that_begins_like_zlib_is_not_zlib() {
    for text in ["x^2 + y^2 = z^2, as everybody knows from school", "x^", "x^2"] {
        clean("notes.txt", text.into());
        assert!(formats("notes.txt", text.into()).is_empty());
    }
}

/// A Zstandard frame of zeros: four bytes for each 128 KiB.
fn zeros(blocks: usize) -> Vec<u8> {
    let block = ((128_u32 << 10 << 3 | 2).to_le_bytes(), 0);
    let mut out = [&0xfd2f_b528_u32.to_le_bytes()[..], &[0, 0x38]].concat();
    for index in 0..blocks {
        let mut header = block.0;
        header[0] |= u8::from(index + 1 == blocks);
        out.extend([header[0], header[1], header[2], block.1]);
    }
    out
}

#[test]
fn a_bomb_is_found_and_nothing_else_of_its_file_is_unpacked() {
    let item = stored("m.zst", &zeros(4097));
    let behind = deflated("behind", &marked());
    let found = findings("x.zip", zip(&[item, behind]));
    assert!(found.contains(&"archive-bomb!m.zst high".to_owned()), "{found:?}");
    assert!(found.contains(&"limit high".to_owned()), "{found:?}");
}

#[test]
fn zeros_below_the_floor_are_no_bomb() {
    // Zeros are in no format.
    assert_eq!(findings("x.zst", zeros(100)), ["unknown-format!x high"]);
}

#[test]
fn no_more_is_unpacked_than_the_limit() {
    let limits = Limits { unpacked: 1 << 20, ..Limits::default() };
    let of = |blocks| {
        run(&limits, "x", zeros(blocks)).findings.iter().map(|one| one.rule.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(of(9), ["limit", "unknown-format"]);
    assert_eq!(of(8), ["unknown-format"]);
}

#[test]
fn levels_that_multiply_are_one_bomb() {
    // Each level alone stays below the ratio, or below the floor: a frame that is skipped makes the one in the middle long.
    let skipped =
        [&0x184d_2a50_u32.to_le_bytes()[..], &(3_u32 << 20).to_le_bytes(), &vec![0; 3 << 20]].concat();
    let inner = [skipped, zeros(4097)].concat();
    let found = findings("x.zst.gz", gzip(&inner));
    assert!(found.contains(&"archive-bomb!x.zst high".to_owned()), "{found:#?}");
    // Without the level around it, it is none.
    let found = findings("x.zst", inner);
    assert!(!found.iter().any(|found| found.starts_with("archive-bomb")), "{found:#?}");
}

#[test]
fn what_r_writes_is_undecided() {
    for bytes in [
        &b"A\n3\n262657\n197888\n5\nUTF-8\n254\n"[..],
        b"A\n2\t262657 131840\n254\n",
        b"RDA3\nA\n3\n262657\n197888\n",
        b"RDX3\nX\n\0\0\0\x03",
        b"X\n\0\0\0\x03\0\x04\x02\x01",
    ] {
        for name in ["m.rds", "m.RData", "model", "m.txt"] {
            finds("archive-unsupported", "", name, bytes.to_vec());
        }
    }
    finds("unknown-format", "", "m.rds", b"A\n3\n1\n1\n254\n".to_vec());
    finds("unknown-format", "", "m.t7", b"4\n1\n3\nV 1\n13\nnn.Sequential\n".to_vec());
    clean("column.txt", b"A\n3\n262657\nx\n".to_vec());
    clean("column.txt", b"A\n3\n2\n5\n".to_vec());
}

#[test]
fn what_follows_a_stream_is_examined() {
    for (format, _, pack) in ALL {
        let bytes = [pack(b"short text, but not too short for zlib"), marked()].concat();
        finds("archive-hidden-bytes", "", "x.txt", bytes.clone());
        let found = findings("x.txt", bytes);
        assert!(
            found.iter().any(|one| one.starts_with("malformed!after the stream ")),
            "{format}: {found:#?}"
        );
    }
    // Bytes in no format are no more than that.
    let noise = [gzip(b"some text"), vec![0xf5; 100]].concat();
    assert_eq!(findings("x.txt.gz", noise), ["archive-hidden-bytes medium"]);
}

#[test]
fn streams_that_python_reads_as_one_are_one() {
    let (head, tail) = b"m:\n  a: b\n  _target_: os.system\n".split_at(10);
    let zeros = [gzip(head), vec![0; 8], gzip(tail)].concat();
    finds("archive-hidden-bytes", "", "x.yaml.gz", zeros.clone());
    finds("config-builds-object", "!x.yaml", "x.yaml.gz", zeros);
    clean("x.yaml.gz", [gzip(head), vec![0; 512]].concat());
    let head = [head, &b"  b: c\n".repeat(20)].concat();
    let two = [zlib(&head), zlib(tail)].concat();
    assert_eq!(findings("x.yaml.z", two), ["config-builds-object!x.yaml critical"]);
}
