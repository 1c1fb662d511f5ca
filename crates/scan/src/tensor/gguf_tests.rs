use proptest::prelude::*;

use super::super::testing::{findings, rules};

/// A file in the making.
#[derive(Clone)]
struct Maker {
    version: u32,
    big: bool,
    entries: Vec<(String, u32, Vec<u8>)>,
    tensors: Vec<(String, Vec<u64>, u32, u64)>,
    data: usize,
}

impl Maker {
    fn new() -> Self {
        Self { version: 3, big: false, entries: Vec::new(), tensors: Vec::new(), data: 0 }
    }

    fn u32(&self, value: u32) -> Vec<u8> {
        if self.big { value.to_be_bytes().to_vec() } else { value.to_le_bytes().to_vec() }
    }

    fn u64(&self, value: u64) -> Vec<u8> {
        if self.big { value.to_be_bytes().to_vec() } else { value.to_le_bytes().to_vec() }
    }

    fn length(&self, value: u64) -> Vec<u8> {
        if self.version == 1 { self.u32(value as u32) } else { self.u64(value) }
    }

    fn string(&self, text: &[u8]) -> Vec<u8> {
        [self.length(text.len() as u64), text.to_vec()].concat()
    }

    fn raw(mut self, key: &str, kind: u32, value: Vec<u8>) -> Self {
        self.entries.push((key.to_owned(), kind, value));
        self
    }

    fn text(self, key: &str, text: &str) -> Self {
        let value = self.string(text.as_bytes());
        self.raw(key, 8, value)
    }

    fn strings(self, key: &str, texts: &[&[u8]]) -> Self {
        let mut value = [self.u32(8), self.length(texts.len() as u64)].concat();
        for text in texts {
            value.extend(self.string(text));
        }
        self.raw(key, 9, value)
    }

    fn tensor(mut self, name: &str, extents: &[u64], kind: u32, offset: u64) -> Self {
        self.tensors.push((name.to_owned(), extents.to_vec(), kind, offset));
        self
    }

    fn data(mut self, data: usize) -> Self {
        self.data = data;
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(self.u32(self.version));
        bytes.extend(self.length(self.tensors.len() as u64));
        bytes.extend(self.length(self.entries.len() as u64));
        for (key, kind, value) in &self.entries {
            bytes.extend(self.string(key.as_bytes()));
            bytes.extend(self.u32(*kind));
            bytes.extend(value);
        }
        for (name, extents, kind, offset) in &self.tensors {
            bytes.extend(self.string(name.as_bytes()));
            bytes.extend(self.u32(extents.len() as u32));
            for extent in extents {
                bytes.extend(self.length(*extent));
            }
            bytes.extend(self.u32(*kind));
            bytes.extend(self.u64(*offset));
        }
        bytes.resize(bytes.len().next_multiple_of(32), 0);
        bytes.extend(vec![7; self.data]);
        bytes
    }

    fn check(&self, expect: &[&str]) {
        assert_eq!(rules("model.gguf", &self.bytes()), expect);
    }
}

fn honest(version: u32, big: bool) -> Maker {
    let maker = Maker { version, big, ..Maker::new() };
    let seven = maker.u32(7);
    let numbers = [maker.u32(6), maker.length(3), vec![0; 12]].concat();
    let nested = [maker.u32(9), maker.length(1), maker.u32(0), maker.length(2), vec![1, 2]].concat();
    maker
        .text("general.architecture", "llama")
        .text("general.url", "https://example.org/model")
        .raw("llama.block_count", 4, seven)
        .raw("general.flag", 7, vec![1])
        .raw("tokenizer.ggml.scores", 9, numbers)
        .raw("x.nested", 9, nested)
        .strings("tokenizer.ggml.tokens", &[b"<s>", "\u{200b}\u{200b}\u{200b}".as_bytes(), b"\xff"])
        .text("tokenizer.chat_template", "{% for m in messages %}{{ m['content'] }}{% endfor %}")
        .tensor("a", &[32, 2], 2, 0)
        .tensor("b", &[8], 0, 64)
        .data(0)
}

/// The data of [`honest`]: 36 bytes, padding, 32 bytes.
fn with_data(maker: &Maker) -> Vec<u8> {
    [maker.bytes(), vec![1; 36], vec![0; 28], vec![2; 32]].concat()
}

#[test]
fn every_version_and_byte_order_is_read() {
    for version in 1..=3 {
        for big in [false, true] {
            let found = findings("m.gguf", &with_data(&honest(version, big)));
            // Tokens need not be UTF-8 where byte tokens are written as bytes.
            assert_eq!(found.len(), 1, "{found:?}");
            assert_eq!(found[0].severity, ostrom_core::Severity::Info);
        }
    }
    Maker { version: 4, ..Maker::new() }.check(&["malformed"]);
    Maker { version: 0, ..Maker::new() }.check(&["malformed"]);
    Maker::new().check(&[]);
}

#[test]
fn places_must_fit_the_data() {
    let two = |offset| Maker::new().tensor("a", &[8], 0, 0).tensor("b", &[8], 0, offset);
    two(32).data(64).check(&[]);
    two(0).data(32).check(&["tensor-overlap"]);
    two(16).data(48).check(&["gguf-alignment", "tensor-overlap"]);
    two(64).data(96).check(&["tensor-hole"]);
    two(32).data(63).check(&["tensor-out-of-bounds"]);
    two(32).data(65).check(&["tensor-trailing-data"]);
    two(u64::MAX - 31).data(64).check(&["tensor-out-of-bounds"]);
    Maker::new().data(64).check(&["tensor-trailing-data"]);
    // Padding that is not empty hides something.
    let mut bytes = with_data(&Maker::new().tensor("a", &[32, 2], 2, 0).tensor("b", &[8], 0, 64));
    assert_eq!(rules("m.gguf", &bytes), [""; 0]);
    let place = bytes.len() - 40;
    bytes[place] = b'!';
    assert_eq!(rules("m.gguf", &bytes), ["tensor-hole"]);
}

#[test]
fn types_and_extents_are_checked() {
    Maker::new().tensor("a", &[1], 999, 0).check(&["tensor-unknown-type"]);
    Maker::new().tensor("a", &[16], 2, 0).data(9).check(&["tensor-size-mismatch"]);
    Maker::new().tensor("a", &[1 << 40, 1 << 40], 0, 0).check(&["tensor-size-mismatch"]);
    Maker::new().tensor("a", &[1, 1, 1, 1, 8], 0, 0).data(32).check(&["tensor-nonstandard-header"]);
    Maker::new().tensor("a", &[1; 17], 0, 0).check(&["malformed"]);
    Maker::new().tensor("a", &[0, u64::MAX], 0, 0).check(&[]);
}

#[test]
fn names_that_occur_twice_are_found() {
    Maker::new().text("a", "1").text("a", "2").check(&["tensor-duplicate-name"]);
    Maker::new().tensor("a", &[8], 0, 0).tensor("a", &[8], 0, 32).data(64).check(&["tensor-duplicate-name"]);
}

#[test]
fn an_alignment_of_no_use_is_found() {
    let with = |value: u32| Maker::new().raw("general.alignment", 4, value.to_le_bytes().to_vec());
    with(32).check(&[]);
    with(8).tensor("a", &[2], 0, 0).tensor("b", &[2], 0, 8).data(16).check(&[]);
    with(0).check(&["gguf-alignment"]);
    with(24).check(&["gguf-alignment"]);
    Maker::new().raw("general.alignment", 10, vec![32, 0, 0, 0, 0, 0, 0, 0]).check(&["gguf-alignment"]);
}

#[test]
fn counts_and_lengths_are_bounded_by_the_file() {
    for (at, version) in [(8, 3u32), (16, 3), (8, 1), (12, 1)] {
        let mut bytes = Maker { version, ..Maker::new() }.bytes();
        bytes[at..at + 4].copy_from_slice(&[0xff; 4]);
        assert_eq!(rules("m.gguf", &bytes), ["malformed"], "{at} {version}");
    }
    let huge = u64::MAX.to_le_bytes().to_vec();
    Maker::new().raw("a", 8, huge.clone()).check(&["malformed"]);
    for kind in [0u32, 8, 9, 12] {
        let array = [kind.to_le_bytes().to_vec(), huge.clone()].concat();
        Maker::new().raw("a", 9, array).check(&["malformed"]);
    }
    Maker::new().raw("a", 13, vec![]).check(&["malformed"]);
    let mut deep = Vec::new();
    for _ in 0..100 {
        deep.extend([9u32.to_le_bytes().to_vec(), 1u64.to_le_bytes().to_vec()].concat());
    }
    Maker::new().raw("a", 9, deep).check(&["limit"]);
}

#[test]
fn text_is_read_for_what_it_hides() {
    Maker::new().text("general.description", "fine\u{202e}enif").check(&["tensor-hidden-text"]);
    Maker::new().text("general.description", "__import__('os')").check(&["tensor-metadata-code"]);
    Maker::new().text("tokenizer.huggingface.json", "{\"\u{200b}\u{200b}\u{200b}\": 7}").check(&[]);
    let value = Maker::new().string(b"\xff\xfe");
    Maker::new().raw("general.name", 8, value).check(&["gguf-text-encoding"]);
}

#[test]
fn chat_templates_of_every_name_are_examined() {
    for key in ["tokenizer.chat_template", "tokenizer.chat_template.tool_use", "tokenizer.chat_template.rag"]
    {
        let maker = Maker::new().text(key, "{{ ''.__class__ }}");
        let found = findings("m.gguf", &maker.bytes());
        assert_eq!(found[0].rule.as_str(), "template-internals");
        assert_eq!(found[0].place, format!("m.gguf!{key}"));
    }
    Maker::new().text("tokenizer.chat_templates", "{{ ''.__class__ }}").check(&[]);
}

#[test]
fn an_array_of_texts_hides_none_of_them() {
    let key = "tokenizer.chat_template";
    let found = findings("m.gguf", &Maker::new().strings(key, &[b"{{ ''.__class__ }}"]).bytes());
    assert_eq!(found[0].rule.as_str(), "template-internals");
    assert_eq!(found[0].place, format!("m.gguf!{key}"));
    let inner = Maker::new().string(b"{{ ''.__class__ }}");
    let head = |kind: u32| [kind.to_le_bytes().to_vec(), 1_u64.to_le_bytes().to_vec()].concat();
    let nested = [head(9), head(8), inner].concat();
    Maker::new().raw(key, 9, nested).check(&["template-internals"]);
    Maker::new()
        .strings("general.tags", &[b"fine", "fine\u{202e}enif".as_bytes()])
        .check(&["tensor-hidden-text"]);
    Maker::new().strings("general.tags", &[b"fine", b"chat"]).check(&[]);
}

#[test]
fn cut_anywhere_it_is_a_finding() {
    let bytes = with_data(&honest(3, false));
    for cut in 1..bytes.len() {
        let found = findings("m.gguf", &bytes[..cut]);
        assert!(found.iter().any(|finding| finding.severity >= ostrom_core::Severity::High), "cut at {cut}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn no_bytes_stop_the_examination(place in 0usize..4096, byte: u8, version in 1u32..=3, big: bool, junk: Vec<u8>) {
        let mut bytes = with_data(&honest(version, big));
        let place = place % bytes.len();
        bytes[place] = byte;
        findings("m.gguf", &bytes);
        findings("m.gguf", &[b"GGUF\x03\0\0\0".to_vec(), junk].concat());
    }
}
