//! What configurations have called by its name: Hydra, Lightning, latent diffusion, sentence-transformers. Default deny, by
//! `lists/objects.toml` and the lists of what is dangerous in Python and in pickles.

use std::borrow::Cow;
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
    faint_keys: BTreeSet<String>,
    faint_roots: BTreeSet<String>,
    bare: BTreeSet<String>,
    monai: BTreeSet<String>,
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

/// The key under which MONAI takes names without a dot.
const TARGET: &str = "_target_";

/// The key under which jsonpickle evaluates what it has.
const EVALUATED: &str = "py/repr";

/// The most parts that a name has, and the most bytes.
const PARTS: usize = 12;
const LONGEST: usize = 300;

/// How many beginnings of the last part of a name are looked up; a test holds that the lists have none beyond them.
const OPEN: usize = 6;

/// What it means that a name is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// It is listed, or nothing that could be called.
    Fine,
    /// It loads another model or data, or writes files where it is told.
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

/// What a key means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// That what it names is called.
    Strong,
    /// That, or something else: data sets and settings have such keys too.
    Weak,
    /// Mostly something else.
    Faint,
}

impl Key {
    pub(super) fn of(key: &str) -> Self {
        match key {
            _ if LISTS.weak_keys.contains(key) => Self::Weak,
            _ if LISTS.faint_keys.contains(key) => Self::Faint,
            _ => Self::Strong,
        }
    }

    /// What it means that the key has `value`. Under those that have something else more often, `labels.txt` is a file, and what no
    /// name looks like is none.
    pub(super) fn judge(self, value: &str) -> Verdict {
        if self != Self::Strong && (is_file(value) || !is_name(value)) { Verdict::Fine } else { judge(value) }
    }

    /// Whether it is worth a word that such a key names `value`. In data sets (`sure` is false) `target` is an answer more often:
    ///
    /// | | strong | weak, sure | weak, not sure | faint |
    /// |---|---|---|---|---|
    /// | dangerous, doubtful | yes | yes | yes | where nobody means anything else |
    /// | in no list | yes | yes | classes | no |
    /// | foreign, loads | yes | classes | no | no |
    fn counts(self, value: &str, verdict: Verdict, sure: bool) -> bool {
        // `target: Yes..`, `target: print`: no loader that has these keys takes such names for one.
        let named = !value.split('.').any(str::is_empty) && value.contains('.');
        match self {
            Self::Strong => true,
            Self::Weak if verdict >= Verdict::Doubtful => value.contains('.'),
            Self::Weak if sure => named && (is_class(value) || verdict == Verdict::Unlisted),
            Self::Weak => named && is_class(value) && verdict == Verdict::Unlisted,
            Self::Faint => {
                let root = value.split('.').find(|part| !part.is_empty()).unwrap_or(value);
                let path = value.strip_prefix("os.path.").is_some_and(|name| !name.contains('.'));
                verdict >= Verdict::Doubtful
                    && value.contains('.')
                    && (python::names_danger(value) || LISTS.faint_roots.contains(root) && !path)
            }
        }
    }
}

/// The value that `key` has, whole: what it would have called, and how bad that is. Where `sure` is false, the key may mean
/// something else.
pub(super) fn meaning(key: &str, value: &str, sure: bool) -> Option<(Severity, String)> {
    let kind = Key::of(key);
    let undecided = |what: &str| Some((Severity::High, format!("{key} has {}, {what}", escape(value, 200))));
    if key == EVALUATED {
        return Some((Severity::Critical, format!("{key} has {} evaluated as Python", escape(value, 200))));
    }
    // As logging has it: what the rest names, and what stands elsewhere in the file.
    let value = value.strip_prefix("ext://").unwrap_or(value);
    if value.starts_with("cfg://") {
        return undecided("which stands elsewhere in the file");
    }
    // As MONAI has it.
    if kind == Key::Strong && value.starts_with(['$', '@', '%']) {
        return undecided("which stands for what is elsewhere");
    }
    if value.contains('$') && kind != Key::Faint && (kind == Key::Strong && sure || is_pieced(value)) {
        return undecided("which is put together while loading");
    }
    let verdict = match key == TARGET && LISTS.monai.contains(value) {
        true => Verdict::Unlisted,
        false => kind.judge(value),
    };
    kind.counts(value, verdict, sure).then(|| said(key, value, verdict)).flatten()
}

/// How bad it is that `by` has `name` called.
pub(super) fn said(by: &str, name: &str, verdict: Verdict) -> Option<(Severity, String)> {
    let shown = escape(name, 200);
    Some(match verdict {
        Verdict::Fine => return None,
        Verdict::Loads => (Severity::Medium, format!("{by} loads or writes what it is told, by {shown}")),
        Verdict::Foreign => (Severity::Medium, format!("{by} calls {shown}, of a package that no list has")),
        Verdict::Unlisted => (Severity::High, format!("{by} calls {shown}, which no list has")),
        Verdict::Doubtful => {
            (Severity::High, format!("{by} calls {shown}, of a module that is known to be dangerous"))
        }
        Verdict::Danger => (Severity::Critical, format!("{by} calls {shown}")),
    })
}

/// Reports [`meaning`].
pub(super) fn examine(key: &str, value: &str, sure: bool, offset: Option<u64>, scan: &mut Examination<'_>) {
    if let Some((severity, what)) = meaning(key, value, sure) {
        scan.report_as(severity, CONFIG_OBJECT, offset, what);
    }
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

/// What it means to have `path` called. Loaders that find names as `pydoc.locate` does pass over empty parts, and take a name
/// without a dot for one of Python's own.
pub(super) fn judge(path: &str) -> Verdict {
    // What follows looks at every beginning of a name, so its length bounds the work.
    if path.len() > LONGEST {
        return Verdict::Unlisted;
    }
    let tidy = || path.split('.').filter(|part| !part.is_empty()).collect::<Vec<_>>().join(".");
    let whole = if path.split('.').any(str::is_empty) { Cow::Owned(tidy()) } else { Cow::Borrowed(path) };
    if whole.contains('.') {
        judge_dotted(&whole)
    } else if LISTS.bare.contains(&*whole) {
        judge_dotted(&format!("builtins.{whole}"))
    } else {
        Verdict::Fine
    }
}

/// Whether all its parts are names of Python.
fn is_name(path: &str) -> bool {
    path.split('.').all(|part| {
        !part.starts_with(|c: char| c.is_ascii_digit())
            && part.chars().all(|c| c == '_' || c.is_alphanumeric())
    })
}

fn judge_dotted(path: &str) -> Verdict {
    // Modules may have names that Python itself does not take: `evil-pkg`.
    let (Some((_, last)), true) = (path.rsplit_once('.'), is_name(path)) else {
        return Verdict::Foreign;
    };
    // Honest names are shorter; the longer ones lead through many modules to somewhere else.
    if path.split('.').count() > PARTS {
        return Verdict::Unlisted;
    }
    if LISTS.names.contains(path) {
        return Verdict::Fine;
    }
    if python::names_danger(path) {
        return Verdict::Danger;
    }
    if let Some(verdict) = path.strip_prefix("torch.ops.").and_then(operator) {
        return verdict;
    }
    if is_open(&LISTS.names, path) {
        return Verdict::Fine;
    }
    let listed = beginning(path, |start| LISTS.classes.contains(start));
    if LISTS.loads.contains(path) || listed.is_some() && LISTS.loads.contains(last) {
        return Verdict::Loads;
    }
    let danger = danger(path);
    // A list that says more than that a whole package is dangerous goes before it.
    if reaches(path) || danger.is_some_and(|danger| listed.is_none_or(|listed| listed < danger)) {
        return if is_class(path) { Verdict::Doubtful } else { Verdict::Danger };
    }
    let inner = path.split('.').any(|part| part.starts_with("__"));
    if listed.is_some() && is_class(path) && !last.starts_with('_') && !inner {
        let below = beginning(path, |start| LISTS.loads.contains(&format!("{start}.*")));
        return if below.is_some() { Verdict::Loads } else { Verdict::Fine };
    }
    if is_open(&LISTS.loads, path) && !is_class(path) {
        return Verdict::Loads;
    }
    let root = path.split('.').next().unwrap_or(path);
    // A class or function of the program that loads the file.
    let own =
        path.strip_prefix("__main__.").is_some_and(|rest| !rest.contains(['.']) && !rest.starts_with("__"));
    if !own && (LISTS.roots.contains(root) || inner) { Verdict::Unlisted } else { Verdict::Foreign }
}

/// Whether it looks like the name of a file: `labels.txt`.
fn is_file(path: &str) -> bool {
    path.rsplit('.').next().is_some_and(|last| LISTS.file_endings.contains(last))
}

/// Whether a list has `m.*` or `m.get_*` for `path`, with no further dot where the star stands.
fn is_open(list: &BTreeSet<String>, path: &str) -> bool {
    let start = path.rfind('.').unwrap_or(0);
    let ends = path.match_indices(['.', '_']).map(|(at, _)| at).filter(|at| *at >= start);
    ends.take(OPEN).any(|at| list.contains(&format!("{}*", path.get(..=at).unwrap_or(""))))
}

/// Whether it goes through a module that others import to something dangerous: `torchvision.models.resnet.torch.save`.
fn reaches(path: &str) -> bool {
    path.match_indices('.').any(|(at, _)| {
        let rest = path.get(at + 1..).unwrap_or("");
        let module = rest.split('.').next().unwrap_or(rest);
        let plain = match module {
            "np" => "numpy",
            "pd" => "pandas",
            other => other,
        };
        (LISTS.imported.contains(module) || DANGERS.exposed.contains(module))
            && danger(&rest.replacen(module, plain, 1)).is_some()
    })
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

    #[test]
    fn packages_with_listed_classes_are_known_packages() {
        for path in &LISTS.classes {
            let root = path.split('.').next().unwrap();
            assert!(LISTS.roots.contains(root), "{root}");
        }
        let dotless = |name: &String| name.contains('.');
        assert!(!LISTS.bare.iter().any(dotless) && !LISTS.faint_roots.iter().any(dotless));
        assert!(LISTS.bare.iter().all(|name| judge(name) == Verdict::Danger));
    }

    #[test]
    fn long_names_take_no_time() {
        // Where a name is too long, nothing else is looked at.
        assert_eq!(judge(&format!("a.{}", "_".repeat(1 << 20))), Verdict::Unlisted);
        assert_eq!(judge(&format!("torch.nn.{}", "A".repeat(LONGEST))), Verdict::Unlisted);
        for open in LISTS.names.iter().chain(&LISTS.loads).filter_map(|name| name.strip_suffix("_*")) {
            assert!(open.rsplit('.').next().unwrap().matches('_').count() + 2 <= OPEN, "{open}");
        }
    }

    #[test]
    fn keys_that_mean_something_else_say_less() {
        let severity = |key, value, sure| meaning(key, value, sure).map(|(severity, _)| severity);
        use Severity::{Critical, High, Medium};
        for (value, strong, weak, unsure, faint) in [
            ("os.system", Some(Critical), Some(Critical), Some(Critical), Some(Critical)),
            ("logging.FileHandler", Some(High), Some(High), Some(High), None),
            ("pickle.PickleDataset", Some(High), Some(High), Some(High), None),
            ("json.load", Some(High), Some(High), None, None),
            ("json.JSONEncoder", Some(High), Some(High), Some(High), None),
            ("evilpkg.Model", Some(Medium), Some(Medium), None, None),
            ("evilpkg.make", Some(Medium), None, None, None),
            ("U.S.", Some(Medium), None, None, None),
            ("exec", Some(Critical), None, None, None),
        ] {
            assert_eq!(severity("_target_", value, true), strong, "{value}");
            assert_eq!(severity("target", value, true), weak, "{value}");
            assert_eq!(severity("target", value, false), unsure, "{value}");
            assert_eq!(severity("type", value, true), faint, "{value}");
        }
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
                "sh.tar",
                "plumbum.cmd.tar",
                "torch.ops.load_library",
                "torch.ops.aten.from_file.default",
                "os..system",
                ".os.system",
                "os.system.",
                "exec",
                "builtins.exec",
                "builtins.map",
                "scipy.stats.norm.expect",
                "wandb.init",
                "__main__.os.system",
            ],
        );
        all(
            Verdict::Doubtful,
            &[
                "logging.FileHandler",
                "torch.package.PackageImporter",
                "torch.nn.modules.torch.package.PackageImporter",
                "numpy.DataSource",
                "scipy.stats.rv_discrete.X",
                "keras.layers.Lambda",
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
                "monai.utils.run_cmd",
                "speechbrain.utils.superpowers.run_shell",
                "torch_geometric.data.download_url",
                "decorator.FunctionMaker.create",
                "datasets.x.y",
                "torchvision.datasets.utils.download_url",
                "timm.models.push_to_hf_hub",
                "lightning.fabric.plugins.precision.utils._ClassReplacementContextManager",
                "torchvision.models.resnet.load_state_dict_from_url",
                "sklearn.metrics.pairwise_distances",
                "einops.reduce",
                "ray.tune.sample_from",
                "__main__.__loader__.x",
            ],
        );
        all(
            Verdict::Foreign,
            &[
                "evil-pkg.make",
                "v1.0",
                "torch.ops.mine.op",
                "evilpkg.Model",
                "src.models.build",
                "my_code.net.Net",
                "__main__.Net",
            ],
        );
        all(
            Verdict::Loads,
            &[
                "transformers.AutoModel.from_pretrained",
                "transformers.pipeline",
                "diffusers.X.from_config",
                "sentence_transformers.SentenceTransformer",
                "timm.create_model",
                "timm.models.vision_transformer.vit_base_patch16_224",
                "torch.utils.tensorboard.SummaryWriter",
                "torch.utils.tensorboard.writer.SummaryWriter",
                "torchvision.datasets.MNIST",
                "xgboost.core.Booster",
                "datasets.load_dataset",
            ],
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
                "builtins.len",
                "scipy.stats.loguniform",
                "pathlib.Path.cwd",
                "sklearn.metrics.f1_score",
                "pandas.DataFrame",
                "torchvision.models.resnet.resnet50",
                "hydra._internal.core_plugins.basic_sweeper.BasicSweeper",
                "len",
                "...",
                "os",
                "",
            ],
        );
    }
}
