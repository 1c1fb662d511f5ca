//! Whether and when to try again. Pure: the clock and the dice are arguments.

use std::time::Duration;

use super::http_date;

/// The longest wait that an endpoint can ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(120);

/// What an HTTP status means for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The body is the answer.
    Answer,
    /// The endpoint is busy or broken; the same request may succeed later.
    Retry,
    /// The key is not good for this, nor for any other request.
    Refused,
    /// The same request will fail again.
    Rejected,
}

/// The verdict on a status. 402 (no credit left) counts as refused, since every later request meets it too; 409 is
/// what both providers answer when a resource is locked.
pub(super) fn verdict(status: u16) -> Verdict {
    match status {
        200..=299 => Verdict::Answer,
        401..=403 => Verdict::Refused,
        408 | 409 | 425 | 429 | 500..=599 => Verdict::Retry,
        _ => Verdict::Rejected,
    }
}

/// The wait that a `Retry-After` header asks for: seconds or a date (RFC 9110 section 10.2.3), at most 120 s. A date
/// that has passed is no wait. `now` is in seconds since 1970.
pub(super) fn retry_after(header: &str, now: u64) -> Option<Duration> {
    let header = header.trim();
    let seconds = if !header.is_empty() && header.bytes().all(|b| b.is_ascii_digit()) {
        header.parse().unwrap_or(u64::MAX)
    } else {
        http_date::parse(header)?.saturating_sub(now)
    };
    Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}

/// How often to try, and how long to wait in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Backoff {
    /// Attempts in all.
    pub(super) max_attempts: u32,
    /// The longest wait after the first failure.
    pub(super) base: Duration,
    /// The longest wait after any failure.
    pub(super) cap: Duration,
}

impl Backoff {
    /// The wait after `failures` attempts (at least 1), or `None` to give up.
    ///
    /// Exponential back-off with full jitter (M. Brooker, "Exponential Backoff And Jitter", AWS, 2015): uniform in
    /// `0..min(cap, base * 2^(failures - 1))`, by `jitter` in `0..1`. It comes on top of what the endpoint asked
    /// for, so that clients that it turned away together do not come back together.
    pub(super) fn wait(&self, failures: u32, asked: Option<Duration>, jitter: f64) -> Option<Duration> {
        if failures >= self.max_attempts {
            return None;
        }
        let doublings = 2u32.saturating_pow(failures.saturating_sub(1));
        let ceiling = self.base.saturating_mul(doublings).min(self.cap);
        let jitter = if jitter.is_finite() { jitter.clamp(0.0, 1.0) } else { 1.0 };
        Some(asked.unwrap_or_default().saturating_add(ceiling.mul_f64(jitter)))
    }
}

/// A number in `0..1` from 64 random bits.
pub(super) fn unit(bits: u64) -> f64 {
    // 53 bits are what the fraction of a double holds.
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn statuses_are_sorted_by_what_helps() {
        for status in [200, 201] {
            assert_eq!(verdict(status), Verdict::Answer, "{status}");
        }
        for status in [408, 409, 425, 429, 500, 502, 503, 504, 529] {
            assert_eq!(verdict(status), Verdict::Retry, "{status}");
        }
        for status in [401, 402, 403] {
            assert_eq!(verdict(status), Verdict::Refused, "{status}");
        }
        for status in [301, 307, 400, 404, 413, 422, 451, 600] {
            assert_eq!(verdict(status), Verdict::Rejected, "{status}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_within_two_minutes() {
        let now = 784_111_777; // Sun, 06 Nov 1994 08:49:37 GMT
        let check = |header, seconds: Option<u64>| {
            assert_eq!(retry_after(header, now), seconds.map(Duration::from_secs), "{header:?}");
        };
        check("0", Some(0));
        check(" 7 ", Some(7));
        check("3600", Some(120));
        check("99999999999999999999999999", Some(120));
        check("Sun, 06 Nov 1994 08:49:47 GMT", Some(10));
        check("Sun, 06 Nov 1994 08:49:00 GMT", Some(0));
        check("Mon, 07 Nov 1994 08:49:37 GMT", Some(120));
        check("-1", None);
        check("1.5", None);
        check("soon", None);
        check("", None);
    }

    #[test]
    fn waits_double_up_to_the_cap_and_then_attempts_end() {
        let backoff = Backoff { max_attempts: 5, base: Duration::from_secs(1), cap: Duration::from_secs(5) };
        let waits: Vec<_> = (1..=5).map(|n| backoff.wait(n, None, 1.0).map(|wait| wait.as_secs())).collect();
        assert_eq!(waits, [Some(1), Some(2), Some(4), Some(5), None]);
        assert_eq!(backoff.wait(1, Some(Duration::from_secs(9)), 0.0), Some(Duration::from_secs(9)));
        assert_eq!(backoff.wait(1, Some(Duration::from_secs(9)), 0.5), Some(Duration::from_millis(9500)));
    }

    proptest! {
        #[test]
        fn waits_are_bounded(failures: u32, max_attempts: u32, base_ms: u32, cap_ms: u32, asked: Option<u32>, bits: u64) {
            let cap = Duration::from_millis(cap_ms.into());
            let backoff = Backoff { max_attempts, base: Duration::from_millis(base_ms.into()), cap };
            let asked = asked.map(|ms| Duration::from_millis(ms.into()));
            match backoff.wait(failures, asked, unit(bits)) {
                None => prop_assert!(failures >= max_attempts),
                Some(wait) => {
                    prop_assert!(failures < max_attempts);
                    prop_assert!(wait >= asked.unwrap_or_default() && wait <= asked.unwrap_or_default() + cap);
                }
            }
        }

        #[test]
        fn units_are_below_one(bits: u64) {
            prop_assert!((0.0..1.0).contains(&unit(bits)));
        }
    }
}
