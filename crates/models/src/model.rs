//! The trait that every target implements, and what it answers.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use ostrom_core::Digest;
use serde::{Deserialize, Serialize};

use crate::chat::{Message, Sampling, ToolCall, ToolSpec};

/// A future that can be sent between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A conversation to continue.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The turns so far; the last is usually the user's.
    pub messages: Vec<Message>,
    /// The tools that the model may call.
    pub tools: Vec<ToolSpec>,
    /// How to choose tokens.
    pub sampling: Sampling,
    /// Whether to return the log-probability of every generated token.
    pub logprobs: bool,
}

impl Request {
    /// A request without tools or log-probabilities.
    pub fn new(messages: Vec<Message>, sampling: Sampling) -> Self {
        Self { messages, tools: Vec::new(), sampling, logprobs: false }
    }
}

/// Why a model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopReason {
    /// It ended its turn.
    EndOfTurn,
    /// `max_tokens` or the end of the context window.
    Length,
    /// It calls a tool.
    ToolCalls,
    /// The provider's filter cut the answer off.
    ContentFilter,
    /// The provider gave a reason that Ostrom does not know.
    Other,
}

/// Tokens that one request cost, as the target counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
}

/// A generated token and its natural-log probability.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenLogprob {
    /// The token's text.
    pub token: String,
    /// ln p, at most 0.
    pub logprob: f64,
}

/// What a model answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// The text, possibly empty.
    pub text: String,
    /// The tools that it calls.
    pub tool_calls: Vec<ToolCall>,
    /// The tokens that it cost.
    pub usage: Usage,
    /// Why it stopped.
    pub stop: StopReason,
    /// Present if asked for and the target gives them.
    pub logprobs: Option<Vec<TokenLogprob>>,
    /// The model name that the endpoint reported, which may differ from the one asked for.
    pub reported_model: Option<String>,
}

/// What was tested: enough for somebody else to test the same thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ModelIdentity {
    /// A GGUF file, named by its bytes.
    Local {
        /// The name that people know it by.
        name: String,
        /// SHA-256 of the whole file.
        digest: Digest,
        /// `general.architecture` of the file.
        architecture: String,
    },
    /// A service, which may change under our feet: only a name and an address.
    Endpoint {
        /// The provider's protocol: `openai` or `anthropic`.
        protocol: String,
        /// The base URL without user information or query.
        url: String,
        /// The model asked for.
        model: String,
    },
}

impl ModelIdentity {
    /// The name for tables and titles.
    pub fn name(&self) -> &str {
        match self {
            Self::Local { name, .. } => name,
            Self::Endpoint { model, .. } => model,
        }
    }
}

/// Why a model gave no answer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ModelError {
    /// The key is missing, wrong or not allowed to do this.
    #[error(
        "the endpoint refused the key (HTTP {status}): check the key and what it may use{}",
        detail(message)
    )]
    Refused {
        /// HTTP status.
        status: u16,
        /// What the endpoint said, shortened, without secrets.
        message: String,
    },
    /// The request itself is wrong; the same request will fail again.
    #[error("the endpoint rejected the request (HTTP {status}){}", detail(message))]
    Rejected {
        /// HTTP status.
        status: u16,
        /// What the endpoint said, shortened, without secrets.
        message: String,
    },
    /// The endpoint failed or was busy, and so it was after every retry.
    #[error("the endpoint failed {attempts} times, last with {last}: try later or lower --concurrency")]
    Unavailable {
        /// Tries made.
        attempts: u32,
        /// The last failure.
        last: String,
    },
    /// No whole answer within the time limit.
    #[error("no answer within {} s: raise --timeout or check the endpoint", limit.as_secs_f64())]
    TimedOut {
        /// The limit.
        limit: Duration,
    },
    /// The answer is not what the protocol says.
    #[error("the endpoint's answer is not {protocol}: {message}")]
    BadAnswer {
        /// The protocol expected.
        protocol: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// The answer is larger than the limit.
    #[error("the endpoint's answer is larger than {limit} bytes; it was cut off and discarded")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// A cap on requests, tokens or money is reached. The run stops here and can be resumed.
    #[error("the cap of {limit} is reached: raise it and resume")]
    CapReached {
        /// Which cap, with its figure.
        limit: String,
    },
    /// The conversation does not fit the model's context window.
    #[error("the conversation has {tokens} tokens; the model's context window holds {window}")]
    TooLong {
        /// Tokens of the conversation.
        tokens: usize,
        /// Tokens that fit.
        window: usize,
    },
    /// The model cannot do what was asked.
    #[error("{0}")]
    Unsupported(String),
    /// The local engine has stopped.
    #[error("the local engine has stopped: {0}")]
    Engine(String),
}

fn detail(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

impl ModelError {
    /// Whether the whole run should stop rather than go on to the next case.
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::CapReached { .. } | Self::Engine(_))
    }
}

/// A language model, wherever it runs.
pub trait Model: Send + Sync {
    /// What is being talked to.
    fn identity(&self) -> ModelIdentity;

    /// How many requests it can usefully work on at once.
    fn concurrency(&self) -> usize;

    /// Whether the same request with the same sampling always gets the same answer.
    fn is_deterministic(&self) -> bool;

    /// Continues a conversation.
    ///
    /// Dropping the future abandons the request.
    fn generate(&self, request: Request) -> BoxFuture<'_, Result<Response, ModelError>>;

    /// What the run has used of what its caps limit; `None` where nothing is spent but this machine's time.
    fn spent(&self) -> Option<crate::http::Spent> {
        None
    }
}
