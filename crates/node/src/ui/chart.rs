//! Charts as inline SVG, each with its table. No style attributes: positions are presentation attributes in per cent, colours come from
//! classes, and so a chart is as wide as its place and its letters stay letters of the page's size.

use std::fmt::Write as _;

use askama::Template;
use askama::filters::HtmlSafe;

use super::Html;
use super::html::escape;
use super::part::{Cell, Proportion, Table};

/// The height of a row, in px.
const ROW: usize = 46;
/// The most rows that are drawn; the table has all.
const MOST: usize = 40;

/// A chart and its table.
#[derive(Debug, Clone, PartialEq, Template)]
#[template(
    ext = "html",
    source = r#"<figure class="chart"><figcaption>{{ caption }}</figcaption>{{ svg }}<details><summary>The same as a table</summary>{{ table }}</details></figure>"#
)]
pub struct Chart {
    caption: String,
    svg: Html,
    table: Table,
}

impl HtmlSafe for Chart {}

impl Chart {
    /// Shares with their 95 % intervals, one row each, from 0 to 100 %. `unit` names what was counted, such as `trials`.
    pub fn proportions(caption: &str, share: &str, unit: &str, rows: &[Proportion], good: bool) -> Self {
        let mut svg = String::new();
        let drawn = rows.len().min(MOST);
        let height = drawn.saturating_mul(ROW).saturating_add(22);
        let _ =
            write!(svg, "<svg class=\"plot\" width=\"100%\" height=\"{height}\" role=\"img\" aria-label=\"");
        escape(&mut svg, &summary(caption, rows));
        svg.push_str("\">");
        for tick in [0, 25, 50, 75, 100] {
            let bottom = height.saturating_sub(18);
            let _ =
                write!(svg, "<line class=\"grid\" x1=\"{tick}%\" x2=\"{tick}%\" y1=\"0\" y2=\"{bottom}\"/>");
            let anchor = match tick {
                0 => "start",
                100 => "end",
                _ => "middle",
            };
            let _ = write!(
                svg,
                "<text class=\"tick\" x=\"{tick}%\" y=\"{}\" text-anchor=\"{anchor}\">{tick} %</text>",
                height.saturating_sub(4)
            );
        }
        for (index, row) in rows.iter().take(MOST).enumerate() {
            row_svg(&mut svg, index.saturating_mul(ROW), row, good);
        }
        svg.push_str("</svg>");
        let table = Table::new(caption, &["", share, "95 % interval", unit]).rows(rows.iter().map(|row| {
            vec![
                Cell::text(&row.name),
                Cell::Number(percent(share_of(row))),
                Cell::Number(format!("{} to {}", percent(row.low), percent(row.high))),
                Cell::Number(format!("{} of {}", row.hits, row.of)),
            ]
        }));
        let mut table = table;
        if let Some(first) = table.columns.first_mut() {
            first.push_str("Name");
        }
        Self { caption: caption.to_owned(), svg: Html::trusted(svg), table }
    }
}

/// One row: name and value on a line, under it the interval and the point.
fn row_svg(svg: &mut String, top: usize, row: &Proportion, good: bool) {
    let share = share_of(row);
    let class = if good { "good" } else { "bad" };
    let (text, middle) = (top.saturating_add(15), top.saturating_add(29));
    let name: String = if row.name.chars().count() > 46 {
        row.name.chars().take(45).chain(['…']).collect()
    } else {
        row.name.clone()
    };
    let _ = write!(svg, "<text class=\"name\" x=\"0\" y=\"{text}\">");
    escape(svg, &name);
    let _ = write!(
        svg,
        "</text><text class=\"value\" x=\"100%\" y=\"{text}\" text-anchor=\"end\">{}",
        percent(share)
    );
    let _ = write!(svg, "<tspan class=\"tick\" dx=\"6\">n = {}</tspan></text>", row.of);
    let _ = write!(svg, "<line class=\"rail\" x1=\"0\" x2=\"100%\" y1=\"{middle}\" y2=\"{middle}\"/>");
    let (low, high, at) = (per_cent(row.low), per_cent(row.high), per_cent(share));
    let _ = write!(
        svg,
        "<line class=\"interval {class}\" x1=\"{low:.2}%\" x2=\"{high:.2}%\" y1=\"{middle}\" y2=\"{middle}\"/>"
    );
    let _ = write!(svg, "<circle class=\"point {class}\" cx=\"{at:.2}%\" cy=\"{middle}\" r=\"5\"/>");
}

/// What a screen reader says in the place of the drawing.
fn summary(caption: &str, rows: &[Proportion]) -> String {
    let mut text = format!("{caption}. ");
    for row in rows.iter().take(MOST) {
        let _ = write!(text, "{}: {}; ", row.name, percent(share_of(row)));
    }
    text
}

#[allow(clippy::cast_precision_loss, reason = "counts of trials lie far below 2^52")]
fn share_of(row: &Proportion) -> f64 {
    if row.of == 0 { 0.0 } else { row.hits as f64 / row.of as f64 }
}

/// 0 to 100, whatever came in.
fn per_cent(share: f64) -> f64 {
    if share.is_finite() { (share * 100.0).clamp(0.0, 100.0) } else { 0.0 }
}

/// `12.5 %`.
pub fn percent(share: f64) -> String {
    format!("{:.1} %", per_cent(share))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, hits: u64, of: u64, low: f64, high: f64) -> Proportion {
        Proportion { name: name.to_owned(), hits, of, low, high }
    }

    #[test]
    fn a_name_stays_text_and_no_figure_leaves_the_chart() {
        let rows =
            [row("<script>alert(1)</script>\"'", 1, 0, f64::NAN, f64::INFINITY), row("b", 7, 5, -3.0, 9.0)];
        let chart = Chart::proportions("c", "ASR", "trials", &rows, false).to_string();
        assert!(!chart.contains("<script") && !chart.contains("NaN") && !chart.contains("inf"));
        assert!(chart.contains("x1=\"0.00%\" x2=\"100.00%\""));
    }

    #[test]
    fn every_row_stands_in_the_table() {
        let rows: Vec<_> = (0..100).map(|n| row(&format!("row {n}"), 1, 2, 0.1, 0.9)).collect();
        let chart = Chart::proportions("c", "ASR", "trials", &rows, true);
        assert_eq!(chart.table.rows.len(), 100);
    }
}
