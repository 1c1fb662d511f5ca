//! `ostrom sign`, `ostrom verify` and `ostrom key`.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use ostrom_scan::lineage::Artifact;
use ostrom_scan::passport::FILE_NAME;
use ostrom_scan::revocation::Standing;
use ostrom_trust::oms::{
    self, CertificateTime, CertificateTrust, Curve, EcKeyError, EcPublicKey, EcSecretKey, FastCache,
    HashAlgorithm, Method, OmsError, Progress, SignedBy, Signer, SigstoreTrust, Trust, TrustedRoot,
    UNFINISHED, Verified,
};
use ostrom_trust::{KeyError, Passphrase, PublicKey, SecretKey};
use serde_json::json;

use crate::args::{CurveName, KeyCommand, SignOptions, VerifyModelOptions};
use crate::eval::{signing_key, unlocked};
use crate::fail::{Failure, io};
use crate::records::{Records, against, refuse_unless_clear, standing_json};
use crate::{paths, show};

/// The largest signature that is read, in bytes.
const MAX_SIGNATURE: u64 = 256 << 20;

/// `ostrom key`.
pub fn key(command: &KeyCommand) -> Result<ExitCode, Failure> {
    match command {
        KeyCommand::New { file, curve, passphrase_env, json } => {
            new_key(file, *curve, passphrase_env.as_deref(), *json)
        }
        KeyCommand::Public { file, json } => public_key(file.as_deref(), *json),
    }
}

/// What the curve of the keys is called that sign records, passports and results.
const ED25519: &str = "Ed25519";

fn new_key(
    file: &Path,
    curve: CurveName,
    passphrase_env: Option<&str>,
    json: bool,
) -> Result<ExitCode, Failure> {
    let public = file.with_extension("pub.pem");
    if public.exists() {
        return Err(Failure::new(format!("{} exists; keys are never overwritten", public.display())));
    }
    let curve = match curve {
        CurveName::P256 => Some(Curve::P256),
        CurveName::P384 => Some(Curve::P384),
        CurveName::P521 => Some(Curve::P521),
        CurveName::Ed25519 => None,
    };
    let (pem, curve, id) = match curve {
        Some(curve) => {
            let key = EcSecretKey::generate(curve)?;
            key.save(file, passphrase(passphrase_env)?.as_ref())?;
            (key.public().to_pem(), curve.to_string(), key.public().id())
        }
        None => {
            let key = SecretKey::generate()?;
            match passphrase(passphrase_env)? {
                Some(passphrase) => key.save_encrypted(file, &passphrase)?,
                None => key.save(file)?,
            }
            (key.public().to_pem()?, ED25519.to_owned(), key.public().id().to_string())
        }
    };
    replace(&public, pem.as_bytes())?;
    if json {
        show::json(&json!({"secret": file, "public": public, "curve": curve, "key": id}))?;
    } else {
        println!("secret  {}\npublic  {}\n{curve} key {id}", file.display(), public.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints the public half of a key, by default of the one that signs records, passports and results.
fn public_key(file: Option<&Path>, json: bool) -> Result<ExitCode, Failure> {
    let key = match file {
        Some(file) => match PublicKey::load(file) {
            Err(KeyError::Encrypted { .. }) => unlocked(file)?.public(),
            loaded => loaded?,
        },
        None => signing_key(None)?.public(),
    };
    let pem = key.to_pem()?;
    if json {
        show::json(&json!({"pem": pem, "curve": ED25519, "key": key.id().to_string()}))?;
    } else {
        show::text_out(format_args!("{pem}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn passphrase(variable: Option<&str>) -> Result<Option<Passphrase>, Failure> {
    let Some(variable) = variable else { return Ok(None) };
    match std::env::var(variable) {
        Ok(text) if !text.is_empty() => Ok(Some(Passphrase::new(text))),
        _ => Err(Failure::new(format!("the environment variable {variable} is not set, or empty"))),
    }
}

/// Where a signature lies if nobody says: in the folder, or beside the file.
pub fn default_signature(model: &Path) -> PathBuf {
    if model.is_dir() {
        return model.join("model.sig");
    }
    let mut name = model.as_os_str().to_owned();
    name.push(".sig");
    PathBuf::from(name)
}

/// `ostrom sign`.
pub fn sign(options: &SignOptions) -> Result<ExitCode, Failure> {
    all_there_to_ignore(&options.path, &options.ignore)?;
    let key = EcSecretKey::load(&options.key, passphrase(options.passphrase_env.as_deref())?.as_ref());
    let key = key.map_err(|error| match error {
        EcKeyError::PassphraseNeeded => Failure::new(format!(
            "{}: {error}: put it into an environment variable and name that with --passphrase-env",
            options.key.display()
        )),
        other => other.into(),
    })?;
    let signer = match &options.certificate {
        None => Signer::key(key),
        Some(certificate) => {
            let read = |path: &PathBuf| fs::read_to_string(path).map_err(io(path.display()));
            let chain = options.chain.iter().map(read).collect::<Result<Vec<_>, _>>()?;
            let signer = Signer::certificate(key, &read(certificate)?, chain.iter().map(String::as_str))?;
            // Verifiers look at the time of day unless they are told not to, and `sign` has no other to offer.
            signer.check_time(std::time::SystemTime::now())?;
            signer
        }
    };
    let settings = oms::SignOptions {
        hash: options.hash,
        method: options.shards.map_or(Method::Files, Method::Shards),
        allow_symlinks: options.allow_symlinks,
        ignore: options.ignore.clone(),
        ..oms::SignOptions::default()
    };
    let out = options.out.clone().unwrap_or_else(|| default_signature(&options.path));
    let bar = Bar::new("signing");
    let signed = oms::sign(&options.path, Some(&out), &signer, &settings, &|progress| bar.set(progress));
    bar.clear();
    let signed = signed?;
    replace(&out, &signed.bundle)?;
    if options.json {
        show::json(
            &json!({"signature": out, "root": signed.root, "files": signed.files, "bytes": signed.bytes,
                           "ignored": signed.ignored, "uncovered": signed.uncovered, "key": signer.public().id()}),
        )?;
    } else {
        println!("signed  {}, {}", show::count(signed.files, "file"), indicatif::HumanBytes(signed.bytes));
        list("left out", &signed.ignored);
        list("empty, not covered by shards", &signed.uncovered);
        println!("root    sha256:{}\nwrote   {}", signed.root, out.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Refuses names to leave out that name nothing: the file that somebody meant would be signed.
fn all_there_to_ignore(model: &Path, names: &[String]) -> Result<(), Failure> {
    match names.iter().find(|name| fs::symlink_metadata(model.join(name)).is_err()) {
        None => Ok(()),
        Some(name) => Err(Failure::new(format!(
            "--ignore {name}: there is no such path in {}; paths are relative to the model",
            model.display()
        ))),
    }
}

/// `ostrom verify`.
pub fn verify(options: &VerifyModelOptions) -> Result<ExitCode, Failure> {
    let signature = options.signature.clone().unwrap_or_else(|| default_signature(&options.path));
    let bundle = read_signature(&signature)?;
    let settings = oms::VerifyOptions {
        allow_symlinks: options.allow_symlinks,
        ignore: options.ignore.clone(),
        ignore_unsigned: options.ignore_unsigned,
        threads: 0,
    };
    let trust = trust(options)?;
    let bar = Bar::new("verifying");
    let on_progress = |progress: Progress| bar.set(progress);
    let verified = if options.fast {
        let mut cache = FastCache::open(&paths::fast_cache()?)?;
        oms::verify_fast(
            &options.path,
            Some(&signature),
            &bundle,
            &trust,
            &settings,
            &mut cache,
            &on_progress,
        )
    } else {
        oms::verify(&options.path, Some(&signature), &bundle, &trust, &settings, &on_progress)
    };
    bar.clear();
    if let Err(warning) = all_there_to_ignore(&options.path, &options.ignore) {
        eprintln!("warning: {warning}");
    }
    let verified = match verified {
        Ok(verified) => verified,
        Err(error) => return refuse(options, &error),
    };
    let records = Records::load(&options.trust)?;
    let standing = standing(options, &records, Some(&verified))?;
    let clear = standing == Standing::Clear && records.problems.is_empty();
    if options.json {
        let files: Vec<_> = verified
            .files
            .iter()
            .map(|file| json!({"path": file.path, "size": file.len, "digest": file.digest}))
            .collect();
        show::json(&json!({
            "holds": clear, "signer": signer(&verified.signer), "root": verified.root, "hash": verified.hash.to_string(),
            "files": files, "ignored": verified.ignored, "uncovered": verified.uncovered,
            "unsigned": verified.unsigned,
            "unexamined": verified.unexamined.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "fast": verified.fast.map(|fast| json!({"byBlake3": fast.by_blake3, "inFull": fast.in_full})),
            "revocation": standing_json(&standing), "unusableRecords": records.problems,
        }))?;
    } else {
        table(&verified);
    }
    refuse_unless_clear(&records, &standing, "the signature holds")?;
    if !options.json {
        println!("holds: every file is what was signed, and nothing on record is revoked");
    }
    Ok(ExitCode::SUCCESS)
}

/// What is on record against the model, and against anything that lies in its folder.
fn standing(
    options: &VerifyModelOptions,
    records: &Records,
    verified: Option<&Verified>,
) -> Result<Standing, Failure> {
    if records.is_empty() {
        return Ok(Standing::Clear);
    }
    let artifact = Artifact::read(&options.path)?;
    let mut digests = artifact.digests();
    // What is no part of the artifact by its name (`model.sig`, `.git`) is there all the same, signed or not.
    digests.extend(artifact.digests_beside(&options.path)?);
    digests.extend(verified.into_iter().flat_map(signed_sha256));
    Ok(records.standing(&digests))
}

/// Says why a model does not verify, and what is on record against it all the same: who revoked it matters more than which file
/// differs.
fn refuse(options: &VerifyModelOptions, error: &OmsError) -> Result<ExitCode, Failure> {
    let mut why = error.to_string();
    let differences = if let OmsError::Differs(differences) = error { Some(differences) } else { None };
    if differences.is_some_and(|differences| differences.extra.iter().any(|name| name == FILE_NAME)) {
        why.push_str(&format!(
            "\n{FILE_NAME} was made after signing: write it elsewhere (`ostrom passport` does, or --out), or --ignore it"
        ));
    }
    let looked_up = Records::load(&options.trust)
        .and_then(|records| standing(options, &records, None).map(|standing| (records, standing)));
    let against = match &looked_up {
        Ok((records, standing)) => against(records, standing),
        Err(failure) => Some(format!("revocations could not be looked up: {failure}")),
    };
    if options.json {
        let differences = differences.map(|differences| {
            let changed = differences.changed.iter().map(|changed| &changed.path).collect::<Vec<_>>();
            let unexamined = differences.unexamined.iter().map(ToString::to_string).collect::<Vec<_>>();
            json!({"extra": differences.extra, "missing": differences.missing, "changed": changed,
                   "unexamined": unexamined})
        });
        let looked_up = looked_up.as_ref().ok();
        show::json(&json!({
            "holds": false, "error": why, "differences": differences,
            "revocation": looked_up.map(|(_, standing)| standing_json(standing)),
            "unusableRecords": looked_up.map(|(records, _)| &records.problems),
        }))?;
    }
    if let Some(against) = against {
        why.push_str(&format!("\nand {against}"));
    }
    Err(Failure::new(why))
}

/// The SHA-256 digests of signed files, where the signature has them.
fn signed_sha256(verified: &Verified) -> impl Iterator<Item = ostrom_core::Digest> {
    let files = verified.files.iter().filter(|_| verified.hash == HashAlgorithm::Sha256);
    files.filter_map(|file| file.digest.as_deref()?.parse().ok())
}

/// Whom to trust. Nothing that the user asked for is passed over: what does not go together is an error here too, whatever the
/// arguments' reader let through.
fn trust(options: &VerifyModelOptions) -> Result<Trust, Failure> {
    match (&options.key, options.root.as_slice(), &options.trusted_root, &options.identity, &options.issuer) {
        (Some(key), [], None, None, None) => Ok(Trust::Key(EcPublicKey::load(key)?)),
        (None, [], Some(root), Some(identity), Some(issuer)) => {
            Ok(Trust::Sigstore(Box::new(SigstoreTrust {
                root: TrustedRoot::load(root)?,
                identity: identity.clone(),
                issuer: issuer.clone(),
            })))
        }
        (None, roots @ [_, ..], None, None, None) => {
            Ok(Trust::Certificates(CertificateTrust::load(roots, certificate_time(&options.at)?)?))
        }
        _ => Err(Failure::new(
            "trust one of: --key; --root; --trusted-root with --identity and --issuer. The last two go with no other",
        )),
    }
}

fn certificate_time(text: &str) -> Result<CertificateTime, Failure> {
    match text {
        "now" => Ok(CertificateTime::Now),
        "issued" => Ok(CertificateTime::Issued),
        seconds => seconds
            .parse()
            .map(CertificateTime::At)
            .map_err(|_| Failure::new(format!("--at {seconds}: use now, issued, or seconds since 1970"))),
    }
}

/// Who signed, in one line without anything that could forge another.
pub fn signer(signer: &SignedBy) -> String {
    let plain = |text: &str| text.chars().flat_map(char::escape_debug).take(200).collect::<String>();
    match signer {
        SignedBy::Key { id, curve } => format!("{curve} key {id}"),
        SignedBy::Certificate { subject, fingerprint, .. } => {
            format!("certificate of {} (sha256:{fingerprint})", plain(subject))
        }
        SignedBy::Sigstore(signer) => {
            format!(
                "{} as {} attests, log entry {}",
                plain(&signer.identity),
                plain(&signer.issuer),
                signer.log_index
            )
        }
    }
}

fn table(verified: &Verified) {
    println!("signer  {}", signer(&verified.signer));
    println!(
        "files   {}, {}, {}",
        verified.files.len(),
        indicatif::HumanBytes(verified.bytes),
        verified.hash
    );
    println!("root    sha256:{}", verified.root);
    list("left out by the signer or by you", &verified.ignored);
    list("empty, not covered by shards", &verified.uncovered);
    list("not signed, accepted by --ignore-unsigned", &verified.unsigned);
    for problem in &verified.unexamined {
        println!("not examined: {problem}");
    }
    if let Some(fast) = verified.fast {
        println!(
            "fast    {} compared by BLAKE3 with an earlier result, {} in full",
            fast.by_blake3, fast.in_full
        );
    }
    if let SignedBy::Sigstore(signer) = &verified.signer {
        for what in &signer.not_checked {
            println!("not checked: {what}");
        }
    }
}

fn list(what: &str, names: &[String]) {
    if !names.is_empty() {
        let shown: Vec<String> =
            names.iter().take(8).map(|name| name.chars().flat_map(char::escape_debug).collect()).collect();
        let more = if names.len() > 8 { format!(" and {} more", names.len() - 8) } else { String::new() };
        println!("{what}: {}{more}", shown.join(", "));
    }
}

/// Reads a signature file, bounded.
pub fn read_signature(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(io(format_args!("signature {}", path.display())))?;
    file.take(MAX_SIGNATURE + 1).read_to_end(&mut bytes).map_err(io(path.display()))?;
    if bytes.len() as u64 > MAX_SIGNATURE {
        return Err(Failure::new(format!("{} is larger than any signature", path.display())));
    }
    Ok(bytes)
}

/// Writes a file wholly or not at all.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // What a kill leaves behind has a name that `sign` knows and refuses.
    let file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(folder);
    let mut file = file.map_err(io(folder.display()))?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(io(path.display()))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        file.as_file().set_permissions(fs::Permissions::from_mode(0o644)).map_err(io(path.display()))?;
    }
    file.persist(path).map_err(|error| Failure::new(format!("{}: {}", path.display(), error.error)))?;
    Ok(())
}

/// A bar over bytes, on standard error.
struct Bar(ProgressBar);

impl Bar {
    fn new(what: &'static str) -> Self {
        let bar = ProgressBar::new(0).with_prefix(what);
        let style = "{prefix} {wide_bar:.dim} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(250));
        Self(bar)
    }

    fn set(&self, progress: Progress) {
        self.0.set_length(progress.total);
        self.0.set_position(progress.done);
    }

    fn clear(&self) {
        self.0.finish_and_clear();
    }
}
