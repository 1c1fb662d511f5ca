//! Does it show in how long an answer takes that something is hidden? Asks a node by turns for hidden objects and for objects that do not exist, and compares
//! how long the answers take:
//!
//!     cargo run --release -p ostrom-node --example timing -- [PAIRS] [OBJECTS]
//!
//! The node lies in a fresh folder with `OBJECTS` objects (default 10,000), every other one hidden from the reader; it is asked over one connection of
//! loopback, one request after the other, `PAIRS` (default 5,000) of each kind for each path, in random order. Welch's t test and the Mann-Whitney U test,
//! two-sided.

#![allow(
    clippy::cast_precision_loss,
    clippy::print_stdout,
    reason = "a measurement: counts are far below 2^52, and it prints a table"
)]

use std::collections::BTreeSet;
use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use ostrom_core::handling::{Handling, Policy, Tlp};
use ostrom_core::{CollectionId, Digest, OrgId, TokenId, Uuid};
use ostrom_exchange::service::{Actor, Strictness};
use ostrom_exchange::stix::marking::tlp_id;
use ostrom_node::sign_in::secret;
use ostrom_node::{App, Config, Node};
use ostrom_store::{Collection, Organisation, Token};
use serde_json::json;

type Failed = Box<dyn Error + Send + Sync>;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn id(&mut self) -> String {
        let bits = u128::from(self.next()) << 64 | u128::from(self.next());
        let bits = (bits & !(0xf << 76) & !(0x3 << 62)) | (4 << 76) | (2 << 62);
        format!("vulnerability--{}", Uuid::from_u128(bits))
    }
}

fn uuid() -> Result<[u8; 16], Failed> {
    secret::uuid().map_err(|failure| format!("{failure:?}").into())
}

/// A node with members and objects: the token of the reader, the collection, and the hidden ids.
struct Place {
    token: String,
    collection: CollectionId,
    hidden: Vec<String>,
}

async fn fill(app: &App, objects: usize, random: &mut Random) -> Result<Place, Failed> {
    let now = app.clock().now();
    let (writer, reader) = (OrgId::new(Uuid::from_bytes(uuid()?)), OrgId::new(Uuid::from_bytes(uuid()?)));
    let collection = Collection {
        id: CollectionId::new(Uuid::from_bytes(uuid()?)),
        alias: None,
        title: "Flaws".to_owned(),
        description: String::new(),
        may_read: None,
        may_write: Some(Policy::new([Handling::new(writer, Tlp::Green)])),
        handling: Some(Handling::new(writer, Tlp::Green)),
        media_types: vec![ostrom_exchange::taxii::STIX_MEDIA_TYPE.to_owned()],
        created: now,
    };
    let text = format!("ost_{}", "timing".repeat(7) + "x");
    let token = |organisation: OrgId, text: &str, scopes: &[&str]| Token {
        id: TokenId::new(organisation.uuid()),
        hash: Digest::from_bytes(secret::hash(text)),
        organisation,
        person: None,
        name: "a machine".to_owned(),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        collections: None,
        created: now,
        expires: now.plus_seconds(86_400),
        last_used: None,
        revoked: None,
    };
    let mut writing = app.store.writing(now).await?;
    for (id, name) in [(writer, "Writer"), (reader, "Reader")] {
        let one =
            Organisation { id, name: name.to_owned(), sectors: BTreeSet::new(), active: true, created: now };
        writing.put_organisation(&one).await?;
    }
    writing.put_collection(&collection).await?;
    writing.add_token(&token(reader, &text, &["read"])).await?;
    let machine = token(writer, "nobody's", &["read", "write"]);
    writing.add_token(&machine).await?;
    writing.commit().await?;
    let eyes = app.store.reader_of_organisation(writer, true).await?.ok_or("no writer")?;
    let actor = Actor::machine(&machine, eyes);
    let mut hidden = Vec::new();
    let ids: Vec<String> = (0..objects).map(|_| random.id()).collect();
    for (batch, ids) in ids.chunks(1_000).enumerate() {
        let mut all = Vec::new();
        for (number, id) in ids.iter().enumerate() {
            let is_hidden = number % 2 == 0;
            let mark = tlp_id(if is_hidden { Tlp::AmberStrict } else { Tlp::Clear });
            all.push(json!({"type": "vulnerability", "spec_version": "2.1", "id": id, "created": now.to_millis(),
                "modified": now.to_millis(), "name": format!("Flaw {batch} {number}"), "object_marking_refs": [mark]}));
            hidden.extend(is_hidden.then(|| id.clone()));
        }
        let bytes = json!({ "objects": all }).to_string();
        for outcome in
            app.exchange.take_bytes(&actor, &collection, bytes.as_bytes(), Strictness::Strict, now).await?
        {
            outcome.result.map_err(|refusal| refusal.to_string())?;
        }
    }
    Ok(Place { token: text, collection: collection.id, hidden })
}

/// One connection.
struct Line {
    stream: BufReader<TcpStream>,
    head: String,
}

impl Line {
    fn new(address: SocketAddr, token: &str) -> Result<Self, Failed> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let head = format!("host: localhost:{}\r\nauthorization: Bearer {token}\r\n\r\n", address.port());
        Ok(Self { stream: BufReader::new(stream), head })
    }

    /// How long an answer takes, in microseconds. It must be that there is nothing.
    fn ask(&mut self, path: &str) -> Result<f64, Failed> {
        let request = format!("GET {path} HTTP/1.1\r\n{}", self.head);
        let begin = Instant::now();
        self.stream.get_mut().write_all(request.as_bytes())?;
        let (mut first, mut length, mut line) = (String::new(), 0, String::new());
        self.stream.read_line(&mut first)?;
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            if line.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        let took = begin.elapsed().as_secs_f64() * 1e6;
        if first.contains(" 404 ") || (path.contains("match") && first.contains(" 200 ")) {
            return Ok(took);
        }
        Err(format!("{path}: {first}").into())
    }
}

/// The share of a standard normal distribution beyond ±`z` (Abramowitz and Stegun, 7.1.26: to 1.5e-7).
fn two_sided(z: f64) -> f64 {
    let x = z.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let sum: [f64; 5] = [1.061_405_429, -1.453_152_027, 1.421_413_741, -0.284_496_736, 0.254_829_592];
    sum.iter().fold(0.0_f64, |sum, part| sum.mul_add(t, *part)) * t * (-x * x).exp()
}

fn mean(all: &[f64]) -> f64 {
    all.iter().sum::<f64>() / all.len() as f64
}

/// The square of the mean's standard error.
fn error(all: &[f64]) -> f64 {
    let mean = mean(all);
    all.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / (all.len() as f64 - 1.0) / all.len() as f64
}

fn median(all: &[f64]) -> f64 {
    let mut all = all.to_vec();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Mann-Whitney's U as a standard normal value. Ties are rare: times are in nanoseconds.
fn mann_whitney(one: &[f64], other: &[f64]) -> f64 {
    let mut all: Vec<(f64, bool)> =
        one.iter().map(|x| (*x, true)).chain(other.iter().map(|x| (*x, false))).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let ranks: f64 =
        all.iter().zip(1_u32..).filter(|((_, is_one), _)| *is_one).map(|(_, rank)| f64::from(rank)).sum();
    let (n, m) = (one.len() as f64, other.len() as f64);
    let u = ranks - n * (n + 1.0) / 2.0;
    (u - n * m / 2.0) / (n * m * (n + m + 1.0) / 12.0).sqrt()
}

fn measure(address: SocketAddr, place: &Place, pairs: usize, random: &mut Random) -> Result<(), Failed> {
    let mut line = Line::new(address, &place.token)?;
    let collection = place.collection;
    println!(
        "| path | hidden, median µs | nowhere, median µs | difference of means, µs (95 %) | Welch's t, p | Mann-Whitney z, p |"
    );
    println!("|---|---|---|---|---|---|");
    for (name, path) in [
        ("TAXII object", format!("/taxii2/api/collections/{collection}/objects/{{id}}/")),
        ("TAXII versions", format!("/taxii2/api/collections/{collection}/objects/{{id}}/versions/")),
        ("TAXII, by filter", format!("/taxii2/api/collections/{collection}/objects/?match[id]={{id}}")),
        ("API object", "/api/v1/objects/{id}".to_owned()),
        ("API, why", "/api/v1/objects/{id}/why".to_owned()),
        ("API, who says what", "/api/v1/objects/{id}/voices".to_owned()),
        ("page", "/flaws/{id}".to_owned()),
    ] {
        let (mut hidden, mut nowhere) = (Vec::new(), Vec::new());
        // The first ones warm everything up, and are left out.
        for (number, id) in place.hidden.iter().cycle().take(pairs + pairs / 10).enumerate() {
            let (there, not) = (path.replace("{id}", id), path.replace("{id}", &random.id()));
            let (one, other) = if random.next().is_multiple_of(2) {
                let one = line.ask(&there)?;
                (one, line.ask(&not)?)
            } else {
                let other = line.ask(&not)?;
                (line.ask(&there)?, other)
            };
            if number >= pairs / 10 {
                hidden.push(one);
                nowhere.push(other);
            }
        }
        let (difference, width) = (mean(&hidden) - mean(&nowhere), (error(&hidden) + error(&nowhere)).sqrt());
        let (t, z) = (difference / width, mann_whitney(&hidden, &nowhere));
        println!(
            "| {name} | {:.1} | {:.1} | {difference:+.1} ± {:.1} | {t:+.1}, {:.3} | {z:+.1}, {:.3} |",
            median(&hidden),
            median(&nowhere),
            1.96 * width,
            two_sided(t),
            two_sided(z)
        );
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<usize>());
    let pairs = args.next().transpose()?.unwrap_or(5_000).max(100);
    let objects = args.next().transpose()?.unwrap_or(10_000).max(2);
    let folder = tempfile::tempdir()?;
    let mut config = Config::new(folder.path().join("node"));
    config.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    (config.limits.rate, config.limits.burst) = (1_000_000, 1_000_000);
    let node = Node::start(config).await?;
    let (app, address) = (node.app().clone(), node.address());
    let served = tokio::spawn(node.run(std::future::pending()));
    let mut random = Random(7);
    let place = fill(&app, objects, &mut random).await?;
    tokio::task::spawn_blocking(move || measure(address, &place, pairs, &mut random)).await??;
    served.abort();
    Ok(())
}
