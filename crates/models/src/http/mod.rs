//! Models behind an HTTP endpoint: OpenAI's chat completions and Anthropic's messages.
//!
//! One [`HttpModel`] is one endpoint with one key, one bound on concurrency and one set of [`Caps`]. An answer takes
//! at most [`HttpConfig::max_attempts`] attempts; every attempt is reserved in the ledger before it is sent.
//!
//! *Invariant:* no attempt is sent that its caps do not cover.
//! *Invariant:* what an endpoint says reaches an error only cleaned of control characters, shortened, and with the
//! key masked.
//! *Invariant:* redirects are not followed and proxies from the environment are not used, so the key and the
//! prompts go to the configured host and nowhere else.

mod anthropic;
mod clean;
mod client;
mod config;
mod download;
mod http_date;
mod ledger;
mod model;
mod openai;
mod retry;
mod url;
mod wire;

pub use config::{ConfigError, HttpConfig, Protocol};
pub use download::download;
pub use ledger::{Caps, Price, Spent};
pub use model::HttpModel;
pub use url::{BaseUrl, BaseUrlError};
