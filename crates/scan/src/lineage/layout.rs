//! The order in which a graph is drawn: a tree whose rows read from top to bottom.

use std::collections::BTreeSet;

use ostrom_core::Digest;

use super::graph::{Direction, Edge, Graph};

/// Longer pictures help nobody.
const MAX_ROWS: usize = 5000;

/// What is known against an artifact, told in words beside its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// It may come from something revoked: an edge or the revocation is of an unknown signer.
    Suspected,
    /// It comes from something revoked.
    Affected,
    /// A trusted key has revoked it.
    Revoked,
}

impl Mark {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Suspected => "SUSPECTED",
            Self::Affected => "AFFECTED",
            Self::Revoked => "REVOKED",
        }
    }
}

/// One line of the picture.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row<'g> {
    pub(super) digest: Digest,
    /// How many rows it hangs under.
    pub(super) level: usize,
    /// Whether no other row hangs beside it further down.
    pub(super) last: bool,
    /// The row that it hangs from.
    pub(super) above: Option<usize>,
    pub(super) edge: Option<&'g Edge>,
    /// Already drawn, with all that hangs from it.
    pub(super) repeated: bool,
}

pub(super) struct Layout<'g> {
    pub(super) rows: Vec<Row<'g>>,
    /// Whether rows were left out.
    pub(super) cut: bool,
}

struct Next<'g> {
    digest: Digest,
    edge: Option<&'g Edge>,
    level: usize,
    last: bool,
    above: Option<usize>,
}

/// Depth first, neighbours by name and digest; an artifact that hangs from several is drawn out once.
pub(super) fn rows(graph: &Graph, root: Digest, direction: Direction) -> Layout<'_> {
    let mut rows: Vec<Row<'_>> = Vec::new();
    let mut drawn = BTreeSet::new();
    let mut stack = vec![Next { digest: root, edge: None, level: 0, last: true, above: None }];
    while let Some(next) = stack.pop() {
        if rows.len() >= MAX_ROWS {
            return Layout { rows, cut: true };
        }
        let index = rows.len();
        let mut neighbours = graph.best(next.digest, direction);
        let repeated = !drawn.insert(next.digest) && !neighbours.is_empty();
        if repeated {
            neighbours.clear();
        }
        neighbours.sort_by_key(|edge| (graph.name(direction.next(edge)), direction.next(edge)));
        for (position, edge) in neighbours.into_iter().rev().enumerate() {
            stack.push(Next {
                digest: direction.next(edge),
                edge: Some(edge),
                level: next.level + 1,
                last: position == 0,
                above: Some(index),
            });
        }
        let Next { digest, edge, level, last, above } = next;
        rows.push(Row { digest, level, last, above, edge, repeated });
    }
    Layout { rows, cut: false }
}

/// Columns that a character takes in a terminal: two for East Asian wide ones and pictures, to be on the safe side.
fn columns(c: char) -> usize {
    if matches!(c, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}' | '\u{ffe0}'..='\u{ffe6}' | '\u{1f000}'..='\u{3fffd}')
    {
        2
    } else {
        1
    }
}

/// Columns that a text takes.
pub(super) fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

/// A text that takes at most `most` columns; `mark` stands for what was cut.
pub(super) fn fit(text: &str, most: usize, mark: &str) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let room = most.saturating_sub(width(mark));
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        used += columns(c);
        if used > room {
            break;
        }
        out.push(c);
    }
    out.push_str(mark);
    out
}
