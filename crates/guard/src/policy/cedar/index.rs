//! Policies by what they can apply to.

use std::collections::{BTreeMap, HashMap};

use cedar_policy::{
    ActionConstraint, Authorizer, Decision as Answer, EntityUid, Policy, PolicySet, PolicySetError,
    ResourceConstraint,
};

use super::facts;
use super::model::Kind;
use super::needs::{Needs, Wanted};
use super::question::{Action, Decision, Question};

/// Policies that a question meets together.
#[derive(Debug, Clone, Default)]
struct Bucket {
    set: PolicySet,
    needs: Needs,
}

impl Bucket {
    fn add(&mut self, policy: &Policy, needs: &Needs) -> Result<(), Box<PolicySetError>> {
        self.set.add(policy.clone())?;
        self.needs.add(needs);
        Ok(())
    }
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

/// All policies.
#[derive(Debug, Clone, Default)]
pub(super) struct Index(BTreeMap<Action, ForAction>);

impl Index {
    pub(super) fn add(&mut self, policy: &Policy) -> Result<(), Box<PolicySetError>> {
        let needs = Needs::of(policy);
        let place = Place::of(&policy.resource_constraint());
        for action in actions(&policy.action_constraint()) {
            let policies = self.0.entry(action).or_default();
            let bucket = match &place {
                Place::Any => &mut policies.any,
                Place::Server(server) => policies.servers.entry(server.clone()).or_default(),
                Place::Target(kind, id) => {
                    policies.targets.entry(*kind).or_default().entry(id.clone()).or_default()
                }
            };
            bucket.add(policy, &needs)?;
        }
        Ok(())
    }

    /// What the policies that apply say.
    pub(super) fn decide(&self, question: &Question<'_>) -> Decision {
        let Some(policies) = self.0.get(&question.action) else { return Decision::silent() };
        let target = question.target;
        let buckets: Vec<&Bucket> = [
            policies.targets.get(&target.kind).and_then(|ids| ids.get(&target.id)),
            policies.servers.get(&target.server),
            Some(&policies.any),
        ]
        .into_iter()
        .flatten()
        .filter(|bucket| !bucket.set.is_empty())
        .collect();
        if buckets.is_empty() {
            return Decision::silent();
        }
        let needs: Vec<&Needs> = buckets.iter().map(|bucket| &bucket.needs).collect();
        let (request, entities) = match facts::of(question, Wanted(&needs)) {
            Ok(told) => told,
            Err(error) => return Decision::error(error),
        };
        let authorizer = Authorizer::new();
        let (mut permits, mut forbids, mut errors) = (Vec::new(), Vec::new(), Vec::new());
        for bucket in buckets {
            let response = authorizer.is_authorized(&request, &bucket.set, &entities);
            let reasons = match response.decision() {
                Answer::Allow => &mut permits,
                Answer::Deny => &mut forbids,
            };
            reasons.extend(response.diagnostics().reason().map(|id| AsRef::<str>::as_ref(id).to_owned()));
            errors.extend(response.diagnostics().errors().map(ToString::to_string));
        }
        for list in [&mut permits, &mut forbids, &mut errors] {
            list.sort();
        }
        let permit = !permits.is_empty() && forbids.is_empty() && errors.is_empty();
        let policies = if permit { permits } else { forbids };
        Decision { permit, policies, errors }
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
