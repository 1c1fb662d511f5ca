//! Signed revocations, and what they mean for everything that came from a revoked artifact.
//!
//! - A revocation counts if a trusted key signed it. Those of unknown keys are kept as warnings: anybody may write one.
//! - It spreads along lineage to all descendants. Edges of unknown signers carry it too, but only to `Suspected`: a
//!   stranger can raise a question, and cannot answer one.
//! - It ends by a reinstatement that names its digest and is signed by the same key; by each of the trusted keys that
//!   signed it, if they are several. No clock is trusted, and an old reinstatement cannot be played again against a new
//!   revocation.

use std::collections::BTreeMap;

use ostrom_core::{Digest, PredicateType, Severity, Statement, StatementError, Subject};
use ostrom_trust::{KeyId, PublicKey};
use serde::{Deserialize, Serialize};

use crate::examination::escape;
use crate::lineage::{Direction, Edge, Graph, Mark, Problem, Records, Signers, Store, StoreError};

/// The most artifacts in one statement.
const MAX_SUBJECTS: usize = 4096;

/// "Do not use these any more."
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// Which, by name and digest.
    pub artifacts: Vec<(String, Digest)>,
    /// Why.
    pub reason: String,
    /// How bad it is to go on using them.
    pub severity: Severity,
    /// What to use instead.
    pub replacement: Option<(String, Digest)>,
    /// When it was said, in seconds since 1970. Told to people, never relied on.
    pub recorded_unix: u64,
}

/// "That revocation no longer holds."
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reinstatement {
    /// Which of its artifacts may be used again.
    pub artifacts: Vec<(String, Digest)>,
    /// [`Revoked::statement`] of the revocation.
    pub revocation: Digest,
    /// Why.
    pub reason: String,
    /// When it was said, in seconds since 1970.
    pub recorded_unix: u64,
}

/// Why something is not a revocation.
#[derive(Debug, thiserror::Error)]
pub enum RevocationError {
    /// Without a reason, nobody can judge it.
    #[error("a revocation needs a reason")]
    NoReason,
    /// More than are read.
    #[error("{0} artifacts; at most {MAX_SUBJECTS} go into one statement")]
    TooMany(usize),
    /// An artifact without SHA-256.
    #[error("{0:?} has no SHA-256 digest")]
    NoDigest(String),
    /// The predicate is not of this kind.
    #[error("not a revocation: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Not a statement.
    #[error(transparent)]
    Statement(#[from] StatementError),
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "lowercase", deny_unknown_fields)]
enum Predicate {
    #[serde(rename_all = "camelCase")]
    Revoke {
        reason: String,
        severity: Severity,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        replacement: Option<Subject>,
        recorded_unix: u64,
    },
    #[serde(rename_all = "camelCase")]
    Reinstate { reason: String, revocation: Digest, recorded_unix: u64 },
}

pub(crate) fn predicate_type() -> PredicateType {
    PredicateType::ostrom("revocation", 1)
}

fn statement(artifacts: &[(String, Digest)], predicate: &Predicate) -> Result<Statement, RevocationError> {
    let (Predicate::Revoke { reason, .. } | Predicate::Reinstate { reason, .. }) = predicate;
    if reason.trim().is_empty() {
        return Err(RevocationError::NoReason);
    }
    if artifacts.len() > MAX_SUBJECTS {
        return Err(RevocationError::TooMany(artifacts.len()));
    }
    let subjects = artifacts.iter().map(|(name, digest)| Subject::new(name.as_str(), *digest)).collect();
    Ok(Statement::new(subjects, predicate_type(), serde_json::to_value(predicate)?)?)
}

impl Revocation {
    /// The statement to be signed.
    ///
    /// # Errors
    /// If it has no reason, or names no artifact or too many.
    pub fn to_statement(&self) -> Result<Statement, RevocationError> {
        let replacement =
            self.replacement.as_ref().map(|(name, digest)| Subject::new(name.as_str(), *digest));
        let predicate = Predicate::Revoke {
            reason: self.reason.clone(),
            severity: self.severity,
            replacement,
            recorded_unix: self.recorded_unix,
        };
        statement(&self.artifacts, &predicate)
    }
}

impl Reinstatement {
    /// The statement to be signed.
    ///
    /// # Errors
    /// If it has no reason, or names no artifact or too many.
    pub fn to_statement(&self) -> Result<Statement, RevocationError> {
        let predicate = Predicate::Reinstate {
            reason: self.reason.clone(),
            revocation: self.revocation,
            recorded_unix: self.recorded_unix,
        };
        statement(&self.artifacts, &predicate)
    }
}

/// A revocation of one artifact that holds, or that an unknown key claims.
#[derive(Debug, Clone, PartialEq)]
pub struct Revoked {
    /// The artifact.
    pub digest: Digest,
    /// Its name in the statement, escaped.
    pub name: String,
    /// Why, escaped.
    pub reason: String,
    /// How bad it is.
    pub severity: Severity,
    /// What to use instead: name, escaped, and digest.
    pub replacement: Option<(String, Digest)>,
    /// When it was said, in seconds since 1970.
    pub recorded_unix: u64,
    /// Digest of the statement; a reinstatement names it.
    pub statement: Digest,
    /// Who signed it.
    pub signers: Signers,
}

/// What is known against an artifact.
#[derive(Debug, Clone, PartialEq)]
pub enum Standing {
    /// Nothing. Say so only if [`Revocations::problems`] and [`Graph::problems`] are empty.
    Clear,
    /// An unknown key has revoked it or something that it comes from; or it comes from something revoked by an edge
    /// that an unknown key signed.
    Suspected(Revoked, Vec<Edge>),
    /// It comes from something revoked, by these edges, from child to parent.
    Affected(Revoked, Vec<Edge>),
    /// It is revoked.
    Revoked(Revoked),
}

/// All revocations of a store.
#[derive(Debug, Clone, Default)]
pub struct Revocations {
    holding: BTreeMap<Digest, Vec<Revoked>>,
    claimed: BTreeMap<Digest, Vec<Revoked>>,
    problems: Vec<Problem>,
}

struct Read {
    subjects: Vec<(String, Digest)>,
    predicate: Predicate,
}

fn read(statement: &Statement) -> Result<Read, RevocationError> {
    let subjects = statement.subjects();
    if subjects.len() > MAX_SUBJECTS {
        return Err(RevocationError::TooMany(subjects.len()));
    }
    let subjects = subjects.iter().map(named).collect::<Result<_, _>>()?;
    let predicate = Predicate::deserialize(statement.predicate())?;
    if let Predicate::Revoke { replacement: Some(replacement), .. } = &predicate {
        named(replacement)?;
    }
    Ok(Read { subjects, predicate })
}

fn named(subject: &Subject) -> Result<(String, Digest), RevocationError> {
    let no_digest = || RevocationError::NoDigest(escape(subject.name(), 200));
    Ok((escape(subject.name(), 200), subject.digest().ok_or_else(no_digest)?))
}

impl Revocations {
    /// Reads the revocations of a store. Call it with all keys that may revoke.
    ///
    /// # Errors
    /// If the folder cannot be read. Files that cannot be read are problems.
    pub fn load(store: &Store, trusted: &[PublicKey]) -> Result<Self, StoreError> {
        Ok(Self::new(&store.load(trusted)?))
    }

    /// The revocations among records. Those that cannot be read, and statements of kinds that are not known, become problems.
    pub fn new(records: &Records) -> Self {
        let mut all = Self { problems: records.problems.clone(), ..Self::default() };
        // Which keys have lifted which statement for which artifact.
        let mut lifted: BTreeMap<(Digest, Digest), Vec<KeyId>> = BTreeMap::new();
        let mut revoked = Vec::new();
        for record in &records.records {
            if *record.statement.predicate_type() != predicate_type() {
                all.problems.extend(record.unknown_kind());
                continue;
            }
            let Read { subjects, predicate } = match read(&record.statement) {
                Ok(read) => read,
                Err(error) => {
                    let what = escape(&error.to_string(), 500);
                    all.problems.push(Problem { name: format!("{}.json", record.id), what });
                    continue;
                }
            };
            match predicate {
                Predicate::Reinstate { revocation, .. } => {
                    let Signers::Trusted(keys) = &record.signers else { continue };
                    for (_, digest) in subjects {
                        lifted.entry((revocation, digest)).or_default().extend(keys);
                    }
                }
                Predicate::Revoke { reason, severity, replacement, recorded_unix } => {
                    let replacement = replacement.and_then(|subject| named(&subject).ok());
                    revoked.extend(subjects.into_iter().map(|(name, digest)| Revoked {
                        digest,
                        name,
                        reason: escape(&reason, 1000),
                        severity,
                        replacement: replacement.clone(),
                        recorded_unix,
                        statement: record.statement_id,
                        signers: record.signers.clone(),
                    }));
                }
            }
        }
        for revocation in revoked {
            let list = match &revocation.signers {
                Signers::Unknown(_) => &mut all.claimed,
                Signers::Trusted(keys) => {
                    let by = lifted.get(&(revocation.statement, revocation.digest));
                    if by.is_some_and(|by| keys.iter().all(|key| by.contains(key))) {
                        continue;
                    }
                    &mut all.holding
                }
            };
            list.entry(revocation.digest).or_default().push(revocation);
        }
        for list in all.holding.values_mut().chain(all.claimed.values_mut()) {
            list.sort_by_key(|revoked| (std::cmp::Reverse(revoked.severity), revoked.statement));
        }
        all
    }

    /// The worst revocation of this very artifact that holds.
    pub fn check(&self, digest: Digest) -> Option<&Revoked> {
        self.holding.get(&digest)?.first()
    }

    /// Revocations that hold, by artifact and the worst first.
    pub fn holding(&self) -> impl Iterator<Item = &Revoked> {
        self.holding.values().flatten()
    }

    /// Revocations of unknown keys: warnings.
    pub fn claimed(&self) -> impl Iterator<Item = &Revoked> {
        self.claimed.values().flatten()
    }

    /// What could not be read. Any of it may have been a revocation.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// What is known against an artifact, given the digests that stand for it and for its parts
    /// ([`crate::lineage::Artifact::digests`]). A folder with a revoked file is revoked.
    pub fn standing(&self, graph: &Graph, digests: &[Digest]) -> Standing {
        if let Some(revoked) = worst(digests.iter().filter_map(|digest| self.check(*digest))) {
            return Standing::Revoked(revoked.clone());
        }
        let walk = graph.walk(digests, Direction::Ancestors);
        let chain = |digest| walk.chain(digest).into_iter().cloned().collect();
        let reached = |trusted: bool| {
            walk.reached()
                .iter()
                .filter(move |reached| reached.trusted == trusted)
                .map(|reached| reached.digest)
        };
        if let Some(revoked) = worst(reached(true).filter_map(|digest| self.check(digest))) {
            return Standing::Affected(revoked.clone(), chain(revoked.digest));
        }
        let claimed = |digest: Digest| self.claimed.get(&digest).and_then(|list| list.first());
        let suspects = reached(false)
            .filter_map(|digest| self.check(digest))
            .chain(digests.iter().copied().filter_map(claimed))
            .chain(walk.reached().iter().filter_map(|reached| claimed(reached.digest)));
        match worst(suspects) {
            Some(revoked) => Standing::Suspected(revoked.clone(), chain(revoked.digest)),
            None => Standing::Clear,
        }
    }

    /// What to write beside each artifact of the graph.
    pub fn marks(&self, graph: &Graph) -> BTreeMap<Digest, Mark> {
        let mut marks = BTreeMap::new();
        let mut set = |digest, mark: Mark| {
            let known = marks.entry(digest).or_insert(mark);
            *known = mark.max(*known);
        };
        let holding: Vec<Digest> = self.holding.keys().copied().collect();
        for reached in graph.walk(&holding, Direction::Descendants).reached() {
            set(reached.digest, if reached.trusted { Mark::Affected } else { Mark::Suspected });
        }
        let claimed: Vec<Digest> = self.claimed.keys().copied().collect();
        for reached in graph.walk(&claimed, Direction::Descendants).reached() {
            set(reached.digest, Mark::Suspected);
        }
        claimed.iter().for_each(|digest| set(*digest, Mark::Suspected));
        holding.iter().for_each(|digest| set(*digest, Mark::Revoked));
        marks
    }
}

/// The most severe; of equals the first.
fn worst<'a>(all: impl Iterator<Item = &'a Revoked>) -> Option<&'a Revoked> {
    all.reduce(|worst, next| if next.severity > worst.severity { next } else { worst })
}

#[cfg(test)]
mod tests {
    use ostrom_trust::{Envelope, SecretKey};

    use super::*;
    use crate::lineage::{Basis, Lineage, Record, Relation};

    struct Place {
        ours: SecretKey,
        stranger: SecretKey,
        records: Records,
    }

    fn of(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    impl Place {
        fn new() -> Self {
            let key = || SecretKey::generate().unwrap();
            Self { ours: key(), stranger: key(), records: Records::default() }
        }

        fn add(&mut self, statement: &Statement, trusted: bool) -> Digest {
            let envelope =
                Envelope::sign(statement, if trusted { &self.ours } else { &self.stranger }).unwrap();
            let record = Record::from_slice(&envelope.to_json().unwrap(), &[self.ours.public()]).unwrap();
            let id = record.statement_id;
            self.records.records.push(record);
            id
        }

        fn edge(&mut self, child: &str, parent: &str, trusted: bool) {
            let lineage = Lineage {
                children: vec![(child.to_owned(), of(child))],
                parents: vec![(parent.to_owned(), of(parent))],
                relation: Relation::FineTune,
                basis: Basis::signer_says(),
                recorded_unix: 1,
            };
            self.add(&lineage.to_statement().unwrap(), trusted);
        }

        fn revoke(&mut self, name: &str, severity: Severity, trusted: bool) -> Digest {
            self.add(&revocation(name, severity, 7).to_statement().unwrap(), trusted)
        }

        fn standing(&self, name: &str) -> Standing {
            let graph = Graph::new(&self.records).unwrap();
            Revocations::new(&self.records).standing(&graph, &[of(name)])
        }
    }

    fn revocation(name: &str, severity: Severity, recorded_unix: u64) -> Revocation {
        Revocation {
            artifacts: vec![(name.to_owned(), of(name))],
            reason: "poisoned".to_owned(),
            severity,
            replacement: Some(("better".to_owned(), of("better"))),
            recorded_unix,
        }
    }

    fn reinstate(name: &str, revocation: Digest) -> Statement {
        let reinstatement = Reinstatement {
            artifacts: vec![(name.to_owned(), of(name))],
            revocation,
            reason: "it was another file".to_owned(),
            recorded_unix: 8,
        };
        reinstatement.to_statement().unwrap()
    }

    #[test]
    fn a_revocation_spreads_to_all_descendants_and_to_nothing_else() {
        let mut place = Place::new();
        place.edge("base", "data", true);
        place.edge("chat", "base", true);
        place.edge("other", "clean", true);
        place.revoke("data", Severity::Critical, true);
        let Standing::Affected(revoked, chain) = place.standing("chat") else { panic!() };
        assert_eq!((revoked.digest, revoked.reason.as_str()), (of("data"), "poisoned"));
        assert_eq!(revoked.replacement, Some(("better".to_owned(), of("better"))));
        let links: Vec<_> = chain.iter().map(|edge| (edge.child, edge.parent)).collect();
        assert_eq!(links, [(of("chat"), of("base")), (of("base"), of("data"))]);
        assert!(matches!(place.standing("data"), Standing::Revoked(_)));
        assert_eq!(place.standing("other"), Standing::Clear);
        assert_eq!(place.standing("clean"), Standing::Clear);

        let graph = Graph::new(&place.records).unwrap();
        let marks = Revocations::new(&place.records).marks(&graph);
        let expected = [("data", Mark::Revoked), ("base", Mark::Affected), ("chat", Mark::Affected)];
        assert_eq!(marks, expected.into_iter().map(|(name, mark)| (of(name), mark)).collect());
    }

    #[test]
    fn strangers_can_only_raise_questions() {
        let mut place = Place::new();
        place.edge("chat", "base", true);
        place.revoke("base", Severity::Critical, false);
        assert!(matches!(place.standing("base"), Standing::Suspected(..)));
        assert!(matches!(place.standing("chat"), Standing::Suspected(_, chain) if chain.len() == 1));
        assert!(Revocations::new(&place.records).check(of("base")).is_none());

        let mut place = Place::new();
        place.edge("chat", "base", false);
        place.revoke("base", Severity::High, true);
        assert!(matches!(place.standing("chat"), Standing::Suspected(..)));
        let graph = Graph::new(&place.records).unwrap();
        assert_eq!(Revocations::new(&place.records).marks(&graph)[&of("chat")], Mark::Suspected);
    }

    #[test]
    fn only_the_key_that_revoked_can_reinstate() {
        let mut place = Place::new();
        let revocation = place.revoke("base", Severity::High, true);
        place.add(&reinstate("base", revocation), false);
        assert!(matches!(place.standing("base"), Standing::Revoked(_)), "a stranger has lifted it");
        place.add(&reinstate("other", revocation), true);
        assert!(matches!(place.standing("base"), Standing::Revoked(_)), "it was lifted for something else");
        place.add(&reinstate("base", of("another statement")), true);
        assert!(matches!(place.standing("base"), Standing::Revoked(_)));
        place.add(&reinstate("base", revocation), true);
        assert_eq!(place.standing("base"), Standing::Clear);
        // A later revocation is a statement of its own.
        place.add(&revocation_at("base", 9), true);
        assert!(matches!(place.standing("base"), Standing::Revoked(_)));
    }

    fn revocation_at(name: &str, time: u64) -> Statement {
        revocation(name, Severity::High, time).to_statement().unwrap()
    }

    #[test]
    fn one_trusted_key_cannot_lift_what_another_revoked() {
        let (first, second) = (SecretKey::generate().unwrap(), SecretKey::generate().unwrap());
        let keys = [first.public(), second.public()];
        let statement = revocation_at("base", 1);
        let record = |statement: &Statement, key: &SecretKey| {
            Record::from_slice(&Envelope::sign(statement, key).unwrap().to_json().unwrap(), &keys).unwrap()
        };
        let revoked = record(&statement, &first);
        let lifted = record(&reinstate("base", revoked.statement_id), &second);
        let records = Records { records: vec![revoked, lifted], problems: Vec::new() };
        assert!(Revocations::new(&records).check(of("base")).is_some());
    }

    #[test]
    fn the_worst_is_told_and_parts_count_for_the_whole() {
        let mut place = Place::new();
        place.revoke("file", Severity::Low, true);
        place.revoke("file", Severity::Critical, true);
        let graph = Graph::new(&place.records).unwrap();
        let all = Revocations::new(&place.records);
        assert_eq!(all.check(of("file")).unwrap().severity, Severity::Critical);
        assert!(matches!(all.standing(&graph, &[of("folder"), of("file")]), Standing::Revoked(_)));
    }

    #[test]
    fn revocations_that_cannot_be_read_are_told() {
        let mut place = Place::new();
        let subject = vec![Subject::new("x", of("x"))];
        let predicate = serde_json::json!({"action": "revoke"});
        place.add(&Statement::new(subject, predicate_type(), predicate).unwrap(), true);
        assert_eq!(Revocations::new(&place.records).problems().len(), 1);
        let mut without = revocation("x", Severity::High, 1);
        without.reason = " ".to_owned();
        assert!(matches!(without.to_statement(), Err(RevocationError::NoReason)));
    }

    #[test]
    fn statements_of_unknown_kinds_may_be_revocations_and_are_told() {
        let problems = |kind: PredicateType, trusted| {
            let mut place = Place::new();
            let known = revocation("x", Severity::High, 1).to_statement().unwrap();
            let statement =
                Statement::new(known.subjects().to_vec(), kind, known.predicate().clone()).unwrap();
            let id = place.add(&statement, trusted);
            let graph = Graph::new(&place.records).unwrap();
            let revocations = Revocations::new(&place.records);
            assert_eq!(graph.problems(), revocations.problems(), "whoever looks at one of them is told");
            let record = place.records.records.iter().find(|record| record.statement_id == id).unwrap();
            let name = format!("{}.json", record.id);
            assert!(revocations.problems().iter().all(|problem| problem.name == name));
            revocations.problems().len()
        };
        let unknown = [
            PredicateType::ostrom("revocation", 2),
            PredicateType::ostrom("lineage", 2),
            PredicateType::ostrom("passport", 2),
            PredicateType::ostrom("evaluation", 2),
            serde_json::from_value("https://example.org/withdrawn/v1".into()).unwrap(),
        ];
        for kind in unknown {
            for trusted in [true, false] {
                assert_eq!(problems(kind.clone(), trusted), 1, "{kind} was passed over");
            }
        }
        for kind in [PredicateType::ostrom("passport", 1), PredicateType::evaluation(), PredicateType::run()]
        {
            for trusted in [true, false] {
                assert_eq!(problems(kind.clone(), trusted), 0, "{kind} stands in the way");
            }
        }
    }
}
