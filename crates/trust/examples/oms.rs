//! Signs and verifies model folders: the library's calls, one to one. `bench/signing/interop.py` and
//! `bench/signing/speed.py` drive it against `model_signing`.
//!
//!     cargo run -p ostrom-trust --example oms -- sign MODEL SIGNATURE --key KEY
//!     cargo run -p ostrom-trust --example oms -- verify MODEL SIGNATURE --public KEY

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;
use std::{env, fs};

use ostrom_trust::Passphrase;
use ostrom_trust::oms::{
    CertificateTime, CertificateTrust, Curve, DEFAULT_SHARD_SIZE, EcPublicKey, EcSecretKey, FastCache,
    Method, Progress, SignOptions, Signer, SigstoreTrust, Trust, TrustedRoot, VerifyOptions, authenticate,
    sign, verify, verify_fast,
};

use sha2::{Digest as _, Sha256};

type Failure = Box<dyn std::error::Error>;

const USAGE: &str = "oms keygen p256|p384|p521 SECRET PUBLIC
oms sign MODEL SIGNATURE --key SECRET [--passphrase P] [--certificate C [--chain C]…] [--hash H] [--shards [SIZE]]
oms verify MODEL SIGNATURE TRUST [--links] [--ignore NAME]… [--ignore-unsigned] [--fast CACHE]
oms authenticate SIGNATURE TRUST
oms ceiling BYTES                     seconds that SHA-256 takes for as many bytes in memory, on all cores
TRUST: --public KEY | --root C… [--at now|issued|SECONDS] | --trusted-root F --identity I --issuer I
also: --links, --ignore NAME, --no-ignore-git, --threads N, --time";

/// What the user wrote: words, and options with their values.
struct Arguments {
    words: Vec<String>,
    options: BTreeMap<String, Vec<String>>,
}

impl Arguments {
    fn read(arguments: impl Iterator<Item = String>) -> Self {
        let mut arguments = arguments.peekable();
        let (mut words, mut options) = (Vec::new(), BTreeMap::<_, Vec<_>>::new());
        while let Some(argument) = arguments.next() {
            match argument.strip_prefix("--") {
                None => words.push(argument),
                Some(name) => {
                    let value = arguments.next_if(|next| !next.starts_with("--"));
                    options.entry(name.to_owned()).or_default().extend([value.unwrap_or_default()]);
                }
            }
        }
        Self { words, options }
    }

    fn word(&self, index: usize) -> Result<&str, Failure> {
        self.words.get(index).map(String::as_str).ok_or_else(|| USAGE.into())
    }

    fn all(&self, name: &str) -> &[String] {
        self.options.get(name).map_or(&[], Vec::as_slice)
    }

    fn one(&self, name: &str) -> Option<&str> {
        self.all(name).first().map(String::as_str)
    }

    fn has(&self, name: &str) -> bool {
        self.options.contains_key(name)
    }

    fn threads(&self) -> Result<usize, Failure> {
        Ok(self.one("threads").map_or(Ok(0), str::parse)?)
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::read(env::args().skip(1));
    let start = Instant::now();
    match run(&arguments) {
        Ok(said) => {
            println!("{said}");
            if arguments.has("time") {
                eprintln!("{:.3} s", start.elapsed().as_secs_f64());
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<String, Failure> {
    match arguments.word(0)? {
        "keygen" => keygen(arguments),
        "sign" => sign_model(arguments),
        "verify" => verify_model(arguments),
        "authenticate" => {
            let found = authenticate(&fs::read(arguments.word(1)?)?, &trust(arguments)?)?;
            Ok(format!("{:?}\n{}", found.signer, String::from_utf8_lossy(&found.payload)))
        }
        "ceiling" => ceiling(arguments),
        _ => Err(USAGE.into()),
    }
}

/// What SHA-256 can do on the cores at hand when nothing has to be read.
fn ceiling(arguments: &Arguments) -> Result<String, Failure> {
    let bytes: u64 = arguments.word(1)?.parse()?;
    let cores = std::thread::available_parallelism()?.get();
    let rounds = bytes / cores as u64 / (256 << 10);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                let (buffer, mut hasher) = (vec![7_u8; 256 << 10], Sha256::new());
                (0..rounds).for_each(|_| hasher.update(&buffer));
                std::hint::black_box(hasher.finalize())
            });
        }
    });
    Ok(format!("{:.3}", start.elapsed().as_secs_f64()))
}

fn keygen(arguments: &Arguments) -> Result<String, Failure> {
    let curve = match arguments.word(1)? {
        "p256" => Curve::P256,
        "p384" => Curve::P384,
        "p521" => Curve::P521,
        _ => return Err(USAGE.into()),
    };
    let key = EcSecretKey::generate(curve)?;
    let passphrase = arguments.one("passphrase").map(Passphrase::new);
    key.save(Path::new(arguments.word(2)?), passphrase.as_ref())?;
    fs::write(arguments.word(3)?, key.public().to_pem())?;
    Ok(key.public().id())
}

fn signer(arguments: &Arguments) -> Result<Signer, Failure> {
    let passphrase = arguments.one("passphrase").map(Passphrase::new);
    let path = arguments.one("key").ok_or(USAGE)?;
    let key = EcSecretKey::load(Path::new(path), passphrase.as_ref())?;
    let Some(certificate) = arguments.one("certificate") else { return Ok(Signer::key(key)) };
    let chain = arguments.all("chain").iter().map(fs::read_to_string).collect::<Result<Vec<_>, _>>()?;
    Ok(Signer::certificate(key, &fs::read_to_string(certificate)?, chain.iter().map(String::as_str))?)
}

fn sign_model(arguments: &Arguments) -> Result<String, Failure> {
    let (model, signature) = (PathBuf::from(arguments.word(1)?), PathBuf::from(arguments.word(2)?));
    let method = match arguments.one("shards") {
        None => Method::Files,
        Some("") => Method::Shards(DEFAULT_SHARD_SIZE),
        Some(size) => Method::Shards(size.parse()?),
    };
    let options = SignOptions {
        hash: arguments.one("hash").map_or(Ok(Default::default()), str::parse)?,
        method,
        allow_symlinks: arguments.has("links"),
        ignore: arguments.all("ignore").to_vec(),
        ignore_git: !arguments.has("no-ignore-git"),
        threads: arguments.threads()?,
    };
    let signed = sign(&model, Some(&signature), &signer(arguments)?, &options, &|_: Progress| ())?;
    fs::write(&signature, &signed.bundle)?;
    Ok(format!("signed {} files, {} bytes, root {}", signed.files, signed.bytes, signed.root))
}

fn trust(arguments: &Arguments) -> Result<Trust, Failure> {
    if let Some(key) = arguments.one("public") {
        return Ok(Trust::Key(EcPublicKey::load(Path::new(key))?));
    }
    if arguments.has("root") {
        let time = match arguments.one("at") {
            None | Some("now") => CertificateTime::Now,
            Some("issued") => CertificateTime::Issued,
            Some(seconds) => CertificateTime::At(seconds.parse()?),
        };
        return Ok(Trust::Certificates(CertificateTrust::load(arguments.all("root"), time)?));
    }
    let root = TrustedRoot::load(Path::new(arguments.one("trusted-root").ok_or(USAGE)?))?;
    let identity = arguments.one("identity").ok_or(USAGE)?.to_owned();
    let issuer = arguments.one("issuer").ok_or(USAGE)?.to_owned();
    Ok(Trust::Sigstore(Box::new(SigstoreTrust { root, identity, issuer })))
}

fn verify_model(arguments: &Arguments) -> Result<String, Failure> {
    let (model, signature) = (PathBuf::from(arguments.word(1)?), PathBuf::from(arguments.word(2)?));
    let (bundle, trust) = (fs::read(&signature)?, trust(arguments)?);
    let options = VerifyOptions {
        allow_symlinks: arguments.has("links"),
        ignore: arguments.all("ignore").to_vec(),
        ignore_unsigned: arguments.has("ignore-unsigned"),
        threads: arguments.threads()?,
    };
    let quiet = |_: Progress| ();
    let verified = match arguments.one("fast") {
        None => verify(&model, Some(&signature), &bundle, &trust, &options, &quiet)?,
        Some(cache) => {
            let mut cache = FastCache::open(Path::new(cache))?;
            verify_fast(&model, Some(&signature), &bundle, &trust, &options, &mut cache, &quiet)?
        }
    };
    Ok(format!(
        "verified {} files, {} bytes, root {}, by {:?}; ignored {:?}, not covered {:?}, unsigned {:?}, fast {:?}",
        verified.files.len(),
        verified.bytes,
        verified.root,
        verified.signer,
        verified.ignored,
        verified.uncovered,
        verified.unsigned,
        verified.fast
    ))
}
