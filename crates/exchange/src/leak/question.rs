//! What is asked.

use serde_json::Value;

use super::world::World;
use crate::stix::Object;

/// Something to ask a server: a path from the host on, and what stands behind the question mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The path.
    pub path: String,
    /// The query, without the question mark.
    pub query: String,
}

impl Question {
    /// Asks for a resource.
    pub fn new(path: impl Into<String>, query: impl Into<String>) -> Self {
        Self { path: path.into(), query: query.into() }
    }

    /// The page that follows, if the answer says that one does.
    pub fn next_page(&self, body: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(body).ok()?;
        let next = value.get("next")?.as_str()?;
        let others = self.query.split('&').filter(|part| !part.is_empty() && !part.starts_with("next="));
        let mut query: Vec<String> = others.map(ToOwned::to_owned).collect();
        query.push(format!("next={next}"));
        Some(Self { path: self.path.clone(), query: query.join("&") })
    }
}

impl World {
    /// Everything that is asked of a TAXII server about this world: of what is in it, whoever may see it, and of what is not.
    pub fn questions(&self) -> Vec<Question> {
        let mut all = vec![
            Question::new(self.discovery.clone(), ""),
            Question::new(self.root.clone(), ""),
            Question::new(format!("{}collections/", self.root), ""),
        ];
        let mut middle = self.versions().map(|version| version.added).collect::<Vec<_>>();
        middle.sort();
        let middle = middle.get(middle.len() / 2).copied().unwrap_or(self.now);
        let queries = [
            String::new(),
            "limit=1".to_owned(),
            "limit=3&match[version]=all".to_owned(),
            "limit=2&match[version]=first".to_owned(),
            "match[version]=first,last".to_owned(),
            "match[type]=relationship,report&limit=2".to_owned(),
            "match[type]=marking-definition".to_owned(),
            "match[spec_version]=2.1&match[type]=vulnerability".to_owned(),
            format!("added_after={middle}&limit=2"),
            format!("added_after={middle}&match[version]=all"),
            format!("match[id]={}", self.some_ids().join(",")),
        ];
        let unknown = "00000000-0000-4000-8000-000000000001";
        let collections = self.collections.iter().map(|collection| collection.id.to_string());
        for collection in collections.chain([unknown.to_owned()]) {
            let path = format!("{}collections/{collection}/", self.root);
            all.push(Question::new(path.clone(), ""));
            for query in &queries {
                all.push(Question::new(format!("{path}objects/"), query.clone()));
                all.push(Question::new(format!("{path}manifest/"), query.clone()));
            }
            for id in self.ids() {
                for query in ["", "match[version]=all&limit=1", "match[version]=first"] {
                    all.push(Question::new(format!("{path}objects/{id}/"), query));
                }
                all.push(Question::new(format!("{path}objects/{id}/versions/"), ""));
                all.push(Question::new(format!("{path}objects/{id}/versions/"), "limit=1"));
            }
            all.push(Question::new(format!("{path}objects/vulnerability--{unknown}/"), ""));
            all.push(Question::new(format!("{path}objects/vulnerability--{unknown}/versions/"), ""));
        }
        all.push(Question::new(format!("{}status/{unknown}/", self.root), ""));
        all
    }

    fn some_ids(&self) -> Vec<String> {
        self.versions()
            .map(|version| &version.object)
            .map(Object::id)
            .step_by(3)
            .take(20)
            .map(ToString::to_string)
            .collect()
    }
}
