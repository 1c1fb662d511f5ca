//! What loaders of configurations call and evaluate, as attackers write it and as honest users do.

use ostrom_core::Severity::{self, Critical, High, Medium};

use super::{clean, finds, outcome};

const RULE: &str = "config-builds-object";

#[test]
fn tags_of_python_are_judged_as_names_are() {
    // Each runs what it names under `yaml.unsafe_load`, or lets an attribute be called instead of a method.
    let namespace =
        "!!python/object/apply:argparse.Namespace\nkwds: {extend: !!python/name:NAME }\nlistitems: x\n";
    for (name, severity) in [
        ("exec", Critical),
        ("timeit.main", Critical),
        ("doctest.debug_script", Critical),
        ("logging.config.fileConfig", Critical),
        ("test.support.script_helper.assert_python_ok", Critical),
        ("json.tool.main", High),
        ("evilpkg.act", High),
    ] {
        finds("a.yaml", &namespace.replace("NAME", name), RULE, severity);
    }
    for (tag, severity) in [
        ("!!python/name:exec", Critical),
        ("!!python/object/new:map [!!python/name:print , [x]]", Critical),
        ("!!python/object/apply:json.load [x]", High),
        ("!!python/object/apply:evilpkg.log [x]", Medium),
        ("!!python/name:imaplib.IMAP4_stream", High),
        ("!!python/module:antigravity", Medium),
        ("!!python/name:material.extensions.emoji.twemoji", Medium),
    ] {
        finds("a.yaml", &format!("a: {tag}\n"), RULE, severity);
    }
    // As mkdocs-material documents it; and its malicious neighbour.
    let slugify =
        "- toc:\n    slugify: !!python/object/apply:pymdownx.slugs.slugify\n      kwds: {case: lower}\n";
    finds("mkdocs.yml", slugify, RULE, Medium);
    finds("mkdocs.yml", &slugify.replace("pymdownx.slugs.slugify", "pip.main"), RULE, Critical);
    clean(
        "hparams.yaml",
        "a: !!python/object:argparse.Namespace {lr: 1}\nb: !!python/name:torch.nn.ReLU\n",
        "yaml",
    );
}

#[test]
fn a_backslash_at_the_end_of_a_line_hides_nothing() {
    let call = "_target_: subprocess.getoutput\n  cmd: 'echo ran'\n";
    finds("a.yaml", &format!("m:\n  encoding: utf-8\\\n  {call}"), RULE, Critical);
    finds("a.yaml", &format!("m:\n  encoding: utf-8 # note\\\n  {call}"), RULE, Critical);
    finds(
        "MLmodel",
        "flavors:\n  x: y\\\n  python_function:\n    code: x\\\n    loader_module: evil\n",
        "remote-code",
        High,
    );
    clean("a.yaml", "dir: C:\\data\\\nmodel: x\nrun: |\n  python a.py \\\n    --x 1\n", "yaml");
    // What both readings find is said once.
    let found = outcome("a.yaml", b"a: x\\y\n_target_: os.system\n").findings;
    assert_eq!(found.len(), 1, "{found:#?}");
}

#[test]
fn keys_and_tags_of_further_loaders_are_known() {
    for text in [
        "m:\n  _component_: subprocess.Popen\n  args: [touch, x]\n",
        "m:\n  _target_: hydra_zen.funcs.zen_processing\n  _zen_target: subprocess.Popen\n",
        "handlers:\n  x:\n    \"()\": subprocess.Popen\n    args: [touch, x]\n",
        "handlers:\n  x:\n    class: subprocess.Popen\n    args: [touch, x]\n",
        "model: {type: subprocess.Popen, args: [touch, x]}\n",
        "a: !apply:subprocess.getoutput\n  - echo\n",
        "a: !new:subprocess.Popen\n  args: [touch, x]\n",
        "a: !new:os..system [x]\n",
        "a: !<!new:subprocess.Popen> {}\n",
        "a: !%6eew:subprocess.Popen {}\n",
        "a: !function os.system\n",
        "m:\n  _target_: os..system\n",
        "m:\n  _target_: .os.system\n",
        "m:\n  _target_: os.system.\n",
        "m:\n  _target_: exec\n",
    ] {
        finds("a.yaml", text, RULE, Critical);
    }
    for (text, severity) in [
        ("m: {_target_: hydra_zen.funcs.zen_processing, _zen_wrappers: [os.system]}\n", High),
        ("m: {type: imaplib.IMAP4_stream, command: touch x}\n", High),
        ("m: {_target_: monai.utils.run_cmd}\n", High),
        ("m: {_target_: decorator.FunctionMaker.create}\n", High),
        ("process_docs: !function utils.process_docs\n", Medium),
        ("model: {_component_: torchtune.models.llama3.llama3_8b}\n", Medium),
        ("a: !new:evilpkg.Model {}\n", Medium),
    ] {
        finds("a.yaml", text, RULE, severity);
    }
    finds("a.json", r#"{"h": {"()": "subprocess.Popen"}}"#, RULE, Critical);
    finds("a.json", r#"{"m": {"type": "subprocess.Popen"}}"#, RULE, Critical);
    clean(
        "logging.yaml",
        "handlers:\n  f: {class: logging.FileHandler, filename: a.log}\n  c: {class: logging.StreamHandler}\n",
        "yaml",
    );
    clean(
        "catalog.yaml",
        "a: {type: pickle.PickleDataset, filepath: a.pkl}\nb: {type: code.block}\n",
        "yaml",
    );
    clean(
        "hyperparams.yaml",
        "seed: !apply:speechbrain.utils.seed_everything [1]\nopt: !name:torch.optim.Adam\n  lr: !ref <lr>\nloss: !name:speechbrain.nnet.losses.nll_loss\n",
        "yaml",
    );
    clean(
        "a.yaml",
        "title: Brand !new: things\nrows:\n  target: exec\n  type: print\n  also: f() does it\n",
        "yaml",
    );
}

#[test]
fn jsonpickle_names_types_too() {
    let reduce = |name: &str| format!(r#"{{"py/reduce": [{{"py/type": "{name}"}}, {{"py/tuple": ["x"]}}]}}"#);
    finds("a.json", &reduce("imaplib.IMAP4_stream"), RULE, High);
    finds("a.json", &reduce("doctest.debug_script"), RULE, Critical);
    // In a file that streams by.
    let rows = format!("[\"{}\", {}]", "x".repeat(5 << 20), reduce("imaplib.IMAP4_stream"));
    finds("rows.json", &rows, RULE, High);
    clean("a.json", &reduce("collections.OrderedDict"), "json");
    clean("a.json", r#"{"a": {"py/type": "builtins.int"}, "target": ["code.org", "json.load"]}"#, "json");
}

#[test]
fn aliases_of_keys_are_found_wherever_they_stand() {
    for text in [
        "a: &k _target_\nm:\n  ? # c\n    *k\n  : subprocess.Popen\n  args: [touch, x]\n",
        "a: &k '_target_'\nm:\n  ? # c\n    # d\n    *k # e\n  : subprocess.Popen\n",
        "a: &.k _target_\nm: {*.k : subprocess.Popen}\n",
    ] {
        finds("a.yaml", text, RULE, High);
    }
    clean("prompt.yaml", "name: R & D\nprompt: |\n  What do you need?\n  * a list\n  * another\n", "yaml");
    clean(
        "prompt.yaml",
        "system: |\n  Salt & pepper.\n  Ready? *smile*\nrun: a && b\na: &x text\nb: *x\n",
        "yaml",
    );
}

#[test]
fn json_that_only_yaml_takes_is_read_as_that() {
    finds("a.json", r#"{"m": {"_target_": "subprocess.Popen", "args": ["touch", "x"]},}"#, RULE, Critical);
    finds("a.json", "{m: {_target_: os.system}}", RULE, Critical);
    finds("a.json", r#"{"m": {"_target_": "torch.nn.Linear"},}"#, "json-broken", Severity::Low);
}

#[test]
fn packages_of_coreml_stay_in_their_folder() {
    let manifest = |path: &str| {
        format!(
            r#"{{"fileFormatVersion": "1.0.0", "itemInfoEntries": {{"A": {{"author": "x", "path": "{path}"}}}}, "rootModelIdentifier": "A"}}"#
        )
    };
    finds("m.mlpackage/Manifest.json", &manifest("../../outside/secret.mlmodel"), "config-path-escape", High);
    finds("m.mlpackage/Manifest.json", &manifest("/etc/passwd"), "config-path-escape", High);
    clean("m.mlpackage/Manifest.json", &manifest("com.apple.CoreML/model.mlmodel"), "json");
}

#[test]
fn native_code_that_triton_loads_by_path_is_found() {
    let name = "config.pbtxt";
    for (text, out) in [
        (r#"model_operations { op_library_filename: [ "a.so", "NAME" ] }"#, true),
        (r#"parameters { key: "TRITON_BATCH_STRATEGY_PATH" value { string_value: "NAME" } }"#, true),
        (r#"parameters { value { string_value: "NAME" } key: "CPU_EXTENSION_PATH" }"#, true),
        (r#"model_warmup { inputs { value { input_data_file: "NAME" } } }"#, false),
    ] {
        finds(name, &text.replace("NAME", "/tmp/x.so"), "config-path-escape", High);
        finds(name, &text.replace("NAME", "../x.so"), "config-path-escape", High);
        match out {
            true => finds(name, &text.replace("NAME", "x.so"), "remote-code", Medium),
            false => clean(name, &text.replace("NAME", "x"), "triton-config"),
        }
    }
}

#[test]
fn remote_code_is_worse_where_a_model_is_loaded() {
    let yaml =
        |name: &str, value: &str| format!("model:\n  trust_remote_code: {value}\n  _target_: {name}\n");
    for name in [
        "transformers.AutoModel.from_pretrained",
        "sentence_transformers.SentenceTransformer",
        "datasets.load_dataset",
    ] {
        finds("a.yaml", &yaml(name, "true"), "remote-code", High);
        finds(
            "a.json",
            &format!(r#"{{"trust_remote_code": true, "_target_": "{name}"}}"#),
            "remote-code",
            High,
        );
        finds("a.yaml", &yaml(name, "false"), RULE, Medium);
        assert!(
            outcome("a.yaml", yaml(name, "false").as_bytes()).findings.iter().all(|one| one.severity < High)
        );
    }
    finds("a.yaml", "trust_remote_code: yes\n", "remote-code", Medium);
    clean("a.yaml", "trust_remote_code: # no\nmodel: x\nb: {trust_remote_code: null}\n", "yaml");
}

#[test]
fn values_that_are_evaluated_are_read_as_code() {
    for (name, text) in [
        ("train.yaml", "imports:\n  - $import os\nrun:\n  - $os.system('touch x')\n"),
        ("train.yaml", "imports: [\"$import os as o\"]\nrun: ['$1', \"$o.system('touch x')\"]\n"),
        ("train.yaml", "run: !x &a $[0, ' $', os.system('touch x')]\n"),
        ("train.yaml", &format!("run: $({}os.system('touch x'))\n", "0, ".repeat(2000))),
        ("train.yaml", "run: >-\n  $__import__('os').system(\n    'touch x')\n"),
        ("train.json", r#"{"imports": ["$import os as o"], "run": ["$(", "$o.system('x')"]}"#),
        ("coco.yaml", "path: x\nnames: {0: a}\ndownload: |\n  import os\n  os.system('touch x')\n"),
        ("coco.yaml", "download: \"import os\\nos.system('touch x')\"\n"),
        ("yolo.yaml", "nc: 80\nactivation: __import__('os').system('touch x')\n"),
    ] {
        let found = outcome(name, text.as_bytes()).findings;
        assert!(found.iter().any(|one| one.severity >= High), "{name}: {text}\n{found:#?}");
    }
    clean(
        "monai.json",
        r#"{"imports": ["$import glob"], "network_def": {"a": "UNet"}, "device": "$torch.device('cuda')", "network": "$@network_def.to(@device)", "p": "$5.99"}"#,
        "json",
    );
    clean(
        "latex.json",
        r#"{"problem": "$f(x) = \\frac{1}{x}$ from $x$ to $\\infty$", "home": "$HOME/x.bin"}"#,
        "json",
    );
    clean("coco.yaml", "download: https://x/y.zip\nactivation: torch.nn.LeakyReLU(0.1)\n", "yaml");
    clean("a.yaml", "a: ${b.c}/x\nd: \"${oc.env:HOME}/y\"\nactivation: gelu\ndownload: true\n", "yaml");
    let prices = "  - Take $x$ from $y$, for $5.99 (or $os$)\n".repeat(1000);
    clean("prompts.yaml", &format!("a:\n{prices}"), "yaml");
}

#[test]
fn honest_configurations_of_everyday_are_clean() {
    // What every run of Hydra writes.
    clean(
        ".hydra/hydra.yaml",
        "hydra:\n  run:\n    dir: outputs/${now:%Y-%m-%d}/${now:%H-%M-%S}\n  launcher:\n    _target_: hydra._internal.core_plugins.basic_launcher.BasicLauncher\n  sweeper:\n    _target_: hydra._internal.core_plugins.basic_sweeper.BasicSweeper\n    max_batch_size: null\n  job_logging:\n    version: 1\n    formatters:\n      simple:\n        format: '[%(asctime)s][%(name)s][%(levelname)s] - %(message)s'\n    handlers:\n      console:\n        class: logging.StreamHandler\n        formatter: simple\n        stream: ext://sys.stdout\n      file:\n        class: logging.FileHandler\n        filename: ${hydra.runtime.output_dir}/${hydra.job.name}.log\n",
        "yaml",
    );
    let long = "Let's think step by step. ".repeat(20);
    clean("gsm.yaml", &format!("samples:\n  - target: \"{long}\"\n  - target: '{long}'\n"), "yaml");
    finds("gsm.yaml", &format!("target: \"{}\"\n", "a.".repeat(300)), RULE, High);
    finds("gsm.yaml", &format!("_target_: \"{long}\"\n"), RULE, High);
    for name in [
        "scipy.stats.loguniform",
        "builtins.len",
        "pathlib.Path.cwd",
        "sklearn.metrics.f1_score",
        "pandas.DataFrame",
        "torch.stack",
    ] {
        clean("a.yaml", &format!("m:\n  _target_: {name}\n"), "yaml");
    }
}

#[test]
fn keys_that_are_spelt_with_escapes_are_found_whatever_follows_them() {
    for text in [
        "m:\n  \"\\x5ftarget_\": # \\x0ax\n    torch.nn.Linear\n  _args_: [A, B]\n",
        "m:\n  ? \"\\x5ftarget_\" # a\\x0ab\n  : torch.nn.Linear\n",
        "m:\n  \"_tar\\\n   get_\": # a\\\n    torch.nn.Linear\n",
        "m:\n  \"model.\\x63lass_path\": # \\x0ax: 1\n    torch.nn.Linear\n",
        "\"\\x64ownload\": |\n  exit\n",
        // More of what the other reading finds does not outweigh it.
        "a: b # \\\ndownload: c\n\"downl\\x6fad\": # \\x0ax\n  d\n",
    ] {
        finds("a.yaml", text, RULE, High);
    }
    finds("a.yaml", "m:\n  \"\\x5ftarget_\": # \\x0ax\n    posixpath.join\n", RULE, Critical);
    // Values are read in both, as the other reading may take a key for the end of a comment.
    finds("a.yaml", "a: b # c\\\n_target_: \"os\\x2esystem\"\n", RULE, Critical);
    finds("a.yaml", "a: b # c\\\n_target_: \"os.sys\\\n  tem\"\n", RULE, Critical);
    clean(
        "a.yaml",
        "a: \"\\x41 type: b\\n class: c\"\ntarget: \"caf\\xe9 os\"\nrun: |\n  foo \\\n  type: b\n",
        "yaml",
    );
}

#[test]
fn nodes_begin_behind_a_colon_without_a_blank_where_yaml_lets_them() {
    finds("a.yaml", "{\"b\":$__import__('os').system('touch x')}\n", "python-commands", Critical);
    finds("a.yaml", "{'b' :!apply:os.system [\"touch x\"]}\n", RULE, Critical);
    finds("a.yaml", "{[b]:!new:subprocess.Popen {}}\n", RULE, Critical);
    finds("a.yaml", "model: {?target : os.system, ?params : {command: id}}\n", RULE, Critical);
    finds("a.yaml", "model: [ ?target : os.system]\n", RULE, Critical);
    clean("a.yaml", "a: {\"b\":$HOME/x, \"c\":5}\nd: really?target: os.system\n", "yaml");
}

#[test]
fn names_in_expressions_are_read_as_python_normalises_them() {
    for code in [
        "$\u{ff45}val(''.join(map(chr,[49])))",
        "$().\u{ff3f}_class_\u{ff3f}.\u{ff3f}_base_\u{ff3f}.\u{ff3f}_subclasses_\u{ff3f}()",
        "$\u{ff4f}s.system",
    ] {
        let found = outcome("a.json", format!("{{\"b\": \"{code}\"}}").as_bytes()).findings;
        assert!(found.iter().any(|one| one.severity >= High), "{code}\n{found:#?}");
    }
    clean("a.json", "{\"b\": \"$\u{4ef7}\u{683c} \u{ff15}\"}", "json");
}

#[test]
fn code_without_a_bracket_is_read_too() {
    for text in [
        "download: |\n  exit.__class__.__getitem__ = exec\n  exit['x']\n",
        "activation: \"[exit['x'] for exit.__class__.__getitem__ in [eval]]\"\n",
    ] {
        let found = outcome("yolo.yaml", text.as_bytes()).findings;
        assert!(found.iter().any(|one| one.severity >= High), "{text}\n{found:#?}");
    }
    clean("coco.yaml", "download: see the website of COCO\nactivation: leaky-relu\n", "yaml");
    clean("coco.yaml", "download: ../get.sh, then wait: it's large\nactivation: torch.nn.SiLU\n", "yaml");
}

#[test]
fn monai_looks_names_without_a_dot_up_in_its_own_modules() {
    finds("a.json", r#"{"x": {"_target_": "run_cmd", "cmd_list": ["echo"]}}"#, RULE, High);
    finds("a.yaml", "x: {_target_: load_net_with_metadata, f: x}\n", RULE, High);
    clean("a.json", r#"{"x": {"_target_": "UNet"}, "y": {"_target_": "load_decathlon_datalist"}}"#, "json");
    clean("a.yaml", "target: run\ntype: load\n", "yaml");
}

#[test]
fn functions_of_paths_are_no_alarm_in_documentation() {
    clean("api.yaml", "- name: join\n  type: os.path.join\n", "yaml");
    finds("api.yaml", "- name: join\n  type: os.system\n", RULE, Critical);
    finds("api.yaml", "- name: join\n  type: os.path.os.system\n", RULE, Critical);
}

#[test]
fn yaml_under_another_name_is_read_where_it_has_something_called() {
    let call = "# a\nm:\n  _target_: os.system\n";
    for ending in
        "cfg ini toml md csv jsonl html r m j2 vocab bpe sh conf txt requirements.txt".split_whitespace()
    {
        finds(&format!("a.{ending}"), call, RULE, Critical);
    }
    for text in [
        "{m: {_target_: os.system}}",
        "!!map\nm:\n  _target_: os.system\n",
        "%YAML 1.1\n---\nm:\n  _target_: os.system\n",
        "&a\nm:\n  class_path: os.system\n",
        "[{\"\\x5ftarget_\": os.system}]",
        "-\ta\n-\t_target_: os.system\n",
        "a,b: c\n_target_: os.system\n",
        "a: \"b\nc\"\n_target_: os.system\n",
    ] {
        finds("a.conf", text, RULE, Critical);
    }
    let card = "# Use\n\n[![x](y)](z)\n\nSet `_target_: os.system`:\n\n```yaml\n_target_: os.system\n```\n";
    clean("README.md", card, "card");
    clean("notes.md", "Note: this is how\nit is written.\n\n_target_: os.system\n", "card");
    clean("notes.txt", "Here is how.\n_target_: os.system\n", "text");
    clean("notes.txt", "a: b\nIt says _target_: os.system\n", "text");
    clean("a.csv", "a,b\n_target_: os.system,1\n", "data-set");
}

#[test]
fn variables_of_shells_are_no_expressions() {
    for text in [
        "cmd: $HOME/eval/run.sh (see import notes)\n",
        "cmd: $HOME/exec please run\n",
        "cmd: '$HOME/eval and then some'\n",
    ] {
        clean("a.yaml", text, "yaml");
    }
    clean("a.json", r#"{"cmd": "$HOME/eval/run.sh (see import notes)"}"#, "json");
    for text in [
        "cmd: $os.system('x y') if True else not eval\n",
        "cmd: $os.system('a b', # see notes\n  'c d')\n",
        "cmd: $[os.system(x) for x in 'a b'.split()]\n",
        "cmd: $(lambda x: os.system(x))('a b')\n",
        "cmd: $os.system('x')  # and more words\n",
    ] {
        let found = outcome("a.yaml", text.as_bytes()).findings;
        assert!(found.iter().any(|one| one.severity >= High), "{text}\n{found:#?}");
    }
}
