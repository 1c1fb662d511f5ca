//! Scans a folder or file and prints the report as JSON: `scan PATH [--threads N]`. The command line tool has tables, SARIF,
//! and looks records up; `bench/scan/check.py --ostrom` takes this one as well.

use std::error::Error;
use std::path::Path;

use ostrom_core::Severity;
use ostrom_scan::{Options, scan};
use serde_json::json;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments =
        std::env::args().skip(1).filter(|argument| argument != "scan" && argument != "--json");
    let path = arguments.next().ok_or("usage: scan PATH [--threads N]")?;
    let threads = match (arguments.next().as_deref(), arguments.next()) {
        (Some("--threads"), Some(number)) => number.parse()?,
        _ => 0,
    };
    let report = scan(Path::new(&path), &Options { threads, ..Options::default() }, &())?;
    let fails = report.fails_at(Severity::High);
    println!("{}", serde_json::to_string(&json!({"fails": fails, "report": report}))?);
    std::process::exit(i32::from(fails));
}
