//! Holds a TAXII 2.1 server, whoever made it, against the leak suite: what does a reader learn of objects that its marks hide from that reader?
//!
//!     export TAXII_WRITER='Bearer …' TAXII_READER='Basic …'
//!     cargo run -p ostrom-node --example taxii_leak -- API_ROOT WHOLE WITHOUT [--shown MARK,…] [--hidden MARK,…] [--worlds N] [--seed N] [--objects N]
//!
//! `API_ROOT` is its URL, `WHOLE` and `WITHOUT` are the ids of two new collections with the same policy, in which the writer writes and the reader reads. A mark is `clear`,
//! `green`, `amber`, `amber+strict` or `red` (of TLP 2.0), or the id of a marking definition. Use a server for tests: what is written stays there.
//!
//! It ends with 0 if nothing was found, 1 if something was, 2 if nothing can be said.

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use ostrom_core::ObjectId;
use ostrom_core::handling::Tlp;
use ostrom_exchange::leak::Seen;
use ostrom_exchange::leak::marked::{Eyes, Failing, Marked, Marks, Pair, Remote, play};
use ostrom_exchange::stix::marking;
use ostrom_exchange::taxii::MEDIA_TYPE;
use ostrom_node::net::{Fetch, Reach};
use reqwest::Method;

/// The largest answer that is read.
const LARGEST: usize = 64 << 20;

/// A server over HTTP.
pub struct Http {
    fetch: Fetch,
    root: String,
    writer: HeaderValue,
    reader: HeaderValue,
}

impl Http {
    /// The server with this API root; the credentials are values of `Authorization`.
    pub fn new(root: &str, writer: &str, reader: &str) -> Result<Self, String> {
        let secret = |name: &str, text: &str| {
            let mut value =
                HeaderValue::from_str(text).map_err(|_| format!("{name} is no value of a header"))?;
            value.set_sensitive(true);
            Ok::<_, String>(value)
        };
        // Without TLS only on this machine: the credentials would be read on the way.
        let here = ["http://localhost", "http://127.0.0.1", "http://[::1]"];
        let here = here.iter().any(|here| {
            root.strip_prefix(here).is_some_and(|rest| rest.starts_with(':') || rest.starts_with('/'))
        });
        let fetch =
            Fetch::new(Reach::All, here, Duration::from_secs(120)).map_err(|error| error.to_string())?;
        let root = format!("{}/", root.trim_end_matches('/'));
        Ok(Self {
            fetch,
            root,
            writer: secret("TAXII_WRITER", writer)?,
            reader: secret("TAXII_READER", reader)?,
        })
    }

    async fn ask(
        &self,
        method: Method,
        eyes: Eyes,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Seen, String> {
        let credential = if eyes == Eyes::Writer { &self.writer } else { &self.reader };
        let kind = HeaderValue::from_static(MEDIA_TYPE);
        let mut headers = HeaderMap::from_iter([(AUTHORIZATION, credential.clone()), (ACCEPT, kind.clone())]);
        if body.is_some() {
            headers.insert(CONTENT_TYPE, kind);
        }
        let url = format!("{}{path}", self.root);
        let reply = self.fetch.send(method, &url, headers, body, LARGEST).await;
        let reply = reply.map_err(|error| format!("{url}: {error}"))?;
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = reply.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        Ok(Seen { status: reply.status, headers, body: reply.body })
    }
}

impl Remote for Http {
    async fn get(&self, eyes: Eyes, path: &str) -> Result<Seen, String> {
        self.ask(Method::GET, eyes, path, None).await
    }

    async fn post(&self, eyes: Eyes, path: &str, body: Vec<u8>) -> Result<Seen, String> {
        self.ask(Method::POST, eyes, path, Some(body)).await
    }

    async fn pause(&self) {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

struct Options {
    root: String,
    pair: Pair,
    marks: Marks,
    worlds: u64,
    seed: u64,
    objects: usize,
}

/// `clear,marking-definition--…`
fn marks(text: &str) -> Result<Vec<ObjectId>, String> {
    let read = |mark: &str| {
        let tlp = mark.parse::<Tlp>().map(marking::tlp_id);
        tlp.or_else(|_| mark.parse())
            .map_err(|_| format!("{mark}: a mark is clear, green, amber, amber+strict, red or an id"))
    };
    text.split(',').map(read).collect()
}

fn options(args: impl Iterator<Item = String>) -> Result<Options, String> {
    let usage = "usage: taxii_leak API_ROOT WHOLE WITHOUT [--shown MARK,…] [--hidden MARK,…] [--worlds N] [--seed N] [--objects N]";
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut places = Vec::new();
    let (mut shown, mut hidden) = ("clear,green".to_owned(), "red".to_owned());
    let (mut worlds, mut seed, mut objects) = (3, now, 16);
    let mut args = args;
    while let Some(arg) = args.next() {
        let Some(name) = arg.strip_prefix("--") else {
            places.push(arg);
            continue;
        };
        let value = args.next().ok_or(usage)?;
        let number = || value.parse::<u64>().map_err(|_| format!("--{name} {value}: write a number"));
        match name {
            "shown" => shown.clone_from(&value),
            "hidden" => hidden.clone_from(&value),
            "worlds" => worlds = number()?,
            "seed" => seed = number()?,
            "objects" => objects = usize::try_from(number()?).unwrap_or(usize::MAX).min(500),
            _ => return Err(usage.to_owned()),
        }
    }
    let [root, whole, without] = <[String; 3]>::try_from(places).map_err(|_| usage)?;
    let marks = Marks { shown: marks(&shown)?, hidden: marks(&hidden)? };
    Ok(Options { root, pair: Pair { whole, without }, marks, worlds, seed, objects })
}

async fn run() -> Result<(), Failing> {
    let failed = Failing::Inconclusive;
    let Options { root, pair, marks, worlds, seed, objects } =
        options(std::env::args().skip(1)).map_err(failed)?;
    let secret = |name: &str| {
        std::env::var(name)
            .map_err(|_| failed(format!("{name} holds no credential, such as Bearer … or Basic …")))
    };
    let server = Http::new(&root, &secret("TAXII_WRITER")?, &secret("TAXII_READER")?).map_err(failed)?;
    for seed in (seed..).take(usize::try_from(worlds).unwrap_or(usize::MAX)) {
        let world = Marked::random(seed, objects, &marks);
        let (versions, hidden) = world.counts();
        let asked = play(&server, &pair, &world).await?;
        println!(
            "world {seed}: {versions} versions, {hidden} of them hidden, {asked} questions: nothing shows"
        );
    }
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failing::Leak(leak)) => {
            println!("A leak: {}", leak.question.path);
            println!("  with what is hidden:    {:?}", leak.whole);
            println!("  without what is hidden: {:?}", leak.without);
            ExitCode::FAILURE
        }
        Err(Failing::Inconclusive(why)) => {
            eprintln!("Nothing can be said: {why}");
            ExitCode::from(2)
        }
    }
}
