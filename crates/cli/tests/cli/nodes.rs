//! The commands of a node: serving, backups, peers, keys for sealing.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::place::Place;

/// A node that runs; it is told to end when this is dropped.
pub struct Served {
    child: Child,
    pub url: String,
    /// The way in for the first administrator, if there is none yet.
    pub link: Option<String>,
}

impl Served {
    pub fn start(place: &Place, args: &[&str]) -> Self {
        let args = [&["serve", "--listen", "127.0.0.1:0"], args].concat();
        let mut child = place.command(&args).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (mut url, mut link) = (None, None);
        loop {
            let line = lines.next().expect("the node ended before it listened").unwrap();
            if let Some(text) = line.strip_prefix("Ostrom listens on ") {
                url = Some(text.trim_end_matches('/').to_owned());
            } else if line.trim().starts_with("http") {
                link = Some(line.trim().to_owned());
            } else if line.starts_with("Stop it") {
                break;
            }
        }
        std::thread::spawn(move || for _ in lines {});
        Self { child, url: url.expect("no address"), link }
    }

    pub fn stop(mut self) {
        let pid = self.child.id().to_string();
        assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

const COMMANDS: [&[&str]; 22] = [
    &["serve"],
    &["report"],
    &["incident"],
    &["publish"],
    &["import"],
    &["sync"],
    &["check"],
    &["backup"],
    &["restore"],
    &["open"],
    &["peer"],
    &["peer", "add"],
    &["peer", "list"],
    &["peer", "remove"],
    &["peer", "sync"],
    &["peer", "trust"],
    &["peer", "pause"],
    &["peer", "identity"],
    &["seal-key"],
    &["seal-key", "new"],
    &["seal-key", "register"],
    &["seal-key", "retire"],
];

#[test]
fn help_of_the_nodes_commands_has_examples_and_fits_into_80_columns() {
    let place = Place::new();
    for command in COMMANDS {
        let output = place.command(&[command, &["--help"]].concat()).env("COLUMNS", "80").output().unwrap();
        assert!(output.status.success(), "{command:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let examples = text.contains("Example") || text.contains("  ostrom ");
        assert!(examples, "{command:?} has no example");
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{command:?}: {line}");
        }
    }
}

#[test]
fn a_node_is_served_backed_up_restored_and_served_again_with_its_peers() {
    let place = Place::new();
    place.ostrom(&["peer", "list", "--data", "one"]).exits(1).complains("ostrom serve");
    assert!(!place.path("one").exists(), "asking made a node");
    let one = Served::start(&place, &["--data", "one", "--private-peers"]);
    let two = Served::start(&place, &["--data", "two"]);
    let identity = place.ostrom(&["peer", "identity", "--data", "two", "--json"]).exits(0).json();
    let key = identity["key"].as_str().unwrap();

    let add = ["peer", "add", &two.url, "--data", "one"];
    place.ostrom(&add).exits(1).complains("OSTROM_PEER_TOKEN");
    let token = format!("ost_{}", "a".repeat(43));
    let with = |args: &[&str]| {
        let output = place.command(args).env("OSTROM_PEER_TOKEN", &token).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    // Nobody is there to compare: it shows the fingerprint and adds nothing.
    let (code, _, told) = with(&add);
    assert_eq!(code, Some(1));
    assert!(told.contains("--key") && told.contains(key), "{told}");
    assert!(told.lines().filter(|line| !line.contains(key)).all(|line| line.chars().count() <= 80), "{told}");
    let other = place.ostrom(&["peer", "identity", "--data", "one", "--json"]).exits(0).json();
    let (code, _, told) = with(&[&add[..], &["--key", other["key"].as_str().unwrap()]].concat());
    assert!(code == Some(1) && told.contains("another key"), "{told}");
    let (code, said, told) = with(&[&add[..], &["--key", key, "--json"]].concat());
    assert_eq!(code, Some(0), "{told}");
    let added: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(added["state"], "active");
    place.ostrom(&["peer", "sync", "--data", "one"]).exits(1).complains("token");
    place.ostrom(&["peer", "pause", &two.url, "--data", "one"]).exits(0).says("Paused");

    place.ostrom(&["check", "--data", "one"]).exits(0).says("Sound");
    place.ostrom(&["backup", "copy.db", "--data", "one"]).exits(0).says("copy.db").says("keys");
    place.ostrom(&["backup", "copy.db", "--data", "one"]).exits(1).complains("copy.db");
    let copied = place.ostrom(&["backup", "other.db", "--data", "one", "--json"]).exits(0).json();
    assert_eq!(
        (&copied["backup"], &copied["folder"], &copied["with"][2]),
        (&"other.db".into(), &"one".into(), &"keys".into())
    );
    one.stop();
    let restored = place.ostrom(&["restore", "other.db", "--data", "third", "--json"]).exits(0).json();
    assert_eq!(
        (&restored["from"], &restored["folder"], &restored["missing"]),
        (&"other.db".into(), &"third".into(), &copied["with"])
    );
    let listed = place.ostrom(&["peer", "list", "--data", "one"]).exits(0);
    listed.says("paused");
    place.ostrom(&["restore", "copy.db", "--data", "again"]).exits(0).says("before you serve it");
    for part in ["log", "audit", "keys"] {
        let copied = std::process::Command::new("cp")
            .args(["-r"])
            .args([place.path("one").join(part), place.path("again").join(part)])
            .status();
        assert!(copied.unwrap().success());
    }
    let again = Served::start(&place, &["--data", "again"]);
    place.ostrom(&["peer", "list", "--data", "again"]).exits(0).says("paused");
    let same = place.ostrom(&["peer", "identity", "--data", "again", "--json"]).exits(0).json();
    assert_eq!(same["key"], other["key"]);
    place.ostrom(&["peer", "remove", &two.url, "--data", "again"]).exits(0).says("No longer");
    again.stop();
    two.stop();
}

#[test]
fn a_key_for_sealing_is_its_owners_alone_and_never_overwritten() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    let made = place.ostrom(&["seal-key", "new", "seal.key", "--json"]).exits(0).json();
    assert_eq!(made["public_key"].as_str().unwrap().len(), 64);
    let mode = std::fs::metadata(place.path("seal.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    place.ostrom(&["seal-key", "new", "seal.key"]).exits(1).complains("seal.key");
    std::fs::write(place.path("no.json"), "{}").unwrap();
    place.ostrom(&["open", "no.json", "--key", "seal.key"]).exits(1).complains("sealed");
    place.ostrom(&["open", "no.json", "--key", "no.json"]).exits(1).complains("ostrom seal-key new");
}
