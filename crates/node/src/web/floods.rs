//! How many requests one actor or address may send: a token bucket for each, in a table that does not grow beyond its bound.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many are remembered.
const REMEMBERED: usize = 16_384;

/// Whose requests are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key {
    /// A network.
    Network([u8; 16]),
    /// A session or a token, by its hash.
    Credential([u8; 16]),
    /// An account that somebody tries to sign in to, by a hash of its name.
    Account([u8; 16]),
}

/// The buckets.
#[derive(Debug)]
pub struct Floods {
    rate: f64,
    burst: f64,
    buckets: Mutex<HashMap<Key, Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Floods {
    /// `burst` requests at once, `rate` in a second from then on.
    #[must_use]
    pub fn new(rate: f64, burst: u32) -> Self {
        Self { rate: rate.max(1e-6), burst: f64::from(burst.max(1)), buckets: Mutex::default() }
    }

    /// Takes one request's price.
    ///
    /// # Errors
    /// After how long there will be enough for one.
    pub fn take(&self, key: Key, now: Instant) -> Result<(), Duration> {
        // Nothing that holds this lock can panic half-way.
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= REMEMBERED && !buckets.contains_key(&key) {
            self.forget(&mut buckets, now);
        }
        let bucket = buckets.entry(key).or_insert(Bucket { tokens: self.burst, at: now });
        bucket.tokens = self.filled(bucket, now);
        bucket.at = bucket.at.max(now);
        if bucket.tokens < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - bucket.tokens) / self.rate));
        }
        bucket.tokens -= 1.0;
        Ok(())
    }

    /// Gives it back in full, after something that shows that this was no guessing.
    pub fn forgive(&self, key: Key) {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
    }

    fn filled(&self, bucket: &Bucket, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(bucket.at).as_secs_f64();
        passed.mul_add(self.rate, bucket.tokens).min(self.burst)
    }

    /// Forgets those that are full again; if there are none, the fuller half.
    fn forget(&self, buckets: &mut HashMap<Key, Bucket>, now: Instant) {
        buckets.retain(|_, bucket| self.filled(bucket, now) < self.burst);
        if buckets.len() >= REMEMBERED {
            let mut levels: Vec<f64> = buckets.values().map(|bucket| self.filled(bucket, now)).collect();
            let middle = levels.len() / 2;
            let (_, median, _) = levels.select_nth_unstable_by(middle, f64::total_cmp);
            let median = *median;
            buckets.retain(|_, bucket| self.filled(bucket, now) < median);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u32) -> Key {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&n.to_be_bytes());
        Key::Network(bytes)
    }

    #[test]
    fn a_burst_and_then_the_rate_for_each_one_alone() {
        let floods = Floods::new(10.0, 3);
        let now = Instant::now();
        for _ in 0..3 {
            floods.take(key(1), now).unwrap();
        }
        let wait = floods.take(key(1), now).unwrap_err();
        assert!(wait > Duration::from_millis(90) && wait < Duration::from_millis(110), "{wait:?}");
        floods.take(key(2), now).unwrap();
        floods.take(key(1), now + Duration::from_millis(101)).unwrap();
        floods.forgive(key(1));
        floods.take(key(1), now).unwrap();
    }

    #[test]
    fn a_flood_of_addresses_does_not_fill_the_memory_nor_free_those_who_flood() {
        let floods = Floods::new(0.001, 2);
        let now = Instant::now();
        let _ = (floods.take(key(0), now), floods.take(key(0), now));
        for n in 1..u32::try_from(REMEMBERED * 3).unwrap() {
            floods.take(key(n), now).unwrap();
            assert!(floods.take(key(0), now).is_err(), "after {n}");
        }
        assert!(floods.buckets.lock().unwrap().len() <= REMEMBERED);
    }
}
