//! `guard.toml`: read, checked as a whole, expanded, named by a digest.

mod check;
mod facts;
mod rules;
mod schema;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use ostrom_core::Digest;
use ostrom_trust::digest_of;
use serde::{Deserialize, Serialize};

pub use facts::ServerFacts;
pub use rules::{
    ANYONE, Access, ArgumentRules, EVERYONE, EndorseRules, FieldRules, Influencers, MemoryRules, NameSet,
    Otherwise, ReaderSet, ResultRules, Reveal, SourceRules, THIS_SERVER, ToolRules,
};
pub use schema::{
    Approval, Audit, AuditMode, Auth, BackOauth, Budgets, CedarFiles, Channel, Front, FrontOauth, Guard,
    GuardFile, IncludedFile, Limits, Mode, Modes, Network, NewDefinitions, Plans, Run, Sandbox,
    SandboxLimits, Server, Webhook,
};

use super::cedar::Policies;
use super::problem::{Problem, Problems};
use super::read::{Document, MAX_FILE};

/// What stands for the file where there is none.
const COMMAND_LINE: &str = "the command line";

/// Files that one configuration may consist of, Cedar not counted.
const MAX_INCLUDES: usize = 64;

/// The policy that holds where a configuration names none.
pub const DEFAULT_CEDAR: &str = include_str!("../cedar/default.cedar");

/// The text of a file with policies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CedarText {
    /// As the configuration names it.
    pub name: String,
    /// What is in it.
    pub text: String,
}

impl CedarText {
    /// The policy that holds where a configuration names none.
    #[must_use]
    pub fn default_policy() -> Self {
        Self { name: "default.cedar".to_owned(), text: DEFAULT_CEDAR.to_owned() }
    }
}

/// The effective configuration: checked, defaults filled in, profiles spread out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    /// The guard itself.
    pub guard: Guard,
    /// Towards the agent.
    pub front: Front,
    /// Bounds.
    pub limits: Limits,
    /// What the user's own words are.
    pub run: Run,
    /// Who may submit plans.
    pub plans: Plans,
    /// The servers behind, with facts about their tools.
    pub servers: BTreeMap<String, ServerFacts>,
    /// How a person answers.
    pub approval: Approval,
    /// The record.
    pub audit: Audit,
    /// How many calls.
    pub budgets: Budgets,
    /// The policies.
    pub cedar: Vec<CedarText>,
    #[serde(skip)]
    version: Option<Digest>,
}

impl Config {
    /// Reads the configuration at `path`, and the files that it names.
    ///
    /// # Errors
    /// All problems found.
    pub fn load(path: &Path) -> Result<Self, Problems> {
        Self::load_all(path).map(|(config, _)| config)
    }

    /// As [`Config::load`], with the policies compiled.
    pub(super) fn load_all(path: &Path) -> Result<(Self, Policies), Problems> {
        Self::load_with(path, &read_file)
    }

    /// The files that the configuration at `path` is made of: itself, and those that it names.
    ///
    /// # Errors
    /// All problems found.
    pub fn files(path: &Path) -> Result<Vec<PathBuf>, Problems> {
        let files = std::cell::RefCell::new(Vec::new());
        let read = |path: &Path| {
            files.borrow_mut().push(path.to_owned());
            read_file(path)
        };
        let (config, _) = Self::load_with(path, &read)?;
        let mut files = files.take();
        // Keys decide who is let in.
        files.extend(config.servers.values().filter_map(|server| server.server.ca.clone()));
        files.extend(config.front.oauth.filter(FrontOauth::has_file).map(|oauth| PathBuf::from(oauth.jwks)));
        Ok(files)
    }

    fn load_with(
        path: &Path,
        read: &dyn Fn(&Path) -> io::Result<String>,
    ) -> Result<(Self, Policies), Problems> {
        let name = path.display().to_string();
        let folder = path.parent().unwrap_or(Path::new(""));
        let text = read(path).map_err(|error| {
            let mut problems = Problems::default();
            let hint = if error.kind() == io::ErrorKind::NotFound {
                "; name the file with --config, or begin with the one of docs/guard-tutorial.md"
            } else {
                ""
            };
            problems.push(Problem::new(&name, None, format!("cannot be read: {error}{hint}")));
            problems
        })?;
        Self::read_all(&name, &text, folder, read)
    }

    /// Reads a configuration from `text`. `folder` is what relative paths start from, `read` gets other files.
    ///
    /// # Errors
    /// All problems found.
    pub fn from_text(
        name: &str,
        text: &str,
        folder: &Path,
        read: &dyn Fn(&Path) -> io::Result<String>,
    ) -> Result<Self, Problems> {
        Self::read_all(name, text, folder, read).map(|(config, _)| config)
    }

    fn read_all(
        name: &str,
        text: &str,
        folder: &Path,
        read: &dyn Fn(&Path) -> io::Result<String>,
    ) -> Result<(Self, Policies), Problems> {
        let mut problems = Problems::default();
        let document = match Document::parse(name, text) {
            Ok(document) => document,
            Err(problem) => {
                problems.push(problem);
                return Err(problems);
            }
        };
        let mut file: GuardFile = document.read(&mut problems);
        check::front(&document, &file.front, &mut problems);
        check::bounds(&document, &file, &mut problems);
        check::approval(&document, &file.approval, &mut problems);

        let included = read_included(&document, &file.include, folder, read, &mut problems);
        let mut servers = std::mem::take(&mut file.servers);
        let mut server_names: Vec<String> = servers.keys().cloned().collect();
        let mut others: Vec<(Document<'_>, IncludedFile)> = Vec::new();
        for (name, text) in &included {
            match Document::parse(name, text) {
                Ok(document) => {
                    let file: IncludedFile = document.read(&mut problems);
                    server_names.extend(file.servers.keys().cloned());
                    others.push((document, file));
                }
                Err(problem) => problems.push(problem),
            }
        }
        let names: Vec<&str> = server_names.iter().map(String::as_str).collect();
        let cedar = read_cedar(&document, &file.policy.cedar, folder, read, &mut problems);
        // None at all: they could not be read, which is a problem already.
        let policies =
            if cedar.is_empty() { Ok(Policies::default()) } else { Policies::load(&cedar, &names) };
        let policies = policies.unwrap_or_else(|more| {
            problems.extend(more);
            Policies::default()
        });
        check::no_servers(&document, &names, &mut problems);
        check::plans(&document, &file.plans, &names, &mut problems);
        check::run(&document, &file.run, &names, &mut problems);
        check::budgets(&document, &file.budgets, &names, &mut problems);
        for (name, server) in &servers {
            check::server(&document, name, server, &names, &mut problems);
            check::caller(&document, &file.front, (name, server), &mut problems);
        }
        for (document, included) in others {
            for (name, server) in included.servers {
                check::server(&document, &name, &server, &names, &mut problems);
                check::caller(&document, &file.front, (&name, &server), &mut problems);
                match servers.entry(name) {
                    Entry::Vacant(free) => {
                        free.insert(server);
                    }
                    Entry::Occupied(taken) => {
                        let message =
                            "a server of this name is in another file already; give it another name";
                        problems.push(document.problem(&["servers", taken.key()], message));
                    }
                }
            }
        }
        let config = Self::expand(file, servers, cedar, folder).named(name, problems)?;
        Ok((config, policies))
    }

    /// With its digest, if there are no problems.
    fn named(mut self, name: &str, mut problems: Problems) -> Result<Self, Problems> {
        match digest_of(&self) {
            Ok(digest) => self.version = Some(digest),
            Err(error) => {
                problems.push(Problem::new(name, None, format!("cannot be named by a digest: {error}")));
            }
        }
        problems.unless(self)
    }

    /// The configuration of `ostrom guard wrap -- COMMAND`: one server, the profile that fits it, everything else at its
    /// default.
    ///
    /// # Errors
    /// If `command` is empty.
    pub fn wrap(command: &[String]) -> Result<Self, Problems> {
        let profile = super::profile_for(command);
        let name = profile.unwrap_or("wrapped");
        let mut file = GuardFile::default();
        let server =
            Server { command: command.to_vec(), profile: profile.map(str::to_owned), ..Server::default() };
        file.servers.insert(name.to_owned(), server);
        let mut problems = Problems::default();
        if command.is_empty() {
            problems.push(Problem::new(COMMAND_LINE, None, "no command; write it after `--`"));
        }
        let config =
            Self::expand(file.clone(), file.servers, vec![CedarText::default_policy()], Path::new(""));
        config.named(COMMAND_LINE, problems)
    }

    /// Reads an effective configuration back from its canonical JSON, of which [`Config::version`] is the digest.
    ///
    /// # Errors
    /// If it is not one of this version of Ostrom.
    pub fn from_snapshot(bytes: &[u8]) -> Result<Self, String> {
        let mut config: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        config.version = Some(digest_of(&config).map_err(|error| error.to_string())?);
        Ok(config)
    }

    /// With the digest of what it says now.
    ///
    /// # Errors
    /// If it has no digest.
    pub fn renamed(self) -> Result<Self, Problems> {
        self.named(COMMAND_LINE, Problems::default())
    }

    /// The digest of the effective configuration: the policy version. Always there but while the configuration is read.
    #[must_use]
    pub fn version(&self) -> Digest {
        self.version.unwrap_or_else(|| Digest::of(b""))
    }

    fn expand(
        file: GuardFile,
        servers: BTreeMap<String, Server>,
        cedar: Vec<CedarText>,
        folder: &Path,
    ) -> Self {
        let under = |path: PathBuf| if path.is_absolute() { path } else { folder.join(path) };
        let within = |path: &mut String| {
            if let Ok(text) = under(PathBuf::from(std::mem::take(path))).into_os_string().into_string() {
                *path = text;
            }
        };
        let GuardFile { mut guard, mut front, limits, run, plans, approval, mut audit, budgets, .. } = file;
        guard.state = guard.state.map(under);
        audit.folder = audit.folder.map(under);
        if let Some(oauth) = front.oauth.as_mut().filter(|oauth| oauth.has_file()) {
            within(&mut oauth.jwks);
        }
        let servers = servers
            .into_iter()
            .map(|(name, mut server)| {
                server.cwd = server.cwd.map(under);
                server.ca = server.ca.map(under);
                // A name alone is looked for in PATH.
                if let Some(program) = server.command.first_mut().filter(|program| program.contains('/')) {
                    within(program);
                }
                let sandbox = &mut server.sandbox;
                for paths in [&mut sandbox.read, &mut sandbox.write, &mut sandbox.execute] {
                    *paths = std::mem::take(paths).into_iter().map(under).collect();
                }
                let facts = ServerFacts::new(server);
                (name, facts)
            })
            .collect();
        Self { guard, front, limits, run, plans, servers, approval, audit, budgets, cedar, version: None }
    }
}

/// Reads a file of bounded size.
fn read_file(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let most = u64::try_from(MAX_FILE).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path)?.take(most).read_to_string(&mut text)?;
    Ok(text)
}

/// The included files, by their paths.
fn read_included(
    document: &Document<'_>,
    include: &[String],
    folder: &Path,
    read: &dyn Fn(&Path) -> io::Result<String>,
    problems: &mut Problems,
) -> Vec<(String, String)> {
    if include.len() > MAX_INCLUDES {
        let message = format!("more than {MAX_INCLUDES} files; put several servers into one");
        problems.push(document.problem(&["include"], message));
    }
    let mut files = Vec::new();
    for name in include.iter().take(MAX_INCLUDES) {
        match read(&folder.join(name)) {
            Ok(text) => files.push((folder.join(name).display().to_string(), text)),
            Err(error) => {
                problems.push(document.problem(&["include"], format!("{name:?} cannot be read: {error}")));
            }
        }
    }
    files
}

/// The policies, or the shipped one.
fn read_cedar(
    document: &Document<'_>,
    files: &[String],
    folder: &Path,
    read: &dyn Fn(&Path) -> io::Result<String>,
    problems: &mut Problems,
) -> Vec<CedarText> {
    if files.is_empty() {
        return vec![CedarText::default_policy()];
    }
    if files.len() > MAX_INCLUDES {
        let message = format!("more than {MAX_INCLUDES} files; put several policies into one");
        problems.push(document.problem(&["policy", "cedar"], message));
    }
    let mut texts = Vec::new();
    for name in files.iter().take(MAX_INCLUDES) {
        match read(&folder.join(name)) {
            Ok(text) => texts.push(CedarText { name: name.clone(), text }),
            Err(error) => {
                let message = format!("{name:?} cannot be read: {error}");
                problems.push(document.problem(&["policy", "cedar"], message));
            }
        }
    }
    texts
}
