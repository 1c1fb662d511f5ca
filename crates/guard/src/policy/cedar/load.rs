//! From texts to policies, with all problems found.

use std::collections::{BTreeSet, HashMap};

use cedar_policy::{Policy, PolicyId, PolicySet, ValidationMode, Validator};
use miette::Diagnostic;

use super::index::Index;
use super::model::{self, Kind};
use super::question::{Action, Decision, Question, Target};
use super::split::{MAX_POLICIES, Piece, split};
use crate::label::GUARD;
use crate::policy::config::CedarText;
use crate::policy::nearest::hint;
use crate::policy::problem::{Problem, Problems};
use crate::policy::read::line_at;

/// How far from principal, resource and context a policy may go through entities: the tool, the run and the arguments
/// are told, nothing beyond.
const LEVEL: u32 = 1;
/// Bytes of stack for that.
const STACK: usize = 64 << 20;
/// Bytes of an `@id`.
const MAX_ID: usize = 200;

/// Policies, ready to decide.
#[derive(Debug, Clone, Default)]
pub struct Policies {
    index: Index,
    count: usize,
}

/// A parsed policy and where it stands.
struct Placed<'a> {
    policy: Policy,
    file: &'a CedarText,
    at: usize,
}

impl Placed<'_> {
    /// A problem in it; `offset` counts from where it begins.
    fn problem(&self, offset: usize, message: &str) -> Problem {
        problem_at(self.file, self.at.saturating_add(offset), message)
    }
}

impl Policies {
    /// Reads and validates policies. `servers` are the names that policies may speak of.
    ///
    /// # Errors
    /// All problems found: what does not parse, what does not fit the schema, what can never apply, characters that look
    /// like others, names of servers that there are not, two policies of one name.
    pub fn load(texts: &[CedarText], servers: &[&str]) -> Result<Self, Problems> {
        // Cedar parses and validates recursively; what `split` lets pass needs more stack than a thread of a runtime has.
        std::thread::scope(|scope| {
            std::thread::Builder::new()
                .stack_size(STACK)
                .spawn_scoped(scope, || Self::load_here(texts, servers))
                .map_err(|error| error.to_string())
                .and_then(|thread| thread.join().map_err(|_| "a fault of the policy library".to_owned()))
                .unwrap_or_else(|error| {
                    let mut problems = Problems::default();
                    problems.push(Problem::new("policies", None, format!("cannot be checked: {error}")));
                    Err(problems)
                })
        })
    }

    fn load_here(texts: &[CedarText], servers: &[&str]) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut placed: Vec<Placed<'_>> = Vec::new();
        let mut ids: HashMap<String, usize> = HashMap::new();
        for file in texts {
            let pieces = match split(&file.text) {
                Ok(pieces) => pieces,
                Err(uncut) => {
                    problems.push(problem_at(file, uncut.at, &uncut.message));
                    continue;
                }
            };
            if placed.len().saturating_add(pieces.len()) > MAX_POLICIES {
                problems.push(Problem::new(
                    &file.name,
                    None,
                    format!("more than {MAX_POLICIES} policies in all"),
                ));
                break;
            }
            for piece in pieces {
                if let Some(policy) = parse(file, &piece, &mut problems) {
                    let id = policy.id().to_string();
                    if let Some(other) = ids.get(&id).and_then(|&at| placed.get(at)) {
                        let (name, line) = (&other.file.name, line_at(&other.file.text, other.at));
                        let message = format!(
                            "the policy at {name}:{line} is named {id:?} too; give this one another `@id`"
                        );
                        problems.push(problem_at(file, piece.at, &message));
                    } else {
                        ids.insert(id, placed.len());
                        placed.push(Placed { policy, file, at: piece.at });
                    }
                }
            }
        }
        if placed.is_empty() && problems.is_empty() {
            let file = texts.first().map_or("policies", |file| &file.name);
            let message = "no policy, so nothing would be permitted; write one, or leave `policy.cedar` out for the shipped one";
            problems.push(Problem::new(file, None, message));
        }
        for policy in &placed {
            check_names(policy, servers, &mut problems);
        }
        validate(&placed, &mut problems);
        let mut index = Index::default();
        for policy in &placed {
            if let Err(error) = index.add(&policy.policy) {
                problems.push(policy.problem(0, &error.to_string()));
            }
        }
        problems.unless(Self { index, count: placed.len() })
    }

    /// How many policies there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none; then nothing is permitted.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Decides. Pure.
    #[must_use]
    pub fn decide(&self, question: &Question<'_>) -> Decision {
        if !question.action.applies_to(question.target.kind) {
            let (action, kind) = (question.action.name(), question.target.kind.name());
            return Decision::error(format!("{action} is not done to a {kind}"));
        }
        self.index.decide(question)
    }

    /// Whether the answer to a question about `target` may depend on the argument `name`. Errs towards yes.
    #[must_use]
    pub fn looks_at(&self, action: Action, target: &Target, name: &str) -> bool {
        self.index.looks_at(action, target, name)
    }

    /// Whether the answer to a question about `target` may depend on how many calls there were. Errs towards yes.
    #[must_use]
    pub fn counts(&self, action: Action, target: &Target) -> bool {
        self.index.counts(action, target)
    }
}

fn problem_at(file: &CedarText, at: usize, message: &str) -> Problem {
    Problem::new(
        &file.name,
        Some(line_at(&file.text, at)),
        message.split_whitespace().collect::<Vec<_>>().join(" "),
    )
}

/// Where a diagnostic points, and what it says.
fn described(diagnostic: &dyn Diagnostic) -> (usize, String) {
    let at = diagnostic.labels().and_then(|mut labels| labels.next()).map_or(0, |label| label.offset());
    let help = diagnostic.help().map(|help| format!(" ({help})")).unwrap_or_default();
    (at, format!("{diagnostic}{help}"))
}

/// The policy in `piece`, named by its `@id`, or by its place.
fn parse(file: &CedarText, piece: &Piece<'_>, problems: &mut Problems) -> Option<Policy> {
    let place = format!("{}:{}", file.name, line_at(&file.text, piece.at));
    let policy = match Policy::parse(Some(PolicyId::new(&place)), piece.text) {
        Ok(policy) => policy,
        Err(errors) => {
            for error in errors.iter() {
                let (offset, message) = described(error);
                problems.push(problem_at(file, piece.at.saturating_add(offset), &message));
            }
            return None;
        }
    };
    let Some(id) = policy.annotation("id").map(str::to_owned) else { return Some(policy) };
    if id.is_empty() || id.len() > MAX_ID || id.chars().any(char::is_control) {
        problems.push(problem_at(file, piece.at, "an `@id` is a text of 1 to 200 bytes on one line"));
        return None;
    }
    Some(policy.new_id(PolicyId::new(id)))
}

/// Names of servers in it must be those of servers.
fn check_names(placed: &Placed<'_>, servers: &[&str], problems: &mut Problems) {
    for uid in placed.policy.entity_literals() {
        let (name, id) = (uid.type_name().to_string(), uid.id().unescaped().to_owned());
        let server = match Kind::of(&name) {
            Some(kind) => match id.split_once('/') {
                Some((server, rest)) if !rest.is_empty() => server,
                _ => {
                    let message =
                        format!("{uid} names no {}; write {}::\"SERVER/NAME\"", kind.name(), kind.name());
                    problems.push(placed.problem(0, &message));
                    continue;
                }
            },
            None if name == "Server" => &id,
            None => continue,
        };
        if server != GUARD && !servers.contains(&server) {
            let hint = hint(server, servers.iter().copied());
            problems.push(placed.problem(0, &format!("{uid}: guard.toml has no server `{server}`{hint}")));
        }
    }
}

/// Holds policies against the schema. Warnings count: each says that a policy does not mean what it seems to.
fn validate(placed: &[Placed<'_>], problems: &mut Problems) {
    let mut set = PolicySet::new();
    let mut places: HashMap<String, &Placed<'_>> = HashMap::new();
    for policy in placed {
        places.insert(policy.policy.id().to_string(), policy);
        if let Err(error) = set.add(policy.policy.clone()) {
            problems.push(policy.problem(0, &error.to_string()));
        }
    }
    let result =
        Validator::new(model::schema().clone()).validate_with_level(&set, ValidationMode::Strict, LEVEL);
    let errors = result.validation_errors().map(|error| (error.policy_id(), error as &dyn Diagnostic));
    let warnings =
        result.validation_warnings().map(|warning| (warning.policy_id(), warning as &dyn Diagnostic));
    let found = errors.chain(warnings).map(|(id, diagnostic)| {
        let (offset, message) = described(diagnostic);
        (id.to_string(), offset, message)
    });
    // Cedar gives them in another order each time.
    for (id, offset, message) in found.collect::<BTreeSet<_>>() {
        match places.get(&id) {
            Some(placed) => problems.push(placed.problem(offset, &message)),
            None => problems.push(Problem::new("policies", None, message)),
        }
    }
}
