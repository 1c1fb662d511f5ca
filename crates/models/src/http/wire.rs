//! What the two protocols have in common.

use super::config::{HttpConfig, Protocol};
use super::{anthropic, openai};
use crate::model::{ModelError, Request, Response, Usage};

/// An answer, and what it cost if the endpoint said so.
#[derive(Debug, PartialEq)]
pub(super) struct Decoded {
    /// The answer.
    pub(super) response: Response,
    /// The cost; in the response, an unknown one is zero.
    pub(super) usage: Option<Usage>,
}

/// The most tokens that a count is believed to be: the largest integer that every reader of JSON keeps whole, and so the
/// largest that canonical JSON can hold.
pub(super) const MAX_TOKENS: u64 = (1 << 53) - 1;

/// A count as an endpoint gave it, which may be anything.
pub(super) fn counted(input_tokens: u64, output_tokens: u64) -> Usage {
    Usage { input_tokens: input_tokens.min(MAX_TOKENS), output_tokens: output_tokens.min(MAX_TOKENS) }
}

impl Protocol {
    /// The resource under the base URL.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::OpenAi => "chat/completions",
            Self::Anthropic => "messages",
        }
    }

    /// What an answer should have been, in words.
    pub(super) fn answer_name(self) -> &'static str {
        match self {
            Self::OpenAi => "an OpenAI chat completion",
            Self::Anthropic => "an Anthropic message",
        }
    }

    /// The JSON body of a request.
    pub(super) fn encode(self, config: &HttpConfig, request: &Request) -> Result<Vec<u8>, ModelError> {
        let body = match self {
            Self::OpenAi => openai::encode(&config.model, config.fixed_sampling, request),
            Self::Anthropic => anthropic::encode(&config.model, config.fixed_sampling, request),
        };
        body.map_err(ModelError::Unsupported)
    }

    /// Reads an answer; says what is wrong with it if it is none.
    pub(super) fn decode(self, body: &[u8], logprobs: bool) -> Result<Decoded, String> {
        match self {
            Self::OpenAi => openai::decode(body, logprobs),
            Self::Anthropic => anthropic::decode(body),
        }
    }
}

/// The message for a tool's turn that does not say which call it answers.
pub(super) const NO_CALL_ID: &str = "a tool's turn needs the id of the call that it answers";
