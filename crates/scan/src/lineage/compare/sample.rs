//! Which rows to compare, and how they are read.

use super::{CompareError, Sample};
use crate::examination::escape;
use crate::lineage::weights::{Number, Tensor, Weights};

/// The widest stretch of a row that is read at once.
const WINDOW: u64 = 16_384;
/// Stretches begin at multiples of this, which every format's block divides.
const ALIGNMENT: u64 = 256;
/// The fewest rows, however wide they are.
const LEAST_ROWS: u64 = 8;

/// The generator of Steele, Lea and Flood (2014): enough to spread rows.
pub(super) struct SplitMix(u64);

impl SplitMix {
    /// A stream that belongs to a seed and a name.
    pub(super) fn new(seed: u64, name: &str) -> Self {
        // FNV-1a
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self(seed ^ hash)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Below `end`, which is not 0. (The bias of the remainder is below end / 2^64.)
    fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }
}

/// The output function of that generator, a good hash of 64 bits.
pub(super) fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A stretch of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) row: u64,
    pub(super) column: u64,
    pub(super) count: u64,
}

/// Stretches that a comparison reads, in order. One row of each of equal parts of the tensor is drawn, so that rows are spread
/// evenly and none is drawn twice.
pub(super) fn stretches(
    rows: u64,
    columns: u64,
    sample: Sample,
    mut random: SplitMix,
) -> Box<dyn Iterator<Item = Stretch>> {
    let width = columns.min(WINDOW);
    if width == 0 || rows == 0 {
        return Box::new(std::iter::empty());
    }
    match sample {
        Sample::All => Box::new((0..rows).flat_map(move |row| {
            (0..columns.div_ceil(WINDOW)).map(move |index| {
                let column = index * WINDOW;
                Stretch { row, column, count: WINDOW.min(columns - column) }
            })
        })),
        Sample::About(numbers) => {
            let wanted = (numbers / width).max(LEAST_ROWS).min(rows);
            Box::new((0..wanted).map(move |index| {
                // Products in 128 bits: rows may be any number that a hostile header names.
                let bound = |index: u64| {
                    let product = u128::from(index) * u128::from(rows) / u128::from(wanted);
                    u64::try_from(product).unwrap_or(rows)
                };
                let (from, to) = (bound(index), bound(index + 1));
                let row = from + random.below(to.saturating_sub(from));
                let free = (columns - width) / ALIGNMENT;
                let column = random.below(free + 1) * ALIGNMENT;
                Stretch { row, column, count: width }
            }))
        }
    }
}

/// Reads a stretch.
pub(super) fn read(
    weights: &Weights,
    name: &str,
    tensor: &Tensor,
    stretch: Stretch,
) -> Result<Vec<Number>, CompareError> {
    let place = || {
        let first = stretch.row.checked_mul(tensor.columns())?.checked_add(stretch.column)?;
        let offset = tensor.offset.checked_add(tensor.coding.bytes_for(first)?)?;
        let length = usize::try_from(tensor.coding.bytes_for(stretch.count)?).ok()?;
        Some((offset, length))
    };
    let fail = |what: String| CompareError::Tensor { name: escape(name, 200), what };
    let (offset, length) = place().ok_or_else(|| fail("a row is no whole number of blocks".to_owned()))?;
    let view = weights.views.get(tensor.part).ok_or_else(|| fail("its file is not open".to_owned()))?;
    let bytes = view.exactly(offset, length).map_err(|trouble| fail(trouble.to_string()))?;
    Ok(tensor.coding.numbers(&bytes))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn samples_lie_inside_and_never_twice(rows in 1..5000_u64, columns in 1..40_000_u64, numbers in 0..200_000_u64, seed: u64) {
            let all: Vec<_> = stretches(rows, columns, Sample::About(numbers), SplitMix::new(seed, "t")).collect();
            let distinct: BTreeSet<_> = all.iter().map(|s| s.row).collect();
            prop_assert_eq!(distinct.len(), all.len());
            prop_assert!(all.len() as u64 >= rows.min(LEAST_ROWS));
            for stretch in &all {
                prop_assert!(stretch.row < rows && stretch.column + stretch.count <= columns);
                prop_assert_eq!(stretch.column % ALIGNMENT, 0);
            }
            let again: Vec<_> = stretches(rows, columns, Sample::About(numbers), SplitMix::new(seed, "t")).collect();
            prop_assert_eq!(all, again);
        }

        #[test]
        fn all_means_all(rows in 1..20_u64, columns in 1..40_000_u64) {
            let all = stretches(rows, columns, Sample::All, SplitMix::new(0, ""));
            prop_assert_eq!(all.map(|s| s.count).sum::<u64>(), rows * columns);
        }
    }

    #[test]
    fn hostile_extents_do_not_overflow() {
        let all = stretches(u64::MAX, u64::MAX, Sample::About(65_536), SplitMix::new(1, "t"));
        assert_eq!(all.count(), 8);
    }
}
