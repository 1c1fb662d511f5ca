//! Bounded sets of values: what an endorsement may be limited to.

use serde_json::Value;

use super::date::Moment;
use super::decimal::Decimal;
use super::expr::Pattern;

/// A finite set of values.
#[derive(Debug, Clone)]
pub struct Shape(pub(super) Kind);

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Boolean,
    Date,
    OneOf(Vec<Value>),
    Number {
        min: Decimal,
        max: Decimal,
        decimals: u32,
    },
    /// The pattern holds for the whole text.
    Text {
        pattern: Pattern,
        max_bytes: u32,
    },
}

impl Shape {
    /// The value as the set has it, so that it cannot tell more by how it is written; nothing if the set does not have it.
    #[must_use]
    pub fn admits(&self, value: &Value) -> Option<Value> {
        match (&self.0, value) {
            (Kind::Boolean, Value::Bool(_)) => Some(value.clone()),
            (Kind::Date, Value::String(text)) => {
                let moment = Moment::parse(text)?;
                (text.len() == 10).then(|| Value::String(moment.to_string()))
            }
            (Kind::OneOf(values), _) => values.iter().find(|known| *known == value).cloned(),
            (Kind::Number { min, max, decimals }, Value::Number(number)) => {
                let number = Decimal::of(number)?;
                let fits = number.scale() <= *decimals
                    && number.compare(*min).is_ge()
                    && number.compare(*max).is_le();
                fits.then(|| number.to_number()).flatten().map(Value::Number)
            }
            (Kind::Text { pattern, max_bytes }, Value::String(text)) => {
                let fits = text.len() <= *max_bytes as usize && pattern.regex.is_match(text);
                fits.then(|| value.clone())
            }
            _ => None,
        }
    }

    /// The residual influence: log2 of how many outcomes there are, one of which is that the value is none of the set.
    #[must_use]
    #[allow(
        clippy::cast_precision_loss,
        reason = "a figure to show; more than 2^53 outcomes need no exact count"
    )]
    pub fn bits(&self) -> f64 {
        match &self.0 {
            Kind::Boolean => 3f64.log2(),
            Kind::Date => 3_652_060f64.log2(),
            Kind::OneOf(values) => (values.len() as f64 + 1.0).log2(),
            Kind::Number { min, max, decimals } => {
                let steps = max
                    .steps(*decimals)
                    .zip(min.steps(*decimals))
                    .and_then(|(max, min)| max.checked_sub(min));
                // INVARIANT: read_shape refuses bounds for which there is no count.
                steps.map_or(f64::INFINITY, |steps| (steps as f64 + 2.0).log2())
            }
            Kind::Text { max_bytes, .. } => f64::from(*max_bytes) * 8.0 + 1.0,
        }
    }
}

impl std::fmt::Display for Shape {
    /// As a sentence has it: `a number from 0 to 5 with at most 1 decimals`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Kind::Boolean => f.write_str("true or false"),
            Kind::Date => f.write_str("a date"),
            Kind::OneOf(values) => write!(f, "one of {}", Value::Array(values.clone())),
            Kind::Number { min, max, decimals } => {
                write!(f, "a number from {min} to {max} with at most {decimals} decimals")
            }
            Kind::Text { pattern, max_bytes } => {
                write!(f, "a text of at most {max_bytes} bytes that matches {}", pattern.source)
            }
        }
    }
}
