//! Balanced, reproducible choice: a shuffled deck that is dealt out completely before it is shuffled again.

use ostrom_core::Digest;

/// A deck over the positions `0..size` of a list.
pub struct Deck {
    label: String,
    size: usize,
    round: u64,
    left: Vec<usize>,
}

impl Deck {
    /// A deck for a list of `size`. The label, which holds the suite's seed, decides the order.
    pub fn new(label: String, size: usize) -> Self {
        Self { label, size, round: 0, left: Vec::new() }
    }

    /// The next position that is fit; what is passed over stays for later. `None` if none in a whole deck is fit.
    pub fn draw(&mut self, fit: impl Fn(usize) -> bool) -> Option<usize> {
        if let Some(at) = self.left.iter().position(|&position| fit(position)) {
            return Some(self.left.remove(at));
        }
        let fresh = self.shuffled();
        self.left.extend(fresh);
        let at = self.left.iter().position(|&position| fit(position))?;
        Some(self.left.remove(at))
    }

    /// Sorting by digest is a shuffle that needs no generator and is the same everywhere.
    fn shuffled(&mut self) -> Vec<usize> {
        self.round += 1;
        // Positions that never fit must not pile up.
        self.left.truncate(4 * self.size);
        let mut order: Vec<usize> = (0..self.size).collect();
        order.sort_by_cached_key(|position| {
            Digest::of(format!("{}/{}/{position}", self.label, self.round).as_bytes())
        });
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dealt_evenly_and_reproducibly() {
        let deal = || {
            let mut deck = Deck::new("seed".to_owned(), 5);
            (0..20).filter_map(|_| deck.draw(|_| true)).collect::<Vec<_>>()
        };
        let dealt = deal();
        assert_eq!(dealt, deal());
        assert!((0..5).all(|position| dealt.iter().filter(|&&d| d == position).count() == 4));
        assert_eq!(Deck::new("x".to_owned(), 3).draw(|_| false), None);
    }
}
