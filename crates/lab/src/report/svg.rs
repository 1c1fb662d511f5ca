//! Pictures of rates.
//!
//! *Invariant:* nothing but constants and numbers goes into the markup: it is the only part of a page that is not
//! escaped.

use askama::filters::HtmlSafe;

use crate::metrics::Rate;

/// Markup that this module made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Svg(String);

// INVARIANT: the field is private, and only numbers are formatted into it.
impl HtmlSafe for Svg {}

impl std::fmt::Display for Svg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// 0 to 100 % on all bars, in the units of the view box. The margin keeps marks at the ends whole.
const WIDTH: f64 = 200.0;
const GRID: &str = r#"<path class="grid" d="M0 2V16M50 2V16M100 2V16M150 2V16M200 2V16"/><rect class="track" x="0" y="8.5" width="200" height="1"/>"#;
/// What was observed is never thinner than this.
const MARK: f64 = 2.0;

/// A rate on the scale from 0 to 100 %: a pale bar for the interval, a dark mark for what was observed, or a box for
/// what it lies between where trials failed. Stretched to the width and height that the style gives it.
///
/// Hidden from screen readers: the same figures stand beside it as text.
pub fn interval_bar(rate: &Rate) -> Svg {
    let place = |share: f64| share.clamp(0.0, 1.0) * WIDTH;
    let marks = rate.bounds().map_or(String::new(), |(least, most)| {
        let (low, high) = (place(rate.low), place(rate.high));
        let (from, to) = (place(least), place(most));
        let seen = if to - from > MARK {
            format!(r#"<rect class="range" x="{from:.1}" y="3" width="{:.1}" height="12"/>"#, to - from)
        } else {
            format!(
                r#"<rect class="est" x="{:.1}" y="1" width="{MARK:.1}" height="16"/>"#,
                (from + to - MARK) / 2.0
            )
        };
        format!(
            r#"<rect class="ci" x="{low:.1}" y="5" width="{:.1}" height="8"/>{seen}"#,
            (high - low).max(0.0)
        )
    });
    Svg(format!(
        r#"<svg class="bar" viewBox="-2 0 204 18" preserveAspectRatio="none" aria-hidden="true" focusable="false">{GRID}{marks}</svg>"#
    ))
}

/// The scale above a column of bars.
pub fn axis() -> Svg {
    Svg(r#"<svg class="axis" viewBox="-2 0 204 8" aria-hidden="true" focusable="false"><text x="0" y="7">0</text><text x="100" y="7" text-anchor="middle">50</text><text x="200" y="7" text-anchor="end">100 %</text></svg>"#.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(successes: u64, trials: u64, failed: u64, low: f64, high: f64) -> Rate {
        Rate { successes, trials, failed, low, high, design_effect: None }
    }

    #[test]
    fn bars_show_interval_and_observation() {
        let svg = interval_bar(&rate(1, 4, 0, 0.05, 0.7)).to_string();
        assert!(svg.contains(r#"class="ci" x="10.0" y="5" width="130.0""#), "{svg}");
        assert!(svg.contains(r#"class="est" x="49.0" y="1" width="2.0""#), "{svg}");
        let range = interval_bar(&rate(1, 4, 1, 0.05, 0.8)).to_string();
        assert!(range.contains(r#"class="range" x="50.0" y="3" width="50.0""#), "{range}");
        assert!(!interval_bar(&rate(0, 0, 0, 0.0, 1.0)).to_string().contains("ci"));
    }
}
