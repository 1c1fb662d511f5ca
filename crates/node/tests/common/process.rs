//! A node in a process of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::{Browser, PASSWORD};

pub struct Process {
    pub child: Child,
    pub url: String,
    link: Option<String>,
}

/// The example that runs a node, which is built with the tests.
pub fn program() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let program = tests.parent().and_then(Path::parent).unwrap().join("examples/serve");
    assert!(program.exists(), "{} is missing: cargo build -p ostrom-node --example serve", program.display());
    program
}

impl Process {
    /// Starts a node on this folder. `first`: it has no administrator yet.
    pub async fn start(data: &Path, first: bool) -> Self {
        let mut command = Command::new(program());
        command.arg(data).arg("127.0.0.1:0");
        Self::of(command, first).await
    }

    /// Waits until the node that the command starts listens.
    pub async fn of(mut command: Command, first: bool) -> Self {
        let command = command.env("OSTROM_UNLIMITED", "1").stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = lines.next_line().await.unwrap().unwrap();
        let link = if first { lines.next_line().await.unwrap() } else { None };
        Self { child, url, link }
    }

    /// The first administrator, who is signed in.
    pub async fn administrator(&self) -> Browser {
        let mut ada = Browser::at(&self.url);
        let secret = self.link.as_deref().unwrap().rsplit('/').next().unwrap().to_owned();
        let form = [
            ("secret", &*secret),
            ("organisation", "I"),
            ("name", "Ada"),
            ("email", "ada@i.example"),
            ("password", PASSWORD),
        ];
        assert_eq!(ada.form("/auth/invitation", &form).await.status, 303);
        ada
    }
}
