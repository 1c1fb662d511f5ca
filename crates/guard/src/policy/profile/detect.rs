//! Which profile fits a command line.
//!
//! Only forms whose package is certain: a launcher with an option that we do not know may run something else under a
//! familiar name, and then the facts would be about another program.

use super::{Profile, Program};

/// The profile for the program that `command` starts, if it is certainly one that we know.
#[must_use]
pub fn profile_for(command: &[String]) -> Option<&'static str> {
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    let (program, arguments) = words.split_first()?;
    let wanted = what_runs(base_name(program), arguments)?;
    Profile::all()
        .find(|(_, profile)| profile.programs.iter().any(|known| wanted.is(known)))
        .map(|(name, _)| name)
}

/// What a command line starts.
enum Started<'a> {
    Npm(&'a str),
    Pypi(String),
    Image(&'a str),
    Executable(&'a str),
}

impl Started<'_> {
    fn is(&self, known: &Program) -> bool {
        match self {
            Self::Npm(name) => known.npm.as_deref() == Some(*name),
            Self::Pypi(name) => known.pypi.as_deref() == Some(name),
            Self::Image(name) => known.image.as_deref() == Some(*name),
            Self::Executable(name) => known.executable.as_deref() == Some(*name),
        }
    }
}

/// Where a launcher gets a package that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registry {
    /// npm's, for JavaScript.
    Npm,
    /// PyPI, for Python.
    Pypi,
}

/// A command line of which the program is a launcher: it gets what it is to run from a registry.
#[derive(Debug, PartialEq, Eq)]
pub struct Fetched<'a> {
    /// The launcher's name: `npx`.
    pub launcher: &'a str,
    /// Where it looks.
    pub registry: Registry,
    /// What it is to run; `None` where it has options that we do not know.
    pub wanted: Option<Wanted<'a>>,
}

/// What a launcher is to run.
#[derive(Debug, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// The package as it is written, with its version.
    pub package: &'a str,
    /// Which of its programs; by default the one that is called like it.
    pub program: Option<&'a str>,
    /// How many words of the command line are the program's own arguments: the last ones.
    pub arguments: usize,
}

/// What `command` gets from a registry, if its program is a launcher that does so.
#[must_use]
pub fn fetched(command: &[String]) -> Option<Fetched<'_>> {
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    let (program, arguments) = words.split_first()?;
    let launcher = base_name(program);
    let (registry, rest) = launched(launcher, arguments)?;
    let wanted = match registry {
        Registry::Npm => npm(rest),
        Registry::Pypi => pypi(rest),
    };
    Some(Fetched { launcher, registry, wanted })
}

/// The registry of a launcher, and the words that say what it is to run.
fn launched<'a, 'b>(program: &str, arguments: &'b [&'a str]) -> Option<(Registry, &'b [&'a str])> {
    match (program, arguments) {
        ("npx" | "bunx" | "pnpx", rest)
        | ("pnpm" | "yarn", ["dlx", rest @ ..])
        | ("npm", ["exec", rest @ ..])
        | ("bun", ["x", rest @ ..]) => Some((Registry::Npm, rest)),
        ("uvx", rest) | ("uv", ["tool", "run", rest @ ..]) | ("pipx", ["run", rest @ ..]) => {
            Some((Registry::Pypi, rest))
        }
        _ => None,
    }
}

fn what_runs<'a>(program: &'a str, arguments: &[&'a str]) -> Option<Started<'a>> {
    match launched(program, arguments) {
        Some((Registry::Npm, rest)) => return npm(rest).map(|wanted| Started::Npm(npm_name(wanted.package))),
        Some((Registry::Pypi, rest)) => return pypi_name(pypi(rest)?.package).map(Started::Pypi),
        None => {}
    }
    match (program, arguments) {
        ("docker" | "podman", ["run", rest @ ..]) => image(rest),
        ("node" | "bun", [script, ..]) => script_package(script).map(Started::Npm),
        (python, ["-m", module, ..]) if is_python(python) => Some(Started::Pypi(module.replace('_', "-"))),
        (name, _) => Some(Started::Executable(name)),
    }
}

/// The package that npx runs.
fn npm<'a>(arguments: &[&'a str]) -> Option<Wanted<'a>> {
    let mut package = None;
    let mut rest = arguments.iter();
    loop {
        let word = *rest.next()?;
        match word {
            "-y" | "--yes" | "-q" | "--quiet" | "--offline" | "--prefer-offline" => {}
            "--" => {
                let word = rest.next().copied();
                let program = package.and(word);
                return package.or(word).map(|package| wanted(package, program, rest.as_slice()));
            }
            "-p" | "--package" if package.is_none() => package = Some(*rest.next()?),
            _ => match word.strip_prefix("--package=") {
                Some(name) if package.is_none() => package = Some(name),
                _ if word.starts_with('-') => return None,
                _ => return Some(wanted(package.unwrap_or(word), package.and(Some(word)), rest.as_slice())),
            },
        }
    }
}

fn wanted<'a>(package: &'a str, program: Option<&'a str>, rest: &[&'a str]) -> Wanted<'a> {
    Wanted { package, program, arguments: rest.len() }
}

/// `@scope/name@1.2` without the version.
pub(crate) fn npm_name(package: &str) -> &str {
    match package.char_indices().skip(1).find(|(_, character)| *character == '@') {
        Some((at, _)) => package.get(..at).unwrap_or(package),
        None => package,
    }
}

/// The package that uvx runs.
fn pypi<'a>(arguments: &[&'a str]) -> Option<Wanted<'a>> {
    let mut package = None;
    let mut rest = arguments.iter();
    loop {
        let word = *rest.next()?;
        match word {
            "-q" | "--quiet" | "--offline" | "--refresh" | "--no-cache" | "--isolated" => {}
            "--python" => {
                rest.next()?;
            }
            "--from" | "--spec" if package.is_none() => package = Some(*rest.next()?),
            _ if word.starts_with('-') => return None,
            _ => return Some(wanted(package.unwrap_or(word), package.and(Some(word)), rest.as_slice())),
        }
    }
}

/// `Mcp_Server_Git==1.2` without the version, normalised as PyPI does it.
fn pypi_name(package: &str) -> Option<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let end = package.find(|c: char| !is_name(c)).unwrap_or(package.len());
    let (name, rest) = package.split_at_checked(end)?;
    // A URL, a path or extras are something else.
    let version =
        rest.is_empty() || ["==", "@", ">=", "<=", "~=", ">", "<"].iter().any(|mark| rest.starts_with(mark));
    let plain = !rest.contains(['/', ':', '+', '[']);
    (version && plain).then(|| name.to_ascii_lowercase().replace(['_', '.'], "-"))
}

/// The image that a container engine runs: the first word after options of known shape.
fn image<'a>(arguments: &[&'a str]) -> Option<Started<'a>> {
    let mut rest = arguments.iter();
    loop {
        let word = *rest.next()?;
        match word {
            "-i" | "--rm" | "--interactive" | "--init" | "-t" | "-it" | "-ti" => {}
            "-e" | "--env" | "-v" | "--volume" | "--mount" | "--name" | "--network" | "-w" | "--workdir"
            | "-u" | "--user" => {
                rest.next()?;
            }
            _ if ["--env=", "--volume=", "--mount=", "--name=", "--network="]
                .iter()
                .any(|o| word.starts_with(o)) => {}
            _ if word.starts_with('-') => return None,
            _ => return Some(Started::Image(word.split([':', '@']).next().unwrap_or(word))),
        }
    }
}

/// The npm package that a script lies in.
fn script_package(script: &str) -> Option<&str> {
    let (_, inside) = script.rsplit_once("node_modules/")?;
    let mut parts = inside.match_indices('/').map(|(at, _)| at);
    let first = parts.next()?;
    let end = if inside.starts_with('@') { parts.next()? } else { first };
    inside.get(..end)
}

fn is_python(program: &str) -> bool {
    program.strip_prefix("python").is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '.'))
}

fn base_name(program: &str) -> &str {
    let name = program.rsplit(['/', '\\']).next().unwrap_or(program);
    name.strip_suffix(".exe").or_else(|| name.strip_suffix(".cmd")).unwrap_or(name)
}
