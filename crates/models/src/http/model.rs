//! The model behind an endpoint.

use std::fmt;
use std::sync::Mutex;

use tokio::sync::Semaphore;

use super::clean;
use super::client::{Client, Outcome};
use super::config::{ConfigError, HttpConfig};
use super::ledger::{self, Hold, Ledger, Settled, Spent};
use super::retry::{self, Backoff, Verdict};
use crate::model::{BoxFuture, Model, ModelError, ModelIdentity, Request, Response};

/// A model behind an HTTP endpoint. Needs a Tokio runtime with time and I/O.
pub struct HttpModel {
    config: HttpConfig,
    client: Client,
    backoff: Backoff,
    slots: Semaphore,
    ledger: Mutex<Ledger>,
}

impl HttpModel {
    /// Prepares an endpoint. Nothing is sent yet.
    ///
    /// # Errors
    /// If a setting cannot work, or the system gives no TLS roots for an https: endpoint.
    pub fn new(config: HttpConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self {
            client: Client::new(&config)?,
            backoff: Backoff {
                max_attempts: config.max_attempts,
                base: config.backoff_base,
                cap: config.backoff_cap,
            },
            slots: Semaphore::new(config.concurrency),
            ledger: Mutex::new(Ledger::new(config.caps, config.prices, config.spent_before)),
            config,
        })
    }

    /// What the run has used, before this model was made too. Attempts under way count as requests, not yet as tokens.
    pub fn spent(&self) -> Spent {
        ledger::lock(&self.ledger).spent()
    }

    async fn answer(&self, request: Request) -> Result<Response, ModelError> {
        // Held while waiting for the next attempt, too: an endpoint that is busy gets fewer requests, not others.
        let _slot = self.slots.acquire().await.map_err(|error| ModelError::Engine(error.to_string()))?;
        let body = self.config.protocol.encode(&self.config, &request)?;
        let estimate = ledger::estimate(body.len(), request.sampling.max_tokens);
        let prepared = self.client.request(body);
        let mut attempts = 0;
        loop {
            let hold = Hold::new(&self.ledger, estimate)?;
            attempts += 1;
            let (asked, last) = match self.client.attempt(&prepared).await {
                Outcome::Answer(body) => return self.read(&body, request.logprobs, hold),
                Outcome::TimedOut => return Err(ModelError::TimedOut { limit: self.config.timeout }),
                Outcome::TooLarge => {
                    return Err(ModelError::TooLarge { limit: self.config.max_answer_bytes });
                }
                Outcome::Status { verdict, status, retry_after, message } => {
                    hold.settle(Settled::Nothing);
                    match verdict {
                        Verdict::Refused => return Err(ModelError::Refused { status, message }),
                        Verdict::Rejected => return Err(ModelError::Rejected { status, message }),
                        Verdict::Retry | Verdict::Answer => (retry_after, failure(status, &message)),
                    }
                }
                Outcome::Broken { sent, reason } => {
                    hold.settle(if sent { Settled::Unknown } else { Settled::Nothing });
                    (None, reason)
                }
            };
            match self.backoff.wait(attempts, asked, jitter()) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(ModelError::Unavailable { attempts, last }),
            }
        }
    }

    /// An answer that says no cost, or is none, is booked as its estimate: it was generated all the same.
    fn read(&self, body: &[u8], logprobs: bool, hold: Hold<'_>) -> Result<Response, ModelError> {
        let protocol = self.config.protocol;
        let key = self.config.key.as_ref();
        match protocol.decode(body, logprobs) {
            Ok(decoded) => {
                hold.settle(decoded.usage.map_or(Settled::Unknown, Settled::Actual));
                let mut response = decoded.response;
                if let Some(key) = key {
                    clean::mask_answer(&mut response, key);
                }
                Ok(response)
            }
            Err(problem) => {
                // Some gateways report errors with a status of success.
                let message = clean::json_error(body).unwrap_or(problem);
                let message = clean::quote(&message, key);
                Err(ModelError::BadAnswer { protocol: protocol.answer_name(), message })
            }
        }
    }
}

fn failure(status: u16, message: &str) -> String {
    if message.is_empty() { format!("HTTP {status}") } else { format!("HTTP {status} ({message})") }
}

/// Without randomness every wait is half of the longest, which only spreads clients less well.
fn jitter() -> f64 {
    getrandom::u64().map_or(0.5, retry::unit)
}

impl Model for HttpModel {
    fn identity(&self) -> ModelIdentity {
        ModelIdentity::Endpoint {
            protocol: self.config.protocol.name().to_owned(),
            url: self.config.base_url.to_string(),
            model: self.config.model.clone(),
        }
    }

    fn concurrency(&self) -> usize {
        self.config.concurrency
    }

    /// Never: seeds are promises of best effort, and the model behind the name can change.
    fn is_deterministic(&self) -> bool {
        false
    }

    fn generate(&self, request: Request) -> BoxFuture<'_, Result<Response, ModelError>> {
        Box::pin(self.answer(request))
    }

    fn spent(&self) -> Option<Spent> {
        Some(self.spent())
    }
}

impl fmt::Debug for HttpModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpModel")
            .field("config", &self.config)
            .field("spent", &self.spent())
            .finish_non_exhaustive()
    }
}
