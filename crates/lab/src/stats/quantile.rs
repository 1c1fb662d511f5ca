//! The few distribution functions that the intervals need.
//!
//! `statrs` supplies the gamma and error functions. Its incomplete beta function stops after 140 steps of the
//! continued fraction, too few for tens of thousands of trials, and its quantiles of beta and Student's t
//! inherit that (its own tests note one that is wrong), so both are found here by bisection, which cannot
//! diverge.

use statrs::function::erf::erf_inv;
use statrs::function::gamma::ln_gamma;

/// The positive `z` with `P(|Z| <= z) = central` for a standard normal `Z`; `0 < central < 1`.
pub(super) fn normal_two_sided(central: f64) -> f64 {
    std::f64::consts::SQRT_2 * erf_inv(central)
}

/// The `z` with `P(Z <= z) = probability` for a standard normal `Z`; `0 < probability < 1`.
pub(super) fn normal(probability: f64) -> f64 {
    std::f64::consts::SQRT_2 * erf_inv(2.0 * probability - 1.0)
}

/// The positive `t` with `P(|T| <= t) = central` for Student's t with `freedom` degrees of freedom.
///
/// `T^2 / (freedom + T^2)` is Beta(1/2, freedom/2). Of this share and its complement the smaller one is
/// computed, because a quotient with a rounded difference from 1 would lose its precision.
pub(super) fn student_two_sided(central: f64, freedom: f64) -> f64 {
    let share = beta(central, 0.5, freedom / 2.0);
    if share < 0.5 {
        return (freedom * share / (1.0 - share)).sqrt();
    }
    let rest = beta(1.0 - central, freedom / 2.0, 0.5);
    (freedom * (1.0 - rest) / rest).sqrt()
}

/// The `probability` quantile of Beta(a, b); `a, b > 0`.
pub(super) fn beta(probability: f64, a: f64, b: f64) -> f64 {
    bisect(0.0, 1.0, |x| beta_cdf(a, b, x) - probability)
}

/// `P(X <= k)` for X binomial with `n` trials of probability 1/2; `k <= n`.
pub(super) fn fair_coin_cdf(k: f64, n: f64) -> f64 {
    if k >= n { 1.0 } else { beta_cdf(n - k, k + 1.0, 0.5) }
}

/// `P(X = k)` for X binomial with `n` trials of probability 1/2; `k <= n`.
pub(super) fn fair_coin_pmf(k: f64, n: f64) -> f64 {
    (ln_gamma(n + 1.0) - ln_gamma(k + 1.0) - ln_gamma(n - k + 1.0) - n * std::f64::consts::LN_2).exp()
}

/// The root of `f`, which rises from below 0 at `low` to above 0 at `high`, to the last bit where `f`
/// permits.
///
/// 200 halvings also resolve roots near 0, such as the lower limit of 1 success in 10^9 trials.
pub(super) fn bisect(mut low: f64, mut high: f64, f: impl Fn(f64) -> f64) -> f64 {
    for _ in 0..200 {
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high {
            break;
        }
        if f(middle) < 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// The regularised incomplete beta function `I_x(a, b)`.
///
/// Continued fraction DLMF 8.17.22 on the side of the mean where it converges fast.
fn beta_cdf(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (-x).ln_1p()).exp();
    let value = if x < (a + 1.0) / (a + b + 2.0) {
        front * beta_fraction(a, b, x) / a
    } else {
        1.0 - front * beta_fraction(b, a, 1.0 - x) / b
    };
    value.clamp(0.0, 1.0)
}

/// Modified Lentz evaluation; the steps needed grow with `sqrt(max(a, b))`, about 10^4 for 10^8 trials.
fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let away_from_zero = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1.0));
    let mut value = d;
    for step in 1..=20_000_u32 {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut last = 1.0;
        for term in [even, odd] {
            d = 1.0 / away_from_zero(1.0 + term * d);
            c = away_from_zero(1.0 + term / c);
            last = c * d;
            value *= last;
        }
        if (last - 1.0).abs() < 1e-15 {
            break;
        }
    }
    value
}
