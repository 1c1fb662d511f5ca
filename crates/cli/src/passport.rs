//! `ostrom passport`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ostrom_scan::lineage::{Artifact, Claims};
use ostrom_scan::passport::{
    FILE_NAME, Inputs, Passport, ScanSummary, SignatureSeen, cyclonedx, not_covered, verify,
};
use ostrom_scan::revocation::Standing;
use ostrom_scan::{Options, Report, rules_digest, scan};
use ostrom_trust::oms::{self, EcPublicKey, Trust};
use ostrom_trust::{Envelope, PublicKey};
use serde_json::{Value, json};

use crate::args::PassportOptions;
use crate::eval::{now, signing_key};
use crate::fail::{Failure, io};
use crate::records::{Records, against, refuse_unless_clear, standing_json, trusted};
use crate::show;
use crate::sign::{default_signature, read_signature, replace, signer};

/// The largest passport that is read, in bytes.
const MAX_PASSPORT: u64 = 256 << 20;
/// What kind of signature lies beside a model.
const MODEL_SIGNING: &str = "model-signing";

/// Runs the command.
pub fn run(options: &PassportOptions) -> Result<ExitCode, Failure> {
    let out = options.out.clone().map_or_else(|| default_place(&options.path, options.verify), Ok)?;
    if options.verify { check(options, &out) } else { make(options, &out) }
}

/// Where a passport lies if nobody says: beside the model, since in a folder that is signed already it would be a file that nobody
/// signed. `existing` ones may have come with a folder, in it.
fn default_place(model: &Path, existing: bool) -> Result<PathBuf, Failure> {
    // `.` and `..` have no name of their own.
    let named = match model.file_name() {
        Some(_) => model.to_owned(),
        None => model.canonicalize().map_err(io(model.display()))?,
    };
    let Some(name) = named.file_name() else {
        return Err(Failure::new(format!(
            "{} has no name: say with --out where the passport is",
            model.display()
        )));
    };
    let mut name = name.to_owned();
    name.push(".passport.json");
    let beside = named.with_file_name(name);
    let within = model.join(FILE_NAME);
    Ok(if existing && !beside.exists() && within.is_file() { within } else { beside })
}

/// Warns if the passport lies in a folder that is signed: its signature does not have that file.
fn warn_if_signed(model: &Path, out: &Path) {
    let full = |path: &Path| path.canonicalize().ok();
    let within = full(model).zip(full(out)).is_some_and(|(model, out)| out.starts_with(model));
    if model.is_dir() && within && default_signature(model).exists() {
        eprintln!(
            "warning: {} lies in a folder that is signed already: `ostrom verify` will refuse it. Sign again, or write it elsewhere",
            out.display()
        );
    }
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
    // Nobody takes a revoked model for a sound one because it has a passport. Records that could not be read are told below.
    let standing = records.standing_at(&options.path, &artifact)?;
    if standing != Standing::Clear
        && let Some(against) = against(&records, &standing)
    {
        return Err(Failure::new(format!("no passport was made: {against}")));
    }
    let formats: BTreeMap<String, Vec<String>> =
        report.files.iter().map(|file| (file.path.clone(), file.formats.clone())).collect();
    let inputs = Inputs {
        formats,
        scan: Some(summary(&report)),
        signatures: signatures(options, &artifact)?,
        tool: concat!("ostrom ", env!("CARGO_PKG_VERSION")).to_owned(),
        created_unix: now(),
    };
    let passport = Passport::new(&artifact, claims, &records.graph, inputs);
    let key = signing_key(options.sign_key.as_deref())?;
    let envelope = Envelope::sign(&passport.to_statement()?, &key)?;
    replace(out, &envelope.to_json()?)?;
    warn_if_signed(&options.path, out);
    if let Some(bom) = &options.cyclonedx {
        let text = serde_json::to_vec_pretty(&cyclonedx(&passport)?)
            .map_err(|error| Failure::new(error.to_string()))?;
        replace(bom, &text)?;
        warn_if_signed(&options.path, bom);
    }
    if options.json {
        show::json(&json!({"passport": out, "digest": passport.digest, "files": passport.files.len(),
                           "ignored": artifact.ignored, "signatures": passport.signatures,
                           "signer": key.public().id().to_string(), "cyclonedx": options.cyclonedx}))?;
    } else {
        table(&passport, &artifact.ignored, "holds");
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
fn signatures(options: &PassportOptions, artifact: &Artifact) -> Result<Vec<SignatureSeen>, Failure> {
    let place = default_signature(&options.path);
    if let Some(key) = &options.key {
        return Ok(vec![check_signature(&options.path, &place, key, artifact)?]);
    }
    if !place.exists() {
        return Ok(Vec::new());
    }
    Ok(vec![SignatureSeen {
        file: file_name(&place),
        kind: MODEL_SIGNING.to_owned(),
        signer: "not checked".to_owned(),
        verified: false,
        not_covered: Vec::new(),
    }])
}

/// Checks the signature beside a model with a key.
fn check_signature(
    model: &Path,
    place: &Path,
    key: &Path,
    artifact: &Artifact,
) -> Result<SignatureSeen, Failure> {
    if !place.exists() {
        return Err(Failure::new(format!("--key was given, but there is no {}", place.display())));
    }
    let trust = Trust::Key(EcPublicKey::load(key)?);
    // Of a passport that was written into the folder after the signature: that one file need not be signed.
    let settings = oms::VerifyOptions { ignore_unsigned: true, ..oms::VerifyOptions::default() };
    let bundle = read_signature(place)?;
    let verified = oms::verify(model, Some(place), &bundle, &trust, &settings, &|_| ())?;
    let extra = verified.unsigned.iter().filter(|path| *path != FILE_NAME);
    let mut not_signed: Vec<String> = extra.map(|path| format!("extra: {}", one_line(path))).collect();
    not_signed.extend(verified.unexamined.iter().map(ToString::to_string));
    if !not_signed.is_empty() {
        return Err(Failure::new(format!(
            "signature {}: the folder is not what was signed:\n  {}",
            place.display(),
            not_signed.join("\n  ")
        )));
    }
    Ok(SignatureSeen {
        file: file_name(place),
        kind: MODEL_SIGNING.to_owned(),
        signer: signer(&verified.signer),
        verified: true,
        not_covered: not_covered(artifact, verified.files.iter().map(|file| file.path.as_str())),
    })
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

/// A name that cannot be taken for several lines.
fn one_line(name: &str) -> String {
    name.chars().flat_map(char::escape_debug).collect()
}

/// `verified` says what a signature that was checked for the passport means to who reads this.
fn table(passport: &Passport, ignored: &[String], verified: &str) {
    println!("{}  sha256:{}", show::one_line(&passport.name), passport.digest);
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
        println!("signature {}: {}", one_line(&signature.file), state(signature, verified));
    }
    if !ignored.is_empty() {
        println!("left out  {} (no part of the artifact; anything may be in it)", ignored.join(", "));
    }
}

/// What is known of a signature; `verified` if it was checked.
fn state(signature: &SignatureSeen, verified: &str) -> String {
    if !signature.verified {
        return "not checked when the passport was made: give --key".to_owned();
    }
    let missing: Vec<String> = signature.not_covered.iter().take(8).map(|path| one_line(path)).collect();
    match signature.not_covered.len().saturating_sub(missing.len()) {
        0 if missing.is_empty() => verified.to_owned(),
        0 => format!("{verified}, but does not cover {}", missing.join(", ")),
        more => format!("{verified}, but does not cover {} and {more} more", missing.join(", ")),
    }
}

fn check(options: &PassportOptions, place: &Path) -> Result<ExitCode, Failure> {
    let mut bytes = Vec::new();
    let file = File::open(place).map_err(io(format_args!("passport {}", place.display())))?;
    file.take(MAX_PASSPORT).read_to_end(&mut bytes).map_err(io(place.display()))?;
    let envelope = Envelope::from_slice(&bytes)?;
    let keys = trusted(&options.trust)?;
    let Some(signed) = keys.iter().find_map(|key| envelope.verify(key).ok()) else {
        if let Some(key) = keys.iter().map(PublicKey::id).find(|key| envelope.names(key)) {
            return Err(Failure::new(format!(
                "{}: the signature does not hold: the passport names the trusted key {} as its signer, and was changed after it signed",
                place.display(),
                key.short()
            )));
        }
        return Err(Failure::new(format!(
            "{}: not signed by a key that is trusted here; give it with --trust KEY, or put it into {}",
            place.display(),
            crate::paths::trusted_keys()?.display()
        )));
    };
    let passport = Passport::from_statement(&signed.statement)?;
    let found = verify(&passport, &options.path)?;
    let artifact = &found.artifact;
    let signature = options
        .key
        .as_ref()
        .map(|key| check_signature(&options.path, &default_signature(&options.path), key, artifact));
    let mut wrong: Vec<String> = found.differences.iter().map(ToString::to_string).collect();
    let records = Records::load(&options.trust)?;
    let standing = records.standing_at(&options.path, artifact)?;
    if options.json {
        let unsigned = signature.as_ref().is_some_and(Result::is_err);
        let clear = standing == Standing::Clear && records.problems.is_empty();
        show::json(
            &json!({"holds": wrong.is_empty() && !unsigned && clear, "signer": signed.signer.to_string(),
                           "digest": passport.digest, "differences": wrong, "ignored": artifact.ignored,
                           "takenOnTrust": found.taken_on_trust, "signature": signature.as_ref().map(signature_json),
                           "revocation": standing_json(&standing), "unusableRecords": records.problems}),
        )?;
    } else {
        table(&passport, &artifact.ignored, "held when the passport was made, says its signer");
        println!("signed    by {}", signed.signer.short());
        if let Some(Ok(seen)) = &signature {
            println!("signature {}: {}, checked now: {}", seen.file, state(seen, "holds"), seen.signer);
        }
        println!(
            "{}",
            show::wrapped(&format!("on the signer's word: {}", found.taken_on_trust.join(", ")), "")
        );
    }
    wrong.extend(signature.and_then(Result::err).map(|failure| failure.to_string()));
    if !wrong.is_empty() {
        return Err(Failure::new(format!("the passport does not hold:\n  {}", wrong.join("\n  "))));
    }
    refuse_unless_clear(&records, &standing, "the passport holds")?;
    if !options.json {
        println!(
            "holds: everything that can be derived again is as the passport says, and nothing on record is revoked"
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn signature_json(signature: &Result<SignatureSeen, Failure>) -> Value {
    match signature {
        Ok(seen) => {
            json!({"holds": true, "file": seen.file, "signer": seen.signer, "notCovered": seen.not_covered})
        }
        Err(failure) => json!({"holds": false, "error": failure.to_string()}),
    }
}
