//! Where a program is, and which files belong to it: interpreter, packages, virtual environment.
//!
//! Only code is taken along, never a folder that may hold a person's data.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

/// Where systems keep programs; readable to every server.
pub(super) const SYSTEM: [&str; 10] =
    ["/usr", "/lib", "/lib32", "/lib64", "/libx32", "/bin", "/sbin", "/nix/store", "/gnu/store", "/snap"];

/// How many interpreters of interpreters are followed.
const DEPTH: usize = 5;

/// How far up from a script its project is looked for.
const LEVELS: usize = 6;

/// Files that mark the folder of a project.
const MARKERS: [&str; 8] = [
    "package.json",
    "pyproject.toml",
    "setup.py",
    "requirements.txt",
    "uv.lock",
    "deno.json",
    "Gemfile",
    "composer.json",
];

/// A program that runs other people's code.
struct Interpreter {
    names: &'static [&'static str],
    /// Short options after which there is no script: what they are given, or name, is the code.
    code: &'static str,
    /// Short options whose value may follow in the same word.
    values: &'static str,
}

/// Programs whose first argument that is a file and no option is the real program.
const INTERPRETERS: [Interpreter; 6] = [
    Interpreter { names: &["node", "nodejs", "deno", "bun", "tsx"], code: "ep", values: "rC" },
    Interpreter { names: &["python", "pypy"], code: "cm", values: "WX" },
    Interpreter { names: &["ruby"], code: "e", values: "CEFIKTWrx" },
    Interpreter { names: &["perl"], code: "eE", values: "CDFIMVimx" },
    Interpreter { names: &["php"], code: "BERr", values: "cdfz" },
    Interpreter { names: &["sh", "bash", "dash", "zsh"], code: "c", values: "Oo" },
];

/// Options of any of them, written out, after which there is no script.
const CODE_OPTIONS: [&str; 2] = ["--eval", "--print"];

/// A program and what belongs to it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Located {
    /// The file to run, as it was found: not resolved further, since virtual environments know themselves by this path.
    pub(super) program: PathBuf,
    /// What it must be able to read and run, outside the system's folders: resolved.
    pub(super) trees: Vec<PathBuf>,
    /// Folders of programs, for `PATH`.
    pub(super) folders: Vec<PathBuf>,
}

/// Finds `program` as a shell would, in `search`, with what belongs to it. `None` if there is no such program. Arguments are seen from `folder`, if it
/// starts there.
pub(super) fn locate(
    program: &OsStr,
    (arguments, folder): (&[OsString], Option<&Path>),
    search: &OsStr,
    home: Option<&Path>,
) -> Option<Located> {
    let mut found = Located { program: find(program, search)?, ..Located::default() };
    let file = found.program.clone();
    found.take_program(&file, search, home, DEPTH);
    if let Some(interpreter) = interpreter(&file)
        && let Some(script) = interpreter.script(arguments, folder)
        && let Ok(script) = std::path::absolute(script)
    {
        found.take_code(&script, home);
        if let Ok(real) = script.canonicalize() {
            found.take_code(&real, home);
        }
    }
    Some(found)
}

fn find(program: &OsStr, search: &OsStr) -> Option<PathBuf> {
    if program.is_empty() {
        return None;
    }
    if program.as_bytes().contains(&b'/') {
        return std::path::absolute(program).ok().filter(|path| runs(path));
    }
    std::env::split_paths(search)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(program))
        .find(|path| runs(path))
}

fn runs(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

fn interpreter(path: &Path) -> Option<&'static Interpreter> {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let base = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    INTERPRETERS.iter().find(|interpreter| interpreter.names.contains(&base))
}

impl Interpreter {
    /// The script among the arguments, as seen from `folder`. Where they carry or name the code themselves, there is none: a file among them is
    /// then somebody's data, and must not open the project that it lies in.
    fn script(&self, arguments: &[OsString], folder: Option<&Path>) -> Option<PathBuf> {
        for argument in arguments {
            let word = argument.to_string_lossy();
            if self.is_code(&word) {
                return None;
            }
            let path = folder.map_or_else(|| PathBuf::from(argument), |folder| folder.join(argument));
            if !word.starts_with('-') && path.is_file() {
                return Some(path);
            }
        }
        None
    }

    fn is_code(&self, word: &str) -> bool {
        if word.starts_with("--") {
            return CODE_OPTIONS.contains(&word.split('=').next().unwrap_or(word));
        }
        let Some(letters) = word.strip_prefix('-') else {
            // Deno has it as a command.
            return word == "eval" && self.names.contains(&"deno");
        };
        letters
            .chars()
            .take_while(|letter| !self.values.contains(*letter))
            .any(|letter| self.code.contains(letter))
    }
}

impl Located {
    /// Takes a program along: as it is called, as it really is, and what runs it.
    fn take_program(&mut self, path: &Path, search: &OsStr, home: Option<&Path>, depth: usize) {
        if let Some(folder) = path.parent() {
            push(&mut self.folders, folder);
        }
        self.take_code(path, home);
        let Ok(real) = path.canonicalize() else { return };
        self.take_code(&real, home);
        let Some(depth) = depth.checked_sub(1) else { return };
        for interpreter in interpreters(&real) {
            if let Some(interpreter) = find(&interpreter, search) {
                self.take_program(&interpreter, search, home, depth);
            }
        }
    }

    /// Takes a file of code along, with its packages.
    fn take_code(&mut self, path: &Path, home: Option<&Path>) {
        if is_system(path) {
            return;
        }
        self.take(path, home);
        let modules =
            path.ancestors().filter(|folder| folder.file_name() == Some(OsStr::new("node_modules")));
        if let Some(modules) = modules.last() {
            self.take(modules, home);
        }
        let mut folders = path.ancestors().skip(1).take(LEVELS).filter(|folder| !is_broad(folder, home));
        if let Some(prefix) = folders.clone().find(|folder| folder.join("pyvenv.cfg").is_file()) {
            self.take(prefix, home);
            self.take_base(prefix, home);
        }
        // A program's prefix: the folder that has its `bin`.
        if let Some(bin) = path.parent().filter(|folder| folder.file_name() == Some(OsStr::new("bin")))
            && let Some(prefix) = bin.parent().filter(|prefix| !is_broad(prefix, home))
        {
            for part in ["bin", "lib", "lib64", "libexec"] {
                self.take_part(prefix, part, home);
            }
        }
        if let Some(project) =
            folders.find(|folder| MARKERS.iter().any(|marker| folder.join(marker).is_file()))
        {
            self.take(project, home);
        }
    }

    /// Takes along the Python that a virtual environment is made of.
    fn take_base(&mut self, prefix: &Path, home: Option<&Path>) {
        let Some(text) = beginning(&prefix.join("pyvenv.cfg")) else { return };
        let text = String::from_utf8_lossy(&text).into_owned();
        let bases =
            text.lines().filter_map(|line| line.split_once('=')).filter(|(key, _)| key.trim() == "home");
        for (_, bin) in bases {
            let bin = Path::new(bin.trim());
            let Some(base) = bin.parent().filter(|base| bin.is_absolute() && !is_broad(base, home)) else {
                continue;
            };
            for part in ["bin", "lib", "lib64"] {
                self.take_part(base, part, home);
            }
        }
    }

    /// Takes a folder of a prefix along, unless it is a link to elsewhere: whoever may write the prefix could have made that.
    fn take_part(&mut self, prefix: &Path, part: &str, home: Option<&Path>) {
        if let (Ok(prefix), Ok(real)) = (prefix.canonicalize(), prefix.join(part).canonicalize())
            && real.starts_with(prefix)
        {
            self.take(&real, home);
        }
    }

    /// Takes along what lies behind a path, since that is what Landlock's rules are about.
    fn take(&mut self, path: &Path, home: Option<&Path>) {
        let Ok(real) = path.canonicalize() else { return };
        let led_astray = real != path && real.is_dir() && is_broad(&real, home);
        if !is_system(&real) && !led_astray {
            push(&mut self.trees, &real);
        }
    }
}

fn push(list: &mut Vec<PathBuf>, path: &Path) {
    if !list.iter().any(|known| known == path) {
        list.push(path.to_owned());
    }
}

fn is_system(path: &Path) -> bool {
    SYSTEM.iter().any(|folder| path.starts_with(folder))
}

/// Whether a folder may hold anything: the root, what lies directly in it, a home and everything above one.
fn is_broad(folder: &Path, home: Option<&Path>) -> bool {
    let depth = folder.components().filter(|part| matches!(part, Component::Normal(_))).count();
    depth < 2
        || folder.parent() == Some(Path::new("/home"))
        || folder.parent() == Some(Path::new("/Users"))
        || folder == Path::new("/var/tmp")
        || home.is_some_and(|home| {
            home.starts_with(folder) || home.canonicalize().is_ok_and(|home| home.starts_with(folder))
        })
}

/// What the first line of a script names: the interpreter, and for `env` the program that it looks for.
fn interpreters(path: &Path) -> Vec<OsString> {
    let Some(bytes) = beginning(path) else { return Vec::new() };
    let Some(line) = bytes.strip_prefix(b"#!").and_then(|rest| rest.split(|byte| *byte == b'\n').next())
    else {
        return Vec::new();
    };
    let mut words = line
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
        .map(|word| OsStr::from_bytes(word).to_owned());
    let Some(first) = words.next() else { return Vec::new() };
    let looked_for = (Path::new(&first).file_name() == Some(OsStr::new("env")))
        .then(|| words.find(|word| !word.as_bytes().starts_with(b"-") && !word.as_bytes().contains(&b'=')))
        .flatten();
    std::iter::once(first).chain(looked_for).collect()
}

fn beginning(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(4096).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    struct Home(tempfile::TempDir);

    impl Home {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn path(&self, path: &str) -> PathBuf {
            self.0.path().canonicalize().unwrap().join(path)
        }

        fn file(&self, path: &str, text: &str) -> PathBuf {
            let path = self.path(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            path
        }

        /// What belongs to a program, as paths in this home.
        fn check(&self, program: &Path, arguments: &[&Path], expect: &[&str]) {
            let arguments: Vec<OsString> = arguments.iter().map(|path| path.as_os_str().to_owned()).collect();
            let search = std::env::join_paths([self.path("bin")]).unwrap();
            let found =
                locate(program.as_os_str(), (&arguments, None), &search, Some(&self.path(""))).unwrap();
            let mut trees: Vec<_> = found.trees.clone();
            trees.sort();
            let mut expect: Vec<_> = expect.iter().map(|path| self.path(path)).collect();
            expect.sort();
            assert_eq!(trees, expect);
        }
    }

    #[test]
    fn a_program_in_a_folder_of_data_is_taken_alone() {
        let home = Home::new();
        let program = home.file("downloads/server", "\x7fELF");
        home.file("downloads/diary", "dear");
        home.check(&program, &[], &["downloads/server"]);
        // Nor does a project file in the home itself open the home.
        home.file("package.json", "{}");
        home.file("pyvenv.cfg", "home = /\n");
        home.check(&program, &[], &["downloads/server"]);
        let bin = home.file("bin/tool", "\x7fELF");
        home.check(&bin, &[], &["bin/tool"]);
    }

    #[test]
    fn a_script_brings_its_interpreter_and_its_packages() {
        let home = Home::new();
        home.file("tools/node/lib/x", "");
        let node = home.file("tools/node/bin/node", "\x7fELF");
        fs::create_dir_all(home.path("bin")).unwrap();
        std::os::unix::fs::symlink(&node, home.path("bin/node")).unwrap();
        home.file("app/node_modules/a/node_modules/b/x.js", "");
        let script = home.file("app/node_modules/a/cli.js", "#!/usr/bin/env -S node --flag\n");
        home.check(
            &script,
            &[],
            &[
                "app/node_modules",
                "app/node_modules/a/cli.js",
                "tools/node/bin",
                "tools/node/bin/node",
                "tools/node/lib",
            ],
        );
    }

    #[test]
    fn a_script_that_an_interpreter_is_given_brings_its_project() {
        let home = Home::new();
        let python = home.file("tools/python3.12", "\x7fELF");
        let script = home.file("code/server/src/main.py", "");
        let data = home.file("data/secret.txt", "");
        home.check(&python, &[&script, &data], &["code/server/src/main.py", "tools/python3.12"]);
        home.file("code/server/pyproject.toml", "");
        home.check(
            &python,
            &[&script, &data],
            &["code/server", "code/server/src/main.py", "tools/python3.12"],
        );
    }

    #[test]
    fn data_that_code_in_the_arguments_is_given_brings_nothing() {
        let home = Home::new();
        home.file("project/package.json", "{}");
        home.file("project/.env", "");
        let data = home.file("project/sub/data.txt", "");
        let script = home.file("project/sub/main.py", "");
        for (program, before, project) in [
            ("python3.12", &["-c", "code"][..], false),
            ("python3", &["-Im", "server"], false),
            ("node", &["--eval=code"], false),
            ("node", &["-pe", "code"], false),
            ("deno", &["eval", "code"], false),
            ("bash", &["-ec", "code"], false),
            ("perl", &["-lane", "code"], false),
            ("ruby", &["-e", "code"], false),
            ("php", &["-r", "code"], false),
            // What is no code is passed over.
            ("python3", &["-Wignore::m", "-X", "frozen_modules"], true),
            ("node", &["--import=x", "-r", "esm"], true),
            ("bash", &["-o", "pipefail", "-e"], true),
            ("perl", &["-MData::Dumper"], true),
        ] {
            let program = home.file(&format!("tools/{program}"), "\x7fELF");
            let tool = program.strip_prefix(home.path("")).unwrap().to_str().unwrap().to_owned();
            let before = before.iter().map(Path::new);
            let with_script = before.clone().chain([script.as_path(), &data]).collect::<Vec<_>>();
            let all: &[&str] = if project { &["project", "project/sub/main.py", &tool] } else { &[&tool] };
            home.check(&program, &with_script, all);
        }
    }

    #[test]
    fn a_virtual_environment_brings_the_python_it_is_made_of() {
        let home = Home::new();
        let base = home.file("pythons/3.12/bin/python3", "\x7fELF");
        home.file("pythons/3.12/lib/os.py", "");
        home.file("x/venv/pyvenv.cfg", &format!("home = {}\n", base.parent().unwrap().display()));
        let program =
            home.file("x/venv/bin/serve", &format!("#!{}\n", home.path("x/venv/bin/python").display()));
        std::os::unix::fs::symlink(&base, home.path("x/venv/bin/python")).unwrap();
        home.check(
            &program,
            &[],
            &[
                "pythons/3.12/bin",
                "pythons/3.12/bin/python3",
                "pythons/3.12/lib",
                "x/venv",
                "x/venv/bin",
                "x/venv/bin/serve",
            ],
        );
    }

    #[test]
    fn a_link_that_leads_out_of_a_prefix_or_to_everything_brings_nothing() {
        let home = Home::new();
        home.file("secrets/key", "");
        let program = home.file("work/tool/bin/serve", "\x7fELF");
        home.file("work/tool/libexec/x", "");
        std::os::unix::fs::symlink(home.path("secrets"), home.path("work/tool/lib")).unwrap();
        std::os::unix::fs::symlink("libexec", home.path("work/tool/lib64")).unwrap();
        std::os::unix::fs::symlink("/", home.path("work/node_modules")).unwrap();
        home.check(&program, &[], &["work/tool/bin", "work/tool/bin/serve", "work/tool/libexec"]);
        let through = home.path("work/node_modules").join(program.strip_prefix("/").unwrap());
        home.check(&through, &[], &["work/tool/bin", "work/tool/bin/serve", "work/tool/libexec"]);
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        let home = Home::new();
        let missing = home.path("nowhere");
        let locate = |program: &OsStr, search: &str| locate(program, (&[], None), OsStr::new(search), None);
        assert_eq!(locate(missing.as_os_str(), ""), None);
        assert_eq!(locate(OsStr::new(""), "/usr/bin"), None);
        assert_eq!(locate(OsStr::new("sh"), "usr/bin:."), None);
        let plain = home.file("plain", "");
        fs::set_permissions(&plain, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(locate(plain.as_os_str(), ""), None);
        let endless = home.file("loop", "");
        fs::write(&endless, format!("#!{}\n", endless.display())).unwrap();
        assert!(locate(endless.as_os_str(), "").is_some());
    }
}
