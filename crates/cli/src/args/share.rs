//! Arguments of `ostrom report`, `incident`, `publish` and `sync`: what talks to a node.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Which node, and as whom.
#[derive(Debug, Args)]
pub struct NodeAddress {
    /// The node.
    #[arg(long, env = "OSTROM_NODE", default_value = "http://localhost:7400", value_name = "URL")]
    pub node: String,
    /// The environment variable that holds a token: a person makes one on the node's account page.
    #[arg(long, default_value = "OSTROM_TOKEN", value_name = "NAME")]
    pub token_env: String,
}

/// Who may read what is shared.
#[derive(Debug, Args)]
pub struct Marks {
    /// The mark of the Traffic Light Protocol: clear, green, amber, amber+strict or red.
    #[arg(long, default_value = "amber")]
    pub tlp: String,
    /// A recipient: organisation:ID, person:ID or group:ID. Without any, amber is for your own organisation.
    #[arg(long, value_name = "PARTY")]
    pub to: Vec<String>,
    /// Nobody but your organisation and the recipients reads it before this time: 2026-12-24T12:00:00Z
    #[arg(long, value_name = "TIME")]
    pub embargo: Option<String>,
    /// The collection, by its id or alias.
    #[arg(long, default_value = "shared", value_name = "NAME")]
    pub collection: String,
    /// Seal it to the recipients before it leaves this machine: nodes and backups cannot read it.
    #[arg(long)]
    pub seal: bool,
    /// With --seal: a public key to seal to, instead of those that the node names.
    #[arg(long, value_name = "KEY", requires = "seal")]
    pub to_key: Vec<String>,
    /// With --seal: your own key's file. Recipients then know that its owner sealed it.
    #[arg(long, value_name = "FILE", requires = "seal")]
    pub from: Option<PathBuf>,
    /// With --seal: the title that stays in the clear.
    #[arg(long, value_name = "TEXT", default_value = "Sealed report")]
    pub open_title: String,
}

/// `ostrom report`.
#[derive(Debug, Args)]
pub struct FlawOptions {
    /// What it is, in one line.
    pub title: String,
    /// What happens, how to reproduce it: a text file, or - for standard input.
    #[arg(long, value_name = "FILE")]
    pub description: Option<PathBuf>,
    /// The model that it affects.
    #[arg(long)]
    pub model: Option<String>,
    /// Who makes the model.
    #[arg(long)]
    pub vendor: Option<String>,
    /// The model's version.
    #[arg(long)]
    pub model_version: Option<String>,
    /// How often it worked, of how many tries: 17/20
    #[arg(long, value_name = "K/N")]
    pub success: Option<String>,
    #[command(flatten)]
    pub marks: Marks,
    #[command(flatten)]
    pub node: NodeAddress,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}

/// How bad an incident is, after the OECD's terms.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum SeverityName {
    /// Could have led to harm.
    Hazard,
    /// Could have led to serious harm.
    SeriousHazard,
    /// Led to harm.
    Incident,
    /// Led to serious harm.
    SeriousIncident,
    /// Disrupted how a community works.
    Disaster,
}

/// `ostrom incident`.
#[derive(Debug, Args)]
pub struct IncidentOptions {
    /// What happened, in one line.
    pub title: String,
    /// What happened: a text file, or - for standard input.
    #[arg(long, value_name = "FILE")]
    pub description: Option<PathBuf>,
    /// How bad it is.
    #[arg(long, value_enum)]
    pub severity: Option<SeverityName>,
    /// When it happened: 2026-11-20T14:00:00Z
    #[arg(long, value_name = "TIME")]
    pub occurred: Option<String>,
    /// The model that was involved.
    #[arg(long)]
    pub model: Option<String>,
    #[command(flatten)]
    pub marks: Marks,
    #[command(flatten)]
    pub node: NodeAddress,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `ostrom publish`.
#[derive(Debug, Args)]
pub struct PublishOptions {
    /// A bundle of `ostrom eval`: its folder or archive. It is verified first.
    pub bundle: PathBuf,
    /// The public key that must have signed it; without it, the bundle's own counts.
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    #[command(flatten)]
    pub marks: Marks,
    #[command(flatten)]
    pub node: NodeAddress,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Forms of what others have published.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum SourceName {
    /// A STIX bundle, such as MITRE ATLAS's.
    Stix,
    /// incidents.min.json of genai-incidents.
    GenaiIncidents,
    /// AVID's reports or vulnerabilities: one, a list, or one on each line.
    Avid,
}

/// `ostrom import`.
#[derive(Debug, Args)]
pub struct ImportOptions {
    /// The file.
    pub file: PathBuf,
    /// What it is.
    #[arg(long = "as", value_enum, default_value = "stix")]
    pub source: SourceName,
    /// How public it is. A STIX bundle keeps its own marks.
    #[arg(long, default_value = "amber")]
    pub tlp: String,
    /// The collection, by its id or alias.
    #[arg(long, default_value = "shared", value_name = "NAME")]
    pub collection: String,
    #[command(flatten)]
    pub node: NodeAddress,
    /// Print the node's report as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `ostrom sync`.
#[derive(Debug, Args)]
pub struct SyncOptions {
    /// The folder to keep up to date: one file for each version of an object, and where to go on.
    pub folder: PathBuf,
    /// The collection, by its id or alias.
    #[arg(long, default_value = "shared", value_name = "NAME")]
    pub collection: String,
    #[command(flatten)]
    pub node: NodeAddress,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}
