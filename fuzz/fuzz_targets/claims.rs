//! What a file says of its own lineage: cards, configurations, metadata, bills of materials. The first byte picks the name
//! of the file.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use ostrom_fuzz::fuzz_target;
use ostrom_scan::lineage::Claims;

const NAMES: [&str; 6] =
    ["README.md", "config.json", "adapter_config.json", "bom.json", "model.gguf", "model.safetensors"];

static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| tempfile::tempdir().expect("a temporary folder").keep());

fuzz_target!(|data: &[u8]| {
    let Some((which, content)) = data.split_first() else { return };
    let path = FOLDER.join(NAMES[usize::from(*which) % NAMES.len()]);
    fs::write(&path, content).expect("the file can be written");
    let claims = Claims::read(&path).expect("a file that is there");
    let names = claims.parents.iter().map(|parent| &parent.name);
    let problems = claims.problems.iter().map(|problem| &problem.what);
    for text in names.chain(problems).chain(claims.notes.values()) {
        assert!(!text.contains(char::is_control), "untrusted text reaches a terminal");
    }
});
