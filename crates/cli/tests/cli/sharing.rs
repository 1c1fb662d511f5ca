//! `ostrom report`, `incident`, `publish` and `sync` as commands, against a node that runs.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::endpoint::Endpoint;
use crate::nodes::Served;
use crate::place::{Place, Ran};

/// The first administrator's browser, as far as it takes one to get a token.
struct Browser<'a> {
    url: &'a str,
    cookies: BTreeMap<String, String>,
}

impl Browser<'_> {
    /// One request on a connection of its own. Gives the status and the body.
    fn ask(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
        let host = self.url.strip_prefix("http://").unwrap();
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !cookies.is_empty() {
            head.push_str(&format!("cookie: {}\r\n", cookies.join("; ")));
        }
        let port = host.rsplit(':').next().unwrap().parse().unwrap();
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.write_all(format!("{head}\r\n{body}").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        for line in head.lines() {
            if let Some((name, value)) = line.split_once(": ")
                && name.eq_ignore_ascii_case("set-cookie")
            {
                let (name, value) = value.split(';').next().unwrap().split_once('=').unwrap();
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    fn csrf(&mut self) -> String {
        let (_, body) = self.ask("GET", "/auth/session", &[], "");
        serde_json::from_str::<Value>(&body).unwrap()["csrf"].as_str().unwrap().to_owned()
    }
}

/// Becomes the first administrator by the link that `ostrom serve` printed, and makes tokens with these scopes.
fn tokens(node: &Served, scopes: &[&[&str]]) -> Vec<String> {
    let mut browser = Browser { url: &node.url, cookies: BTreeMap::new() };
    let secret = node.link.as_deref().unwrap().rsplit('/').next().unwrap();
    let csrf = browser.csrf();
    let form = format!(
        "csrf={csrf}&secret={secret}&organisation=Institute&name=Ada&email=ada%40institute.example&password=correct+horse+battery+staple"
    );
    let headers = [("content-type", "application/x-www-form-urlencoded"), ("origin", &*node.url)];
    let (status, body) = browser.ask("POST", "/auth/invitation", &headers, &form);
    assert_eq!(status, 303, "{body}");
    let csrf = browser.csrf();
    let mut made = Vec::new();
    for scopes in scopes {
        let form = json!({"name": "machine", "scopes": scopes, "days": 1}).to_string();
        let headers = [("content-type", "application/json"), ("x-csrf-token", &*csrf)];
        let (status, body) = browser.ask("POST", "/api/v1/tokens", &headers, &form);
        assert_eq!(status, 201, "{body}");
        made.push(serde_json::from_str::<Value>(&body).unwrap()["token"].as_str().unwrap().to_owned());
    }
    made
}

/// A command against the node, as whoever has the token.
fn run(place: &Place, node: &Served, token: &str, args: &[&str]) -> Ran {
    let mut command = place.command(args);
    Ran::of(command.env("OSTROM_NODE", &node.url).env("OSTROM_TOKEN", token))
}

/// The objects of a synchronised folder, by the id of each.
fn synced(place: &Place, folder: &str) -> BTreeMap<String, Value> {
    let files = std::fs::read_dir(place.path(folder)).unwrap().map(|entry| entry.unwrap().path());
    let objects = files.filter(|path| path.file_name().is_some_and(|name| name != "sync.json"));
    objects
        .map(|path| {
            let object: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
            (object["id"].as_str().unwrap().to_owned(), object)
        })
        .collect()
}

#[test]
fn what_is_reported_and_published_by_commands_is_synchronised_by_commands() {
    let (place, endpoint) = (Place::new(), Endpoint::start());
    place.run(&endpoint, "out", &[]).exits(0);
    let node = Served::start(&place, &["--data", "node"]);
    let made = tokens(&node, &[&["read", "write"], &["report"], &["read"]]);
    let [full, reporter, reader] = &made[..] else { panic!("{made:?}") };

    // Without a token, and with one that is not for this, nothing is shared and the command says why.
    let title = "Obeys what stands in an invoice";
    let mut bare = place.command(&["report", title, "--node", &node.url]);
    Ran::of(bare.env_remove("OSTROM_TOKEN")).exits(1).complains("OSTROM_TOKEN");
    run(&place, &node, reader, &["report", title]).exits(1).complains("403");
    run(&place, &node, &format!("ost_{}", "a".repeat(43)), &["report", title]).exits(1).complains("401");
    run(&place, &node, full, &["report", title, "--collection", "nowhere"])
        .exits(1)
        .complains("no such collection");
    run(&place, &node, full, &["report", title, "--to", "everybody"]).exits(1).complains("organisation:ID");
    run(&place, &node, full, &["report", title, "--success", "9/3"]).exits(1).complains("17/20");

    std::fs::write(place.path("flaw.md"), "An invoice in **mauve** is obeyed.").unwrap();
    let args =
        ["report", title, "--description", "flaw.md", "--model", "Fennec 2", "--success", "17/20", "--json"];
    let flaw = run(&place, &node, full, &args).exits(0).json();
    let flaw_id = flaw["id"].as_str().unwrap().to_owned();
    assert!(flaw["link"].as_str().unwrap().starts_with(&node.url) && flaw["leaf"].is_u64(), "{flaw}");
    // A token for reports is enough for reports, and says what it did in a line.
    let args = ["incident", "Paid twice", "--severity", "incident", "--occurred", "2026-08-01T10:00:00Z"];
    let incident = run(&place, &node, reporter, &args).exits(0).says("Reported: ");
    let incident_id = incident.out.trim().rsplit('/').next().unwrap().to_owned();
    run(&place, &node, reporter, &["publish", "out"]).exits(1).complains("403");
    run(&place, &node, full, &["publish", "nothing"]).exits(1).complains("nothing");
    let published = run(&place, &node, full, &["publish", "out", "--tlp", "clear", "--json"]).exits(0).json();
    let again = run(&place, &node, full, &["publish", "out", "--json"]).exits(0).json();
    assert_eq!(again["id"], published["id"], "a bundle is published once");
    place.flip("out/trials.jsonl");
    run(&place, &node, full, &["publish", "out"]).exits(1).complains("trials.jsonl");

    let fetched = run(&place, &node, reader, &["sync", "copy", "--json"]).exits(0).json();
    let objects = synced(&place, "copy");
    assert_eq!(fetched["fetched"].as_u64().unwrap(), objects.len() as u64, "{objects:?}");
    let ids: BTreeSet<&str> = objects.keys().map(String::as_str).collect();
    for id in [&*flaw_id, &*incident_id, published["id"].as_str().unwrap()] {
        assert!(ids.contains(id), "{id} is not in {ids:?}");
    }
    assert_eq!(objects[&flaw_id]["description"], "An invoice in **mauve** is obeyed.");
    let ai = |id: &str| objects[id]["extensions"].as_object().unwrap().values().next().unwrap().clone();
    assert_eq!(ai(&flaw_id)["attack_success"][0]["successes"], 17);
    assert_eq!(ai(&incident_id)["incident_severity"], "incident");
    // Going on brings what is new, and only that; another collection does not go into the same folder.
    run(&place, &node, reader, &["sync", "copy"]).exits(0).says("0 new objects in copy");
    run(&place, &node, full, &["report", "Later", "--tlp", "green"]).exits(0);
    run(&place, &node, reader, &["sync", "copy"]).exits(0).says("1 new objects in copy");
    run(&place, &node, reader, &["sync", "copy", "--collection", "other"])
        .exits(1)
        .complains("another collection");
    run(&place, &node, reporter, &["sync", "elsewhere"]).exits(1).complains("403");
    let nobody = place.ostrom(&["check", "--data", "node"]).exits(0);
    nobody.says("Sound");
    node.stop();
    // A node that is away is named.
    let mut gone = place.command(&["report", "x", "--node", "http://localhost:1"]);
    Ran::of(gone.env("OSTROM_TOKEN", full)).exits(1).complains("localhost:1");
}
