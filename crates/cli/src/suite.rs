//! `ostrom suite`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use ostrom_lab::suite::Suite;
use serde_json::json;

use crate::args::SuiteCommand;
use crate::fail::Failure;
use crate::show;

/// Runs the command.
pub fn run(command: SuiteCommand) -> Result<ExitCode, Failure> {
    match command {
        SuiteCommand::List { json } => list(json),
        SuiteCommand::Show { suite, json } => show_suite(&suite, json),
    }
}

fn list(json: bool) -> Result<ExitCode, Failure> {
    let suites = Suite::builtin_names().into_iter().map(Suite::load).collect::<Result<Vec<_>, _>>()?;
    if json {
        let list = suites
            .iter()
            .map(|suite| {
                Ok(json!({"id": suite.id, "version": suite.version, "title": suite.title,
                          "cases": suite.cases.len(), "digest": suite.digest()?}))
            })
            .collect::<Result<Vec<_>, Failure>>()?;
        show::json(&list)?;
    } else {
        for suite in suites {
            println!("{:<10} {:>6} cases   {}", suite.id, suite.cases.len(), suite.title);
            println!("{}", show::wrapped(&show::printable(&suite.description), "           "));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show_suite(name: &str, json: bool) -> Result<ExitCode, Failure> {
    let suite = Suite::load(name)?;
    if json {
        show::json(&suite)?;
        return Ok(ExitCode::SUCCESS);
    }
    println!("{}", show::printable(&format!("{} {} — {}", suite.id, suite.version, suite.title)));
    println!("{}", show::wrapped(&show::printable(&suite.description), ""));
    println!("digest sha256:{}", suite.digest()?);
    println!("{} cases, {} benign twins\n", suite.cases.len(), suite.twins.len());
    let mut axes: BTreeMap<&str, BTreeMap<String, usize>> = BTreeMap::new();
    for case in &suite.cases {
        let mut count = |axis, id: String| *axes.entry(axis).or_default().entry(id).or_default() += 1;
        count("family", case.family.as_str().to_owned());
        count("mechanism", case.mechanism.to_string());
        count("channel", case.channel.to_string());
        count("intent", case.intent.to_string());
    }
    for (axis, ids) in axes {
        println!("{axis}");
        for (id, cases) in ids {
            println!("  {id:<32} {cases:>5}");
        }
    }
    Ok(ExitCode::SUCCESS)
}
