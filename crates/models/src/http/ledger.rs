//! What a run may use, and what it has used.
//!
//! Every attempt is reserved before it is sent and settled after. Pure: no clock, no I/O.

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::model::{ModelError, Usage};

/// Hard caps for one run; `None` is no cap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Caps {
    /// Attempts sent, failed ones included.
    pub max_requests: Option<u64>,
    /// Input and output tokens together.
    pub max_tokens: Option<u64>,
    /// US dollars; needs prices.
    pub max_cost_usd: Option<f64>,
}

/// What tokens cost.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// US dollars for a million input tokens.
    pub usd_per_million_input: f64,
    /// US dollars for a million output tokens.
    pub usd_per_million_output: f64,
}

/// What has been used so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spent {
    /// Attempts sent.
    pub requests: u64,
    /// Tokens as the endpoint counted them; estimates where it did not say.
    pub tokens: Usage,
    /// US dollars, if prices are known.
    pub cost_usd: Option<f64>,
}

/// UTF-8 bytes of a request that make up a token. English prose has about four, JSON and code about three.
const BYTES_PER_TOKEN: u64 = 3;

/// An upper estimate of what one attempt uses: a third of its bytes, and every token that it may generate.
///
/// Text that tokenizes badly (rare scripts, base64) can use more; the excess shows when the attempt is settled.
pub(super) fn estimate(request_bytes: usize, max_tokens: u32) -> Usage {
    let bytes = u64::try_from(request_bytes).unwrap_or(u64::MAX);
    Usage { input_tokens: bytes.div_ceil(BYTES_PER_TOKEN), output_tokens: max_tokens.into() }
}

/// How an attempt ended, for the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    /// It cost nothing: not sent, or answered with an error.
    Nothing,
    /// The endpoint said what it cost.
    Actual(Usage),
    /// Nobody knows; the estimate stands.
    Unknown,
}

/// Room in the caps for one attempt.
#[derive(Debug)]
#[must_use = "a reservation that is not settled stays held"]
pub(super) struct Reservation {
    estimate: Usage,
}

/// The books of one run.
///
/// INVARIANT: `spent` and `held` together exceed no cap as long as no attempt uses more than its estimate. If one
/// does, `spent` can be above a cap by that excess, and nothing further is reserved.
#[derive(Debug)]
pub(super) struct Ledger {
    caps: Caps,
    /// Picodollars for an input and an output token.
    rates: Option<(u128, u128)>,
    /// Picodollars.
    max_cost: Option<u128>,
    requests: u64,
    spent: Usage,
    held: Usage,
}

impl Ledger {
    /// `caps` and `price` hold no negative numbers; a cap in money without a price never lets anything through. What
    /// was `spent` before counts, its money at today's prices.
    pub(super) fn new(caps: Caps, price: Option<Price>, spent: Spent) -> Self {
        let rates = price.map(|price| {
            // A dollar for a million tokens is a million picodollars for one.
            let rate = |usd: f64| (usd * 1e6).round() as u128;
            (rate(price.usd_per_million_input), rate(price.usd_per_million_output))
        });
        let max_cost = caps.max_cost_usd.map(|usd| (usd * 1e12).round() as u128);
        let held = Usage::default();
        Self { caps, rates, max_cost, requests: spent.requests, spent: spent.tokens, held }
    }

    /// Sets room for one attempt aside.
    ///
    /// # Errors
    /// [`ModelError::CapReached`] if it does not fit beside what is spent and held.
    pub(super) fn reserve(&mut self, estimate: Usage) -> Result<Reservation, ModelError> {
        let reached = |limit: String| Err(ModelError::CapReached { limit });
        if let Some(max) = self.caps.max_requests.filter(|&max| self.requests >= max) {
            return reached(format!("{max} requests"));
        }
        let total = plus(plus(self.spent, self.held), estimate);
        let tokens = total.input_tokens.saturating_add(total.output_tokens);
        if let Some(max) = self.caps.max_tokens.filter(|&max| tokens > max) {
            return reached(format!("{max} tokens"));
        }
        if let Some(max) = self.max_cost.filter(|&max| self.cost(total).is_none_or(|cost| cost > max)) {
            return reached(format!("{} US dollars", dollars(max)));
        }
        self.requests = self.requests.saturating_add(1);
        self.held = plus(self.held, estimate);
        Ok(Reservation { estimate })
    }

    /// Books what a reserved attempt cost.
    pub(super) fn settle(&mut self, reservation: Reservation, settled: Settled) {
        let Reservation { estimate } = reservation;
        self.held = Usage {
            input_tokens: self.held.input_tokens.saturating_sub(estimate.input_tokens),
            output_tokens: self.held.output_tokens.saturating_sub(estimate.output_tokens),
        };
        let cost = match settled {
            Settled::Nothing => Usage::default(),
            Settled::Actual(usage) => usage,
            Settled::Unknown => estimate,
        };
        self.spent = plus(self.spent, cost);
    }

    /// What has been settled so far.
    pub(super) fn spent(&self) -> Spent {
        Spent { requests: self.requests, tokens: self.spent, cost_usd: self.cost(self.spent).map(dollars) }
    }

    /// Picodollars.
    fn cost(&self, usage: Usage) -> Option<u128> {
        let (input, output) = self.rates?;
        let input = u128::from(usage.input_tokens).saturating_mul(input);
        Some(input.saturating_add(u128::from(usage.output_tokens).saturating_mul(output)))
    }
}

fn plus(a: Usage, b: Usage) -> Usage {
    Usage {
        input_tokens: a.input_tokens.saturating_add(b.input_tokens),
        output_tokens: a.output_tokens.saturating_add(b.output_tokens),
    }
}

fn dollars(picodollars: u128) -> f64 {
    picodollars as f64 / 1e12
}

/// A reservation in a shared ledger. If it is dropped unsettled (an abandoned request), its estimate counts as spent.
#[derive(Debug)]
pub(super) struct Hold<'a> {
    ledger: &'a Mutex<Ledger>,
    reservation: Option<Reservation>,
}

impl<'a> Hold<'a> {
    /// # Errors
    /// See [`Ledger::reserve`].
    pub(super) fn new(ledger: &'a Mutex<Ledger>, estimate: Usage) -> Result<Self, ModelError> {
        let reservation = lock(ledger).reserve(estimate)?;
        Ok(Self { ledger, reservation: Some(reservation) })
    }

    /// Books what the attempt cost.
    pub(super) fn settle(mut self, settled: Settled) {
        self.book(settled);
    }

    fn book(&mut self, settled: Settled) {
        if let Some(reservation) = self.reservation.take() {
            lock(self.ledger).settle(reservation, settled);
        }
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.book(Settled::Unknown);
    }
}

/// The books, even if a thread panicked while it held them: no operation on them can stop half-way.
pub(super) fn lock(ledger: &Mutex<Ledger>) -> std::sync::MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
