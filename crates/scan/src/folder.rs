//! What only shows when a folder's files are seen together.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher as _, RandomState};

use ostrom_core::{Finding, Severity};
use unicode_normalization::UnicodeNormalization as _;

use crate::examination::escape;
use crate::report::FileReport;
use crate::rules::rule;

/// What examiners note about a file for this look at the whole, by [`crate::examination::Examination::note`].
pub(crate) mod fact {
    /// The file is code of this kind: `python`, `notebook`, `shell`, `native`.
    pub(crate) const CODE: &str = "code";
    /// It makes loaders run this module of the folder, a path without extension.
    pub(crate) const NEEDS_CODE: &str = "needs-code";
    /// It makes loaders run this module of the folder if it is there, and something of their own if not.
    pub(crate) const TAKES_CODE: &str = "takes-code";
    /// It is code that imports this module.
    pub(crate) const USES_CODE: &str = "uses-code";
    /// Its weights lie in this file beside it.
    pub(crate) const NEEDS_SHARD: &str = "needs-shard";
    /// Its tensors lie in this file beside it, as bytes without any format.
    pub(crate) const RAW_TENSORS: &str = "raw-tensors";
}

crate::rules::declare! {
    CODE = "code-beside-weights",
    CODE_MISSING = "remote-code-missing",
    SHARD_MISSING = "shard-missing",
    SHARD_EXTRA = "shard-not-in-index",
    SAME_NAME = "same-name",
    TWO_FORMATS = "weights-in-two-formats",
}

/// What examiners noted of one file.
pub(crate) type Facts = Vec<(&'static str, String)>;

/// One file of the folder.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'a> {
    /// Relative to the folder, with `/`.
    path: &'a str,
    /// In which formats it is.
    formats: &'a [String],
    facts: &'a [(&'static str, String)],
}

/// The files with what was noted of each.
pub(crate) fn entries<'a>(files: &'a [FileReport], facts: &'a [Facts]) -> Vec<Entry<'a>> {
    let entry = |(file, facts): (&'a FileReport, &'a Facts)| Entry {
        path: &file.path,
        formats: &file.formats,
        facts,
    };
    files.iter().zip(facts).map(entry).collect()
}

impl<'a> Entry<'a> {
    fn folder(&self) -> &'a str {
        self.path.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    fn name(&self) -> &'a str {
        self.path.rsplit('/').next().unwrap_or(self.path)
    }

    fn facts(&self, key: &'static str) -> impl Iterator<Item = &'a str> {
        self.facts.iter().filter(move |(name, _)| *name == key).map(|(_, value)| value.as_str())
    }

    fn is(&self, formats: &[&str]) -> bool {
        self.formats.iter().any(|format| formats.contains(&format.as_str()))
    }

    fn is_weights(&self) -> bool {
        self.is(&[
            "pickle",
            "pytorch",
            "safetensors",
            "gguf",
            "numpy",
            "npy",
            "onnx",
            "hdf5",
            "keras",
            "tflite",
            "savedmodel",
            "tensorflow-savedmodel",
            "skops",
            "joblib",
        ]) || [
            ".bin",
            ".pt",
            ".pth",
            ".ckpt",
            ".safetensors",
            ".gguf",
            ".onnx",
            ".h5",
            ".pkl",
            ".keras",
            ".tflite",
        ]
        .iter()
        .any(|extension| self.path.ends_with(extension))
    }
}

/// Where a file of the name `name` beside `entry` would lie. Steps that lead nowhere are left out.
fn beside(entry: &Entry<'_>, name: &str) -> String {
    let mut path: Vec<&str> = entry.folder().split('/').collect();
    for step in name.split('/') {
        if step == ".." {
            path.pop();
        } else {
            path.push(step);
        }
    }
    path.retain(|step| !matches!(*step, "" | "."));
    path.join("/")
}

/// The files by their paths.
type Paths<'a> = HashMap<&'a str, &'a Entry<'a>>;

/// Looks at all files of a folder together.
pub(crate) fn examine(entries: &[Entry<'_>]) -> Vec<Finding> {
    let paths: Paths<'_> = entries.iter().map(|entry| (entry.path, entry)).collect();
    let mut findings = Vec::new();
    code(entries, &paths, &mut findings);
    shards(entries, &paths, &mut findings);
    same_names(entries, &mut findings);
    two_formats(entries, &paths, &mut findings);
    findings.sort();
    findings.dedup();
    findings.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.place.cmp(&b.place)));
    findings
}

/// The files that others explain: bytes in no format, which is what a model beside them says that they are.
pub(crate) fn raw_tensors(entries: &[Entry<'_>]) -> BTreeSet<String> {
    let places = |entry: &Entry<'_>| {
        entry.facts(fact::RAW_TENSORS).map(|name| beside(entry, name)).collect::<Vec<_>>()
    };
    entries.iter().flat_map(places).collect()
}

fn report(findings: &mut Vec<Finding>, severity: Option<Severity>, id: &str, place: &str, message: String) {
    // INVARIANT: every id that the code declares stands in the catalogue (test).
    if let Some(rule) = rule(id) {
        findings.push(Finding {
            severity: severity.unwrap_or(rule.severity),
            rule: rule.id.clone(),
            place: escape(place, 1024),
            offset: None,
            message: escape(&message, 2000),
        });
    }
}

/// Code, and whether anything makes loaders run it.
fn code(entries: &[Entry<'_>], paths: &Paths<'_>, findings: &mut Vec<Finding>) {
    // Modules that loaders run, then what these import, and so on.
    let mut reached: BTreeSet<String> = BTreeSet::new();
    let mut open: Vec<String> = Vec::new();
    for entry in entries {
        for module in entry.facts(fact::NEEDS_CODE) {
            let path = beside(entry, &format!("{module}.py"));
            if paths.contains_key(path.as_str()) {
                open.push(path);
            } else {
                let what = format!("names the code {path}, which is not in the folder");
                report(findings, None, CODE_MISSING, entry.path, what);
            }
        }
        open.extend(entry.facts(fact::TAKES_CODE).map(|module| beside(entry, &format!("{module}.py"))));
        // What services run by its name alone; `model.py` is Triton's, in the folder of a version.
        let version = entry.folder().rsplit('/').next().unwrap_or("");
        let triton = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit());
        if triton && entry.name() == "model.py"
            || entry.path.ends_with("custom_generate/generate.py")
            || matches!(entry.name(), "handler.py" | "sitecustomize.py" | "usercustomize.py" | "setup.py")
        {
            open.push(entry.path.to_owned());
        }
    }
    while let Some(path) = open.pop() {
        if !reached.insert(path.clone()) {
            continue;
        }
        let Some(entry) = paths.get(path.as_str()) else { continue };
        for module in entry.facts(fact::USES_CODE) {
            for name in [format!("{module}.py"), format!("{module}/__init__.py")] {
                let path = beside(entry, &name);
                if paths.contains_key(path.as_str()) {
                    open.push(path);
                }
            }
        }
    }
    let weights = entries.iter().any(Entry::is_weights);
    for entry in entries {
        let Some(kind) = entry.facts(fact::CODE).next() else { continue };
        if reached.contains(entry.path) {
            report(findings, None, CODE, entry.path, format!("{kind} code that loading the model may run"));
        } else if weights {
            let what = format!("{kind} code beside weights; no configuration refers to it");
            report(findings, Some(Severity::Info), CODE, entry.path, what);
        }
    }
}

/// Files that an index names, and files that look like its own and are not.
fn shards(entries: &[Entry<'_>], paths: &Paths<'_>, findings: &mut Vec<Finding>) {
    for entry in entries {
        let named: BTreeSet<String> =
            entry.facts(fact::NEEDS_SHARD).map(|shard| beside(entry, shard)).collect();
        let Some(first) = named.first() else { continue };
        for shard in &named {
            if !paths.contains_key(shard.as_str()) {
                let what = format!("names the weights {shard}, which are not in the folder");
                report(findings, None, SHARD_MISSING, entry.path, what);
            }
        }
        let Some((stem, _, extension)) = shard_of(first) else { continue };
        for other in entries {
            if !named.contains(other.path)
                && shard_of(other.path).is_some_and(|(a, _, b)| a == stem && b == extension)
            {
                let what = format!("looks like a part of the weights, but {} does not name it", entry.path);
                report(findings, None, SHARD_EXTRA, other.path, what);
            }
        }
    }
}

/// `model-00001-of-00002.safetensors`: stem, numbers, extension.
fn shard_of(path: &str) -> Option<(&str, &str, &str)> {
    let (stem, extension) = path.rsplit_once('.')?;
    let at = stem.len().checked_sub("-00001-of-00002".len())?;
    let (stem, numbers) = stem.split_at_checked(at)?;
    let shape = numbers.bytes().enumerate().all(|(at, byte)| match at {
        0 | 6 | 9 => byte == b'-',
        7 => byte == b'o',
        8 => byte == b'f',
        _ => byte.is_ascii_digit(),
    });
    shape.then_some((stem, numbers, extension))
}

/// Names that some file systems take for the same. Keeps digests of names: there may be a great many.
fn same_names(entries: &[Entry<'_>], findings: &mut Vec<Finding>) {
    let states = (RandomState::new(), RandomState::new());
    let mut seen: HashMap<(u64, u64), &str> = HashMap::new();
    for entry in entries {
        let folded: String = entry.path.nfkc().collect::<String>().to_lowercase().nfkc().collect();
        let digest = (states.0.hash_one(&folded), states.1.hash_one(&folded));
        if let Some(other) = seen.insert(digest, entry.path)
            && other != entry.path
        {
            let what =
                format!("has the same name as {other:?} on file systems that ignore case or Unicode forms");
            report(findings, None, SAME_NAME, entry.path, what);
        }
    }
}

/// Weights as pickle and as safetensors under one stem.
fn two_formats(entries: &[Entry<'_>], paths: &Paths<'_>, findings: &mut Vec<Finding>) {
    for entry in entries {
        let Some((stem, "bin" | "pt" | "pth" | "ckpt")) = entry.path.rsplit_once('.') else { continue };
        let twin = match entry.name() {
            "pytorch_model.bin" => beside(entry, "model.safetensors"),
            name if name.starts_with("pytorch_model-") => beside(entry, "model.safetensors.index.json"),
            _ => format!("{stem}.safetensors"),
        };
        if paths.contains_key(twin.as_str()) {
            let what = format!("the same weights seem to be in {twin}; loaders may take either");
            report(findings, None, TWO_FORMATS, entry.path, what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type File = (FileReport, Facts);

    fn entry(path: &str, facts: &[(&'static str, &str)]) -> File {
        let report = FileReport {
            path: path.to_owned(),
            size: 0,
            sha256: None,
            formats: Vec::new(),
            findings: Vec::new(),
            unkept: 0,
        };
        (report, facts.iter().map(|(key, value)| (*key, (*value).to_owned())).collect())
    }

    fn check(files: &[File], expected: &[(&str, &str, Severity)]) {
        let (files, facts): (Vec<_>, Vec<_>) = files.iter().cloned().unzip();
        let findings = examine(&entries(&files, &facts));
        let mut found: Vec<_> =
            findings.iter().map(|f| (f.rule.as_str(), f.place.as_str(), f.severity)).collect();
        let mut expected = expected.to_vec();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{findings:#?}");
    }

    #[test]
    fn code_that_loading_runs_is_told_from_code_that_lies_there() {
        check(
            &[
                entry("config.json", &[(fact::NEEDS_CODE, "modeling_x"), (fact::NEEDS_CODE, "gone")]),
                entry("modeling_x.py", &[(fact::CODE, "python"), (fact::USES_CODE, "helper")]),
                entry("helper.py", &[(fact::CODE, "python")]),
                entry("plot.py", &[(fact::CODE, "python")]),
                entry("model.safetensors", &[]),
            ],
            &[
                ("code-beside-weights", "modeling_x.py", Severity::Medium),
                ("code-beside-weights", "helper.py", Severity::Medium),
                ("code-beside-weights", "plot.py", Severity::Info),
                ("remote-code-missing", "config.json", Severity::Medium),
            ],
        );
        check(&[entry("train.py", &[(fact::CODE, "python")])], &[]);
        check(
            &[entry("a/handler.py", &[(fact::CODE, "python")])],
            &[("code-beside-weights", "a/handler.py", Severity::Medium)],
        );
        check(
            &[
                entry("m/1/model.py", &[(fact::CODE, "python")]),
                entry("m/model.py", &[(fact::CODE, "python")]),
                entry("unet/diffusers.py", &[(fact::CODE, "python")]),
                entry(
                    "model_index.json",
                    &[(fact::TAKES_CODE, "unet/diffusers"), (fact::TAKES_CODE, "vae/diffusers")],
                ),
                entry(
                    "a/MAR-INF/MANIFEST.json",
                    &[(fact::NEEDS_CODE, "../service"), (fact::TAKES_CODE, "../gone")],
                ),
                entry("a/service.py", &[(fact::CODE, "python")]),
            ],
            &[
                ("code-beside-weights", "m/1/model.py", Severity::Medium),
                ("code-beside-weights", "unet/diffusers.py", Severity::Medium),
                ("code-beside-weights", "a/service.py", Severity::Medium),
            ],
        );
    }

    #[test]
    fn shards_and_their_index_agree() {
        let index = |name: &str| {
            entry(
                name,
                &[
                    (fact::NEEDS_SHARD, "model-00001-of-00002.safetensors"),
                    (fact::NEEDS_SHARD, "model-00002-of-00002.safetensors"),
                ],
            )
        };
        let shard = |name: &str| entry(name, &[]);
        check(
            &[
                index("m/model.safetensors.index.json"),
                shard("m/model-00001-of-00002.safetensors"),
                shard("m/model-00002-of-00002.safetensors"),
            ],
            &[],
        );
        check(
            &[
                index("m/model.safetensors.index.json"),
                shard("m/model-00001-of-00002.safetensors"),
                shard("m/model-00003-of-00003.safetensors"),
            ],
            &[
                ("shard-missing", "m/model.safetensors.index.json", Severity::Low),
                ("shard-not-in-index", "m/model-00003-of-00003.safetensors", Severity::Low),
            ],
        );
    }

    #[test]
    fn names_that_collide_are_found() {
        check(
            &[
                entry("Config.json", &[]),
                entry("config.json", &[]),
                entry("caf\u{e9}", &[]),
                entry("cafe\u{301}", &[]),
            ],
            &[("same-name", "config.json", Severity::Medium), ("same-name", "cafe\u{301}", Severity::Medium)],
        );
    }

    #[test]
    fn weights_in_two_formats_are_named() {
        check(
            &[entry("pytorch_model.bin", &[]), entry("model.safetensors", &[]), entry("other.bin", &[])],
            &[("weights-in-two-formats", "pytorch_model.bin", Severity::Info)],
        );
    }

    #[test]
    fn bytes_without_a_format_are_explained_by_the_model_beside_them_alone() {
        let model = entry("a/model.onnx", &[(fact::RAW_TENSORS, "model.onnx_data")]);
        let files = [model, entry("a/model.onnx_data", &[]), entry("model.onnx_data", &[])];
        let (files, facts): (Vec<_>, Vec<_>) = files.into_iter().unzip();
        let found = raw_tensors(&entries(&files, &facts));
        assert_eq!(found, BTreeSet::from(["a/model.onnx_data".to_owned()]));
        let places = ["./w.bin", "sub/./x.bin", "b//y.bin"].map(|place| (fact::RAW_TENSORS, place));
        let files = [entry("model.onnx", &places), entry("w.bin", &[])];
        let (files, facts): (Vec<_>, Vec<_>) = files.into_iter().unzip();
        let found = raw_tensors(&entries(&files, &facts));
        assert_eq!(found, ["w.bin", "sub/x.bin", "b/y.bin"].map(str::to_owned).into());
    }
}
