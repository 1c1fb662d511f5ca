//! Writers of zips and tars that can lie.

use flate2::{Compress, Compression, Crc, FlushCompress};

pub(super) fn deflate(bytes: &[u8]) -> Vec<u8> {
    compress(bytes, false)
}

pub(super) fn zlib(bytes: &[u8]) -> Vec<u8> {
    compress(bytes, true)
}

fn compress(bytes: &[u8], header: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 1000);
    Compress::new(Compression::default(), header)
        .compress_vec(bytes, &mut out, FlushCompress::Finish)
        .unwrap();
    out
}

pub(super) fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    out.extend(deflate(bytes));
    out.extend(crc32(bytes).to_le_bytes());
    out.extend((bytes.len() as u32).to_le_bytes());
    out
}

/// What one description of a zip's member says.
#[derive(Clone)]
pub(super) struct Says {
    pub(super) name: Vec<u8>,
    pub(super) flags: u16,
    pub(super) method: u16,
    pub(super) crc: u32,
    pub(super) packed: u32,
    pub(super) unpacked: u32,
    pub(super) extra: Vec<u8>,
}

/// A zip's member: the two descriptions and the bytes between them.
#[derive(Clone)]
pub(super) struct Item {
    pub(super) central: Says,
    pub(super) local: Says,
    pub(super) bytes: Vec<u8>,
    /// What follows the bytes.
    pub(super) descriptor: Vec<u8>,
    pub(super) listed: bool,
    pub(super) mode: u32,
    /// Put the local header here instead of behind the last.
    pub(super) at: Option<u32>,
}

pub(super) fn stored(name: &str, bytes: &[u8]) -> Item {
    let says = Says {
        name: name.into(),
        flags: 0,
        method: 0,
        crc: crc32(bytes),
        packed: bytes.len() as u32,
        unpacked: bytes.len() as u32,
        extra: Vec::new(),
    };
    Item {
        central: says.clone(),
        local: says,
        bytes: bytes.to_vec(),
        descriptor: Vec::new(),
        listed: true,
        mode: 0,
        at: None,
    }
}

pub(super) fn deflated(name: &str, bytes: &[u8]) -> Item {
    packed(name, bytes, 8, deflate(bytes))
}

pub(super) fn packed(name: &str, bytes: &[u8], method: u16, packed: Vec<u8>) -> Item {
    let mut item = stored(name, bytes);
    for says in [&mut item.central, &mut item.local] {
        says.method = method;
        says.packed = packed.len() as u32;
    }
    item.bytes = packed;
    item
}

/// As a writer that cannot go back: no sizes in front, all of them behind.
pub(super) fn streamed(mut item: Item, marked: bool, wide: bool) -> Item {
    item.local.flags |= 8;
    item.central.flags |= 8;
    (item.local.crc, item.local.packed, item.local.unpacked) = (0, 0, 0);
    let mut out = if marked { b"PK\x07\x08".to_vec() } else { Vec::new() };
    out.extend(item.central.crc.to_le_bytes());
    for size in [item.central.packed, item.central.unpacked] {
        if wide { out.extend(u64::from(size).to_le_bytes()) } else { out.extend(size.to_le_bytes()) }
    }
    item.descriptor = out;
    item
}

/// As PyTorch writes: stored, sizes behind, content aligned to 64 bytes.
pub(super) fn torch(items: &[(&str, &[u8])]) -> Vec<u8> {
    let mut at = 0;
    let mut all = Vec::new();
    for (name, bytes) in items {
        let mut item = stored(name, bytes);
        if !bytes.is_empty() {
            item = streamed(item, true, false);
        }
        item.central.flags |= 0x800;
        item.local.flags |= 0x800;
        let padding = 64 - (at + 30 + name.len() + 4) % 64;
        item.local.extra = [b"FB", &(padding as u16).to_le_bytes()[..], &vec![b'Z'; padding]].concat();
        at += 30 + name.len() + 4 + padding + bytes.len() + item.descriptor.len();
        all.push(item);
    }
    zip64(&all)
}

fn header(says: &Says, out: &mut Vec<u8>) {
    out.extend(20_u16.to_le_bytes());
    out.extend(says.flags.to_le_bytes());
    out.extend(says.method.to_le_bytes());
    out.extend([0; 4]);
    for value in [says.crc, says.packed, says.unpacked] {
        out.extend(value.to_le_bytes());
    }
    out.extend((says.name.len() as u16).to_le_bytes());
    out.extend((says.extra.len() as u16).to_le_bytes());
}

/// The members, the directory, and how many entries that has.
pub(super) fn body(items: &[Item]) -> (Vec<u8>, Vec<u8>, u16) {
    let (mut out, mut directory, mut count) = (Vec::new(), Vec::new(), 0);
    for item in items {
        let at = item.at.unwrap_or(out.len() as u32);
        if item.at.is_none() {
            out.extend(b"PK\x03\x04");
            header(&item.local, &mut out);
            out.extend(&item.local.name);
            out.extend(&item.local.extra);
            out.extend(&item.bytes);
            out.extend(&item.descriptor);
        }
        if item.listed {
            count += 1;
            directory.extend(b"PK\x01\x02\x14\x03");
            header(&item.central, &mut directory);
            directory.extend([0; 8]);
            directory.truncate(directory.len() - 2);
            directory.extend((item.mode << 16).to_le_bytes());
            directory.extend(at.to_le_bytes());
            directory.extend(&item.central.name);
            directory.extend(&item.central.extra);
        }
    }
    (out, directory, count)
}

pub(super) fn end(count: u16, size: u32, offset: u32, comment: &[u8]) -> Vec<u8> {
    let mut out = b"PK\x05\x06\0\0\0\0".to_vec();
    out.extend(count.to_le_bytes());
    out.extend(count.to_le_bytes());
    out.extend(size.to_le_bytes());
    out.extend(offset.to_le_bytes());
    out.extend((comment.len() as u16).to_le_bytes());
    out.extend(comment);
    out
}

pub(super) fn zip(items: &[Item]) -> Vec<u8> {
    let (mut out, directory, count) = body(items);
    let offset = out.len() as u32;
    out.extend(&directory);
    out.extend(end(count, directory.len() as u32, offset, b""));
    out
}

/// With end records of 64 bits too.
pub(super) fn zip64(items: &[Item]) -> Vec<u8> {
    let (mut out, directory, count) = body(items);
    let (offset, size) = (out.len() as u64, directory.len() as u64);
    out.extend(&directory);
    let place = out.len() as u64;
    out.extend(b"PK\x06\x06");
    out.extend(44_u64.to_le_bytes());
    out.extend([45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for value in [count.into(), count.into(), size, offset] {
        out.extend(value.to_le_bytes());
    }
    out.extend(b"PK\x06\x07\0\0\0\0");
    out.extend(place.to_le_bytes());
    out.extend(1_u32.to_le_bytes());
    out.extend(end(count, size as u32, offset as u32, b""));
    out
}

/// A tar header with a checksum that fits, and the content.
pub(super) fn tar_item(name: &str, kind: u8, target: &str, bytes: &[u8]) -> Vec<u8> {
    tar_sized(name, kind, target, bytes, bytes.len())
}

pub(super) fn tar_sized(name: &str, kind: u8, target: &str, bytes: &[u8], size: usize) -> Vec<u8> {
    let mut block = vec![0; 512];
    let mut put = |at: usize, text: &[u8]| block[at..at + text.len()].copy_from_slice(text);
    put(0, name.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, &[kind]);
    put(157, target.as_bytes());
    put(257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block.extend(bytes);
    block.resize(block.len().div_ceil(512) * 512, 0);
    block
}

pub(super) fn tar(items: &[Vec<u8>]) -> Vec<u8> {
    let mut out = items.concat();
    out.resize(out.len() + 1024, 0);
    out.resize(out.len().div_ceil(10_240) * 10_240, 0);
    out
}
