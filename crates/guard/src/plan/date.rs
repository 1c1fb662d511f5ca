//! ISO 8601 dates and times without a zone, of the years 1 to 9999: `2024-05-15`, `2024-05-15T10:00`, `2024-05-15 10:00:30`.

/// A date, perhaps with a time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment {
    /// Days since 0001-01-01.
    days: i64,
    /// Seconds since midnight.
    seconds: i64,
    form: Form,
}

/// How it was written, and so is written again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    Date,
    Time { separator: char, seconds: bool },
}

/// The days of the years 1 to 9999.
const DAYS: i64 = 3_652_059;
const DAY: i64 = 86_400;

impl Moment {
    pub(super) fn parse(text: &str) -> Option<Self> {
        if !text.is_ascii() {
            return None;
        }
        let (date, time) = match text.split_once(['T', ' ']) {
            Some((date, time)) => (date, Some(time)),
            None => (text, None),
        };
        let mut parts = date.split('-');
        let (year, month, day) =
            (digits(parts.next()?, 4)?, digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
        if parts.next().is_some() || year == 0 || !(1..=12).contains(&month) {
            return None;
        }
        if day == 0 || day > length(year, month) {
            return None;
        }
        let days = days_before(year, month).checked_add(day)?.checked_sub(1)?;
        let Some(time) = time else { return Some(Self { days, seconds: 0, form: Form::Date }) };
        let separator = if text.contains('T') { 'T' } else { ' ' };
        let mut parts = time.split(':');
        let (hour, minute) = (digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
        let second = parts.next().map(|part| digits(part, 2));
        if parts.next().is_some() || hour > 23 || minute > 59 {
            return None;
        }
        let form = Form::Time { separator, seconds: second.is_some() };
        let second = second.unwrap_or(Some(0))?;
        if second > 59 {
            return None;
        }
        Some(Self { days, seconds: hour * 3600 + minute * 60 + second, form })
    }

    /// `seconds` later, or earlier. A date has whole days only.
    pub(super) fn later(self, seconds: i64) -> Option<Self> {
        if self.form == Form::Date && seconds % DAY != 0 {
            return None;
        }
        let all = self.days.checked_mul(DAY)?.checked_add(self.seconds)?.checked_add(seconds)?;
        let (days, seconds) = (all.div_euclid(DAY), all.rem_euclid(DAY));
        (0..DAYS).contains(&days).then_some(Self { days, seconds, form: self.form })
    }

    /// Whole days from `other` to `self`.
    pub(super) fn days_since(self, other: Self) -> i64 {
        self.days.saturating_sub(other.days)
    }

    /// `year`, `month`, `day`, `hour`, `minute`, `second`, or `weekday` from 1, Monday, to 7.
    pub(super) fn part(self, name: &str) -> Option<i64> {
        let (year, month, day) = self.civil();
        Some(match name {
            "year" => year,
            "month" => month,
            "day" => day,
            "weekday" => self.days % 7 + 1,
            "hour" => self.seconds / 3600,
            "minute" => self.seconds / 60 % 60,
            "second" => self.seconds % 60,
            _ => return None,
        })
    }

    fn civil(self) -> (i64, i64, i64) {
        // The year is at most one more than what years of 366 days would make it at first.
        let mut year = self.days / 366 + 1;
        while days_before(year + 1, 1) <= self.days {
            year += 1;
        }
        let mut month = 1;
        while month < 12 && days_before(year, month + 1) <= self.days {
            month += 1;
        }
        (year, month, self.days - days_before(year, month) + 1)
    }
}

impl std::fmt::Display for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (year, month, day) = self.civil();
        write!(f, "{year:04}-{month:02}-{day:02}")?;
        let Form::Time { separator, seconds } = self.form else { return Ok(()) };
        write!(f, "{separator}{:02}:{:02}", self.seconds / 3600, self.seconds / 60 % 60)?;
        if seconds || self.seconds % 60 != 0 { write!(f, ":{:02}", self.seconds % 60) } else { Ok(()) }
    }
}

fn digits(text: &str, count: usize) -> Option<i64> {
    let fits = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    fits.then(|| text.parse().ok()).flatten()
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn length(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days before the first of a month.
fn days_before(year: i64, month: i64) -> i64 {
    let years = year - 1;
    let leaps = years / 4 - years / 100 + years / 400;
    years * 365 + leaps + (1..month).map(|month| length(year, month)).sum::<i64>()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn days_and_hours_are_added_in_the_form_that_was_given() {
        for (from, days, to) in [
            ("2024-02-28", 1, "2024-02-29"),
            ("2023-12-31", 1, "2024-01-01"),
            ("2024-03-01", -1, "2024-02-29"),
        ] {
            assert_eq!(Moment::parse(from).unwrap().later(days * DAY).unwrap().to_string(), to);
        }
        let hour = |text| Moment::parse(text).unwrap().later(3600).unwrap().to_string();
        assert_eq!(hour("2024-05-15T23:30"), "2024-05-16T00:30");
        assert_eq!(hour("2024-05-15 10:00:05"), "2024-05-15 11:00:05");
        assert_eq!(Moment::parse("2024-05-15").unwrap().later(3600), None);
        assert_eq!(Moment::parse("9999-12-31").unwrap().later(DAY), None);
    }

    #[test]
    fn the_weekday_of_a_known_day_is_right() {
        assert_eq!(Moment::parse("2024-05-15").unwrap().part("weekday"), Some(3));
        assert_eq!(Moment::parse("2000-02-29").unwrap().part("weekday"), Some(2));
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "2023-02-29",
            "2024-13-01",
            "2024-1-1",
            "0000-01-01",
            "2024-05-15T24:00",
            "2024-05-15T10",
            "2024-05-15Z",
            "é",
            "",
        ] {
            assert_eq!(Moment::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_day_survives_being_written(days in 0..DAYS) {
            let day = Moment { days, seconds: 0, form: Form::Date };
            prop_assert_eq!(Moment::parse(&day.to_string()), Some(day));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[-0-9T: ]{0,20}", by in any::<i64>()) {
            if let Some(moment) = Moment::parse(&text) {
                let _written = moment.later(by).map(|later| later.to_string());
            }
        }
    }
}
