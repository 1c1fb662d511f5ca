//! The effective facts about a server's tools.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::rules::{NameSet, ResultRules, SourceRules, THIS_SERVER, ToolRules};
use super::schema::Server;
use crate::label::USER;
use crate::policy::profile::{Profile, ProfilePattern, fold_name};

/// A server with everything that is said of its tools, defaults filled in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ServerFacts {
    /// Its settings; `tools`, `defaults`, `resources` and `prompts` are complete.
    pub server: Server,
    /// Facts of the profile about tools whose names match; the first that matches counts, for what comes back all.
    pub patterns: Vec<ProfilePattern>,
}

impl ServerFacts {
    /// Lays what `server` says over its profile, and both over what holds for unknown tools.
    pub(super) fn new(mut server: Server) -> Self {
        let empty = Profile::default();
        let profile = server.profile.as_deref().and_then(Profile::named).unwrap_or(&empty);
        let unknown = ToolRules::unknown();
        let defaults = server.defaults.over(&profile.defaults).over(&unknown);
        let patterns: Vec<ProfilePattern> = profile
            .patterns
            .iter()
            .map(|pattern| ProfilePattern { rules: pattern.rules.over(&unknown), ..pattern.clone() })
            .collect();
        let mut tools: BTreeMap<String, ToolRules> =
            profile.tools.iter().map(|(tool, rules)| (tool.clone(), rules.over(&unknown))).collect();
        for (tool, rules) in &server.tools {
            let base = tools.get(tool).map(Cow::Borrowed).or_else(|| matching(&patterns, tool));
            let rules = rules.over(base.as_deref().unwrap_or(&defaults));
            tools.insert(tool.clone(), rules);
        }
        server.tools = tools;
        server.defaults = defaults;
        let source = unknown_source();
        server.resources = server.resources.over(&profile.resources).over(&source);
        server.prompts = server.prompts.over(&profile.prompts).over(&source);
        Self { server, patterns }
    }

    /// What holds for `tool`, by the server's own name for it. Complete: every field says something.
    #[must_use]
    pub fn tool(&self, tool: &str) -> Cow<'_, ToolRules> {
        match self.server.tools.get(tool) {
            Some(rules) => Cow::Borrowed(rules),
            None => matching(&self.patterns, tool).unwrap_or(Cow::Borrowed(&self.server.defaults)),
        }
    }
}

/// What the first pattern says that fits. Of its result, all that fit: a tool called `list_transfers` reads, whatever
/// else it may do.
fn matching<'a>(patterns: &'a [ProfilePattern], tool: &str) -> Option<Cow<'a, ToolRules>> {
    let folded = fold_name(tool);
    let mut fitting =
        patterns.iter().filter(|pattern| pattern.matches(&folded)).map(|pattern| &pattern.rules);
    let mut rules = Cow::Borrowed(fitting.next()?);
    for more in fitting {
        let result = rules.result.restricted(&more.result);
        if result != rules.result {
            rules.to_mut().result = result;
        }
    }
    Some(rules)
}

/// What holds for resources and prompts of which nobody says anything: to ask for one does nothing but tell the server, and
/// what comes back is the server's word.
fn unknown_source() -> SourceRules {
    let unknown = ToolRules::unknown();
    SourceRules {
        critical: Some(false),
        influencers: unknown.influencers,
        audience: unknown.audience,
        otherwise: unknown.otherwise,
        result: ResultRules {
            influencers: Some(NameSet::These(vec![THIS_SERVER.to_owned()])),
            readers: Some(NameSet::These(vec![USER.to_owned(), THIS_SERVER.to_owned()])),
            ..unknown.result
        },
    }
}
