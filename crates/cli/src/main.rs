//! The binary `ostrom`: arguments, progress and output.
//!
//! *Invariant:* results go to standard output, everything else to standard error; every failure is one line that says
//! what to do, and a non-zero exit status.

/// As the standard library's, but a reader who has seen enough (`ostrom … | head`) ends the program quietly and not with a
/// panic.
macro_rules! println {
    () => { crate::show::line(format_args!("")) };
    ($($arg:tt)*) => { crate::show::line(format_args!($($arg)*)) };
}

mod args;
mod demo;
mod eval;
mod fail;
mod fetch;
mod guard;
mod lineage;
mod model;
mod node;
mod passport;
mod paths;
mod peer;
mod progress;
mod records;
mod scan;
mod sealing;
mod share;
mod show;
mod sign;
mod suite;
mod target;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use args::{Cli, Command};
use fail::Failure;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(failure.code())
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode, Failure> {
    match cli.command {
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "ostrom", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
        Command::RenderTemplates => {
            ostrom_models::local::serve_templates().map_err(fail::io("chat templates"))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Demo(options) => block_on(demo::run(options)),
        Command::Eval(command) => block_on(eval::run(command)),
        Command::Model(command) => block_on(model::run(command)),
        Command::Guard(command) => guard::run(command),
        Command::Scan(options) => scan::run(&options),
        Command::Sign(options) => sign::sign(&options),
        Command::Verify(options) => sign::verify(&options),
        Command::Key(command) => sign::key(&command),
        Command::Passport(options) => passport::run(&options),
        Command::Lineage(command) => lineage::run(command),
        Command::Revoke(options) => lineage::revoke(&options),
        Command::Suite(command) => suite::run(command),
        Command::Serve(options) => many_threads(node::serve(options)),
        Command::Report(options) => block_on(share::report(options)),
        Command::Incident(options) => block_on(share::incident(options)),
        Command::Publish(options) => block_on(share::publish(options)),
        Command::Sync(options) => block_on(share::sync(options)),
        Command::Peer(command) => block_on(peer::run(command)),
        Command::SealKey(command) => block_on(sealing::run(command)),
        Command::Open(options) => block_on(sealing::open(options)),
        Command::Backup(options) => block_on(node::backup(options)),
        Command::Restore(options) => block_on(node::restore(options)),
    }
}

/// Runs `work` on half of the cores: for what serves others.
///
/// A call passes through many short tasks. With a thread for each core most of the time goes into waking the other
/// threads up; on two cores a second thread cost 57 % more CPU for each call and made none of them faster.
fn many_threads(work: impl Future<Output = Result<ExitCode, Failure>>) -> Result<ExitCode, Failure> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.div_ceil(2))
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("the system gives no threads: {error}")))?;
    let result = runtime.block_on(work);
    runtime.shutdown_background();
    result
}

fn block_on(work: impl Future<Output = Result<ExitCode, Failure>>) -> Result<ExitCode, Failure> {
    // One thread keeps thousands of requests a second going, at half the cost of handing them between threads; local
    // models have threads of their own.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("the system gives no threads: {error}")))?;
    let result = runtime.block_on(work);
    // A task that still waits for an answer must not hold the program up.
    runtime.shutdown_background();
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    /// What prints no result of its own: it serves, or speaks another format or protocol.
    const WITHOUT_JSON: [&str; 6] =
        ["completions", "eval export", "guard sandboxed", "guard wrap", "render-templates", "serve"];

    /// Commands that have none below them, and whether they take `--json`.
    fn leaves(command: &clap::Command, path: &str) -> Vec<(String, bool)> {
        let mut below = command.get_subcommands().filter(|child| child.get_name() != "help").peekable();
        if below.peek().is_none() {
            let json = command.get_arguments().any(|argument| argument.get_id() == "json");
            return vec![(path.to_owned(), json)];
        }
        below.flat_map(|child| leaves(child, format!("{path} {}", child.get_name()).trim())).collect()
    }

    #[test]
    fn every_command_that_prints_results_prints_them_as_json() {
        let found = leaves(&Cli::command(), "");
        let mut without: Vec<&str> =
            found.iter().filter(|(_, json)| !json).map(|(path, _)| path.as_str()).collect();
        without.sort_unstable();
        assert_eq!(without, WITHOUT_JSON);
    }
}
