//! How well repeats of the same case, or several judges of the same answer, agree.
//!
//! A *unit* is what was rated repeatedly (a case), given as the list of its ratings. The chance-corrected
//! measures are `None` where chance agreement is complete, which is when every rating falls in one category:
//! report [`plain_agreement`] then.

use std::collections::BTreeMap;

use super::{StatsError, real, real_len};

/// The mean over units of the share of rating pairs that agree, 0 to 1.
///
/// Units with fewer than two ratings are ignored; `None` if no unit is left.
///
/// Source: the observed agreement of Fleiss 1971 (Psychol. Bull. 76:378), with unequal numbers of ratings
/// allowed.
#[must_use]
pub fn plain_agreement<T: Ord, U: AsRef<[T]>>(units: &[U]) -> Option<f64> {
    let shares: Vec<f64> =
        units.iter().map(AsRef::as_ref).filter(|ratings| ratings.len() > 1).map(agreeing_pairs).collect();
    (!shares.is_empty()).then(|| shares.iter().sum::<f64>() / real_len(shares.len()))
}

/// Fleiss' kappa for units that were each rated equally often: 1 is perfect, 0 is chance, below 0 is worse
/// than chance.
///
/// `None` if there are no units or all ratings fall in one category.
///
/// Source: Fleiss 1971 (Psychol. Bull. 76:378).
///
/// # Errors
/// [`StatsError::UnevenRatings`] if a unit has another number of ratings than the first, or fewer than two.
pub fn fleiss_kappa<T: Ord, U: AsRef<[T]>>(units: &[U]) -> Result<Option<f64>, StatsError> {
    let expected = units.first().map_or(2, |first| first.as_ref().len()).max(2);
    if let Some((unit, found)) =
        units.iter().map(|ratings| ratings.as_ref().len()).enumerate().find(|&(_, found)| found != expected)
    {
        return Err(StatsError::UnevenRatings { unit, found, expected });
    }
    let shares = tally(units.iter().flat_map(AsRef::as_ref));
    let total: f64 = shares.values().map(|&count| real(count)).sum();
    let chance = shares.values().map(|&count| (real(count) / total).powi(2)).sum();
    Ok(plain_agreement(units).and_then(|observed| above_chance(observed, chance, shares.len())))
}

/// Krippendorff's alpha for nominal categories; units may have any number of ratings (missing ones are left
/// out).
///
/// 1 is perfect, 0 is chance. Units with fewer than two ratings carry no information and are ignored; `None`
/// if no unit is left or all ratings fall in one category.
///
/// Source: Krippendorff 2011, Computing Krippendorff's Alpha-Reliability, sections A to C.
#[must_use]
pub fn krippendorff_alpha<T: Ord, U: AsRef<[T]>>(units: &[U]) -> Option<f64> {
    let pairable = || units.iter().map(AsRef::as_ref).filter(|ratings| ratings.len() > 1);
    let totals = tally(pairable().flatten());
    let size: f64 = totals.values().map(|&count| real(count)).sum();
    let same: f64 = totals.values().map(|&count| real(count) * (real(count) - 1.0)).sum();
    // Units weigh by their number of ratings, unlike in Fleiss' kappa.
    let observed: f64 =
        pairable().map(|ratings| real_len(ratings.len()) * agreeing_pairs(ratings)).sum::<f64>() / size;
    above_chance(observed, same / (size * (size - 1.0)), totals.len())
}

/// Cohen's kappa for two raters of the same cases: 1 is perfect, 0 is chance, below 0 is worse than chance.
///
/// `None` without cases, or if both raters put every case in the same one category.
///
/// Source: Cohen 1960 (Educ. Psychol. Meas. 20:37).
///
/// # Errors
/// [`StatsError::LengthMismatch`].
pub fn cohen_kappa<T: Ord>(a: &[T], b: &[T]) -> Result<Option<f64>, StatsError> {
    if a.len() != b.len() {
        return Err(StatsError::LengthMismatch { left: a.len(), right: b.len() });
    }
    let cases = real_len(a.len());
    let agreed = a.iter().zip(b).filter(|(left, right)| left == right).count();
    let (shares_a, shares_b) = (tally(a), tally(b));
    let chance: f64 = shares_a
        .iter()
        .filter_map(|(category, &count)| Some(real(count) * real(*shares_b.get(category)?)))
        .sum::<f64>()
        / (cases * cases);
    let categories = tally(a.iter().chain(b)).len();
    Ok(above_chance(real_len(agreed) / cases, chance, categories))
}

/// The agreement beyond chance as a share of what is possible; undefined for fewer than two categories.
fn above_chance(observed: f64, chance: f64, categories: usize) -> Option<f64> {
    (categories > 1).then(|| (observed - chance) / (1.0 - chance))
}

/// The share of ordered pairs of ratings that agree; needs two ratings or more.
fn agreeing_pairs<T: Ord>(ratings: &[T]) -> f64 {
    let size = real_len(ratings.len());
    let same: f64 = tally(ratings).values().map(|&count| real(count) * (real(count) - 1.0)).sum();
    same / (size * (size - 1.0))
}

fn tally<'a, T: Ord + 'a>(ratings: impl IntoIterator<Item = &'a T>) -> BTreeMap<&'a T, u64> {
    let mut counts = BTreeMap::new();
    for rating in ratings {
        *counts.entry(rating).or_insert(0) += 1;
    }
    counts
}
