//! What the targets have in common: a scan of bytes that has to reach one format's parser.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Once};

pub use libfuzzer_sys::{Corpus, fuzz_target};
use ostrom_scan::{Limits, is_undecided, scan_bytes, scan_bytes_as};

/// The bounds of a run. Those on unpacking are low: what lies behind them is more of the same, at a megabyte a millisecond.
const LIMITS: Limits = Limits { depth: 4, unpacked: 1 << 20, members: 200, held: 1 << 20, findings: 200 };

/// A format of the scanner, and how to reach its parser.
pub struct Format {
    /// The name of the file that the input is taken for.
    pub name: &'static str,
    /// As the scanner names it; several if they share a parser, and none if the input is to be looked at for all.
    pub formats: &'static [&'static str],
    /// What is written over the input, and where: the mark by which the format is known. Over and not before it, so that
    /// files of the format are seeds as they are, and a file that fails is one that `ostrom scan` can be given.
    pub mark: Option<(usize, &'static [u8])>,
}

impl Format {
    /// Scans `data`, and holds the report to what is promised of every report. An input that does not reach the parser
    /// is not kept for the corpus.
    pub fn run(&self, data: &[u8]) -> Corpus {
        self.run_bytes(data.to_vec())
    }

    /// The same with bytes that are there to be changed.
    pub fn run_bytes(&self, mut bytes: Vec<u8>) -> Corpus {
        quiet();
        if let Some((at, mark)) = self.mark {
            let Some(place) = bytes.get_mut(at..at + mark.len()) else { return Corpus::Reject };
            place.copy_from_slice(mark);
        }
        let size = bytes.len() as u64;
        let report = match self.formats {
            [] => scan_bytes(self.name, bytes, &LIMITS),
            formats => scan_bytes_as(formats, self.name, bytes, &LIMITS),
        };
        assert_eq!(report.size, size);
        assert!(report.findings.len() <= LIMITS.findings, "more findings than are kept");
        for finding in &report.findings {
            let text = [&finding.place, &finding.message];
            assert!(
                !text.iter().any(|text| text.bytes().any(|byte| byte.is_ascii_control())),
                "untrusted text reaches a terminal"
            );
            assert!(ostrom_scan::rule(finding.rule.as_str()).is_some(), "a rule that no catalogue has");
        }
        assert_eq!(report.is_undecided(), report.findings.iter().any(is_undecided));
        let is_own = |format: &String| self.formats.contains(&format.as_str());
        let reached = self.formats.is_empty() || report.formats.iter().any(is_own);
        count(reached);
        if reached { Corpus::Keep } else { Corpus::Reject }
    }
}

/// A panic that the scanner catches (decoders are other people's code) is a finding and not a crash; one that it does not
/// catch still ends the run, in libFuzzer's own catch. Without this libfuzzer-sys ends the run at either.
fn quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        drop(std::panic::take_hook());
        std::panic::set_hook(Box::new(|info| {
            if let Some(path) = &*CAUGHT {
                let _ = fs::write(path.with_extension("panic"), info.to_string());
            }
        }));
    });
}

/// Where to write how many runs there were, and how many of them reached the parser.
static CAUGHT: LazyLock<Option<PathBuf>> =
    LazyLock::new(|| std::env::var_os("OSTROM_FUZZ_COUNTS").map(PathBuf::from));

fn count(reached: bool) {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    static REACHED: AtomicU64 = AtomicU64::new(0);
    REACHED.fetch_add(u64::from(reached), Ordering::Relaxed);
    let runs = RUNS.fetch_add(1, Ordering::Relaxed) + 1;
    if runs.is_multiple_of(1 << 12)
        && let Some(path) = &*CAUGHT
    {
        let _ = fs::write(path, format!("{runs} {}\n", REACHED.load(Ordering::Relaxed)));
    }
}

/// A target that is one format and nothing else.
#[macro_export]
macro_rules! target {
    ($name:literal, $formats:expr) => {
        $crate::target!($name, $formats, None);
    };
    ($name:literal, $formats:expr, $mark:expr) => {
        const FORMAT: $crate::Format = $crate::Format { name: $name, formats: &$formats, mark: $mark };
        $crate::fuzz_target!(|data: &[u8]| -> $crate::Corpus { FORMAT.run(data) });
    };
}
