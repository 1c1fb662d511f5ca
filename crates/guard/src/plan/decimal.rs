//! Exact decimal numbers, so that amounts of money add up: up to 38 digits, at most 18 of them after the point.

use std::cmp::Ordering;
use std::fmt;

use serde_json::Number;

/// Digits after the point.
const MAX_SCALE: u32 = 18;

/// `mantissa` × 10^-`scale`, without trailing zeros after the point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Decimal {
    mantissa: i128,
    scale: u32,
}

impl Decimal {
    pub(super) const ZERO: Self = Self { mantissa: 0, scale: 0 };

    fn new(mantissa: i128, scale: u32) -> Option<Self> {
        let mut number = Self { mantissa, scale };
        while number.scale > 0 && number.mantissa % 10 == 0 {
            number.mantissa /= 10;
            number.scale -= 1;
        }
        if number.scale > MAX_SCALE { number.round(MAX_SCALE) } else { Some(number) }
    }

    pub(super) fn of(number: &Number) -> Option<Self> {
        Self::parse(&number.to_string())
    }

    /// Reads `-12.50` or `1.25e3`: a sign, digits, a point with digits, an exponent; nothing else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (digits, exponent) = match text.split_once(['e', 'E']) {
            Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (negative, digits) = match digits.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, digits.strip_prefix('+').unwrap_or(digits)),
        };
        let (whole, fraction) = match digits.split_once('.') {
            Some((_, "")) => return None,
            Some(parts) => parts,
            None => (digits, ""),
        };
        if whole.is_empty() || fraction.len() > 40 {
            return None;
        }
        let mut mantissa = 0i128;
        for digit in whole.chars().chain(fraction.chars()) {
            let digit = digit.to_digit(10)?;
            mantissa = mantissa.checked_mul(10)?.checked_add(i128::from(digit))?;
        }
        if negative {
            mantissa = mantissa.checked_neg()?;
        }
        let scale = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
        if mantissa == 0 {
            Some(Self::ZERO)
        } else if scale < 0 {
            Self::new(mantissa.checked_mul(ten(scale.unsigned_abs())?)?, 0)
        } else if scale > 60 {
            None
        } else {
            Self::new(mantissa, scale.unsigned_abs())
        }
    }

    /// Both mantissas at the larger scale.
    fn aligned(self, other: Self) -> Option<(i128, i128, u32)> {
        let scale = self.scale.max(other.scale);
        let at = |number: Self| number.mantissa.checked_mul(ten(scale.checked_sub(number.scale)?)?);
        Some((at(self)?, at(other)?, scale))
    }

    pub(super) fn add(self, other: Self) -> Option<Self> {
        let (a, b, scale) = self.aligned(other)?;
        Self::new(a.checked_add(b)?, scale)
    }

    pub(super) fn sub(self, other: Self) -> Option<Self> {
        let (a, b, scale) = self.aligned(other)?;
        Self::new(a.checked_sub(b)?, scale)
    }

    pub(super) fn mul(self, other: Self) -> Option<Self> {
        Self::new(self.mantissa.checked_mul(other.mantissa)?, self.scale.checked_add(other.scale)?)
    }

    /// To 18 digits after the point, or as many as fit, half to even. Nothing for a division by zero.
    pub(super) fn div(self, other: Self) -> Option<Self> {
        // The digits that the quotient gets: as many as the dividend has room for.
        for digits in (0..=MAX_SCALE).rev() {
            let shift = digits.checked_add(other.scale)?;
            let scaled = match shift.checked_sub(self.scale) {
                Some(more) => ten(more).and_then(|factor| self.mantissa.checked_mul(factor)),
                None => continue,
            };
            if let Some(scaled) = scaled {
                return Self::new(half_even(scaled, other.mantissa)?, digits);
            }
        }
        None
    }

    /// To `digits` after the point, half to even.
    pub(super) fn round(self, digits: u32) -> Option<Self> {
        match self.scale.checked_sub(digits) {
            None | Some(0) => Some(self),
            Some(off) => Self::new(half_even(self.mantissa, ten(off)?)?, digits),
        }
    }

    pub(super) fn scale(self) -> u32 {
        self.scale
    }

    pub(super) fn compare(self, other: Self) -> Ordering {
        match self.aligned(other) {
            Some((a, b, _)) => a.cmp(&b),
            // One of them has so many digits before the point that the other's after it do not count.
            None => {
                let whole = |number: Self| ten(number.scale).map_or(0, |factor| number.mantissa / factor);
                whole(self).cmp(&whole(other))
            }
        }
    }

    /// As an integer, if it is one that fits.
    pub(super) fn to_i64(self) -> Option<i64> {
        if self.scale == 0 { i64::try_from(self.mantissa).ok() } else { None }
    }

    /// `self` × 10^`digits` as an integer: how many steps of that size it is from zero.
    pub(super) fn steps(self, digits: u32) -> Option<i128> {
        self.mantissa.checked_mul(ten(digits.checked_sub(self.scale)?)?)
    }

    pub(super) fn to_number(self) -> Option<Number> {
        match self.to_i64() {
            Some(integer) => Some(integer.into()),
            None => self.to_string().parse::<f64>().ok().and_then(Number::from_f64),
        }
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.mantissa < 0 { "-" } else { "" };
        let factor = ten(self.scale).unwrap_or(1).unsigned_abs();
        let (whole, fraction) =
            (self.mantissa.unsigned_abs() / factor, self.mantissa.unsigned_abs() % factor);
        if self.scale == 0 {
            write!(f, "{sign}{whole}")
        } else {
            write!(f, "{sign}{whole}.{fraction:0width$}", width = self.scale as usize)
        }
    }
}

fn ten(power: u32) -> Option<i128> {
    10i128.checked_pow(power)
}

fn half_even(value: i128, by: i128) -> Option<i128> {
    let (quotient, rest) = (value.checked_div(by)?, value.checked_rem(by)?);
    let (rest, half) = (rest.unsigned_abs(), by.unsigned_abs());
    let twice = rest.checked_mul(2)?;
    let up = match twice.cmp(&half) {
        Ordering::Greater => true,
        Ordering::Equal => quotient % 2 != 0,
        Ordering::Less => false,
    };
    if !up {
        Some(quotient)
    } else if (value < 0) == (by < 0) {
        quotient.checked_add(1)
    } else {
        quotient.checked_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn d(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    #[test]
    fn amounts_add_up() {
        assert_eq!(d("0.1").add(d("0.2")).unwrap().to_string(), "0.3");
        assert_eq!(d("1100").mul(d("0.195")).unwrap().to_string(), "214.5");
        assert_eq!(d("1").div(d("3")).unwrap().to_string(), "0.333333333333333333");
        assert_eq!(d("10").div(d("4")).unwrap().to_string(), "2.5");
        assert_eq!(d("1").div(Decimal::ZERO), None);
        assert_eq!(d("2.5e3").to_string(), "2500");
        assert_eq!(d("-0.5").sub(d("0.25")).unwrap().to_string(), "-0.75");
    }

    #[test]
    fn halves_round_to_even() {
        for (text, rounded) in
            [("0.125", "0.12"), ("0.135", "0.14"), ("-0.125", "-0.12"), ("-0.135", "-0.14")]
        {
            assert_eq!(d(text).round(2).unwrap().to_string(), rounded);
        }
    }

    #[test]
    fn what_does_not_fit_is_no_number() {
        for text in [
            "",
            ".",
            "1.",
            ".5",
            "1e99",
            "1,000",
            " 1",
            "0x1",
            "--1",
            "1e",
            "99999999999999999999999999999999999999999",
        ] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
        let large = d("100000000000000000000000000000000000000");
        assert_eq!(large.mul(large), None);
        assert_eq!(large.add(large), None);
        assert_eq!(large.compare(d("0.000000000000000001")), Ordering::Greater);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[-+0-9.eE]{0,50}", other in "[-+0-9.eE]{0,50}") {
            if let (Some(a), Some(b)) = (Decimal::parse(&text), Decimal::parse(&other)) {
                let _all = (a.add(b), a.sub(b), a.mul(b), a.div(b), a.compare(b), a.round(2), a.to_number(), a.steps(3));
            }
        }

        #[test]
        fn what_is_written_is_what_was_read(mantissa in any::<i64>(), scale in 0u32..18) {
            let number = Decimal::new(mantissa.into(), scale).unwrap();
            prop_assert_eq!(d(&number.to_string()), number);
        }

        #[test]
        fn sums_and_products_are_exact(a in -1_000_000i64..1_000_000, b in -1_000_000i64..1_000_000, s in 0u32..6, t in 0u32..6) {
            let (x, y) = (Decimal::new(a.into(), s).unwrap(), Decimal::new(b.into(), t).unwrap());
            prop_assert_eq!(x.add(y).unwrap().sub(y).unwrap(), x);
            prop_assert_eq!(x.mul(y).unwrap(), Decimal::new(i128::from(a) * i128::from(b), s + t).unwrap());
        }
    }
}
