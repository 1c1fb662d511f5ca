//! The effective facts about a server's tools.

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
    /// Facts of the profile about tools whose names match; the first that matches counts.
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
            let base = tools.get(tool).or_else(|| matching(&patterns, tool)).unwrap_or(&defaults);
            tools.insert(tool.clone(), rules.over(base));
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
    pub fn tool(&self, tool: &str) -> &ToolRules {
        self.server
            .tools
            .get(tool)
            .or_else(|| matching(&self.patterns, tool))
            .unwrap_or(&self.server.defaults)
    }
}

fn matching<'a>(patterns: &'a [ProfilePattern], tool: &str) -> Option<&'a ToolRules> {
    let folded = fold_name(tool);
    patterns.iter().find(|pattern| pattern.matches(&folded)).map(|pattern| &pattern.rules)
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
