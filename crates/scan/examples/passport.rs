//! Prints the CycloneDX bill of materials of a folder or file: `passport PATH [--statement]`. Without lineage records, scan and
//! signatures: those come from the command line tool.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use ostrom_core::{Digest, Severity};
use ostrom_scan::lineage::{Artifact, Claims, Graph};
use ostrom_scan::passport::{Inputs, Passport, ScanSummary, SignatureSeen, cyclonedx};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: passport PATH [--statement]")?;
    let path = Path::new(&path);
    let inputs = Inputs {
        formats: BTreeMap::new(),
        // What a scan and signatures would look like.
        scan: Some(ScanSummary {
            scanner: "example 0".to_owned(),
            rules: Digest::of(b"no rules"),
            everything_examined: false,
            findings: BTreeMap::from([(Severity::Info, 1)]),
        }),
        signatures: vec![SignatureSeen {
            file: "model.sig".to_owned(),
            kind: "model-signing".to_owned(),
            signer: "example".to_owned(),
            not_covered: Vec::new(),
            verified: false,
        }],
        tool: "ostrom-scan-example 0.1.0".to_owned(),
        created_unix: 0,
    };
    let artifact = Artifact::read(path)?;
    let passport = Passport::new(&artifact, Claims::read(path)?, &Graph::default(), inputs);
    let value = match arguments.next().as_deref() {
        Some("--statement") => serde_json::to_value(passport.to_statement()?)?,
        _ => cyclonedx(&passport)?,
    };
    println!("{}", serde_json::to_string_pretty(&value)?);
    Ok(())
}
