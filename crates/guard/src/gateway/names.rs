//! One namespace for many servers.

use std::sync::Arc;

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
}
