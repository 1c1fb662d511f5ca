//! Whole models small enough for tests: random weights, a vocabulary of bytes, and any chat template.

/// A GGUF file of an architecture (llama, qwen2 or gemma3), with 32-bit floats. The same arguments make the same bytes.
pub fn tiny_gguf(architecture: &str, chat_template: Option<&str>) -> Vec<u8> {
    const WIDTH: u64 = 32;
    const HEADS: u64 = 2;
    const HEAD: u64 = 16;
    const INNER: u64 = 64;
    let gemma = architecture == "gemma3";
    // One layer of Gemma in six sees everything.
    let layers = if gemma { 6 } else { 2 };
    let tokens = vocabulary();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut tensors: Vec<(String, Vec<u64>, Vec<f32>)> = Vec::new();
    let mut add = |name: &str, dimensions: &[u64]| {
        let count = dimensions.iter().product::<u64>();
        let norm = name.ends_with("norm.weight");
        // Layers that outweigh the embedding: answers depend on the whole prompt.
        let scale = if name == "token_embd.weight" { 0.3 } else { 3.0 * (dimensions[0] as f32).powf(-0.5) };
        let numbers =
            (0..count).map(|_| f32::from(u8::from(norm)) + random.next() * if norm { 0.1 } else { scale });
        tensors.push((name.to_owned(), dimensions.to_vec(), numbers.collect::<Vec<_>>()));
    };
    add("token_embd.weight", &[WIDTH, tokens.len() as u64]);
    add("output_norm.weight", &[WIDTH]);
    add("output.weight", &[WIDTH, tokens.len() as u64]);
    for layer in 0..layers {
        let mut part = |name: &str, dimensions: &[u64]| add(&format!("blk.{layer}.{name}"), dimensions);
        part("attn_norm.weight", &[WIDTH]);
        part("ffn_norm.weight", &[WIDTH]);
        for (name, heads) in [("q", HEADS), ("k", 1), ("v", 1)] {
            part(&format!("attn_{name}.weight"), &[WIDTH, heads * HEAD]);
            if architecture == "qwen2" {
                part(&format!("attn_{name}.bias"), &[heads * HEAD]);
            }
        }
        part("attn_output.weight", &[HEADS * HEAD, WIDTH]);
        part("ffn_gate.weight", &[WIDTH, INNER]);
        part("ffn_up.weight", &[WIDTH, INNER]);
        part("ffn_down.weight", &[INNER, WIDTH]);
        if gemma {
            for (name, width) in [
                ("attn_q_norm.weight", HEAD),
                ("attn_k_norm.weight", HEAD),
                ("post_attention_norm.weight", WIDTH),
                ("post_ffw_norm.weight", WIDTH),
            ] {
                part(name, &[width]);
            }
        }
    }
    let mut entries = Entries::default();
    entries.text("general.architecture", architecture);
    for (key, value) in [
        ("block_count", layers),
        ("context_length", 16_384),
        ("embedding_length", WIDTH),
        ("feed_forward_length", INNER),
        ("attention.head_count", HEADS),
        ("attention.head_count_kv", 1),
        ("attention.key_length", HEAD),
        ("attention.value_length", HEAD),
        ("attention.sliding_window", 8),
    ] {
        entries.number(&format!("{architecture}.{key}"), value);
    }
    entries.text("tokenizer.ggml.model", "gpt2");
    entries.text("tokenizer.ggml.pre", if architecture == "qwen2" { "qwen2" } else { "smollm" });
    entries.number("tokenizer.ggml.bos_token_id", 256);
    entries.number("tokenizer.ggml.eos_token_id", 257);
    // Bytes, marks, and what is not used.
    let kind = |id| match id {
        0..256 => 1,
        256..258 => 3,
        _ => 5,
    };
    let kinds: Vec<i32> = (0..tokens.len()).map(kind).collect();
    entries.texts("tokenizer.ggml.tokens", &tokens);
    entries.texts("tokenizer.ggml.merges", &[]);
    entries.integers("tokenizer.ggml.token_type", &kinds);
    if let Some(template) = chat_template {
        entries.text("tokenizer.chat_template", template);
    }
    file(&entries, &tensors)
}

/// A template in ChatML's form.
pub const CHATML: &str = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}\
                          <|im_start|>assistant\n";

/// Every byte, as vocabularies of byte-level BPE write it, and the marks of a turn.
fn vocabulary() -> Vec<String> {
    let printable = |b: u8| (33..=126).contains(&b) || (161..=172).contains(&b) || b >= 174;
    let mut shifted = 256_u32..;
    let byte =
        |b: u8| if printable(b) { char::from(b) } else { char::from_u32(shifted.next().unwrap()).unwrap() };
    let mut tokens: Vec<String> = (0..=255_u8).map(byte).map(String::from).collect();
    tokens.extend(["<|im_start|>".to_owned(), "<|im_end|>".to_owned()]);
    // The kernels take vocabularies in sixteens.
    tokens.extend((0..14).map(|i| format!("<unused{i}>")));
    tokens
}

/// Numbers from -1 to 1.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    }
}

#[derive(Default)]
struct Entries {
    count: u64,
    bytes: Vec<u8>,
}

impl Entries {
    fn key(&mut self, key: &str, kind: u32) {
        self.count += 1;
        text(&mut self.bytes, key);
        self.bytes.extend(kind.to_le_bytes());
    }

    fn text(&mut self, key: &str, value: &str) {
        self.key(key, 8);
        text(&mut self.bytes, value);
    }

    fn number(&mut self, key: &str, value: u64) {
        self.key(key, 4);
        self.bytes.extend(u32::try_from(value).unwrap().to_le_bytes());
    }

    fn array(&mut self, key: &str, kind: u32, length: usize) {
        self.key(key, 9);
        self.bytes.extend(kind.to_le_bytes());
        self.bytes.extend((length as u64).to_le_bytes());
    }

    fn texts(&mut self, key: &str, values: &[String]) {
        self.array(key, 8, values.len());
        values.iter().for_each(|value| text(&mut self.bytes, value));
    }

    fn integers(&mut self, key: &str, values: &[i32]) {
        self.array(key, 5, values.len());
        values.iter().for_each(|value| self.bytes.extend(value.to_le_bytes()));
    }
}

fn text(bytes: &mut Vec<u8>, value: &str) {
    bytes.extend((value.len() as u64).to_le_bytes());
    bytes.extend(value.as_bytes());
}

fn file(entries: &Entries, tensors: &[(String, Vec<u64>, Vec<f32>)]) -> Vec<u8> {
    let mut bytes = b"GGUF".to_vec();
    bytes.extend(3_u32.to_le_bytes());
    bytes.extend((tensors.len() as u64).to_le_bytes());
    bytes.extend(entries.count.to_le_bytes());
    bytes.extend(&entries.bytes);
    let mut offset = 0_u64;
    for (name, dimensions, numbers) in tensors {
        text(&mut bytes, name);
        bytes.extend((dimensions.len() as u32).to_le_bytes());
        dimensions.iter().for_each(|n| bytes.extend(n.to_le_bytes()));
        bytes.extend(0_u32.to_le_bytes());
        bytes.extend(offset.to_le_bytes());
        offset += (numbers.len() as u64 * 4).next_multiple_of(32);
    }
    for (_, _, numbers) in tensors {
        bytes.resize(bytes.len().next_multiple_of(32), 0);
        numbers.iter().for_each(|number| bytes.extend(number.to_le_bytes()));
    }
    bytes
}
