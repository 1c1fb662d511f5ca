//! A temporary directory with a small suite, and the binary in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::endpoint::Endpoint;

const SUITE: &str = r#"schema = "ostrom.suite/v1"
id = "tiny"
version = "1"
title = "Tiny"
description = "Six cases."
library = "builtin"
seed = 7
max_tokens = 32

[[select]]
family = "context"
cases = 4

[[select]]
family = "chat"
cases = 2
"#;

/// The directory; it goes away with the value.
pub struct Place {
    folder: TempDir,
}

impl Place {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("tiny")).unwrap();
        fs::write(folder.path().join("tiny/suite.toml"), SUITE).unwrap();
        Self { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The binary, here, with a home of its own and without the caller's settings.
    pub fn command(&self, args: &[&str]) -> Command {
        self.command_of(Path::new(env!("CARGO_BIN_EXE_ostrom")), args)
    }

    pub fn command_of(&self, binary: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(binary);
        command
            .args(args)
            .current_dir(self.folder.path())
            .env("OSTROM_HOME", self.path("home"))
            .env_remove("CI")
            .stdin(Stdio::null());
        command
    }

    pub fn ostrom(&self, args: &[&str]) -> Ran {
        Ran::of(&mut self.command(args))
    }

    /// The arguments of a run of the small suite.
    pub fn run_args<'a>(url: &'a str, out: &'a str) -> Vec<&'a str> {
        vec!["eval", "run", "--suite", "tiny", "--target", "openai:mock", "--base-url", url, "--out", out]
    }

    /// A whole run of the small suite.
    pub fn run(&self, endpoint: &Endpoint, out: &str, more: &[&str]) -> Ran {
        let url = endpoint.url();
        let mut args = Self::run_args(&url, out);
        args.extend(more);
        self.ostrom(&args)
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Changes one byte in the middle of a file.
    pub fn flip(&self, name: &str) {
        let mut bytes = self.read(name);
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(self.path(name), bytes).unwrap();
    }
}

/// How a command ended.
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn of(command: &mut Command) -> Self {
        let Output { status, stdout, stderr } = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: status.code(), out: text(stdout), err: text(stderr) }
    }

    /// Checks the exit status, and returns what was printed as results.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.out.contains(text), "{text:?} is not in:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    /// A failure in one message that says `text`, and no results beside it.
    #[track_caller]
    pub fn complains(self, text: &str) -> Self {
        assert!(self.err.contains(text), "{text:?} is not in:\n{}", self.err);
        assert!(!self.err.contains("panicked"), "{}", self.err);
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}:\n{}\n{}", self.out, self.err))
    }
}
