//! Two files of weights held against each other: their headers, and tensors wherever the headers say that they are. The
//! first byte picks the format, the next two where the first file ends.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use ostrom_fuzz::fuzz_target;
use ostrom_scan::lineage::{Options, Sample, Weights, compare};

static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| tempfile::tempdir().expect("a temporary folder").keep());

fuzz_target!(|data: &[u8]| {
    let [which, low, high, content @ ..] = data else { return };
    let cut = usize::from(u16::from_le_bytes([*low, *high])).min(content.len());
    let (first, second) = content.split_at(cut);
    let extension = if which % 2 == 0 { "safetensors" } else { "gguf" };
    let open = |name: &str, bytes: &[u8]| {
        let path = FOLDER.join(name).with_extension(extension);
        fs::write(&path, bytes).expect("the file can be written");
        Weights::open(&path)
    };
    let Ok(first) = open("a", first) else { return };
    let options = Options { seed: 1, sample: Sample::About(256) };
    let _ = compare(&first, &first, options).map(|comparison| (comparison.summary(), comparison.evidence()));
    if let Ok(second) = open("b", second) {
        let _ = compare(&first, &second, options).map(|comparison| comparison.summary());
    }
});
