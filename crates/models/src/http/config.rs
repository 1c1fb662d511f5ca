//! How to reach an endpoint, and what it may cost.

use std::time::Duration;

use serde::Deserialize;

use super::ledger::{Caps, Price, Spent};
use super::url::{BaseUrl, BaseUrlError};
use crate::secret::Secret;

/// The most requests at once that anybody needs; more is a slip of the hand.
const MAX_CONCURRENCY: usize = 1024;

/// A day.
const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// What an endpoint speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// OpenAI's chat completions, which most servers speak: `POST {base}/chat/completions`.
    OpenAi,
    /// Anthropic's messages: `POST {base}/messages`.
    Anthropic,
}

impl Protocol {
    /// `openai` or `anthropic`.
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
        }
    }
}

/// An endpoint and its limits. In files, durations are in seconds (`timeout_s = 60`), and the key cannot be given.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// Where, up to and with the version: `https://host/v1`.
    pub base_url: BaseUrl,
    /// The model's name at the endpoint.
    pub model: String,
    /// The protocol.
    pub protocol: Protocol,
    /// The key, if the endpoint wants one.
    #[serde(skip)]
    pub key: Option<Secret>,
    /// Whether http: is allowed for hosts other than this machine.
    #[serde(default)]
    pub allow_plain_http: bool,
    /// For models that choose how to sample and reject being told (OpenAI's reasoning models, newer Claude models):
    /// temperature, top-p and seed are not sent, and OpenAI's limit is called `max_completion_tokens`.
    #[serde(default)]
    pub fixed_sampling: bool,
    /// The time from sending a request to the end of its answer. One attempt; not retried when it has passed.
    #[serde(default = "default::timeout", rename = "timeout_s", deserialize_with = "seconds")]
    pub timeout: Duration,
    /// The time to connect, TLS included.
    #[serde(
        default = "default::connect_timeout",
        rename = "connect_timeout_s",
        deserialize_with = "seconds"
    )]
    pub connect_timeout: Duration,
    /// Requests at once, 1..=1024. A request that waits for its next attempt counts.
    #[serde(default = "default::concurrency")]
    pub concurrency: usize,
    /// Attempts for one answer, at least 1.
    #[serde(default = "default::max_attempts")]
    pub max_attempts: u32,
    /// The longest wait before the second attempt; it doubles with each further one.
    #[serde(default = "default::backoff_base", rename = "backoff_base_s", deserialize_with = "seconds")]
    pub backoff_base: Duration,
    /// What the doubling stops at.
    #[serde(default = "default::backoff_cap", rename = "backoff_cap_s", deserialize_with = "seconds")]
    pub backoff_cap: Duration,
    /// The largest answer, in bytes.
    #[serde(default = "default::max_answer_bytes")]
    pub max_answer_bytes: usize,
    /// What this run may use.
    #[serde(default)]
    pub caps: Caps,
    /// What tokens cost; needed for a cap in money.
    #[serde(default)]
    pub prices: Option<Price>,
    /// What the run has used already, before an interruption: its requests and tokens count against the caps.
    #[serde(skip)]
    pub spent_before: Spent,
}

mod default {
    use std::time::Duration;

    pub(super) fn timeout() -> Duration {
        Duration::from_secs(120)
    }
    pub(super) fn connect_timeout() -> Duration {
        Duration::from_secs(10)
    }
    pub(super) fn concurrency() -> usize {
        8
    }
    pub(super) fn max_attempts() -> u32 {
        5
    }
    pub(super) fn backoff_base() -> Duration {
        Duration::from_millis(500)
    }
    pub(super) fn backoff_cap() -> Duration {
        Duration::from_secs(30)
    }
    pub(super) fn max_answer_bytes() -> usize {
        4 << 20
    }
}

fn seconds<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    Duration::try_from_secs_f64(f64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

/// Why a configuration cannot work.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// The URL is wrong.
    #[error(transparent)]
    Url(#[from] BaseUrlError),
    /// The key and the prompts would cross a network in the clear.
    #[error(
        "{url} is not encrypted, and prompts and key would cross the network in the clear: use https:, or allow plain http"
    )]
    PlainHttp {
        /// The base URL.
        url: String,
    },
    /// A figure is out of its range.
    #[error("the setting {name} {problem}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// What it must be.
        problem: &'static str,
    },
    /// No TLS: most often the system has no root certificates.
    #[error("cannot set up TLS: {message}: install the system's CA certificates")]
    Tls {
        /// What is wrong.
        message: String,
    },
}

impl HttpConfig {
    /// A configuration with defaults: no key, no caps, 120 s an answer, 8 requests at once, 5 attempts, 4 MiB.
    pub fn new(base_url: BaseUrl, model: impl Into<String>, protocol: Protocol) -> Self {
        Self {
            base_url,
            model: model.into(),
            protocol,
            key: None,
            allow_plain_http: false,
            fixed_sampling: false,
            timeout: default::timeout(),
            connect_timeout: default::connect_timeout(),
            concurrency: default::concurrency(),
            max_attempts: default::max_attempts(),
            backoff_base: default::backoff_base(),
            backoff_cap: default::backoff_cap(),
            max_answer_bytes: default::max_answer_bytes(),
            caps: Caps::default(),
            prices: None,
            spent_before: Spent::default(),
        }
    }

    /// # Errors
    /// Names the first setting that cannot work.
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if !self.base_url.is_https() && !self.base_url.is_loopback() && !self.allow_plain_http {
            return Err(ConfigError::PlainHttp { url: self.base_url.to_string() });
        }
        let amount = |usd: f64| usd.is_finite() && usd >= 0.0;
        // Deadlines far in the future overflow the clock.
        let waits = |limit: Duration| !limit.is_zero() && limit <= MAX_TIMEOUT;
        let prices_fit =
            self.prices.is_none_or(|p| amount(p.usd_per_million_input) && amount(p.usd_per_million_output));
        let settings = [
            (!self.model.is_empty(), "model", "must not be empty"),
            (waits(self.timeout), "timeout", "must be above 0 and at most a day"),
            (waits(self.connect_timeout), "connect_timeout", "must be above 0 and at most a day"),
            ((1..=MAX_CONCURRENCY).contains(&self.concurrency), "concurrency", "must be within 1..=1024"),
            (self.max_attempts >= 1, "max_attempts", "must be at least 1"),
            (self.max_answer_bytes >= 1, "max_answer_bytes", "must be at least 1"),
            (prices_fit, "prices", "must be finite and not negative"),
            (
                self.caps.max_cost_usd.is_none_or(amount),
                "caps.max_cost_usd",
                "must be finite and not negative",
            ),
            (
                self.caps.max_cost_usd.is_none() || self.prices.is_some(),
                "caps.max_cost_usd",
                "needs prices: say what a million tokens cost",
            ),
        ];
        match settings.into_iter().find(|(fits, _, _)| !fits) {
            Some((_, name, problem)) => Err(ConfigError::Setting { name, problem }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str) -> HttpConfig {
        HttpConfig::new(url.parse().unwrap(), "m", Protocol::OpenAi)
    }

    fn setting(config: &HttpConfig) -> &'static str {
        match config.validate() {
            Err(ConfigError::Setting { name, .. }) => name,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn plain_http_stays_on_this_machine_unless_allowed() {
        let mut remote = config("http://api.example/v1");
        assert!(matches!(remote.validate(), Err(ConfigError::PlainHttp { .. })));
        remote.allow_plain_http = true;
        assert_eq!(remote.validate(), Ok(()));
        assert_eq!(config("http://127.0.0.1:8080/v1").validate(), Ok(()));
        assert_eq!(config("https://api.example/v1").validate(), Ok(()));
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let base = config("https://api.example/v1");
        assert_eq!(setting(&HttpConfig { concurrency: 0, ..base.clone() }), "concurrency");
        assert_eq!(setting(&HttpConfig { timeout: Duration::MAX, ..base.clone() }), "timeout");
        assert_eq!(
            setting(&HttpConfig { connect_timeout: Duration::ZERO, ..base.clone() }),
            "connect_timeout"
        );
        assert_eq!(setting(&HttpConfig { max_attempts: 0, ..base.clone() }), "max_attempts");
        let capped = |usd| Caps { max_cost_usd: Some(usd), ..Caps::default() };
        assert_eq!(setting(&HttpConfig { caps: capped(1.0), ..base.clone() }), "caps.max_cost_usd");
        let prices = Some(Price { usd_per_million_input: f64::NAN, usd_per_million_output: 1.0 });
        assert_eq!(setting(&HttpConfig { prices, ..base }), "prices");
    }

    #[test]
    fn files_give_seconds_and_never_a_key() {
        let file = r#"{"base_url": "https://api.example/v1/", "model": "m", "protocol": "openai", "timeout_s": 1.5,
            "caps": {"max_requests": 10}}"#;
        let config: HttpConfig = serde_json::from_str(file).unwrap();
        assert_eq!(config.timeout, Duration::from_millis(1500));
        assert_eq!(config.caps.max_requests, Some(10));
        assert_eq!(config.concurrency, 8);
        let error =
            serde_json::from_str::<HttpConfig>(&file.replace("\"timeout_s\": 1.5", "\"key\": \"sk\""))
                .unwrap_err();
        assert!(error.to_string().contains("unknown field `key`"), "{error}");
        assert!(serde_json::from_str::<HttpConfig>(&file.replace("1.5", "-1")).is_err());
    }
}
