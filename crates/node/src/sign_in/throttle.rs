//! How often somebody may guess.

use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use crate::web::{Caller, FloodKey, Floods};
use crate::{Failure, Limits};

/// Three counts: an account from one network, an account from everywhere, and a network for all accounts. The second is larger, so that
/// somebody else's guesses do not easily keep a person out; passkeys are counted by network alone.
#[derive(Debug)]
pub(crate) struct Throttle {
    pair: Floods,
    wide: Floods,
}

impl Throttle {
    pub(crate) fn new(limits: &Limits) -> Self {
        let seconds = limits.guess_window.as_secs_f64().max(1.0);
        let rate = f64::from(limits.guesses) / seconds;
        Self {
            pair: Floods::new(rate, limits.guesses),
            wide: Floods::new(rate * 5.0, limits.guesses.saturating_mul(5)),
        }
    }

    /// Counts a try with an account's name.
    ///
    /// # Errors
    /// [`Failure::TooMany`].
    pub(crate) fn account(&self, caller: &Caller, name: &str) -> Result<(), Failure> {
        let now = Instant::now();
        let wait = |wait: Duration| Failure::TooMany(wait);
        self.wide.take(FloodKey::Network(caller.network()), now).map_err(wait)?;
        self.pair.take(pair(caller, name), now).map_err(wait)?;
        self.wide.take(account(name), now).map_err(wait)
    }

    /// Counts a try without one: a passkey, a link, a token.
    ///
    /// # Errors
    /// [`Failure::TooMany`].
    pub(crate) fn network(&self, caller: &Caller) -> Result<(), Failure> {
        self.wide.take(FloodKey::Network(caller.network()), Instant::now()).map_err(Failure::TooMany)
    }

    /// It was no guess.
    pub(crate) fn succeeded(&self, caller: &Caller, name: &str) {
        self.pair.forgive(pair(caller, name));
    }
}

fn key(parts: &[&[u8]]) -> [u8; 16] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let hash: [u8; 32] = hash.finalize().into();
    hash.first_chunk::<16>().copied().unwrap_or_default()
}

fn account(name: &str) -> FloodKey {
    FloodKey::Account(key(&[name.trim().to_lowercase().as_bytes()]))
}

fn pair(caller: &Caller, name: &str) -> FloodKey {
    FloodKey::Account(key(&[name.trim().to_lowercase().as_bytes(), &caller.network()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(address: &str) -> Caller {
        Caller { address: address.parse().unwrap(), encrypted: true }
    }

    #[test]
    fn guesses_at_an_account_run_out_and_others_are_not_kept_out() {
        let throttle = Throttle::new(&Limits { guesses: 3, ..Limits::default() });
        let (one, two) = (caller("192.0.2.1"), caller("192.0.2.2"));
        for _ in 0..3 {
            throttle.account(&one, "Ann@a.example").unwrap();
        }
        assert!(matches!(throttle.account(&one, "ann@A.example "), Err(Failure::TooMany(_))));
        throttle.account(&two, "ann@a.example").unwrap();
        throttle.account(&one, "bob@a.example").unwrap();
        throttle.succeeded(&one, "ann@a.example");
        throttle.account(&one, "ann@a.example").unwrap();
    }

    #[test]
    fn one_network_cannot_try_all_accounts() {
        let throttle = Throttle::new(&Limits { guesses: 3, ..Limits::default() });
        let one = caller("192.0.2.1");
        let tried = (0..100).filter(|n| throttle.account(&one, &n.to_string()).is_ok()).count();
        assert_eq!(tried, 15);
    }
}
