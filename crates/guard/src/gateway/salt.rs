//! Random salts for commitments.

use std::cell::RefCell;

/// Bytes of a salt.
pub(super) const SALT: usize = 32;
/// Salts that one question to the system gives: asking costs more than the bytes.
const AT_ONCE: usize = 64;

/// Random bytes of the system's that no salt was made of yet.
struct Stock {
    bytes: [u8; SALT * AT_ONCE],
    left: usize,
}

thread_local! {
    static STOCK: RefCell<Stock> = const { RefCell::new(Stock { bytes: [0; SALT * AT_ONCE], left: 0 }) };
}

/// A salt that nobody had before.
///
/// # Errors
/// If the system has no randomness.
pub(super) fn fresh() -> Result<[u8; SALT], getrandom::Error> {
    STOCK.with_borrow_mut(|stock| {
        if stock.left < SALT {
            stock.left = 0;
            getrandom::fill(&mut stock.bytes)?;
            stock.left = stock.bytes.len();
        }
        let rest = stock.left.saturating_sub(SALT);
        let mut salt = [0; SALT];
        if let Some(next) = stock.bytes.get_mut(rest..stock.left) {
            // Taken out, not copied: a salt is given once, and what was redacted is not remembered here.
            salt.swap_with_slice(next);
        }
        stock.left = rest;
        Ok(salt)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_salt_is_given_twice_on_any_thread_and_none_is_empty() {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                std::thread::spawn(|| (0..3 * AT_ONCE + 1).map(|_| fresh().unwrap()).collect::<Vec<_>>())
            })
            .collect();
        let all: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        let different: HashSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
        // A salt of which a part is not random would be likely to share that part with another.
        for part in 0..4 {
            let parts: HashSet<_> = all.iter().map(|salt| &salt[part * 8..part * 8 + 8]).collect();
            assert_eq!(parts.len(), all.len(), "part {part}");
        }
    }
}
