//! Runs a program in the guard's sandbox and says what the kernel enforces:
//!
//!     cargo run -p ostrom-guard --example sandbox -- [GRANTS] PROGRAM [ARGUMENTS]
//!
//! GRANTS is one argument of JSON, such as `{"read": ["/data"], "network": "all"}`; without it nothing is granted.

use std::ffi::OsString;
use std::process::ExitCode;

use ostrom_guard::sandbox::{Grants, Launcher, Prepared, Spec, enter_and_exec};

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let outcome = match arguments.as_slice() {
        // The confined side: this program, started by itself.
        [flag, spec, _, program, arguments @ ..] if flag == "--spec" => enter(spec, program, arguments),
        [grants, program, arguments @ ..] if grants.to_string_lossy().starts_with('{') => {
            serde_json::from_str(&grants.to_string_lossy())
                .map_err(Into::into)
                .and_then(|grants| run(&grants, program, arguments))
        }
        [program, arguments @ ..] => run(&Grants::default(), program, arguments),
        [] => Err("which program?".into()),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("{error}");
        ExitCode::FAILURE
    })
}

type Outcome = Result<ExitCode, Box<dyn std::error::Error>>;

fn enter(spec: &OsString, program: &OsString, arguments: &[OsString]) -> Outcome {
    let spec: Spec = serde_json::from_str(&spec.to_string_lossy())?;
    let error = enter_and_exec(&spec, program.as_ref(), arguments);
    eprintln!("{error}");
    Ok(ExitCode::from(error.exit_code()))
}

fn run(grants: &Grants, program: &OsString, arguments: &[OsString]) -> Outcome {
    let prepared = Prepared::new(grants, false, program, arguments)?;
    let launcher = Launcher::new(std::env::current_exe()?, Vec::<OsString>::new());
    let status = prepared.command(&launcher)?.status()?;
    eprintln!("{}", serde_json::to_string(&prepared.report())?);
    prepared.close()?;
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}
