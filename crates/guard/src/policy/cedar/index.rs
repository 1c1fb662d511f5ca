//! Policies by what they can apply to.

use std::collections::{BTreeMap, HashMap};

use cedar_policy::{
    ActionConstraint, Authorizer, Decision as Effect, EntityUid, Policy, PolicySet, PolicySetError,
    ResourceConstraint,
};
use serde_json::json;

use super::facts;
use super::known::{Key, Known};
use super::model::Kind;
use super::needs::{Lasts, Needs, Wanted};
use super::question::{Action, Decision, Question, Target};

/// Policies that are told the same.
#[derive(Debug, Clone, Default)]
struct Group {
    set: PolicySet,
    needs: Needs,
}

/// Policies that a question meets together.
#[derive(Debug, Clone, Default)]
struct Bucket {
    /// By how long their answers last: those of one kind must not make the others be asked more often.
    groups: BTreeMap<Lasts, Group>,
}

/// Policies that may apply to one action.
#[derive(Debug, Clone, Default)]
struct ForAction {
    /// To one tool, resource or prompt.
    targets: BTreeMap<Kind, HashMap<String, Bucket>>,
    /// To what one server has.
    servers: HashMap<String, Bucket>,
    /// To any.
    any: Bucket,
}

impl ForAction {
    /// Those that may apply to a target.
    fn buckets(&self, target: &Target) -> [Option<&Bucket>; 3] {
        [
            self.targets.get(&target.kind).and_then(|ids| ids.get(&target.id)),
            self.servers.get(&target.server),
            Some(&self.any),
        ]
    }
}

/// All policies.
#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    actions: BTreeMap<Action, ForAction>,
    known: Known,
}

/// What policies say.
#[derive(Debug, Clone, Default)]
pub(super) struct Answer {
    permits: Vec<String>,
    forbids: Vec<String>,
    errors: Vec<String>,
}

impl Answer {
    fn add(&mut self, other: &Self) {
        self.permits.extend_from_slice(&other.permits);
        self.forbids.extend_from_slice(&other.forbids);
        self.errors.extend_from_slice(&other.errors);
    }

    fn decision(mut self) -> Decision {
        for list in [&mut self.permits, &mut self.forbids, &mut self.errors] {
            list.sort();
        }
        let permit = !self.permits.is_empty() && self.forbids.is_empty() && self.errors.is_empty();
        let policies = if permit { self.permits } else { self.forbids };
        Decision { permit, policies, errors: self.errors }
    }
}

impl Index {
    pub(super) fn add(&mut self, policy: &Policy) -> Result<(), Box<PolicySetError>> {
        let place = Place::of(&policy.resource_constraint());
        let (filed, stripped) = strip(policy);
        let needs = Needs::of(&filed, stripped);
        for action in actions(&policy.action_constraint()) {
            let policies = self.actions.entry(action).or_default();
            let bucket = match &place {
                Place::Any => &mut policies.any,
                Place::Server(server) => policies.servers.entry(server.clone()).or_default(),
                Place::Target(kind, id) => {
                    policies.targets.entry(*kind).or_default().entry(id.clone()).or_default()
                }
            };
            let group = bucket.groups.entry(needs.lasts()).or_default();
            group.set.add(filed.clone())?;
            group.needs.add(&needs);
        }
        Ok(())
    }

    /// Whether a policy that may apply looks at this argument, or into it.
    pub(super) fn looks_at(&self, action: Action, target: &Target, name: &str) -> bool {
        let Some(policies) = self.actions.get(&action) else { return false };
        let pointer = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
        policies.buckets(target).into_iter().flatten().flat_map(|bucket| bucket.groups.values()).any(
            |group| {
                let told: [&Needs; 1] = [&group.needs];
                let wanted = Wanted { told: &told, all: &told };
                // The empty pointer is all arguments together.
                wanted.argument("") || wanted.argument(&pointer) || wanted.inside(&format!("{pointer}/"))
            },
        )
    }

    /// Whether a policy that may apply looks at how many calls there were.
    pub(super) fn counts(&self, action: Action, target: &Target) -> bool {
        let policies = self.actions.get(&action).map(|policies| policies.buckets(target));
        let groups = policies.into_iter().flatten().flatten().flat_map(|bucket| bucket.groups.values());
        groups.map(|group| &group.needs).any(|needs| {
            needs.everything || needs.counts || !needs.limits.is_empty() || needs.attributes.contains("used")
        })
    }

    /// What the policies that apply say.
    pub(super) fn decide(&self, question: &Question<'_>) -> Decision {
        let Some(policies) = self.actions.get(&question.action) else { return Decision::silent() };
        let buckets = policies.buckets(question.target);
        let of = |lasts: Lasts| -> Vec<&Group> {
            buckets.into_iter().flatten().filter_map(|bucket| bucket.groups.get(&lasts)).collect()
        };
        let all: Vec<&Needs> = buckets
            .into_iter()
            .flatten()
            .flat_map(|bucket| bucket.groups.values())
            .map(|group| &group.needs)
            .collect();
        let mut answer = Answer::default();
        for lasts in [Lasts::Always, Lasts::ForATime, Lasts::Once] {
            let groups = of(lasts);
            if groups.is_empty() {
                continue;
            }
            let told: Vec<&Needs> = groups.iter().map(|group| &group.needs).collect();
            let wanted = Wanted { told: &told, all: &all };
            let key = (lasts != Lasts::Once).then(|| Key::of(question, wanted)).flatten();
            match key {
                Some(key) => answer.add(&self.known.get(key, || evaluate(question, wanted, &groups))),
                None => answer.add(&evaluate(question, wanted, &groups)),
            }
        }
        answer.decision()
    }
}

/// Asks Cedar.
fn evaluate(question: &Question<'_>, wanted: Wanted<'_>, groups: &[&Group]) -> Answer {
    let mut answer = Answer::default();
    let (request, entities) = match facts::of(question, wanted) {
        Ok(told) => told,
        Err(error) => {
            answer.errors.push(error);
            return answer;
        }
    };
    let authorizer = Authorizer::new();
    for group in groups {
        let response = authorizer.is_authorized(&request, &group.set, &entities);
        let reasons = match response.decision() {
            Effect::Allow => &mut answer.permits,
            Effect::Deny => &mut answer.forbids,
        };
        reasons.extend(response.diagnostics().reason().map(|id| AsRef::<str>::as_ref(id).to_owned()));
        answer.errors.extend(response.diagnostics().errors().map(ToString::to_string));
    }
    answer
}

/// The policy without what filing it under its scope has settled, and whether that could be done. Also without positions in
/// its text, which cost at every evaluation.
fn strip(policy: &Policy) -> (Policy, bool) {
    let rewritten = policy.to_json().ok().and_then(|mut json| {
        let members = json.as_object_mut()?;
        members.insert("action".to_owned(), json!({"op": "All"}));
        if matches!(policy.resource_constraint(), ResourceConstraint::Eq(_) | ResourceConstraint::In(_)) {
            members.insert("resource".to_owned(), json!({"op": "All"}));
        }
        Policy::from_json(Some(policy.id().clone()), json).ok()
    });
    match rewritten {
        Some(rewritten) => (rewritten, true),
        None => (policy.clone(), false),
    }
}

/// What a policy can apply to, by its scope.
enum Place {
    Any,
    Server(String),
    Target(Kind, String),
}

impl Place {
    fn of(constraint: &ResourceConstraint) -> Self {
        match constraint {
            ResourceConstraint::Any | ResourceConstraint::Is(_) => Self::Any,
            ResourceConstraint::Eq(uid) | ResourceConstraint::In(uid) | ResourceConstraint::IsIn(_, uid) => {
                Self::at(uid)
            }
        }
    }

    fn at(uid: &EntityUid) -> Self {
        let id = uid.id().unescaped().to_owned();
        let name = uid.type_name().to_string();
        match Kind::of(&name) {
            // Nothing is in a tool, resource or prompt but itself.
            Some(kind) => Self::Target(kind, id),
            None if name == "Server" => Self::Server(id),
            None => Self::Any,
        }
    }
}

/// The actions that a policy can apply to, by its scope.
fn actions(constraint: &ActionConstraint) -> Vec<Action> {
    let named = |uid: &EntityUid| -> Vec<Action> {
        match uid.id().unescaped() {
            "use" => Action::ALL.into_iter().filter(|action| *action != Action::Reveal).collect(),
            name => Action::ALL.into_iter().filter(|action| action.name() == name).collect(),
        }
    };
    let mut actions = match constraint {
        ActionConstraint::Any => Action::ALL.to_vec(),
        ActionConstraint::Eq(uid) => named(uid),
        ActionConstraint::In(uids) => uids.iter().flat_map(named).collect(),
    };
    actions.sort_unstable();
    actions.dedup();
    actions
}
