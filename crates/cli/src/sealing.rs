//! `ostrom seal-key` and `open`, and sealing for `ostrom report` and `incident`.

use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use ostrom_core::{ObjectId, Timestamp};
use ostrom_exchange::seal::{OpeningKey, RecipientKey, SealError};
use ostrom_exchange::sealed;
use ostrom_node::client::{Client, SealedDraft};
use serde_json::{Map, Value, json};

use crate::args::{Giving, Marks, OpenOptions as Options, SealKeyCommand};
use crate::fail::{Failure, io};
use crate::share::client;
use crate::show;

/// The longest key file, in bytes.
const MAX_KEY: u64 = 4 << 10;
/// The longest file with a sealed object, in bytes.
const MAX_OBJECT: u64 = 32 << 20;
/// How a key's file begins, so that nobody takes it for something else.
const FIRST: &str = "# A key of ostrom seal-key. Whoever has it can read what is sealed to it.\n";

impl From<SealError> for Failure {
    fn from(error: SealError) -> Self {
        Self::new(error.to_string())
    }
}

/// `ostrom seal-key …`.
pub async fn run(command: SealKeyCommand) -> Result<ExitCode, Failure> {
    match command {
        SealKeyCommand::New(options) => {
            let Giving { label: name, at } = options.giving;
            let node = if options.register { Some(client(&at.node)?) } else { None };
            let key = OpeningKey::generate()?;
            write(&options.file, &key)?;
            let label = label(name, &options.file);
            let public = key.public();
            let given = match node {
                Some(node) => Some(node.give_sealing_key(&public, &label).await?.id),
                None => None,
            };
            if at.json {
                let key_id = public.id();
                show::json(
                    &json!({ "file": options.file, "public_key": public.to_string(), "key_id": key_id, "registered": given }),
                )?;
            } else {
                println!("The key is in {}. Keep it, and keep it secret.\n", options.file.display());
                println!("public key\n  {public}\nkey id, to be compared\n  {}\n", public.id());
                match given {
                    Some(id) => println!("Given out at the node as {id}."),
                    None => println!(
                        "Give the public key out: on the node's page Sealing keys if it is yours, or with\n`ostrom seal-key register` if it is your organisation's."
                    ),
                }
            }
        }
        SealKeyCommand::Register(options) => {
            let key = read(&options.file)?;
            let Giving { label: name, at } = options.giving;
            let label = label(name, &options.file);
            let given = client(&at.node)?.give_sealing_key(&key.public(), &label).await?;
            if at.json {
                show::json(&json!({ "id": given.id, "key_id": given.key_id, "label": given.label }))?;
            } else {
                println!("Given out as {}: key id\n  {}", given.id, given.key_id);
            }
        }
        SealKeyCommand::List(options) => {
            let keys = client(&options.at.node)?.sealing_keys().await?;
            if options.at.json {
                let keys: Vec<Value> = keys
                    .iter()
                    .map(|key| {
                        json!({ "id": key.id, "organisation": key.organisation, "person": key.person,
                        "public_key": key.public_key, "key_id": key.key_id, "label": key.label })
                    })
                    .collect();
                show::json(&keys)?;
                return Ok(ExitCode::SUCCESS);
            }
            if keys.is_empty() {
                println!("Nobody has given out a key yet. `ostrom seal-key new FILE --register` does.");
            }
            for key in keys {
                println!("{}", show::printable(&key.label));
                println!("  id            {}", key.id);
                match key.person {
                    Some(person) => println!("  person        {person}"),
                    None => println!("  organisation  {}", key.organisation),
                }
                println!("  key id        {}", key.key_id);
            }
        }
        SealKeyCommand::Retire(options) => {
            let id = options.id.parse().map_err(|_| {
                Failure::new(format!("{:?} is not a key's id: `ostrom seal-key list` shows them", options.id))
            })?;
            client(&options.at.node)?.retire_sealing_key(id).await?;
            if options.at.json {
                show::json(&json!({ "id": id, "retired": true }))?;
                return Ok(ExitCode::SUCCESS);
            }
            println!("Retired. What was sealed to it before still opens with its file.");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn label(given: Option<String>, file: &Path) -> String {
    let name =
        || file.file_name().map_or_else(|| "key".to_owned(), |name| name.to_string_lossy().into_owned());
    given.unwrap_or_else(name)
}

/// Writes a new key. A file that is there is never overwritten.
fn write(path: &Path, key: &OpeningKey) -> Result<(), Failure> {
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(io(path.display()))?;
    let text = format!("{FIRST}{}\n", key.to_secret_text());
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io(path.display()))
}

fn read(path: &Path) -> Result<OpeningKey, Failure> {
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(io(path.display()))?;
    file.take(MAX_KEY).read_to_string(&mut text).map_err(io(path.display()))?;
    let line = text.lines().find(|line| !line.starts_with('#') && !line.trim().is_empty());
    OpeningKey::from_secret_text(line.unwrap_or_default())
        .map_err(|_| Failure::new(format!("{} holds no key of `ostrom seal-key new`", path.display())))
}

/// `ostrom open`.
pub async fn open(options: Options) -> Result<ExitCode, Failure> {
    let key = read(&options.key)?;
    let id: Option<ObjectId> = options.object.parse().ok();
    let (id, bytes) = match id.filter(|_| !Path::new(&options.object).exists()) {
        Some(id) => {
            let found = client(&options.at.node)?.object(&id).await?.ok_or_else(|| {
                Failure::new(format!(
                    "there is no {id} for you at {}. A token does not see TLP:RED: get the object from\nits page (Export, STIX) and give the file instead of the id",
                    options.at.node.node
                ))
            })?;
            (id, found)
        }
        None => {
            let path = Path::new(&options.object);
            let mut bytes = Vec::new();
            let file = std::fs::File::open(path).map_err(io(path.display()))?;
            file.take(MAX_OBJECT).read_to_end(&mut bytes).map_err(io(path.display()))?;
            sealed::find(&bytes)?
        }
    };
    let opened = sealed::open(&bytes, &key)?;
    if opened.get("id").and_then(Value::as_str) != Some(id.as_str()) {
        return Err(Failure::new("the node sent another object than was asked for"));
    }
    if options.at.json {
        show::json(&opened)?;
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("The seal holds: {id}, its version, marks and owner are as they were sealed.\n");
    let text = |name: &str| opened.get(name).and_then(Value::as_str).map(show::printable);
    println!("{}", text("name").unwrap_or_else(|| "(no title)".to_owned()));
    if let Some(description) = text("description") {
        println!("\n{description}");
    }
    if let Some(extensions) = opened.get("extensions") {
        println!();
        show::json(extensions)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Seals what is reported, and shares what came of it.
pub async fn seal(
    node: &Client,
    kind: &str,
    marks: &Marks,
    secret: Value,
    as_json: bool,
) -> Result<ExitCode, Failure> {
    let keys = marks.to_key.iter().map(|text| {
        text.parse::<RecipientKey>().map_err(|error| Failure::new(format!("--to-key {text:?}: {error}")))
    });
    let Value::Object(secret) = secret else { return Err(Failure::new("there is nothing to seal")) };
    let (audience, embargo) = marks.parties()?;
    let draft = SealedDraft {
        collection: marks.collection.clone(),
        kind: kind.to_owned(),
        title: marks.open_title.clone(),
        secret: secret.into_iter().collect::<Map<_, _>>(),
        tlp: marks.tlp.parse().map_err(|error| Failure::new(format!("--tlp: {error}")))?,
        audience,
        embargo,
        keys: keys.collect::<Result<_, _>>()?,
        now: now()?,
    };
    let sealed = node.seal(&draft).await?;
    let written = &sealed.written;
    if as_json {
        let keys: Vec<Value> =
            sealed.keys.iter().map(|(id, label)| json!({ "key_id": id, "label": label })).collect();
        show::json(
            &json!({ "id": written.id, "version": written.version, "link": written.link, "sealed_to": keys }),
        )?;
    } else {
        println!("Reported, sealed: {}", show::printable(&written.link));
        println!("Sealed to");
        for (id, label) in &sealed.keys {
            let label = label.as_deref().map_or_else(|| "a key that you gave".to_owned(), show::printable);
            println!("  {label}\n    {id}");
        }
        println!("Recipients open it with\n  ostrom open {} --key FILE", written.id);
    }
    Ok(ExitCode::SUCCESS)
}

fn now() -> Result<Timestamp, Failure> {
    let wrong = || Failure::new("this machine's clock is wrong: set it");
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|_| wrong())?;
    let micros = i64::try_from(since.as_micros()).map_err(|_| wrong())?;
    Timestamp::from_micros(micros).map_err(|_| wrong())
}
