//! The graph that all records together make, and walks through it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ostrom_core::Digest;

use super::edge::{self, Basis, Lineage, Relation};
use super::store::{Problem, Records, StoreError};
use crate::examination::escape;

/// More than any store needs; a bound on what many large statements can make.
const MAX_EDGES: usize = 1_000_000;

/// From one child to one parent.
#[derive(Debug, Clone, PartialEq)]
pub struct Edge {
    /// What came into being.
    pub child: Digest,
    /// From what.
    pub parent: Digest,
    /// How.
    pub relation: Relation,
    /// On what basis it is said.
    pub basis: Basis,
    /// The record that says it.
    pub record: Digest,
    /// Whether a trusted key signed that record.
    pub trusted: bool,
}

impl Edge {
    /// The better an edge is founded, the earlier it comes.
    fn rank(&self) -> (bool, bool, Relation, Digest) {
        (!self.trusted, matches!(self.basis, Basis::Claim(_)), self.relation, self.record)
    }
}

/// Which way to walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To what came from it.
    Descendants,
    /// To what it came from.
    Ancestors,
}

/// All lineage records of a store.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    /// Whether a trusted record gives the name, and the name.
    names: BTreeMap<Digest, (bool, String)>,
    edges: Vec<Edge>,
    by_parent: BTreeMap<Digest, Vec<usize>>,
    by_child: BTreeMap<Digest, Vec<usize>>,
    /// Records and files that could not be used.
    problems: Vec<Problem>,
}

/// An artifact that a walk came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// Which.
    pub digest: Digest,
    /// Edges on the shortest way there.
    pub distance: usize,
    /// Whether there is a way over edges of trusted signers only.
    pub trusted: bool,
}

/// A finished walk.
#[derive(Debug)]
pub struct Walk<'g> {
    graph: &'g Graph,
    direction: Direction,
    reached: Vec<Reached>,
    via: BTreeMap<Digest, usize>,
}

impl Graph {
    /// The graph of a store's records. Revocations and passports are left out; broken ones, and those of kinds that are not
    /// known, become problems.
    ///
    /// # Errors
    /// If there are more edges than are kept.
    pub fn new(records: &Records) -> Result<Self, StoreError> {
        let mut graph = Self { problems: records.problems.clone(), ..Self::default() };
        for record in &records.records {
            if *record.statement.predicate_type() != edge::predicate_type() {
                graph.problems.extend(record.unknown_kind());
                continue;
            }
            match Lineage::from_statement(&record.statement) {
                Ok(lineage) => graph.add(lineage, record.id, record.signers.is_trusted())?,
                Err(error) => graph.problems.push(Problem {
                    name: format!("{}.json", record.id),
                    what: escape(&error.to_string(), 500),
                }),
            }
        }
        let Self { edges, by_parent, by_child, .. } = &mut graph;
        let rank = |index: &usize| edges.get(*index).map(Edge::rank);
        for list in by_parent.values_mut() {
            list.sort_by_key(|index| (edges.get(*index).map(|edge| edge.child), rank(index)));
        }
        for list in by_child.values_mut() {
            list.sort_by_key(|index| (edges.get(*index).map(|edge| edge.parent), rank(index)));
        }
        Ok(graph)
    }

    fn add(&mut self, lineage: Lineage, record: Digest, trusted: bool) -> Result<(), StoreError> {
        for (name, digest) in lineage.children.iter().chain(&lineage.parents) {
            // A name that a trusted signer gave wins over any other; then the first in order.
            let candidate = (trusted, escape(name, 200));
            let better = self
                .names
                .get(digest)
                .is_none_or(|(by_trusted, known)| (!trusted, &candidate.1) < (!by_trusted, known));
            if better && !name.is_empty() {
                self.names.insert(*digest, candidate);
            }
        }
        for (_, child) in &lineage.children {
            for (_, parent) in &lineage.parents {
                if self.edges.len() >= MAX_EDGES {
                    return Err(StoreError::TooManyEdges(MAX_EDGES));
                }
                self.by_parent.entry(*parent).or_default().push(self.edges.len());
                self.by_child.entry(*child).or_default().push(self.edges.len());
                self.edges.push(Edge {
                    child: *child,
                    parent: *parent,
                    relation: lineage.relation,
                    basis: lineage.basis.clone(),
                    record,
                    trusted,
                });
            }
        }
        Ok(())
    }

    /// What could not be used, of the store and of the statements.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// All edges.
    pub fn edges(&self) -> &[Edge] {
        &self.edges
    }

    /// Whether any record speaks of it.
    pub fn knows(&self, digest: Digest) -> bool {
        self.by_parent.contains_key(&digest) || self.by_child.contains_key(&digest)
    }

    /// The name that records give it, escaped.
    pub fn name(&self, digest: Digest) -> Option<&str> {
        self.names.get(&digest).map(|(_, name)| name.as_str())
    }

    /// Artifacts whose digest begins with this (at least eight hexadecimal digits), or whose name it is.
    pub fn find(&self, text: &str) -> Vec<Digest> {
        let known: BTreeSet<Digest> = self.by_parent.keys().chain(self.by_child.keys()).copied().collect();
        let matches = |digest: &Digest| {
            text.len() >= 8 && digest.to_string().starts_with(text) || self.name(*digest) == Some(text)
        };
        known.into_iter().filter(matches).collect()
    }

    /// The edges at an artifact, one for each neighbour: the best-founded.
    pub(super) fn best(&self, digest: Digest, direction: Direction) -> Vec<&Edge> {
        let mut edges: Vec<&Edge> = self.around(digest, direction).collect();
        // INVARIANT: the lists are sorted by neighbour, then by how well the edge is founded.
        edges.dedup_by_key(|edge| direction.next(edge));
        edges
    }

    /// All edges at an artifact on one side, by neighbour and the best-founded first.
    pub fn around(&self, digest: Digest, direction: Direction) -> impl Iterator<Item = &Edge> {
        self.indices(digest, direction).iter().filter_map(|index| self.edges.get(*index))
    }

    fn indices(&self, digest: Digest, direction: Direction) -> &[usize] {
        let list = match direction {
            Direction::Descendants => self.by_parent.get(&digest),
            Direction::Ancestors => self.by_child.get(&digest),
        };
        list.map_or(&[], Vec::as_slice)
    }

    /// Everything that came from it.
    pub fn affected_by(&self, digest: Digest) -> Walk<'_> {
        self.walk(&[digest], Direction::Descendants)
    }

    /// Everything that it came from.
    pub fn ancestors(&self, digest: Digest) -> Walk<'_> {
        self.walk(&[digest], Direction::Ancestors)
    }

    /// Walks breadth first from all `starts` at once: first over edges of trusted signers, then over all, so that an
    /// untrusted shortcut never hides a trusted way.
    pub fn walk(&self, starts: &[Digest], direction: Direction) -> Walk<'_> {
        let mut walk = Walk { graph: self, direction, reached: Vec::new(), via: BTreeMap::new() };
        let mut distances: BTreeMap<Digest, usize> = starts.iter().map(|start| (*start, 0)).collect();
        for trusted_only in [true, false] {
            // The second round sets out from everything that the first one reached, nearest first.
            let mut queue: VecDeque<Digest> =
                starts.iter().copied().chain(walk.reached.iter().map(|reached| reached.digest)).collect();
            while let Some(digest) = queue.pop_front() {
                let distance = distances.get(&digest).copied().unwrap_or(0).saturating_add(1);
                for &index in self.indices(digest, direction) {
                    let Some(edge) = self.edges.get(index).filter(|edge| edge.trusted || !trusted_only)
                    else {
                        continue;
                    };
                    let next = direction.next(edge);
                    if distances.contains_key(&next) {
                        continue;
                    }
                    distances.insert(next, distance);
                    walk.via.insert(next, index);
                    walk.reached.push(Reached { digest: next, distance, trusted: trusted_only });
                    queue.push_back(next);
                }
            }
        }
        walk
    }
}

impl Direction {
    /// Where an edge leads.
    pub(super) const fn next(self, edge: &Edge) -> Digest {
        match self {
            Self::Descendants => edge.child,
            Self::Ancestors => edge.parent,
        }
    }

    const fn previous(self, edge: &Edge) -> Digest {
        match self {
            Self::Descendants => edge.parent,
            Self::Ancestors => edge.child,
        }
    }
}

impl<'g> Walk<'g> {
    /// What was reached: over trusted edges first, then the rest; each nearest first. The start is not among it.
    pub fn reached(&self) -> &[Reached] {
        &self.reached
    }

    /// The way from a start to an artifact, edge by edge; empty if it was not reached.
    pub fn chain(&self, digest: Digest) -> Vec<&'g Edge> {
        let mut chain = Vec::new();
        let mut at = digest;
        // INVARIANT: every artifact has one edge that first led to it, so the way back ends at the start.
        while let Some(edge) = self.via.get(&at).and_then(|index| self.graph.edges.get(*index)) {
            chain.push(edge);
            at = self.direction.previous(edge);
        }
        chain.reverse();
        chain
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use ostrom_trust::{Envelope, SecretKey};
    use proptest::prelude::*;

    use super::*;
    use crate::lineage::edge::tests::edge;
    use crate::lineage::record::Record;

    pub(crate) fn of(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    /// A graph of `(child, parent, relation, trusted)`.
    pub(crate) fn graph(edges: &[(&str, &str, Relation, bool)]) -> Graph {
        let (ours, other) = (SecretKey::generate().unwrap(), SecretKey::generate().unwrap());
        let records = edges
            .iter()
            .map(|(child, parent, relation, trusted)| {
                let statement = edge(child, parent, *relation).to_statement().unwrap();
                let envelope = Envelope::sign(&statement, if *trusted { &ours } else { &other }).unwrap();
                Record::from_slice(&envelope.to_json().unwrap(), &[ours.public()]).unwrap()
            })
            .collect();
        Graph::new(&Records { records, problems: Vec::new() }).unwrap()
    }

    #[test]
    fn a_poisoned_data_set_reaches_everything_behind_it() {
        let graph = graph(&[
            ("base", "data", Relation::TrainedOn, true),
            ("chat", "base", Relation::FineTune, true),
            ("chat-q4", "chat", Relation::Quantisation, true),
            ("other", "clean", Relation::TrainedOn, true),
            ("blend", "chat", Relation::Merge, true),
            ("blend", "other", Relation::Merge, true),
        ]);
        let walk = graph.affected_by(of("data"));
        let mut names: Vec<_> = walk.reached().iter().map(|r| graph.name(r.digest).unwrap()).collect();
        names.sort_unstable();
        assert_eq!(names, ["base", "blend", "chat", "chat-q4"]);
        let chain: Vec<_> = walk.chain(of("chat-q4")).iter().map(|edge| edge.relation).collect();
        assert_eq!(chain, [Relation::TrainedOn, Relation::FineTune, Relation::Quantisation]);
        assert_eq!(graph.ancestors(of("blend")).reached().len(), 5);
        assert!(graph.affected_by(of("nobody")).reached().is_empty());
        assert_eq!(graph.find("chat"), [of("chat")]);
        assert_eq!(graph.find(&of("chat").short()), [of("chat")]);
    }

    #[test]
    fn cycles_end_and_the_shortest_way_is_told() {
        let graph = graph(&[
            ("b", "a", Relation::FineTune, true),
            ("c", "b", Relation::FineTune, true),
            ("a", "c", Relation::FineTune, true),
            ("c", "a", Relation::Copy, true),
        ]);
        let walk = graph.affected_by(of("a"));
        assert_eq!(walk.reached().len(), 2);
        assert_eq!(walk.chain(of("c")).len(), 1);
        assert!(walk.chain(of("a")).is_empty());
    }

    #[test]
    fn a_strangers_shortcut_never_hides_a_trusted_way() {
        let graph = graph(&[
            ("b", "a", Relation::FineTune, true),
            ("c", "b", Relation::FineTune, true),
            ("c", "a", Relation::Copy, false),
            ("d", "c", Relation::Copy, false),
        ]);
        let walk = graph.affected_by(of("a"));
        let find = |name| *walk.reached().iter().find(|reached| reached.digest == of(name)).unwrap();
        assert!(find("c").trusted && walk.chain(of("c")).iter().all(|edge| edge.trusted));
        assert!(!find("d").trusted);
        assert_eq!(walk.chain(of("d")).len(), 3);
    }

    #[test]
    fn trusted_names_win() {
        let key = SecretKey::generate().unwrap();
        let stranger = SecretKey::generate().unwrap();
        let mut lie = edge("b", "a", Relation::Copy);
        lie.children[0].0 = "Aardvark".to_owned();
        let truth = edge("b", "a", Relation::Copy);
        let record = |lineage: &Lineage, key: &SecretKey, trusted: &SecretKey| {
            let envelope = Envelope::sign(&lineage.to_statement().unwrap(), key).unwrap();
            Record::from_slice(&envelope.to_json().unwrap(), &[trusted.public()]).unwrap()
        };
        let records = vec![record(&lie, &stranger, &key), record(&truth, &key, &key)];
        let graph = Graph::new(&Records { records, problems: Vec::new() }).unwrap();
        assert_eq!(graph.name(of("b")), Some("b"));
        assert!(graph.best(of("a"), Direction::Descendants)[0].trusted);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn walks_agree_with_reachability(pairs in proptest::collection::vec((0..8_u8, 0..8_u8), 1..20)) {
            let names: Vec<String> = (0..8).map(|i| format!("n{i}")).collect();
            let edges: Vec<_> = pairs
                .iter()
                .filter(|(a, b)| a != b)
                .map(|(a, b)| (names[*a as usize].as_str(), names[*b as usize].as_str(), Relation::Copy, a % 2 == 0))
                .collect();
            let graph = graph(&edges);
            let mut reach = vec![vec![false; 8]; 8];
            for (a, b) in &pairs {
                if a != b { reach[*b as usize][*a as usize] = true; }
            }
            for k in 0..8 { for i in 0..8 { for j in 0..8 {
                let through = reach[i][k] && reach[k][j];
                reach[i][j] |= through;
            } } }
            for start in 0..8 {
                let walk = graph.affected_by(of(&names[start]));
                for end in (0..8).filter(|end| *end != start) {
                    let reached = walk.reached().iter().find(|r| r.digest == of(&names[end]));
                    prop_assert_eq!(reached.is_some(), reach[start][end]);
                    let chain = walk.chain(of(&names[end]));
                    if let Some(reached) = reached {
                        prop_assert_eq!(chain.first().unwrap().parent, of(&names[start]));
                        prop_assert_eq!(chain.last().unwrap().child, of(&names[end]));
                        prop_assert!(chain.windows(2).all(|pair| pair[0].child == pair[1].parent));
                        prop_assert_eq!(chain.len(), reached.distance);
                        prop_assert_eq!(chain.iter().all(|edge| edge.trusted), reached.trusted);
                    }
                }
            }
        }
    }
}
