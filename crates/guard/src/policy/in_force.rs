//! A policy as the gateway asks it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use ostrom_core::Digest;
use serde_json::Value;

use super::cedar::{Action, Question as CedarQuestion, Target, Used};
use super::config::{
    Access, ArgumentRules, Auth, Channel, Config, EndorseRules, FieldRules, Mode,
    Otherwise as ConfigOtherwise, ResultRules, Reveal as ConfigReveal, ToolRules,
};
use super::{Policies, Policy};
use crate::flow::{
    ArgumentFacts, ContextKey, Endorse, FieldFacts, MemoryAccess, MemoryFacts, Otherwise, ResultFacts,
    Reveal, ToolFacts,
};
use crate::gateway::{Question, Rules, Terms, operation};
use crate::label::{GUARD, Integrity, Label, Readers};
use crate::pin::Kind;

/// Tools whose facts are remembered; more than anybody configures.
const MAX_REMEMBERED: usize = 10_000;

/// A policy that decides.
#[derive(Debug)]
pub struct InForce {
    policy: Policy,
    /// By server and tool.
    facts: RwLock<HashMap<String, HashMap<String, Arc<Known>>>>,
}

/// What is known of a tool, ready for questions.
#[derive(Debug)]
struct Known {
    facts: Arc<ToolFacts>,
    target: Target,
    action: Action,
}

/// Reads a policy from what [`InForce::snapshot`] gave.
///
/// # Errors
/// If it is not one of this version of Ostrom.
pub fn read_snapshot(bytes: &[u8]) -> Result<Arc<dyn Rules>, String> {
    let config = Config::from_snapshot(bytes)?;
    let policy = Policy::new(config).map_err(|problems| problems.to_string())?;
    Ok(Arc::new(InForce::new(policy).map_err(|error| error.to_string())?))
}

impl InForce {
    /// Puts a policy in force.
    ///
    /// # Errors
    /// If a pattern that endorses values is no regular expression.
    pub fn new(policy: Policy) -> Result<Self, crate::flow::EndorseError> {
        for server in policy.config.servers.values() {
            let sources = [&server.server.defaults];
            for rules in server.server.tools.values().chain(sources) {
                endorsements(rules)?;
            }
        }
        Ok(Self { policy, facts: RwLock::default() })
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.policy.config
    }

    /// The policy as it is kept beside the audit log: canonical JSON, of which its version is the digest.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        // What has a digest has canonical JSON.
        ostrom_trust::canonical_json(&self.policy.config).unwrap_or_default()
    }

    fn known(&self, server: &str, tool: &str) -> Arc<Known> {
        let all = self.facts.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get(server).and_then(|tools| tools.get(tool)) {
            return known.clone();
        }
        drop(all);
        let mut facts = self.make(server, tool);
        let (target, action) = match tool {
            // To ask to be told of changes is to ask for the resource.
            operation::READ | operation::SUBSCRIBE => {
                (Target::resource(server, "*", facts.critical), Action::Read)
            }
            operation::PROMPT => (Target::prompt(server, "*", facts.critical), Action::Get),
            _ => (Target::tool(server, tool, facts.critical), Action::Call),
        };
        // The house's own tools have no budgets.
        facts.counted =
            server != GUARD && (self.has_budget(server, tool) || self.policies().counts(action, &target));
        let facts = Arc::new(facts);
        let known = Arc::new(Known { facts, target, action });
        let mut all = self.facts.write().unwrap_or_else(PoisonError::into_inner);
        if all.values().map(HashMap::len).sum::<usize>() < MAX_REMEMBERED {
            all.entry(server.to_owned()).or_default().insert(tool.to_owned(), known.clone());
        }
        known
    }

    fn make(&self, server: &str, tool: &str) -> ToolFacts {
        let config = &self.policy.config;
        if server == GUARD {
            return ToolFacts {
                influencers: config.plans.influencers.integrity(GUARD),
                otherwise: otherwise(config.plans.otherwise),
                ..ToolFacts::unknown(GUARD)
            };
        }
        let Some(known) = config.servers.get(server) else { return ToolFacts::unknown(server) };
        let mut facts = match tool {
            operation::READ | operation::SUBSCRIBE => facts(&known.server.resources.as_tool(), server),
            operation::PROMPT => facts(&known.server.prompts.as_tool(), server),
            operation::COMPLETE => {
                // A completion is made of what prompts and resources are made of.
                let mut all = ToolFacts { critical: false, ..ToolFacts::unknown(server) };
                for source in [&known.server.resources, &known.server.prompts] {
                    let of = facts(&source.as_tool(), server).result;
                    all.result.influencers = all.result.influencers.join(&of.influencers);
                    all.result.readers = all.result.readers.join(&of.readers);
                }
                all
            }
            _ => facts(&known.tool(tool), server),
        };
        if config.guard.mode == Mode::Observe {
            // Who only watches changes nothing of what the agent sees.
            facts.result.reveal = Reveal::Value;
            facts.result.fields.clear();
        }
        facts
    }

    /// Whether a budget of a run has to do with calls of this tool. Those of the hour are their principal's, not a run's.
    fn has_budget(&self, server: &str, tool: &str) -> bool {
        let budgets = &self.policy.config.budgets;
        budgets.calls_per_run.is_some() || budgets.tools.contains_key(&format!("{server}/{tool}"))
    }

    fn over_budget(&self, question: &Question<'_>) -> Option<String> {
        let budgets = &self.policy.config.budgets;
        let spent = |limit: Option<&u64>, used: u64| limit.filter(|limit| used >= **limit).copied();
        if let Some(limit) = spent(budgets.calls_per_run.as_ref(), question.used.calls) {
            return Some(format!("budgets.calls-per-run = {limit}"));
        }
        if let Some(limit) = spent(budgets.calls_per_hour.as_ref(), question.used.hour_calls) {
            return Some(format!("budgets.calls-per-hour = {limit}"));
        }
        if budgets.tools.is_empty() {
            return None;
        }
        let tool = format!("{}/{}", question.server, question.tool);
        let limit = spent(budgets.tools.get(&tool), question.used.tool_calls)?;
        Some(format!("budgets.tools.{tool:?} = {limit}"))
    }
}

impl Rules for InForce {
    fn version(&self) -> Digest {
        self.policy.version
    }

    fn enforces(&self) -> bool {
        self.policy.config.guard.mode != Mode::Observe
    }

    fn readers(&self) -> Readers {
        self.policy.config.run.readers.readers(GUARD)
    }

    fn servers(&self) -> Vec<Arc<str>> {
        self.policy.config.servers.keys().map(|name| Arc::from(name.as_str())).collect()
    }

    fn principals(&self) -> Option<Vec<Arc<str>>> {
        let front = &self.policy.config.front;
        match front.auth {
            Auth::NoneOnLoopback => Some(vec![front.principal.as_str().into()]),
            Auth::Tokens => Some(front.tokens.keys().map(|name| name.as_str().into()).collect()),
            Auth::Oauth => None,
        }
    }

    fn speaks_of(&self, server: &str, tool: &str) -> bool {
        self.policy.config.servers.get(server).is_some_and(|facts| facts.server.tools.contains_key(tool))
    }

    fn terms(&self) -> Terms {
        let approval = &self.policy.config.approval;
        let has = |channel| approval.channels.contains(&channel);
        Terms {
            seconds: approval.minutes.saturating_mul(60),
            terminal: has(Channel::Terminal),
            web: has(Channel::Web),
            webhook: has(Channel::Webhook),
        }
    }

    fn facts(&self, server: &str, tool: &str) -> Arc<ToolFacts> {
        self.known(server, tool).facts.clone()
    }

    fn forbids(&self, question: &Question<'_>) -> Vec<String> {
        if question.server == GUARD {
            return Vec::new();
        }
        if let Some(budget) = self.over_budget(question) {
            return vec![budget];
        }
        let known = self.known(question.server, question.tool);
        let exact;
        let target = match (known.action, question.arguments.get("uri").and_then(Value::as_str)) {
            (Action::Read, Some(uri)) => {
                exact = Target::resource(question.server, uri, known.facts.critical);
                &exact
            }
            (Action::Get, _) if question.prompt.is_some() => {
                let name = question.prompt.unwrap_or_default();
                exact = Target::prompt(question.server, name, known.facts.critical);
                &exact
            }
            _ => &known.target,
        };
        self.refusals(&CedarQuestion {
            principal: &question.context.principal,
            run: question.context.run.as_deref(),
            plan: question.plan,
            action: known.action,
            target,
            control: question.control,
            data: question.all,
            arguments: question.arguments,
            seconds: i64::try_from(question.at).unwrap_or(i64::MAX),
            used: Used {
                run: question.used.calls,
                tool: question.used.tool_calls,
                hour: question.used.hour_calls,
            },
        })
    }

    fn looks_at(&self, server: &str, tool: &str, name: &str) -> bool {
        if server == GUARD || self.policies().is_empty() {
            return false;
        }
        let known = self.known(server, tool);
        // Which resource or prompt it is says which policies are asked.
        known.action != Action::Call || self.policies().looks_at(known.action, &known.target, name)
    }

    fn lists(&self, context: &ContextKey, server: &str, kind: Kind, name: &str, at: u64) -> bool {
        if self.policies().is_empty() {
            return true;
        }
        let target = match kind {
            Kind::Tool => self.known(server, name).target.clone(),
            Kind::Prompt => Target::prompt(server, name, self.facts(server, operation::PROMPT).critical),
            Kind::Resource | Kind::ResourceTemplate => {
                Target::resource(server, name, self.facts(server, operation::READ).critical)
            }
        };
        let nothing = Label::user(Readers::Everyone);
        self.refusals(&of_no_call(context, Action::List, &target, (&nothing, &nothing), at)).is_empty()
    }

    fn forbids_reveal(
        &self,
        context: &ContextKey,
        (server, tool): (&str, &str),
        labels: (&Label, &Label),
        at: u64,
    ) -> Vec<String> {
        if server == GUARD || self.policies().is_empty() {
            return Vec::new();
        }
        let known = self.known(server, tool);
        self.refusals(&of_no_call(context, Action::Reveal, &known.target, labels, at))
    }
}

/// A question about what is no call: it has no arguments and counts towards no budget.
fn of_no_call<'a>(
    context: &'a ContextKey,
    action: Action,
    target: &'a Target,
    (control, data): (&'a Label, &'a Label),
    at: u64,
) -> CedarQuestion<'a> {
    static NONE: BTreeMap<String, Value> = BTreeMap::new();
    CedarQuestion {
        principal: &context.principal,
        run: context.run.as_deref(),
        plan: false,
        action,
        target,
        control,
        data,
        arguments: &NONE,
        seconds: i64::try_from(at).unwrap_or(i64::MAX),
        used: Used::default(),
    }
}

impl InForce {
    /// Which policies refuse, or that none permits; empty if it is permitted.
    fn refusals(&self, question: &CedarQuestion<'_>) -> Vec<String> {
        let decision = self.policies().decide(question);
        if decision.permit {
            return Vec::new();
        }
        let mut why = decision.policies;
        why.extend(decision.errors);
        if why.is_empty() {
            why.push("(no policy permits it)".to_owned());
        }
        why
    }

    fn policies(&self) -> &Policies {
        &self.policy.policies
    }
}

fn otherwise(rule: ConfigOtherwise) -> Otherwise {
    match rule {
        ConfigOtherwise::Ask => Otherwise::Ask,
        ConfigOtherwise::Deny => Otherwise::Deny,
    }
}

/// Complete rules as facts. Where rules say nothing, what holds for unknown tools does.
fn facts(rules: &ToolRules, server: &str) -> ToolFacts {
    let unknown = ToolFacts::unknown(server);
    let memory = rules.memory.as_ref().and_then(|memory| {
        Some(MemoryFacts {
            access: match memory.access? {
                Access::Read => MemoryAccess::Read,
                Access::Write => MemoryAccess::Write,
            },
            object: memory.object.clone(),
            content: memory.content.clone(),
        })
    });
    ToolFacts {
        critical: rules.critical.unwrap_or(unknown.critical),
        influencers: rules.influencers.as_ref().map_or(unknown.influencers, |set| set.integrity(server)),
        audience: rules.audience.as_ref().map_or(unknown.audience, |set| set.readers(server)),
        audience_of: rules.audience_of.clone().unwrap_or_default(),
        otherwise: rules.otherwise.map_or(unknown.otherwise, otherwise),
        arguments: rules
            .arguments
            .iter()
            .map(|(name, rules)| (name.clone(), argument(rules, server)))
            .collect(),
        result: result(&rules.result, &unknown.result, server),
        memory,
        counted: unknown.counted,
    }
}

fn argument(rules: &ArgumentRules, server: &str) -> ArgumentFacts {
    ArgumentFacts {
        influencers: rules.influencers.as_ref().map(|set| set.integrity(server)),
        endorse: rules.endorse.as_ref().and_then(endorse),
        audience: rules.audience.as_ref().map(|set| set.readers(server)),
    }
}

fn result(rules: &ResultRules, unknown: &ResultFacts, server: &str) -> ResultFacts {
    let influencers =
        rules.influencers.as_ref().map_or(unknown.influencers.clone(), |set| set.integrity(server));
    let fields: BTreeMap<String, FieldFacts> = rules
        .fields
        .iter()
        .map(|(pointer, rules)| (pointer.clone(), field(rules, &influencers, server)))
        .collect();
    ResultFacts {
        readers: rules.readers.as_ref().map_or(unknown.readers.clone(), |set| set.readers(server)),
        reveal: rules.reveal.map_or(unknown.reveal, reveal),
        endorse: rules.endorse.iter().flatten().filter_map(endorse).collect(),
        fields,
        influencers,
    }
}

fn field(rules: &FieldRules, whole: &Integrity, server: &str) -> FieldFacts {
    FieldFacts {
        influencers: rules.influencers.as_ref().map_or_else(|| whole.clone(), |set| set.integrity(server)),
        readers: rules.readers.as_ref().map(|set| set.readers(server)),
        // A field that is named without more is one of strangers.
        reveal: rules.reveal.map_or(Reveal::Reference, reveal),
        endorse: rules.endorse.iter().flatten().filter_map(endorse).collect(),
    }
}

fn reveal(rule: ConfigReveal) -> Reveal {
    match rule {
        ConfigReveal::Value => Reveal::Value,
        ConfigReveal::Reference => Reveal::Reference,
        ConfigReveal::Status => Reveal::Status,
    }
}

/// `None` for rules that endorse nothing. Patterns were tried when the policy came into force.
fn endorse(rules: &EndorseRules) -> Option<Endorse> {
    if let Some(values) = &rules.one_of {
        return Some(Endorse::OneOf(values.clone()));
    }
    if let Some((low, high)) = rules.range {
        return Some(Endorse::Range(low, high));
    }
    if let Some(number) = &rules.number {
        return Some(Endorse::Number { min: number.min, max: number.max, decimals: number.decimals });
    }
    let pattern = rules.pattern.clone()?;
    pattern.try_into().ok().map(Endorse::Pattern)
}

/// Tries every pattern.
fn endorsements(rules: &ToolRules) -> Result<(), crate::flow::EndorseError> {
    let arguments = rules.arguments.values().filter_map(|rules| rules.endorse.as_ref());
    let fields = rules.result.fields.values().filter_map(|rules| rules.endorse.as_ref()).flatten();
    for rules in arguments.chain(fields).chain(rules.result.endorse.iter().flatten()) {
        if let Some(pattern) = rules.pattern.clone() {
            let _tried: crate::flow::Pattern = pattern.try_into()?;
        }
    }
    Ok(())
}
