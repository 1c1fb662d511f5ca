//! `cargo xtask`: the repository's own chores.

mod e2e;
mod hygiene;
mod mock;
mod repo;
mod test;
mod tools;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask test [--fast] [--deny]   everything that must hold before a change is kept
         --fast   without the end-to-end job (no model, no browser, no network)
         --deny   a missing cargo-deny is an error
       cargo xtask e2e                      only the end-to-end job
       cargo xtask hygiene                  only the checks of the repository itself
       cargo xtask mock-endpoint [ARGS]     an OpenAI-compatible endpoint for measurements; --help says more";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        Some("test") => match test::Options::parse(args) {
            Ok(options) => test::run(options),
            Err(message) => usage(&message),
        },
        Some("e2e") => test::run_end_to_end(),
        Some("hygiene") => match hygiene::check(&repo::root()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(message) => failed(&message),
        },
        Some("mock-endpoint") => match mock::run(args) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error.to_string()),
        },
        Some("help" | "--help" | "-h") => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        Some(other) => usage(&format!("there is no chore {other:?}")),
        None => usage("which chore?"),
    }
}

fn usage(message: &str) -> ExitCode {
    eprintln!("error: {message}\n{USAGE}");
    ExitCode::from(2)
}

fn failed(message: &str) -> ExitCode {
    eprintln!("error: {message}");
    ExitCode::FAILURE
}
