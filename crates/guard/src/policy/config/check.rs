//! What a type cannot say about a configuration.

use std::net::{IpAddr, SocketAddr};

use serde_json::Value;

use super::rules::{
    ANYONE, Access, ArgumentRules, EVERYONE, EndorseRules, MemoryRules, NameSet, ResultRules, Reveal,
    SourceRules, THIS_SERVER, ToolRules,
};
use super::schema::{Approval, Auth, Budgets, Channel, Front, GuardFile, Network, Plans, Run, Server};
use crate::label::{GUARD, USER};
use crate::policy::nearest::hint;
use crate::policy::problem::Problems;
use crate::policy::profile::Profile;
use crate::policy::read::Document;
use crate::wire::Revision;

/// Names longer than this are mistakes.
const MAX_NAME: usize = 200;
/// Numbers that RFC 8785 writes without loss.
const MAX_EXACT: i64 = (1 << 53) - 1;
/// Values that an endorsement may list.
const MAX_ENDORSED: usize = 10_000;

struct Check<'a, 'i> {
    document: &'a Document<'i>,
    problems: &'a mut Problems,
}

impl Check<'_, '_> {
    fn fail(&mut self, path: &[&str], message: impl Into<String>) {
        self.problems.push(self.document.problem(path, message));
    }

    fn within(&mut self, path: &[&str], value: u64, low: u64, high: u64) {
        if !(low..=high).contains(&value) {
            self.fail(path, format!("{value} is out of range; write a number from {low} to {high}"));
        }
    }

    /// The name of an environment variable, not its value.
    fn variable(&mut self, path: &[&str], name: &str) {
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let starts = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
        if !plain || !starts || name.len() > MAX_NAME {
            // Not the text itself: it may be a secret.
            let message = "this is not the name of an environment variable; put the secret into a variable of the \
                           guard's environment and write the variable's name here";
            self.fail(path, message);
        }
    }

    fn url(&mut self, path: &[&str], text: &str) {
        let parsed: Option<http::Uri> = text.parse().ok();
        let Some((scheme, host)) =
            parsed.as_ref().and_then(|uri| Some((uri.scheme_str()?.to_owned(), uri.host()?.to_owned())))
        else {
            return self.fail(path, "this is not a URL; write `https://HOST/PATH`");
        };
        if parsed
            .as_ref()
            .and_then(http::Uri::authority)
            .is_some_and(|authority| authority.as_str().contains('@'))
        {
            self.fail(path, "a URL with a user or a password in it; secrets come from environment variables");
        }
        match scheme.as_str() {
            "https" => {}
            "http" if is_loopback(&host) => {}
            "http" => self.fail(path, "http is for this machine only; write `https://…`"),
            _ => self.fail(path, "write a URL that begins with `https://`"),
        }
    }

    fn names<const I: bool>(&mut self, path: &[&str], names: Option<&NameSet<I>>, servers: &[&str]) {
        let Some(NameSet::These(names)) = names else { return };
        for name in names {
            if name == ANYONE || name == EVERYONE {
                let word = if I { ANYONE } else { EVERYONE };
                self.fail(
                    path,
                    format!("`{name}` stands for all and cannot be one of a list; write \"{word}\" alone"),
                );
            } else if let Some(server) = name.strip_prefix("server:") {
                if !servers.contains(&server) {
                    self.fail(
                        path,
                        format!("there is no server `{server}`{}", hint(server, servers.iter().copied())),
                    );
                }
            } else if name.is_empty()
                || name.len() > MAX_NAME
                || name.chars().any(|c| c.is_whitespace() || c.is_control())
                || !name.is_ascii()
            {
                let message = format!(
                    "{name:?} is not a name; write ASCII without spaces, at most {MAX_NAME} characters"
                );
                self.fail(path, message);
            }
        }
    }

    fn tool(&mut self, path: &[&str], rules: &ToolRules, servers: &[&str]) {
        if let [_, server, "tools", name] = path
            && crate::gateway::operation::is(name)
        {
            let source = if *name == crate::gateway::operation::PROMPT { "prompts" } else { "resources" };
            self.fail(
                path,
                format!(
                    "{name} is no tool, and nothing said here would count; write [servers.{server}.{source}]"
                ),
            );
        }
        self.names(&join(path, &["influencers"]), rules.influencers.as_ref(), servers);
        self.names(&join(path, &["audience"]), rules.audience.as_ref(), servers);
        self.result(&join(path, &["result"]), &rules.result, servers);
        for (argument, rules) in &rules.arguments {
            self.argument(&join(path, &["arguments", argument]), rules, servers);
        }
        if let Some(memory) = &rules.memory {
            self.memory(&join(path, &["memory"]), memory);
        }
    }

    fn result(&mut self, path: &[&str], rules: &ResultRules, servers: &[&str]) {
        self.names(&join(path, &["influencers"]), rules.influencers.as_ref(), servers);
        self.names(&join(path, &["readers"]), rules.readers.as_ref(), servers);
        self.endorsements(&join(path, &["endorse"]), rules.endorse.as_deref());
        for (pointer, field) in &rules.fields {
            let path = join(path, &["fields", pointer]);
            if !pointer.starts_with('/') || pointer.len() > MAX_NAME {
                self.fail(&path, "write a JSON pointer such as \"/subject\" or \"/*/subject\"");
            }
            if field.reveal == Some(Reveal::Status) {
                self.fail(&path, "a field has no status; write \"value\" or \"reference\"");
            }
            self.names(&join(&path, &["influencers"]), field.influencers.as_ref(), servers);
            self.names(&join(&path, &["readers"]), field.readers.as_ref(), servers);
            self.endorsements(&join(&path, &["endorse"]), field.endorse.as_deref());
        }
    }

    fn endorsements(&mut self, path: &[&str], rules: Option<&[EndorseRules]>) {
        for rules in rules.into_iter().flatten() {
            if *rules == EndorseRules::default() {
                self.fail(path, "write `one-of`, `range` or `pattern`");
            }
            self.endorse(path, rules);
        }
    }

    fn argument(&mut self, path: &[&str], rules: &ArgumentRules, servers: &[&str]) {
        self.names(&join(path, &["influencers"]), rules.influencers.as_ref(), servers);
        self.names(&join(path, &["audience"]), rules.audience.as_ref(), servers);
        if let Some(endorse) = &rules.endorse {
            self.endorse(&join(path, &["endorse"]), endorse);
        }
    }

    fn endorse(&mut self, path: &[&str], rules: &EndorseRules) {
        let said =
            [rules.one_of.is_some(), rules.range.is_some(), rules.number.is_some(), rules.pattern.is_some()];
        if said.into_iter().filter(|&said| said).count() > 1 {
            self.fail(path, "write one of `one-of`, `range`, `number` and `pattern`");
        }
        if let Some(values) = &rules.one_of {
            let is_plain =
                |value: &Value| matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_));
            if values.is_empty() || values.len() > MAX_ENDORSED || !values.iter().all(is_plain) {
                let message = format!("write 1 to {MAX_ENDORSED} texts, numbers or booleans");
                self.fail(&join(path, &["one-of"]), message);
            }
        }
        if let Some((low, high)) = rules.range {
            let exact = -MAX_EXACT..=MAX_EXACT;
            if low > high || !exact.contains(&low) || !exact.contains(&high) {
                self.fail(&join(path, &["range"]), "write `[LOWEST, HIGHEST]`, at most 2^53 each");
            }
        }
        if let Some(number) = &rules.number
            && (number.min > number.max || number.decimals > 9)
        {
            self.fail(
                &join(path, &["number"]),
                "write `min`, a `max` that is not smaller, and at most 9 `decimals`",
            );
        }
        if let Some(pattern) = &rules.pattern {
            let built = regex::RegexBuilder::new(&format!(r"\A(?:{pattern})\z")).size_limit(1 << 20).build();
            if let Err(error) = built {
                let text = error.to_string().lines().last().unwrap_or_default().trim().to_owned();
                self.fail(&join(path, &["pattern"]), format!("not a regular expression: {text}"));
            }
        }
    }

    fn memory(&mut self, path: &[&str], memory: &MemoryRules) {
        let (object, content) = (memory.object.is_some(), memory.content.is_some());
        if memory.access.is_none() && (object || content) {
            self.fail(path, "write also `access = \"read\"` or `access = \"write\"`");
        }
        if content && memory.access == Some(Access::Read) {
            self.fail(&join(path, &["content"]), "only a write has content; leave it out");
        }
        if content && !object {
            let message = "content belongs to one object; write also `object`, the argument that names it";
            self.fail(&join(path, &["content"]), message);
        }
    }

    fn source(&mut self, path: &[&str], rules: &SourceRules, servers: &[&str]) {
        self.tool(path, &rules.as_tool(), servers);
    }
}

fn join<'a>(path: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    path.iter().chain(more).copied().collect()
}

/// Whether a host is this machine.
fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// `[front]`.
pub(super) fn front(document: &Document<'_>, front: &Front, problems: &mut Problems) {
    let mut check = Check { document, problems };
    let address: Option<SocketAddr> = front.listen.parse().ok();
    if front.listen != "stdio" && address.is_none() {
        let message = "write `stdio`, or an IP address and a port such as `127.0.0.1:8931`";
        check.fail(&["front", "listen"], message);
    }
    if front.auth == Auth::NoneOnLoopback && address.is_some_and(|address| !address.ip().is_loopback()) {
        let message = "anybody on the network could call; listen on `127.0.0.1:PORT`, or write `auth = \"tokens\"` or \
                       `auth = \"oauth\"`";
        check.fail(&["front", "listen"], message);
    }
    if front.auth == Auth::Tokens && address.is_some_and(|address| !address.ip().is_loopback()) {
        let message = "nothing says under which name others reach it; listen on `127.0.0.1:PORT` behind what keeps the \
                       connection secret, or write `auth = \"oauth\"`, whose `audience` says it";
        check.fail(&["front", "listen"], message);
    }
    if front.listen == "stdio" && front.auth != Auth::NoneOnLoopback {
        check.fail(
            &["front", "auth"],
            "over stdio there is nobody to authenticate; leave it out, or listen on an address",
        );
    }
    if !crate::front::http::is_endpoint(&front.path) {
        check.fail(&["front", "path"], "write a path such as `/mcp`, of letters, digits and /-_.~");
    }
    check.names::<true>(&["front", "principal"], Some(&NameSet::These(vec![front.principal.clone()])), &[]);
    match (front.auth, front.tokens.is_empty()) {
        (Auth::Tokens, true) => {
            check.fail(
                &["front", "tokens"],
                "no token; write `[front.tokens]` and `PRINCIPAL = \"NAME_OF_VARIABLE\"`",
            );
        }
        (Auth::Tokens, false) | (_, true) => {}
        (_, false) => check.fail(&["front", "tokens"], "tokens count only with `auth = \"tokens\"`"),
    }
    for (principal, variable) in &front.tokens {
        let path = ["front", "tokens", principal];
        check.names::<true>(&path, Some(&NameSet::These(vec![principal.clone()])), &[]);
        check.variable(&path, variable);
    }
    match (front.auth, &front.oauth) {
        (Auth::Oauth, None) => {
            let message = "write `[front.oauth]` with `issuer`, `audience` and `jwks`";
            check.fail(&["front", "auth"], message);
        }
        (Auth::Oauth, Some(oauth)) => {
            check.url(&["front", "oauth", "issuer"], &oauth.issuer);
            check.url(&["front", "oauth", "audience"], &oauth.audience);
            if oauth.jwks.is_empty() {
                check.fail(
                    &["front", "oauth", "jwks"],
                    "write the URL of the issuer's key set, or a file with it",
                );
            } else if oauth.jwks.contains("://") {
                check.url(&["front", "oauth", "jwks"], &oauth.jwks);
            }
        }
        (_, Some(_)) => check.fail(&["front", "oauth"], "this counts only with `auth = \"oauth\"`"),
        (_, None) => {}
    }
    for origin in &front.origins {
        let shape = origin.split_once("://").is_some_and(|(scheme, rest)| {
            matches!(scheme, "http" | "https") && !rest.is_empty() && !rest.contains(['/', '*', ' '])
        });
        if !shape {
            check.fail(
                &["front", "origins"],
                format!("{origin:?} is not an origin; write `https://HOST` or `https://HOST:PORT`"),
            );
        }
    }
}

/// Numbers.
pub(super) fn bounds(document: &Document<'_>, file: &GuardFile, problems: &mut Problems) {
    let mut check = Check { document, problems };
    let limits = &file.limits;
    for (key, value, low, high) in [
        ("message-bytes", limits.message_bytes, 1 << 10, 1 << 30),
        ("depth", limits.depth, 4, 100),
        ("values", limits.values, 100, 1 << 24),
        ("call-seconds", limits.call_seconds, 1, 86_400),
        ("concurrent-calls", limits.concurrent_calls, 1, 100_000),
        ("calls-per-second", limits.calls_per_second, 1, 1_000_000),
        ("runs", limits.runs, 1, 10_000_000),
        ("kept-values", limits.kept_values, 1, 10_000_000),
        ("kept-bytes", limits.kept_bytes, 1 << 10, 1 << 40),
    ] {
        check.within(&["limits", key], value, low, high);
    }
    if let Some(days) = file.audit.openings_days {
        check.within(&["audit", "openings-days"], days, 0, 36_500);
    }
}

/// `[approval]`.
pub(super) fn approval(document: &Document<'_>, approval: &Approval, problems: &mut Problems) {
    let mut check = Check { document, problems };
    check.within(&["approval", "minutes"], approval.minutes, 1, 7 * 24 * 60);
    let address: Option<SocketAddr> = approval.web_listen.parse().ok();
    if !address.is_some_and(|address| address.ip().is_loopback()) {
        check.fail(
            &["approval", "web-listen"],
            "write a loopback address and a port such as `127.0.0.1:8932`",
        );
    }
    match (approval.channels.contains(&Channel::Webhook), &approval.webhook) {
        (true, Some(webhook)) => {
            check.url(&["approval", "webhook", "url"], &webhook.url);
            check.variable(&["approval", "webhook", "secret-env"], &webhook.secret_env);
        }
        (true, None) => {
            check.fail(&["approval", "channels"], "write `[approval.webhook]` with `url` and `secret-env`")
        }
        (false, Some(_)) => {
            check.fail(&["approval", "webhook"], "add \"webhook\" to `approval.channels`, or leave this out")
        }
        (false, None) => {}
    }
}

/// At least one server.
pub(super) fn no_servers(document: &Document<'_>, servers: &[&str], problems: &mut Problems) {
    if servers.is_empty() {
        let message =
            "no server; write `[servers.NAME]` with `command = [\"PROGRAM\"]` or `url = \"https://…\"`";
        problems.push(document.problem(&[], message));
    }
}

/// `[plans]`.
pub(super) fn plans(document: &Document<'_>, plans: &Plans, servers: &[&str], problems: &mut Problems) {
    let mut check = Check { document, problems };
    check.names(&["plans", "influencers"], Some(&plans.influencers), servers);
}

/// `[run]`.
pub(super) fn run(document: &Document<'_>, run: &Run, servers: &[&str], problems: &mut Problems) {
    let mut check = Check { document, problems };
    check.names(&["run", "readers"], Some(&run.readers), servers);
    if let NameSet::These(names) = &run.readers
        && names.iter().any(|name| name == THIS_SERVER)
    {
        check.fail(
            &["run", "readers"],
            "`server` stands for a server only in facts about it; write `server:NAME`",
        );
    }
}

/// `[budgets]`.
pub(super) fn budgets(document: &Document<'_>, budgets: &Budgets, servers: &[&str], problems: &mut Problems) {
    let mut check = Check { document, problems };
    let all = [("calls-per-run", budgets.calls_per_run), ("calls-per-hour", budgets.calls_per_hour)];
    for (key, value) in all {
        if let Some(value) = value {
            check.within(&["budgets", key], value, 1, 1_000_000_000);
        }
    }
    for (tool, &calls) in &budgets.tools {
        let path = ["budgets", "tools", tool];
        check.within(&path, calls, 0, 1_000_000_000);
        match tool.split_once('/') {
            Some((server, name)) if servers.contains(&server) && !name.is_empty() => {}
            Some((server, name)) if !name.is_empty() => {
                check.fail(
                    &path,
                    format!("there is no server `{server}`{}", hint(server, servers.iter().copied())),
                );
            }
            _ => check.fail(&path, "write `\"SERVER/TOOL\" = CALLS`"),
        }
    }
}

/// `[servers.NAME]`.
pub(super) fn server(
    document: &Document<'_>,
    name: &str,
    server: &Server,
    servers: &[&str],
    problems: &mut Problems,
) {
    let mut check = Check { document, problems };
    let path = ["servers", name];
    let shape = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
        && name.len() <= 64;
    if !shape {
        check.fail(
            &path,
            "a server's name has lower-case letters, digits and `-`, at most 64; give it such a name",
        );
    }
    if [USER, GUARD, THIS_SERVER, ANYONE, EVERYONE].contains(&name) {
        check.fail(&path, format!("`{name}` has a meaning of its own; give the server another name"));
    }
    match (server.command.first(), &server.url) {
        (Some(_), Some(_)) => check.fail(&path, "write `command` or `url`, not both"),
        (None, None) => check.fail(&path, "write `command = [\"PROGRAM\", …]` or `url = \"https://…\"`"),
        (Some(program), None) => {
            if program.is_empty() {
                check.fail(&join(&path, &["command"]), "the program has no name; write it first");
            }
            let remote = [
                ("ca", server.ca.is_some()),
                ("bearer-env", server.bearer_env.is_some()),
                ("oauth", server.oauth.is_some()),
            ];
            for (key, _) in remote.into_iter().filter(|(_, said)| *said) {
                check.fail(&join(&path, &[key]), "this is for servers with a `url`; leave it out");
            }
        }
        (None, Some(url)) => {
            check.url(&join(&path, &["url"]), url);
            let local = [
                ("cwd", server.cwd.is_some()),
                ("env", !server.env.is_empty()),
                ("variables", !server.variables.is_empty()),
                ("sandbox", server.sandbox != super::Sandbox::default()),
            ];
            for (key, _) in local.into_iter().filter(|(_, said)| *said) {
                check.fail(&join(&path, &[key]), "this is for servers with a `command`; leave it out");
            }
        }
    }
    remote(&mut check, &path, server);
    environment(&mut check, &path, server);
    sandbox(&mut check, &path, server);
    if let Some(revision) = &server.revision
        && revision != "auto"
        && Revision::of(revision).is_none()
    {
        let known: Vec<&str> = Revision::ALL.iter().map(|revision| revision.name()).collect();
        check.fail(&join(&path, &["revision"]), format!("write `auto` or one of {}", known.join(", ")));
    }
    if let Some(profile) = &server.profile
        && Profile::named(profile).is_none()
    {
        let hint = hint(profile, Profile::names());
        let all = Profile::names().collect::<Vec<_>>().join(", ");
        check.fail(
            &join(&path, &["profile"]),
            format!("there is no profile `{profile}`{hint} (there are {all})"),
        );
    }
    for (tool, rules) in &server.tools {
        let path = join(&path, &["tools", tool]);
        if tool.contains('*') {
            check.fail(
                &path,
                "`*` has no meaning in a tool's name; for all other tools write `[servers.NAME.defaults]`",
            );
        }
        check.tool(&path, rules, servers);
    }
    check.tool(&join(&path, &["defaults"]), &server.defaults, servers);
    check.source(&join(&path, &["resources"]), &server.resources, servers);
    check.source(&join(&path, &["prompts"]), &server.prompts, servers);
}

fn remote(check: &mut Check<'_, '_>, path: &[&str], server: &Server) {
    if server.ca.is_some() && server.url.as_ref().is_some_and(|url| url.starts_with("http:")) {
        check.fail(
            &join(path, &["ca"]),
            "without TLS nobody vouches for a server; leave it out, or write `https://…`",
        );
    }
    if let Some(variable) = &server.bearer_env {
        check.variable(&join(path, &["bearer-env"]), variable);
        if server.oauth.is_some() {
            check.fail(&join(path, &["bearer-env"]), "write `bearer-env` or `oauth`, not both");
        }
    }
    if let Some(oauth) = &server.oauth {
        if oauth.client_id.is_empty() {
            check.fail(&join(path, &["oauth"]), "write `client-id`");
        }
        if let Some(variable) = &oauth.client_secret_env {
            check.variable(&join(path, &["oauth", "client-secret-env"]), variable);
            if oauth.issuer.is_none() {
                let message = "write also `issuer`, the authorization server that gave the secret: without it, the secret goes to whomever the server names";
                check.fail(&join(path, &["oauth"]), message);
            }
        }
        if let Some(issuer) = &oauth.issuer {
            check.url(&join(path, &["oauth", "issuer"]), issuer);
        }
    }
}

fn environment(check: &mut Check<'_, '_>, path: &[&str], server: &Server) {
    for name in &server.env {
        check.variable(&join(path, &["env"]), name);
    }
    for name in server.variables.keys() {
        let path = join(path, &["variables", name]);
        check.variable(&path, name);
        let upper = name.to_ascii_uppercase();
        if ["TOKEN", "SECRET", "PASSWORD", "PASSWD", "API_KEY", "APIKEY", "PRIVATE_KEY", "CREDENTIAL"]
            .iter()
            .any(|word| upper.contains(word))
        {
            let message = "this looks like a secret, and secrets do not belong into this file; write the name into `env`";
            check.fail(&path, message);
        }
        if server.env.contains(name) {
            check.fail(&path, "this is in `env` too; write it in one place");
        }
    }
}

/// A program that reaches a front at which nobody is authenticated is taken for the person.
pub(super) fn caller(
    document: &Document<'_>,
    front: &Front,
    (name, server): (&str, &Server),
    problems: &mut Problems,
) {
    let address: Option<SocketAddr> = front.listen.parse().ok();
    let Some(address) = address.filter(|_| front.auth == Auth::NoneOnLoopback && !server.command.is_empty())
    else {
        return;
    };
    let reaches = match &server.sandbox.network {
        _ if server.sandbox.off => true,
        Network::None | Network::Loopback => false,
        Network::Ports(ports) => address.port() == 0 || ports.contains(&address.port()),
        Network::All => true,
    };
    if reaches {
        let key = if server.sandbox.off { "off" } else { "network" };
        let message = "this program could call the guard as you, since anybody on this machine may: write `auth = \"tokens\"` into \
                       `[front]`, or give the program only the ports that it needs";
        Check { document, problems }.fail(&["servers", name, "sandbox", key], message);
    }
}

fn sandbox(check: &mut Check<'_, '_>, path: &[&str], server: &Server) {
    let sandbox = &server.sandbox;
    if sandbox.off && *sandbox != (super::Sandbox { off: true, ..super::Sandbox::default() }) {
        check.fail(
            &join(path, &["sandbox", "off"]),
            "without a sandbox nothing else here counts; leave the rest out",
        );
    }
    if let Network::Ports(ports) = &sandbox.network
        && (ports.is_empty() || ports.contains(&0))
    {
        check.fail(&join(path, &["sandbox", "network"]), "write ports from 1 to 65535, or \"none\"");
    }
    let limits = &sandbox.limits;
    for (key, value) in [
        ("open-files", limits.open_files),
        ("file-bytes", limits.file_bytes),
        ("memory-bytes", limits.memory_bytes),
        ("cpu-seconds", limits.cpu_seconds),
        ("processes", limits.processes),
    ] {
        if let Some(value) = value {
            check.within(&join(path, &["sandbox", "limits", key]), value, 1, 1 << 50);
        }
    }
}
