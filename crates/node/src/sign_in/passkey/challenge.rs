//! Challenges that wait for their answer: one for each browser and ceremony, good once, for five minutes.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use ostrom_core::Timestamp;

use crate::Failure;
use crate::sign_in::secret::random;

/// For how long they are good.
pub(super) const SECONDS: u32 = 300;
/// How many wait at the same time.
const WAITING: usize = 4096;

/// By the browser and ceremony that each is for: the challenge, and until when it is good.
type Waiting = HashMap<[u8; 32], ([u8; 32], Timestamp)>;

/// The challenges.
#[derive(Debug, Default)]
pub(crate) struct Challenges(Mutex<Waiting>);

impl Challenges {
    /// A new one for this browser and ceremony, instead of the one before.
    pub(crate) fn make(&self, bound: [u8; 32], now: Timestamp) -> Result<[u8; 32], Failure> {
        let challenge = random::<32>()?;
        // Nothing that holds this lock can panic half-way.
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= WAITING {
            waiting.retain(|_, (_, until)| now < *until);
            if waiting.len() >= WAITING
                && let Some(oldest) = waiting.iter().min_by_key(|(_, (_, until))| *until).map(|(key, _)| *key)
            {
                waiting.remove(&oldest);
            }
        }
        waiting.insert(bound, (challenge, now.plus_seconds(SECONDS.into())));
        Ok(challenge)
    }

    /// The one that waits, which then waits no more.
    pub(crate) fn take(&self, bound: &[u8; 32], now: Timestamp) -> Option<[u8; 32]> {
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(bound)?;
        (now < found.1).then_some(found.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_good_once_for_its_browser_and_for_five_minutes() {
        let challenges = Challenges::default();
        let now = Timestamp::EPOCH;
        let one = challenges.make([1; 32], now).unwrap();
        assert_eq!(challenges.take(&[2; 32], now), None);
        assert_eq!(challenges.take(&[1; 32], now), Some(one));
        assert_eq!(challenges.take(&[1; 32], now), None);
        challenges.make([1; 32], now).unwrap();
        assert_eq!(challenges.take(&[1; 32], now.plus_seconds(300)), None);
    }

    #[test]
    fn those_who_ask_and_never_answer_do_not_fill_the_memory() {
        let challenges = Challenges::default();
        for n in 0..WAITING as u64 + 50 {
            let mut bound = [0; 32];
            bound[..8].copy_from_slice(&n.to_be_bytes());
            challenges.make(bound, Timestamp::EPOCH).unwrap();
        }
        assert!(challenges.0.lock().unwrap().len() <= WAITING);
    }
}
