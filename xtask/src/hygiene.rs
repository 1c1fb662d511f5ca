//! Rules of the house that no compiler checks: crate edges, file length, words that must not stay, weights, lints.
//!
//! The checks themselves are pure; [`check`] reads the repository and applies them all.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::repo;

/// Lines of the longest Rust file.
const MAX_LINES: usize = 800;

/// Which of Ostrom's crates a crate may use: the table of the architecture. `None`: any.
const EDGES: [(&str, Option<&[&str]>); 15] = [
    ("core", Some(&[])),
    ("trust", Some(&["core"])),
    ("store", Some(&["core"])),
    ("http", Some(&[])),
    ("models", Some(&["core"])),
    ("lab", Some(&["core", "trust", "models"])),
    ("guard", Some(&["core", "trust", "http"])),
    ("scan", Some(&["core", "trust", "models"])),
    ("exchange", Some(&["core", "trust", "store"])),
    ("reference", Some(&["core"])),
    ("index", Some(&["core"])),
    ("council", Some(&["core", "trust", "store"])),
    (
        "node",
        Some(&[
            "core",
            "trust",
            "store",
            "http",
            "models",
            "lab",
            "guard",
            "scan",
            "exchange",
            "reference",
            "index",
            "council",
        ]),
    ),
    ("cli", None),
    ("xtask", Some(&[])),
];

/// Libraries that are named in certain crates only.
const CONFINED: [(&str, &[&str]); 7] = [
    ("reqwest", &["models", "guard", "node"]),
    ("candle-core", &["models"]),
    ("cedar-policy", &["guard"]),
    ("sqlx", &["store"]),
    ("axum", &["node", "guard", "http"]),
    ("clap", &["cli"]),
    ("indicatif", &["cli"]),
];

/// What a pure crate must not use, because it does I/O or waits.
const IMPURE: [&str; 4] = ["tokio", "reqwest", "sqlx", "axum"];
const PURE: [&str; 2] = ["core", "index"];

/// Model weights are fetched, never kept.
const WEIGHTS: [&str; 4] = ["gguf", "safetensors", "onnx", "pth"];

/// Checks the repository at `root`.
///
/// # Errors
/// Every violation, one a line; or that the repository cannot be read.
pub fn check(root: &Path) -> Result<(), String> {
    let packages = packages(&repo::metadata()?)?;
    let mut found = edges(&packages);
    let mut lengths = 0;
    for name in repo::files(root)? {
        let bytes = std::fs::read(root.join(&name)).map_err(|error| format!("{name}: {error}"))?;
        found.extend(weights(&name));
        let Ok(text) = String::from_utf8(bytes) else { continue };
        found.extend(length(&name, &text));
        found.extend(words(&name, &text));
        lengths += usize::from(name.ends_with(".rs"));
    }
    for package in packages.values() {
        let manifest =
            std::fs::read_to_string(&package.manifest).map_err(|e| format!("{}: {e}", package.manifest))?;
        found.extend(lints(&package.manifest, &manifest));
    }
    if lengths == 0 || packages.is_empty() {
        found.push("there is nothing to check: is this the repository?".to_owned());
    }
    if found.is_empty() { Ok(()) } else { Err(found.join("\n")) }
}

/// A package of the workspace.
#[derive(Debug)]
struct Package {
    manifest: String,
    /// Names of the packages that it uses in any way: at run time, in tests, in build scripts.
    uses: Vec<String>,
}

/// Packages by their short name, `core` for `ostrom-core`.
fn packages(metadata: &Value) -> Result<BTreeMap<String, Package>, String> {
    let list = metadata.get("packages").and_then(Value::as_array).ok_or("cargo metadata has no packages")?;
    let text = |value: &Value, key: &str| {
        value.get(key).and_then(Value::as_str).map(str::to_owned).ok_or(format!("a package has no {key}"))
    };
    let mut packages = BTreeMap::new();
    for entry in list {
        let uses =
            entry.get("dependencies").and_then(Value::as_array).ok_or("a package has no dependencies")?;
        let uses = uses.iter().map(|used| text(used, "name")).collect::<Result<_, _>>()?;
        packages.insert(
            short(&text(entry, "name")?).to_owned(),
            Package { manifest: text(entry, "manifest_path")?, uses },
        );
    }
    Ok(packages)
}

fn short(name: &str) -> &str {
    if name == "ostrom" { "cli" } else { name.strip_prefix("ostrom-").unwrap_or(name) }
}

/// Arrows that must not be.
fn edges(packages: &BTreeMap<String, Package>) -> Vec<String> {
    let mut found = Vec::new();
    for (name, package) in packages {
        let Some((_, allowed)) = EDGES.iter().find(|(known, _)| known == name) else {
            found.push(format!("the crate {name} is not in the table of crate edges: say what it may use"));
            continue;
        };
        for used in &package.uses {
            let is_ours = used == "ostrom" || used == "xtask" || used.starts_with("ostrom-");
            // A crate's tests may use the crate itself, with a feature for tests.
            let is_allowed =
                short(used) == name || allowed.is_none_or(|allowed| allowed.contains(&short(used)));
            if is_ours && (!is_allowed || short(used) == "xtask") {
                found.push(format!("the crate {name} must not use {used}"));
            }
            let confined = CONFINED.iter().find(|(library, _)| library == used);
            if confined.is_some_and(|(_, homes)| !homes.contains(&name.as_str())) {
                found.push(format!("the crate {name} must not use {used}: another crate hides it"));
            }
            if PURE.contains(&name.as_str()) && IMPURE.contains(&used.as_str()) {
                found.push(format!("the crate {name} is pure and must not use {used}"));
            }
        }
    }
    found
}

fn extension(name: &str) -> &str {
    Path::new(name).extension().and_then(|extension| extension.to_str()).unwrap_or_default()
}

/// A Rust file that is too long to have one reason to exist. Generated files say so in their first line.
fn length(name: &str, text: &str) -> Option<String> {
    let lines = text.lines().count();
    let is_generated = text.lines().next().is_some_and(|line| line.contains("@generated"));
    (extension(name) == "rs" && lines > MAX_LINES && !is_generated)
        .then(|| format!("{name}: {lines} lines; past {MAX_LINES}, split it"))
}

/// Words that must not stay, put together here so that this file does not hold them.
fn forbidden() -> [String; 9] {
    [
        ["to", "do!("],
        ["unimple", "mented!("],
        ["db", "g!("],
        ["FIX", "ME"],
        ["TO", "DO:"],
        ["<<<<", "<<< "],
        ["/ro", "ot/"],
        ["/wo", "rk/"],
        ["file:///ho", "me/"],
    ]
    .map(|[a, b]| format!("{a}{b}"))
}

/// Unfinished work, merge leftovers and paths of one machine.
fn words(name: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for word in forbidden() {
        for (at, _) in text.match_indices(&word) {
            let before = text.get(..at).and_then(|text| text.chars().next_back());
            // `https://a.example/work/…` and `my_todo!(…)` are something else.
            let continues = before.is_some_and(|c| c.is_alphanumeric() || "_-.}".contains(c));
            if !continues {
                let line = text.get(..at).map_or(0, |text| text.matches('\n').count()) + 1;
                found.push(format!("{name}, line {line}: {word:?} must not stay"));
            }
        }
    }
    found
}

fn weights(name: &str) -> Option<String> {
    WEIGHTS
        .contains(&extension(name))
        .then(|| format!("{name}: weights are fetched, never kept in the repository"))
}

/// A manifest that does not take the workspace's lints.
fn lints(name: &str, manifest: &str) -> Option<String> {
    let mut lines = manifest.lines().map(str::trim).skip_while(|line| *line != "[lints]").skip(1);
    let next = lines.find(|line| !line.is_empty() && !line.starts_with('#'));
    (next != Some("workspace = true")).then(|| format!("{name}: it needs [lints] with workspace = true"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_keeps_its_own_rules() {
        check(&repo::root()).unwrap_or_else(|found| panic!("{found}"));
    }

    fn workspace(entries: &[(&str, &[&str])]) -> Vec<String> {
        let packages: Vec<_> = entries
            .iter()
            .map(|(name, uses)| {
                let uses: Vec<_> = uses.iter().map(|used| serde_json::json!({"name": used})).collect();
                serde_json::json!({"name": name, "manifest_path": "Cargo.toml", "dependencies": uses})
            })
            .collect();
        edges(&super::packages(&serde_json::json!({ "packages": packages })).unwrap())
    }

    #[test]
    fn arrows_go_downwards() {
        let core: (&str, &[&str]) = ("ostrom-core", &["serde"]);
        let trust: (&str, &[&str]) = ("ostrom-trust", &["ostrom-core"]);
        assert!(workspace(&[core, trust, ("ostrom", &["ostrom-trust", "clap"])]).is_empty());
        for (wrong, named) in [
            (("ostrom-core", &["ostrom-trust"] as &[&str]), "ostrom-trust"),
            (("ostrom-lab", &["ostrom-guard"]), "ostrom-guard"),
            (("ostrom-lab", &["ostrom"]), "ostrom"),
            (("ostrom-lab", &["reqwest"]), "reqwest"),
            (("ostrom-lab", &["clap"]), "clap"),
            (("ostrom-core", &["tokio"]), "tokio"),
            (("ostrom", &["xtask"]), "xtask"),
            (("ostrom-news", &[]), "news"),
        ] {
            let all: &[(&str, &[&str])] = &[trust, ("ostrom-guard", &[]), ("xtask", &[]), ("ostrom", &[])];
            let found = workspace(&[all, &[wrong]].concat());
            assert!(found.len() == 1 && found[0].contains(named), "{wrong:?}: {found:?}");
        }
    }

    #[test]
    fn long_files_are_named_unless_generated() {
        let long = "x\n".repeat(MAX_LINES + 1);
        assert!(length("a.rs", &long).is_some());
        assert!(length("a.rs", &"x\n".repeat(MAX_LINES)).is_none());
        assert!(length("a.toml", &long).is_none());
        assert!(length("a.rs", &format!("// @generated\n{long}")).is_none());
    }

    #[test]
    fn unfinished_words_and_machine_paths_are_named_with_their_line() {
        for word in forbidden() {
            let found = words("a.md", &format!("first\nsecond {word}\n"));
            assert!(found.len() == 1 && found[0].contains("line 2"), "{word}: {found:?}");
        }
        let path = forbidden()[7].clone();
        assert!(words("a.md", &format!("https://a.example{path}x and $HOME_{path}")).is_empty());
    }

    #[test]
    fn weights_and_missing_lints() {
        assert!(weights("models/x.gguf").is_some() && weights("x.rs").is_none());
        assert!(lints("a", "[package]\n\n[lints]\n# all\nworkspace = true\n").is_none());
        assert!(lints("a", "[package]\n").is_some());
        assert!(lints("a", "[lints]\n[dependencies]\nworkspace = true\n").is_some());
    }
}
