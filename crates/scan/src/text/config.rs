//! JSON configurations of models, adapters, tokenizers and pipelines.

use std::collections::BTreeSet;

use ostrom_core::Severity;

use super::expressions::Taken;
use super::hidden::Sort;
use super::instructions::lists;
use super::json::{Json, Next, Node};
use super::objects::{Key, Verdict};
use super::{
    CONFIG_OBJECT, CONFIG_PATH, CONFIG_REGEX, JSON_BROKEN, JSON_DUPLICATE, REMOTE_CODE,
    REMOTE_CODE_ELSEWHERE, base_name, escapes, exported, expressions, hidden, interpolations, objects,
    pattern, python, templates, text_of, yaml,
};
use crate::examination::{Examination, escape};
use crate::folder::fact;
use crate::keras::json::decode;
use crate::source::View;
use crate::trouble::Trouble;

/// Files up to this length are held whole; longer ones are data that stream by.
const WHOLE: u64 = 4 << 20;

/// The most strings of one file that are looked at for hidden text.
const TEXTS: usize = 100_000;

/// The most files of weights that one index names.
const SHARDS: usize = 100_000;

/// The key of a chat template, or of several.
const TEMPLATE: &str = "chat_template";

/// Keys that are looked at wherever they stand.
const KEYS: [&str; 13] = [
    exported::SIZE,
    exported::GUARDS,
    "auto_map",
    "custom_pipelines",
    "trust_remote_code",
    TEMPLATE,
    "attn_implementation",
    "_attn_implementation",
    "experts_implementation",
    "activation_function",
    "activation_fn",
    "sbert_ce_default_activation_function",
    "tokenizer_class",
];

pub(super) fn examine(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    let mut taken = Taken::default();
    let result = match in_utf8(view, scan)? {
        Some(decoded) => values(&decoded, &mut taken, scan),
        None => values(view, &mut taken, scan),
    };
    taken.evaluate(&mut |severity, rule, _, what| report(severity, rule, what, scan));
    result
}

/// What is in UTF-16 or UTF-32, with a mark or without, in UTF-8: Python takes JSON in all of these.
fn in_utf8(view: &View, scan: &Examination<'_>) -> Result<Option<View>, Trouble> {
    let head = view.bytes(0, 4)?;
    if !(head.contains(&0) || matches!(head.as_slice(), [0xff, 0xfe, ..] | [0xfe, 0xff, ..])) {
        return Ok(None);
    }
    let held = scan.limits().held;
    if view.len() > held as u64 {
        return Err(Trouble::Limit(format!("JSON of {} bytes that is not in UTF-8", view.len())));
    }
    Ok(Some(View::new(decode(&view.bytes(0, held)?).into_owned().into_bytes())))
}

fn report(severity: Option<Severity>, rule: &str, what: String, scan: &mut Examination<'_>) {
    match severity {
        Some(severity) => scan.report_as(severity, rule, None, what),
        None => scan.report(rule, None, what),
    }
}

/// All values. Texts that could be expressions are left in `taken`: what one imports, the others may use.
fn values(view: &View, taken: &mut Taken, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    let name = base_name(scan.name()).into_owned();
    let room = scan.limits().held;
    let index = name.ends_with(".index.json");
    // What loaders read by name is held however long it is: white space takes no room. An index of shards streams by.
    let named = is_read_by_loaders(&name) || name == "manifest.json";
    let whole = view.len() <= WHOLE || (named && !index);
    if whole {
        let mut json = Json::new(view, room)?;
        match json.node() {
            Ok(node) => {
                repeated(&json, scan);
                document(&name, &node, taken, scan);
                // Values on lines of their own: a data set, whatever the file is called.
                return lines(view, &mut json, &name, taken, scan);
            }
            Err(Trouble::Limit(_)) => {}
            Err(Trouble::Malformed { offset, what }) => return broken(view, &name, offset, what, scan),
            Err(other) => return Err(other),
        }
    }
    let mut json = Json::new(view, room)?;
    let result = if index { skim_index(&mut json, taken, scan) } else { skim(&mut json, taken, scan) };
    match result {
        Err(Trouble::Malformed { offset, what }) => return broken(view, &name, offset, what, scan),
        other => other?,
    }
    repeated(&json, scan);
    if named && !index {
        let what = format!("JSON of {} bytes, too large to be looked at as a whole", view.len());
        scan.settle(Err(Trouble::Limit(what)));
    }
    lines(view, &mut json, &name, taken, scan)
}

/// Keys that come twice in one object.
fn repeated(json: &Json, scan: &mut Examination<'_>) {
    if let Some((offset, key, count)) = json.duplicates() {
        let what = format!("{count} keys come twice in one object, the first {:?}", escape(key, 100));
        scan.report(JSON_DUPLICATE, Some(offset), what);
    }
}

/// The values that follow the first.
fn lines(
    view: &View,
    json: &mut Json,
    name: &str,
    taken: &mut Taken,
    scan: &mut Examination<'_>,
) -> Result<(), Trouble> {
    let mut further = None;
    let result = (|| {
        while json.more()? {
            further = further.or(Some(json.position()));
            skim(json, taken, scan)?;
        }
        Ok(())
    })();
    match result {
        Err(Trouble::Malformed { offset, what }) => return broken(view, name, offset, what, scan),
        other => other?,
    }
    if let Some(further) = further.filter(|_| is_read_by_loaders(name)) {
        scan.report(JSON_BROKEN, Some(further), "more than one JSON value");
    }
    Ok(())
}

/// JSON that is none. Loaders refuse it as well; what they would read by name is still undecided. Those that take it for YAML
/// do not mind a comma too many.
fn broken(
    view: &View,
    name: &str,
    offset: u64,
    what: String,
    scan: &mut Examination<'_>,
) -> Result<(), Trouble> {
    if is_read_by_loaders(name) {
        return Err(Trouble::Malformed { offset, what });
    }
    scan.report(JSON_BROKEN, Some(offset), what);
    if view.len() <= yaml::LONGEST {
        yaml::examine_text(&text_of(view, scan)?, scan);
    }
    Ok(())
}

fn is_read_by_loaders(name: &str) -> bool {
    matches!(
        name,
        "config.json"
            | "tokenizer.json"
            | "modules.json"
            | "model_index.json"
            | "params.json"
            | "special_tokens_map.json"
            | "modular_model_index.json"
    ) || name.ends_with("_config.json")
        || exported::are_flags(name)
        || name.ends_with(".index.json")
}

/// Goes through a value that is not held, with an eye on the keys that count wherever they stand.
fn skim(json: &mut Json, taken: &mut Taken, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    match json.next()? {
        Next::Map => json.map(|json, key| {
            let called = lists().object_keys.contains(meant(&key))
                && (Key::of(meant(&key)) != Key::Faint || json.next()? == Next::Text);
            if called || KEYS.contains(&key.as_str()) {
                let node = json.node()?;
                pair(&key, &node, scan);
                walk(&node, key == TEMPLATE, scan);
                node.texts().into_iter().for_each(|text| in_text(text, taken, scan));
                Ok(())
            } else {
                skim(json, taken, scan)
            }
        }),
        Next::List => json.list(|json| skim(json, taken, scan)),
        Next::Text => {
            let text = json.text()?;
            in_text(&text, taken, scan);
            in_template(&text, scan);
            Ok(())
        }
        Next::Other => json.skip(),
    }
}

/// What a text is for loaders that evaluate some.
fn in_text(text: &str, taken: &mut Taken, scan: &mut Examination<'_>) {
    interpolations::examine(text, &mut |severity, rule, _, what| report(severity, rule, what, scan));
    expressions::in_text(text, taken);
}

/// What a text is for loaders that render it.
fn in_template(text: &str, scan: &mut Examination<'_>) {
    templates::examine(text, &mut |severity, rule, _, what| report(severity, rule, what, scan));
}

/// An index of shards that is too large to be held: only the names of the shards are.
fn skim_index(json: &mut Json, taken: &mut Taken, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    if json.next()? != Next::Map {
        return skim(json, taken, scan);
    }
    let mut shards = BTreeSet::new();
    json.map(|json, key| {
        if key != "weight_map" || json.next()? != Next::Map {
            return skim(json, taken, scan);
        }
        json.map(|json, _| match json.next()? {
            Next::Text => {
                shards.insert(json.text()?);
                if shards.len() > SHARDS {
                    return Err(Trouble::Limit(format!("an index of more than {SHARDS} files")));
                }
                Ok(())
            }
            _ => json.skip(),
        })
    })?;
    for shard in &shards {
        needs(shard, scan);
    }
    Ok(())
}

/// A whole document.
fn document(name: &str, node: &Node, taken: &mut Taken, scan: &mut Examination<'_>) {
    walk(node, false, scan);
    match name {
        "modules.json" => sentence_modules(node, scan),
        "model_index.json" | "modular_model_index.json" => components(node, scan),
        "adapter_config.json" => adapter(node, scan),
        "manifest.json" => {
            archive_handler(node, scan);
            package_items(node, scan);
        }
        _ if name.ends_with(".index.json") => index(node, scan),
        _ if exported::are_flags(name) => exported::flags(node, scan),
        _ => {}
    }
    // The branches of sentence-transformers' `Asym` and `Router`.
    if let Some(types) = node.get("types").filter(|_| node.get("structure").is_some()) {
        for kind in types.pairs().iter().filter_map(|(_, kind)| kind.as_text()) {
            imported("the branch", kind, scan);
        }
    }
    weights_manifest(node, scan);
    let texts = node.texts();
    texts.iter().for_each(|text| in_text(text, taken, scan));
    // Components of a diffusers pipeline under another name.
    if !matches!(name, "model_index.json" | "modular_model_index.json")
        && node.get("_diffusers_version").is_some()
        && node.get("_class_name").is_some()
    {
        components(node, scan);
    }
    if !matches!(name, "added_tokens.json" | "special_tokens_map.json" | "tokenizer_config.json") {
        for text in texts.into_iter().take(TEXTS) {
            if !text.is_ascii() {
                hidden::examine(text, 0, Sort::Prose, scan);
            }
        }
    }
}

/// Every pair, wherever it stands, and every text that may be a template. Those of a chat are examined as what they are.
fn walk(node: &Node, of_chat: bool, scan: &mut Examination<'_>) {
    let mut open = vec![(node, of_chat)];
    while let Some((node, of_chat)) = open.pop() {
        if let Some(text) = node.as_text().filter(|_| !of_chat) {
            in_template(text, scan);
        }
        if node.get("trust_remote_code") == Some(&Node::Bool(true)) && loads(node) {
            let what = "has a model loaded with trust_remote_code, which runs code that comes with it";
            scan.report_as(Severity::High, REMOTE_CODE, None, what);
        }
        for (key, value) in node.pairs() {
            pair(key, value, scan);
            open.push((value, of_chat || key == TEMPLATE));
        }
        open.extend(node.items().iter().map(|item| (item, of_chat)));
    }
}

/// Whether an object says by its name what loads a model.
fn loads(node: &Node) -> bool {
    let called = |key: &str| lists().object_keys.contains(meant(key)) && Key::of(meant(key)) != Key::Faint;
    let mut names = node.pairs().iter().filter(|(key, _)| called(key)).filter_map(|(_, name)| name.as_text());
    names.any(|name| objects::judge(name) == Verdict::Loads)
}

/// The key that is meant: MONAI takes a path with `::` or `#` and a `+` in front for one, Lightning a path with dots.
fn meant(key: &str) -> &str {
    key.rsplit([':', '#', '.']).next().unwrap_or(key).trim_start_matches('+')
}

/// One key and what it has.
pub(super) fn pair(key: &str, value: &Node, scan: &mut Examination<'_>) {
    match key {
        "auto_map" => {
            for (class, reference) in value.pairs() {
                for reference in reference.texts() {
                    code_reference(&format!("auto_map's {class}"), reference, scan);
                }
            }
            if let Some(reference) = value.as_text() {
                code_reference("auto_map", reference, scan);
            }
            for reference in value.items().iter().filter_map(Node::as_text) {
                code_reference("auto_map", reference, scan);
            }
        }
        "custom_pipelines" => {
            for (task, pipeline) in value.pairs() {
                if let Some(reference) = pipeline.get("impl").and_then(Node::as_text) {
                    code_reference(&format!("the pipeline {task}"), reference, scan);
                }
            }
        }
        "trust_remote_code" if *value == Node::Bool(true) => {
            scan.report(
                REMOTE_CODE,
                None,
                "asks for trust_remote_code, which runs code that comes with models",
            );
        }
        "attn_implementation" | "_attn_implementation" | "experts_implementation" => {
            for kernel in value.texts().into_iter().filter(|text| text.contains('/')) {
                let what = format!("{key} loads compiled code from the repository {:?}", escape(kernel, 200));
                scan.report(REMOTE_CODE_ELSEWHERE, None, what);
            }
        }
        exported::SIZE | exported::GUARDS => exported::expressions(key, value, scan),
        TEMPLATE => {
            if let Some(text) = value.as_text() {
                super::chat_template(text, scan);
            }
            for template in value.items() {
                if let Some(text) = template.get("template").and_then(Node::as_text) {
                    super::chat_template(text, scan);
                }
            }
            for (_, template) in value.pairs() {
                if let Some(text) = template.as_text() {
                    super::chat_template(text, scan);
                }
            }
        }
        "activation_function"
        | "activation_fn"
        | "sbert_ce_default_activation_function"
        | "tokenizer_class" => {
            if let Some(name) = value.as_text() {
                imported(key, name, scan);
            }
        }
        key if lists().object_keys.contains(meant(key)) => {
            let key = meant(key);
            if let Some(name) = value.as_text() {
                objects::examine(key, name, false, None, scan);
                return;
            }
            if Key::of(key) == Key::Faint {
                return;
            }
            // What else than a name means, lists of answers among it, says less.
            for name in value.texts() {
                let verdict = Key::of(key).judge(name);
                let strong = Key::of(key) == Key::Strong && verdict >= Verdict::Doubtful;
                if let Some((severity, what)) =
                    objects::said(key, name, verdict).filter(|_| strong || python::names_danger(name))
                {
                    scan.report_as(severity, CONFIG_OBJECT, None, what);
                }
            }
        }
        _ => {}
    }
}

/// `module.Class`, `repository--module.Class`: code that `trust_remote_code` runs.
fn code_reference(by: &str, reference: &str, scan: &mut Examination<'_>) {
    let shown = escape(reference, 200);
    if let Some((repository, _)) = reference.split_once("--") {
        let what = format!("{by} runs code of another repository, {:?}: {shown}", escape(repository, 100));
        scan.report(REMOTE_CODE_ELSEWHERE, None, what);
        return;
    }
    let module = reference.rsplit_once('.').map_or(reference, |(module, _)| module);
    if escapes(module) {
        scan.report(CONFIG_PATH, None, format!("{by} names code outside the folder: {shown}"));
    }
    // Files of transformers itself, as in `transformers.AutoModel`, are no code of the folder.
    if module == "transformers" || module.starts_with("transformers.") {
        return;
    }
    scan.note(fact::NEEDS_CODE, &module.replace('.', "/"));
    scan.report(REMOTE_CODE, None, format!("{by} runs code of this folder: {shown}"));
}

/// A dotted name that is imported and called whoever loads the model: of the folder, unless it is known.
fn imported(key: &str, name: &str, scan: &mut Examination<'_>) {
    let Some((library, _)) = name.split_once('.') else { return };
    match objects::judge(name) {
        Verdict::Danger => scan.report(CONFIG_OBJECT, None, format!("{key} calls {}", escape(name, 200))),
        _ if lists().sentence_libraries.contains(library) => {}
        Verdict::Doubtful | Verdict::Unlisted => {
            let what = format!("{key} calls {}, which no list has", escape(name, 200));
            scan.report_as(Severity::High, CONFIG_OBJECT, None, what);
        }
        _ => code_reference(key, name, scan),
    }
}

/// `modules.json` of sentence-transformers.
fn sentence_modules(node: &Node, scan: &mut Examination<'_>) {
    for module in node.items() {
        if let Some(kind) = module.get("type").and_then(Node::as_text) {
            let library = kind.split('.').next().unwrap_or(kind);
            if !lists().sentence_modules.contains(library) {
                code_reference("modules.json", kind, scan);
            }
        }
        if let Some(path) = module.get("path").and_then(Node::as_text).filter(|path| escapes(path)) {
            scan.report(CONFIG_PATH, None, format!("a module outside the folder: {}", escape(path, 200)));
        }
    }
}

/// `model_index.json` of diffusers: `"component": ["library", "Class"]`.
fn components(node: &Node, scan: &mut Examination<'_>) {
    for (component, value) in node.pairs() {
        // A modular pipeline has where the component comes from behind them, and the class that is meant.
        let (named, from) = match value.items() {
            [library, class, from] if from.as_text().is_none() => ([library, class], Some(from)),
            [library, class] => ([library, class], None),
            _ => continue,
        };
        let hint = from.and_then(|from| <&[Node; 2]>::try_from(from.get("type_hint")?.items()).ok());
        for [library, class] in [Some(named), hint.map(|hint| hint.each_ref())].into_iter().flatten() {
            let (Some(library), Some(class)) = (library.as_text(), class.as_text()) else { continue };
            component_class(component, library, class, scan);
        }
    }
}

/// One component, and the class that it is of.
fn component_class(component: &str, library: &str, class: &str, scan: &mut Examination<'_>) {
    let first = library.split('.').next().unwrap_or(library);
    let known = &lists().component_libraries;
    if component == "_class_name" {
        code_reference("the pipeline", &format!("{library}.{class}"), scan);
    } else if !(known.contains(library) || known.contains(first) || lists().component_modules.contains(first))
    {
        code_reference(
            &format!("the component {component}"),
            &format!("{component}/{library}.{class}"),
            scan,
        );
    } else if !escapes(component) {
        // A file of this name in the component's folder goes before the library.
        scan.note(fact::TAKES_CODE, &format!("{component}/{library}"));
    }
    if escapes(component) {
        scan.report(CONFIG_PATH, None, format!("a component outside the folder: {}", escape(component, 200)));
    }
}

/// `adapter_config.json` of PEFT.
fn adapter(node: &Node, scan: &mut Examination<'_>) {
    if let Some(library) =
        node.get("auto_mapping").and_then(|map| map.get("parent_library")).and_then(Node::as_text)
    {
        let first = library.split('.').next().unwrap_or(library);
        if first == "transformers_modules" {
            scan.report(
                REMOTE_CODE,
                None,
                format!("the base model comes with code: {}", escape(library, 200)),
            );
        } else if !lists().adapter_libraries.contains(first) {
            let what = format!("imports the module {} to find the base model's class", escape(library, 200));
            scan.report_as(Severity::High, REMOTE_CODE, None, what);
        }
    }
    // PEFT writes the default into every file, and imports the module where `megatron_config` is set.
    if let Some(module) = node.get("megatron_core").and_then(Node::as_text).filter(|m| *m != "megatron.core")
    {
        let what = format!("imports the module {} for its layers", escape(module, 200));
        scan.report_as(Severity::High, REMOTE_CODE, None, what);
    }
    let covariances = node.get("corda_config");
    let inside = ["cache_file", "covariance_file"].map(|key| covariances.and_then(|config| config.get(key)));
    let files =
        [node.get("prompt_tuning_init_state_dict_path"), node.get("adapters")].into_iter().chain(inside);
    for path in files.flatten().flat_map(Node::texts).filter(|path| escapes(path)) {
        let what = format!("an adapter has a file outside the folder loaded: {}", escape(path, 200));
        scan.report(CONFIG_PATH, None, what);
    }
    for key in ["target_modules", "modules_to_save", "exclude_modules", "layers_pattern", "target_parameters"]
    {
        let Some(value) = node.get(key) else { continue };
        for text in value.texts() {
            if let Some(part) = pattern::exponential(text) {
                let what = format!("in {key} the part {:?} repeats a repetition", escape(&part, 100));
                scan.report(CONFIG_REGEX, None, what);
            }
        }
    }
}

/// `MANIFEST.json` of a TorchServe archive: which code serves the model.
fn archive_handler(node: &Node, scan: &mut Examination<'_>) {
    let Some(handler) = node.get("model").and_then(|model| model.get("handler")).and_then(Node::as_text)
    else {
        return;
    };
    // A handler of this name in the archive goes before TorchServe's own, whatever folder and extension it is given.
    let file = handler.split(':').next().unwrap_or(handler);
    let module = file.strip_suffix(".py").unwrap_or(file);
    if escapes(module) {
        scan.report(
            CONFIG_PATH,
            None,
            format!("names a handler outside the archive: {}", escape(handler, 200)),
        );
    }
    let module = module.rsplit('/').next().unwrap_or(module);
    let above = if scan.name().contains("MAR-INF/") { "../" } else { "" };
    let path = format!("{above}{}", module.replace('.', "/"));
    if lists().own_handlers.contains(file) {
        scan.note(fact::TAKES_CODE, &path);
    } else {
        scan.note(fact::NEEDS_CODE, &path);
        scan.report(
            REMOTE_CODE,
            None,
            format!("the handler runs code of this archive: {}", escape(handler, 200)),
        );
    }
}

/// `Manifest.json` of a CoreML package: which files are the model and its weights.
fn package_items(node: &Node, scan: &mut Examination<'_>) {
    let Some(items) = node.get("itemInfoEntries") else { return };
    for path in items.pairs().iter().filter_map(|(_, item)| item.get("path")).filter_map(Node::as_text) {
        if escapes(path) {
            let what = format!("names a part of the model outside the package: {}", escape(path, 200));
            scan.report(CONFIG_PATH, None, what);
        }
    }
}

/// `*.index.json`: which tensor lies in which file.
fn index(node: &Node, scan: &mut Examination<'_>) {
    let Some(map) = node.get("weight_map") else { return };
    let mut shards: Vec<&str> = map.pairs().iter().filter_map(|(_, file)| file.as_text()).collect();
    shards.sort_unstable();
    shards.dedup();
    for shard in shards {
        needs(shard, scan);
    }
}

/// A file of weights that an index names.
fn needs(shard: &str, scan: &mut Examination<'_>) {
    if escapes(shard) {
        let what = format!("names a file of weights outside the folder: {}", escape(shard, 200));
        scan.report(CONFIG_PATH, None, what);
    } else {
        scan.note(fact::NEEDS_SHARD, shard);
    }
}

/// The model of TensorFlow.js: which files have the bytes of its weights, one behind the other.
fn weights_manifest(node: &Node, scan: &mut Examination<'_>) {
    let Some(groups) = node.get("weightsManifest") else { return };
    for path in groups.items().iter().filter_map(|group| group.get("paths")).flat_map(Node::items) {
        let Some(path) = path.as_text() else { continue };
        if escapes(path) {
            let what = format!("names a file of weights outside the folder: {}", escape(path, 200));
            scan.report(CONFIG_PATH, None, what);
        } else {
            scan.note(fact::RAW_TENSORS, path);
        }
    }
}
