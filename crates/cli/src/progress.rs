//! Progress on standard error: how far, how long still, and what has come out so far.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressState, ProgressStyle};
use ostrom_lab::run::Watch;
use ostrom_lab::trial::{Arm, Trial, Verdict};

/// A spinner for work of unknown length.
pub fn spinner(message: &str) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_message(message.to_owned());
    bar.enable_steady_tick(Duration::from_millis(120));
    if bar.is_hidden() {
        eprintln!("{message}");
    }
    bar
}

/// How long `left` more will take if they take as long as the `done` that took `spent`; nothing before the first is done. A plain mean: an estimate that
/// forgets what was long ago says absurd things after a pause.
fn time_left(spent: Duration, done: u64, left: u64) -> Option<Duration> {
    let each = u32::try_from(done).ok().and_then(|done| spent.checked_div(done))?;
    each.checked_mul(u32::try_from(left).ok()?)
}

/// Progress of a run.
pub struct RunProgress {
    bar: ProgressBar,
    /// How many trials were finished before, and when this run began.
    before: u64,
    began: Instant,
    counts: Mutex<Counts>,
}

struct Counts {
    attacks: u64,
    successes: u64,
    failed: u64,
    /// Where there is no terminal, a line is printed now and then.
    last_line: Instant,
}

impl RunProgress {
    /// For a run of `total` trials of which `done` are finished.
    pub fn new(label: &str, total: usize, done: usize) -> Self {
        let bar = ProgressBar::new(total as u64).with_position(done as u64).with_prefix(label.to_owned());
        let (before, began) = (done as u64, Instant::now());
        let style = ProgressStyle::with_template("{prefix} {wide_bar:.dim} {pos}/{len}  {left}  {msg}");
        if let Ok(style) = style {
            let left = move |state: &ProgressState, text: &mut dyn std::fmt::Write| {
                let (now, total) = (state.pos(), state.len().unwrap_or(0));
                let left = time_left(began.elapsed(), now.saturating_sub(before), total.saturating_sub(now));
                // A bar that cannot be written shows as nothing.
                let _unwritten = left.map_or(Ok(()), |left| write!(text, "{:#} left", HumanDuration(left)));
            };
            bar.set_style(style.with_key("left", left));
        }
        bar.enable_steady_tick(Duration::from_millis(250));
        let counts = Counts { attacks: 0, successes: 0, failed: 0, last_line: Instant::now() };
        Self { bar, before, began, counts: Mutex::new(counts) }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Watch for RunProgress {
    fn trial(&self, trial: &Trial) {
        self.bar.inc(1);
        // A poisoned lock means that another thread panicked while counting; progress is no reason to panic too.
        let Ok(mut counts) = self.counts.lock() else { return };
        match (&trial.verdict, trial.arm) {
            (Verdict::Failed(_), _) => counts.failed += 1,
            (Verdict::Outcome(outcome), Arm::Attack) => {
                counts.attacks += 1;
                counts.successes += u64::from(outcome.success == Some(true));
            }
            _ => {}
        }
        let mut message = format!("{} of {} attacks got through", counts.successes, counts.attacks);
        if counts.failed > 0 {
            message = format!("{message}, {} failed", counts.failed);
        }
        if self.bar.is_hidden() && counts.last_line.elapsed() > Duration::from_secs(10) {
            counts.last_line = Instant::now();
            let (done, total) = (self.bar.position(), self.bar.length().unwrap_or(0));
            let left =
                time_left(self.began.elapsed(), done.saturating_sub(self.before), total.saturating_sub(done));
            let left = left.map_or_else(String::new, |left| format!(" {} s left,", left.as_secs()));
            eprintln!("{}: {done}/{total},{left} {message}", self.bar.prefix());
        }
        self.bar.set_message(message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_a_plain_mean_and_unknown_before_the_first() {
        let seconds = Duration::from_secs;
        assert_eq!(time_left(seconds(10), 5, 20), Some(seconds(40)));
        // After a pause it is longer, and not absurd.
        assert_eq!(time_left(seconds(1_010), 5, 20), Some(seconds(4_040)));
        assert_eq!(time_left(seconds(10), 0, 20), None);
        assert_eq!(time_left(seconds(10), 5, 0), Some(Duration::ZERO));
        assert_eq!(time_left(Duration::MAX, 1, u64::MAX), None);
    }
}
