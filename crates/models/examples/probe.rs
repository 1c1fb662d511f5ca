//! Answers questions about a GGUF file, so that a script can compare this engine with another one.
//!
//!     echo '{"op":"tokenize","text":"Hello"}' | cargo run --release -p ostrom-models --example probe -- model.gguf 2
//!
//! The arguments are the file and the number of threads. One JSON command a line comes in, one JSON answer a line
//! goes out; the first line is about the file itself. Commands:
//!
//! - `tokenize`: `text` → `ids`, with the beginning-of-sequence token where the file asks for it, and `text` again
//!   from the tokens.
//! - `greedy`: `prompts` (texts), `tokens` (how many) → for each prompt its `prompt` ids, the `ids` of the greedy
//!   continuation (end-of-turn tokens do not end it) and the `gaps` between the two largest logits. Every prompt is
//!   run alone and all are run as one batch; a difference in any bit of the chosen logits is an error.
//! - `logits`: `ids`, `file` → writes the logits at every position to the file, 32-bit little-endian floats.
//! - `chat`: `users` (one user turn each), `tokens` → `texts` through the engine, run one after the other and then
//!   at once, with reuse of shared beginnings; a difference from the plain forward pass is an error.
//! - `bench`: `ids`, `rounds`, `sequences` → `seconds` for that many passes over the next token of every sequence,
//!   each from an empty context and from another place in the text; `sequences` 0 feeds `rounds` ids in one pass.

use std::error::Error;
use std::io::{BufRead as _, Write as _};
use std::path::Path;
use std::time::Instant;

use ostrom_models::local::{LocalModel, LocalOptions, Logits, Sequence, Step, Transformer};
use ostrom_models::{Message, Model as _, Request, Sampling, StopReason};
use serde::Deserialize;
use serde_json::{Value, json};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
enum Command {
    Tokenize { text: String },
    Greedy { prompts: Vec<String>, tokens: usize },
    Logits { ids: Vec<u32>, file: String },
    Chat { users: Vec<String>, tokens: u32 },
    Bench { ids: Vec<u32>, rounds: usize, sequences: usize },
}

/// A greedy continuation, and for each token the two largest logits.
#[derive(PartialEq, Clone, Default)]
struct Continuation {
    ids: Vec<u32>,
    top: Vec<[f32; 2]>,
}

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: probe MODEL.gguf [THREADS]")?;
    let threads = arguments.next().map_or(Ok(0), |text| text.parse())?;
    let model =
        LocalModel::load(Path::new(&path), "probe", LocalOptions { threads, ..LocalOptions::default() })?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let window = model.transformer().window();
    let about =
        json!({ "vocabulary": model.transformer().vocabulary(), "window": window, "stops": stops(&model) });
    let mut out = std::io::stdout().lock();
    writeln!(out, "{about}")?;
    for line in std::io::stdin().lock().lines() {
        let command = serde_json::from_str(&line?)?;
        let answer =
            pool.install(|| answer(&model, command)).unwrap_or_else(|e| json!({ "error": e.to_string() }));
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

fn answer(model: &LocalModel, command: Command) -> Outcome<Value> {
    let transformer = model.transformer();
    match command {
        Command::Tokenize { text } => {
            let ids = model.tokenizer().encode(&text, true);
            Ok(json!({ "text": model.tokenizer().decode(&ids), "ids": ids }))
        }
        Command::Greedy { prompts, tokens } => {
            let prompts: Vec<Vec<u32>> =
                prompts.iter().map(|text| model.tokenizer().encode(text, true)).collect();
            let together = greedy(transformer, &prompts, tokens)?;
            for (number, (prompt, batched)) in prompts.iter().zip(&together).enumerate() {
                if greedy(transformer, std::slice::from_ref(prompt), tokens)?.first() != Some(batched) {
                    return Err(
                        format!("prompt {number} continues differently alone and in the batch").into()
                    );
                }
            }
            let of = |(prompt, found): (&Vec<u32>, &Continuation)| {
                let gaps: Vec<f32> = found.top.iter().map(|[first, second]| first - second).collect();
                json!({ "prompt": prompt, "ids": found.ids, "gaps": gaps })
            };
            Ok(json!({ "continuations": prompts.iter().zip(&together).map(of).collect::<Vec<_>>() }))
        }
        Command::Logits { ids, file } => {
            let mut file = std::io::BufWriter::new(std::fs::File::create(file)?);
            let mut sequence = transformer.sequence();
            // In pieces, so that the logits of a long text need not fit the memory.
            for tokens in ids.chunks(64) {
                let outputs = transformer.forward(&mut [step(&mut sequence, tokens, Logits::All)])?;
                for logit in outputs.iter().flat_map(|output| &output.logits).flatten() {
                    file.write_all(&logit.to_le_bytes())?;
                }
            }
            file.flush()?;
            Ok(json!({ "positions": ids.len() }))
        }
        Command::Chat { users, tokens } => chat(model, &users, tokens),
        Command::Bench { ids, rounds, sequences } => bench(transformer, &ids, rounds, sequences),
    }
}

fn step<'a>(sequence: &'a mut Sequence, tokens: &'a [u32], logits: Logits) -> Step<'a> {
    Step { sequence, tokens, logits, hidden: false, attention: false }
}

/// The vocabulary's end-of-turn tokens.
fn stops(model: &LocalModel) -> Vec<u32> {
    (0_u32..).take(model.tokenizer().len()).filter(|&id| model.tokenizer().is_stop(id)).collect()
}

/// The largest logit's token, of equals the first, and the two largest logits.
fn best(logits: &[f32]) -> (u32, [f32; 2]) {
    let mut token = 0;
    let mut top = [f32::NEG_INFINITY; 2];
    for (id, &x) in (0_u32..).zip(logits) {
        let [first, second] = top;
        if x > first {
            (token, top) = (id, [x, first]);
        } else if x > second {
            top = [first, x];
        }
    }
    (token, top)
}

/// Continues all prompts in one batch.
fn greedy(transformer: &Transformer, prompts: &[Vec<u32>], tokens: usize) -> Outcome<Vec<Continuation>> {
    let mut sequences: Vec<Sequence> = prompts.iter().map(|_| transformer.sequence()).collect();
    let mut found = vec![Continuation::default(); prompts.len()];
    let mut next: Vec<Vec<u32>> = prompts.to_vec();
    for _ in 0..tokens {
        let steps =
            sequences.iter_mut().zip(&next).map(|(sequence, tokens)| step(sequence, tokens, Logits::Last));
        let outputs = transformer.forward(&mut steps.collect::<Vec<_>>())?;
        for ((output, found), next) in outputs.iter().zip(&mut found).zip(&mut next) {
            let (token, top) = best(output.logits.first().ok_or("no logits")?);
            found.ids.push(token);
            found.top.push(top);
            *next = vec![token];
        }
    }
    Ok(found)
}

fn chat(model: &LocalModel, users: &[String], tokens: u32) -> Outcome<Value> {
    let sampling = Sampling { max_tokens: tokens, temperature: 0.0, ..Sampling::default() };
    let requests: Vec<Request> =
        users.iter().map(|user| Request::new(vec![Message::user(user.as_str())], sampling)).collect();
    let mut expected = Vec::new();
    for request in &requests {
        let prompt = model.tokenizer().encode(&model.prompt(request)?, true);
        let found =
            greedy(model.transformer(), &[prompt], tokens as usize)?.pop().ok_or("no continuation")?;
        let end = found.ids.iter().position(|&id| model.tokenizer().is_stop(id));
        let ids = found.ids.get(..end.unwrap_or(found.ids.len())).unwrap_or_default();
        let stop = if end.is_some() { StopReason::EndOfTurn } else { StopReason::Length };
        expected.push((model.tokenizer().decode(ids), stop));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let mut answers = Vec::new();
    for request in &requests {
        answers.push(runtime.block_on(model.generate(request.clone()))?);
    }
    let waiting: Vec<_> =
        requests.iter().map(|request| model.start(request, None)).collect::<Result<_, _>>()?;
    for receiver in waiting {
        answers.push(runtime.block_on(receiver)??);
    }
    for (number, (response, (text, stop))) in answers.iter().zip(expected.iter().cycle()).enumerate() {
        if (&response.text, response.stop) != (text, *stop) {
            return Err(
                format!("answer {number} is {:?}, the forward pass says {text:?}", response.text).into()
            );
        }
    }
    Ok(json!({ "texts": expected.iter().map(|(text, _)| text).collect::<Vec<_>>() }))
}

fn bench(transformer: &Transformer, ids: &[u32], rounds: usize, sequences: usize) -> Outcome<Value> {
    let started = Instant::now();
    if sequences == 0 {
        let text = ids.get(..rounds).ok_or("too few ids")?;
        transformer.forward(&mut [step(&mut transformer.sequence(), text, Logits::Last)])?;
    } else {
        let mut states: Vec<Sequence> = (0..sequences).map(|_| transformer.sequence()).collect();
        for round in 0..rounds {
            let tokens = ids.get(round..round + sequences).ok_or("too few ids")?.chunks(1);
            let steps = states.iter_mut().zip(tokens).map(|(state, token)| step(state, token, Logits::Last));
            transformer.forward(&mut steps.collect::<Vec<_>>())?;
        }
    }
    Ok(json!({ "seconds": started.elapsed().as_secs_f64() }))
}
