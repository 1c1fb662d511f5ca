//! `ostrom report`, `incident`, `publish`, `import` and `sync`: what talks to a node.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use ostrom_core::handling::{Embargo, Party};
use ostrom_core::{ObjectId, Timestamp};
use ostrom_exchange::types::{AI_EXTENSION, Affected, Rate};
use ostrom_lab::bundle;
use ostrom_node::Evaluated;
use ostrom_node::client::{Client, ClientError, NewObject, Place, Written};
use serde_json::{Map, Value, json};

use crate::args::{
    FlawOptions, ImportOptions, IncidentOptions, Marks, NodeAddress, PublishOptions, SeverityName,
    SourceName, SyncOptions,
};
use crate::eval::opened;
use crate::fail::{Failure, io};
use crate::{sealing, show};

/// The longest description, in bytes.
const MAX_DESCRIPTION: u64 = 1 << 20;
/// The largest file that is imported, in bytes: what a node takes at once.
const MAX_IMPORT: u64 = 32 << 20;
/// Objects that one page of a collection has.
const PAGE: usize = 500;
/// Where a synchronised folder keeps where to go on.
const CURSOR: &str = "sync.json";

/// `ostrom report`.
pub async fn report(options: FlawOptions) -> Result<ExitCode, Failure> {
    let mut extension = Map::new();
    if options.model.is_some() || options.vendor.is_some() {
        let affected = Affected {
            vendor: options.vendor,
            model: options.model,
            version: options.model_version,
            ..Affected::default()
        };
        extension.insert("affected".to_owned(), json!([affected]));
    }
    if let Some(success) = options.success {
        extension.insert("attack_success".to_owned(), json!([rate(&success)?]));
    }
    let flaw = object(&options.title, options.description.as_deref(), extension)?;
    let node = client(&options.node)?;
    if options.marks.seal {
        return sealing::seal(&node, "vulnerability", &options.marks, flaw, options.json).await;
    }
    let written = node.report(&options.marks.mark(flaw)?).await?;
    told("Reported", &written, options.json)
}

/// `ostrom incident`.
pub async fn incident(options: IncidentOptions) -> Result<ExitCode, Failure> {
    let mut extension = Map::new();
    if let Some(severity) = options.severity {
        let name = match severity {
            SeverityName::Hazard => "hazard",
            SeverityName::SeriousHazard => "serious-hazard",
            SeverityName::Incident => "incident",
            SeverityName::SeriousIncident => "serious-incident",
            SeverityName::Disaster => "disaster",
        };
        extension.insert("incident_severity".to_owned(), json!(name));
    }
    if let Some(time) = options.occurred {
        let time: Timestamp = time.parse().map_err(|error| Failure::new(format!("--occurred: {error}")))?;
        extension.insert("occurred".to_owned(), json!(time));
    }
    if let Some(model) = options.model {
        extension.insert("affected".to_owned(), json!([Affected::model(&model)]));
    }
    let incident = object(&options.title, options.description.as_deref(), extension)?;
    let node = client(&options.node)?;
    if options.marks.seal {
        return sealing::seal(&node, "incident", &options.marks, incident, options.json).await;
    }
    let written = node.incident(&options.marks.mark(incident)?).await?;
    told("Reported", &written, options.json)
}

/// `ostrom publish`.
pub async fn publish(options: PublishOptions) -> Result<ExitCode, Failure> {
    if options.marks.seal {
        return Err(Failure::new(
            "results of evaluations are not sealed: give --tlp and --to instead of --seal",
        ));
    }
    let node = client(&options.node)?;
    let (folder, _guard) = opened(&options.bundle)?;
    let key = options.key.as_deref().map(ostrom_trust::PublicKey::load).transpose()?;
    let (bundle, verification) = bundle::verify(&folder, key.as_ref())?;
    let Evaluated { object, software } = Evaluated::of(&bundle, &verification).map_err(Failure::new)?;
    let mut draft = options.marks.mark(Value::Object(object))?;
    draft.along = vec![software];
    let written = node.publish(&draft).await?;
    told("Published", &written, options.json)
}

/// `ostrom import`.
pub async fn import(options: ImportOptions) -> Result<ExitCode, Failure> {
    use std::io::Read as _;
    let node = client(&options.node)?;
    let name = options.file.display().to_string();
    let mut bytes = Vec::new();
    let file = std::fs::File::open(&options.file).map_err(io(&name))?;
    file.take(MAX_IMPORT.saturating_add(1)).read_to_end(&mut bytes).map_err(io(&name))?;
    if bytes.len() as u64 > MAX_IMPORT {
        return Err(Failure::new(format!(
            "{name} has more than 32 MiB, which no node takes at once: split it"
        )));
    }
    let source = match options.source {
        SourceName::Stix => "stix",
        SourceName::GenaiIncidents => "genai-incidents",
        SourceName::Avid => "avid",
    };
    let report = node.import(source, &options.collection, &options.tlp, bytes).await?;
    let number = |name: &str| report.get(name).and_then(Value::as_u64).unwrap_or_default();
    if options.json {
        show::json(&report)?;
    } else {
        for problem in report.get("problems").and_then(Value::as_array).into_iter().flatten().take(20) {
            let text = |name: &str| problem.get(name).and_then(Value::as_str).map(show::printable);
            let kept = problem.get("kept").and_then(Value::as_bool) == Some(true);
            let why =
                problem.get("why").and_then(|why| why.get(0)).and_then(Value::as_str).map(show::printable);
            let (record, why) = (text("record").unwrap_or_default(), why.unwrap_or_default());
            eprintln!("{record}: {}: {why}", if kept { "kept, with defects" } else { "refused" });
        }
        println!(
            "{} records, {} taken ({} were there already), {} with defects, {} refused",
            number("read"),
            number("taken"),
            number("same"),
            number("defective"),
            number("refused")
        );
    }
    // What was left out must not be taken for brought in.
    Ok(if number("refused") > 0 { ExitCode::from(4) } else { ExitCode::SUCCESS })
}

/// `ostrom sync`.
pub async fn sync(options: SyncOptions) -> Result<ExitCode, Failure> {
    let node = client(&options.node)?;
    std::fs::create_dir_all(&options.folder).map_err(io(options.folder.display()))?;
    let mut place = read_place(&options.folder, &options.collection)?;
    let mut fetched = 0_usize;
    loop {
        let (page, after) = node.sync_on(&options.collection, &place, PAGE).await?;
        for object in &page.objects {
            keep(&options.folder, object)?;
            fetched = fetched.saturating_add(1);
        }
        place = after;
        keep_place(&place, &options.folder, node.base().to_string(), &options.collection)?;
        if !page.more {
            break;
        }
        eprintln!("{fetched} objects so far");
    }
    if options.json {
        show::json(&json!({"folder": options.folder, "fetched": fetched}))?;
    } else {
        println!("{fetched} new objects in {}", options.folder.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// A node, with the token of the environment.
pub fn client(address: &NodeAddress) -> Result<Client, Failure> {
    let token = std::env::var(&address.token_env).map_err(|_| {
        Failure::new(format!(
            "the environment variable {} holds no token: make one on the account page of {} (--token-env names another variable)",
            address.token_env, address.node
        ))
    })?;
    Ok(Client::new(&address.node, &token)?)
}

impl Marks {
    fn mark(&self, object: Value) -> Result<NewObject, Failure> {
        let parties = self.to.iter().map(|text| party(text)).collect::<Result<Vec<_>, _>>()?;
        let mut handling =
            Map::from_iter([("tlp".to_owned(), json!(self.tlp)), ("audience".to_owned(), json!(parties))]);
        if let Some(until) = &self.embargo {
            let until: Timestamp =
                until.parse().map_err(|error| Failure::new(format!("--embargo: {error}")))?;
            handling.insert("embargo".to_owned(), json!({"until": until, "parties": parties}));
        }
        let handling = Value::Object(handling);
        Ok(NewObject { handling, ..NewObject::new(&self.collection, &self.tlp, object) })
    }

    /// The recipients, and the embargo.
    pub fn parties(&self) -> Result<(BTreeSet<Party>, Option<Embargo>), Failure> {
        let read = |text: &String| {
            let party = party(text)?;
            serde_json::from_value::<Party>(party).map_err(|_| {
                Failure::new(format!("--to {text:?}: the id is 36 characters, as the members page shows it"))
            })
        };
        let parties: BTreeSet<Party> = self.to.iter().map(read).collect::<Result<_, _>>()?;
        let until = self.embargo.as_deref().map(str::parse).transpose();
        let until: Option<Timestamp> = until.map_err(|error| Failure::new(format!("--embargo: {error}")))?;
        let embargo = until.map(|until| Embargo { until, parties: parties.clone() });
        Ok((parties, embargo))
    }
}

fn party(text: &str) -> Result<Value, Failure> {
    match text.split_once(':') {
        Some((kind @ ("organisation" | "person" | "group"), id)) => Ok(json!({kind: id})),
        _ => Err(Failure::new(format!(
            "--to {text:?}: write organisation:ID, person:ID or group:ID, with the id from the node's members page"
        ))),
    }
}

fn object(title: &str, description: Option<&Path>, extension: Map<String, Value>) -> Result<Value, Failure> {
    let mut object = Map::from_iter([("name".to_owned(), json!(title))]);
    if let Some(path) = description {
        object.insert("description".to_owned(), json!(text(path)?));
    }
    if !extension.is_empty() {
        let mut extension = extension;
        extension.insert("extension_type".to_owned(), json!("property-extension"));
        object.insert("extensions".to_owned(), json!({AI_EXTENSION: extension}));
    }
    Ok(Value::Object(object))
}

fn text(path: &Path) -> Result<String, Failure> {
    use std::io::Read as _;
    let mut text = String::new();
    let named = path.display().to_string();
    if named == "-" {
        std::io::stdin().take(MAX_DESCRIPTION).read_to_string(&mut text).map_err(io("standard input"))?;
    } else {
        let file = std::fs::File::open(path).map_err(io(&named))?;
        file.take(MAX_DESCRIPTION).read_to_string(&mut text).map_err(io(&named))?;
    }
    Ok(text)
}

/// `17/20`, with its 95 % interval.
fn rate(text: &str) -> Result<Rate, Failure> {
    let error =
        || Failure::new(format!("--success {text:?}: write how often it worked, of how many tries: 17/20"));
    let (successes, trials) = text.split_once('/').ok_or_else(error)?;
    let (successes, trials) = (successes.trim().parse(), trials.trim().parse());
    Rate::wilson(successes.map_err(|_| error())?, trials.map_err(|_| error())?).map_err(|_| error())
}

fn told(what: &str, written: &Written, json: bool) -> Result<ExitCode, Failure> {
    if json {
        show::json(
            &json!({"id": written.id, "version": written.version, "link": written.link, "leaf": written.leaf}),
        )?;
    } else {
        println!("{what}: {}", show::printable(&written.link));
    }
    Ok(ExitCode::SUCCESS)
}

/// Where a folder goes on: at the beginning, if it is new.
fn read_place(folder: &Path, collection: &str) -> Result<Place, Failure> {
    let path = folder.join(CURSOR);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Place::default()),
        Err(error) => return Err(io(path.display())(error)),
    };
    let wrong = |error: &dyn std::fmt::Display| {
        Failure::new(format!("{}: {error}; use another folder", path.display()))
    };
    let kept: Value = serde_json::from_str(&text).map_err(|error| wrong(&error))?;
    let part = |name: &str| kept.get(name).and_then(Value::as_str);
    if part("collection") != Some(collection) {
        return Err(wrong(&"it holds another collection"));
    }
    let added = part("added").map(str::parse).transpose();
    Ok(Place { added: added.map_err(|error| wrong(&error))?, next: part("next").map(str::to_owned) })
}

fn keep_place(place: &Place, folder: &Path, node: String, collection: &str) -> Result<(), Failure> {
    let kept = json!({"node": node, "collection": collection, "added": place.added, "next": place.next});
    write(&folder.join(CURSOR), kept.to_string().as_bytes())
}

/// Writes an object under a name that its id and version make, and nothing else that it says.
fn keep(folder: &Path, object: &Value) -> Result<(), Failure> {
    let part = |name: &str| object.get(name).and_then(Value::as_str);
    let id: ObjectId = part("id")
        .and_then(|id| id.parse().ok())
        .ok_or_else(|| Failure::new("the node sent an object without a proper id"))?;
    let version = part("modified").or(part("created")).map(str::parse::<Timestamp>).transpose();
    let version = version.map_err(|error| Failure::new(format!("{id}: {error}")))?;
    let version = version.map_or_else(|| "0".to_owned(), |version| version.micros().to_string());
    write(&folder.join(format!("{id}.{version}.json")), object.to_string().as_bytes())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let part = path.with_extension("part");
    std::fs::write(&part, bytes).and_then(|()| std::fs::rename(&part, path)).map_err(io(path.display()))
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::new(error.to_string())
    }
}
