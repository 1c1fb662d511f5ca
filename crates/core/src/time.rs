//! Points in time. Reading the clock is for others: here they are values.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time between the years 1 and 9999, to the microsecond, in UTC.
///
/// Written as RFC 3339 with a `Z`, with three digits after the point, or six where three do not suffice, as STIX wants it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// Why a text or number is not a point in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not a time of RFC 3339 in UTC such as 2026-08-02T10:00:00.000Z")]
pub struct TimestampError {
    found: String,
}

/// 0001-01-01T00:00:00Z.
const MIN: i64 = -62_135_596_800_000_000;
/// 9999-12-31T23:59:59.999999Z.
const MAX: i64 = 253_402_300_799_999_999;

impl Timestamp {
    /// The beginning of 1970.
    pub const EPOCH: Self = Self(0);
    /// The latest that can be written.
    pub const MAX: Self = Self(MAX);
    /// The earliest that can be written.
    pub const MIN: Self = Self(MIN);

    /// `micros` microseconds after the beginning of 1970.
    ///
    /// # Errors
    /// Outside the years 1 to 9999.
    pub fn from_micros(micros: i64) -> Result<Self, TimestampError> {
        if (MIN..=MAX).contains(&micros) {
            Ok(Self(micros))
        } else {
            Err(TimestampError { found: micros.to_string() })
        }
    }

    /// `seconds` after the beginning of 1970; at most the end of the year 9999.
    #[must_use]
    pub fn from_seconds(seconds: u64) -> Self {
        Self::EPOCH.plus_seconds(i64::try_from(seconds).unwrap_or(i64::MAX))
    }

    /// Microseconds since the beginning of 1970; negative before it.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// This much later, or earlier if `seconds` is negative; at most the end of the year 9999.
    #[must_use]
    pub fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1_000_000)).clamp(MIN, MAX))
    }

    /// The same time without what a millisecond does not hold.
    #[must_use]
    pub fn to_millis(self) -> Self {
        Self(self.0.saturating_sub(self.0.rem_euclid(1000)).max(MIN))
    }

    /// Date and time to the second, for people: `2026-08-02 10:00:00`.
    pub fn to_second(self) -> String {
        self.to_string().chars().take(19).collect::<String>().replace('T', " ")
    }

    /// The date alone, `2026-08-02`.
    pub fn date(self) -> String {
        self.to_string().chars().take(10).collect()
    }
}

/// The beginning of 1970, as a date without a zone: jiff's own points in time end a day before the year 9999 does.
const EPOCH: jiff::civil::DateTime = jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0);

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = if self.0.rem_euclid(1000) == 0 { 3 } else { 6 };
        // INVARIANT: MIN and MAX lie within what jiff can tell.
        let time = EPOCH.checked_add(jiff::SignedDuration::from_micros(self.0)).map_err(|_| fmt::Error)?;
        write!(f, "{time:.digits$}Z")
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let error = || TimestampError { found: text.chars().take(80).collect() };
        // Nothing but RFC 3339 with a capital T and Z: what two readers could take for two times is refused.
        let shape = text.len() <= 40
            && text.ends_with('Z')
            && text.bytes().enumerate().all(|(at, byte)| match at {
                4 | 7 => byte == b'-',
                10 => byte == b'T',
                13 | 16 => byte == b':',
                19 => byte == b'.' || byte == b'Z',
                _ => byte.is_ascii_digit() || (byte == b'Z' && at + 1 == text.len()),
            });
        if !shape || text.len() < 20 {
            return Err(error());
        }
        // Digits beyond the nanosecond do not count, and jiff does not take them.
        let seconds: String = text.chars().take(19).collect();
        let fraction: String = text.chars().skip(20).take_while(char::is_ascii_digit).take(6).collect();
        if text.as_bytes().get(19) == Some(&b'.') && fraction.is_empty() {
            return Err(error());
        }
        let whole: jiff::civil::DateTime = seconds.parse().map_err(|_| error())?;
        // A leap second comes out as the second before it; its name would not come back.
        if format!("{whole:.0}") != seconds {
            return Err(error());
        }
        let micros = format!("{fraction:0<6}").parse::<i64>().map_err(|_| error())?;
        let since = i64::try_from(whole.duration_since(EPOCH).as_micros()).map_err(|_| error())?;
        let total = since.checked_add(micros).ok_or_else(error)?;
        Self::from_micros(total).map_err(|_| error())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn as_it_is_written() {
        for (text, written) in [
            ("2026-08-02T10:00:00Z", "2026-08-02T10:00:00.000Z"),
            ("2026-08-02T10:00:00.1Z", "2026-08-02T10:00:00.100Z"),
            ("2016-11-01T12:34:56.123456789Z", "2016-11-01T12:34:56.123456Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"),
            ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
            ("1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), written);
        }
    }

    #[test]
    fn people_are_told_the_second() {
        assert_eq!(Timestamp::from_seconds(1_785_664_800).to_second(), "2026-08-02 10:00:00");
        assert_eq!(Timestamp::from_seconds(u64::MAX).to_second(), "9999-12-31 23:59:59");
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "2026-08-02",
            "2026-08-02T10:00:00",
            "2026-08-02t10:00:00z",
            "2026-08-02T10:00:00+00:00",
            "2026-02-30T10:00:00Z",
            "2026-08-02T24:00:00Z",
            "2016-12-31T23:59:60Z",
            "2026-08-02T10:00:00.Z",
            "2026-08-02T10:00:00.1.2Z",
            "2026-08-02 10:00:00Z",
            "-0026-08-02T10:00:00Z",
            "10000-01-01T00:00:00Z",
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text:?} was taken");
        }
        assert!(Timestamp::from_micros(i64::MAX).is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(micros in MIN..=MAX) {
            let time = Timestamp::from_micros(micros).unwrap();
            prop_assert_eq!(time.to_string().parse::<Timestamp>().unwrap(), time);
        }

        #[test]
        fn order_is_the_order_of_time(a in MIN..=MAX, b in MIN..=MAX) {
            let (a, b) = (Timestamp::from_micros(a).unwrap(), Timestamp::from_micros(b).unwrap());
            prop_assert_eq!(a < b, a.micros() < b.micros());
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,50}") {
            let _ = text.parse::<Timestamp>();
        }
    }
}
