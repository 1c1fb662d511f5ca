//! Local inference from GGUF files, on the CPU, without `unsafe` and without a C compiler.
//!
//! *Invariant:* the same file, prompt and sampling give the same tokens on every machine, alone or in a batch.
//! [`kernel`] and [`math`] say how; the design is in `docs/models.md`.

mod attention;
mod config;
mod engine;
mod forward;
pub mod gguf;
mod isolated;
mod kernel;
mod math;
mod matrix;
pub mod quant;
mod sample;
mod template;
mod tokenizer;
mod weights;

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use ostrom_core::Digest;
use tokio::sync::oneshot;

use crate::chat::Message;
use crate::model::{BoxFuture, Model, ModelError, ModelIdentity, Request, Response};
use engine::{Engine, Job};

pub use config::{Architecture, Config};
pub use forward::{Logits, Sequence, Step, StepOutput, Transformer};
pub use gguf::{GgufError, Header};
pub use isolated::{Templates, serve_templates};
pub use template::ChatTemplate;
pub use tokenizer::Tokenizer;
pub use weights::inspect;

/// How to run a local model.
#[derive(Debug, Clone)]
pub struct LocalOptions {
    /// Threads; 0 takes all cores.
    pub threads: usize,
    /// Sequences worked on at once.
    pub batch: usize,
    /// Longest context in tokens; the model's own limit applies too.
    pub window: usize,
    /// Where the file's chat template is rendered.
    pub templates: Templates,
}

impl Default for LocalOptions {
    fn default() -> Self {
        Self { threads: 0, batch: 16, window: 8192, templates: Templates::InProcess }
    }
}

/// A GGUF file, loaded.
pub struct LocalModel {
    identity: ModelIdentity,
    transformer: Arc<Transformer>,
    tokenizer: Arc<Tokenizer>,
    template: Option<ChatTemplate>,
    engine: Engine,
    batch: usize,
}

impl LocalModel {
    /// Loads a GGUF file under the name that people know it by.
    ///
    /// # Errors
    /// If the file is not a sound GGUF file of a supported architecture.
    pub fn load(path: &Path, name: &str, options: LocalOptions) -> Result<Self, ModelError> {
        let unfit = |error: GgufError| ModelError::Unsupported(format!("{}: {error}", path.display()));
        let (digest, header) = inspect(path).map_err(unfit)?;
        let (transformer, tokenizer) = load_parts(path, &header, options.window).map_err(unfit)?;
        let template = ChatTemplate::read(&header, &tokenizer, &options.templates)?;
        let (transformer, tokenizer) = (Arc::new(transformer), Arc::new(tokenizer));
        let threads = match options.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        };
        let engine = Engine::start(Arc::clone(&transformer), Arc::clone(&tokenizer), threads, options.batch)?;
        let architecture = header.string("general.architecture").unwrap_or_default().to_owned();
        let identity = ModelIdentity::Local { name: name.to_owned(), digest, architecture };
        Ok(Self { identity, transformer, tokenizer, template, engine, batch: options.batch })
    }

    /// SHA-256 of the file.
    pub fn digest(&self) -> Option<Digest> {
        match &self.identity {
            ModelIdentity::Local { digest, .. } => Some(*digest),
            ModelIdentity::Endpoint { .. } => None,
        }
    }

    /// The forward pass, for work that needs logits, hidden states or attention.
    pub fn transformer(&self) -> &Transformer {
        &self.transformer
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Whether the file says how a conversation becomes a prompt. One that does not is a base model, which continues
    /// text.
    pub fn has_chat_template(&self) -> bool {
        self.template.is_some()
    }

    /// The prompt that a conversation becomes.
    ///
    /// # Errors
    /// If the file has no chat template or the template rejects the conversation.
    pub fn prompt(&self, request: &Request) -> Result<String, ModelError> {
        match &self.template {
            Some(template) => template.render(&request.messages, &request.tools),
            None => match request.messages.as_slice() {
                // A base model continues text: one user turn is that text.
                [Message { role: crate::Role::User, content, .. }] => Ok(content.clone()),
                _ => Err(ModelError::Unsupported(
                    "the file has no chat template: it is a base model, which takes one user turn as the text to \
                     continue and nothing else"
                        .to_owned(),
                )),
            },
        }
    }

    /// Starts a generation whose text also goes to `stream` as it comes.
    ///
    /// # Errors
    /// If the request cannot be turned into a prompt.
    pub fn start(
        &self,
        request: &Request,
        stream: Option<Sender<String>>,
    ) -> Result<oneshot::Receiver<Result<Response, ModelError>>, ModelError> {
        if !request.tools.is_empty() {
            return Err(ModelError::Unsupported("local models are not given tools yet".to_owned()));
        }
        let prompt = self.tokenizer.encode(&self.prompt(request)?, true);
        let (answer, receiver) = oneshot::channel();
        let job = Job { prompt, sampling: request.sampling, logprobs: request.logprobs, answer, stream };
        self.engine.submit(job)?;
        Ok(receiver)
    }
}

/// Reads shape, weights and tokenizer of a file whose header has been read.
///
/// # Errors
/// If the file is not a sound model of a supported architecture.
pub fn load_parts(
    path: &Path,
    header: &Header,
    window: usize,
) -> Result<(Transformer, Tokenizer), GgufError> {
    let config = Config::read(header)?;
    let tokenizer = Tokenizer::read(header)?;
    let weights = weights::load(path, header, &config)?;
    if tokenizer.len() > weights.vocabulary {
        return Err(GgufError::Corrupt(format!(
            "the vocabulary has {} tokens, the embedding {}",
            tokenizer.len(),
            weights.vocabulary
        )));
    }
    Ok((Transformer::new(config, weights, window), tokenizer))
}

impl Model for LocalModel {
    fn identity(&self) -> ModelIdentity {
        self.identity.clone()
    }

    fn concurrency(&self) -> usize {
        // A few more than fit, so that the engine never waits for the next request.
        self.batch + self.batch / 2
    }

    fn is_deterministic(&self) -> bool {
        true
    }

    fn generate(&self, request: Request) -> BoxFuture<'_, Result<Response, ModelError>> {
        Box::pin(async move {
            let receiver = self.start(&request, None)?;
            receiver.await.unwrap_or_else(|_| Err(ModelError::Engine("its thread has ended".to_owned())))
        })
    }
}
