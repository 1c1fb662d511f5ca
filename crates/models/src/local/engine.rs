//! The thread that runs a local model: it takes requests as they come and works on many at once.
//!
//! Every round feeds each active sequence its next tokens, a piece of its prompt or the token just chosen, all in
//! one forward pass. Since a row does not depend on its neighbours, what is in the batch changes the speed only.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};

use tokio::sync::oneshot;

use super::forward::{Logits, Sequence, Step, Transformer};
use super::math::log_probability;
use super::sample::{Rng, choose};
use super::tokenizer::Tokenizer;
use crate::chat::Sampling;
use crate::model::{ModelError, Response, StopReason, TokenLogprob, Usage};

/// Tokens fed in one forward pass.
const ROUND: usize = 512;
/// Finished sequences whose beginnings may serve the next ones.
const KEPT: usize = 16;
/// A beginning that is this much longer than what is at hand is worth waiting for.
const WORTH_WAITING: usize = 32;
/// A shared beginning shorter than this is not worth a copy.
const WORTH_COPYING: usize = 16;

/// A request, tokenised.
pub struct Job {
    /// The prompt.
    pub prompt: Vec<u32>,
    /// How to choose tokens.
    pub sampling: Sampling,
    /// Whether to return log-probabilities.
    pub logprobs: bool,
    /// Where the answer goes. When the other end is gone, the job is dropped.
    pub answer: oneshot::Sender<Result<Response, ModelError>>,
    /// Where tokens go as they come, for people who watch.
    pub stream: Option<Sender<String>>,
}

/// The handle to the engine's thread. Dropping it ends the thread.
pub struct Engine {
    jobs: Sender<Job>,
}

struct Active {
    job: Job,
    sequence: Sequence,
    /// Prompt and generated tokens.
    tokens: Vec<u32>,
    fed: usize,
    generated: usize,
    rng: Rng,
    logprobs: Vec<TokenLogprob>,
    shown: usize,
}

/// A finished sequence: its tokens, and what the model made of them.
struct Kept {
    tokens: Vec<u32>,
    sequence: Sequence,
}

struct Worker {
    model: Arc<Transformer>,
    tokenizer: Arc<Tokenizer>,
    batch: usize,
    active: Vec<Active>,
    kept: VecDeque<Kept>,
    /// Jobs whose beginning another sequence is reading right now: cheaper to wait for than to read twice.
    waiting: VecDeque<Job>,
}

impl Engine {
    /// Starts the thread, which works on up to `batch` sequences at once with `threads` threads.
    ///
    /// # Errors
    /// If the system gives no threads.
    pub fn start(
        model: Arc<Transformer>,
        tokenizer: Arc<Tokenizer>,
        threads: usize,
        batch: usize,
    ) -> Result<Self, ModelError> {
        let failed = |error: &dyn std::fmt::Display| ModelError::Engine(error.to_string());
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|i| format!("ostrom-infer-{i}"))
            .build()
            .map_err(|error| failed(&error))?;
        let (jobs, queue) = channel();
        let worker = Worker {
            model,
            tokenizer,
            batch: batch.max(1),
            active: Vec::new(),
            kept: VecDeque::new(),
            waiting: VecDeque::new(),
        };
        std::thread::Builder::new()
            .name("ostrom-engine".to_owned())
            .spawn(move || pool.install(move || worker.run(&queue)))
            .map_err(|error| failed(&error))?;
        Ok(Self { jobs })
    }

    /// Hands a job over.
    ///
    /// # Errors
    /// If the thread is gone.
    pub fn submit(&self, job: Job) -> Result<(), ModelError> {
        self.jobs.send(job).map_err(|_| ModelError::Engine("its thread has ended".to_owned()))
    }
}

impl Worker {
    fn run(mut self, queue: &Receiver<Job>) {
        loop {
            for _ in 0..self.waiting.len() {
                if let Some(job) = self.waiting.pop_front() {
                    self.admit(job);
                }
            }
            while self.active.len() + self.waiting.len() < self.batch {
                let job = if self.active.is_empty() && self.waiting.is_empty() {
                    match queue.recv() {
                        Ok(job) => job,
                        Err(_) => return,
                    }
                } else {
                    match queue.try_recv() {
                        Ok(job) => job,
                        Err(TryRecvError::Empty) => break,
                        Err(TryRecvError::Disconnected) => return,
                    }
                };
                self.admit(job);
            }
            self.round();
        }
    }

    fn admit(&mut self, job: Job) {
        let window = self.model.window();
        if job.prompt.is_empty() || job.prompt.len() >= window {
            let error = ModelError::TooLong { tokens: job.prompt.len(), window };
            let _ = job.answer.send(Err(error));
            return;
        }
        let at_hand = self.longest_beginning(&job.prompt);
        let fed = at_hand.map_or(0, |(length, _)| length);
        let coming = self.active.iter().map(|active| shared(&active.job.prompt, &job.prompt)).max();
        if coming.is_some_and(|coming| coming >= fed + WORTH_WAITING) {
            self.waiting.push_back(job);
            return;
        }
        let (sequence, fed) = match at_hand {
            Some((length, sequence)) if length >= WORTH_COPYING => {
                let mut sequence = sequence.clone();
                sequence.truncate(length);
                (sequence, length)
            }
            _ => (self.model.sequence(), 0),
        };
        self.active.push(Active {
            sequence,
            tokens: job.prompt.clone(),
            fed,
            generated: 0,
            rng: Rng::new(job.sampling.seed),
            logprobs: Vec::new(),
            shown: 0,
            job,
        });
    }

    /// The sequence here that has read the longest beginning of this prompt, and its length. At least the last token
    /// is left to feed, since its logits are needed.
    fn longest_beginning(&self, prompt: &[u32]) -> Option<(usize, &Sequence)> {
        let active = self.active.iter().map(|active| (&active.sequence, &active.tokens));
        let kept = self.kept.iter().map(|kept| (&kept.sequence, &kept.tokens));
        active
            .chain(kept)
            .map(|(sequence, tokens)| (shared(tokens, prompt).min(sequence.len()), sequence))
            .max_by_key(|(length, _)| *length)
    }

    fn round(&mut self) {
        self.active.retain(|active| !active.job.answer.is_closed());
        let mut room = ROUND;
        let mut chosen = Vec::new();
        let mut steps = Vec::new();
        // Sequences that are generating go first: one token each.
        let mut order: Vec<(usize, &mut Active)> = self.active.iter_mut().enumerate().collect();
        order.sort_by_key(|(_, active)| active.tokens.len() - active.fed > 1);
        for (index, active) in order {
            let left = active.tokens.len() - active.fed;
            let count = left.min(room);
            if count == 0 {
                continue;
            }
            room -= count;
            let logits = if count == left { Logits::Last } else { Logits::None };
            let tokens = active.tokens.get(active.fed..active.fed + count).unwrap_or_default();
            steps.push(Step {
                sequence: &mut active.sequence,
                tokens,
                logits,
                hidden: false,
                attention: false,
            });
            chosen.push((index, count));
        }
        if steps.is_empty() {
            return;
        }
        let outputs = match self.model.forward(&mut steps) {
            Ok(outputs) => outputs,
            Err(error) => {
                // INVARIANT: admission checked length and vocabulary, so this is a defect; nobody waits for ever.
                for active in self.active.drain(..) {
                    let _ = active.job.answer.send(Err(ModelError::Engine(error.to_string())));
                }
                return;
            }
        };
        let mut finished = Vec::new();
        for ((index, count), output) in chosen.into_iter().zip(outputs) {
            let Some(active) = self.active.get_mut(index) else { continue };
            active.fed += count;
            if let Some(logits) = output.logits.first()
                && let Some(stop) = active.advance(logits, &self.model, &self.tokenizer)
            {
                finished.push((index, stop));
            }
        }
        finished.sort_unstable_by_key(|(index, _)| std::cmp::Reverse(*index));
        for (index, stop) in finished {
            let active = self.active.swap_remove(index);
            self.finish(active, stop);
        }
    }

    fn finish(&mut self, active: Active, stop: StopReason) {
        let prompt = active.job.prompt.len();
        let text = self.tokenizer.decode(active.tokens.get(prompt..).unwrap_or_default());
        let usage = Usage { input_tokens: prompt as u64, output_tokens: active.generated as u64 };
        let logprobs = active.job.logprobs.then_some(active.logprobs);
        let response = Response { text, tool_calls: Vec::new(), usage, stop, logprobs, reported_model: None };
        let _ = active.job.answer.send(Ok(response));
        if self.kept.len() >= KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(Kept { tokens: active.tokens, sequence: active.sequence });
    }
}

/// Length of the common beginning, without the prompt's last token, whose logits are always needed.
fn shared(tokens: &[u32], prompt: &[u32]) -> usize {
    tokens.iter().zip(prompt).take(prompt.len().saturating_sub(1)).take_while(|(a, b)| a == b).count()
}

impl Active {
    /// Chooses the next token. `Some` when the sequence is finished.
    fn advance(&mut self, logits: &[f32], model: &Transformer, tokenizer: &Tokenizer) -> Option<StopReason> {
        let token = choose(logits, &self.job.sampling, &mut self.rng);
        self.generated += 1;
        if tokenizer.is_stop(token) {
            return Some(StopReason::EndOfTurn);
        }
        if self.job.logprobs {
            let logprob = log_probability(logits, token as usize).unwrap_or(f64::NEG_INFINITY);
            self.logprobs.push(TokenLogprob { token: tokenizer.decode(&[token]), logprob });
        }
        self.tokens.push(token);
        if let Some(stream) = &self.job.stream {
            // Only whole characters are shown: a token may end in the middle of one.
            let text = tokenizer.decode(self.tokens.get(self.job.prompt.len()..).unwrap_or_default());
            let whole = text.trim_end_matches('\u{fffd}');
            if let Some(fresh) = whole.get(self.shown..).filter(|fresh| !fresh.is_empty()) {
                let _ = stream.send(fresh.to_owned());
                self.shown = whole.len();
            }
        }
        let full =
            self.generated >= self.job.sampling.max_tokens as usize || self.tokens.len() >= model.window();
        full.then_some(StopReason::Length)
    }
}
