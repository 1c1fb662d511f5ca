//! Points in time as people read them, and clocks that run out.

use askama::Template;
use askama::filters::HtmlSafe;
use ostrom_core::Timestamp;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A point in time: `22 Nov 2026, 14:05 UTC`, in a `time` element.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(ext = "html", source = r#"<time datetime="{{ iso }}" title="{{ exact }}">{{ shown }}</time>"#)]
pub struct When {
    iso: String,
    exact: String,
    shown: String,
}

impl HtmlSafe for When {}

impl When {
    /// Date and minute.
    pub fn at(time: Timestamp) -> Self {
        let (iso, exact, _) = parts(time);
        Self { iso, shown: exact.clone(), exact }
    }

    /// The date alone.
    pub fn date(time: Timestamp) -> Self {
        let (iso, exact, date) = parts(time);
        Self { iso, exact, shown: date }
    }

    /// How long before or after `now`: `3 days ago`, `in 5 hours`.
    pub fn from_now(time: Timestamp, now: Timestamp) -> Self {
        let (iso, exact, _) = parts(time);
        let seconds = time.micros().saturating_sub(now.micros()) / 1_000_000;
        let shown = match seconds {
            -59..=59 => "now".to_owned(),
            60.. => format!("in {}", span(seconds)),
            _ => format!("{} ago", span(seconds.saturating_neg())),
        };
        Self { iso, exact, shown }
    }

    /// The text that is shown.
    pub fn shown(&self) -> &str {
        &self.shown
    }
}

/// ISO, long, date.
fn parts(time: Timestamp) -> (String, String, String) {
    let iso = time.to_string();
    let mut numbers = iso.split(|c: char| !c.is_ascii_digit());
    let mut next = || numbers.next().unwrap_or("0");
    let (year, month, day, hour, minute) = (next(), next(), next(), next(), next());
    let month = month.parse::<usize>().unwrap_or(1);
    let name = MONTHS.get(month.saturating_sub(1)).copied().unwrap_or("?");
    let date = format!("{} {name} {year}", day.trim_start_matches('0'));
    let long = format!("{date}, {hour}:{minute} UTC");
    (iso.clone(), long, date)
}

/// A length of time in its largest fitting unit, rounded down.
pub fn span(seconds: i64) -> String {
    let (number, unit) = match seconds {
        i64::MIN..60 => (seconds.max(0), "second"),
        60..3_600 => (seconds / 60, "minute"),
        // Up to three days in hours: "in 1 day" would hide almost half of what is left.
        3_600..259_200 => (seconds / 3_600, "hour"),
        259_200..7_776_000 => (seconds / 86_400, "day"),
        7_776_000..63_072_000 => (seconds / 2_592_000, "month"),
        _ => (seconds / 31_536_000, "year"),
    };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

/// The value of a `datetime-local` field: to the minute, in UTC.
pub fn field_value(time: Timestamp) -> String {
    time.to_string().chars().take(16).collect()
}

/// Reads a `datetime-local` or `date` field, which is taken to be in UTC.
pub fn from_field(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let full = match text.len() {
        10 => format!("{text}T00:00:00Z"),
        16 => format!("{text}:00Z"),
        19 => format!("{text}Z"),
        _ => text.to_owned(),
    };
    full.parse().ok()
}

/// How a clock stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// There is time.
    Running,
    /// Less than a fifth of the time, or two days, is left.
    Soon,
    /// It has run out.
    Overdue,
    /// What was due was done.
    Met,
}

/// A clock that runs out.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "part/clock.html")]
pub struct Clock {
    label: String,
    href: Option<String>,
    whom: String,
    due: When,
    left: String,
    standing: Standing,
    /// How much of the time is gone, 0 to 100.
    gone: u8,
}

impl HtmlSafe for Clock {}

impl Clock {
    /// A clock over something called `label` that `whom` owes, from `start` to `due`.
    pub fn new(
        label: impl Into<String>,
        whom: impl Into<String>,
        start: Timestamp,
        due: Timestamp,
        now: Timestamp,
    ) -> Self {
        let left = due.micros().saturating_sub(now.micros()) / 1_000_000;
        let total = (due.micros().saturating_sub(start.micros()) / 1_000_000).max(1);
        let gone = total.saturating_sub(left).saturating_mul(100) / total;
        let standing = if left <= 0 {
            Standing::Overdue
        } else if left < (total / 5).min(172_800) {
            Standing::Soon
        } else {
            Standing::Running
        };
        let text = if left > 0 {
            format!("{} left", span(left))
        } else {
            format!("{} overdue", span(left.saturating_neg()))
        };
        Self {
            label: label.into(),
            href: None,
            whom: whom.into(),
            due: When::at(due),
            left: text,
            standing,
            gone: u8::try_from(gone.clamp(0, 100)).unwrap_or(100),
        }
    }

    /// Leads to `href`.
    #[must_use]
    pub fn linked(mut self, href: impl Into<String>) -> Self {
        self.href = Some(href.into());
        self
    }

    /// What was due was done at `time`.
    #[must_use]
    pub fn met(mut self, time: Timestamp) -> Self {
        self.standing = Standing::Met;
        self.left = format!("done on {}", When::date(time).shown);
        self
    }

    /// How it stands.
    pub const fn standing(&self) -> Standing {
        self.standing
    }

    const fn class(&self) -> &'static str {
        match self.standing {
            Standing::Running => "running",
            Standing::Soon => "soon",
            Standing::Overdue => "overdue",
            Standing::Met => "met",
        }
    }
}
