//! A suite folder from a stranger. The input is files one after another, each with a line `==> PATH` before it; what
//! comes before the first such line is suite.toml.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use ostrom_lab::library::Source;
use ostrom_lab::suite::Suite;

fuzz_target!(|text: &str| {
    let mut files = BTreeMap::new();
    let mut name = "suite.toml".to_owned();
    for line in text.lines() {
        if let Some(path) = line.strip_prefix("==> ") {
            name = path.to_owned();
        } else {
            let file: &mut String = files.entry(name.clone()).or_default();
            file.push_str(line);
            file.push('\n');
        }
    }
    if let Ok(suite) = Suite::from_source(Source::memory(files)) {
        // What is accepted can be named, written down and read back.
        let digest = suite.digest().expect("an accepted suite has a digest");
        let json = serde_json::to_vec(&suite).expect("an accepted suite can be written");
        let again: Suite = serde_json::from_slice(&json).expect("a written suite can be read");
        assert_eq!(again.digest().expect("it has a digest still"), digest);
    }
});
