//! What `npx` and its like would run, where it is installed already.
//!
//! A launcher looks in places that a sandbox does not show it, and then asks a registry that it cannot reach. So the guard looks
//! where `npx` looks first, and starts what lies there by its path.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::policy::{Fetched, Registry, Wanted, npm_name};

/// The longest `package.json` that is read.
const MANIFEST: u64 = 1 << 20;

/// Where packages for everybody are, beside the folder of `npx`.
const GLOBAL: [&str; 2] = ["/usr/local/lib/node_modules", "/usr/lib/node_modules"];

/// The command that `command` comes down to, if `fetched`, which it asks for, is an npm package that is installed in `folder` or for
/// everybody (`search` is `PATH`). One that names a version comes down to this very version, or to nothing.
pub(super) fn installed(
    command: &[String],
    fetched: &Fetched<'_>,
    folder: &Path,
    search: &OsStr,
) -> Option<Vec<String>> {
    // Other launchers take a package from elsewhere, or arguments in another way.
    let wanted = fetched.wanted.as_ref().filter(|_| fetched.launcher == "npx")?;
    let beside = std::env::split_paths(search)
        .filter(|bin| bin.join("npx").exists())
        .filter_map(|bin| Some(bin.parent()?.join("lib/node_modules")));
    let places = std::iter::once(folder.join("node_modules")).chain(beside).chain(GLOBAL.map(PathBuf::from));
    let program = places.filter(|place| place.is_absolute()).find_map(|place| program(&place, wanted))?;
    let arguments = command.len().checked_sub(wanted.arguments)?;
    let arguments = command.get(arguments..)?.iter().cloned();
    Some(std::iter::once(program.into_os_string().into_string().ok()?).chain(arguments).collect())
}

/// The file to run of a package in `modules`, a folder `node_modules`.
fn program(modules: &Path, wanted: &Wanted<'_>) -> Option<PathBuf> {
    let name = npm_name(wanted.package);
    // Anything else is a path or a URL.
    let plain = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains(['/', '\\', ':']);
    let is_name = match name.strip_prefix('@') {
        Some(scoped) => scoped.split_once('/').is_some_and(|(scope, name)| plain(scope) && plain(name)),
        None => plain(name),
    };
    let package = modules.join(name).canonicalize().ok().filter(|_| is_name)?;
    let mut text = String::new();
    File::open(package.join("package.json")).ok()?.take(MANIFEST).read_to_string(&mut text).ok()?;
    let manifest: Value = serde_json::from_str(&text).ok()?;
    let version = wanted.package.get(name.len()..)?.strip_prefix('@');
    if manifest.get("name")?.as_str() != Some(name)
        || version.is_some_and(|version| manifest.get("version").and_then(Value::as_str) != Some(version))
    {
        return None;
    }
    let own = name.rsplit('/').next()?;
    let file = match manifest.get("bin")? {
        Value::String(file) if wanted.program.is_none_or(|program| program == own) => file,
        Value::Object(files) => match wanted.program {
            Some(program) => files.get(program)?.as_str()?,
            None if files.len() == 1 => files.values().next()?.as_str()?,
            None => files.get(own)?.as_str()?,
        },
        _ => return None,
    };
    let file = package.join(file).canonicalize().ok()?;
    let mode = std::os::unix::fs::PermissionsExt::mode(&file.metadata().ok()?.permissions());
    // A package speaks for its own files only.
    (file.starts_with(&package) && file.is_file() && mode & 0o111 != 0).then_some(file)
}

/// What to do where it is not installed.
pub(super) fn instead(command: &[String], fetched: &Fetched<'_>, known: Option<&str>) -> String {
    let Fetched { launcher, registry, wanted } = fetched;
    let Some(Wanted { package, program, arguments }) = wanted else {
        return format!(
            "{launcher} gets what it runs from the network when it starts, which a sandbox does not let it do: install the server, and wrap \
             the program that was installed"
        );
    };
    let (install, folder, name) = match registry {
        Registry::Npm => (
            format!("npm install --prefix servers {}", word(package)),
            "servers/node_modules/.bin",
            npm_name(package),
        ),
        Registry::Pypi => (
            format!("python3 -m venv servers && servers/bin/pip install {}", word(package)),
            "servers/bin",
            package.split(['=', '@', '<', '>', '~', '[']).next().unwrap_or(package),
        ),
    };
    let own = name.rsplit('/').next().unwrap_or(name);
    let program = program.or(known).unwrap_or(own);
    let skipped = command.len().saturating_sub(*arguments);
    let arguments: String =
        command.iter().skip(skipped).map(|argument| format!(" {}", word(argument))).collect();
    format!(
        "{launcher} gets {package} from the network when it starts, which a sandbox does not let it do, and it is not installed in this \
         folder or for everybody. Install it, and wrap what was installed:\n  {install}\n  ostrom guard wrap -- {folder}/{}{arguments}",
        word(program)
    )
}

/// A word as a shell takes it.
fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./-_".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}
