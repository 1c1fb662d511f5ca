use proptest::prelude::*;

use crate::graph::testing::{check, findings, mangle};

/// A value of a flatbuffer, as the tests write it: each lies behind what leads to it.
enum Flat {
    Byte(u8),
    Word(u32),
    Long(u64),
    Text(&'static str),
    Bytes(Vec<u8>),
    Words(Vec<u32>),
    Tables(Vec<Flat>),
    Table(Vec<(usize, Flat)>),
}

use Flat::{Byte, Bytes, Long, Table, Tables, Text, Word, Words};

fn put(out: &mut [u8], at: usize, value: usize) {
    out[at..at + 4].copy_from_slice(&(value as u32).to_le_bytes());
}

/// Writes a table or a vector at the end and says where it begins.
fn write(out: &mut Vec<u8>, value: &Flat) -> usize {
    while !out.len().is_multiple_of(8) {
        out.push(0);
    }
    let at = out.len();
    match value {
        Table(fields) => {
            let last = fields.iter().map(|(index, _)| index + 1).max().unwrap_or(0);
            let mut list = vec![0_u16; last];
            for (position, (index, _)) in fields.iter().enumerate() {
                list[*index] = 8 + position as u16 * 8;
            }
            out.extend(((4 + last * 2) as u16).to_le_bytes());
            out.extend(((8 + fields.len() * 8) as u16).to_le_bytes());
            list.iter().for_each(|entry| out.extend(entry.to_le_bytes()));
            while !out.len().is_multiple_of(8) {
                out.push(0);
            }
            let table = out.len();
            out.extend(((table - at) as u32).to_le_bytes());
            out.resize(table + 8 + fields.len() * 8, 0);
            for (position, (_, value)) in fields.iter().enumerate() {
                let field = table + 8 + position * 8;
                match value {
                    Byte(byte) => out[field] = *byte,
                    Word(word) => put(out, field, *word as usize),
                    Long(long) => out[field..field + 8].copy_from_slice(&long.to_le_bytes()),
                    nested => {
                        let to = write(out, nested);
                        put(out, field, to - field);
                    }
                }
            }
            table
        }
        Tables(tables) => {
            out.extend((tables.len() as u32).to_le_bytes());
            out.resize(at + 4 + tables.len() * 4, 0);
            for (index, table) in tables.iter().enumerate() {
                let to = write(out, table);
                let field = at + 4 + index * 4;
                put(out, field, to - field);
            }
            at
        }
        Words(words) => {
            out.extend((words.len() as u32).to_le_bytes());
            words.iter().for_each(|word| out.extend(word.to_le_bytes()));
            at
        }
        Text(text) => write(out, &Bytes(text.as_bytes().to_vec())),
        Bytes(bytes) => {
            out.extend((bytes.len() as u32).to_le_bytes());
            out.extend(bytes);
            at
        }
        Byte(_) | Word(_) | Long(_) => unreachable!("lies in its table"),
    }
}

struct Model {
    codes: Vec<Flat>,
    buffers: Vec<Flat>,
    inputs: Vec<u32>,
    buffer: u32,
}

impl Model {
    fn new() -> Self {
        Self {
            codes: vec![Table(vec![(0, Byte(9)), (3, Word(9))])],
            buffers: vec![Table(vec![]), Table(vec![(0, Bytes(vec![0; 16]))])],
            inputs: vec![0, u32::MAX],
            buffer: 1,
        }
    }

    fn custom(name: &'static str) -> Self {
        let mut model = Self::new();
        model.codes.push(Table(vec![(0, Byte(32)), (1, Text(name)), (3, Word(32))]));
        model
    }

    fn end(self) -> Vec<u8> {
        let tensor =
            Table(vec![(0, Words(vec![2, 2])), (1, Byte(0)), (2, Word(self.buffer)), (3, Text("t"))]);
        let operator = Table(vec![(0, Word(0)), (1, Words(self.inputs)), (2, Words(vec![0]))]);
        let subgraph = Table(vec![
            (0, Tables(vec![tensor])),
            (1, Words(vec![0])),
            (2, Words(vec![0])),
            (3, Tables(vec![operator])),
        ]);
        let root = Table(vec![
            (0, Word(3)),
            (1, Tables(self.codes)),
            (2, Tables(vec![subgraph])),
            (4, Tables(self.buffers)),
            (6, Tables(vec![Table(vec![(0, Text("min_runtime_version")), (1, Word(0))])])),
        ]);
        let mut out = b"\0\0\0\0TFL3".to_vec();
        let at = write(&mut out, &root);
        put(&mut out, 0, at);
        out
    }
}

#[track_caller]
fn found(bytes: &[u8], expect: &[&str]) {
    check("model.tflite", bytes, "tflite", expect);
}

#[test]
fn an_honest_model_is_clean() {
    found(&Model::new().end(), &[]);
    found(&Model::custom("TFLite_Detection_PostProcess").end(), &[]);
}

#[test]
fn a_file_named_tflite_that_is_none_is_not_passed() {
    found(b"nothing of the kind", &["malformed"]);
    found(b"abc", &["malformed"]);
}

#[test]
fn custom_operators_are_judged_by_name() {
    for (name, rule) in [
        ("MyOp", "tflite-custom-op"),
        ("FlexMatMul", "tflite-flex-op"),
        ("FlexWriteFile", "tensorflow-write-op"),
        ("FlexReadFile", "tensorflow-read-op"),
        ("FlexEagerPyFunc", "tensorflow-python-op"),
        ("FlexMine", "tflite-custom-op"),
    ] {
        found(&Model::custom(name).end(), &[rule]);
    }
}

#[test]
fn a_builtin_operator_beyond_the_list_is_found() {
    let mut model = Model::new();
    model.codes.push(Table(vec![(0, Byte(127)), (3, Word(5000))]));
    found(&model.end(), &["tflite-unknown-op"]);
}

#[test]
fn what_leads_out_of_the_file_or_the_lists_is_malformed() {
    let mut model = Model::new();
    model.buffers.push(Table(vec![(1, Long(1 << 40)), (2, Long(16))]));
    found(&model.end(), &["malformed"]);
    let mut model = Model::new();
    model.inputs.push(7);
    found(&model.end(), &["malformed"]);
    let mut model = Model::new();
    model.buffer = 9;
    found(&model.end(), &["malformed"]);
    let mut cut = Model::new().end();
    cut.truncate(cut.len() / 2);
    found(&cut, &["malformed"]);
}

#[test]
fn programs_in_buffers_are_found() {
    let mut model = Model::new();
    model.buffers.push(Table(vec![(0, Bytes(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec()))]));
    found(&model.end(), &["graph-embedded-program"]);
}

#[test]
fn parts_that_are_used_over_and_over_are_bounded() {
    // A thousand subgraphs that are one and the same, of a thousand tensors that are one and the same.
    let mut out = b"\0\0\0\0TFL3".to_vec();
    let root = Table(vec![(2, Words(vec![0; 1000])), (4, Tables(vec![Table(vec![])]))]);
    let at = write(&mut out, &root);
    put(&mut out, 0, at);
    let subgraphs = out.len() - 1000 * 4 - 40;
    let subgraphs = (0..out.len() - 4)
        .find(|at| *at >= subgraphs.saturating_sub(200) && out[*at..*at + 4] == 1000_u32.to_le_bytes())
        .unwrap();
    let subgraph = write(&mut out, &Table(vec![(0, Words(vec![0; 1000]))]));
    let tensors = (subgraph..out.len() - 4).find(|at| out[*at..*at + 4] == 1000_u32.to_le_bytes()).unwrap();
    let tensor = write(&mut out, &Table(vec![]));
    for index in 0..1000 {
        let field = subgraphs + 4 + index * 4;
        put(&mut out, field, subgraph - field);
        let field = tensors + 4 + index * 4;
        put(&mut out, field, tensor - field);
    }
    found(&out, &["limit"]);
}

/// An archive of one stored file, its offsets counted from `base`.
fn archive(base: usize) -> Vec<u8> {
    let (name, content) = (b"labels.txt", b"cat\ndog\n");
    let mut crc = u32::MAX;
    for byte in content {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    let mut common = vec![20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0];
    common.extend((!crc).to_le_bytes());
    common.extend([(content.len() as u32).to_le_bytes(), (content.len() as u32).to_le_bytes()].concat());
    common.extend([name.len() as u8, 0, 0, 0]);
    let local = [&b"PK\x03\x04"[..], &common, name, content].concat();
    let mut central = [&b"PK\x01\x02\x14\0"[..], &common, &[0; 10]].concat();
    central.extend((base as u32).to_le_bytes());
    central.extend(name);
    let mut end = b"PK\x05\x06\0\0\0\0\x01\0\x01\0".to_vec();
    end.extend((central.len() as u32).to_le_bytes());
    end.extend(((base + local.len()) as u32).to_le_bytes());
    end.extend([0, 0]);
    [local, central, end].concat()
}

#[test]
fn appended_files_are_examined_whatever_their_offsets_count_from() {
    use super::associated;
    use crate::Limits;
    use crate::examination::Examination;
    use crate::source::View;

    let model = Model::new().end();
    for base in [0, model.len()] {
        let bytes = [model.clone(), archive(base)].concat();
        let limits = Limits::default();
        let mut scan = Examination::new(&limits, "model.tflite");
        associated::examine(&View::new(bytes), &mut scan).unwrap();
        let outcome = scan.end();
        assert!(outcome.findings.is_empty(), "{:#?}", outcome.findings);
    }
    let rebased = associated::archive(&View::new([model.clone(), archive(model.len())].concat()), 1 << 20);
    assert_eq!(rebased.unwrap().unwrap(), archive(0));
    let plain = associated::archive(&View::new([model.clone(), archive(0)].concat()), 1 << 20);
    assert_eq!(plain.unwrap().unwrap(), archive(0));
}

#[test]
fn no_mangled_model_panics() {
    mangle("model.tflite", &Model::custom("FlexMatMul").end());
    let model = b"\0\0\0\0TFL3".to_vec();
    mangle("model.tflite", &[model, archive(8)].concat());
}

proptest! {
    #[test]
    fn arbitrary_bytes_end_in_findings(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let (formats, found) = findings("model.tflite", &[&b"\x10\0\0\0TFL3"[..], &bytes].concat());
        prop_assert!(formats.contains(&"tflite") && (bytes.len() > 40 || !found.is_empty()));
    }
}
