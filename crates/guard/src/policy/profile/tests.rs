use super::*;
use crate::policy::config::{Config, Influencers, ReaderSet, Reveal};

/// Names of tools, and of their arguments.
type Tools = &'static [(&'static str, &'static [&'static str])];

/// The tools of the real servers, as their `tools/list` gives them: server-filesystem 0.2.0, server-memory 0.6.3,
/// server-everything 2.0.0 (npm), mcp-server-git and mcp-server-time 2026.10.19, mcp-server-fetch 2026.10.24 (PyPI).
const REAL: [(&str, Tools); 6] = [
    (
        "filesystem",
        &[
            ("read_file", &["path", "tail", "head"]),
            ("read_text_file", &["path", "tail", "head"]),
            ("read_media_file", &["path"]),
            ("read_multiple_files", &["paths"]),
            ("write_file", &["path", "content"]),
            ("edit_file", &["path", "edits", "dryRun"]),
            ("create_directory", &["path"]),
            ("list_directory", &["path"]),
            ("list_directory_with_sizes", &["path", "sortBy"]),
            ("directory_tree", &["path", "excludePatterns"]),
            ("move_file", &["source", "destination"]),
            ("search_files", &["path", "pattern", "excludePatterns"]),
            ("get_file_info", &["path"]),
            ("list_allowed_directories", &[]),
        ],
    ),
    (
        "memory",
        &[
            ("create_entities", &["entities"]),
            ("create_relations", &["relations"]),
            ("add_observations", &["observations"]),
            ("delete_entities", &["entityNames"]),
            ("delete_observations", &["deletions"]),
            ("delete_relations", &["relations"]),
            ("read_graph", &[]),
            ("search_nodes", &["query"]),
            ("open_nodes", &["names"]),
        ],
    ),
    (
        "everything",
        &[
            ("echo", &["message"]),
            ("get-annotated-message", &["messageType", "includeImage"]),
            ("get-env", &[]),
            ("get-resource-links", &["count"]),
            ("get-resource-reference", &["resourceType", "resourceId"]),
            ("get-structured-content", &["location"]),
            ("get-sum", &["a", "b"]),
            ("get-tiny-image", &[]),
            ("gzip-file-as-resource", &["name", "data", "outputType"]),
            ("toggle-simulated-logging", &[]),
            ("toggle-subscriber-updates", &[]),
            ("trigger-long-running-operation", &["duration", "steps"]),
            ("get-roots-list", &[]),
            ("trigger-elicitation-request", &[]),
            ("trigger-sampling-request", &["prompt", "maxTokens"]),
            ("simulate-research-query", &["topic", "ambiguous"]),
        ],
    ),
    (
        "git",
        &[
            ("git_status", &["repo_path"]),
            ("git_diff_unstaged", &["repo_path", "context_lines"]),
            ("git_diff_staged", &["repo_path", "context_lines"]),
            ("git_diff", &["repo_path", "target", "context_lines"]),
            ("git_commit", &["repo_path", "message"]),
            ("git_add", &["repo_path", "files"]),
            ("git_reset", &["repo_path"]),
            ("git_log", &["repo_path", "max_count", "start_timestamp", "end_timestamp"]),
            ("git_create_branch", &["repo_path", "branch_name", "base_branch"]),
            ("git_checkout", &["repo_path", "branch_name"]),
            ("git_show", &["repo_path", "revision"]),
            ("git_branch", &["repo_path", "branch_type", "contains", "not_contains"]),
        ],
    ),
    (
        "time",
        &[
            ("get_current_time", &["timezone"]),
            ("convert_time", &["source_timezone", "time", "target_timezone"]),
        ],
    ),
    ("fetch", &[("fetch", &["url", "max_length", "start_index", "raw"])]),
];

#[test]
fn every_profile_can_be_read_and_passes_the_checks_of_a_configuration() {
    assert_eq!(ALL.1.to_string(), "");
    assert_eq!(ALL.0.len(), FILES.len());
    for (name, profile) in Profile::all() {
        assert!(!profile.description.is_empty() && !profile.description.contains("  "), "{name}");
        for program in &profile.programs {
            assert_ne!(*program, Program::default(), "{name}");
        }
        for pattern in &profile.patterns {
            for glob in &pattern.names {
                assert_eq!(glob.split('*').map(fold_name).collect::<Vec<_>>().join("*"), *glob, "{name}");
            }
        }
        // The same facts written into a configuration are accepted there.
        let mut server =
            crate::policy::config::Server { command: vec!["x".to_owned()], ..Default::default() };
        server.tools = profile.tools.clone();
        for (at, pattern) in profile.patterns.iter().enumerate() {
            server.tools.insert(format!("pattern-{at}"), pattern.rules.clone());
        }
        server.defaults = profile.defaults.clone();
        server.resources = profile.resources.clone();
        server.prompts = profile.prompts.clone();
        let servers = BTreeMap::from([("x", server)]);
        let text = toml::to_string(&BTreeMap::from([("servers", servers)])).unwrap();
        let none = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
        Config::from_text("x", &text, std::path::Path::new(""), &none)
            .unwrap_or_else(|problems| panic!("{name}: {problems}"));
    }
}

#[test]
fn every_tool_of_the_real_servers_has_facts_and_every_fact_has_a_tool() {
    for (name, tools) in REAL {
        let profile = Profile::named(name).unwrap();
        let known: BTreeMap<&str, &[&str]> = tools.iter().copied().collect();
        for tool in known.keys() {
            assert!(profile.tools.get(*tool).is_some_and(|rules| rules.critical.is_some()), "{name}: {tool}");
        }
        for (tool, rules) in &profile.tools {
            let arguments = known.get(tool.as_str()).unwrap_or_else(|| panic!("{name} has no {tool}"));
            let memory = rules.memory.iter().flat_map(|memory| memory.object.iter().chain(&memory.content));
            let named = rules.arguments.keys().chain(rules.audience_of.iter().flatten()).chain(memory);
            for argument in named {
                assert!(arguments.contains(&argument.as_str()), "{name}/{tool} has no argument {argument}");
            }
        }
    }
}

#[test]
fn what_only_answers_is_not_critical_and_what_changes_or_leaves_is() {
    for (name, tools) in REAL {
        for (tool, _) in tools {
            let critical = Profile::named(name).unwrap().tools[*tool].critical == Some(true);
            let changes = [
                "write",
                "edit",
                "move",
                "create_directory",
                "delete",
                "commit",
                "git_add",
                "reset",
                "checkout",
                "create_branch",
            ]
            .iter()
            .any(|verb| tool.contains(verb));
            let leaves = ["fetch", "gzip-file-as-resource", "trigger-sampling-request"].contains(tool);
            assert_eq!(critical, changes || leaves, "{name}/{tool}");
        }
    }
}

fn facts(profile: &str, tool: &str) -> ToolRules {
    let text = format!("[servers.s]\ncommand = [\"x\"]\nprofile = \"{profile}\"");
    let none = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
    let config = Config::from_text("x", &text, std::path::Path::new(""), &none).unwrap();
    config.servers["s"].tool(tool).into_owned()
}

#[test]
fn tools_of_mail_calendar_and_payment_servers_are_known_by_their_names() {
    let outside = Some(ReaderSet::These(vec!["outside".to_owned()]));
    for (profile, tool, critical, leaves) in [
        ("email", "send_email", true, true),
        ("email", "sendEmail", true, true),
        ("email", "gmail-send-message", true, true),
        ("email", "reply_to_thread", true, true),
        ("email", "create_filter", true, true),
        ("email", "mark_as_read", true, false),
        ("email", "mark_read_email", true, false),
        ("email", "delete_email", true, false),
        ("email", "download_attachment", true, false),
        ("email", "get_and_forward_email", true, true),
        ("email", "read_email", false, false),
        ("email", "SearchMessages", false, false),
        ("email", "list_labels", false, false),
        ("email", "do_something_new", true, true),
        ("calendar", "create_event", true, true),
        ("calendar", "list-events", false, false),
        ("calendar", "getFreeBusy", false, false),
        ("calendar", "delete_event", true, true),
        ("calendar", "accept_invitation", true, true),
        ("payments", "send_money", true, true),
        ("payments", "create_refund", true, true),
        ("payments", "pay", true, true),
        ("payments", "list_payments", false, false),
        ("payments", "get_balance", false, false),
        ("payments", "update_password", true, true),
        ("payments", "something", true, true),
    ] {
        let facts = facts(profile, tool);
        assert_eq!(facts.critical, Some(critical), "{profile}/{tool}");
        assert_eq!(facts.audience == outside, leaves, "{profile}/{tool}");
        if critical {
            assert_eq!(
                facts.influencers,
                Some(Influencers::These(vec!["user".to_owned()])),
                "{profile}/{tool}"
            );
        } else {
            assert_eq!(
                facts.result.readers,
                Some(ReaderSet::These(vec!["user".to_owned(), "server".to_owned()]))
            );
            assert!(
                matches!(&facts.result.influencers, Some(Influencers::These(names)) if names.contains(&"outside".to_owned()))
            );
        }
    }
}

#[test]
fn what_a_tool_reads_is_a_strangers_whatever_else_its_name_says() {
    for (profile, tool, critical) in [
        ("payments", "list_transfers", true),
        ("payments", "get_transfer", true),
        ("payments", "list_refunds", true),
        ("email", "filter_emails", true),
        ("email", "get_and_forward_email", true),
        ("calendar", "list_bookings", true),
        ("calendar", "get_address", true),
        ("payments", "list_payments", false),
    ] {
        let facts = facts(profile, tool);
        assert_eq!(facts.critical, Some(critical), "{profile}/{tool}");
        let influencers = ["server", "outside"].map(str::to_owned).to_vec();
        assert_eq!(facts.result.influencers, Some(Influencers::These(influencers)), "{profile}/{tool}");
        let readers = ["user", "server"].map(str::to_owned).to_vec();
        assert_eq!(facts.result.readers, Some(ReaderSet::These(readers)), "{profile}/{tool}");
    }
    // What only sends says what its server says.
    let sent = facts("email", "send_email").result.influencers;
    assert_eq!(sent, Some(Influencers::These(vec!["server".to_owned()])));
}

#[test]
fn a_page_is_from_outside_and_asking_for_it_tells_outside() {
    let fetch = facts("fetch", "fetch");
    assert_eq!(fetch.audience, Some(ReaderSet::These(vec!["outside".to_owned()])));
    assert_eq!(fetch.result.influencers, Some(Influencers::These(vec!["outside".to_owned()])));
    assert_eq!(fetch.result.readers, Some(ReaderSet::All));
    assert_eq!(fetch.result.reveal, Some(Reveal::Value));
}

#[test]
fn an_address_that_a_page_chose_must_look_public() {
    let pattern = facts("fetch", "fetch").arguments["url"].endorse.clone().unwrap().pattern.unwrap();
    let regex = regex::Regex::new(&format!(r"\A(?:{pattern})\z")).unwrap();
    for public in
        ["https://example.org", "http://a-b.example.co.uk/x?y=1#z", "https://xn--d1abbgf6aiiy.example.dev/"]
    {
        assert!(regex.is_match(public), "{public}");
    }
    for inner in [
        "http://localhost/",
        "http://127.0.0.1/",
        "http://[::1]/",
        "http://2130706433/",
        "http://0x7f.1/",
        "https://router/",
        "https://example.org:22/",
        "https://user@example.org/",
        "file:///etc/passwd",
        "https://example.org/\n",
        "http://10.0.0.1.",
        "https://example.org@10.0.0.1/",
        "https://example.org\\@10.0.0.1/",
        "http://metadata.google.internal/computeMetadata/v1/",
        "http://router.local/",
        "http://fritz.box/",
        "http://admin.localhost/x",
        "http://kubernetes.default.svc/",
    ] {
        assert!(!regex.is_match(inner), "{inner}");
    }
}

#[test]
fn a_command_line_finds_its_profile_only_when_the_program_is_certain() {
    for (line, expected) in [
        ("npx @modelcontextprotocol/server-filesystem /data", Some("filesystem")),
        ("npx -y @modelcontextprotocol/server-filesystem@2026.1.1 /data", Some("filesystem")),
        ("npx --package=@modelcontextprotocol/server-memory mcp-server-memory", Some("memory")),
        ("npx -p @modelcontextprotocol/server-memory -- mcp-server-memory", Some("memory")),
        ("npx -p something-else @modelcontextprotocol/server-memory", None),
        ("npx --registry http://x @modelcontextprotocol/server-memory", None),
        ("npx -c @modelcontextprotocol/server-memory", None),
        ("npx mcp-server-time", None),
        ("npx", None),
        ("npm exec -- @modelcontextprotocol/server-everything stdio", Some("everything")),
        ("pnpm dlx @modelcontextprotocol/server-everything", Some("everything")),
        ("/usr/bin/uvx mcp-server-git --repository .", Some("git")),
        ("uvx mcp-server-git==2026.1.1", Some("git")),
        ("uvx mcp-server-git@latest", Some("git")),
        ("uvx --from mcp_server_time mcp-server-time", Some("time")),
        ("uvx --from git+https://x/y mcp-server-time", None),
        ("uvx mcp-server-git@https://x/y", None),
        ("uvx --index http://x mcp-server-git", None),
        ("uv tool run mcp-server-fetch", Some("fetch")),
        ("uv run mcp-server-fetch", None),
        ("pipx run mcp-server-fetch", Some("fetch")),
        ("python3.12 -m mcp_server_fetch", Some("fetch")),
        ("python server.py", None),
        ("venv/bin/mcp-server-time --local-timezone UTC", Some("time")),
        ("node node_modules/@modelcontextprotocol/server-filesystem/dist/index.js /data", Some("filesystem")),
        ("node filesystem.js", None),
        ("docker run -i --rm -v /a:/b mcp/git:1.0", Some("git")),
        ("docker run -i --rm --entrypoint sh mcp/git", None),
        ("sh -c mcp-server-git", None),
        ("C:\\tools\\npx.cmd @modelcontextprotocol/server-memory", Some("memory")),
        ("", None),
    ] {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        assert_eq!(profile_for(&words), expected, "{line}");
    }
}

#[test]
fn a_launcher_says_what_it_would_fetch_and_which_words_are_the_programs_own() {
    for (line, registry, expected) in [
        ("npx -y @a/b@1 x y", Registry::Npm, Some(("@a/b@1", None, 2))),
        ("npx --package=a c --flag", Registry::Npm, Some(("a", Some("c"), 1))),
        ("npx -- a", Registry::Npm, Some(("a", None, 0))),
        ("npx -p a -- c d", Registry::Npm, Some(("a", Some("c"), 1))),
        ("npx --unknown a", Registry::Npm, None),
        ("/usr/bin/uvx --from a==1 c d", Registry::Pypi, Some(("a==1", Some("c"), 1))),
        ("pipx run a", Registry::Pypi, Some(("a", None, 0))),
    ] {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let found = fetched(&words).unwrap();
        let wanted = found.wanted.map(|wanted| (wanted.package, wanted.program, wanted.arguments));
        assert_eq!((found.registry, wanted), (registry, expected), "{line}");
    }
    for line in ["node x.js", "uv run x", "npm install x", "servers/node_modules/.bin/x", ""] {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        assert_eq!(fetched(&words), None, "{line}");
    }
}

#[test]
fn names_are_folded_and_globs_match_as_whole_names() {
    assert_eq!(fold_name("sendEmail"), "send_email");
    assert_eq!(fold_name("GMAIL_SEND_EMAIL"), "gmail_send_email");
    assert_eq!(fold_name("Send-E.Mail 2"), "send_e_mail_2");
    for (glob, text, expected) in [
        ("*", "", true),
        ("a*", "a", true),
        ("a*b*c", "aXbYbc", true),
        ("a*b", "ab_", false),
        ("", "", true),
        ("a", "ab", false),
        ("*a*a*a*b", "aaaaaaaaaaaaaaaaaaaa", false),
    ] {
        assert_eq!(glob_matches(glob, text), expected, "{glob} {text}");
    }
}
