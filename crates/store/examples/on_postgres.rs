//! Runs a command whose tests take their databases from a throw-away PostgreSQL, and ends with its status.
//!
//!     cargo run -p ostrom-store --example on_postgres -- cargo nextest run -p ostrom-exchange -p ostrom-node

use std::process::{Command, ExitCode};

use ostrom_store::testing::{Postgres, SERVER};

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    let Some(program) = words.next() else {
        eprintln!("usage: on_postgres COMMAND ARGUMENTS…");
        return ExitCode::from(2);
    };
    let postgres = match Postgres::start() {
        Ok(postgres) => postgres,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::FAILURE;
        }
    };
    match Command::new(&program).args(words).env(SERVER, postgres.server()).status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{}: {error}", program.display());
            ExitCode::FAILURE
        }
    }
}
