//! `ostrom scan`.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use ostrom_core::{Finding, Severity};
use ostrom_scan::{Options, Progress, Report, Rule, always_fails, judge, rule, sarif, scan};
use serde::Serialize;

use crate::args::ScanOptions;
use crate::fail::Failure;
use crate::records::Records;
use crate::show;

/// Findings were made.
const FOUND: u8 = 1;

/// Runs the command.
pub fn run(options: &ScanOptions) -> Result<ExitCode, Failure> {
    let started = Instant::now();
    let records = Records::load(&options.trust)?;
    let look_up = !records.is_empty();
    let digests = options.digests || look_up;
    let settings = Options { threads: options.threads, digests, ..Options::default() };
    let progress = ScanProgress::new();
    let result = scan(&options.path, &settings, &progress);
    progress.bar.finish_and_clear();
    let mut report = result?;
    if look_up {
        let name = options
            .path
            .file_name()
            .map_or_else(|| ".".to_owned(), |name| name.to_string_lossy().into_owned());
        judge(&mut report, &name, options.path.is_dir(), &records.graph, &records.revocations)?;
    }
    let fails = report.fails_at(options.fail_on);
    if options.sarif {
        show::json(&sarif(&report))?;
    } else if options.json {
        let undecided = report.undecided().count();
        let told = Told { fails, counts: report.counts(), undecided, rules: report.rules(), report: &report };
        show::json(&told)?;
    } else {
        table(&report, options.quiet, started.elapsed());
    }
    Ok(if fails { ExitCode::from(FOUND) } else { ExitCode::SUCCESS })
}

/// The report for programs.
#[derive(Serialize)]
struct Told<'a> {
    fails: bool,
    counts: BTreeMap<Severity, u64>,
    undecided: usize,
    /// What the findings' rules mean, what to do, and their CWE and ATLAS techniques.
    rules: BTreeMap<&'a str, &'static Rule>,
    report: &'a Report,
}

/// Findings in full, most severe first, then one line that sums up.
fn table(report: &Report, quiet: bool, elapsed: Duration) {
    let least = if quiet { Severity::Medium } else { Severity::Info };
    // What fails the scan is always told, however mild it is called.
    let told = |finding: &&Finding| finding.severity >= least || always_fails(finding);
    let mut findings: Vec<&Finding> = report.findings().filter(told).collect();
    findings.sort_by(|a, b| {
        b.severity.cmp(&a.severity).then_with(|| a.place.cmp(&b.place)).then(a.offset.cmp(&b.offset))
    });
    for finding in &findings {
        let offset = finding.offset.map_or_else(String::new, |offset| format!(", byte {offset}"));
        println!("{:<8}  {}{offset}", finding.severity, finding.place);
        let Some(rule) = rule(finding.rule.as_str()) else { continue };
        println!("          {} [{}]", rule.title, rule.id);
        println!("{}", show::wrapped(&finding.message, "          "));
        if finding.severity >= Severity::Medium || always_fails(finding) {
            println!("{}", show::wrapped(&format!("Attacker gains: {}", rule.gain), "          "));
            println!("{}", show::wrapped(&format!("Do: {}", rule.advice), "          "));
        }
        println!("          CWE-{}  {}\n", rule.cwe, rule.atlas.join("  "));
    }
    let counts: Vec<String> =
        report.counts().iter().rev().map(|(severity, count)| format!("{count} {severity}")).collect();
    let found = if counts.is_empty() { "no findings".to_owned() } else { counts.join(", ") };
    let undecided = report.undecided().count();
    let unkept: u64 = report.files.iter().map(|file| file.unkept).sum();
    let more = if unkept > 0 { format!(", {unkept} more not kept") } else { String::new() };
    let open = if undecided > 0 { format!("; {undecided} could not be decided") } else { String::new() };
    println!(
        "{} files, {} in {:.1} s: {found}{more}{open}",
        report.files.len(),
        indicatif::HumanBytes(report.bytes()),
        elapsed.as_secs_f64()
    );
}

/// A bar over bytes, on standard error.
struct ScanProgress {
    bar: ProgressBar,
}

impl ScanProgress {
    fn new() -> Self {
        let bar = ProgressBar::new(0);
        if let Ok(style) =
            ProgressStyle::with_template("scanning {wide_bar:.dim} {bytes}/{total_bytes}  {eta} left")
        {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(250));
        Self { bar }
    }
}

impl Progress for ScanProgress {
    fn total(&self, _: usize, bytes: u64) {
        self.bar.set_length(bytes);
    }

    fn file(&self, _: &str, bytes: u64) {
        self.bar.inc(bytes);
    }
}
