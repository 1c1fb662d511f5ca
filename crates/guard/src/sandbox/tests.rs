//! The real thing on this machine's kernel. Where the kernel cannot enforce everything, each test holds `require` to
//! refusing instead.

use std::ffi::OsString;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use super::*;

/// Runs in a process of its own, started by [`launcher`]: confines itself and becomes the program.
#[test]
#[ignore = "the confined side of the other tests"]
fn child() {
    let mut arguments = std::env::args_os().skip_while(|argument| argument != "--spec").skip(1);
    let Some(spec) = arguments.next() else { return };
    let spec: Spec = serde_json::from_str(spec.to_str().unwrap()).unwrap();
    assert_eq!(arguments.next().unwrap(), "--");
    let program = PathBuf::from(arguments.next().unwrap());
    let error = enter_and_exec(&spec, &program, &arguments.collect::<Vec<_>>());
    eprintln!("{error}");
    std::process::exit(error.exit_code().into());
}

/// Runs inside the sandbox: tries what it is told and says what came of it.
#[test]
#[ignore = "what the other tests run in the sandbox"]
fn probe() {
    if std::env::args().any(|word| word == "--spec") {
        // The confined side's process, which has the probe's name among its arguments.
        return;
    }
    let mut words = std::env::args().skip_while(|word| word != "PROBE").skip(1);
    while let (Some(action), Some(object)) = (words.next(), words.next()) {
        match attempt(&action, &object) {
            Ok(answer) => println!("\nANSWER {action} {object}: {}", answer.replace('\n', " ")),
            Err(error) => println!("\nANSWER {action} {object}: refused ({error})"),
        }
    }
}

fn attempt(action: &str, object: &str) -> std::io::Result<String> {
    let done = |()| "done".to_owned();
    match action {
        "read" => fs::read(object).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        "link" => fs::read_link(object).map(|path| path.display().to_string()),
        "list" => fs::read_dir(object).map(|entries| entries.count().to_string()),
        "write" => fs::write(object, "changed").map(done),
        "append" => fs::OpenOptions::new().append(true).open(object).map(|_| "done".into()),
        "remove" => fs::remove_file(object).map(done),
        "chmod" => fs::set_permissions(object, fs::Permissions::from_mode(0o777)).map(done),
        "fchmod" => fs::File::open(object)?.set_permissions(fs::Permissions::from_mode(0o777)).map(done),
        "fchown" => Ok(rustix::fs::fchown(fs::File::open(object)?, None, None).map(done)?),
        "run" => std::process::Command::new(object).status().map(|status| status.to_string()),
        "tcp" => TcpStream::connect(("127.0.0.1", object.parse().unwrap())).map(|_| "done".into()),
        "udp" => UdpSocket::bind(("127.0.0.1", object.parse().unwrap())).map(|_| "done".into()),
        "serve" => {
            let listener = TcpListener::bind(("127.0.0.1", object.parse().unwrap()))?;
            TcpStream::connect(listener.local_addr()?).map(|_| "done".into())
        }
        "unix" => UnixStream::connect(object).map(|_| "done".into()),
        "pair" if object == "stream" => UnixStream::pair().map(|_| "done".into()),
        "pair" => UnixDatagram::pair().map(|_| "done".into()),
        "home" => {
            let path = Path::new(&std::env::var(object).unwrap()).join("file");
            fs::write(&path, "kept")?;
            fs::read_to_string(path)
        }
        "variables" => {
            let mut names: Vec<_> = std::env::vars().map(|(name, value)| format!("{name}={value}")).collect();
            names.sort();
            Ok(names.join(" "))
        }
        "status" => {
            let text = fs::read_to_string("/proc/self/status")?;
            Ok(text.lines().find(|line| line.starts_with(object)).unwrap_or_default().to_owned())
        }
        "limit" => {
            let text = fs::read_to_string("/proc/self/limits")?;
            Ok(text.lines().find(|line| line.starts_with(object)).unwrap_or_default().to_owned())
        }
        "setsid" => Ok(rustix::process::setsid().map(|_| "done".into())?),
        "namespace" =>
        {
            #[allow(deprecated, reason = "the one that is not deprecated is unsafe")]
            Ok(rustix::thread::unshare(rustix::thread::UnshareFlags::NEWUSER).map(done)?)
        }
        "signal" => {
            let pid = rustix::process::Pid::from_raw(object.parse().unwrap()).unwrap();
            Ok(rustix::process::test_kill_process(pid).map(done)?)
        }
        other => panic!("no such action: {other}"),
    }
}

fn launcher() -> Launcher {
    let arguments = ["sandbox::tests::child", "--exact", "--nocapture", "--include-ignored", "--"];
    Launcher::new(std::env::current_exe().unwrap(), arguments)
}

fn prepare(grants: &Grants, require: bool, actions: &[(&str, &str)]) -> Prepared {
    let mut arguments: Vec<OsString> =
        ["sandbox::tests::probe", "--exact", "--nocapture", "--include-ignored", "--", "PROBE"]
            .map(OsString::from)
            .into();
    for (action, object) in actions {
        arguments.extend([action, object].map(OsString::from));
    }
    Prepared::new(grants, require, std::env::current_exe().unwrap().as_os_str(), &arguments).unwrap()
}

fn start(prepared: &Prepared) -> Output {
    let mut command = prepared.command(&launcher()).unwrap();
    command.stdin(Stdio::null()).output().unwrap()
}

/// Whether this kernel has Landlock's interface of that version, asked in another way than the sandbox asks.
fn kernel_has(version: landlock::ABI) -> bool {
    use landlock::{Access as _, AccessFs, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _};
    Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(version))
        .and_then(|ruleset| {
            if version < landlock::ABI::V6 { Ok(ruleset) } else { ruleset.scope(landlock::Scope::Signal) }
        })
        .and_then(Ruleset::create)
        .is_ok()
}

/// Whether this kernel has all that the sandbox is made of where nothing is granted.
fn kernel_has_all() -> bool {
    kernel_has(landlock::ABI::V6) && Path::new("/proc/sys/kernel/seccomp/actions_avail").exists()
}

/// What the probe answers to `actions`, with the sandbox required. `None` where the kernel lacks something, after
/// checking that the server was then not started.
fn answers(grants: &Grants, actions: &[(&str, &str)]) -> Option<Vec<String>> {
    let prepared = prepare(grants, true, actions);
    let output = start(&prepared);
    let (stdout, stderr) =
        (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr));
    let found: Vec<String> = stdout
        .lines()
        .filter_map(|line| line.strip_prefix("ANSWER "))
        .filter_map(|line| line.split_once(": "))
        .map(|(_, answer)| answer.to_owned())
        .collect();
    let report = prepared.report().unwrap_or_else(|| panic!("no report; {stderr}"));
    if !kernel_has_all() {
        assert_eq!(output.status.code(), Some(125), "{stderr}");
        assert!(stderr.contains("cannot enforce the sandbox"), "{stderr}");
        assert!(!report.shortfalls().is_empty() && found.is_empty(), "{report:?} {stdout}");
        return None;
    }
    assert_eq!(report.shortfalls(), Vec::<String>::new());
    assert!(output.status.success(), "{stdout}{stderr}");
    assert_eq!(found.len(), actions.len(), "{stdout}{stderr}");
    Some(found)
}

/// Checks each action's answer: one that begins with `refused`, or any text that it must contain.
fn check(grants: &Grants, expect: &[(&str, &str, &str)]) {
    let actions: Vec<_> = expect.iter().map(|(action, object, _)| (*action, *object)).collect();
    let Some(found) = answers(grants, &actions) else { return };
    for ((action, object, expect), found) in expect.iter().zip(found) {
        assert!(found.contains(expect), "{action} {object}: {found}, and not {expect}");
        assert_eq!(found.starts_with("refused"), expect.starts_with("refused"), "{action} {object}: {found}");
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn what_the_kernel_cannot_give_is_said_and_refused_where_required() {
    // The newest thing that a kernel can lack: keeping sockets that are reached by name to the granted folders.
    let grants = Grants { unix_sockets: true, ..Grants::default() };
    let lacks = !kernel_has_all() || !kernel_has(landlock::ABI::V9);
    let [required, told] = [true, false].map(|require| prepare(&grants, require, &[("setsid", "x")]));
    assert_eq!(told.report(), None);
    let [refused, ran] = [&required, &told].map(start);
    let [stdout, stderr, warned] =
        [&refused.stdout, &refused.stderr, &ran.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    assert_eq!(refused.status.code(), Some(if lacks { 125 } else { 0 }), "{stderr}");
    assert_eq!(stderr.contains("cannot enforce the sandbox, and it is required"), lacks, "{stderr}");
    assert_eq!(stdout.contains("ANSWER"), !lacks, "{stdout}");
    assert_eq!(warned.contains("does not cover"), lacks, "{warned}");
    assert!(String::from_utf8_lossy(&ran.stdout).contains("ANSWER"), "{warned}");
    let report = told.report().unwrap();
    assert_eq!(report.shortfalls().is_empty(), !lacks, "{report:?}");
    assert_eq!(required.report(), Some(report));
}

#[test]
fn files_that_were_not_granted_are_out_of_reach() {
    let outside = tempfile::tempdir().unwrap();
    let file = outside.path().join("file");
    fs::write(&file, "secret").unwrap();
    let file = path(&file);
    let home = std::env::home_dir().unwrap();
    check(
        &Grants::default(),
        &[
            ("read", "/etc/passwd", "refused"),
            ("read", file, "refused"),
            ("write", file, "refused"),
            ("append", file, "refused"),
            ("remove", file, "refused"),
            ("chmod", file, "refused"),
            ("list", path(outside.path()), "refused"),
            ("list", path(&home), "refused"),
            ("list", "/", "refused"),
            ("list", "/tmp", "refused"),
            ("read", "/proc/1/cmdline", "refused"),
            ("write", "/usr/lib/ostrom-was-here", "refused"),
            ("read", "/dev/null", ""),
            ("write", "/dev/null", "done"),
            ("home", "HOME", "kept"),
            ("home", "TMPDIR", "kept"),
        ],
    );
    assert_eq!(fs::read_to_string(file).unwrap(), "secret");
}

#[test]
fn a_grant_gives_what_it_says_and_no_more() {
    let outside = tempfile::tempdir().unwrap();
    let (data, work) = (outside.path().join("data"), outside.path().join("work"));
    for folder in [&data, &work] {
        fs::create_dir(folder).unwrap();
        fs::write(folder.join("file"), "text").unwrap();
        fs::write(folder.join("run"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(folder.join("run"), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let grants = Grants { read: vec![data.clone()], write: vec![work.clone()], ..Grants::default() };
    let at = |folder: &Path, name: &str| path(&folder.join(name)).to_owned();
    check(
        &grants,
        &[
            ("read", &at(&data, "file"), "text"),
            ("list", path(&data), "2"),
            ("write", &at(&data, "file"), "refused"),
            ("write", &at(&data, "new"), "refused"),
            ("remove", &at(&data, "file"), "refused"),
            ("run", &at(&data, "run"), "refused"),
            ("chmod", &at(&data, "file"), "refused"),
            ("fchmod", &at(&data, "file"), "refused"),
            ("fchown", &at(&data, "file"), "refused"),
            ("write", &at(&work, "file"), "done"),
            ("read", &at(&work, "file"), "changed"),
            ("write", &at(&work, "new"), "done"),
            ("remove", &at(&work, "file"), "done"),
            ("run", &at(&work, "run"), "refused"),
            ("read", path(&outside.path().join("other")), "refused"),
        ],
    );
    let grants = Grants { execute: vec![data.clone()], ..Grants::default() };
    check(&grants, &[("run", &at(&data, "run"), "exit status: 0"), ("write", &at(&data, "new"), "refused")]);
    let grants = Grants { modes: Modes::Ignored, write: vec![data.clone()], ..Grants::default() };
    let before = fs::metadata(data.join("file")).unwrap().permissions();
    check(
        &grants,
        &[
            ("chmod", &at(&data, "file"), "done"),
            ("fchmod", &at(&data, "file"), "done"),
            ("fchown", &at(&data, "file"), "refused"),
        ],
    );
    assert_eq!(fs::metadata(data.join("file")).unwrap().permissions(), before);
    let grants = Grants { modes: Modes::Allowed, read: vec![data.clone()], ..Grants::default() };
    check(&grants, &[("chmod", &at(&data, "file"), "done"), ("fchmod", &at(&data, "file"), "done")]);
    let missing = Grants { read: vec![outside.path().join("typo")], ..Grants::default() };
    let error = Prepared::new(&missing, false, "sh".as_ref(), &[]).unwrap_err().to_string();
    assert!(error.contains("typo"), "{error}");
}

#[test]
fn what_the_guard_was_given_open_is_not_passed_on() {
    let file = tempfile::NamedTempFile::new().unwrap();
    // As a shell's redirection leaves it.
    rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).unwrap();
    let number = std::os::fd::AsRawFd::as_raw_fd(&file);
    let Some(found) = answers(&Grants::default(), &[("link", &format!("/proc/self/fd/{number}"))]) else {
        return;
    };
    assert!(!found[0].contains(path(file.path())), "{found:?}");
}

#[test]
fn a_script_is_looked_for_where_the_program_starts() {
    let outside = tempfile::tempdir().unwrap();
    let base = outside.path().canonicalize().unwrap();
    for folder in ["here", "there"] {
        fs::create_dir(base.join(folder)).unwrap();
        fs::write(base.join(folder).join("serve.sh"), format!("echo {folder}")).unwrap();
    }
    let grants = Grants { folder: Some(base.join("there")), ..Grants::default() };
    let arguments = ["serve.sh"].map(OsString::from);
    let prepared = Prepared::new(&grants, false, "/bin/sh".as_ref(), &arguments).unwrap();
    assert_eq!(prepared.spec().code, [base.join("there/serve.sh")]);
    let output = start(&prepared);
    assert!(String::from_utf8_lossy(&output.stdout).ends_with("there\n"), "{output:?}");
    assert_eq!(
        code_of("/bin/sh".as_ref(), &arguments, Some(&base.join("here")))[0],
        base.join("here/serve.sh")
    );
}

/// Starts a program, and again with what was prepared for the first time: exit statuses and outputs.
fn start_twice(grants: &Grants, program: &Path, arguments: &[&str]) -> [(Option<i32>, String); 2] {
    let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
    let prepared = Prepared::new(grants, false, program.as_os_str(), &arguments).unwrap();
    [(), ()].map(|()| {
        let output = start(&prepared);
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    })
}

#[test]
fn a_server_that_puts_a_link_where_its_home_was_is_not_started_again() {
    if !kernel_has_all() {
        return;
    }
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("secret");
    fs::write(&secret, "topsecret").unwrap();
    // What is granted is where all private folders lie.
    let base = std::env::temp_dir().canonicalize().unwrap();
    let grants = Grants { write: vec![base], ..Grants::default() };
    let away = tempfile::tempdir().unwrap();
    let script = format!(
        "mv $HOME {0}/home; ln -s / $HOME; ls -d $HOME/etc && echo swapped; cat /etc/passwd",
        away.path().display()
    );
    let [first, second] = start_twice(&grants, Path::new("/bin/sh"), &["-c", &script]);
    assert!(first.1.contains("swapped") && !first.1.contains("root:"), "{first:?}");
    assert!(!second.1.contains("swapped") && !second.1.contains("root:"), "{second:?}");
    assert!(second.1.contains("leads through a link") && second.0 == Some(125), "{second:?}");
}

#[test]
fn a_server_that_puts_a_link_where_its_code_was_is_not_granted_what_lies_behind() {
    if !kernel_has_all() {
        return;
    }
    let outside = tempfile::tempdir().unwrap();
    let base = outside.path().canonicalize().unwrap();
    fs::create_dir(base.join("secrets")).unwrap();
    let secret = base.join("secrets/key");
    fs::write(&secret, "topsecret").unwrap();
    let work = base.join("work");
    for folder in ["bin", "lib"] {
        fs::create_dir_all(work.join(folder)).unwrap();
    }
    let program = work.join("bin/serve");
    let script = format!(
        "#!/bin/sh\ncat {}\ncd {} && mv lib old && ln -s {} lib && echo swapped\n",
        secret.display(),
        work.display(),
        base.join("secrets").display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let grants = Grants { write: vec![work], ..Grants::default() };
    let [first, second] = start_twice(&grants, &program, &[]);
    assert!(first.1.contains("swapped") && !first.1.contains("topsecret"), "{first:?}");
    assert!(second.1.contains("leads through a link") && !second.1.contains("topsecret"), "{second:?}");
    // Nor when the guard is started again, which looks anew.
    let [third, _] = start_twice(&grants, &program, &[]);
    assert!(third.1.contains("Permission denied") && !third.1.contains("topsecret"), "{third:?}");
}

#[test]
fn the_guard_writes_no_report_where_a_link_leads() {
    let prepared = prepare(&Grants::default(), false, &[("setsid", "x")]);
    let outside = tempfile::tempdir().unwrap();
    let file = outside.path().canonicalize().unwrap().join("file");
    fs::write(&file, "kept").unwrap();
    let report = &prepared.spec().report;
    fs::remove_file(report).unwrap();
    std::os::unix::fs::symlink(&file, report).unwrap();
    let output = start(&prepared);
    assert_eq!(output.status.code(), Some(125));
    assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
    assert_eq!(prepared.report(), None);
}

#[test]
fn without_a_network_nobody_can_be_reached() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let _engine = UnixListener::bind(&socket).unwrap();
    let expect = [
        ("tcp", &*port, "refused"),
        ("serve", "0", "refused"),
        ("udp", "0", "refused"),
        ("unix", path(&socket), "refused"),
        ("pair", "stream", "done"),
        ("pair", "datagram", "refused"),
    ];
    check(&Grants::default(), &expect);
    // A granted folder does not make a socket in it reachable.
    check(&Grants { write: vec![folder.path().to_owned()], ..Grants::default() }, &expect);
    let all = Grants { network: Network::All, ..Grants::default() };
    check(&all, &[("tcp", &port, "done"), ("serve", "0", "done"), ("udp", "0", "done")]);
    check(&all, &[("unix", path(&socket), "refused")]);
}

#[test]
fn granted_ports_are_all_there_is() {
    let [granted, other] = [0, 0].map(|port| TcpListener::bind(("127.0.0.1", port)).unwrap());
    let [granted, other] = [&granted, &other].map(|listener| listener.local_addr().unwrap().port());
    let grants = Grants { network: Network::Ports(vec![granted]), ..Grants::default() };
    check(
        &grants,
        &[
            ("tcp", &granted.to_string(), "done"),
            ("tcp", &other.to_string(), "refused"),
            ("serve", "0", "refused"),
            ("udp", "0", "refused"),
        ],
    );
}

#[test]
fn a_loopback_of_its_own_is_not_the_machine_s() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let grants = Grants { network: Network::Loopback, ..Grants::default() };
    let actions = [("serve", "0"), ("tcp", &*port)];
    let prepared = prepare(&grants, false, &actions);
    let output = start(&prepared);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let report = prepared.report().unwrap();
    assert_eq!(stderr.contains("not to be had here"), !report.unavailable.is_empty(), "{stderr}");
    let Some(found) = answers(&grants, &actions) else { return };
    assert_eq!(found[0].starts_with("refused"), !report.unavailable.is_empty(), "{found:?} {report:?}");
    assert!(found[1].starts_with("refused"), "{found:?}");
}

#[test]
fn the_environment_is_clean_and_keys_stay_off_the_command_line() {
    let mut grants = Grants::default();
    grants.environment.insert("API_KEY".into(), EnvironmentValue::new("hunter2"));
    let prepared = prepare(&grants, false, &[]);
    let command = prepared.command(&launcher()).unwrap();
    assert!(command.get_args().all(|argument| !argument.to_string_lossy().contains("hunter2")));
    assert_eq!(command.get_envs().count(), 1);
    assert!(!format!("{grants:?} {prepared:?}").contains("hunter2"));
    if let Some(found) = answers(&grants, &[("variables", "x")]) {
        let names: Vec<_> =
            found[0].split(' ').filter_map(|pair| pair.split_once('=')).map(|(name, _)| name).collect();
        assert_eq!(names, ["API_KEY", "HOME", "LANG", "PATH", "TMPDIR"]);
        assert!(found[0].contains("API_KEY=hunter2"));
    }
    for name in ["", "A=B", "A\0"] {
        let grants = Grants {
            environment: [(name.to_owned(), EnvironmentValue::new("x"))].into(),
            ..Grants::default()
        };
        assert!(Prepared::new(&grants, false, "sh".as_ref(), &[]).is_err(), "{name:?}");
    }
}

#[test]
fn a_server_has_no_privileges_and_no_reach() {
    let me = std::process::id().to_string();
    check(
        &Grants::default(),
        &[
            ("status", "CapEff", "0000000000000000"),
            ("status", "CapPrm", "0000000000000000"),
            ("status", "NoNewPrivs", "1"),
            ("status", "Seccomp:", "2"),
            ("limit", "Max core file size", " 0 "),
            ("setsid", "x", "refused"),
            ("namespace", "x", "refused"),
            ("signal", &me, "refused"),
            ("signal", "1", "refused"),
        ],
    );
    let limits = Limits { open_files: 77, file_bytes: Some(1234), ..Limits::default() };
    check(
        &Grants { limits, ..Grants::default() },
        &[("limit", "Max open files", " 77 "), ("limit", "Max file size", " 1234 ")],
    );
}

#[test]
fn a_server_cannot_write_its_own_report() {
    let prepared = prepare(&Grants::default(), false, &[]);
    let report = prepared.spec().report.clone();
    assert!(!report.starts_with(prepared.home()));
    check(
        &Grants { read: vec![report.clone()], ..Grants::default() },
        &[("write", path(&report), "refused"), ("append", path(&report), "refused")],
    );
}

#[test]
fn ordinary_programs_run() {
    let mut ran = 0;
    for (program, arguments, expect) in [
        ("/bin/sh", vec!["-c", "echo $((6 * 7)) | cat"], "42"),
        (
            "/usr/bin/python3",
            vec![
                "-c",
                "import json, ssl, subprocess, tempfile, asyncio; tempfile.mkdtemp(); asyncio.run(asyncio.sleep(0)); print(subprocess.check_output(['echo', '42']).decode())",
            ],
            "42",
        ),
        (
            "/usr/bin/node",
            vec![
                "-e",
                "const c = require('child_process'); new Worker; function Worker() {} console.log(c.execFileSync('echo', ['42']).toString())",
            ],
            "42",
        ),
        ("/usr/bin/git", vec!["--version"], "git version"),
    ] {
        if !Path::new(program).exists() {
            continue;
        }
        ran += 1;
        let arguments: Vec<OsString> = arguments.into_iter().map(OsString::from).collect();
        let prepared = Prepared::new(&Grants::default(), false, program.as_ref(), &arguments).unwrap();
        let output = start(&prepared);
        assert_eq!(prepared.report().unwrap().shortfalls().is_empty(), kernel_has_all());
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert!(stdout.contains(expect), "{program}: {stdout} {}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(ran > 0);
}

#[test]
fn a_program_that_cannot_start_is_told_from_a_sandbox_that_cannot() {
    let prepared = prepare(&Grants::default(), false, &[]);
    for (program, code) in [("/usr/nowhere", 127), ("/etc/passwd", 126)] {
        let environment = Default::default();
        let mut command =
            command(&launcher(), prepared.spec(), Path::new(program), &[], &environment).unwrap();
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert!(stderr.contains(program), "{stderr}");
    }
    let error = Prepared::new(&Grants::default(), false, "no-such-program".as_ref(), &[]).unwrap_err();
    assert!(error.to_string().contains("no-such-program"));
}

#[test]
fn the_whole_family_is_killed() {
    let script = "(sleep 5; echo alive) & (trap '' TERM HUP; sleep 5; echo alive) & echo started; wait";
    let arguments = ["-c", script].map(OsString::from);
    let prepared = Prepared::new(&Grants::default(), false, "/bin/sh".as_ref(), &arguments).unwrap();
    let mut command = prepared.command(&launcher()).unwrap();
    let mut server =
        command.stdout(Stdio::piped()).stderr(Stdio::null()).stdin(Stdio::null()).spawn().unwrap();
    let mut stdout = server.stdout.take().unwrap();
    let mut text = Vec::new();
    while !text.ends_with(b"started\n") {
        let mut byte = [0];
        stdout.read_exact(&mut byte).unwrap();
        text.extend(byte);
    }
    assert!(prepared.report().is_some());
    kill_family(server.id()).unwrap();
    // The pipe ends when the last of the family has died.
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
    assert!(!server.wait().unwrap().success());
    assert!(kill_family(0).is_err() && kill_family(1).is_err() && kill_family(u32::MAX).is_err());
}

#[test]
fn a_private_folder_lives_as_long_as_its_server() {
    let prepared = prepare(&Grants::default(), false, &[("home", "HOME")]);
    let home = prepared.home().to_owned();
    assert!(start(&prepared).status.success());
    assert_eq!(fs::read_to_string(home.join("file")).unwrap(), "kept");
    assert_eq!(fs::metadata(home.parent().unwrap()).unwrap().permissions().mode() & 0o077, 0);
    prepared.close().unwrap();
    assert!(!home.exists());
}

/// Calls that safe Rust cannot make, made by Python where there is one (`syscalls` checks the same filter without a
/// kernel).
#[test]
fn raw_calls_are_refused_by_the_kernel() {
    let python = Path::new("/usr/bin/python3");
    if !python.exists() || !kernel_has_all() || !cfg!(target_arch = "x86_64") {
        assert!(
            answers(&Grants::default(), &[("namespace", "x")])
                .is_none_or(|found| found[0].starts_with("refused"))
        );
        return;
    }
    let script = "
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def call(*arguments):
    ctypes.set_errno(0)
    return ctypes.get_errno() if libc.syscall(*arguments) == -1 else 0
print([call(*a) for a in [(101, 0, 0, 0, 0), (435, 0, 0), (425, 1, 0), (250, 0, 0), (321, 0, 0, 0), (272, 0x10000000),
  (56, 0x10000011, 0, 0, 0, 0), (165, 0, 0, 0, 0, 0), (323, 0), (310, 1, 0, 0, 0, 0, 0), (39 | 0x40000000,), (500,), (39,),
  (16, 0, 0x5412, 0), (302, 1, 7, 0, 0), (41, 2, 1, 0), (41, 17, 3, 0), (41, 40, 1, 0), (29, 0, 100, 0)]])
";
    let arguments = ["-c", script].map(OsString::from);
    let prepared = Prepared::new(&Grants::default(), true, python.as_os_str(), &arguments).unwrap();
    let output = start(&prepared);
    let stdout = String::from_utf8_lossy(&output.stdout);
    let expect = "[1, 38, 38, 1, 1, 1, 1, 1, 1, 1, 38, 38, 0, 1, 1, 1, 1, 1, 1]";
    assert!(stdout.contains(expect), "{stdout} {}", String::from_utf8_lossy(&output.stderr));
    std::io::stdout().flush().unwrap();
}
