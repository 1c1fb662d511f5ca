//! `ostrom demo`: the main job, end to end.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use ostrom_lab::bundle;
use ostrom_lab::compare::compare;
use ostrom_lab::defence::Defence;
use ostrom_lab::plan::Settings;
use ostrom_lab::suite::Suite;
use ostrom_models::Model;
use serde_json::json;

use crate::args::DemoOptions;
use crate::eval::{Finished, Job, print_verification, signing_key};
use crate::fail::Failure;
use crate::show;
use crate::target::Reach;

const MODEL: &str = "smollm2-135m";
/// What "with a prompt-level defence" means here.
const DEFENCES: [Defence; 3] = [Defence::InstructionHierarchy, Defence::Delimit, Defence::Sandwich];

/// The first of ostrom-demo, ostrom-demo-2, … that is not there yet.
fn free_folder() -> PathBuf {
    let numbered = (2_u32..).map(|n| PathBuf::from(format!("ostrom-demo-{n}")));
    let mut names = std::iter::once(PathBuf::from("ostrom-demo")).chain(numbered);
    names.find(|name| !name.exists()).unwrap_or_default()
}

/// Runs the demo.
pub async fn run(options: DemoOptions) -> Result<ExitCode, Failure> {
    let suite = Suite::load("starter")?;
    let begun = Instant::now();
    let reach = Reach { target: Some(format!("local:{MODEL}")), ..Reach::default() };
    let key = signing_key(None)?;
    let model: Arc<dyn Model> = reach.open().await?;
    let fetched = begun.elapsed();
    eprintln!(
        "{MODEL}: {} attacks with their controls, undefended and then with {}",
        suite.cases.len(),
        DEFENCES.map(Defence::id).join(" + ")
    );
    let out = options.out.unwrap_or_else(free_folder);
    let mut runs = Vec::new();
    for (name, defences) in [("undefended", Vec::new()), ("defended", DEFENCES.to_vec())] {
        let settings = Settings {
            defences,
            repeat: 1,
            seed: 0,
            temperature: 0.0,
            top_p: 1.0,
            max_tokens: suite.max_tokens,
        };
        let job = Job { suite: suite.clone(), settings, reach: reach.clone(), out: out.join(name) };
        runs.push(job.run(&model, &key, &format!("{name:<10}")).await?);
    }
    let folders: Vec<_> = runs.iter().map(|run| run.folder.clone()).collect();
    let verified = folders
        .iter()
        .map(|folder| bundle::verify(folder, Some(&key.public())))
        .collect::<Result<Vec<_>, _>>()?;
    let [(a, first), (b, second)] = verified.as_slice() else {
        return Err(Failure::new("the demo makes two bundles"));
    };
    let comparison = compare(a, b)?;
    let [to_model, to_result] =
        [fetched, begun.elapsed().saturating_sub(fetched)].map(|time| time.as_secs_f64());
    if options.json {
        let metrics: Vec<_> = runs.iter().map(|run| &run.metrics).collect();
        show::json(
            &json!({"bundles": folders, "metrics": metrics, "comparison": comparison, "verified": true,
                    "seconds": {"model": to_model, "runs": to_result}}),
        )?;
    } else {
        for (run, title) in runs.iter().zip(["Undefended", "With the defence"]) {
            show::metrics(&format!("{title}: {MODEL}, suite {}", run.manifest.suite), &run.metrics);
            println!();
        }
        println!("What the defence changed (A undefended, B defended)");
        show::comparison(&comparison);
        println!("\nBoth bundles were read back and verified from scratch:");
        for (bundle, verification) in [(a, first), (b, second)] {
            print_verification(&bundle.manifest, verification);
        }
        for folder in &folders {
            println!("\nbundle  {}\nreport  {}", folder.display(), folder.join("report.html").display());
        }
        println!("\n{to_result:.0} s for both runs, and {to_model:.0} s before to have the model at hand");
    }
    match runs.iter().find_map(Finished::failure) {
        Some(failure) => Err(failure),
        None => Ok(ExitCode::SUCCESS),
    }
}
