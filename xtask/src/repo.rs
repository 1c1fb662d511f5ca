//! The repository: where it is, what is in it, and how commands run in it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// The repository's root.
pub fn root() -> PathBuf {
    // Cargo sets the variable when it runs the program; the path from compile time is for programs run otherwise.
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    manifest.parent().map_or(manifest.clone(), Path::to_owned)
}

/// A command in the repository's root that reads nothing from the terminal.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root()).stdin(Stdio::null());
    command
}

/// `cargo`, the one that runs this program.
pub fn cargo() -> Command {
    command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Cargo's target folder.
///
/// # Errors
/// If cargo does not say where it is.
pub fn target() -> Result<PathBuf, String> {
    let metadata = metadata()?;
    let target = metadata.get("target_directory").and_then(Value::as_str);
    target.map(PathBuf::from).ok_or_else(|| "there is no target directory".to_owned())
}

/// Whether a command starts and succeeds; it prints nothing.
pub fn works(mut command: Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Runs a command whose output people see.
///
/// # Errors
/// If it cannot start, or ends with another status than 0.
pub fn run(mut command: Command) -> Result<(), String> {
    let shown = show(&command);
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{shown}` failed ({status})")),
        Err(error) => Err(format!("`{shown}` did not start: {error}")),
    }
}

/// Runs a command and returns what it printed on standard output.
///
/// # Errors
/// If it cannot start, fails, or prints something else than UTF-8.
pub fn output(mut command: Command) -> Result<String, String> {
    let shown = show(&command);
    let output = command.output().map_err(|error| format!("`{shown}` did not start: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("`{shown}` failed ({}): {}", output.status, said.trim()));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("`{shown}` printed something that is no text"))
}

fn show(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// What Cargo knows of the workspace, without the packages of others: it asks no network.
///
/// # Errors
/// If Cargo fails.
pub fn metadata() -> Result<Value, String> {
    let mut command = cargo();
    command.args(["metadata", "--no-deps", "--format-version", "1"]);
    serde_json::from_str(&output(command)?).map_err(|error| format!("cargo metadata: {error}"))
}

/// The files that are tracked or would be: everything that Git does not ignore, relative to the root.
///
/// # Errors
/// If Git fails.
pub fn files(root: &Path) -> Result<Vec<String>, String> {
    let mut command = command("git");
    command.current_dir(root).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let listed = output(command)?;
    let mut files: Vec<String> = listed
        .split('\0')
        .filter(|name| !name.is_empty() && root.join(name).is_file())
        .map(str::to_owned)
        .collect();
    files.sort_unstable();
    files.dedup();
    Ok(files)
}
