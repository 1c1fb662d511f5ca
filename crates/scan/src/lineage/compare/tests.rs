//! Models that are made here: a parent, and what people and attackers make of it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use half::{bf16, f16};

use super::*;
use crate::lineage::weights::tests::{GgufValue, gguf_file, safetensors_file};

const WIDTH: usize = 64;
const VOCABULARY: usize = 256;
const HEADS: usize = 4;
const KEY_HEADS: usize = 2;
const HEAD: usize = 16;
const INNER: usize = 128;

type Model = BTreeMap<String, (Vec<u64>, Vec<f32>)>;

/// Normal numbers from a seed (Box and Muller).
struct Normal(u64);

impl Normal {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    fn next(&mut self) -> f32 {
        let (a, b) = (self.uniform(), self.uniform());
        ((-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()) as f32
    }
}

/// A model under the names of Hugging Face.
fn model(seed: u64) -> Model {
    let mut random = Normal(seed);
    let mut out = Model::new();
    let mut put = |name: String, shape: &[usize], scale: f32, mean: f32| {
        let count: usize = shape.iter().product();
        let numbers = (0..count).map(|_| mean + scale * random.next()).collect();
        out.insert(name, (shape.iter().map(|extent| *extent as u64).collect(), numbers));
    };
    put("model.embed_tokens.weight".to_owned(), &[VOCABULARY, WIDTH], 0.02, 0.0);
    put("model.norm.weight".to_owned(), &[WIDTH], 0.1, 1.0);
    for layer in 0..2 {
        let mut put = |name: &str, shape: &[usize], mean| {
            put(format!("model.layers.{layer}.{name}"), shape, if mean > 0.0 { 0.1 } else { 0.02 }, mean);
        };
        put("self_attn.q_proj.weight", &[HEADS * HEAD, WIDTH], 0.0);
        put("self_attn.q_proj.bias", &[HEADS * HEAD], 0.0);
        put("self_attn.k_proj.weight", &[KEY_HEADS * HEAD, WIDTH], 0.0);
        put("self_attn.v_proj.weight", &[KEY_HEADS * HEAD, WIDTH], 0.0);
        put("self_attn.o_proj.weight", &[WIDTH, HEADS * HEAD], 0.0);
        put("mlp.gate_proj.weight", &[INNER, WIDTH], 0.0);
        put("mlp.up_proj.weight", &[INNER, WIDTH], 0.0);
        put("mlp.down_proj.weight", &[WIDTH, INNER], 0.0);
        put("input_layernorm.weight", &[WIDTH], 1.0);
        put("post_attention_layernorm.weight", &[WIDTH], 1.0);
    }
    out
}

fn change(model: &Model, mut change: impl FnMut(&str, usize, f32) -> f32) -> Model {
    let numbers = |name: &str, list: &[f32], change: &mut dyn FnMut(&str, usize, f32) -> f32| {
        list.iter().enumerate().map(|(index, x)| change(name, index, *x)).collect()
    };
    model
        .iter()
        .map(|(name, (shape, list))| (name.clone(), (shape.clone(), numbers(name, list, &mut change))))
        .collect()
}

/// Trained further: every number moves by this share of the spread.
fn fine_tuned(base: &Model, share: f32) -> Model {
    let mut random = Normal(99);
    change(base, |_, _, x| x + 0.02 * share * random.next())
}

#[derive(Clone, Copy)]
enum Type {
    F32,
    F16,
    Bf16,
    Q8,
    Q4,
}

fn encode(numbers: &[f32], kind: Type) -> Vec<u8> {
    match kind {
        Type::F32 => numbers.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Type::F16 => numbers.iter().flat_map(|x| f16::from_f32(*x).to_le_bytes()).collect(),
        Type::Bf16 => numbers.iter().flat_map(|x| bf16::from_f32(*x).to_le_bytes()).collect(),
        Type::Q8 => numbers.chunks(32).flat_map(q8_0).collect(),
        Type::Q4 => numbers.chunks(32).flat_map(q4_0).collect(),
    }
}

/// ggml's Q8_0: the largest magnitude becomes 127.
fn q8_0(block: &[f32]) -> Vec<u8> {
    let d = block.iter().fold(0.0_f32, |most, x| most.max(x.abs())) / 127.0;
    let mut out = f16::from_f32(d).to_le_bytes().to_vec();
    out.extend(block.iter().map(|x| if d > 0.0 { (x / d).round() as i8 as u8 } else { 0 }));
    out
}

/// ggml's Q4_0: the number of largest magnitude becomes -8.
fn q4_0(block: &[f32]) -> Vec<u8> {
    let most = block.iter().fold(0.0_f32, |most, x| if x.abs() > most.abs() { *x } else { most });
    let d = most / -8.0;
    let quant = |x: f32| if d == 0.0 { 8 } else { ((x / d + 8.5) as i32).clamp(0, 15) as u8 };
    let mut out = f16::from_f32(d).to_le_bytes().to_vec();
    out.extend((0..16).map(|i| quant(block[i]) | quant(block[i + 16]) << 4));
    out
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn safetensors(&self, name: &str, model: &Model, kind: Type) -> PathBuf {
        let dtype = match kind {
            Type::F16 => "F16",
            Type::Bf16 => "BF16",
            _ => "F32",
        };
        let tensors: Vec<_> = model
            .iter()
            .map(|(name, (shape, numbers))| (name.clone(), dtype, shape.clone(), encode(numbers, kind)))
            .collect();
        let folder = self.0.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("model.safetensors"), safetensors_file(&tensors, &[])).unwrap();
        folder
    }

    /// As llama.cpp's converter writes it: its names, interleaved q and k, vectors in F32.
    fn gguf(&self, name: &str, model: &Model, kind: Type, gemma: bool) -> PathBuf {
        let tensors: Vec<_> = model
            .iter()
            .map(|(name, (shape, numbers))| {
                let heads = if name.contains("q_proj") { HEADS } else { KEY_HEADS };
                let mut numbers = numbers.clone();
                if !gemma && (name.contains("q_proj") || name.contains("k_proj")) {
                    numbers = interleave(&numbers, heads, numbers.len() / (heads * HEAD));
                }
                if gemma && name.contains("norm") {
                    numbers.iter_mut().for_each(|x| *x += 1.0);
                }
                let (kind, id) = match kind {
                    _ if shape.len() == 1 => (Type::F32, 0),
                    Type::F32 => (kind, 0),
                    Type::F16 => (kind, 1),
                    Type::Q4 => (kind, 2),
                    Type::Q8 => (kind, 8),
                    Type::Bf16 => (kind, 30),
                };
                (llama_name(name), shape.clone(), id, encode(&numbers, kind))
            })
            .collect();
        let metadata = [
            ("general.architecture", GgufValue::Text(if gemma { "gemma" } else { "llama" })),
            ("llama.attention.head_count", GgufValue::Number(HEADS as u32)),
            ("llama.attention.head_count_kv", GgufValue::Number(KEY_HEADS as u32)),
        ];
        let path = self.0.path().join(name);
        std::fs::write(&path, gguf_file(&metadata, &tensors)).unwrap();
        path
    }
}

/// Rows (head, half, i) become (head, i, half).
fn interleave(numbers: &[f32], heads: usize, columns: usize) -> Vec<f32> {
    let mut out = Vec::new();
    for head in 0..heads {
        for i in 0..HEAD / 2 {
            for half in 0..2 {
                let row = head * HEAD + half * HEAD / 2 + i;
                out.extend(&numbers[row * columns..(row + 1) * columns]);
            }
        }
    }
    out
}

fn llama_name(name: &str) -> String {
    let pairs = [
        ("model.embed_tokens", "token_embd"),
        ("model.norm", "output_norm"),
        ("model.layers", "blk"),
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
        ("self_attn.o_proj", "attn_output"),
        ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"),
        ("mlp.down_proj", "ffn_down"),
        ("input_layernorm", "attn_norm"),
        ("post_attention_layernorm", "ffn_norm"),
    ];
    pairs.iter().fold(name.to_owned(), |name, (theirs, ours)| name.replace(theirs, ours))
}

fn check(a: &Path, b: &Path, expect: Verdict) -> Comparison {
    for options in [Options::default(), Options { sample: Sample::All, ..Options::default() }] {
        let there = Comparison::of_paths(a, b, options).unwrap();
        assert_eq!(there.verdict, expect, "{}\n{there:#?}", there.summary());
        let back = Comparison::of_paths(b, a, options).unwrap();
        assert_eq!(back.verdict, expect, "the other way round: {}", back.summary());
    }
    Comparison::of_paths(a, b, Options::default()).unwrap()
}

fn of<'c>(comparison: &'c Comparison, name: &str) -> &'c TensorComparison {
    comparison.tensors.iter().find(|tensor| tensor.name == name).unwrap()
}

#[test]
fn the_same_bytes_are_identical() {
    let (place, base) = (Place::new(), model(1));
    let (a, b) = (place.safetensors("a", &base, Type::Bf16), place.safetensors("b", &base, Type::Bf16));
    let found = check(&a, &b, Verdict::Identical);
    assert!(found.evidence().unwrap().result.contains("same bytes"));
    for relation in Relation::ALL {
        assert_eq!(found.evidence_for(relation).is_some(), relation != Relation::TrainedOn, "{relation}");
    }
}

#[test]
fn evidence_shows_the_relation_that_is_named() {
    let shows = |verdict, relation| {
        let (place, base) = (Place::new(), model(1));
        let (a, b) = (place.safetensors("a", &base, Type::Bf16), place.safetensors("b", &base, Type::Bf16));
        let found = Comparison { verdict, ..check(&a, &b, Verdict::Identical) };
        found.evidence_for(relation).is_some()
    };
    assert!(!shows(Verdict::Same, Relation::Copy) && shows(Verdict::Same, Relation::Quantisation));
    for relation in [Relation::Copy, Relation::Quantisation, Relation::Conversion] {
        assert!(!shows(Verdict::Derived, relation) && !shows(Verdict::Partial, relation), "{relation}");
    }
    assert!(shows(Verdict::Derived, Relation::FineTune) && shows(Verdict::Partial, Relation::Merge));
    assert!(!shows(Verdict::Unrelated, Relation::FineTune));
}

#[test]
fn conversions_are_the_same() {
    let (place, base) = (Place::new(), model(1));
    let full = place.safetensors("full", &base, Type::F32);
    for (name, kind) in [("half", Type::F16), ("brain", Type::Bf16)] {
        check(&full, &place.safetensors(name, &base, kind), Verdict::Same);
    }
    check(&full, &place.gguf("full.gguf", &base, Type::F32, false), Verdict::Same);
    check(&full, &place.gguf("half.gguf", &base, Type::F16, false), Verdict::Same);
}

#[test]
fn quantisations_are_the_same_up_to_rounding() {
    let (place, base) = (Place::new(), model(1));
    let full = place.safetensors("full", &base, Type::F16);
    let q8 = place.gguf("q8.gguf", &base, Type::Q8, false);
    let q4 = place.gguf("q4.gguf", &base, Type::Q4, false);
    for quantised in [&q8, &q4] {
        let found = check(&full, quantised, Verdict::Same);
        let residual = found.largest_residual().unwrap();
        assert!((0.25..0.35).contains(&residual), "uniform rounding gives 0.289, not {residual}");
    }
    check(&q8, &q4, Verdict::Same);
}

#[test]
fn gemmas_norms_have_one_added() {
    let (place, base) = (Place::new(), model(1));
    let full = place.safetensors("full", &base, Type::Bf16);
    check(&full, &place.gguf("gemma.gguf", &base, Type::F16, true), Verdict::Same);
}

#[test]
fn a_fine_tune_is_derived_unless_rounding_hides_it() {
    let (place, base) = (Place::new(), model(1));
    let full = place.safetensors("full", &base, Type::Bf16);
    for share in [0.01, 0.1, 0.5] {
        let tuned = fine_tuned(&base, share);
        let name = format!("tuned-{share}");
        let found = check(&full, &place.safetensors(&name, &tuned, Type::Bf16), Verdict::Derived);
        assert!(found.embeddings.unwrap().median_cosine > 0.85);
    }
    // A change of a twentieth of the spread is 2.7 steps of Q8_0 and a sixth of a step of Q4_0.
    let tuned = fine_tuned(&base, 0.05);
    check(&full, &place.gguf("t8.gguf", &tuned, Type::Q8, false), Verdict::Derived);
    // Vectors are not quantised, and so tell what the matrices hide.
    let found = check(&full, &place.gguf("t4.gguf", &tuned, Type::Q4, false), Verdict::Derived);
    assert_eq!(of(&found, "blk.0.ffn_up.weight").verdict, TensorVerdict::Same);
    let matrices =
        change(&base, |name, index, x| if base[name].0.len() > 1 { tuned[name].1[index] } else { x });
    check(&full, &place.gguf("m4.gguf", &matrices, Type::Q4, false), Verdict::Same);
    let tuned = fine_tuned(&base, 0.3);
    check(&full, &place.gguf("t4-more.gguf", &tuned, Type::Q4, false), Verdict::Derived);
}

#[test]
fn a_merge_is_derived_from_both() {
    let (place, one, two) = (Place::new(), model(1), model(2));
    let merged = change(&one, |name, index, x| (x + two[name].1[index]) / 2.0);
    let merged = place.safetensors("merged", &merged, Type::F16);
    let (one, two) = (place.safetensors("one", &one, Type::F16), place.safetensors("two", &two, Type::F16));
    for parent in [&one, &two] {
        let cosine = check(parent, &merged, Verdict::Derived).median_cosine().unwrap();
        assert!((0.6..0.8).contains(&cosine), "half and half gives 0.707, not {cosine}");
    }
    let found = check(&one, &two, Verdict::Unrelated);
    assert!(found.median_cosine().unwrap().abs() < 0.05 && found.evidence().is_none());
}

#[test]
fn a_model_whose_neurons_are_shuffled_is_recognised() {
    let (place, base) = (Place::new(), model(1));
    // Reversing the residual stream everywhere gives a model that answers the same.
    let mut shuffled = base.clone();
    for (name, (shape, numbers)) in &mut shuffled {
        if shape.last() == Some(&(WIDTH as u64)) && !name.contains("o_proj") && !name.contains("bias") {
            numbers.chunks_mut(WIDTH).for_each(<[f32]>::reverse);
        } else if name.contains("o_proj") || name.contains("down_proj") {
            let columns = shape[1] as usize;
            *numbers = numbers.chunks(columns).rev().flatten().copied().collect();
        }
    }
    let a = place.safetensors("a", &base, Type::F16);
    let found = check(&a, &place.safetensors("b", &shuffled, Type::F16), Verdict::Derived);
    assert_eq!(of(&found, "blk.0.ffn_gate.weight").verdict, TensorVerdict::Reordered);
}

#[test]
fn borrowed_embeddings_are_a_part() {
    let (place, base) = (Place::new(), model(1));
    let mut other = model(2);
    let embedding = "model.embed_tokens.weight";
    other.insert(embedding.to_owned(), fine_tuned(&base, 0.1)[embedding].clone());
    let a = place.safetensors("a", &base, Type::F16);
    let found = check(&a, &place.safetensors("b", &other, Type::F16), Verdict::Partial);
    let embeddings = found.embeddings.unwrap();
    assert_eq!(embeddings.shared, embeddings.rows);
}

#[test]
fn added_tokens_do_not_hide_the_origin() {
    let (place, base) = (Place::new(), model(1));
    let mut longer = base.clone();
    let (shape, numbers) = longer.get_mut("model.embed_tokens.weight").unwrap();
    shape[0] += 8;
    numbers.extend([0.01; 8 * WIDTH]);
    let a = place.safetensors("a", &base, Type::F16);
    let found = check(&a, &place.safetensors("b", &longer, Type::F16), Verdict::Derived);
    assert_eq!(of(&found, "token_embd.weight").note, Some("the same in the rows that both have"));
}

#[test]
fn an_output_matrix_may_be_the_embedding() {
    let (place, base) = (Place::new(), model(1));
    let mut untied = base.clone();
    untied.insert("lm_head.weight".to_owned(), base["model.embed_tokens.weight"].clone());
    let a = place.safetensors("a", &base, Type::F16);
    check(&a, &place.safetensors("b", &untied, Type::F16), Verdict::Identical);
}

#[test]
fn a_change_outside_the_sample_is_not_called_identical() {
    let (place, base) = (Place::new(), model(1));
    let a = place.safetensors("a", &base, Type::F16);
    let options = Options { sample: Sample::About(0), ..Options::default() };
    let mut notes = 0;
    for row in 0..20 {
        let changed = change(&base, |name, index, x| {
            if name == "model.embed_tokens.weight" && index == row * WIDTH { x + 0.5 } else { x }
        });
        let b = place.safetensors(&format!("b{row}"), &changed, Type::F16);
        let found = Comparison::of_paths(&a, &b, options).unwrap();
        assert_eq!(found.verdict, Verdict::Derived);
        notes += usize::from(of(&found, "token_embd.weight").note.is_some());
    }
    assert!(notes > 10, "eight of 256 rows were compared, and {notes} of 20 changes were outside");
}

#[test]
fn other_shapes_leave_it_open() {
    let (place, base) = (Place::new(), model(1));
    let wider: Model = base
        .iter()
        .map(|(name, (shape, x))| (name.clone(), (vec![shape[0] * 2], [x.as_slice(), x].concat())))
        .map(|(name, (_, x))| {
            let n = x.len() as u64;
            (name, (vec![2, n / 2], x))
        })
        .collect();
    let a = place.safetensors("a", &base, Type::F16);
    let found = check(&a, &place.safetensors("b", &wider, Type::F16), Verdict::Undecided);
    assert!(found.evidence().is_none());
}

#[test]
fn constant_tensors_prove_nothing() {
    let place = Place::new();
    let ones = change(&model(1), |_, _, _| 1.0);
    let a = place.safetensors("a", &ones, Type::F32);
    check(&a, &place.safetensors("b", &ones, Type::F16), Verdict::Undecided);
}

#[test]
fn numbers_that_are_none_are_no_evidence_and_no_panic() {
    let (place, base) = (Place::new(), model(1));
    let odd = change(&base, |_, index, x| match index % 5 {
        0 => f32::NAN,
        1 => f32::INFINITY,
        _ => x,
    });
    let nothing = change(&base, |_, _, _| f32::NAN);
    let (a, b) = (place.safetensors("a", &odd, Type::F32), place.safetensors("b", &base, Type::F32));
    check(&a, &b, Verdict::Derived);
    check(&place.safetensors("c", &nothing, Type::F32), &b, Verdict::Undecided);
    check(&place.gguf("d.gguf", &odd, Type::Q8, false), &b, Verdict::Undecided);
}

#[test]
fn a_model_that_lost_layers_is_derived_and_says_what_is_missing() {
    let (place, base) = (Place::new(), model(1));
    let mut shorter = base.clone();
    shorter.retain(|name, _| !name.contains("layers.1."));
    let a = place.safetensors("a", &base, Type::F16);
    let found = check(&a, &place.safetensors("b", &shorter, Type::F16), Verdict::Derived);
    assert_eq!(found.only.each_ref().map(Vec::len), [10, 0]);
    assert!(found.summary().ends_with("10 and 0 are in one model only"), "{}", found.summary());
}
