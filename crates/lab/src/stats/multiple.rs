//! Many tests at once.

use super::{StatsError, real_len};

/// Holm's step-down adjusted p-values, in the order of the input.
///
/// Rejecting every hypothesis whose adjusted value is at most alpha keeps the probability of any false
/// rejection at or below alpha, whatever the dependence between the tests. Give all tests of the family at
/// once.
///
/// Source: Holm 1979 (Scand. J. Stat. 6:65); adjusted values as in Wright 1992 (Biometrics 48:1005).
///
/// # Errors
/// [`StatsError::OutOfRange`] for a value that is NaN or not within 0 to 1.
pub fn holm(p_values: &[f64]) -> Result<Vec<f64>, StatsError> {
    if let Some(&value) = p_values.iter().find(|p| !(0.0..=1.0).contains(*p)) {
        return Err(StatsError::OutOfRange { name: "a p-value", value, range: "from 0 to 1" });
    }
    let mut ranked: Vec<(usize, f64)> = p_values.iter().copied().enumerate().collect();
    ranked.sort_by(|left, right| left.1.total_cmp(&right.1));

    let tests = real_len(ranked.len());
    let mut running = 0.0_f64;
    for (rank, (_, p)) in ranked.iter_mut().enumerate() {
        // A hypothesis cannot be rejected before one with a smaller p-value: hence the running maximum.
        running = running.max((tests - real_len(rank)) * *p).min(1.0);
        *p = running;
    }
    ranked.sort_by_key(|&(position, _)| position);
    Ok(ranked.into_iter().map(|(_, adjusted)| adjusted).collect())
}
