//! `ostrom passport`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ostrom_scan::lineage::{Artifact, Claims};
use ostrom_scan::passport::{FILE_NAME, Inputs, Passport, ScanSummary, SignatureSeen, cyclonedx, verify};
use ostrom_scan::revocation::Standing;
use ostrom_scan::{Options, Report, rules_digest, scan};
use ostrom_trust::Envelope;
use ostrom_trust::oms::{self, EcPublicKey, Trust};
use serde_json::json;

use crate::args::PassportOptions;
use crate::eval::{now, signing_key};
use crate::fail::{Failure, io};
use crate::records::{Records, refuse_unless_clear, standing_json, trusted};
use crate::show;
use crate::sign::{default_signature, read_signature, replace, signer};

/// The largest passport that is read, in bytes.
const MAX_PASSPORT: u64 = 256 << 20;

/// Runs the command.
pub fn run(options: &PassportOptions) -> Result<ExitCode, Failure> {
    let out = options.out.clone().unwrap_or_else(|| default_place(&options.path));
    if options.verify { check(options, &out) } else { make(options, &out) }
}

fn default_place(model: &Path) -> PathBuf {
    if model.is_dir() {
        return model.join(FILE_NAME);
    }
    let mut name = model.as_os_str().to_owned();
    name.push(".passport.json");
    PathBuf::from(name)
}

fn make(options: &PassportOptions, out: &Path) -> Result<ExitCode, Failure> {
    let spinner = crate::progress::spinner("reading, scanning and digesting");
    let artifact = Artifact::read(&options.path)?;
    let claims = Claims::read(&options.path)?;
    let report = scan(&options.path, &Options { digests: true, ..Options::default() }, &())?;
    spinner.finish_and_clear();
    same_bytes(&artifact, &report)?;
    let problems: Vec<String> =
        claims.problems.iter().map(|problem| format!("{}: {}", problem.name, problem.what)).collect();
    let records = Records::load(&options.trust)?;
    let formats: BTreeMap<String, Vec<String>> =
        report.files.iter().map(|file| (file.path.clone(), file.formats.clone())).collect();
    let inputs = Inputs {
        formats,
        scan: Some(summary(&report)),
        signatures: signatures(options)?,
        tool: concat!("ostrom ", env!("CARGO_PKG_VERSION")).to_owned(),
        created_unix: now(),
    };
    let passport = Passport::new(&artifact, claims, &records.graph, inputs);
    let key = signing_key(options.sign_key.as_deref())?;
    let envelope = Envelope::sign(&passport.to_statement()?, &key)?;
    replace(out, &envelope.to_json()?)?;
    if let Some(bom) = &options.cyclonedx {
        let text = serde_json::to_vec_pretty(&cyclonedx(&passport)?)
            .map_err(|error| Failure::new(error.to_string()))?;
        replace(bom, &text)?;
    }
    if options.json {
        show::json(&json!({"passport": out, "digest": passport.digest, "files": passport.files.len(),
                           "signer": key.public().id().to_string(), "cyclonedx": options.cyclonedx}))?;
    } else {
        table(&passport, &artifact.ignored);
        println!("signed    by {}\nwrote     {}", key.public().id().short(), out.display());
        if let Some(bom) = &options.cyclonedx {
            println!("wrote     {}", bom.display());
        }
    }
    let mut missing = problems;
    missing.extend(records.problems);
    if missing.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    Err(Failure::new(format!("the passport leaves out what could not be read:\n  {}", missing.join("\n  "))))
}

/// What was scanned must be what was digested, or the passport would speak of other bytes than it names.
fn same_bytes(artifact: &Artifact, report: &Report) -> Result<(), Failure> {
    let scanned: BTreeSet<_> = report.files.iter().filter_map(|file| file.sha256).collect();
    match artifact.files.iter().find(|file| !scanned.contains(&file.sha256)) {
        None => Ok(()),
        Some(file) => Err(Failure::new(format!(
            "{} changed while it was read, or could not be scanned; nothing was signed",
            show::printable(&file.path)
        ))),
    }
}

fn summary(report: &Report) -> ScanSummary {
    ScanSummary {
        scanner: concat!("ostrom ", env!("CARGO_PKG_VERSION")).to_owned(),
        rules: rules_digest(),
        everything_examined: report.undecided().next().is_none()
            && report.files.iter().all(|file| file.unkept == 0),
        findings: report.counts(),
    }
}

/// The signature beside the model, checked if a key for it was given.
fn signatures(options: &PassportOptions) -> Result<Vec<SignatureSeen>, Failure> {
    let place = default_signature(&options.path);
    if !place.exists() {
        return match &options.key {
            Some(_) => Err(Failure::new(format!("--key was given, but there is no {}", place.display()))),
            None => Ok(Vec::new()),
        };
    }
    let file = place.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let kind = "model-signing".to_owned();
    let Some(key) = &options.key else {
        return Ok(vec![SignatureSeen { file, kind, signer: "not checked".to_owned(), verified: false }]);
    };
    let trust = Trust::Key(EcPublicKey::load(key)?);
    let settings = oms::VerifyOptions::default();
    let bundle = read_signature(&place)?;
    let verified = oms::verify(&options.path, Some(&place), &bundle, &trust, &settings, &|_| ())?;
    Ok(vec![SignatureSeen { file, kind, signer: signer(&verified.signer), verified: true }])
}

fn table(passport: &Passport, ignored: &[String]) {
    println!("{}  sha256:{}", show::printable(&passport.name), passport.digest);
    let bytes = passport.files.iter().map(|file| file.size).sum();
    println!("files     {}, {}", passport.files.len(), indicatif::HumanBytes(bytes));
    for licence in &passport.licences {
        println!("licence   {}  (claimed in {})", licence.name, licence.source);
    }
    for parent in &passport.claimed_parents {
        println!("parent    {}  (claimed in {})", parent.name, parent.source);
    }
    for parent in &passport.recorded_parents {
        let known = if parent.trusted { "" } else { ", by a key that is not trusted" };
        println!(
            "parent    {} {}  ({}{known})",
            parent.relation.phrase(),
            parent.name,
            parent.basis.describe()
        );
    }
    for set in &passport.data_sets {
        println!("data set  {}  (claimed in {})", set.name, set.source);
    }
    if let Some(scan) = &passport.scan {
        let counts: Vec<String> =
            scan.findings.iter().rev().map(|(severity, count)| format!("{count} {severity}")).collect();
        let found = if counts.is_empty() { "no findings".to_owned() } else { counts.join(", ") };
        let all =
            if scan.everything_examined { "everything examined" } else { "NOT everything could be decided" };
        println!("scan      {found}; {all}");
    }
    for signature in &passport.signatures {
        let state = if signature.verified { "holds" } else { "not checked: give --key" };
        println!("signature {}: {state}", signature.file);
    }
    if !ignored.is_empty() {
        println!("left out  {}", ignored.join(", "));
    }
}

fn check(options: &PassportOptions, place: &Path) -> Result<ExitCode, Failure> {
    let mut bytes = Vec::new();
    let file = File::open(place).map_err(io(format_args!("passport {}", place.display())))?;
    file.take(MAX_PASSPORT).read_to_end(&mut bytes).map_err(io(place.display()))?;
    let envelope = Envelope::from_slice(&bytes)?;
    let keys = trusted(&options.trust)?;
    let Some(signed) = keys.iter().find_map(|key| envelope.verify(key).ok()) else {
        return Err(Failure::new(format!(
            "{}: not signed by a key that is trusted here; give it with --trust KEY, or put it into {}",
            place.display(),
            crate::paths::trusted_keys()?.display()
        )));
    };
    let passport = Passport::from_statement(&signed.statement)?;
    let found = verify(&passport, &options.path)?;
    let differences: Vec<String> = found.differences.iter().map(ToString::to_string).collect();
    let records = Records::load(&options.trust)?;
    let standing = if records.is_empty() || !differences.is_empty() {
        Standing::Clear
    } else {
        records.standing(&Artifact::read(&options.path)?.digests())
    };
    if options.json {
        let holds = differences.is_empty() && standing == Standing::Clear && records.problems.is_empty();
        show::json(&json!({"holds": holds, "signer": signed.signer.to_string(), "digest": passport.digest,
                           "differences": differences, "takenOnTrust": found.taken_on_trust,
                           "revocation": standing_json(&standing), "unusableRecords": records.problems}))?;
    } else {
        table(&passport, &[]);
        println!("signed    by {}", signed.signer.short());
        println!(
            "{}",
            show::wrapped(&format!("on the signer's word: {}", found.taken_on_trust.join(", ")), "")
        );
    }
    if differences.is_empty() {
        refuse_unless_clear(&records, &standing, "the passport holds")?;
        if !options.json {
            println!(
                "holds: everything that can be derived again is as the passport says, and nothing on record is revoked"
            );
        }
        return Ok(ExitCode::SUCCESS);
    }
    Err(Failure::new(format!("the files are not what the passport says:\n  {}", differences.join("\n  "))))
}
