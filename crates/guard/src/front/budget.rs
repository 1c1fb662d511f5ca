//! What each principal may do at the same time and in a time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::front::Limits;

/// How many principals are remembered before those are forgotten that do nothing.
const REMEMBERED: usize = 4096;

/// The accounts of all principals.
#[derive(Debug)]
pub(super) struct Budgets {
    accounts: Mutex<HashMap<Arc<str>, Arc<Account>>>,
    rate: f64,
    burst: f64,
    concurrent: usize,
    streams: usize,
}

/// A principal's account.
#[derive(Debug)]
pub(super) struct Account {
    bucket: Mutex<Bucket>,
    calls: AtomicUsize,
    streams: AtomicUsize,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

/// The place of a call or a stream; it is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Lease {
    account: Arc<Account>,
    is_stream: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that holds these locks can panic half-way.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Budgets {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            accounts: Mutex::default(),
            rate: f64::from(limits.rate),
            burst: f64::from(limits.burst.max(1)),
            concurrent: limits.concurrent,
            streams: limits.streams,
        }
    }

    /// Takes the price of a message at `now`.
    ///
    /// # Errors
    /// After how long there will be enough for one.
    pub(super) fn take(&self, principal: &Arc<str>, now: Instant) -> Result<Arc<Account>, Duration> {
        let account = {
            let mut accounts = lock(&self.accounts);
            match accounts.get(principal) {
                Some(account) => Arc::clone(account),
                None => {
                    if accounts.len() >= REMEMBERED {
                        accounts.retain(|_, account| !self.is_idle(account, now));
                    }
                    let account = Arc::new(Account {
                        bucket: Mutex::new(Bucket { tokens: self.burst, at: now }),
                        calls: AtomicUsize::new(0),
                        streams: AtomicUsize::new(0),
                    });
                    accounts.insert(Arc::clone(principal), Arc::clone(&account));
                    account
                }
            }
        };
        if self.rate > 0.0 {
            let mut bucket = lock(&account.bucket);
            self.fill(&mut bucket, now);
            if bucket.tokens < 1.0 {
                return Err(Duration::from_secs_f64((1.0 - bucket.tokens) / self.rate));
            }
            bucket.tokens -= 1.0;
        }
        Ok(account)
    }

    fn fill(&self, bucket: &mut Bucket, now: Instant) {
        let passed = now.saturating_duration_since(bucket.at).as_secs_f64();
        bucket.tokens = passed.mul_add(self.rate, bucket.tokens).min(self.burst);
        bucket.at = bucket.at.max(now);
    }

    /// Whether forgetting it makes no difference.
    fn is_idle(&self, account: &Arc<Account>, now: Instant) -> bool {
        let mut bucket = lock(&account.bucket);
        self.fill(&mut bucket, now);
        // Nobody else holds it, so nobody is about to take from it.
        Arc::strong_count(account) == 1 && bucket.tokens >= self.burst
    }

    /// A place for a call, if there is one.
    pub(super) fn call(&self, account: &Arc<Account>) -> Option<Lease> {
        Self::lease(account, &account.calls, self.concurrent, false)
    }

    /// A place for a stream, if there is one.
    pub(super) fn stream(&self, account: &Arc<Account>) -> Option<Lease> {
        Self::lease(account, &account.streams, self.streams, true)
    }

    fn lease(account: &Arc<Account>, taken: &AtomicUsize, limit: usize, is_stream: bool) -> Option<Lease> {
        let one_more = |taken: usize| taken.checked_add(1).filter(|taken| *taken <= limit);
        taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).ok()?;
        Some(Lease { account: Arc::clone(account), is_stream })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let taken = if self.is_stream { &self.account.streams } else { &self.account.calls };
        taken.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let budgets = Budgets::new(&Limits { rate: 10, burst: 3, ..Limits::default() });
        let (now, alice, bob) = (Instant::now(), Arc::from("alice"), Arc::from("bob"));
        for _ in 0..3 {
            budgets.take(&alice, now).unwrap();
        }
        let wait = budgets.take(&alice, now).unwrap_err();
        assert!(wait > Duration::from_millis(90) && wait < Duration::from_millis(110), "{wait:?}");
        budgets.take(&bob, now).unwrap();
        budgets.take(&alice, now + Duration::from_millis(101)).unwrap();
        assert!(budgets.take(&alice, now + Duration::from_millis(101)).is_err());
        // A clock that goes back gives nothing.
        assert!(budgets.take(&alice, now).is_err());
    }

    #[test]
    fn places_are_given_back() {
        let budgets = Budgets::new(&Limits { concurrent: 1, streams: 1, ..Limits::default() });
        let account = budgets.take(&Arc::from("alice"), Instant::now()).unwrap();
        let first = budgets.call(&account).unwrap();
        assert!(budgets.call(&account).is_none());
        let stream = budgets.stream(&account);
        assert!(stream.is_some());
        drop(first);
        assert!(budgets.call(&account).is_some());
    }

    #[test]
    fn idle_principals_are_forgotten_and_busy_ones_are_not() {
        let budgets = Budgets::new(&Limits { rate: 1, burst: 2, ..Limits::default() });
        let now = Instant::now();
        let held = budgets.take(&Arc::from("held"), now).unwrap();
        let _place = budgets.call(&held).unwrap();
        for name in 1..REMEMBERED {
            budgets.take(&Arc::from(name.to_string()), now).unwrap();
        }
        let later = now + Duration::from_secs(60);
        budgets.take(&Arc::from("new"), later).unwrap();
        let accounts = lock(&budgets.accounts);
        assert_eq!(accounts.len(), 2);
        assert!(accounts.contains_key("held"));
    }
}
