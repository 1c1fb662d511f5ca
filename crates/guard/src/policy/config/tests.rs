use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::label::{Integrity, Readers};
use crate::policy::{Policy, load};

const EXAMPLE: &str = r#"
[guard]
mode = "enforce"
state = "state"
new-definitions = "hold"

[run]
readers = "everyone"

[servers.mail]
command = ["mcp-mail", "--box", "me"]
profile = "email"
sandbox = { read = ["/data"], write = [], network = "none" }

[servers.mail.tools.send_email]
critical = true
influencers = ["user"]
audience = ["outside"]
otherwise = "ask"
[servers.mail.tools.send_email.arguments.body]
influencers = "anyone"
[servers.mail.tools.send_email.arguments.priority]
endorse = { one-of = ["low", "normal", "high"] }

[servers.mail.tools.read_email]
critical = false
result = { influencers = ["outside"], readers = ["user"], reveal = "reference" }

[policy]
cedar = ["policy.cedar"]
"#;

fn files(path: &Path) -> io::Result<String> {
    match path.to_str() {
        Some("etc/policy.cedar") => Ok("permit (principal, action, resource);".to_owned()),
        Some("etc/more.toml") => Ok("[servers.web]\nurl = \"https://example.org/mcp\"\n".to_owned()),
        Some("etc/wrong.toml") => {
            Ok("\n[servers.mail]\ncommand = [\"x\"]\n\n[guard]\nmode = \"observe\"\n".to_owned())
        }
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

fn read(text: &str) -> Result<Config, Problems> {
    Config::from_text("guard.toml", text, Path::new("etc"), &files)
}

fn problems(text: &str) -> String {
    read(text).map(|config| panic!("accepted: {config:?}")).unwrap_err().to_string()
}

const ONE: &str = "[servers.s]\ncommand = [\"x\"]\n";

#[test]
fn the_example_of_the_design_is_accepted_and_expanded() {
    let config = read(EXAMPLE).unwrap();
    assert_eq!(config.guard.state.as_deref(), Some(Path::new("etc/state")));
    let mail = &config.servers["mail"];
    let send = mail.tool("send_email");
    assert_eq!(send.critical, Some(true));
    assert_eq!(send.otherwise, Some(Otherwise::Ask));
    assert_eq!(send.arguments["body"].influencers, Some(NameSet::All));
    assert_eq!(send.result.influencers, Some(NameSet::These(vec!["server".to_owned()])), "from the profile");
    let read = mail.tool("read_email");
    assert_eq!(read.result.reveal, Some(Reveal::Reference));
    assert_eq!(
        read.result.readers.as_ref().unwrap().readers("mail"),
        Readers::Only(["user"].into_iter().collect())
    );
    assert_eq!(mail.tool("deleteEmail").critical, Some(true));
    assert_eq!(mail.server.sandbox.read, [PathBuf::from("/data")]);
}

#[test]
fn a_tool_of_which_nobody_says_anything_is_critical_for_the_user_alone() {
    let config = read(ONE).unwrap();
    let rules = config.servers["s"].tool("whatever");
    assert_eq!(*rules, ToolRules::unknown());
    assert_eq!(rules.influencers.as_ref().unwrap().integrity("s"), Integrity::by("user"));
    assert_eq!(rules.result.influencers.as_ref().unwrap().integrity("s"), Integrity::by("server:s"));
    assert_eq!(
        rules.result.readers.as_ref().unwrap().readers("s"),
        Readers::Only(["user", "server:s"].into_iter().collect())
    );
}

#[test]
fn what_is_written_lies_over_the_profile_and_defaults_only_under_tools_that_it_does_not_know() {
    let config = read(
        "[servers.s]\ncommand = [\"x\"]\nprofile = \"filesystem\"\n[servers.s.defaults]\notherwise = \"deny\"\n\
         [servers.s.tools.write_file]\ninfluencers = [\"user\"]\n[servers.s.tools.new_tool]\ncritical = false\n\
         [servers.s.tools.edit_file]\nmemory = {}\n",
    )
    .unwrap();
    let server = &config.servers["s"];
    let write = server.tool("write_file");
    assert_eq!(write.influencers, Some(NameSet::These(vec!["user".to_owned()])));
    assert_eq!(write.memory.as_ref().unwrap().object.as_deref(), Some("path"));
    assert_eq!(write.otherwise, Some(Otherwise::Ask));
    assert_eq!(server.tool("edit_file").memory, Some(MemoryRules::default()));
    assert_eq!(server.tool("new_tool").otherwise, Some(Otherwise::Deny));
    assert_eq!(server.tool("new_tool").critical, Some(false));
    assert_eq!(server.tool("another").otherwise, Some(Otherwise::Deny));
}

#[test]
fn all_mistakes_are_told_at_once_with_their_lines_and_what_to_write() {
    let said = problems(
        "[gaurd]\nmode = \"enforce\"\n[guard]\nmode = \"enforec\"\n[limits]\ndepth = \"x\"\ncall-seconds = 0\n\
         [servers.a]\ncomand = [\"x\"]\n[servers.b]\nurl = \"http://example.org\"\nprofile = \"fliesystem\"\n\
         [servers.b.tools.t]\ninfluencers = \"everyone\"\naudience = [\"everyone\"]\n[servers.b.tools.t.result]\nreveal = 3\n\
         [servers.b.tools.u.arguments.x]\nendorse = { pattern = \"(\" }\n",
    );
    for words in [
        "guard.toml:1: gaurd: there is no such key; did you mean `guard`?",
        "guard.toml:4: guard.mode: this is not possible here; did you mean `enforce`?",
        "guard.toml:6: limits.depth: this is string \"x\"; write a whole number, 0 or more",
        "guard.toml:7: limits.call-seconds: 0 is out of range; write a number from 1 to 86400",
        "guard.toml:9: servers.a.comand: there is no such key; did you mean `command`?",
        "guard.toml:8: servers.a: write `command",
        "guard.toml:11: servers.b.url: http is for this machine only",
        "guard.toml:12: servers.b.profile: there is no profile `fliesystem`; did you mean `filesystem`?",
        "guard.toml:14: servers.b.tools.t.influencers: string \"everyone\" is not possible here; write \"anyone\" or a list of names",
        "guard.toml:15: servers.b.tools.t.audience: `everyone` stands for all",
        "guard.toml:17: servers.b.tools.t.result.reveal: ",
        "guard.toml:19: servers.b.tools.u.arguments.x.endorse.pattern: not a regular expression",
    ] {
        assert!(said.contains(words), "{words}\n--\n{said}");
    }
    assert_eq!(said.lines().count(), 12, "{said}");
}

#[test]
fn each_rule_about_a_configuration_says_where_it_is_broken() {
    let server = |lines: &str| format!("[servers.s]\ncommand = [\"x\"]\n{lines}");
    let remote = |lines: &str| format!("[servers.s]\nurl = \"https://example.org/\"\n{lines}");
    let front = |lines: &str| format!("{ONE}[front]\n{lines}");
    for (text, words) in [
        (String::new(), "no server"),
        ("a = ".to_owned(), "guard.toml:1: not TOML"),
        (server("url = \"https://x\""), "not both"),
        (server("env = [\"sk-123 456\"]"), "not the name of an environment variable"),
        (server("variables = { GITHUB_TOKEN = \"x\" }"), "write the name into `env`"),
        (server("env = [\"A\"]\nvariables = { A = \"x\" }"), "in one place"),
        (server("bearer-env = \"A\""), "servers with a `url`"),
        (server("revision = \"2024-01-01\""), "2026-07-28"),
        (server("sandbox = { off = true, read = [\"/a\"] }"), "leave the rest out"),
        (server("sandbox = { network = [0] }"), "ports from 1"),
        (server("sandbox = { network = \"internet\" }"), "\"none\", \"loopback\""),
        (server("tools.a.influencers = [\"server:x\"]"), "no server `x`"),
        (server("tools.\"prompts/get\".critical = true"), "write [servers.s.prompts]"),
        (server("tools.\"resources/read\".critical = true"), "write [servers.s.resources]"),
        (server("tools.a.influencers = [\"two words\"]"), "not a name"),
        (server("tools.a.influencers = [\"us\u{202e}er\"]"), "not a name"),
        (server("tools.a.arguments.b.endorse = { range = [2, 1] }"), "LOWEST"),
        (server("tools.a.arguments.b.endorse = { range = [1, 2], pattern = \"a\" }"), "write one of"),
        (server("tools.a.arguments.b.endorse = { one-of = [] }"), "write 1 to"),
        (server("tools.a.arguments.b.endorse = { one-of = [nan] }"), "write 1 to"),
        (server("tools.a.arguments.b.endorse = { one-of = [[1]] }"), "write 1 to"),
        (server("tools.a.arguments.b.audience = [\"everyone\"]"), "stands for all"),
        (server("tools.a.arguments.b.audience = [\"server:nobody\"]"), "no server `nobody`"),
        (server("tools.a.arguments.b.audience = [\"a b\"]"), "is not a name"),
        (server("tools.a.memory = { object = \"b\" }"), "write also `access"),
        (server("tools.a.memory = { access = \"read\", object = \"a\", content = \"b\" }"), "only a write"),
        (server("tools.a.memory = { access = \"write\", content = \"b\" }"), "write also `object`"),
        (server("tools.\"a*\".critical = true"), "`*` has no meaning"),
        (server("tools.a.result.fields.subject = {}"), "JSON pointer"),
        (server("tools.a.result.fields.\"/a\" = { reveal = \"status\" }"), "no status"),
        (server("tools.a.result.fields.\"/a\" = { endorse = [{}] }"), "`one-of`, `range` or `pattern`"),
        (server("tools.a.result.endorse = [{ range = [2, 1] }]"), "LOWEST"),
        (format!("{ONE}[plans]\ninfluencers = [\"anyone\"]"), "stands for all"),
        (server("resources.result.reveal = \"all\""), "write one of value, reference, status"),
        (remote("cwd = \"/\""), "servers with a `command`"),
        (remote("bearer-env = \"A\"\noauth = { client-id = \"x\" }"), "not both"),
        (remote("oauth = { scopes = [] }"), "`client-id`"),
        (remote("oauth = { client-id = \"x\", client-secret-env = \"A\" }"), "write also `issuer`"),
        (remote("oauth = { client-id = \"x\", issuer = \"login.example.org\" }"), "not a URL"),
        (server("ca = \"ca.pem\""), "servers with a `url`"),
        ("[servers.s]\nurl = \"http://localhost:1/\"\nca = \"ca.pem\"".to_owned(), "nobody vouches"),
        ("[servers.s]\nurl = \"https://user:pass@example.org/\"".to_owned(), "a user or a password"),
        ("[servers.s]\nurl = \"nonsense\"".to_owned(), "not a URL"),
        ("[servers.S_1]\ncommand = [\"x\"]".to_owned(), "lower-case"),
        ("[servers.user]\ncommand = [\"x\"]".to_owned(), "a meaning of its own"),
        (front("listen = \"0.0.0.0:80\""), "anybody on the network"),
        (
            front("listen = \"0.0.0.0:80\"\nauth = \"tokens\"\ntokens = { a = \"A\" }"),
            "under which name others reach it",
        ),
        (front("listen = \"localhost\""), "write `stdio`"),
        (format!("{ONE}sandbox = {{ off = true }}\n[front]\nlisten = \"127.0.0.1:8\""), "as you"),
        (format!("{ONE}sandbox = {{ network = \"all\" }}\n[front]\nlisten = \"127.0.0.1:8\""), "as you"),
        (format!("{ONE}sandbox = {{ network = [8, 443] }}\n[front]\nlisten = \"127.0.0.1:8\""), "as you"),
        (front("auth = \"tokens\"\ntokens = { a = \"A\" }"), "over stdio"),
        (front("listen = \"127.0.0.1:1\"\nauth = \"tokens\""), "no token"),
        (front("tokens = { a = \"A\" }"), "only with `auth = \"tokens\"`"),
        (front("listen = \"127.0.0.1:1\"\nauth = \"oauth\""), "[front.oauth]"),
        (
            front(
                "listen = \"127.0.0.1:1\"\nauth = \"oauth\"\noauth = { issuer = \"https://x\", jwks = \"keys.json\" }",
            ),
            "front.oauth.audience",
        ),
        (front("origins = [\"*\"]"), "not an origin"),
        (front("path = \"mcp\""), "`/mcp`"),
        (format!("{ONE}[approval]\nminutes = 0"), "out of range"),
        (format!("{ONE}[approval]\nchannels = [\"webhook\"]"), "[approval.webhook]"),
        (format!("{ONE}[approval]\nchannels = [\"email\"]"), "terminal, web, webhook"),
        (
            format!("{ONE}[approval]\nwebhook = {{ url = \"https://x/\", secret-env = \"A\" }}"),
            "add \"webhook\"",
        ),
        (format!("{ONE}[approval]\nweb-listen = \"0.0.0.0:1\""), "loopback"),
        (format!("{ONE}[audit]\nmode = \"safe\""), "durable, buffered"),
        (format!("{ONE}[budgets]\ntools = {{ \"x/y\" = 1 }}"), "no server `x`"),
        (format!("{ONE}[budgets]\ntools = {{ send = 1 }}"), "SERVER/TOOL"),
        (format!("{ONE}[run]\nreaders = [\"server\"]"), "server:NAME"),
        (format!("{ONE}[policy]\ncedar = [\"absent.cedar\"]"), "absent.cedar"),
        (format!("include = [\"absent.toml\"]\n{ONE}"), "absent.toml"),
    ] {
        let said = problems(&text);
        assert!(said.contains(words), "{text}\n--\n{said}");
        assert_eq!(said.lines().count(), 1, "{text}\n--\n{said}");
    }
}

#[test]
fn a_secret_written_in_the_wrong_place_is_not_repeated() {
    let said = problems("[servers.s]\ncommand = [\"x\"]\nenv = [\"sk-live-0123456789\"]\n");
    assert!(!said.contains("0123456789"), "{said}");
}

#[test]
fn included_files_bring_servers_and_nothing_else() {
    let config = read(&format!("include = [\"more.toml\"]\n{ONE}")).unwrap();
    assert_eq!(config.servers.keys().collect::<Vec<_>>(), ["s", "web"]);
    let said = problems("include = [\"wrong.toml\"]\n[servers.mail]\ncommand = [\"y\"]\n");
    assert!(said.contains("etc/wrong.toml:2: servers.mail: a server of this name"), "{said}");
    assert!(said.contains("etc/wrong.toml:5: guard: there is no such key"), "{said}");
}

#[test]
fn problems_of_policies_are_told_together_with_those_of_the_configuration() {
    let with = |path: &Path| match path.to_str() {
        Some("p.cedar") => Ok("\npermit (principal, action, resource in Server::\"mial\");".to_owned()),
        _ => Err(io::ErrorKind::NotFound.into()),
    };
    let text = "[servers.mail]\ncommand = [\"x\"]\n[policy]\ncedar = [\"p.cedar\"]\n[limits]\ndepht = 3\n";
    let said = Config::from_text("guard.toml", text, Path::new(""), &with).unwrap_err().to_string();
    assert!(
        said.contains("p.cedar:2:") && said.contains("did you mean `mail`") && said.contains("`depth`"),
        "{said}"
    );
}

#[test]
fn the_policy_version_changes_with_what_is_meant_and_not_with_how_it_is_written() {
    let version = |text: &str| read(text).unwrap().version();
    let base = version(EXAMPLE);
    assert_eq!(version(&EXAMPLE.replace("mode = \"enforce\"", "# a comment\nmode='enforce'")), base);
    // Said explicitly, or left to the default.
    assert_eq!(version(&EXAMPLE.replace("new-definitions = \"hold\"\n", "")), base);
    let mut versions = BTreeSet::from([base]);
    for (from, to) in [
        ("\"enforce\"", "\"observe\""),
        ("critical = true", "critical = false"),
        ("\"low\"", "\"lower\""),
        ("profile = \"email\"", "profile = \"calendar\""),
        ("readers = \"everyone\"", "readers = []"),
        ("cedar = [\"policy.cedar\"]", ""),
        ("network = \"none\"", "network = \"all\""),
        ("readers = [\"user\"]", "readers = []"),
    ] {
        assert!(EXAMPLE.contains(from));
        assert!(versions.insert(version(&EXAMPLE.replace(from, to))), "{from} → {to}");
    }
}

#[test]
fn a_wrapped_command_gets_its_profile_and_the_shipped_policy() {
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let config = Config::wrap(&words("npx @modelcontextprotocol/server-filesystem /data")).unwrap();
    assert_eq!(config.servers["filesystem"].tool("read_file").critical, Some(false));
    assert!(Policy::new(config).unwrap().policies.len() == 1);
    let unknown = Config::wrap(&words("./my-server")).unwrap();
    assert_eq!(*unknown.servers["wrapped"].tool("read_file"), ToolRules::unknown());
    assert!(Config::wrap(&[]).is_err());
}

#[test]
fn modes_are_refused_ignored_or_allowed() {
    let modes = |text: &str| {
        read(&format!("{ONE}sandbox = {{ modes = {text} }}\n"))
            .map(|config| config.servers["s"].server.sandbox.modes)
    };
    assert_eq!(modes("false").unwrap(), Modes::Refused);
    assert_eq!(modes("\"ignored\"").unwrap(), Modes::Ignored);
    assert_eq!(modes("true").unwrap(), Modes::Allowed);
    assert!(modes("\"all\"").unwrap_err().to_string().contains("true, false or \"ignored\""));
    // A log of before has a boolean in its policies.
    for modes in [Modes::Refused, Modes::Ignored, Modes::Allowed] {
        assert_eq!(serde_json::from_str::<Modes>(&serde_json::to_string(&modes).unwrap()).unwrap(), modes);
    }
    assert_eq!(serde_json::to_string(&Modes::Allowed).unwrap(), "true");
}

#[test]
fn files_are_read_from_the_folder_of_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(folder.path().join("p.cedar"), "@id(\"mine\") permit (principal, action, resource);")
        .unwrap();
    let file = folder.path().join("guard.toml");
    std::fs::write(&file, format!("{ONE}[policy]\ncedar = [\"p.cedar\"]\n[guard]\nstate = \"s\"\n")).unwrap();
    let policy = load(&file).unwrap();
    assert_eq!(policy.config.guard.state, Some(folder.path().join("s")));
    assert_eq!(policy.policies.len(), 1);
    assert_eq!(policy.version, policy.config.version());
    // A program with a folder before its name, and keys; a program's name alone is looked for in PATH.
    let text = "[front]\nlisten = \"127.0.0.1:1\"\nauth = \"oauth\"\noauth = { issuer = \"https://x\", audience = \"https://y\", jwks = \"keys.json\" }\n\
                [servers.near]\ncommand = [\"./bin/srv\", \"x/y\"]\n[servers.named]\ncommand = [\"srv\"]\n";
    std::fs::write(&file, text).unwrap();
    let config = load(&file).unwrap().config;
    assert_eq!(config.servers["near"].server.command, [path("./bin/srv"), "x/y".to_owned()]);
    assert_eq!(config.servers["named"].server.command, ["srv"]);
    assert_eq!(config.front.oauth.unwrap().jwks, path("keys.json"));
    // Keys that are not there yet are among the files as well.
    assert!(Config::files(&file).unwrap().contains(&folder.path().join("keys.json")));
    std::fs::write(&file, text.replace("keys.json", "https://x/keys")).unwrap();
    assert_eq!(load(&file).unwrap().config.front.oauth.unwrap().jwks, "https://x/keys");
    assert!(load(&folder.path().join("absent.toml")).unwrap_err().to_string().contains("cannot be read"));
}

/// The names of all fields of the serde types, by asking these for what they do not have.
fn keys_of<T: serde::de::DeserializeOwned>() -> Vec<String> {
    let error = toml::from_str::<T>("zzzzzz = 1").map(|_| ()).unwrap_err().to_string();
    let (_, expected) = error.split_once("expected ").unwrap();
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_documentation_explains_every_key() {
    let page = include_str!("../../../../../docs/guard-config.md");
    let all: Vec<Vec<String>> = vec![
        keys_of::<GuardFile>(),
        keys_of::<IncludedFile>(),
        keys_of::<Guard>(),
        keys_of::<Front>(),
        keys_of::<FrontOauth>(),
        keys_of::<Limits>(),
        keys_of::<Run>(),
        keys_of::<Server>(),
        keys_of::<Sandbox>(),
        keys_of::<SandboxLimits>(),
        keys_of::<BackOauth>(),
        keys_of::<CedarFiles>(),
        keys_of::<Approval>(),
        keys_of::<Webhook>(),
        keys_of::<Audit>(),
        keys_of::<Budgets>(),
        keys_of::<ToolRules>(),
        keys_of::<SourceRules>(),
        keys_of::<ArgumentRules>(),
        keys_of::<EndorseRules>(),
        keys_of::<ResultRules>(),
        keys_of::<FieldRules>(),
        keys_of::<Plans>(),
        keys_of::<MemoryRules>(),
    ];
    let keys: BTreeSet<String> = all.into_iter().flatten().collect();
    assert!(keys.len() > 80, "{}", keys.len());
    for key in &keys {
        assert!(
            page.contains(&format!("`{key}`")) || page.contains(&format!("[{key}]")),
            "docs/guard-config.md says nothing of `{key}`"
        );
    }
    for (name, _) in [
        ("none-on-loopback", ()),
        ("trust-on-first-use", ()),
        ("buffered", ()),
        ("reference", ()),
        ("status", ()),
    ] {
        assert!(page.contains(name), "{name}");
    }
}

#[test]
fn the_examples_of_the_documentation_are_accepted() {
    let page = include_str!("../../../../../docs/guard-config.md");
    let examples: Vec<&str> =
        page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(examples.len() >= 5);
    for example in examples {
        let any = |_: &Path| Ok(String::new());
        let with_server =
            if example.contains("[servers.") { example.to_owned() } else { format!("{example}\n{ONE}") };
        let result = Config::from_text(
            "example",
            &with_server.replace("cedar = [", "# cedar = ["),
            Path::new(""),
            &any,
        );
        assert!(result.is_ok(), "{with_server}\n--\n{}", result.unwrap_err());
    }
    let policies: Vec<&str> =
        page.split("```cedar\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(!policies.is_empty());
    for text in policies {
        let text = CedarText { name: "example".to_owned(), text: text.to_owned() };
        Policies::load(&[text], &["mail", "files", "bank"]).unwrap_or_else(|problems| panic!("{problems}"));
    }
}

proptest! {
    #[test]
    fn damaged_configurations_never_panic(cut in 0..EXAMPLE.len(), at in 0..EXAMPLE.len(), with in any::<u8>()) {
        let mut bytes = EXAMPLE.as_bytes().to_vec();
        bytes[at] = with;
        let _ = read(&String::from_utf8_lossy(&bytes));
        bytes.truncate(cut);
        let _ = read(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn strange_values_never_panic(key in "[a-z-]{1,10}", value in "(-?[0-9]{1,20}|nan|inf|\\[+\\]*|\"[a-z\\\\]*\"|\\{[a-z=1]*\\}|1979-05-27|true)") {
        for table in ["", "[guard]\n", "[front]\n", "[servers.s]\n", "[servers.s.tools.t]\n", "[servers.s.tools.t.arguments.a]\nendorse."] {
            let _ = read(&format!("{table}{key} = {value}\n"));
        }
    }
}

#[test]
fn what_is_said_of_one_field_or_argument_leaves_the_profiles_others() {
    let base = ToolRules {
        result: ResultRules {
            fields: BTreeMap::from([
                ("/a".to_owned(), FieldRules { influencers: Some(NameSet::All), ..FieldRules::default() }),
                ("/b".to_owned(), FieldRules { influencers: Some(NameSet::All), ..FieldRules::default() }),
            ]),
            ..ResultRules::default()
        },
        ..ToolRules::default()
    };
    let over = ToolRules {
        result: ResultRules {
            fields: BTreeMap::from([
                ("/a".to_owned(), FieldRules { reveal: Some(Reveal::Value), ..FieldRules::default() }),
                ("/c".to_owned(), FieldRules::default()),
            ]),
            ..ResultRules::default()
        },
        ..ToolRules::default()
    };
    let fields = over.over(&base).result.fields;
    assert_eq!(fields.keys().collect::<Vec<_>>(), ["/a", "/b", "/c"]);
    assert_eq!((&fields["/a"].influencers, fields["/a"].reveal), (&Some(NameSet::All), Some(Reveal::Value)));
    assert_eq!(fields["/b"].influencers, Some(NameSet::All));
}

#[test]
fn an_endpoint_has_a_plain_path() {
    for path in ["mcp", "/m{x}", "/a b", "/.well-known/x", "/a*", ""] {
        assert!(problems(&format!("[front]\npath = {path:?}\n{ONE}")).contains("path"), "{path}");
    }
    assert_eq!(read(&format!("[front]\npath = \"/guard/mcp\"\n{ONE}")).unwrap().front.path, "/guard/mcp");
}

#[test]
fn a_configurations_files_are_all_that_it_names() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("guard.toml", &format!("include = [\"more.toml\"]\n{ONE}[policy]\ncedar = [\"p.cedar\"]\n"));
    write("more.toml", "[servers.web]\nurl = \"https://example.org/mcp\"\n");
    write("p.cedar", "permit (principal, action, resource);");
    let files = Config::files(&folder.path().join("guard.toml")).unwrap();
    let names: BTreeSet<_> = files.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["guard.toml", "more.toml", "p.cedar"].into_iter().collect());
}

/// The limits that this program's sentences name, with the files that do.
fn named_limits(folder: &std::path::Path, found: &mut BTreeSet<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            named_limits(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            // What is between quotes.
            let texts = lines.flat_map(|line| line.split('"').skip(1).step_by(2));
            for rest in texts.flat_map(|text| text.split("limits.").skip(1)) {
                let key: String = rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect();
                found.insert((key, path.display().to_string()));
            }
        }
    }
}

#[test]
fn sentences_name_no_limit_that_nobody_can_set() {
    let mut named = BTreeSet::new();
    named_limits(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut named);
    assert!(named.iter().any(|(key, _)| key == "calls-per-second"), "{named:?}");
    for (key, file) in named.iter().filter(|(key, _)| !key.is_empty()) {
        let set: Result<schema::Limits, _> = toml::from_str(&format!("{key} = 1000"));
        assert!(set.is_ok(), "{file} names limits.{key}");
    }
}
