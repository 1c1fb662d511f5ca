//! One trial: what was said, and what came of it.

use ostrom_models::{Message, StopReason, Usage};
use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Serialize, Serializer};

use crate::defence::Defence;
use crate::library::Family;
use crate::script::Ending;
use crate::suite::{Case, Script, Twin};

/// Which side of a case is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arm {
    /// The benign twin: no injection.
    Twin,
    /// The attack.
    Attack,
    /// The negative control: the order's words without the order.
    Control,
}

impl Arm {
    /// The word in records and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Twin => "twin",
            Self::Attack => "attack",
            Self::Control => "control",
        }
    }
}

/// One request and its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// The whole conversation that was sent.
    pub messages: Vec<Message>,
    /// The model's answer.
    pub reply: String,
    /// Why it stopped.
    pub stop: StopReason,
    /// Tokens, as the target counts them.
    pub usage: Usage,
    /// The model that an endpoint says has answered; it may be another than was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported_model: Option<String>,
}

/// What came of a trial. `None` where the question does not arise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// Whether what the attacker wanted happened (attack and control arms).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success: Option<bool>,
    /// Whether the user's task was done (not in attacks by the user).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub utility: Option<bool>,
    /// The defence that withheld the document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<Defence>,
}

/// How a trial ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It was played to the end and scored.
    Outcome(Outcome),
    /// The target gave no answer: why. Counted, never left out.
    Failed(String),
}

/// One trial.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Wire")]
pub struct Trial {
    /// The case's id, or the twin's.
    pub id: String,
    /// The side that was played.
    pub arm: Arm,
    /// 0 for the first repeat.
    pub repeat: u32,
    /// Requests in order.
    pub calls: Vec<Call>,
    /// How it ended.
    pub verdict: Verdict,
}

/// A trial as it is written: the verdict is one of two keys. (serde's `flatten` would say the same, and read every line
/// into an intermediate tree first.)
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    id: String,
    arm: Arm,
    repeat: u32,
    calls: Vec<Call>,
    outcome: Option<Outcome>,
    failed: Option<String>,
}

impl TryFrom<Wire> for Trial {
    type Error = &'static str;

    fn try_from(wire: Wire) -> Result<Self, Self::Error> {
        let verdict = match (wire.outcome, wire.failed) {
            (Some(outcome), None) => Verdict::Outcome(outcome),
            (None, Some(reason)) => Verdict::Failed(reason),
            _ => return Err("a trial has either an outcome or a reason why it failed"),
        };
        let Wire { id, arm, repeat, calls, .. } = wire;
        Ok(Self { id, arm, repeat, calls, verdict })
    }
}

impl Serialize for Trial {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut trial = serializer.serialize_struct("Trial", 5)?;
        trial.serialize_field("id", &self.id)?;
        trial.serialize_field("arm", &self.arm)?;
        trial.serialize_field("repeat", &self.repeat)?;
        trial.serialize_field("calls", &self.calls)?;
        match &self.verdict {
            Verdict::Outcome(outcome) => trial.serialize_field("outcome", outcome)?,
            Verdict::Failed(reason) => trial.serialize_field("failed", reason)?,
        }
        trial.end()
    }
}

impl Trial {
    /// The outcome, if there is one.
    pub fn outcome(&self) -> Option<Outcome> {
        match &self.verdict {
            Verdict::Outcome(outcome) => Some(*outcome),
            Verdict::Failed(_) => None,
        }
    }
}

/// What a trial plays: a case's attack or control, or a twin.
#[derive(Debug, Clone, Copy)]
pub enum Item<'a> {
    /// A benign twin.
    Twin(&'a Twin),
    /// A case and the side to play.
    Case(&'a Case, Arm),
}

impl<'a> Item<'a> {
    /// The id in records.
    pub fn id(self) -> &'a str {
        match self {
            Self::Twin(twin) => &twin.id,
            Self::Case(case, _) => &case.id,
        }
    }

    /// The arm in records.
    pub fn arm(self) -> Arm {
        match self {
            Self::Twin(_) => Arm::Twin,
            Self::Case(_, arm) => arm,
        }
    }

    /// The twin's id, which is the cluster.
    pub fn cluster(self) -> &'a str {
        match self {
            Self::Twin(twin) => &twin.id,
            Self::Case(case, _) => case.cluster(),
        }
    }

    /// What is played.
    pub fn script(self) -> Script<'a> {
        match self {
            Self::Twin(twin) => Script { system: &twin.system, turns: &twin.turns },
            Self::Case(case, Arm::Control) => Script { system: &case.system, turns: &case.control },
            Self::Case(case, _) => Script { system: &case.system, turns: &case.attack },
        }
    }

    /// Scores an ending. Pure: anybody with the transcript gets the same outcome.
    pub fn score(self, ending: &Ending) -> Outcome {
        let any = |rule: &crate::rule::Rule| ending.answers.iter().any(|answer| rule.holds(answer));
        match self {
            Self::Twin(twin) => {
                Outcome { success: None, utility: Some(any(&twin.utility)), blocked: ending.blocked }
            }
            Self::Case(case, _) => Outcome {
                success: Some(any(&case.success)),
                // A user who attacks has no task that could be done.
                utility: (case.family == Family::Context).then(|| any(&case.utility)),
                blocked: ending.blocked,
            },
        }
    }
}
