//! Incidents: what makes an event with AI a hazard, a serious hazard, an incident, a serious incident or a disaster.
//!
//! The terms and what separates them are those of OECD, *Defining AI incidents and related terms*, OECD Artificial
//! Intelligence Papers 16 (2024). Whether a harm is *serious* is left there to those who judge it, and here too: it is a fact
//! that somebody states ([`Effect::serious`]), not something that is computed.

use std::fmt;

use ostrom_core::Timestamp;
use serde::{Deserialize, Serialize};

/// What is harmed. The heads (a) to (d) of the definition, taken apart where the law treats the parts differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Harm {
    /// (a) A person has died, or would.
    Death,
    /// (a) Injury or harm to the health of persons, of mind or body.
    Health,
    /// (b) Disruption of the management and operation of critical infrastructure.
    CriticalInfrastructure,
    /// (c) Violation of human rights, or breach of law that protects fundamental, labour and intellectual property rights.
    Rights,
    /// (d) Harm to property; financial harm and the reputation of organisations count here.
    Property,
    /// (d) Harm to communities.
    Communities,
    /// (d) Harm to the environment.
    Environment,
}

impl Harm {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Death,
        Self::Health,
        Self::CriticalInfrastructure,
        Self::Rights,
        Self::Property,
        Self::Communities,
        Self::Environment,
    ];

    /// The name in data, `critical-infrastructure`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Death => "death",
            Self::Health => "health",
            Self::CriticalInfrastructure => "critical-infrastructure",
            Self::Rights => "rights",
            Self::Property => "property",
            Self::Communities => "communities",
            Self::Environment => "environment",
        }
    }
}

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One harm of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Effect {
    /// What is harmed.
    pub harm: Harm,
    /// Whether the harm has happened. If not, it plausibly could have, or could.
    pub actual: bool,
    /// Whether those who judge it call it serious. A death is, whatever this says.
    #[serde(default)]
    pub serious: bool,
    /// Whether it cannot be undone. A disruption of critical infrastructure is serious only if so.
    #[serde(default)]
    pub irreversible: bool,
    /// How many persons, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persons: Option<u64>,
}

impl Effect {
    /// A harm that has happened.
    pub const fn actual(harm: Harm) -> Self {
        Self { harm, actual: true, serious: false, irreversible: false, persons: None }
    }

    /// A harm that could happen.
    pub const fn potential(harm: Harm) -> Self {
        Self { actual: false, ..Self::actual(harm) }
    }

    /// The same, called serious.
    #[must_use]
    pub const fn serious(self) -> Self {
        Self { serious: true, ..self }
    }

    /// The same, irreversible.
    #[must_use]
    pub const fn irreversible(self) -> Self {
        Self { irreversible: true, ..self }
    }

    /// Whether the definition of a serious incident holds for this harm.
    pub const fn is_serious(&self) -> bool {
        match self.harm {
            Harm::Death => true,
            Harm::CriticalInfrastructure => self.serious && self.irreversible,
            Harm::Health | Harm::Rights | Harm::Property | Harm::Communities | Harm::Environment => {
                self.serious
            }
        }
    }
}

/// The disruption of the functioning of a community or a society that may test or exceed its capacity to cope with its own
/// resources: what separates a disaster from a serious incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Disruption {
    /// Neither happened nor plausible.
    #[default]
    None,
    /// It could plausibly happen.
    Potential,
    /// It has happened.
    Actual,
}

/// What is known of an event.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// The harms.
    pub effects: Vec<Effect>,
    /// Whether a society's functioning is disrupted.
    #[serde(default)]
    pub society: Disruption,
    /// A serious cybersecurity breach, such as weights that got out or an attack. It has its own regulatory clock and is no
    /// harm by itself.
    #[serde(default)]
    pub cybersecurity_breach: bool,
    /// A widespread infringement in the sense of Article 3(61) of Regulation (EU) 2024/1689.
    #[serde(default)]
    pub widespread_infringement: bool,
}

/// What an event is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// It could plausibly lead to an incident. Near misses are hazards.
    Hazard,
    /// It could plausibly lead to a serious incident or a disaster.
    SeriousHazard,
    /// It led to harm.
    Incident,
    /// It led to a death or serious harm.
    SeriousIncident,
    /// A serious incident that disrupts the functioning of a society.
    Disaster,
}

impl Class {
    /// All, in the order of their gravity as far as harm has happened.
    pub const ALL: [Self; 5] =
        [Self::Hazard, Self::SeriousHazard, Self::Incident, Self::SeriousIncident, Self::Disaster];

    /// The name in data, `serious-incident`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hazard => "hazard",
            Self::SeriousHazard => "serious-hazard",
            Self::Incident => "incident",
            Self::SeriousIncident => "serious-incident",
            Self::Disaster => "disaster",
        }
    }

    /// Whether harm has happened.
    pub const fn is_incident(self) -> bool {
        matches!(self, Self::Incident | Self::SeriousIncident | Self::Disaster)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Why an event is what it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Harm of this kind could happen.
    Plausible(Harm),
    /// Serious harm of this kind could happen.
    PlausiblySerious(Harm),
    /// Harm of this kind has happened.
    Happened(Harm),
    /// Serious harm of this kind has happened.
    HappenedSeriously(Harm),
    /// The functioning of a society could be disrupted.
    SocietyAtRisk,
    /// The functioning of a society is disrupted.
    SocietyDisrupted,
}

/// What an event is called, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Classification {
    /// What has happened decides first; if nothing has, what could.
    pub class: Class,
    /// What could still happen beyond what has: an incident can be a serious hazard at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hazard: Option<Class>,
    /// Why.
    pub reasons: Vec<Reason>,
}

impl Facts {
    /// What the event is called. `None` if there is no harm that has happened or plausibly could: then it is neither an
    /// incident nor a hazard.
    pub fn classify(&self) -> Option<Classification> {
        let mut reasons = Vec::new();
        let (mut happened, mut plausible) = (None, None);
        for effect in &self.effects {
            let (rank, class, reason) = match (effect.actual, effect.is_serious()) {
                (true, true) => {
                    (&mut happened, Class::SeriousIncident, Reason::HappenedSeriously(effect.harm))
                }
                (true, false) => (&mut happened, Class::Incident, Reason::Happened(effect.harm)),
                (false, true) => {
                    (&mut plausible, Class::SeriousHazard, Reason::PlausiblySerious(effect.harm))
                }
                (false, false) => (&mut plausible, Class::Hazard, Reason::Plausible(effect.harm)),
            };
            *rank = (*rank).max(Some(class));
            reasons.push(reason);
        }
        match self.society {
            Disruption::None => {}
            Disruption::Potential => {
                plausible = Some(Class::SeriousHazard);
                reasons.push(Reason::SocietyAtRisk);
            }
            // Such a disruption is itself serious harm to communities, so nothing else need have happened.
            Disruption::Actual => {
                happened = Some(Class::Disaster);
                reasons.push(Reason::SocietyDisrupted);
            }
        }
        reasons.sort_unstable();
        reasons.dedup();
        let class = happened.or(plausible)?;
        // An incident is more than the hazard of one; a hazard of something worse is worth saying.
        let hazard = plausible.filter(|_| happened == Some(Class::Incident));
        Some(Classification {
            class,
            hazard: hazard.filter(|hazard| *hazard == Class::SeriousHazard),
            reasons,
        })
    }
}

/// A change of what an event is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// When.
    pub at: Timestamp,
    /// What it was; `None` at first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Class>,
    /// What it is from then on.
    pub to: Classification,
    /// Why, in somebody's words.
    pub why: String,
}

impl Change {
    /// Whether less is said to have happened than before: the change that a reader will want to see explained.
    pub fn is_lowered(&self) -> bool {
        self.from.is_some_and(|from| self.to.class < from)
    }
}

/// Why an event cannot be classified anew.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// There is nothing to call an incident or hazard.
    #[error("these facts name no harm that has happened or plausibly could: add at least one effect")]
    NoHarm,
    /// No reason was given.
    #[error("say why the classification changes from {from} to {to}")]
    NoReason {
        /// What it was.
        from: Class,
        /// What it would be.
        to: Class,
    },
    /// The change lies before the last one.
    #[error("the last classification is of {last}; a new one cannot be of {at}")]
    Earlier {
        /// Of the last one.
        last: Timestamp,
        /// Of the new one.
        at: Timestamp,
    },
}

/// What an event was called, and when and why that changed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct History(Vec<Change>);

impl History {
    /// The changes, the first one first.
    pub fn changes(&self) -> &[Change] {
        &self.0
    }

    /// What the event is called now.
    pub fn current(&self) -> Option<&Classification> {
        self.0.last().map(|change| &change.to)
    }

    /// Classifies the event by what is known at `at`. Says whether anything changed; where nothing did, nothing is added.
    ///
    /// # Errors
    /// If the facts name no harm, if the class changes without a reason, or if the time lies before the last change.
    pub fn classify(&mut self, facts: &Facts, at: Timestamp, why: &str) -> Result<bool, ChangeError> {
        let to = facts.classify().ok_or(ChangeError::NoHarm)?;
        let last = self.0.last();
        if let Some(last) = last.filter(|last| at < last.at) {
            return Err(ChangeError::Earlier { last: last.at, at });
        }
        if last.is_some_and(|last| last.to == to) {
            return Ok(false);
        }
        let from = last.map(|last| last.to.class);
        if let Some(from) = from.filter(|from| *from != to.class)
            && why.trim().is_empty()
        {
            return Err(ChangeError::NoReason { from, to: to.class });
        }
        self.0.push(Change { at, from, to, why: why.trim().to_owned() });
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn class(effects: &[Effect]) -> Option<Class> {
        let facts = Facts { effects: effects.to_vec(), ..Facts::default() };
        facts.classify().map(|classification| classification.class)
    }

    #[test]
    fn the_terms_of_the_oecd() {
        assert_eq!(class(&[]), None);
        assert_eq!(class(&[Effect::potential(Harm::Rights)]), Some(Class::Hazard));
        assert_eq!(class(&[Effect::potential(Harm::Rights).serious()]), Some(Class::SeriousHazard));
        assert_eq!(class(&[Effect::potential(Harm::Death)]), Some(Class::SeriousHazard));
        assert_eq!(class(&[Effect::actual(Harm::Health)]), Some(Class::Incident));
        assert_eq!(class(&[Effect::actual(Harm::Health).serious()]), Some(Class::SeriousIncident));
        assert_eq!(class(&[Effect::actual(Harm::Death)]), Some(Class::SeriousIncident));
        let outage = Effect::actual(Harm::CriticalInfrastructure).serious();
        assert_eq!(class(std::slice::from_ref(&outage)), Some(Class::Incident), "it could be undone");
        assert_eq!(class(&[outage.irreversible()]), Some(Class::SeriousIncident));
        let facts = Facts { society: Disruption::Actual, ..Facts::default() };
        assert_eq!(facts.classify().unwrap().class, Class::Disaster);
        let facts = Facts { society: Disruption::Potential, ..Facts::default() };
        assert_eq!(facts.classify().unwrap().class, Class::SeriousHazard);
    }

    #[test]
    fn an_incident_can_be_a_serious_hazard_too() {
        let facts = Facts {
            effects: vec![Effect::actual(Harm::Property), Effect::potential(Harm::Death)],
            ..Facts::default()
        };
        let found = facts.classify().unwrap();
        assert_eq!((found.class, found.hazard), (Class::Incident, Some(Class::SeriousHazard)));
        assert_eq!(found.reasons, [Reason::PlausiblySerious(Harm::Death), Reason::Happened(Harm::Property)]);
    }

    #[test]
    fn a_change_needs_a_reason_and_a_later_time() {
        let at = |seconds| Timestamp::EPOCH.plus_seconds(seconds);
        let with = |effect| Facts { effects: vec![effect], ..Facts::default() };
        let mut history = History::default();
        assert_eq!(history.classify(&Facts::default(), at(0), "x"), Err(ChangeError::NoHarm));
        assert_eq!(history.classify(&with(Effect::potential(Harm::Death)), at(5), ""), Ok(true));
        assert_eq!(history.classify(&with(Effect::potential(Harm::Death)), at(6), ""), Ok(false));
        let dead = with(Effect::actual(Harm::Death));
        assert!(matches!(history.classify(&dead, at(7), " "), Err(ChangeError::NoReason { .. })));
        assert!(matches!(history.classify(&dead, at(4), "one died"), Err(ChangeError::Earlier { .. })));
        assert_eq!(history.classify(&dead, at(7), "one died"), Ok(true));
        assert_eq!(history.current().unwrap().class, Class::SeriousIncident);
        assert!(!history.changes()[1].is_lowered());
        history.classify(&with(Effect::actual(Harm::Health)), at(8), "he lives").unwrap();
        assert!(history.changes()[2].is_lowered());
    }

    fn effects() -> impl Strategy<Value = Vec<Effect>> {
        let effect =
            (0..Harm::ALL.len(), any::<[bool; 3]>()).prop_map(|(harm, [actual, serious, irreversible])| {
                Effect { harm: Harm::ALL[harm], actual, serious, irreversible, persons: None }
            });
        prop::collection::vec(effect, 0..6)
    }

    proptest! {
        #[test]
        fn more_harm_never_makes_it_less(mut effects in effects(), extra in effects()) {
            let before = class(&effects);
            effects.extend(extra);
            prop_assert!(class(&effects) >= before);
        }

        #[test]
        fn an_incident_is_one_in_which_harm_has_happened(effects in effects()) {
            let happened = effects.iter().any(|effect| effect.actual);
            prop_assert_eq!(class(&effects).is_some_and(Class::is_incident), happened);
        }
    }
}
