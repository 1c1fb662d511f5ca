//! Whole models of every architecture, from the file to the text. Their weights are random: what is tested is that nothing
//! depends on what it must not depend on. That the numbers are right is compared with llama.cpp (`bench/llama`).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "clippy takes only functions marked as tests for tests, not the helpers beside them"
)]

mod tiny_gguf;

use std::fs;

use ostrom_models::local::{LocalModel, LocalOptions, Logits, Sequence, Step, StepOutput, Transformer};
use ostrom_models::{Message, Model as _, Request, Sampling};
use tiny_gguf::{CHATML, tiny_gguf};

const ARCHITECTURES: [&str; 3] = ["llama", "qwen2", "gemma3"];

fn load(bytes: &[u8]) -> Result<LocalModel, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    fs::write(&path, bytes).unwrap();
    let options = LocalOptions { threads: 2, batch: 4, ..LocalOptions::default() };
    LocalModel::load(&path, "tiny", options).map_err(|error| error.to_string())
}

fn step<'a>(sequence: &'a mut Sequence, tokens: &'a [u32]) -> Step<'a> {
    Step { sequence, tokens, logits: Logits::All, hidden: true, attention: true }
}

fn forward(model: &Transformer, steps: &mut [Step<'_>]) -> Vec<StepOutput> {
    model.forward(steps).unwrap()
}

#[tokio::test]
async fn greedy_answers_are_the_same_every_time_alone_and_in_a_batch() {
    for architecture in ARCHITECTURES {
        let model = load(&tiny_gguf(architecture, Some(CHATML))).unwrap();
        let sampling = Sampling { max_tokens: 24, ..Sampling::default() };
        let request = |i: usize| {
            let user = format!("Nets and tides, number {}. {}", i, "More of it. ".repeat(i % 5));
            Request::new(vec![Message::system("Answer."), Message::user(user)], sampling)
        };
        let mut alone = Vec::new();
        for i in 0..12 {
            alone.push(model.generate(request(i)).await.unwrap().text);
        }
        assert!(alone.iter().any(|text| *text != alone[0]), "{architecture}: {alone:?}");
        let model = load(&tiny_gguf(architecture, Some(CHATML))).unwrap();
        let together: Vec<_> = (0..12).map(|i| model.start(&request(i), None).unwrap()).collect();
        for (receiver, text) in together.into_iter().zip(&alone) {
            assert_eq!(&receiver.await.unwrap().unwrap().text, text, "{architecture}");
        }
    }
}

#[test]
fn a_position_is_the_same_bits_whole_in_pieces_and_beside_others() {
    for architecture in ARCHITECTURES {
        let model = load(&tiny_gguf(architecture, None)).unwrap();
        let model = model.transformer();
        let tokens: Vec<u32> = (0..40).map(|i| i * 37 % 256).collect();
        let other: Vec<u32> = (0..17).map(|i| i * 11 % 256).collect();
        let whole = forward(model, &mut [step(&mut model.sequence(), &tokens)]).remove(0);
        assert_eq!(whole.logits.len(), tokens.len());

        let mut sequence = model.sequence();
        let mut logits = Vec::new();
        for piece in tokens.chunks(7) {
            logits.extend(forward(model, &mut [step(&mut sequence, piece)]).remove(0).logits);
        }
        assert_eq!(logits, whole.logits, "{architecture}: in pieces");

        let (mut one, mut two) = (model.sequence(), model.sequence());
        let both = forward(model, &mut [step(&mut two, &other), step(&mut one, &tokens)]);
        assert_eq!(both[1].logits, whole.logits, "{architecture}: beside another");

        // The end can be forgotten and read again.
        one.truncate(25);
        let again = forward(model, &mut [step(&mut one, &tokens[25..])]).remove(0);
        assert_eq!(again.logits, whole.logits[25..], "{architecture}: after forgetting");
    }
}

#[test]
fn hidden_states_and_attention_are_given_for_every_layer_and_token() {
    for (architecture, layers) in [("llama", 2), ("qwen2", 2), ("gemma3", 6)] {
        let model = load(&tiny_gguf(architecture, None)).unwrap();
        let model = model.transformer();
        let tokens: Vec<u32> = (0..20).collect();
        let found = forward(model, &mut [step(&mut model.sequence(), &tokens)]).remove(0);
        assert_eq!(found.hidden.len(), layers);
        assert!(found.hidden.iter().all(|layer| layer.len() == tokens.len() * 32));
        assert!(found.hidden.iter().flatten().all(|number| number.is_finite()));
        assert_eq!(found.attention.len(), layers);
        for (index, layer) in found.attention.iter().enumerate() {
            for (position, weights) in layer.iter().enumerate() {
                // Gemma's local layers see the last eight positions.
                let local = architecture == "gemma3" && index != 5;
                let seen = if local { (position + 1).min(8) } else { position + 1 };
                assert_eq!(weights.len(), 2 * seen, "{architecture}, layer {index}, position {position}");
                for head in weights.chunks(seen) {
                    let sum: f32 = head.iter().sum();
                    assert!((sum - 1.0).abs() < 1e-4 && head.iter().all(|w| *w >= 0.0), "{sum}");
                }
            }
        }
        // Nothing is computed that was not asked for.
        let mut sequence = model.sequence();
        let plain =
            Step { hidden: false, attention: false, logits: Logits::Last, ..step(&mut sequence, &tokens) };
        let plain = forward(model, &mut [plain]).remove(0);
        assert_eq!(plain.logits, found.logits[19..]);
        assert!(plain.hidden.is_empty() && plain.attention.is_empty());
    }
}

#[test]
fn a_file_cut_off_anywhere_is_an_error() {
    let bytes = tiny_gguf("qwen2", Some(CHATML));
    load(&bytes).unwrap();
    for cut in (0..bytes.len()).step_by(bytes.len() / 40).chain([bytes.len() - 1]) {
        assert!(load(&bytes[..cut]).is_err(), "cut at {cut} of {}", bytes.len());
    }
}

#[test]
fn a_missing_tensor_is_named() {
    let bytes = tiny_gguf("llama", None);
    let at = bytes.windows(11).position(|window| window == b"attn_output").unwrap();
    let mut renamed = bytes.clone();
    renamed[at] = b'x';
    assert!(load(&renamed).err().unwrap().contains("blk.0.attn_output.weight"));
}
