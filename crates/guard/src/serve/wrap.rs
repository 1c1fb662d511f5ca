//! `ostrom guard wrap`: the configuration of one server that a command line names.

use std::ffi::OsStr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::installed::{installed, instead};
use super::{Log, ServeError};
use crate::policy::config::{Config, Mode, Modes, Network, NewDefinitions, Server};
use crate::policy::profile::Profile;
use crate::policy::{Fetched, Registry, fetched};

/// Where the memory server is told to keep its graph; by itself it takes the folder of its own code, which no sandbox lets it change.
const MEMORY: &str = "MEMORY_FILE_PATH";

/// What `ostrom guard wrap` was told.
#[derive(Debug, Clone, Default)]
pub struct Wrap {
    /// The server's command.
    pub command: Vec<String>,
    /// What it may read.
    pub read: Vec<PathBuf>,
    /// What it may read and change.
    pub write: Vec<PathBuf>,
    /// Whether it may use the network.
    pub network: bool,
    /// Variables for it: `NAME=VALUE`, or `NAME`, which takes the guard's own value.
    pub environment: Vec<String>,
    /// Not to start where the kernel cannot enforce its sandbox.
    pub require_sandbox: bool,
    /// No sandbox at all.
    pub no_sandbox: bool,
    /// Only to watch.
    pub observe: bool,
    /// A folder for what the server itself keeps, if it is one that has to be told. Made when it is needed.
    pub own: PathBuf,
}

impl Wrap {
    /// The configuration. `log` gets what a person should know of it; `folder` is the current one, `search` is `PATH`.
    ///
    /// # Errors
    /// If there is no command, a variable has no name, a path does not exist, or the command would get from the network what it runs,
    /// within a sandbox that does not let it.
    pub fn config(self, (folder, search): (&Path, &OsStr), log: &Log) -> Result<Config, ServeError> {
        let problem = |problems: crate::policy::Problems| ServeError::Configuration(problems.to_string());
        let mut config = Config::wrap(&self.command).map_err(problem)?;
        config.guard.new_definitions = NewDefinitions::TrustOnFirstUse;
        if self.observe {
            config.guard.mode = Mode::Observe;
        }
        for server in config.servers.values_mut().map(|server| &mut server.server) {
            if server.profile.is_none() && !self.observe {
                log(NO_PROFILE);
            }
            self.command(server, (folder, search), log)?;
            self.sandbox(server)?;
            self.variables(server)?;
        }
        config.renamed().map_err(problem)
    }

    /// What is started: in a sandbox never what gets itself from the network.
    fn command(
        &self,
        server: &mut Server,
        (folder, search): (&Path, &OsStr),
        log: &Log,
    ) -> Result<(), ServeError> {
        let Some(fetched) = fetched(&self.command).filter(|_| !self.no_sandbox) else { return Ok(()) };
        if let Some(found) = installed(&self.command, &fetched, folder, search) {
            log(&format!("{} is installed: starting {}", self.command.join(" "), found.join(" ")));
            server.command = found;
            return Ok(());
        }
        let Fetched { registry, wanted, .. } = &fetched;
        let known = server.profile.as_deref().and_then(Profile::named);
        let known = known
            .and_then(|profile| profile.programs.iter().find_map(|program| program.executable.as_deref()));
        let text = instead(&self.command, &fetched, known);
        // With a network Python's launchers may do; npx wants to make files executable too, which wrap does not grant.
        if wanted.is_none() || (self.network && *registry == Registry::Pypi) {
            log(&text);
            return Ok(());
        }
        Err(ServeError::Configuration(text))
    }

    fn sandbox(&self, server: &mut Server) -> Result<(), ServeError> {
        // A path that stands in the command is meant to be worked with.
        let named = self.command.iter().skip(1).map(PathBuf::from);
        let named: Vec<PathBuf> =
            named.filter(|path| path.is_absolute()).filter_map(|path| path.canonicalize().ok()).collect();
        let given = &mut server.sandbox;
        given.off = self.no_sandbox;
        given.require = self.require_sandbox;
        match server.profile.as_deref() {
            Some("filesystem" | "git") => given.write.extend(named.into_iter().filter(|path| path.is_dir())),
            _ => given.read.extend(named),
        }
        if server.profile.as_deref() == Some("git") {
            // It gives up where an object or a branch does not get its mode. To grant modes would be to grant those of all files.
            given.modes = Modes::Ignored;
        }
        given.read.extend(absolute(&self.read)?);
        given.write.extend(absolute(&self.write)?);
        if self.network {
            given.network = Network::All;
        }
        Ok(())
    }

    fn variables(&self, server: &mut Server) -> Result<(), ServeError> {
        for variable in &self.environment {
            let (name, value) = match variable.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (variable.as_str(), None),
            };
            if name.is_empty() {
                return Err(ServeError::Configuration(format!(
                    "--env {variable}: write NAME=VALUE, or NAME alone for the guard's own value"
                )));
            }
            match value {
                Some(value) => drop(server.variables.insert(name.to_owned(), value.to_owned())),
                None => server.env.push(name.to_owned()),
            }
        }
        let told = server.variables.contains_key(MEMORY) || server.env.iter().any(|name| name == MEMORY);
        if server.profile.as_deref() == Some("memory") && !told && !self.no_sandbox {
            let error = |source| ServeError::File { path: self.own.clone(), source };
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.own).map_err(error)?;
            let own = self.own.canonicalize().map_err(error)?;
            server.variables.insert(MEMORY.to_owned(), own.join("memory.jsonl").display().to_string());
            server.sandbox.write.push(own);
        }
        Ok(())
    }
}

/// Said at the start: otherwise the second call of an agent is the first to tell.
const NO_PROFILE: &str = "no profile knows this server: its tools count as critical and what they give as the server's word, so that after the \
    first answer a person is asked about every call (ostrom guard approve). Say in a guard.toml what its tools do, and start it with \
    ostrom guard run (docs/guard-config.md, \"Facts about tools\"); --observe only watches";

fn absolute(paths: &[PathBuf]) -> Result<Vec<PathBuf>, ServeError> {
    let resolve = |path: &PathBuf| {
        path.canonicalize().map_err(|source| ServeError::File { path: path.clone(), source })
    };
    paths.iter().map(resolve).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::{Arc, Mutex};

    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    /// The server that comes of it, and what was said.
    fn check(wrap: Wrap, folder: &Path) -> Result<(Server, String), String> {
        let said = Arc::new(Mutex::new(String::new()));
        let heard = said.clone();
        let log: Log = Arc::new(move |line: &str| heard.lock().unwrap().push_str(line));
        let config = wrap
            .config((folder, folder.join("prefix/bin").as_os_str()), &log)
            .map_err(|error| error.to_string())?;
        let server = config.servers.into_values().next().unwrap().server;
        let said = said.lock().unwrap().clone();
        Ok((server, said))
    }

    fn wrap(line: &str) -> Wrap {
        Wrap { command: words(line), ..Wrap::default() }
    }

    /// A package with one program in a folder `node_modules`.
    fn package(modules: &Path, name: &str, bin: &str) -> PathBuf {
        let package = modules.join(name);
        std::fs::create_dir_all(package.join("dist")).unwrap();
        let manifest = format!("{{\"name\": {name:?}, \"version\": \"1.2.3\", \"bin\": {bin}}}");
        std::fs::write(package.join("package.json"), manifest).unwrap();
        let file = package.join("dist/index.js");
        std::fs::write(&file, "#!/usr/bin/env node\n").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        file
    }

    const FILES: &str = "@modelcontextprotocol/server-filesystem";
    const BIN: &str = "{\"mcp-server-filesystem\": \"dist/index.js\"}";

    #[test]
    fn npx_comes_down_to_what_is_installed_here_or_for_everybody() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        let here = package(&base.join("node_modules"), FILES, BIN);
        std::fs::create_dir_all(base.join("prefix/bin")).unwrap();
        std::fs::write(base.join("prefix/bin/npx"), "").unwrap();
        let global = package(&base.join("prefix/lib/node_modules"), "plain", "\"dist/index.js\"");
        for (line, file) in [
            (format!("npx {FILES} /data -y"), &here),
            (format!("npx -y {FILES}@1.2.3 /data -y"), &here),
            (format!("npx -p {FILES} mcp-server-filesystem /data -y"), &here),
            ("npx plain /data -y".to_owned(), &global),
        ] {
            let (server, said) = check(wrap(&line), &base).unwrap();
            assert_eq!(server.command, [file.to_str().unwrap(), "/data", "-y"], "{line}");
            assert!(said.contains("is installed"), "{said}");
        }
        // Facts come from what was asked for.
        assert_eq!(
            check(wrap(&format!("npx {FILES}")), &base).unwrap().0.profile.as_deref(),
            Some("filesystem")
        );
        // Without a sandbox npx finds it itself.
        let free = Wrap { no_sandbox: true, ..wrap(&format!("npx {FILES}")) };
        assert_eq!(check(free, &base).unwrap().0.command, words(&format!("npx {FILES}")));
    }

    #[test]
    fn what_would_be_fetched_into_a_sandbox_is_refused_with_what_to_do_instead() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        let error = check(wrap(&format!("npx -y {FILES}@2.0.0 /my data")), &base).unwrap_err();
        assert!(
            error.contains("npm install --prefix servers @modelcontextprotocol/server-filesystem@2.0.0"),
            "{error}"
        );
        assert!(
            error.contains("wrap -- servers/node_modules/.bin/mcp-server-filesystem /my data"),
            "{error}"
        );
        let error = check(wrap("uvx mcp-server-git==1.0 --repository /data"), &base).unwrap_err();
        assert!(
            error.contains("ostrom guard wrap -- servers/bin/mcp-server-git --repository /data"),
            "{error}"
        );
        // Another version than the one that is there, a program that it does not have, or one outside of the package.
        package(&base.join("node_modules"), FILES, BIN);
        package(&base.join("node_modules"), "astray", "\"../../x.js\"");
        std::fs::write(base.join("x.js"), "").unwrap();
        std::fs::set_permissions(base.join("x.js"), std::fs::Permissions::from_mode(0o755)).unwrap();
        package(&base.join("node_modules"), "other/../liar", "\"dist/index.js\"");
        for line in [
            &format!("npx {FILES}@2.0.0"),
            &format!("npx {FILES}@latest"),
            &format!("npx -p {FILES} cat"),
            "npx astray",
            "npx liar",
            "npx ./node_modules/liar",
            "npx ../x",
        ] {
            assert!(check(wrap(line), &base).is_err(), "{line}");
        }
        // Options that nobody knows, or a network: it is tried, and a person is told.
        for wrap in [wrap("npx -c x"), Wrap { network: true, ..wrap("uvx mcp-server-git") }] {
            assert!(check(wrap, &base).unwrap().1.contains("from the network"));
        }
    }

    #[test]
    fn a_git_server_may_write_where_it_works_and_its_modes_are_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        let line = format!("mcp-server-git --repository {}", base.display());
        let (server, said) = check(wrap(&line), &base).unwrap();
        assert_eq!((server.sandbox.write, server.sandbox.modes), (vec![base.clone()], Modes::Ignored));
        assert_eq!(said, "");
        let (server, said) = check(wrap(&format!("./mine {}", base.display())), &base).unwrap();
        assert_eq!((server.sandbox.write, server.sandbox.modes), (vec![], Modes::Refused));
        assert!(said.contains("no profile knows this server"), "{said}");
    }

    #[test]
    fn variables_are_the_ones_given_and_a_memory_has_a_folder_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        let memory = || Wrap { own: base.join("kept/own"), ..wrap("mcp-server-memory") };
        let (server, _) = check(memory(), &base).unwrap();
        assert_eq!(server.variables[MEMORY], base.join("kept/own/memory.jsonl").display().to_string());
        assert_eq!(server.sandbox.write, [base.join("kept/own")]);
        assert_eq!(std::fs::metadata(base.join("kept/own")).unwrap().permissions().mode() & 0o777, 0o700);
        let given = Wrap { environment: vec![format!("{MEMORY}=/x=y"), "TOKEN".to_owned()], ..memory() };
        let (server, _) = check(given, &base).unwrap();
        assert_eq!((server.variables[MEMORY].as_str(), server.env), ("/x=y", vec!["TOKEN".to_owned()]));
        assert!(server.sandbox.write.is_empty());
        assert!(check(Wrap { environment: vec!["=x".to_owned()], ..memory() }, &base).is_err());
    }
}
