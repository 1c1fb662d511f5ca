//! Bounded endorsement: values that are acceptable whoever influenced them.

use regex::Regex;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The longest string that a pattern may endorse, in bytes; it bounds the influence that remains.
pub const MAX_PATTERN_VALUE: usize = 256;

/// A set of acceptable values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Endorse {
    /// One of these.
    OneOf(Vec<Value>),
    /// A whole number from the first to the second, both included.
    Range(i64, i64),
    /// A number from `min` to `max` with at most so many decimals: an amount of money.
    Number {
        /// The smallest.
        min: i64,
        /// The largest.
        max: i64,
        /// Digits behind the point; at most 9.
        decimals: u32,
    },
    /// A string that the regular expression matches from end to end.
    Pattern(Pattern),
}

/// A regular expression that matches whole strings.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern {
    source: String,
    regex: Regex,
}

/// A constraint that endorses nothing, or everything.
#[derive(Debug, thiserror::Error)]
pub enum EndorseError {
    /// Not a regular expression.
    #[error("this is not a regular expression: {0}")]
    Pattern(#[from] regex::Error),
}

impl TryFrom<String> for Pattern {
    type Error = EndorseError;

    fn try_from(source: String) -> Result<Self, EndorseError> {
        let regex = regex::RegexBuilder::new(&format!(r"\A(?:{source})\z")).size_limit(1 << 20).build()?;
        Ok(Self { source, regex })
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.source
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Endorse {
    /// Whether `value` is acceptable whoever influenced it.
    #[must_use]
    pub fn accepts(&self, value: &Value) -> bool {
        match self {
            Self::OneOf(values) => values.contains(value),
            Self::Range(low, high) => value.as_i64().is_some_and(|number| (*low..=*high).contains(&number)),
            Self::Number { min, max, decimals } => {
                let bound = |limit: &i64| i128::from(*limit).checked_mul(power_of_ten(*decimals));
                match (value, bound(min), bound(max)) {
                    (Value::Number(number), Some(low), Some(high)) => {
                        scaled(number, *decimals).is_some_and(|number| (low..=high).contains(&number))
                    }
                    _ => false,
                }
            }
            Self::Pattern(pattern) => value
                .as_str()
                .is_some_and(|text| text.len() <= MAX_PATTERN_VALUE && pattern.regex.is_match(text)),
        }
    }

    /// The influence that remains, in bits: log2 of how many values are acceptable, however they are written. For a pattern this is the bound that its
    /// length gives (8 bits a byte), which is far above what a narrow pattern leaves.
    #[must_use]
    pub fn residual_bits(&self, value: &Value) -> f64 {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "a set of 2^53 values does not fit into memory")]
            Self::OneOf(values) => (values.len().max(1) as f64).log2(),
            #[expect(clippy::cast_precision_loss, reason = "bits need no more than a few digits")]
            Self::Range(low, high) => ((i128::from(*high) - i128::from(*low) + 1).max(1) as f64).log2(),
            #[expect(clippy::cast_precision_loss, reason = "bits need no more than a few digits")]
            Self::Number { min, max, decimals } => {
                let whole = (i128::from(*max) - i128::from(*min)).max(0);
                let values = whole.saturating_mul(power_of_ten(*decimals)).saturating_add(1);
                // A whole number can be written as `1` and as `1.0`, zero as `-0.0`, too.
                let spellings = whole + 1 + i128::from((*min..=*max).contains(&0));
                (values.saturating_add(spellings) as f64).log2()
            }
            #[expect(clippy::cast_precision_loss, reason = "at most 256 bytes")]
            Self::Pattern(_) => value.as_str().map_or(0, str::len) as f64 * 8.0,
        }
    }
}

/// 10 to the power of `decimals`, of which more than 9 are none.
fn power_of_ten(decimals: u32) -> i128 {
    10_i128.pow(decimals.min(9))
}

/// A number in units of its last decimal; none if it has more decimals, or is too large to be written without an exponent.
fn scaled(number: &serde_json::Number, decimals: u32) -> Option<i128> {
    let decimals = decimals.min(9) as usize;
    let text = number.to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let fraction = if fraction == "0" { "" } else { fraction };
    if fraction.len() > decimals || fraction.bytes().any(|byte| !byte.is_ascii_digit()) {
        return None;
    }
    format!("{whole}{fraction}{}", "0".repeat(decimals.checked_sub(fraction.len())?)).parse().ok()
}
