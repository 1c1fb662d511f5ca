//! Progress on standard error: how far, how long still, and what has come out so far.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
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

/// Progress of a run.
pub struct RunProgress {
    bar: ProgressBar,
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
        let style = ProgressStyle::with_template("{prefix} {wide_bar:.dim} {pos}/{len}  {eta} left  {msg}");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        bar.reset_eta();
        bar.enable_steady_tick(Duration::from_millis(250));
        let counts = Counts { attacks: 0, successes: 0, failed: 0, last_line: Instant::now() };
        Self { bar, counts: Mutex::new(counts) }
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
            let left = self.bar.eta().as_secs();
            eprintln!("{}: {done}/{total}, {left} s left, {message}", self.bar.prefix());
        }
        self.bar.set_message(message);
    }
}
