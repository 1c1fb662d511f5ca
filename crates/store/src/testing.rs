//! A throw-away PostgreSQL for the tests of this and other crates, from the programs of the Debian package `postgresql`.
//!
//! Tests of other crates take their database from [`database`]: then `examples/on_postgres` runs them all on PostgreSQL.
//!
//! Feature `testing`; not for anything else.

use std::fs;
use std::io::{self, Read as _};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ostrom_core::Digest;
use tempfile::TempDir;

use crate::{Config, Location};

/// The environment variable with the URL of a [`Postgres`] for all tests, without a database's name.
pub const SERVER: &str = "OSTROM_TEST_POSTGRES";

/// The database of a test that has this folder to itself: a file in it, or a database of the server that [`SERVER`] names.
/// For the same folder it is the same database.
///
/// # Errors
/// If the server makes no database; the message says why.
pub fn database(folder: &Path) -> Result<Config, String> {
    let Ok(server) = std::env::var(SERVER) else {
        return Ok(Config::folder(folder));
    };
    let name = format!("test_{}", Digest::of(folder.as_os_str().as_encoded_bytes()).short());
    let mut create = Command::new(programs().ok_or(INSTALL)?.join("createdb"));
    create.arg(format!("--maintenance-db={server}/postgres")).arg(&name);
    match run(create, None) {
        Err(error) if !error.contains("already exists") => Err(error),
        _ => Ok(Config::new(Location::Postgres(format!("{server}/{name}")))),
    }
}

/// What to do if there is none.
const INSTALL: &str = "no PostgreSQL here, and these tests need one: apt-get install postgresql";
/// How often we look whether it has started, and how long we wait in between.
const TRIES: u32 = 600;
const PAUSE: Duration = Duration::from_millis(50);

/// A PostgreSQL of its own, in a temporary folder. It ends with this value, and with the process, however that ends.
#[derive(Debug)]
pub struct Postgres {
    /// Its standard input: when that closes, it stops.
    child: Child,
    port: u16,
    folder: Option<TempDir>,
}

impl Postgres {
    /// Starts one.
    ///
    /// # Errors
    /// If it is not installed, or does not start; the message says what to do.
    pub fn start() -> Result<Self, String> {
        let programs = programs().ok_or(INSTALL)?;
        let folder =
            tempfile::Builder::new().prefix("ostrom-pg").tempdir().map_err(|error| error.to_string())?;
        let user = User::find();
        if let Some(user) = &user {
            user.own(folder.path())?;
        }
        let data = folder.path().join("data");
        let log = folder.path().join("log");
        let mut init = Command::new(programs.join("initdb"));
        init.args([
            "--no-sync",
            "--auth=trust",
            "--username=ostrom",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "-D",
        ]);
        init.arg(&data).current_dir(folder.path());
        run(init, user.as_ref())?;
        // Free a moment ago; if somebody else was quicker, the next one is tried.
        let mut last = String::new();
        for _ in 0..5 {
            let port = free_port()?;
            let mut child = serve(&programs, &data, &log, port, user.as_ref())?;
            match wait(&mut child, port) {
                Ok(()) => return Ok(Self { child, port, folder: Some(folder) }),
                Err(error) => {
                    drop(child.kill());
                    drop(child.wait());
                    last = format!("{error}: {}", fs::read_to_string(&log).unwrap_or_default());
                }
            }
        }
        Err(format!("PostgreSQL does not start: {last}"))
    }

    /// Starts one that lets nobody in without TLS: with this certificate and its key, in PEM.
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub fn start_tls(certificate: &str, key: &str) -> Result<Self, String> {
        let started = Self::start()?;
        let programs = programs().ok_or(INSTALL)?;
        let folder = started.folder.as_ref().ok_or(INSTALL)?.path().join("data");
        let user = User::find();
        for (name, text) in [("server.crt", certificate), ("server.key", key)] {
            let path = folder.join(name);
            let failed = |error: io::Error| format!("{}: {error}", path.display());
            fs::write(&path, text).map_err(failed)?;
            private(&path).map_err(failed)?;
            if let Some(user) = &user {
                user.own(&path)?;
            }
        }
        let rules = folder.join("pg_hba.conf");
        let failed = |error: io::Error| format!("{}: {error}", rules.display());
        fs::write(&rules, "hostssl all all 127.0.0.1/32 trust\nhostssl all all ::1/128 trust\n")
            .map_err(failed)?;
        let settings = folder.join("postgresql.auto.conf");
        fs::write(&settings, "ssl = on\n").map_err(|error| format!("{}: {error}", settings.display()))?;
        let mut reload = Command::new(programs.join("pg_ctl"));
        reload.arg("reload").arg("-D").arg(&folder).current_dir(&folder);
        run(reload, user.as_ref())?;
        // It takes a moment until the new rules hold.
        for _ in 0..TRIES {
            if !ask(started.port).unwrap_or(true) {
                return Ok(started);
            }
            std::thread::sleep(PAUSE);
        }
        Err("PostgreSQL still lets in who does not encrypt".to_owned())
    }

    /// Its port on this machine.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The URL of its database `postgres`, which is empty at first.
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// The URL of a database of that name.
    pub fn url_of(&self, database: &str) -> String {
        format!("{}/{database}", self.server())
    }

    /// Its URL, without a database's name: what [`SERVER`] holds.
    pub fn server(&self) -> String {
        format!("postgres://ostrom@127.0.0.1:{}", self.port)
    }

    /// Makes another, empty database and gives its URL.
    ///
    /// # Errors
    /// If it is there already.
    pub fn create(&self, database: &str) -> Result<String, String> {
        let programs = programs().ok_or(INSTALL)?;
        let mut create = Command::new(programs.join("createdb"));
        create.args(["-h", "127.0.0.1", "-U", "ostrom", "-p", &self.port.to_string(), database]);
        run(create, None)?;
        Ok(self.url_of(database))
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // The shell that watches the pipe stops the server and ends.
        drop(self.child.stdin.take());
        drop(self.child.wait());
        drop(self.folder.take());
    }
}

/// The folder of the newest PostgreSQL's programs.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let numbered = versions.filter_map(Result::ok).filter_map(|entry| {
        let number: u32 = entry.file_name().to_str()?.parse().ok()?;
        Some((number, entry.path().join("bin"))).filter(|(_, bin)| bin.join("initdb").is_file())
    });
    if let Some((_, bin)) = numbered.max() {
        return Some(bin);
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).find(|folder| folder.join("initdb").is_file())
}

/// PostgreSQL does not run as the administrator: then it runs as its own user.
struct User {
    uid: u32,
    gid: u32,
}

impl User {
    #[cfg(unix)]
    fn find() -> Option<Self> {
        use std::os::unix::fs::MetadataExt as _;
        if fs::metadata("/proc/self").ok()?.uid() != 0 {
            return None;
        }
        let users = fs::read_to_string("/etc/passwd").ok()?;
        let line = users.lines().find(|line| line.starts_with("postgres:"))?;
        let mut fields = line.split(':').skip(2);
        Some(Self { uid: fields.next()?.parse().ok()?, gid: fields.next()?.parse().ok()? })
    }

    #[cfg(not(unix))]
    fn find() -> Option<Self> {
        None
    }

    #[cfg(unix)]
    fn own(&self, folder: &Path) -> Result<(), String> {
        let done = std::os::unix::fs::chown(folder, Some(self.uid), Some(self.gid));
        done.map_err(|error| format!("{}: {error}", folder.display()))
    }

    #[cfg(not(unix))]
    fn own(&self, _folder: &Path) -> Result<(), String> {
        Ok(())
    }
}

#[cfg(unix)]
fn as_user(command: &mut Command, user: Option<&User>) {
    use std::os::unix::process::CommandExt as _;
    if let Some(user) = user {
        command.uid(user.uid).gid(user.gid);
    }
}

#[cfg(not(unix))]
fn as_user(_command: &mut Command, _user: Option<&User>) {}

/// For its owner alone: PostgreSQL takes no key that others can read.
#[cfg(unix)]
fn private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
}

#[cfg(not(unix))]
fn private(_path: &Path) -> io::Result<()> {
    Ok(())
}

fn run(mut command: Command, user: Option<&User>) -> Result<(), String> {
    as_user(&mut command, user);
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)))
    }
}

fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| error.to_string())?;
    listener.local_addr().map(|address| address.port()).map_err(|error| error.to_string())
}

/// Starts the server under a shell that stops it when the pipe from us closes: so it ends with us even if we are killed.
fn serve(programs: &Path, data: &Path, log: &Path, port: u16, user: Option<&User>) -> Result<Child, String> {
    let mut shell = Command::new("sh");
    let script = "exec 3<&0; \"$@\" </dev/null 3<&- & p=$!; (read x <&3; kill -QUIT $p 2>/dev/null) & w=$!; wait $p; s=$?; kill $w 2>/dev/null; exit $s";
    shell.args(["-c", script, "sh"]);
    shell.arg(programs.join("postgres")).arg("-D").arg(data);
    for setting in [
        format!("port={port}"),
        "listen_addresses=127.0.0.1".to_owned(),
        "unix_socket_directories=".to_owned(),
        // Nothing of it outlives the test; what a crash of PostgreSQL does is PostgreSQL's business.
        "fsync=off".to_owned(),
        "full_page_writes=off".to_owned(),
        "shared_buffers=32MB".to_owned(),
        "max_connections=50".to_owned(),
    ] {
        shell.arg("-c").arg(setting);
    }
    let open = || fs::File::create(log).map_err(|error| format!("{}: {error}", log.display()));
    shell.stdin(Stdio::piped()).stdout(open()?).stderr(open()?);
    if let Some(folder) = data.parent() {
        shell.current_dir(folder);
    }
    as_user(&mut shell, user);
    shell.spawn().map_err(|error| error.to_string())
}

/// Waits until it answers.
fn wait(child: &mut Child, port: u16) -> Result<(), String> {
    let mut last = String::new();
    for _ in 0..TRIES {
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            return Err(format!("it ended with {status}"));
        }
        match ask(port) {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(error) => last = error.to_string(),
        }
        std::thread::sleep(PAUSE);
    }
    Err(format!("it does not answer ({last})"))
}

/// Whether it lets somebody in: the start-up message of its protocol, answered with an `R`.
fn ask(port: u16) -> io::Result<bool> {
    use std::io::Write as _;
    let mut stream = std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    let mut message = vec![0, 3, 0, 0];
    message.extend_from_slice(b"user\0ostrom\0database\0postgres\0\0");
    let length = u32::try_from(message.len().saturating_add(4)).unwrap_or_default();
    stream.write_all(&length.to_be_bytes())?;
    stream.write_all(&message)?;
    let mut answer = [0];
    stream.read_exact(&mut answer)?;
    Ok(answer == *b"R")
}
