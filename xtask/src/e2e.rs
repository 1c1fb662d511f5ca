//! The main job, end to end, as a stranger would do it: the release binary, the reference model, the report in a browser.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::repo;

/// The smallest screenshot, in bytes, that shows more than an empty page.
const SMALLEST_PICTURE: u64 = 20_000;
/// How long the browser may take before it is ended: some never end by themselves.
const BROWSER_LIMIT: Duration = Duration::from_secs(120);

/// The binary, and folders below the target folder.
pub struct Job {
    binary: PathBuf,
    /// Models are kept here between runs of the tests.
    home: PathBuf,
    /// Fresh for every run of the tests; the last one stays, to be looked at.
    scratch: PathBuf,
}

/// The bundles of the demo, undefended and defended.
pub struct Bundles {
    first: PathBuf,
    second: PathBuf,
}

impl Job {
    /// Looks for the binary and makes a fresh folder.
    ///
    /// # Errors
    /// If there is no binary, or the folder cannot be made.
    pub fn new() -> Result<Self, String> {
        let target = repo::target()?;
        let binary = target.join("release").join(format!("ostrom{}", std::env::consts::EXE_SUFFIX));
        if !binary.is_file() {
            return Err(format!("{} was not built", binary.display()));
        }
        let scratch = target.join("e2e");
        if scratch.exists() {
            fs::remove_dir_all(&scratch).map_err(at(&scratch))?;
        }
        fs::create_dir_all(&scratch).map_err(at(&scratch))?;
        Ok(Self { binary, home: target.join("ostrom-home"), scratch })
    }

    fn ostrom(&self, args: &[&str]) -> Command {
        self.ostrom_after(&[], args)
    }

    /// The binary, started by `before`.
    fn ostrom_after(&self, before: &[&str], args: &[&str]) -> Command {
        let mut command = match before {
            [] => repo::command(&self.binary),
            [first, rest @ ..] => {
                let mut command = repo::command(first);
                command.args(rest).arg(&self.binary);
                command
            }
        };
        command.env("OSTROM_HOME", &self.home).args(args);
        command
    }

    /// Fetches the model (once) and runs the demo, which needs no network from there on: it gets none.
    ///
    /// # Errors
    /// If the model cannot be fetched, the demo fails, or its JSON is not what it should be.
    pub fn demo(&self) -> Result<Bundles, String> {
        let mut pull = self.ostrom(&["model", "pull", "smollm2-135m"]);
        pull.stderr(Stdio::inherit());
        repo::output(pull).map_err(|error| {
            format!("the reference model cannot be fetched (is there a network?): {error}")
        })?;
        let before = without_network().unwrap_or_else(|| {
            println!("    this system takes no network away (unshare): the demo runs with one, so that it needs none is NOT shown");
            &[]
        });
        let mut demo = self.ostrom_after(before, &["demo", "--json", "--out"]);
        demo.arg(self.scratch.join("demo")).stderr(Stdio::inherit());
        let json = parse(&repo::output(demo)?)?;
        demo_holds(&json)
    }

    /// Runs real MCP servers from npm and PyPI behind the guard. They are fetched once, with their checksums.
    ///
    /// # Errors
    /// What did not hold.
    pub fn servers(&self) -> Result<(), String> {
        let mut command = repo::command("python3");
        command.arg("bench/guard/servers.py").arg("--ostrom").arg(&self.binary);
        command.arg("--work").arg(self.home.with_file_name("guard-servers"));
        repo::output(command).map(|said| println!("    {}", said.trim().replace('\n', "\n    ")))
    }

    /// Signs and verifies with `model_signing` in turns. It is fetched once, with its checksums.
    ///
    /// # Errors
    /// A verdict of either that is not the expected one.
    pub fn signing(&self) -> Result<(), String> {
        let mut command = repo::command("python3");
        command.arg("bench/signing/interop.py").arg("--ostrom").arg(&self.binary);
        command.arg("--work").arg(self.home.with_file_name("model-signing"));
        repo::output(command).map(|said| println!("    {}", said.trim().replace('\n', "\n    ")))
    }

    /// Verifies both bundles, and the first one against the key that signed it.
    ///
    /// # Errors
    /// If one does not hold.
    pub fn verify(&self, bundles: &Bundles) -> Result<(), String> {
        let key = self.home.join("data").join("keys").join("default.pem");
        for bundle in [&bundles.first, &bundles.second] {
            let mut verify = self.ostrom(&["eval", "verify", "--json"]);
            verify.arg(bundle).arg("--key").arg(&key);
            let json = parse(&repo::output(verify)?)?;
            let trials = json.get("trials").and_then(Value::as_u64).unwrap_or_default();
            for field in ["holds", "expectedSigner"] {
                expect(json.get(field) == Some(&Value::Bool(true)), format!("{field} is not true: {json}"))?;
            }
            expect(
                trials > 0 && json.get("failed") == Some(&Value::from(0)),
                format!("trials or failed: {json}"),
            )?;
        }
        Ok(())
    }

    /// Changes one byte of a copy, which must not verify.
    ///
    /// # Errors
    /// If it verifies, or the message does not name the file.
    pub fn tamper(&self, bundles: &Bundles) -> Result<(), String> {
        let copy = self.scratch.join("tampered");
        fs::create_dir_all(&copy).map_err(at(&copy))?;
        for entry in fs::read_dir(&bundles.first).map_err(at(&bundles.first))? {
            let path = entry.map_err(at(&bundles.first))?.path();
            if let (true, Some(name)) = (path.is_file(), path.file_name()) {
                fs::copy(&path, copy.join(name)).map_err(at(&path))?;
            }
        }
        let trials = copy.join("trials.jsonl");
        let mut bytes = fs::read(&trials).map_err(at(&trials))?;
        let middle = bytes.len() / 2;
        let byte = bytes.get_mut(middle).ok_or("trials.jsonl is empty")?;
        *byte ^= 1;
        fs::write(&trials, bytes).map_err(at(&trials))?;
        let mut verify = self.ostrom(&["eval", "verify"]);
        let output = verify.arg(&copy).output().map_err(at(&self.binary))?;
        let said = String::from_utf8_lossy(&output.stderr);
        expect(!output.status.success(), "a bundle with a changed byte was verified")?;
        expect(said.contains("trials.jsonl"), format!("the message does not name trials.jsonl: {said}"))
    }

    /// Opens the first bundle's report, takes its picture and reads its text.
    ///
    /// # Errors
    /// If the browser fails, the picture is empty, or the text lacks the main figure.
    pub fn report(&self, bundles: &Bundles, browser: &str) -> Result<(), String> {
        let report = bundles.first.join("report.html");
        let url = format!("file://{}", report.display());
        let picture = self.scratch.join("report.png");
        let text = self
            .browse(browser, &format!("--screenshot={}", picture.display()), &url, "picture.log")
            .and_then(|_| self.browse(browser, "--dump-dom", &url, "report.dom.html"))?;
        let size = fs::metadata(&picture).map_err(at(&picture))?.len();
        expect(size > SMALLEST_PICTURE, format!("{}: only {size} bytes", picture.display()))?;
        expect(
            text.to_lowercase().contains("attack success"),
            "the report in the browser lacks \"Attack success\"",
        )
    }

    /// Runs the browser on a page and returns what it printed.
    fn browse(&self, browser: &str, what: &str, url: &str, log: &str) -> Result<String, String> {
        let log = self.scratch.join(log);
        let out = fs::File::create(&log).map_err(at(&log))?;
        let mut command = repo::command(browser);
        command
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
            ])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--hide-scrollbars", "--window-size=1280,2000"])
            .arg(format!("--user-data-dir={}", self.scratch.join("browser").display()))
            .args([what, url])
            .stdout(out)
            .stderr(Stdio::null());
        let mut child = command.spawn().map_err(|error| format!("{browser} did not start: {error}"))?;
        let ended = wait(&mut child, BROWSER_LIMIT)?;
        expect(ended, format!("{browser} {what} did not end within {} s", BROWSER_LIMIT.as_secs()))?;
        fs::read(&log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).map_err(at(&log))
    }
}

/// What starts a program without any network: as an administrator, or in a user namespace.
fn without_network() -> Option<&'static [&'static str]> {
    const WAYS: [&[&str]; 2] =
        [&["unshare", "--net", "--"], &["unshare", "--user", "--map-root-user", "--net", "--"]];
    WAYS.into_iter().find(|way| {
        let (Some(program), Some(rest)) = (way.first(), way.get(1..)) else { return false };
        let mut look = repo::command(program);
        look.args(rest).args(["cat", "/proc/self/net/dev"]);
        repo::output(look).is_ok_and(|devices| only_itself(&devices))
    })
}

/// Whether a list of network devices, as Linux writes it, has nothing but the loopback.
fn only_itself(devices: &str) -> bool {
    let mut names = devices.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim());
    names.next() == Some("lo") && names.next().is_none()
}

/// Waits for a process, and ends it when the time is over. Whether it succeeded in time.
fn wait(child: &mut Child, limit: Duration) -> Result<bool, String> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            return Ok(status.success());
        }
        if begun.elapsed() > limit {
            let ended = child.kill().and_then(|()| child.wait());
            return ended.map(|_| false).map_err(|error| error.to_string());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What `ostrom demo --json` must say.
fn demo_holds(json: &Value) -> Result<Bundles, String> {
    let bundles: Vec<&str> = json
        .get("bundles")
        .and_then(Value::as_array)
        .map(|list| list.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let [first, second] = bundles.as_slice() else { return Err(format!("not two bundles: {bundles:?}")) };
    expect(json.get("verified") == Some(&Value::Bool(true)), "\"verified\" is not true")?;
    let metrics = json.get("metrics").and_then(Value::as_array).map_or(&[] as &[Value], Vec::as_slice);
    expect(metrics.len() == 2, "not two sets of figures")?;
    for figures in metrics {
        let trials = figures.pointer("/attack_success/trials").and_then(Value::as_u64).unwrap_or_default();
        expect(trials > 0, "no attack was tried")?;
        expect(figures.get("failed") == Some(&Value::from(0)), "trials failed")?;
    }
    expect(json.get("comparison").is_some_and(Value::is_object), "there is no comparison")?;
    Ok(Bundles { first: first.into(), second: second.into() })
}

fn parse(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("what was printed is no JSON: {error}"))
}

fn expect(holds: bool, message: impl Into<String>) -> Result<(), String> {
    if holds { Ok(()) } else { Err(message.into()) }
}

fn at(path: &Path) -> impl FnOnce(std::io::Error) -> String {
    move |error| format!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_program_without_network_sees_only_itself() {
        let head = "Inter-|   Receive  |  Transmit\n face |bytes    packets|bytes\n";
        assert!(only_itself(&format!("{head}    lo:       0       0\n")));
        assert!(!only_itself(&format!("{head}    lo:       0       0\n  eth0:  1  1\n")));
        assert!(!only_itself(head));
        // Wherever it is taken away, it is gone: nobody can even be looked for at this machine's own address.
        let Some(before) = without_network() else {
            assert!(
                !cfg!(target_os = "linux") || !works(&["unshare", "--net", "true"]),
                "unshare takes no network away"
            );
            return;
        };
        let connect = "exec 3<>/dev/tcp/127.0.0.1/";
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let script = format!("{connect}{}", listener.local_addr().unwrap().port());
        assert!(works(&["bash", "-c", &script]));
        assert!(!works(&[before, &["bash", "-c", &script]].concat()));
    }

    fn works(words: &[&str]) -> bool {
        let mut command = repo::command(words[0]);
        command.args(&words[1..]);
        repo::works(command)
    }

    #[test]
    fn a_demo_that_left_something_out_does_not_pass() {
        let figures = json!({"attack_success": {"trials": 3}, "failed": 0});
        let whole =
            json!({"bundles": ["a", "b"], "verified": true, "metrics": [figures, figures], "comparison": {}});
        assert!(demo_holds(&whole).is_ok());
        for (place, wrong) in [
            ("/bundles", json!(["a"])),
            ("/verified", json!(false)),
            ("/metrics", json!([figures])),
            ("/metrics/0/failed", json!(1)),
            ("/metrics/1/attack_success/trials", json!(0)),
            ("/comparison", json!(null)),
        ] {
            let mut changed = whole.clone();
            *changed.pointer_mut(place).unwrap() = wrong;
            assert!(demo_holds(&changed).is_err(), "{place}");
        }
    }
}
