//! What a person means who names something to a running guard.
//!
//! *Invariant:* a stop, a lift or a revocation that would change nothing is an error and not a word of success. Names are taken as the policy
//! writes them, and tools also as the agent calls them.

use std::sync::Arc;

use crate::flow::{ContextKey, Scope};
use crate::gateway::{Gateway, Names, operation};
use crate::pin::Kind;
use crate::policy::nearest::hint;

/// Where a name is taken that the guard does not know.
const UNKNOWN: &str = "--unknown takes the name all the same";

/// What is to be stopped. With `unknown`, a name that nothing has stays as it is.
pub(super) fn stopped(gateway: &Gateway, scope: Scope, unknown: bool) -> Result<Scope, String> {
    let found = match &scope {
        Scope::All => Ok(Scope::All),
        Scope::Server(name) => server(gateway, name).map(|()| scope.clone()),
        Scope::Tool(name) => tool(gateway, name).map(Scope::Tool),
        Scope::Principal(name) => principal(gateway, name).map(|()| scope.clone()),
        Scope::Run(name) => run(gateway, name).map(|()| scope.clone()),
    };
    match found {
        Err(_) if unknown => Ok(scope),
        Err(why) => Err(format!("{why}. Nothing was stopped; {UNKNOWN}")),
        found => found,
    }
}

/// Which stop is to be taken back.
pub(super) fn lifted(gateway: &Gateway, scope: &Scope) -> Result<Scope, String> {
    // What the guard knows may have changed since it was stopped.
    let known = stopped(gateway, scope.clone(), true)?;
    let state = gateway.shared.lock();
    let mut all = state.engine.stopped();
    if let Some(found) = all.find(|one| *one == scope || **one == known) {
        return Ok(found.clone());
    }
    let all: Vec<String> = state.engine.stopped().map(ToString::to_string).collect();
    let all =
        if all.is_empty() { "nothing is stopped".to_owned() } else { format!("stopped: {}", all.join(", ")) };
    Err(format!("{scope} is not stopped ({all})"))
}

/// What is to be revoked: `SERVER`, `SERVER/TOOL` or `SERVER#OBJECT`. Objects are not looked up: what a server stores it names itself.
pub(super) fn source(gateway: &Gateway, source: String, unknown: bool) -> Result<String, String> {
    let found = match source.split_once('#') {
        Some((name, _)) => server(gateway, name).map(|()| source.clone()),
        None if server(gateway, &source).is_ok() => Ok(source.clone()),
        None => tool(gateway, &source).map(|name| name.to_string()),
    };
    match found {
        Err(_) if unknown || was_seen(gateway, &source) => Ok(source),
        Err(why) => Err(format!("{why}. Nothing was revoked; {UNKNOWN}")),
        found => found,
    }
}

/// Whether something that a context has seen came from there: its server may be gone from the configuration.
fn was_seen(gateway: &Gateway, source: &str) -> bool {
    gateway
        .shared
        .lock()
        .engine
        .contexts()
        .any(|(_, label)| label.provenance.iter().any(|origin| &**origin == source))
}

/// Whose context is to begin anew.
pub(super) fn context(gateway: &Gateway, context: &ContextKey) -> Result<(), String> {
    principal(gateway, &context.principal)?;
    let Some(name) = &context.run else { return Ok(()) };
    run(gateway, name)?;
    let state = gateway.shared.lock();
    let is_known =
        state.engine.is_open(context) || state.engine.contexts().any(|(known, _)| known == context);
    if is_known { Ok(()) } else { Err(format!("run {name} is not one of principal {}", context.principal)) }
}

/// Whether somebody can be authenticated under this name.
pub(super) fn principal(gateway: &Gateway, name: &str) -> Result<(), String> {
    let Some(known) = gateway.shared.rules.principals() else { return Ok(()) };
    if known.iter().any(|one| &**one == name) {
        return Ok(());
    }
    let hint = hint(name, known.iter().map(|one| &**one));
    Err(format!("no principal is called {name}{hint}; there are: {}", known.join(", ")))
}

fn run(gateway: &Gateway, name: &str) -> Result<(), String> {
    let state = gateway.shared.lock();
    let mut runs = state.engine.contexts().filter_map(|(context, _)| context.run.as_deref());
    // One that began anew has no label yet, and is open all the same.
    if runs.any(|run| run == name) || state.engine.is_run(name) {
        Ok(())
    } else {
        Err(format!("no run is called {name}; ostrom guard status shows them"))
    }
}

fn server(gateway: &Gateway, name: &str) -> Result<(), String> {
    let known = gateway.shared.rules.servers();
    if known.iter().any(|one| &**one == name) {
        return Ok(());
    }
    let hint = hint(name, known.iter().map(|one| &**one));
    Err(format!("no server is called {name}{hint}; there are: {}", known.join(", ")))
}

/// The tool as `SERVER/TOOL`.
fn tool(gateway: &Gateway, name: &str) -> Result<Arc<str>, String> {
    let names = Names::new(gateway.shared.rules.servers());
    if let Some((server, tool)) = names.servers().find_map(|server| Some((server, name.strip_prefix(&**server)?.strip_prefix('/')?)))
        // Of a server that has not said what it offers, anything may be meant.
        && (has(gateway, server, tool) || !gateway.catalogue.knows(server, Kind::Tool))
    {
        return Ok(name.into());
    }
    if let Some((server, tool)) = names.inner(name)
        && has(gateway, &server, tool)
    {
        return Ok(format!("{server}/{tool}").into());
    }
    let having: Vec<String> = names
        .servers()
        .filter(|server| has(gateway, server, name))
        .map(|server| format!("{server}/{name}"))
        .collect();
    match having.as_slice() {
        [one] => Ok(one.as_str().into()),
        [] => {
            let known = known(gateway);
            let hint = hint(name, known.iter().map(String::as_str));
            let hint = if hint.is_empty() { "; tools are named SERVER/TOOL".to_owned() } else { hint };
            Err(format!("no server has a tool {name}{hint}"))
        }
        several => Err(format!("several servers have a tool {name}: {}", several.join(", "))),
    }
}

/// Whether a server offers a tool or did, the policy speaks of it, or it is an operation.
fn has(gateway: &Gateway, server: &str, tool: &str) -> bool {
    operation::is(tool)
        || gateway.catalogue.is_pinned(server, Kind::Tool, tool)
        || gateway.catalogue.held().iter().any(|held| {
            *held.server == *server && held.checked.kind == Kind::Tool && held.checked.name == tool
        })
        || gateway.shared.rules.speaks_of(server, tool)
}

/// All tools, as `SERVER/TOOL`.
fn known(gateway: &Gateway) -> Vec<String> {
    let listed = |server: &Arc<str>| {
        let tools = gateway.catalogue.listed(server, Kind::Tool).unwrap_or_default();
        let name = |tool: &serde_json::Value| Some(format!("{server}/{}", tool.get("name")?.as_str()?));
        tools.iter().filter_map(name).collect::<Vec<_>>()
    };
    gateway.shared.rules.servers().iter().flat_map(listed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Event;
    use crate::gateway::now;
    use crate::serve::approval::tests::before;

    const TWO: &str = "[front]\nprincipal = \"alice\"\n[servers.files]\ncommand = [\"x\"]\n[servers.files.tools.read]\n\
                       [servers.mail]\ncommand = [\"x\"]\n[servers.mail.tools.read]\n[servers.mail.tools.send]\n";

    /// A gateway whose servers have said that they offer nothing.
    fn gateway() -> Arc<Gateway> {
        let gateway = before(TWO);
        for server in ["files", "mail"] {
            gateway.catalogue.take(&server.into(), Kind::Tool, &[], now()).unwrap();
        }
        gateway
    }

    fn of_tool(name: &str) -> Result<Scope, String> {
        stopped(&gateway(), Scope::Tool(name.into()), false)
    }

    #[test]
    fn a_tool_is_stopped_under_each_of_its_names_and_what_no_server_has_is_an_error() {
        for name in ["mail/send", "mail__send", "send"] {
            assert_eq!(of_tool(name), Ok(Scope::Tool("mail/send".into())), "{name}");
        }
        assert_eq!(of_tool("files/resources/read"), Ok(Scope::Tool("files/resources/read".into())));
        let both = of_tool("read").unwrap_err();
        assert!(both.contains("files/read, mail/read") && both.contains("Nothing was stopped"), "{both}");
        for name in ["mial/send", "a/b/c", "mail/", "mail", "send_all", ""] {
            let why = of_tool(name).unwrap_err();
            assert!(why.contains("no server has a tool"), "{name}: {why}");
            let scope = Scope::Tool(name.into());
            assert_eq!(stopped(&gateway(), scope.clone(), true), Ok(scope));
        }
    }

    #[test]
    fn nothing_is_stopped_that_nobody_has() {
        let gateway = gateway();
        let of = |scope: Scope| stopped(&gateway, scope, false);
        assert!(of(Scope::Server("mail".into())).is_ok() && of(Scope::Principal("alice".into())).is_ok());
        assert!(of(Scope::Server("mial".into())).unwrap_err().contains("did you mean `mail`"));
        assert!(of(Scope::Principal("carol".into())).unwrap_err().contains("there are: alice"));
        assert!(of(Scope::Run("zzz".into())).unwrap_err().contains("no run"));
        let reset = |run: Option<&str>| {
            context(&gateway, &ContextKey { principal: "alice".into(), run: run.map(Into::into) })
        };
        assert!(reset(None).is_ok() && reset(Some("nix")).is_err());
    }

    #[test]
    fn a_run_that_began_anew_is_stopped_and_reset_like_any_other() {
        let gateway = gateway();
        let (run, _) = gateway.mint("alice").unwrap();
        let key = ContextKey { principal: "alice".into(), run: Some(run.clone()) };
        for _ in 0..2 {
            context(&gateway, &key).unwrap();
            let event = Event::Reset { context: key.clone(), by: "x".to_owned(), at: 0 };
            let _written = gateway.shared.record(&mut gateway.shared.lock(), &event, None).unwrap();
        }
        assert_eq!(stopped(&gateway, Scope::Run(run.clone()), false), Ok(Scope::Run(run)));
        assert!(context(&gateway, &ContextKey { principal: "bob".into(), ..key }).is_err());
    }

    #[test]
    fn only_what_is_stopped_is_lifted_under_any_of_its_names() {
        let gateway = gateway();
        let scope = Scope::Tool("mail/send".into());
        let event = Event::Stopped { scope: scope.clone(), by: "x".to_owned(), at: 0 };
        let _written = gateway.shared.record(&mut gateway.shared.lock(), &event, None).unwrap();
        assert_eq!(lifted(&gateway, &Scope::Tool("send".into())), Ok(scope));
        let why = lifted(&gateway, &Scope::All).unwrap_err();
        assert!(why.contains("not stopped") && why.contains("tool mail/send"), "{why}");
        // What was stopped before its server was taken out of the configuration.
        let gone = Scope::Server("gone".into());
        let event = Event::Stopped { scope: gone.clone(), by: "x".to_owned(), at: 0 };
        let _written = gateway.shared.record(&mut gateway.shared.lock(), &event, None).unwrap();
        assert_eq!(lifted(&gateway, &gone), Ok(gone));
    }

    #[test]
    fn a_source_is_a_server_a_tool_or_an_object_of_a_server() {
        let of = |name: &str| source(&gateway(), name.to_owned(), false);
        for name in ["mail", "mail/send", "mail#project"] {
            assert_eq!(of(name).as_deref(), Ok(name));
        }
        assert_eq!(of("mail__send").as_deref(), Ok("mail/send"));
        for name in ["nix", "a b", "nix#project", "mail/none"] {
            assert!(of(name).unwrap_err().contains("Nothing was revoked"), "{name}");
            assert_eq!(source(&gateway(), name.to_owned(), true).as_deref(), Ok(name));
        }
    }
}
