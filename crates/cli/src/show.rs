//! Results on standard output: tables for people, JSON for programs.

use ostrom_lab::bundle::FailedTrial;
use ostrom_lab::compare::{Comparison, Difference};
use ostrom_lab::metrics::{Group, Metrics, Rate};
use serde::Serialize;

use crate::fail::Failure;

/// As much of a reason for failure as is printed, in characters.
pub const MAX_REASON: usize = 300;

/// The width that texts are wrapped to.
const WIDTH: usize = 80;

/// What a shell reports for a program whose reader went away. Not 0: what was found has not been told.
const NOBODY_READS: i32 = 141;

/// Writes a line to standard output.
pub fn line(text: std::fmt::Arguments<'_>) {
    text_out(format_args!("{text}\n"));
}

/// Writes text to standard output.
pub fn text_out(text: std::fmt::Arguments<'_>) {
    use std::io::Write as _;
    if let Err(error) = std::io::stdout().lock().write_fmt(text) {
        if error.kind() != std::io::ErrorKind::BrokenPipe {
            eprintln!("error: standard output: {error}");
        }
        std::process::exit(NOBODY_READS);
    }
}

/// A text with everything that would move a terminal, or hide or turn text in it, written as an escape. What comes from
/// bundles, endpoints and files is printed through this.
pub fn printable(text: &str) -> String {
    let hides = |c: char| {
        (c.is_control() && c != '\n' && c != '\t')
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
    };
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if hides(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// A name as [`printable`], in one line: nothing in it can pass for a line of ours.
pub fn one_line(text: &str) -> String {
    printable(text).replace('\n', "\\n").replace('\t', "\\t")
}

/// A number of things: `1 artifact`, `2 artifacts`.
pub fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// Prints a value as JSON, as it is made: a report of a great many files is never held as text.
pub fn json<T: Serialize>(value: &T) -> Result<(), Failure> {
    use std::io::Write as _;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let written = serde_json::to_writer_pretty(&mut out, value)
        .map_err(|error| if error.is_io() { Ok(std::io::Error::from(error)) } else { Err(error) });
    let written = match written {
        Ok(()) => writeln!(out).and_then(|()| out.flush()),
        Err(Ok(error)) => Err(error),
        Err(Err(error)) => return Err(Failure::new(error.to_string())),
    };
    if let Err(error) = written {
        if error.kind() != std::io::ErrorKind::BrokenPipe {
            eprintln!("error: standard output: {error}");
        }
        std::process::exit(NOBODY_READS);
    }
    Ok(())
}

/// A text in lines of at most 80 columns.
pub fn wrapped(text: &str, indent: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let fits = lines.last().is_some_and(|line| {
            line.is_empty() || indent.len() + line.chars().count() + 1 + word.chars().count() <= WIDTH
        });
        if !fits {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.into_iter().map(|line| format!("{indent}{line}")).collect::<Vec<_>>().join("\n")
}

fn percent(x: f64) -> String {
    format!("{:.1} %", 100.0 * x)
}

/// `12.5 %`, or `12.5–14.0 %` where trials failed, or `–`.
fn rate(rate: &Rate) -> String {
    match rate.bounds() {
        None => "–".to_owned(),
        Some((low, high)) if (high - low).abs() < f64::EPSILON => percent(low),
        Some((low, high)) => format!("{:.1}–{}", 100.0 * low, percent(high)),
    }
}

fn interval(low: f64, high: f64) -> String {
    format!("{:.1} to {}", 100.0 * low, percent(high))
}

fn row(label: &str, value: &Rate) {
    let counts = format!("{}/{}", value.successes, value.trials);
    println!("  {label:<30} {:>12}   {:<18} {counts:>9}", rate(value), interval(value.low, value.high));
}

fn groups(title: &str, groups: &[Group]) {
    println!("\n{title:<32} {:>12}   {:<18} {:>9}", "rate", "95 % interval", "n");
    for group in groups {
        row(&group.id, &group.rate);
    }
}

/// The table of one run.
pub fn metrics(title: &str, metrics: &Metrics) {
    println!("{title}");
    println!("  {:<30} {:>12}   {:<18} {:>9}", "", "rate", "95 % interval", "n");
    row("attack success", &metrics.attack_success);
    row("  without the controls' share", &metrics.raw_attack_success);
    row("control success", &metrics.control_success);
    row("benign utility", &metrics.benign_utility);
    row("utility under attack", &metrics.utility_under_attack);
    if let Some(agreement) = metrics.agreement {
        println!("  {:<30} {agreement:>12.2}", "agreement over repeats (α)");
    }
    groups("attack success by mechanism", &metrics.by_mechanism);
    groups("attack success by channel", &metrics.by_channel);
    println!(
        "\nWith this many attacks, a true rate below {} could have shown no success at all.",
        percent(metrics.smallest_detectable_rate)
    );
    if metrics.failed > 0 {
        println!(
            "{} of {} trials failed. Rates are ranges: none of them succeeded, to all of them did.",
            metrics.failed, metrics.planned
        );
    }
}

fn signed(x: f64) -> String {
    format!("{:+.1}", 100.0 * x)
}

fn difference(label: &str, difference: &Difference) {
    let value = match (difference.difference, difference.range) {
        (Some(value), _) => signed(value),
        (None, Some([least, most])) => format!("{} to {}", signed(least), signed(most)),
        (None, None) => "–".to_owned(),
    };
    let interval = format!("{} to {}", signed(difference.low), signed(difference.high));
    let p = difference.p_holm.unwrap_or(difference.p);
    let p = if p < 0.001 { "< 0.001".to_owned() } else { format!("{p:.3}") };
    let detectable = difference.detectable.map_or("–".to_owned(), |x| format!("{:.1}", 100.0 * x));
    let failed = match difference.failed {
        0 => String::new(),
        failed => format!("  ({failed} failed)"),
    };
    println!(
        "  {label:<30} {value:>6}  {interval:<16} {p:>7} {:>5} {detectable:>6}{failed}",
        difference.pairs
    );
}

/// The table of a comparison.
pub fn comparison(comparison: &Comparison) {
    println!("Differences in percentage points, B − A, paired by case");
    println!("  {:<30} {:>6}  {:<16} {:>7} {:>5} {:>6}", "", "diff", "95 % interval", "p", "pairs", "seen");
    difference("attack success", &comparison.attack_success);
    difference("utility under attack", &comparison.utility_under_attack);
    difference("benign utility", &comparison.benign_utility);
    println!("\nattack success by mechanism (p after Holm's correction)");
    for mechanism in &comparison.by_mechanism {
        difference(&mechanism.id, mechanism);
    }
    println!("\nseen: the smallest difference that would be found four times out of five.");
    if comparison.failed() > 0 {
        println!(
            "(n failed): pairs with a failed trial. Differences are ranges over everything that those could have given, \
             intervals reach over all of them, and p is the largest possible: the comparison is incomplete."
        );
    }
}

/// How many failed trials a message names.
const NAMED: usize = 5;

/// Failed trials by name, with their reasons; the first few of many.
pub fn failed_trials(failed: &[FailedTrial]) -> String {
    let name = |trial: &FailedTrial| {
        let reason: String = trial.reason.chars().take(MAX_REASON).collect();
        format!("  {} ({}, repeat {}): {reason}", trial.id, trial.arm.as_str(), trial.repeat)
    };
    let mut lines: Vec<String> = failed.iter().take(NAMED).map(name).collect();
    if failed.len() > NAMED {
        lines.push(format!("  … and {} more", failed.len() - NAMED));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stranger_wrote_moves_no_terminal() {
        assert_eq!(
            printable("a\u{1b}[2J\u{202e}b\r\n\tc \u{9b}"),
            "a\\u{1b}[2J\\u{202e}b\\u{d}\n\tc \\u{9b}"
        );
        assert_eq!(printable("Grüße, 日本"), "Grüße, 日本");
        assert_eq!(one_line("a\nrecord\tb\u{1b}ü"), "a\\nrecord\\tb\\u{1b}ü");
    }
}
