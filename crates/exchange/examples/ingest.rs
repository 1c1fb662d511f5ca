//! How fast objects are taken: validated, marked, committed to in the transparency log, kept durably.
//!
//!     cargo run --release -p ostrom-exchange --example ingest -- [HOW-MANY] [BATCH] [DATABASE]
//!
//! Without a database it makes a SQLite file in a temporary folder. Prints objects per second, generating them not included.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ostrom_core::handling::{Handling, Policy, Reader, Tlp};
use ostrom_core::{CollectionId, OrgId, PersonId, Timestamp, Uuid};
use ostrom_exchange::service::{Actor, Exchange, Strictness};
use ostrom_exchange::stix::{Limits, marking};
use ostrom_store::{Collection, Config, Location, Role, Store};
use ostrom_trust::SecretKey;
use ostrom_trust::log::{Durability, Log, Options};
use serde_json::json;

const BEGIN: i64 = 1_700_000_000;

fn uuid(n: u128) -> Uuid {
    Uuid::from_u128(n | (4 << 76) | (2 << 62))
}

/// An envelope with `count` objects, of which every fourth is a relationship between two before it.
fn envelope(first: usize, count: usize) -> Vec<u8> {
    let time = Timestamp::EPOCH.plus_seconds(BEGIN);
    let id = |n: usize| format!("vulnerability--{}", uuid(n as u128));
    let objects: Vec<_> = (first..first + count)
        .map(|n| {
            let marks = [marking::tlp_id(Tlp::ALL.get(n % 3).copied().unwrap_or(Tlp::Green))];
            if n % 4 == 3 {
                json!({
                    "type": "relationship", "spec_version": "2.1", "id": format!("relationship--{}", uuid(n as u128)),
                    "created": time, "modified": time, "relationship_type": "related-to", "source_ref": id(n - 1),
                    "target_ref": id(n - 2), "object_marking_refs": marks,
                })
            } else {
                json!({
                    "type": "vulnerability", "spec_version": "2.1", "id": id(n), "created": time, "modified": time,
                    "name": format!("A flaw, number {n}"), "description": "What it does and how it is done. ".repeat(20),
                    "external_references": [{ "source_name": "cve", "external_id": format!("CVE-2026-{:05}", n % 100_000) }],
                    "labels": ["prompt-injection"], "object_marking_refs": marks,
                })
            }
        })
        .collect();
    json!({ "objects": objects }).to_string().into_bytes()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, usual: usize| args.get(at).map_or(Ok(usual), |text| text.parse());
    let (total, batch) = (number(0, 50_000)?, number(1, 1000)?.max(1));
    let folder = std::env::temp_dir().join(format!("ostrom-ingest-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let config = match args.get(2) {
        Some(text) => Config::new(text.parse::<Location>()?),
        None => Config::folder(&folder),
    };
    let store = Store::open(&config).await?;
    let durability = Durability::Buffered { sync_every: Duration::from_secs(1) };
    let options = Options { durability, ..Options::default() };
    let log = Arc::new(Log::open(&folder.join("log"), SecretKey::generate()?, "ingest/log", &options)?);
    let org = OrgId::new(uuid(1 << 100));
    let green = Handling::new(org, Tlp::Green);
    let collection = Collection {
        id: CollectionId::new(uuid(2 << 100)),
        alias: None,
        title: "Ingest".to_owned(),
        description: String::new(),
        may_read: None,
        may_write: Some(Policy::new([green.clone()])),
        handling: Some(green),
        media_types: Vec::new(),
        created: Timestamp::EPOCH,
    };
    let mut writing = store.writing(Timestamp::EPOCH).await?;
    writing.put_collection(&collection).await?;
    writing.commit().await?;
    let exchange = Exchange::new(store, log, None, Limits::default());
    let person = PersonId::new(uuid(3 << 100));
    let reader = Reader { organisation: Some(org), person: Some(person), ..Reader::anonymous(true) };
    let actor = Actor::person(person, [Role::Contributor].into(), reader);
    let (mut taken, mut busy, mut slowest) = (0, Duration::ZERO, Duration::ZERO);
    while taken < total {
        let bytes = envelope(taken, batch.min(total - taken));
        let now = Timestamp::EPOCH.plus_seconds(BEGIN + i64::try_from(taken)?);
        let begin = Instant::now();
        let outcomes = exchange.take_bytes(&actor, &collection, &bytes, Strictness::Strict, now).await?;
        let spent = begin.elapsed();
        if let Some(outcome) = outcomes.iter().find(|outcome| outcome.result.is_err()) {
            return Err(format!("not taken: {outcome:?}").into());
        }
        (busy, slowest) = (busy + spent, slowest.max(spent));
        taken += outcomes.len();
    }
    let rate = taken as f64 / busy.as_secs_f64();
    println!("{taken} objects in batches of {batch}: {rate:.0} objects/s, the slowest batch {slowest:.2?}");
    drop(exchange);
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
