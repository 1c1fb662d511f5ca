//! What configurations have called by its name: Hydra, Lightning, latent diffusion, sentence-transformers. Default deny, by
//! `lists/objects.toml` and the lists of what is dangerous in Python and in pickles.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use ostrom_core::Severity;
use serde::Deserialize;

use super::{CONFIG_OBJECT, instructions, python, torchscript};
use crate::examination::{Examination, escape};

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Lists {
    weak_keys: BTreeSet<String>,
    classes: BTreeSet<String>,
    names: BTreeSet<String>,
    loads: BTreeSet<String>,
    roots: BTreeSet<String>,
    imported: BTreeSet<String>,
    file_endings: BTreeSet<String>,
}

/// What of `allow/dangerous.toml` counts here.
#[derive(Deserialize, Default)]
struct Dangers {
    exposed: BTreeSet<String>,
    danger: Vec<Danger>,
}

#[derive(Deserialize)]
struct Danger {
    #[serde(default)]
    modules: BTreeSet<String>,
    #[serde(default)]
    names: BTreeSet<String>,
}

static LISTS: LazyLock<Lists> =
    // INVARIANT: the file is part of the binary, and a test reads it; a broken one cannot be released.
    LazyLock::new(|| toml::from_str(include_str!("../../lists/objects.toml")).unwrap_or_default());

static DANGERS: LazyLock<Dangers> =
    // INVARIANT: as above.
    LazyLock::new(|| toml::from_str(include_str!("../../allow/dangerous.toml")).unwrap_or_default());

/// The most parts that a name has.
const PARTS: usize = 12;

/// What it means that a name is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// It is listed, or nothing that could be called.
    Fine,
    /// It loads another model.
    Loads,
    /// Code of a package that no list has.
    Foreign,
    /// Of a package that many have, and in no list.
    Unlisted,
    /// A class of a module that is known to be dangerous.
    Doubtful,
    /// Known to run, read or write what it is told.
    Danger,
}

/// The value that `key` has, whole: reports what it would have called. Where `sure` is false, the key may mean something else.
pub(super) fn examine(key: &str, value: &str, sure: bool, offset: Option<u64>, scan: &mut Examination<'_>) {
    let weak = LISTS.weak_keys.contains(key);
    if value.contains('$') && (!weak && sure || is_pieced(value)) {
        let what = format!("{key} has {}, which is put together while loading", escape(value, 200));
        scan.report_as(Severity::High, CONFIG_OBJECT, offset, what);
        return;
    }
    let verdict = judge(value);
    // `target: encoder.weight`, `"target": "numpy.mean"`: the name of a tensor, an answer.
    let (class, unlisted) = (is_class(value), verdict == Verdict::Unlisted);
    let counts = if sure { class || unlisted } else { class && unlisted };
    if weak && verdict < Verdict::Doubtful && !counts {
        return;
    }
    let shown = escape(value, 200);
    let (severity, what) = match verdict {
        Verdict::Fine => return,
        Verdict::Loads => (Severity::Medium, format!("{key} loads another model by {shown}")),
        Verdict::Foreign => (Severity::Medium, format!("{key} calls {shown}, of a package that no list has")),
        Verdict::Unlisted => (Severity::High, format!("{key} calls {shown}, which no list has")),
        Verdict::Doubtful => {
            (Severity::High, format!("{key} calls {shown}, of a module that is known to be dangerous"))
        }
        Verdict::Danger => (Severity::Critical, format!("{key} calls {shown}")),
    };
    scan.report_as(severity, CONFIG_OBJECT, offset, what);
}

/// Whether a text with interpolations is otherwise a name: `${a}.system`.
fn is_pieced(value: &str) -> bool {
    let mut depth = 0_usize;
    value.chars().all(|c| {
        match c {
            '{' => depth = depth.saturating_add(1),
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > 0 || matches!(c, '$' | '}' | '.' | '_') || c.is_alphanumeric()
    })
}

fn is_class(path: &str) -> bool {
    path.rsplit('.').next().is_some_and(|last| last.trim_start_matches('_').starts_with(char::is_uppercase))
}

/// What it means to have `path` called.
pub(super) fn judge(path: &str) -> Verdict {
    let part = |part: &str| {
        !part.is_empty()
            && !part.starts_with(|c: char| c.is_ascii_digit())
            && part.chars().all(|c| c == '_' || c.is_alphanumeric())
    };
    let (Some((module, last)), true) = (path.rsplit_once('.'), path.split('.').all(part)) else {
        return Verdict::Fine;
    };
    if LISTS.file_endings.contains(last) {
        return Verdict::Fine;
    }
    // Honest names are shorter; the longer ones lead through many modules to somewhere else.
    if path.split('.').count() > PARTS {
        return Verdict::Unlisted;
    }
    if python::names_danger(path) {
        return Verdict::Danger;
    }
    if let Some(verdict) = path.strip_prefix("torch.ops.").and_then(operator) {
        return verdict;
    }
    let open = |(at, _)| LISTS.names.contains(&format!("{}*", path.get(..=at).unwrap_or("")));
    let start = module.len();
    if LISTS.names.contains(path) || path.match_indices(['.', '_']).filter(|(at, _)| *at >= start).any(open) {
        return Verdict::Fine;
    }
    let root = path.split('.').next().unwrap_or(path);
    let listed = beginning(path, |start| LISTS.classes.contains(start));
    if LISTS.loads.contains(path) || listed.is_some() && LISTS.loads.contains(last) {
        return Verdict::Loads;
    }
    let danger = danger(path);
    let reached = path.match_indices('.').any(|(at, _)| {
        let rest = path.get(at + 1..).unwrap_or("");
        let module = rest.split('.').next().unwrap_or(rest);
        let plain = match module {
            "np" => "numpy",
            "pd" => "pandas",
            other => other,
        };
        (LISTS.imported.contains(module) || DANGERS.exposed.contains(module))
            && self::danger(&rest.replacen(module, plain, 1)).is_some()
    });
    // A list that says more than that a whole package is dangerous goes before it.
    if reached || danger.is_some_and(|danger| listed.is_none_or(|listed| listed < danger)) {
        return if is_class(path) { Verdict::Doubtful } else { Verdict::Danger };
    }
    if listed.is_some() && is_class(path) && !path.split('.').any(|part| part.starts_with("__")) {
        return Verdict::Fine;
    }
    if LISTS.roots.contains(root) || path.split('.').any(|part| part.starts_with("__")) {
        Verdict::Unlisted
    } else {
        Verdict::Foreign
    }
}

/// `namespace.operator` or `namespace.operator.overload`, as `torch.export` has them for its `target`.
fn operator(path: &str) -> Option<Verdict> {
    let parts: Vec<&str> = path.split('.').collect();
    let [namespace, name, ..] = parts.as_slice() else { return None };
    if parts.len() > 3 || parts.iter().any(|part| part.starts_with("__")) {
        return None;
    }
    let file = format!("ops.{namespace}.{name}");
    Some(match instructions::lists().operator_namespaces.contains(*namespace) {
        _ if torchscript::FILES.contains(&file.as_str()) => Verdict::Danger,
        true => Verdict::Fine,
        false => Verdict::Foreign,
    })
}

/// How long the longest beginning of `path` is, by whole parts, that `is` holds for.
fn beginning(path: &str, is: impl Fn(&str) -> bool) -> Option<usize> {
    let ends = path.match_indices('.').map(|(at, _)| at).chain([path.len()]);
    ends.filter(|end| path.get(..*end).is_some_and(&is)).last()
}

/// How much of `path` the list of what is dangerous in pickles has.
fn danger(path: &str) -> Option<usize> {
    beginning(path, |start| {
        DANGERS.danger.iter().any(|danger| danger.modules.contains(start) || danger.names.contains(start))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_whole() {
        assert!(toml::from_str::<Lists>(include_str!("../../lists/objects.toml")).is_ok());
        let dangers: Dangers = toml::from_str(include_str!("../../allow/dangerous.toml")).unwrap();
        assert!(dangers.danger.len() > 5 && dangers.exposed.contains("os"));
    }

    #[track_caller]
    fn all(verdict: Verdict, paths: &[&str]) {
        for path in paths {
            assert_eq!(judge(path), verdict, "{path}");
        }
    }

    #[test]
    fn names_are_denied_unless_a_list_has_them() {
        all(
            Verdict::Danger,
            &[
                "os.system",
                "torch.utils.data.os.system",
                "torch.utils.collect_env.run",
                "torch.hub.download_url_to_file",
                "torch.hub.load",
                "pathlib.Path.write_text",
                "pathlib.Path.touch",
                "numpy.savetxt",
                "torch.save",
                "torchvision.models.resnet.torch.save",
                "nemo.core.np.savetxt",
                "keras.saving.load_model",
                "mlflow.pyfunc.load_model",
                "transformers.dynamic_module_utils.get_class_from_dynamic_module",
                "hydra.utils.get_method",
                "pydoc.locate",
                "logging.config.dictConfig",
                "requests.get",
                "shutil.rmtree",
                "sh.rm",
                "torch.ops.load_library",
                "torch.ops.aten.from_file.default",
            ],
        );
        all(
            Verdict::Doubtful,
            &[
                "logging.FileHandler",
                "torch.package.PackageImporter",
                "torch.nn.modules.torch.package.PackageImporter",
                "numpy.DataSource",
            ],
        );
        all(
            Verdict::Unlisted,
            &[
                "hydra.utils.call",
                "json.load",
                "pandas.read_orc",
                "torch.jit.x",
                "torch.nn.Linear.register",
                "torch.nn.modules.x.y",
                "torch.nn.a.a.a.a.a.a.a.a.a.a.Linear",
                "nemo.X.__init__.__globals__.get",
            ],
        );
        all(Verdict::Foreign, &["torch.ops.mine.op", "evilpkg.Model", "src.models.build", "my_code.net.Net"]);
        all(
            Verdict::Loads,
            &["transformers.AutoModel.from_pretrained", "transformers.pipeline", "diffusers.X.from_config"],
        );
        all(
            Verdict::Fine,
            &[
                "torch.nn.Linear",
                "torch.optim.lr_scheduler.StepLR",
                "torch.utils.data.DataLoader",
                "torch.nn.functional.relu",
                "torchvision.models.resnet18",
                "transformers.get_cosine_schedule_with_warmup",
                "lightning.pytorch.loggers.wandb.WandbLogger",
                "nemo.collections.tts.torch.data.TTSDataset",
                "ldm.models.diffusion.ddpm.LatentDiffusion",
                "omegaconf.dictconfig.DictConfig",
                "torch.ops.aten.linear.default",
                "_operator.getitem",
                "pathlib.Path",
                "builtins.dict",
                "sh.txt",
                "signal.wav",
                "v1.0",
                "U.S.",
                "os",
                "",
            ],
        );
    }
}
