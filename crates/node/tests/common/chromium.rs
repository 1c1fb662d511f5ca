//! Chromium, led by its driver (WebDriver).
#![allow(dead_code, reason = "every test file uses a part of it")]

use std::process::Stdio;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::common;

/// The name under which WebDriver hands elements out (W3C WebDriver, section 12).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// How often it is looked whether something has happened, and how long between.
const LOOKS: usize = 600;
const PAUSE: Duration = Duration::from_millis(100);
/// How often the driver is started at most.
const STARTS: usize = 5;

/// Chromium, led by its driver.
pub struct Chromium {
    _driver: Child,
    _profile: tempfile::TempDir,
    session: String,
    http: reqwest::Client,
}

/// The driver, and the port that it listens on.
async fn driver() -> (Child, u16) {
    // It takes a free port of IPv4 and then the same of IPv6, and ends if that is somebody else's.
    for _ in 0..STARTS {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("chromedriver is needed for this test (apt-get install chromium-driver), or OSTROM_NO_BROWSER=1");
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        while let Some(line) = lines.next_line().await.unwrap() {
            let Some(rest) = line.split("successfully on port ").nth(1) else { continue };
            let port = rest.trim_end_matches('.').parse().unwrap();
            // Nobody reads the rest, and a full pipe would hold it up.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return (driver, port);
        }
    }
    panic!("chromedriver ended {STARTS} times");
}

impl Chromium {
    /// Starts it; `None` where somebody has said that there is none.
    pub async fn start() -> Option<Self> {
        if std::env::var_os("OSTROM_NO_BROWSER").is_some() {
            eprintln!("left out: OSTROM_NO_BROWSER is set");
            return None;
        }
        let (driver, port) = driver().await;
        let profile = tempfile::tempdir().unwrap();
        let folder = format!("--user-data-dir={}", profile.path().display());
        let flags = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--no-first-run",
            &folder,
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {"goog:chromeOptions": {"args": flags}}}});
        let http = common::http();
        let base = format!("http://127.0.0.1:{port}/session");
        let mut chromium = Self { _driver: driver, _profile: profile, session: base, http };
        let begun = chromium.ask(Method::POST, "", wanted).await;
        chromium.session = format!("{}/{}", chromium.session, begun["sessionId"].as_str().unwrap());
        Some(chromium)
    }

    pub async fn try_ask(&self, method: Method, path: &str, body: Value) -> Result<Value, Value> {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.session));
        if method == Method::POST {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.send().await.unwrap();
        let good = response.status().is_success();
        let answer: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        if good { Ok(answer["value"].clone()) } else { Err(answer["value"].clone()) }
    }

    pub async fn ask(&self, method: Method, path: &str, body: Value) -> Value {
        let asked = self.try_ask(method, path, body).await;
        asked.unwrap_or_else(|error| panic!("{path}: {} {}", error["error"], error["message"]))
    }

    pub async fn go(&self, url: &str) {
        self.ask(Method::POST, "/url", json!({"url": url})).await;
    }

    pub async fn url(&self) -> String {
        self.ask(Method::GET, "/url", Value::Null).await.as_str().unwrap().to_owned()
    }

    pub async fn text(&self) -> String {
        let script = json!({"script": "return document.body.innerText", "args": []});
        let mut last = Value::Null;
        for _ in 0..LOOKS {
            match self.try_ask(Method::POST, "/execute/sync", script.clone()).await {
                Ok(text) => return text.as_str().unwrap().to_owned(),
                // Most likely another page is coming.
                Err(error) => last = error,
            }
            tokio::time::sleep(PAUSE).await;
        }
        panic!("no page stays: {} {}", last["error"], last["message"]);
    }

    pub async fn find(&self, selector: &str) -> String {
        let found =
            self.ask(Method::POST, "/element", json!({"using": "css selector", "value": selector})).await;
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    pub async fn click(&self, selector: &str) {
        let element = self.find(selector).await;
        self.ask(Method::POST, &format!("/element/{element}/click"), json!({})).await;
    }

    pub async fn fill(&self, selector: &str, text: &str) {
        let element = self.find(selector).await;
        self.ask(Method::POST, &format!("/element/{element}/value"), json!({"text": text})).await;
    }

    /// Waits until the address has this in it.
    pub async fn until_at(&self, part: &str) {
        for _ in 0..LOOKS {
            if self.url().await.contains(part) {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
        panic!("never came to {part}: at {}, which says:\n{}", self.url().await, self.text().await);
    }

    /// Waits until the page says this.
    pub async fn until_says(&self, what: &str) {
        for _ in 0..LOOKS {
            if self.text().await.contains(what) {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
        panic!("{} never says {what}, but:\n{}", self.url().await, self.text().await);
    }

    /// An authenticator of this machine, whose user it has verified. Gives its id.
    pub async fn authenticator(&self) -> String {
        let kind = json!({"protocol": "ctap2", "transport": "internal", "hasResidentKey": true,
            "hasUserVerification": true, "isUserVerified": true});
        self.ask(Method::POST, "/webauthn/authenticator", kind).await.as_str().unwrap().to_owned()
    }

    /// What a script gives.
    pub async fn script(&self, script: &str, args: Value) -> Value {
        self.ask(Method::POST, "/execute/sync", json!({"script": script, "args": args})).await
    }

    /// Presses keys and lets them go: characters, or WebDriver's code points for others (section 17.4.2). All but the last are held meanwhile.
    pub async fn press(&self, keys: &[char]) {
        let stroke = |kind: &str, key: &char| json!({"type": kind, "value": key.to_string()});
        let mut strokes: Vec<Value> = keys.iter().map(|key| stroke("keyDown", key)).collect();
        strokes.extend(keys.iter().rev().map(|key| stroke("keyUp", key)));
        let actions = json!({"actions": [{"type": "key", "id": "keyboard", "actions": strokes}]});
        self.ask(Method::POST, "/actions", actions).await;
    }

    pub async fn stop(self) {
        self.ask(Method::DELETE, "", Value::Null).await;
    }
}
