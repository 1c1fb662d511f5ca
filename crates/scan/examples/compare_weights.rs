//! Compares the weights of two models: `compare_weights A B [--all] [--json]`, A and B being files or folders.
//! `compare_weights --layers A` compares the layers of one model with one another: models that chance could have made alike,
//! but for the architecture and the training data.

use std::path::Path;
use std::process::ExitCode;

use ostrom_scan::lineage::{Comparison, Options, Sample, Weights, compare};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let flag = |name: &str| arguments.iter().any(|argument| argument == name);
    let paths: Vec<&Path> =
        arguments.iter().filter(|argument| !argument.starts_with("--")).map(Path::new).collect();
    let mut options = Options::default();
    if flag("--all") {
        options.sample = Sample::All;
    }
    let result = match paths.as_slice() {
        [one] if flag("--layers") => layers(one, options),
        [a, b] => Comparison::of_paths(a, b, options).map(|found| show(&found, flag("--json"))),
        _ => {
            eprintln!("usage: compare_weights A B [--all] [--json] | compare_weights --layers A");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn show(found: &Comparison, json: bool) {
    if json {
        println!("{}", serde_json::to_string(found).unwrap_or_default());
    } else {
        println!("{:?}: {}", found.verdict, found.summary());
    }
}

fn layers(path: &Path, options: Options) -> Result<(), ostrom_scan::lineage::CompareError> {
    let weights = Weights::open(path)?;
    let mut all = Vec::new();
    let count = (0..).take_while(|layer| !weights.layer(*layer).is_empty()).count() as u32;
    for first in 0..count {
        for second in first + 1..count {
            let found = compare(&weights.layer(first), &weights.layer(second), options)?;
            all.extend(
                found
                    .tensors
                    .into_iter()
                    .filter(|tensor| tensor.shape.len() > 1)
                    .filter_map(|tensor| Some((tensor.cosine?, tensor.name, first, second))),
            );
        }
    }
    all.sort_by(|a, b| a.0.abs().total_cmp(&b.0.abs()));
    let quantile = |share: f64| all.get((share * (all.len().saturating_sub(1)) as f64) as usize);
    println!("{} pairs of tensors in {count} layers", all.len());
    for share in [0.5, 0.9, 0.99, 0.999, 1.0] {
        if let Some((cosine, name, first, second)) = quantile(share) {
            println!("{share:>6}: |cosine| {:.4}  {name} of layers {first} and {second}", cosine.abs());
        }
    }
    Ok(())
}
