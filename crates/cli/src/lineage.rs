//! `ostrom lineage` and `ostrom revoke`.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ostrom_core::Digest;
use ostrom_scan::lineage::{
    self, Artifact, Basis, Charset, Claims, Comparison, Direction, Edge, Graph, Lineage,
    Options as CompareOptions, Reached, Relation, Sample, Store, Verdict, copied, svg, tree,
};
use ostrom_scan::revocation::{Reinstatement, Revocation, Revocations};
use ostrom_trust::{Envelope, PublicKey};
use serde_json::{Value, json};

use crate::args::{LineageCommand, RevokeOptions, ShowOptions, WalkOptions};
use crate::eval::now;
use crate::fail::{Failure, io};
use crate::records::{self, Records, artifact, record, record_file};
use crate::{paths, show};

/// The largest record that is taken in, in bytes.
const MAX_RECORD: u64 = 1 << 20;

/// `ostrom lineage`.
pub fn run(command: LineageCommand) -> Result<ExitCode, Failure> {
    match command {
        LineageCommand::Add { child, from, relation, evidence, sign_key, json } => {
            let lineage = came_from(&child, &from, relation, evidence)?;
            add(&lineage, sign_key.as_deref(), json)
        }
        LineageCommand::Show(options) => show_tree(&options),
        LineageCommand::AffectedBy(options) => affected_by(&options),
        LineageCommand::Claims { path, json } => claims(&path, json),
        LineageCommand::Compare { a, b, all, json } => compare(&a, &b, all, json),
        LineageCommand::Import { files, json } => import(&files, json),
    }
}

fn came_from(child: &str, from: &[String], relation: Relation, evidence: bool) -> Result<Lineage, Failure> {
    let basis = if evidence { compared(child, from, relation)? } else { Basis::signer_says() };
    let children = vec![artifact(child)?];
    let parents = from.iter().map(|parent| artifact(parent)).collect::<Result<Vec<_>, _>>()?;
    Ok(Lineage { children, parents, relation, basis, recorded_unix: now() })
}

fn add(lineage: &Lineage, sign_key: Option<&Path>, json: bool) -> Result<ExitCode, Failure> {
    let id = record(&lineage.to_statement()?, sign_key)?;
    if json {
        let all = |of: &[(String, Digest)]| of.iter().map(named_json).collect::<Vec<_>>();
        show::json(&json!({"record": id, "file": record_file(id)?, "relation": lineage.relation.name(),
                           "children": all(&lineage.children),
                           "parents": all(&lineage.parents), "basis": lineage.basis}))?;
        return Ok(ExitCode::SUCCESS);
    }
    for (name, digest) in &lineage.children {
        for (parent, parent_digest) in &lineage.parents {
            println!(
                "{} ({}): {} {} ({})",
                show::one_line(name),
                digest.short(),
                lineage.relation.phrase(),
                show::one_line(parent),
                parent_digest.short()
            );
        }
    }
    println!("{}", show::one_line(&lineage.basis.describe()));
    recorded(id)?;
    Ok(ExitCode::SUCCESS)
}

/// Says where a record lies, for whoever gives it to others.
fn recorded(id: Digest) -> Result<(), Failure> {
    println!("record  sha256:{id}\nfile    {}", record_file(id)?.display());
    Ok(())
}

fn named_json((name, digest): &(String, Digest)) -> Value {
    json!({"name": name, "digest": digest})
}

fn edge_json(edge: &Edge) -> Value {
    json!({"child": edge.child, "parent": edge.parent, "relation": edge.relation.name(), "basis": edge.basis.name(),
           "trusted": edge.trusted, "record": edge.record})
}

/// Compares, for a copy the digests first, then tensors. What does not show the relation is not recorded.
fn compared(child: &str, from: &[String], relation: Relation) -> Result<Basis, Failure> {
    let [parent] = from else {
        return Err(Failure::new("--evidence compares with one parent; record the others without it"));
    };
    let (child, parent) = (Path::new(child), Path::new(parent));
    let mut digests = "";
    if relation == Relation::Copy {
        let (copy, original) = (Artifact::read(child)?, Artifact::read(parent)?);
        if copy.digest == original.digest {
            return Err(Failure::new(format!(
                "they are one artifact, sha256:{}: whatever is on record about either holds for both, and nothing needs to be recorded",
                copy.digest
            )));
        }
        if let Some(evidence) = copied(&copy, &original) {
            return Ok(Basis::Evidence(evidence));
        }
        digests = "the digests differ, and ";
    }
    let none = |why: String| {
        Failure::new(format!("no evidence for {relation}: {digests}{why}; nothing was recorded"))
    };
    let options = CompareOptions { seed: random_seed()?, ..CompareOptions::default() };
    let comparison = Comparison::of_paths(child, parent, options).map_err(|error| none(error.to_string()))?;
    comparison.evidence_for(relation).map(Basis::Evidence).ok_or_else(|| none(comparison.summary()))
}

/// Rows to compare that nobody could foresee.
fn random_seed() -> Result<u64, Failure> {
    let key = ostrom_trust::SecretKey::generate()?;
    Ok(Digest::of(key.public().to_pem()?.as_bytes()).seed())
}

fn show_tree(options: &ShowOptions) -> Result<ExitCode, Failure> {
    let records = Records::load(&options.trust)?;
    let (name, digest) = records.find(&options.artifact)?;
    let direction = if options.descendants { Direction::Descendants } else { Direction::Ancestors };
    let marks = records.revocations.marks(&records.graph);
    if let Some(out) = &options.svg {
        crate::sign::replace(out, svg(&records.graph, digest, direction, &marks).as_bytes())?;
    }
    if options.json {
        show::json(&tree_json(&records, &(name, digest), direction, options.svg.as_deref()))?;
        return complain(&records);
    }
    let plain = options.ascii || !std::io::stdout().is_terminal() && std::env::var_os("LANG").is_none();
    let charset = if plain { Charset::Ascii } else { Charset::Unicode };
    if records.graph.knows(digest) {
        show::text_out(format_args!("{}", tree(&records.graph, digest, direction, &marks, charset)));
    } else {
        println!("{} sha256:{digest}\nnothing is on record about it", show::one_line(&name));
    }
    if let Some(out) = &options.svg {
        println!("wrote   {}", out.display());
    }
    complain(&records)
}

/// All that [`show_tree`] draws: artifacts by distance, and the edges between them.
fn tree_json(records: &Records, root: &(String, Digest), direction: Direction, svg: Option<&Path>) -> Value {
    let graph = &records.graph;
    let marks = records.revocations.marks(graph);
    let walk = graph.walk(&[root.1], direction);
    let start = Reached { digest: root.1, distance: 0, trusted: true };
    let (mut artifacts, mut edges) = (Vec::new(), Vec::new());
    for reached in std::iter::once(&start).chain(walk.reached()) {
        let name = graph.name(reached.digest).unwrap_or_default();
        let mark = marks.get(&reached.digest).map(|mark| mark.name().to_lowercase());
        artifacts.push(json!({"name": name, "digest": reached.digest, "distance": reached.distance,
                              "trusted": reached.trusted, "mark": mark}));
        edges.extend(graph.around(reached.digest, direction).map(edge_json));
    }
    let direction = match direction {
        Direction::Ancestors => "ancestors",
        Direction::Descendants => "descendants",
    };
    json!({"artifact": named_json(root), "direction": direction, "known": graph.knows(root.1), "artifacts": artifacts,
           "edges": edges, "svg": svg})
}

/// Broken records are told, and make the exit status non-zero: any of them may say something else.
fn complain(records: &Records) -> Result<ExitCode, Failure> {
    if records.problems.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    Err(Failure::new(format!(
        "records in {} could not be used:\n  {}",
        paths::records()?.display(),
        records.problems.join("\n  ")
    )))
}

fn affected_by(options: &WalkOptions) -> Result<ExitCode, Failure> {
    let records = Records::load(&options.trust)?;
    let (name, digest, parts) = records.find_with_parts(&options.artifact)?;
    // What came from a file of a folder, or from a folder within it, came from the folder.
    let known = parts.iter().any(|part| records.graph.knows(*part));
    let walk = records.graph.walk(&parts, Direction::Descendants);
    let reached = walk.reached();
    if options.json {
        let list: Vec<_> = reached
            .iter()
            .map(|reached| {
                let chain: Vec<_> = walk.chain(reached.digest).into_iter().map(edge_json).collect();
                json!({"digest": reached.digest, "name": records.graph.name(reached.digest), "distance": reached.distance,
                       "trusted": reached.trusted, "chain": chain})
            })
            .collect();
        show::json(&json!({"artifact": {"name": name, "digest": digest}, "known": known, "affected": list}))?;
        return complain_unless(known, &name, &records);
    }
    if known {
        let part = if parts.len() > 1 { " or a part of it" } else { "" };
        let (artifacts, name) = (show::count(reached.len(), "artifact"), show::one_line(&name));
        let verb = if reached.len() == 1 { "descends" } else { "descend" };
        println!("{artifacts} {verb} from {name} (sha256:{}){part}", digest.short());
    }
    for reached in reached {
        let unverified = if reached.trusted { "" } else { "  (by records of keys that are not trusted)" };
        println!("\n{}  sha256:{}{unverified}", label(&records.graph, reached.digest), reached.digest);
        for edge in walk.chain(reached.digest) {
            let line = format!(
                "{}: {} {}, {}",
                label(&records.graph, edge.child),
                edge.relation.phrase(),
                label(&records.graph, edge.parent),
                edge.basis.describe()
            );
            println!("{}", show::wrapped(&line, "    "));
        }
    }
    complain_unless(known, &name, &records)
}

/// As [`complain`], and what no record knows is an error too: nobody may take it for something that nothing descends from.
fn complain_unless(known: bool, name: &str, records: &Records) -> Result<ExitCode, Failure> {
    let broken = complain(records);
    if known {
        return broken;
    }
    let name = show::one_line(name);
    let mut what = format!("no lineage is on record about {name}, so nobody knows what descends from it");
    if let Err(broken) = broken {
        what.push_str(&format!("; {broken}"));
    }
    Err(Failure::new(what))
}

fn label(graph: &Graph, digest: Digest) -> String {
    graph.name(digest).filter(|name| !name.is_empty()).map_or_else(|| digest.short(), str::to_owned)
}

fn claims(path: &Path, json: bool) -> Result<ExitCode, Failure> {
    let claims = Claims::read(path)?;
    let problems: Vec<String> =
        claims.problems.iter().map(|problem| format!("{}: {}", problem.name, problem.what)).collect();
    if json {
        show::json(
            &json!({"parents": claims.parents, "dataSets": claims.data_sets, "licences": claims.licences,
                           "notes": claims.notes, "problems": problems}),
        )?;
    } else {
        for parent in &claims.parents {
            let relation = parent.relation.map_or("comes from", Relation::phrase);
            println!("parent    {relation} {}  ({})", parent.name, parent.source);
        }
        for set in &claims.data_sets {
            println!("data set  {}  ({})", set.name, set.source);
        }
        for licence in &claims.licences {
            println!("licence   {}  ({})", licence.name, licence.source);
        }
        for (key, value) in &claims.notes {
            println!("{key}: {value}");
        }
        println!("These are claims of the files themselves; nothing of it is proved.");
    }
    if problems.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    Err(Failure::new(format!("claims that could not be read:\n  {}", problems.join("\n  "))))
}

fn compare(a: &Path, b: &Path, all: bool, json: bool) -> Result<ExitCode, Failure> {
    let sample = if all { Sample::All } else { CompareOptions::default().sample };
    let comparison = Comparison::of_paths(a, b, CompareOptions { seed: random_seed()?, sample })?;
    if json {
        show::json(&comparison)?;
    } else {
        println!("{}", show::wrapped(&comparison.summary(), ""));
    }
    if comparison.verdict == Verdict::Undecided {
        return Err(Failure::new("too little could be compared to decide"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Takes in what others have signed. Each file is checked as far as it can be without their key.
fn import(files: &[PathBuf], json: bool) -> Result<ExitCode, Failure> {
    let store = Store::new(paths::records()?);
    let keys = records::trusted(&[])?;
    let mut taken = Vec::new();
    let mut result = Ok(ExitCode::SUCCESS);
    for path in files {
        match import_one(&store, &keys, path) {
            Ok((id, kind, trusted)) if json => {
                taken.push(json!({"file": path, "record": id, "predicateType": kind, "trusted": trusted}))
            }
            Ok((id, kind, trusted)) => {
                let known = if trusted { "signed by a trusted key" } else { "of an unknown key" };
                println!("{}  {kind}, {known}", id.short());
            }
            Err(failure) => {
                result = Err(failure);
                break;
            }
        }
    }
    if json {
        show::json(&json!({"records": taken}))?;
    }
    result
}

/// Takes in one file: the record's digest, what kind it is, and whether a trusted key signed it.
fn import_one(store: &Store, keys: &[PublicKey], path: &Path) -> Result<(Digest, String, bool), Failure> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(io(path.display()))?;
    file.take(MAX_RECORD + 1).read_to_end(&mut bytes).map_err(io(path.display()))?;
    if bytes.len() as u64 > MAX_RECORD {
        return Err(Failure::new(format!("{} is larger than any record", path.display())));
    }
    let record = lineage::Record::from_slice(&bytes, keys)
        .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    let (kind, trusted) = (record.statement.predicate_type().to_string(), record.signers.is_trusted());
    // What could not be used when it is looked up is not taken in either; it would stand in the way of every look-up.
    let one = lineage::Records { records: vec![record], problems: Vec::new() };
    let (graph, revocations) = (Graph::new(&one)?, Revocations::new(&one));
    if let Some(problem) = graph.problems().iter().chain(revocations.problems()).next() {
        return Err(Failure::new(format!("{}: {}", path.display(), problem.what)));
    }
    let id = store.add(&Envelope::from_slice(&bytes)?)?;
    Ok((id, kind, trusted))
}

fn descendants(graph: &Graph, digest: Digest) -> usize {
    graph.affected_by(digest).reached().iter().filter(|reached| reached.distance > 0).count()
}

/// A revocation or reinstatement that went on record.
struct Revoking {
    record: Digest,
    reinstated: bool,
    revocation: Option<Digest>,
}

impl Revoking {
    fn json(&self, records: &Records, artifact: &(String, Digest)) -> Value {
        json!({"artifact": named_json(artifact), "record": self.record, "file": record_file(self.record).ok(),
               "reinstated": self.reinstated,
               "revoked": records.revocations.check(artifact.1).is_some(), "revocation": self.revocation,
               "affected": descendants(&records.graph, artifact.1)})
    }
}

/// `ostrom revoke`.
pub fn revoke(options: &RevokeOptions) -> Result<ExitCode, Failure> {
    let artifacts = vec![artifact(&options.artifact)?];
    let sign_key = options.sign_key.as_deref();
    let (name, digest) = artifacts.first().cloned().unwrap_or_else(|| (String::new(), Digest::of(b"")));
    // Whoever revoked with another key than the default one reinstates with it.
    let mut trust = Vec::new();
    trust.extend(options.sign_key.clone().filter(|key| key.exists()));
    if let Some(revocation) = options.reinstate {
        if Records::load(&trust)?.revocations.check(digest).is_none() {
            return Err(Failure::new(format!(
                "nothing to lift: no revocation of {} (sha256:{digest}) itself holds here; nothing was recorded",
                show::one_line(&name)
            )));
        }
        let lifted =
            Reinstatement { artifacts, revocation, reason: options.reason.clone(), recorded_unix: now() };
        let id = record(&lifted.to_statement()?, sign_key)?;
        let records = Records::load(&trust)?;
        let still = records.revocations.check(digest).is_some();
        if options.json {
            let lifted = Revoking { record: id, reinstated: true, revocation: Some(revocation) };
            show::json(&lifted.json(&records, &(name, digest)))?;
        } else {
            println!("reinstated {} (sha256:{digest})", show::one_line(&name));
            recorded(id)?;
        }
        if still {
            return Err(Failure::new(
                "it is still revoked: no such revocation is on record, another key made it, or there is a second one",
            ));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let replacement = options.replacement.as_deref().map(artifact).transpose()?;
    let revocation = Revocation {
        artifacts,
        reason: options.reason.clone(),
        severity: options.severity,
        replacement,
        recorded_unix: now(),
    };
    let id = record(&revocation.to_statement()?, sign_key)?;
    trust = options.sign_key.clone().into_iter().collect();
    let records = Records::load(&trust)?;
    let statement = records.revocations.check(digest).map(|revoked| revoked.statement);
    if options.json {
        let made = Revoking { record: id, reinstated: false, revocation: statement };
        show::json(&made.json(&records, &(name, digest)))?;
        return complain(&records);
    }
    println!("revoked {} (sha256:{digest})", show::one_line(&name));
    recorded(id)?;
    if Path::new(&options.artifact).is_dir() {
        println!(
            "a copy of the folder in which any file was added or changed has another digest: revoke the files that carry the harm as well"
        );
    }
    if let Some(statement) = statement {
        let artifact = show::one_line(&options.artifact);
        println!("to lift it: ostrom revoke {artifact} --reinstate {statement} --reason …");
    }
    let affected = descendants(&records.graph, digest);
    if affected > 0 {
        let verb = if affected == 1 { "descends" } else { "descend" };
        println!(
            "{} on record {verb} from it: ostrom lineage affected-by {}",
            show::count(affected, "artifact"),
            digest.short()
        );
    }
    complain(&records)
}
