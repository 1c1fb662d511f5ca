//! The programs that the tests need.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::repo;

/// Names of Chromium, and of browsers that take the same flags.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];

/// Looks for what the tests need, and installs missing Debian packages where it may.
///
/// # Errors
/// Everything that is missing, with the command that brings it.
pub fn check(fast: bool) -> Result<(), String> {
    if !fast {
        let mut packages = Vec::new();
        if browser().is_none() {
            packages.push("chromium");
        }
        if !driver() {
            packages.push("chromium-driver");
        }
        if !pip() {
            packages.push("python3-pip");
        }
        if !postgres() {
            packages.push("postgresql");
        }
        if !npm() {
            packages.push("npm");
        }
        if !venv() {
            packages.push("python3-venv");
        }
        if !packages.is_empty() {
            install(&packages);
        }
    }
    let mut missing = Vec::new();
    let mut needs = |present: bool, what: &str| {
        if !present {
            missing.push(format!("missing: {what}"));
        }
    };
    needs(repo::works(with("git", &["--version"])), "git (the hygiene checks list its files)");
    needs(cargo_has("fmt"), "rustfmt: rustup component add rustfmt");
    needs(cargo_has("clippy"), "clippy: rustup component add clippy");
    if !fast {
        needs(postgres(), "PostgreSQL (the store's tests run on it too): apt-get install postgresql");
        needs(
            driver(),
            "chromedriver (the node's pages are tried in a browser): apt-get install chromium-driver",
        );
        needs(pip(), "Python 3 with pip (it fetches the reference model): apt-get install python3-pip");
        if !npm() {
            println!("    no npm here: the guard will not be tried with real servers (apt-get install npm)");
        }
        if browser().is_none() {
            println!("    no Chromium here: the report will not be opened (apt-get install chromium)");
        }
    }
    if !cargo_has("nextest") {
        println!("    no cargo-nextest here: `cargo test` runs the tests");
    }
    if missing.is_empty() { Ok(()) } else { Err(missing.join("\n")) }
}

/// Whether `cargo NAME` is there.
pub fn cargo_has(name: &str) -> bool {
    let mut command = repo::cargo();
    command.args([name, "--version"]);
    repo::works(command)
}

/// A browser that runs without a screen.
pub fn browser() -> Option<&'static str> {
    BROWSERS.into_iter().find(|name| repo::works(with(name, &["--version"])))
}

/// What drives a browser in the node's tests.
pub fn driver() -> bool {
    repo::works(with("chromedriver", &["--version"]))
}

/// Debian keeps PostgreSQL's programs for servers out of the path.
fn postgres() -> bool {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().filter_map(Result::ok);
    let mut programs = versions.map(|version| version.path().join("bin/initdb"));
    programs.any(|program| program.is_file()) || repo::works(with("initdb", &["--version"]))
}

/// Whether packages of npm can be installed and run.
pub fn npm() -> bool {
    repo::works(with("npm", &["--version"])) && repo::works(with("node", &["--version"]))
}

/// Whether Python can make environments of its own: Debian has what that needs in a package of its own.
pub fn venv() -> bool {
    repo::works(with("python3", &["-c", "import venv, ensurepip"]))
}

fn pip() -> bool {
    ["python3", "python"].into_iter().any(|python| repo::works(with(python, &["-m", "pip", "--version"])))
}

fn with(program: &str, args: &[&str]) -> Command {
    let mut command = repo::command(program);
    command.args(args);
    command
}

/// Where this is Debian and we are its administrator. What cannot be installed shows as missing afterwards.
fn install(packages: &[&str]) {
    if !Path::new("/etc/debian_version").is_file() || !is_root() {
        return;
    }
    println!("    installing {}", packages.join(" "));
    for args in [&["update", "-qq"] as &[&str], &["install", "-y", "-qq", "--no-install-recommends"]] {
        let mut command = with("apt-get", args);
        command.env("DEBIAN_FRONTEND", "noninteractive");
        if args.contains(&"install") {
            command.args(packages);
        }
        if let Err(error) = repo::run(command) {
            println!("    {error}");
        }
    }
}

#[cfg(unix)]
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

#[cfg(not(unix))]
fn is_root() -> bool {
    false
}
