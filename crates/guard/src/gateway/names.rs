//! One namespace for many servers.

use std::sync::Arc;

use serde_json::{Map, Value};

/// Between a server's name and a tool's or prompt's.
const SEPARATOR: &str = "__";
/// Before a resource's URI: `ostrom+SERVER:URI`.
const SCHEME: &str = "ostrom+";

/// How names of servers show. With one server they do not: its clients see what they would see without the guard.
#[derive(Debug, Clone)]
pub struct Names {
    servers: Vec<Arc<str>>,
    prefixed: bool,
}

impl Names {
    /// The names of these servers' things.
    #[must_use]
    pub fn new(servers: Vec<Arc<str>>) -> Self {
        let prefixed = servers.len() > 1;
        Self { servers, prefixed }
    }

    /// The servers, in order.
    pub fn servers(&self) -> impl Iterator<Item = &Arc<str>> {
        self.servers.iter()
    }

    /// What the agent calls `name` of `server`.
    #[must_use]
    pub fn outer(&self, server: &str, name: &str) -> String {
        if self.prefixed { format!("{server}{SEPARATOR}{name}") } else { name.to_owned() }
    }

    /// Whose and what `outer` is.
    #[must_use]
    pub fn inner<'a>(&self, outer: &'a str) -> Option<(Arc<str>, &'a str)> {
        if !self.prefixed {
            return self.servers.first().map(|server| (server.clone(), outer));
        }
        // A server's name may hold the separator, so the longest that fits is meant.
        self.servers
            .iter()
            .filter_map(|server| {
                let name = outer.strip_prefix(&**server)?.strip_prefix(SEPARATOR)?;
                Some((server.clone(), name))
            })
            .max_by_key(|(server, _)| server.len())
    }

    /// What the agent calls the resource `uri` of `server`.
    #[must_use]
    pub fn outer_uri(&self, server: &str, uri: &str) -> String {
        if self.prefixed { format!("{SCHEME}{server}:{uri}") } else { uri.to_owned() }
    }

    /// Puts the agent's names of resources into what a server's result says of them: links, embedded resources, contents.
    pub fn put_outer_uris(&self, server: &str, result: &mut Map<String, Value>) {
        if !self.prefixed {
            return;
        }
        let rename = |resource: &mut Value| {
            if let Some(Value::String(uri)) = resource.get_mut("uri") {
                *uri = self.outer_uri(server, uri);
            }
        };
        let block = |block: &mut Value| match block.get("type").and_then(Value::as_str) {
            Some("resource_link") => rename(block),
            Some("resource") => block.get_mut("resource").map(rename).unwrap_or_default(),
            _ => {}
        };
        let list = |result: &mut Map<String, Value>, member: &str, each: &dyn Fn(&mut Value)| {
            if let Some(Value::Array(all)) = result.get_mut(member) {
                all.iter_mut().for_each(each);
            }
        };
        list(result, "content", &block);
        list(result, "contents", &rename);
        list(result, "messages", &|message| match message.get_mut("content") {
            Some(Value::Array(blocks)) => blocks.iter_mut().for_each(block),
            Some(one) => block(one),
            None => {}
        });
    }

    /// Whose and what `outer` is.
    #[must_use]
    pub fn inner_uri<'a>(&self, outer: &'a str) -> Option<(Arc<str>, &'a str)> {
        if !self.prefixed {
            return self.servers.first().map(|server| (server.clone(), outer));
        }
        let (name, uri) = outer.strip_prefix(SCHEME)?.split_once(':')?;
        self.servers.iter().find(|server| &***server == name).map(|server| (server.clone(), uri))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_server_keeps_its_names_and_two_get_their_own() {
        let one = Names::new(vec!["a".into()]);
        assert_eq!(one.outer("a", "x"), "x");
        assert_eq!(one.inner("x__y").unwrap().1, "x__y");
        let two = Names::new(vec!["a".into(), "a__b".into()]);
        for (server, name) in [("a", "x"), ("a__b", "x"), ("a", "x__y")] {
            let outer = two.outer(server, name);
            assert_eq!(two.inner(&outer).unwrap(), (server.into(), name));
            let uri = two.outer_uri(server, "file:///x:y");
            assert_eq!(two.inner_uri(&uri).unwrap(), (server.into(), "file:///x:y"));
        }
        assert!(
            two.inner("x").is_none() && two.inner("c__x").is_none() && two.inner_uri("file:///x").is_none()
        );
    }

    #[test]
    fn what_a_result_says_of_resources_can_be_read_back() {
        let said = json!({
            "content": [
                {"type": "resource_link", "uri": "a:1", "name": "one"},
                {"type": "resource", "resource": {"uri": "a:2", "text": "uri"}},
                {"type": "text", "text": "a:3", "uri": "a:3"},
                "odd", {"type": "resource"}, {"type": "resource_link", "uri": 4},
            ],
            "contents": [{"uri": "a:1", "text": "x"}, {"uri": "a:5", "blob": ""}],
            "messages": [
                {"role": "user", "content": {"type": "resource", "resource": {"uri": "a:6"}}},
                {"role": "user", "content": [{"type": "resource_link", "uri": "a:7"}]},
            ],
        });
        let told = |servers: &[&str]| {
            let mut told = said.clone();
            let names = Names::new(servers.iter().map(|server| Arc::from(*server)).collect());
            names.put_outer_uris("web", told.as_object_mut().unwrap());
            told
        };
        assert_eq!(told(&["web"]), said);
        let told = told(&["mail", "web"]);
        for place in [
            "/content/0/uri",
            "/content/1/resource/uri",
            "/contents/0/uri",
            "/contents/1/uri",
            "/messages/0/content/resource/uri",
            "/messages/1/content/0/uri",
        ] {
            let inner = said.pointer(place).unwrap().as_str().unwrap();
            assert_eq!(told.pointer(place).unwrap(), &format!("ostrom+web:{inner}"), "{place}");
        }
        for place in ["/content/2", "/content/3", "/content/4", "/content/5"] {
            assert_eq!(told.pointer(place), said.pointer(place), "{place}");
        }
    }
}
