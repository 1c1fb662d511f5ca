//! Flaws, techniques, mitigations, lessons, advisories, sightings, relations, opinions.

use std::fmt;

use ostrom_core::{ObjectId, Timestamp};
use serde::{Deserialize, Serialize};

use super::common::{Common, Phase};
use super::evaluation::Evaluation;
use super::extension::{AiExtension, words};
use super::incident::Incident;
use super::shared::{NAME, Shared, TEXT, TypeError, bounded, named};
use crate::stix::Object;

macro_rules! shared {
    ($name:ident, $what:literal, $kinds:expr, |$it:ident| $check:expr) => {
        impl Shared for $name {
            const WHAT: &'static str = $what;
            const KINDS: &'static [&'static str] = $kinds;

            fn common(&self) -> &Common {
                &self.common
            }

            fn common_mut(&mut self) -> &mut Common {
                &mut self.common
            }

            fn check(&self) -> Result<(), TypeError> {
                let $it = self;
                $check
            }
        }
    };
}

macro_rules! named_with_extension {
    ($(#[$doc:meta])* $name:ident, $what:literal, $kind:literal, $new:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        pub struct $name {
            /// What all objects have.
            #[serde(flatten)]
            pub common: Common,
            /// What it is called.
            pub name: String,
            /// What it is.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub description: Option<String>,
            /// What STIX lacks.
            #[serde(default, skip_serializing_if = "AiExtension::is_empty")]
            pub extensions: AiExtension,
        }

        impl $name {
            #[doc = $new]
            pub fn new(common: Common, name: &str) -> Self {
                let extensions = AiExtension::default();
                Self { common, name: name.to_owned(), description: None, extensions }
            }
        }

        shared!($name, $what, &[$kind], |it| {
            named(&it.name, it.description.as_deref())?;
            it.extensions.ai.check()
        });
    };
}

named_with_extension! {
    /// A flaw of a model or of what is built around it.
    Flaw, "a flaw", "vulnerability", "A flaw of this name."
}

named_with_extension! {
    /// What can be done about a flaw or a technique. `attack_success` says what is left with it.
    Mitigation, "a mitigation", "course-of-action", "A mitigation of this name."
}

/// A way to attack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Technique {
    /// What all objects have.
    #[serde(flatten)]
    pub common: Common,
    /// What it is called.
    pub name: String,
    /// How it works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What others call it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Where in an attack it stands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kill_chain_phases: Vec<Phase>,
    /// What STIX lacks.
    #[serde(default, skip_serializing_if = "AiExtension::is_empty")]
    pub extensions: AiExtension,
}

impl Technique {
    /// A technique of this name.
    pub fn new(common: Common, name: &str) -> Self {
        Self {
            common,
            name: name.to_owned(),
            description: None,
            aliases: Vec::new(),
            kill_chain_phases: Vec::new(),
            extensions: AiExtension::default(),
        }
    }
}

shared!(Technique, "a technique", &["attack-pattern"], |it| {
    named(&it.name, it.description.as_deref())?;
    it.extensions.ai.check()
});

/// What was learnt, about other objects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lesson {
    /// What all objects have.
    #[serde(flatten)]
    pub common: Common,
    /// A short title.
    #[serde(rename = "abstract", default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The lesson.
    pub content: String,
    /// Who learnt it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authors: Vec<String>,
    /// About what.
    pub object_refs: Vec<ObjectId>,
    /// What STIX lacks.
    #[serde(default, skip_serializing_if = "AiExtension::is_empty")]
    pub extensions: AiExtension,
}

impl Lesson {
    /// A lesson about `about`.
    pub fn new(common: Common, title: &str, content: &str, about: Vec<ObjectId>) -> Self {
        let mut extensions = AiExtension::default();
        extensions.ai.record = Some("lesson".to_owned());
        Self {
            common,
            title: Some(title.to_owned()),
            content: content.to_owned(),
            authors: Vec::new(),
            object_refs: about,
            extensions,
        }
    }
}

shared!(Lesson, "a lesson", &["note"], |it| {
    if let Some(title) = &it.title {
        bounded("abstract", title, NAME)?;
    }
    bounded("content", &it.content, TEXT)?;
    not_nothing(&it.object_refs)?;
    it.extensions.ai.check()
});

fn not_nothing(refs: &[ObjectId]) -> Result<(), TypeError> {
    if refs.is_empty() {
        return Err(TypeError::property("object_refs", "must name at least one object"));
    }
    Ok(())
}

/// What one should know about some objects together: a report, or, before it is published, a grouping.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Advisory {
    /// What all objects have.
    #[serde(flatten)]
    pub common: Common,
    /// Its title.
    pub name: String,
    /// What it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Of a report: what about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub report_types: Vec<String>,
    /// Of a report: since when it is published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<Timestamp>,
    /// Of a grouping: why the objects belong together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// What it is about.
    pub object_refs: Vec<ObjectId>,
    /// What STIX lacks.
    #[serde(default, skip_serializing_if = "AiExtension::is_empty")]
    pub extensions: AiExtension,
}

impl Advisory {
    /// An advisory that is not published yet. `common` must be of a grouping.
    pub fn draft(common: Common, name: &str, about: Vec<ObjectId>) -> Self {
        Self {
            common,
            name: name.to_owned(),
            description: None,
            report_types: Vec::new(),
            published: None,
            context: Some("unspecified".to_owned()),
            object_refs: about,
            extensions: AiExtension::default(),
        }
    }

    /// The report that it becomes when it is published: another object, with the same UUID.
    ///
    /// # Errors
    /// Never, in fact.
    pub fn publish(&self, now: Timestamp) -> Result<Self, TypeError> {
        let common = self.common.retyped("report");
        let mut common = common.map_err(|error| TypeError::property("id", error.to_string()))?;
        if common.id() == self.common.id() {
            // Its last version may be of a clock that is ahead.
            common = common.next_version(now);
        } else {
            (common.created, common.modified) = (now.to_millis(), now.to_millis());
        }
        Ok(Self {
            common,
            report_types: vec!["vulnerability".to_owned()],
            published: Some(now.to_millis()),
            context: None,
            ..self.clone()
        })
    }
}

shared!(Advisory, "an advisory", &["report", "grouping"], |it| {
    named(&it.name, it.description.as_deref())?;
    not_nothing(&it.object_refs)?;
    it.extensions.ai.check()
});

/// That something was seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sighting {
    /// What all objects have.
    #[serde(flatten)]
    pub common: Common,
    /// What was seen.
    pub sighting_of_ref: ObjectId,
    /// How.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// First.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<Timestamp>,
    /// Last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Timestamp>,
    /// How often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// By whom or where.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub where_sighted_refs: Vec<ObjectId>,
    /// What STIX lacks: on which model.
    #[serde(default, skip_serializing_if = "AiExtension::is_empty")]
    pub extensions: AiExtension,
}

impl Sighting {
    /// That `of` was seen.
    pub fn new(common: Common, of: ObjectId) -> Self {
        Self {
            common,
            sighting_of_ref: of,
            description: None,
            first_seen: None,
            last_seen: None,
            count: None,
            where_sighted_refs: Vec::new(),
            extensions: AiExtension::default(),
        }
    }
}

shared!(Sighting, "a sighting", &["sighting"], |it| {
    if let Some(text) = &it.description {
        bounded("description", text, TEXT)?;
    }
    it.extensions.ai.check()
});

/// That two objects have to do with each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Relation {
    /// What all objects have.
    #[serde(flatten)]
    pub common: Common,
    /// How: `mitigates`, `targets`, `related-to`.
    pub relationship_type: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The one.
    pub source_ref: ObjectId,
    /// The other.
    pub target_ref: ObjectId,
}

impl Relation {
    /// That `source` `how` `target`.
    pub fn new(common: Common, source: ObjectId, how: &str, target: ObjectId) -> Self {
        Self {
            common,
            relationship_type: how.to_owned(),
            description: None,
            source_ref: source,
            target_ref: target,
        }
    }
}

shared!(Relation, "a relation", &["relationship"], |it| {
    let fine =
        it.relationship_type.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !fine {
        return Err(TypeError::property("relationship_type", "is written with a-z, 0-9 and -"));
    }
    bounded("relationship_type", &it.relationship_type, 100)
});

words! {
    /// How far one agrees.
    View {
        /// Not at all.
        StronglyDisagree = "strongly-disagree",
        /// Rather not.
        Disagree = "disagree",
        /// Cannot say.
        Neutral = "neutral",
        /// Rather.
        Agree = "agree",
        /// Wholly.
        StronglyAgree = "strongly-agree",
    }
}

/// What one thinks of others' objects: whether a flaw could be reproduced, say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Opinion {
    /// What all objects have.
    #[serde(flatten)]
    pub common: Common,
    /// How far one agrees.
    pub opinion: View,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<String>,
    /// With what.
    pub object_refs: Vec<ObjectId>,
    /// What STIX lacks: how often it succeeded here.
    #[serde(default, skip_serializing_if = "AiExtension::is_empty")]
    pub extensions: AiExtension,
}

impl Opinion {
    /// An opinion on `about`.
    pub fn new(common: Common, opinion: View, about: Vec<ObjectId>) -> Self {
        Self { common, opinion, explanation: None, object_refs: about, extensions: AiExtension::default() }
    }
}

shared!(Opinion, "an opinion", &["opinion"], |it| {
    if let Some(text) = &it.explanation {
        bounded("explanation", text, TEXT)?;
    }
    not_nothing(&it.object_refs)?;
    it.extensions.ai.check()
});

/// Any of them.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Record {
    Flaw(Flaw),
    Technique(Technique),
    Incident(Incident),
    Mitigation(Mitigation),
    Lesson(Lesson),
    Advisory(Advisory),
    Sighting(Sighting),
    Evaluation(Evaluation),
    Relation(Relation),
    Opinion(Opinion),
}

macro_rules! each {
    ($record:expr, $inner:ident => $do:expr) => {
        match $record {
            Record::Flaw($inner) => $do,
            Record::Technique($inner) => $do,
            Record::Incident($inner) => $do,
            Record::Mitigation($inner) => $do,
            Record::Lesson($inner) => $do,
            Record::Advisory($inner) => $do,
            Record::Sighting($inner) => $do,
            Record::Evaluation($inner) => $do,
            Record::Relation($inner) => $do,
            Record::Opinion($inner) => $do,
        }
    };
}

impl Record {
    /// Reads an object of any of the types. Whoever only wants to show an object that is of none uses its parsed properties.
    ///
    /// # Errors
    /// If it is of another type, or a property does not hold what it should.
    pub fn parse(object: &Object) -> Result<Self, TypeError> {
        match object.kind() {
            "vulnerability" => Flaw::parse(object).map(Self::Flaw),
            "attack-pattern" => Technique::parse(object).map(Self::Technique),
            "incident" => Incident::parse(object).map(Self::Incident),
            "course-of-action" => Mitigation::parse(object).map(Self::Mitigation),
            "note" if Evaluation::is_one(object) => Evaluation::parse(object).map(Self::Evaluation),
            "note" => Lesson::parse(object).map(Self::Lesson),
            "report" | "grouping" => Advisory::parse(object).map(Self::Advisory),
            "sighting" => Sighting::parse(object).map(Self::Sighting),
            "relationship" => Relation::parse(object).map(Self::Relation),
            "opinion" => Opinion::parse(object).map(Self::Opinion),
            other => Err(TypeError::Other { found: other.to_owned(), wanted: "one of Ostrom's types" }),
        }
    }

    /// Writes it as a STIX object, which is valid.
    ///
    /// # Errors
    /// If a property does not hold what it should.
    pub fn write(&self) -> Result<Object, TypeError> {
        each!(self, inner => inner.write())
    }

    /// The common properties.
    pub fn common(&self) -> &Common {
        each!(self, inner => inner.common())
    }

    /// The common properties.
    pub fn common_mut(&mut self) -> &mut Common {
        each!(self, inner => inner.common_mut())
    }
}
