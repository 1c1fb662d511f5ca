//! The transparency log: makes one, verifies one, and says how long appending takes.
//!
//!     cargo run -p ostrom-trust --release --example log -- bench FOLDER COUNT [BYTES] [durable]
//!     cargo run -p ostrom-trust --example log -- verify FOLDER PUBLIC-KEY [OLDER-CHECKPOINT]…

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, fs};

use ostrom_trust::log::{Durability, Log, Options, verify, verify_against};
use ostrom_trust::{PublicKey, SecretKey};

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["bench", folder, count, rest @ ..] => bench(Path::new(folder), count, rest),
        ["verify", folder, key, older @ ..] => check(Path::new(folder), Path::new(key), older),
        _ => {
            Err("log bench FOLDER COUNT [BYTES] [durable] | log verify FOLDER PUBLIC-KEY [OLDER-CHECKPOINT]…"
                .into())
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn bench(folder: &Path, count: &str, rest: &[&str]) -> Result<bool, Failure> {
    let (count, is_durable) = (count.parse::<u64>()?, rest.contains(&"durable"));
    let bytes = rest.first().and_then(|bytes| bytes.parse().ok()).unwrap_or(400);
    let durability = if is_durable {
        Durability::Durable
    } else {
        Durability::Buffered { sync_every: Duration::from_millis(100) }
    };
    let (key, _) = SecretKey::load_or_create(&folder.join("key.pem"))?;
    fs::write(folder.join("key.pub.pem"), key.public().to_pem()?)?;
    let public = key.public();
    let log = Log::open(
        &folder.join("log"),
        key,
        "bench.example/log",
        &Options { durability, ..Options::default() },
    )?;
    println!("{}\nopened: {}", log.verifier(), log.recovery());

    let (mut record, mut times) = (vec![b'x'; bytes], Vec::new());
    let start = Instant::now();
    for number in 0..count {
        for (to, from) in record.iter_mut().zip(number.to_be_bytes()) {
            *to = from;
        }
        let before = Instant::now();
        log.append(&record)?;
        times.push(before.elapsed());
    }
    let all = start.elapsed();
    times.sort_unstable();
    let at = |part: f64| times.get((part * count as f64) as usize).copied().unwrap_or_default();
    println!(
        "append: {:.2?} each; p50 {:.2?}, p99 {:.2?}, p99.9 {:.2?}",
        all.div_f64(count.max(1) as f64),
        at(0.5),
        at(0.99),
        at(0.999)
    );
    let start = Instant::now();
    log.checkpoint()?;
    println!("checkpoint: {:.2?}", start.elapsed());
    log.close()?;
    let start = Instant::now();
    let report = verify(&folder.join("log"), &public)?;
    println!("verify: {:.2?}\n{report}", start.elapsed());
    Ok(report.is_sound())
}

fn check(folder: &Path, key: &Path, older: &[&str]) -> Result<bool, Failure> {
    let older: Vec<Vec<u8>> = older.iter().map(fs::read).collect::<Result<_, _>>()?;
    let older: Vec<&[u8]> = older.iter().map(Vec::as_slice).collect();
    let report = verify_against(folder, &PublicKey::load(key)?, &older)?;
    println!("{report}");
    Ok(report.is_sound())
}
