//! `cargo xtask test`: everything that must hold before a change is kept.

use std::process::ExitCode;
use std::time::Instant;

use crate::{e2e, hygiene, repo, tools};

/// What to run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Without the end-to-end job.
    fast: bool,
    /// A missing cargo-deny is an error.
    deny: bool,
}

impl Options {
    /// Reads the flags.
    ///
    /// # Errors
    /// A flag that it does not know.
    pub fn parse(args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        for flag in args {
            match flag.as_str() {
                "--fast" => options.fast = true,
                "--deny" => options.deny = true,
                _ => return Err(format!("unknown flag {flag:?}")),
            }
        }
        Ok(options)
    }
}

/// Counts steps. Every step runs, whatever became of those before.
#[derive(Debug, Default)]
struct Steps {
    passed: u32,
    failed: Vec<&'static str>,
}

impl Steps {
    /// Runs a step, says what it is, how it ended and how long it took. `None` if it failed.
    fn step<T>(
        &mut self,
        name: &'static str,
        about: &str,
        work: impl FnOnce() -> Result<T, String>,
    ) -> Option<T> {
        println!("==> {name}: {about}");
        let begun = Instant::now();
        let result = work();
        let seconds = begun.elapsed().as_secs_f64();
        match result {
            Ok(value) => {
                self.passed += 1;
                println!("    ok {name} ({seconds:.1} s)");
                Some(value)
            }
            Err(message) => {
                self.failed.push(name);
                println!("    FAILED {name} ({seconds:.1} s)");
                for line in message.lines() {
                    println!("    {line}");
                }
                None
            }
        }
    }

    /// The last line is the count, alone.
    fn finish(self) -> ExitCode {
        if !self.failed.is_empty() {
            println!("failed: {}", self.failed.join(", "));
        }
        println!("{} passed, {} failed", self.passed, self.failed.len());
        if self.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// Runs the steps.
pub fn run(options: Options) -> ExitCode {
    let mut steps = Steps::default();
    steps.step("tools", "what the other steps need", || tools::check(options.fast));
    steps.step("format", "cargo fmt --all --check", || {
        if !tools::cargo_has("fmt") {
            return Err("rustfmt is missing: rustup component add rustfmt".to_owned());
        }
        cargo(&["fmt", "--all", "--check"])
    });
    steps.step("lint", "cargo clippy --workspace --all-targets -- -D warnings", || {
        if !tools::cargo_has("clippy") {
            return Err("clippy is missing: rustup component add clippy".to_owned());
        }
        cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])
    });
    if tools::cargo_has("nextest") {
        steps.step("test", "cargo nextest run --workspace", || {
            cargo(&["nextest", "run", "--workspace", "--no-fail-fast"])
        });
        steps.step("postgresql", "the tests of exchange and node again, on PostgreSQL", on_postgresql);
    } else {
        steps.step("test", "cargo test --workspace", || {
            cargo(&["test", "--workspace", "--all-targets", "--no-fail-fast"])
        });
    }
    steps.step("doctest", "cargo test --workspace --doc", || cargo(&["test", "--workspace", "--doc"]));
    steps.step(
        "hygiene",
        "crate edges, file length, words, weights, lints",
        || hygiene::check(&repo::root()),
    );
    if tools::cargo_has("deny") {
        steps.step("deny", "cargo deny check licenses bans sources", || {
            cargo(&["deny", "check", "licenses", "bans", "sources"])?;
            // No other step sees this workspace; with --locked, a lock that has fallen behind is an error.
            let fuzz = ["--manifest-path", "fuzz/Cargo.toml", "--config", "deny.toml", "--locked"];
            cargo(&[&["deny"], &fuzz[..], &["check", "licenses", "bans", "sources"]].concat())
        });
    } else if options.deny {
        steps.step("deny", "cargo deny check licenses bans sources", || {
            Err::<(), _>("cargo-deny is missing: cargo install --locked cargo-deny".to_owned())
        });
    } else {
        println!("    no cargo-deny here: licences and sources are not checked (--deny makes this an error)");
    }
    if !options.fast {
        programs_of_others(&mut steps);
        end_to_end(&mut steps);
    }
    steps.finish()
}

/// What Ostrom writes, its interface and its pages, held against programs of others. They are fetched once, with their checksums.
fn programs_of_others(steps: &mut Steps) {
    let script = |path: &str| {
        let mut command = repo::command("bash");
        command.arg(path).env("CARGO_TARGET_DIR", repo::target()?);
        repo::run(command)
    };
    if tools::venv() {
        steps.step("stix", "STIX of every kind, by stix2-validator", || script("bench/stix/validate.sh"));
        steps.step("api", "the REST API against its own description, by schemathesis", || {
            script("bench/api/schemathesis.sh")
        });
    } else {
        println!("    no python3-venv here: STIX and the REST API were not held against validators");
    }
    if tools::npm() && tools::browser().is_some() {
        steps.step("pages", "every page in a browser, by axe-core and with hostile texts", || {
            script("bench/ui/look.sh")
        });
    } else {
        println!("    no npm or no Chromium here: the node's pages were not looked at");
    }
}

/// Runs only the end-to-end job.
pub fn run_end_to_end() -> ExitCode {
    let mut steps = Steps::default();
    steps.step("tools", "what the other steps need", || tools::check(false));
    end_to_end(&mut steps);
    steps.finish()
}

/// Every step needs the one before; where that failed, it fails too.
fn end_to_end(steps: &mut Steps) {
    fn of<T>(before: &Option<T>) -> Result<&T, String> {
        before.as_ref().ok_or_else(|| "not run: it needs the step before".to_owned())
    }
    let job = steps.step("build", "cargo build --release", || {
        cargo(&["build", "--release", "--package", "ostrom"])?;
        e2e::Job::new()
    });
    let bundles = steps.step("demo", "ostrom demo with the reference model", || of(&job)?.demo());
    steps.step("verify", "ostrom eval verify", || of(&job)?.verify(of(&bundles)?));
    steps.step("tamper", "one changed byte is found", || of(&job)?.tamper(of(&bundles)?));
    if tools::npm() {
        steps.step("servers", "real MCP servers through the guard", || of(&job)?.servers());
    } else {
        println!("    no npm here: the guard was not tried with real servers");
    }
    if tools::venv() {
        steps.step("signing", "signatures of models, with model_signing in turns", || of(&job)?.signing());
    } else {
        println!("    no python3-venv here: signatures were not held against model_signing");
    }
    if let Some(browser) = tools::browser() {
        steps.step("report", "the report in a browser", || of(&job)?.report(of(&bundles)?, browser));
    } else {
        println!("    no Chromium here: the report was not opened");
    }
}

/// What runs on SQLite by itself. The store's own tests run on both in one go. The server comes from an example that the step
/// before has built.
fn on_postgresql() -> Result<(), String> {
    let server =
        repo::target()?.join("debug/examples").join(format!("on_postgres{}", std::env::consts::EXE_SUFFIX));
    let mut command = repo::command(server);
    // The whole workspace, or features and with them the build would be others.
    let tests = "(package(ostrom-exchange) | package(ostrom-node)) - binary(postgres)";
    command.arg("cargo").args(["nextest", "run", "--workspace", "--no-fail-fast", "-E", tests]);
    repo::run(command)
}

fn cargo(args: &[&str]) -> Result<(), String> {
    let mut command = repo::cargo();
    command.args(args);
    let tests = args.first().is_some_and(|first| ["nextest", "test"].contains(first));
    if tests && !tools::driver() {
        // Only `--fast` comes here without one.
        println!("    no chromedriver here: the node's pages are not tried in a browser");
        command.env("OSTROM_NO_BROWSER", "1");
    }
    repo::run(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(flags: &[&str]) -> Result<Options, String> {
        Options::parse(flags.iter().map(ToString::to_string))
    }

    #[test]
    fn flags() {
        assert_eq!(parse(&["--fast", "--deny"]), Ok(Options { fast: true, deny: true }));
        assert_eq!(parse(&[]), Ok(Options::default()));
        assert!(parse(&["--slow"]).unwrap_err().contains("--slow"));
    }

    #[test]
    fn a_failed_step_is_counted_and_the_next_one_runs() {
        let mut steps = Steps::default();
        assert_eq!(steps.step("a", "", || Err::<(), _>("why".to_owned())), None);
        assert_eq!(steps.step("b", "", || Ok(1)), Some(1));
        assert_eq!((steps.passed, steps.failed), (1, vec!["a"]));
    }
}
