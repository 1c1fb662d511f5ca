//! A graph for the terminal.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ostrom_core::Digest;

use super::graph::{Direction, Graph};
use super::layout::{self, Mark, Row};

/// Columns of a line.
const COLUMNS: usize = 80;
/// Columns that lines may take from the left before deeper levels are told by number.
const MAX_PREFIX: usize = 32;

/// What the terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    /// Box drawing characters, and names as they are.
    Unicode,
    /// ASCII only.
    Ascii,
}

struct Glyphs {
    branch: &'static str,
    last: &'static str,
    line: &'static str,
    cut: &'static str,
}

const UNICODE: Glyphs = Glyphs { branch: "├─ ", last: "└─ ", line: "│  ", cut: "…" };
const ASCII: Glyphs = Glyphs { branch: "|- ", last: "`- ", line: "|  ", cut: "..." };

/// What hangs from `root`, as lines of at most 80 columns, each ending in a newline.
///
/// A line says: relation, name, the digest's first digits, the basis, whether its signer is unknown, and the mark.
pub fn tree(
    graph: &Graph,
    root: Digest,
    direction: Direction,
    marks: &BTreeMap<Digest, Mark>,
    charset: Charset,
) -> String {
    let glyphs = match charset {
        Charset::Unicode => &UNICODE,
        Charset::Ascii => &ASCII,
    };
    let layout = layout::rows(graph, root, direction);
    let mut out = String::new();
    for row in &layout.rows {
        let line = line(
            graph,
            prefix(&layout.rows, row, glyphs),
            row,
            marks.get(&row.digest).copied(),
            glyphs,
            charset,
        );
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{}", line.trim_end());
    }
    if layout.cut {
        let _ = writeln!(out, "{} more is not drawn", glyphs.cut);
    }
    out
}

fn prefix(rows: &[Row<'_>], row: &Row<'_>, glyphs: &Glyphs) -> String {
    if row.above.is_none() {
        return String::new();
    }
    let branch = if row.last { glyphs.last } else { glyphs.branch };
    if row.level * 3 > MAX_PREFIX {
        return format!("{}[level {}] {branch}", glyphs.cut, row.level);
    }
    let mut parts = vec![branch];
    let mut at = row.above.and_then(|index| rows.get(index));
    while let Some(above) = at.filter(|above| above.above.is_some()) {
        parts.push(if above.last { "   " } else { glyphs.line });
        at = above.above.and_then(|index| rows.get(index));
    }
    parts.into_iter().rev().collect()
}

fn line(
    graph: &Graph,
    mut start: String,
    row: &Row<'_>,
    mark: Option<Mark>,
    glyphs: &Glyphs,
    charset: Charset,
) -> String {
    let mut end = format!("  {}", row.digest.short());
    if let Some(edge) = row.edge {
        start.push_str(edge.relation.name());
        start.push_str("  ");
        end.push_str("  ");
        end.push_str(edge.basis.name());
        if !edge.trusted {
            end.push_str(", unverified");
        }
    }
    if row.repeated {
        end.push_str("  (above)");
    }
    if let Some(mark) = mark {
        end.push_str("  ");
        end.push_str(mark.name());
    }
    let name = graph.name(row.digest).unwrap_or("(no name)");
    let name = match charset {
        Charset::Unicode => name.to_owned(),
        Charset::Ascii => name
            .chars()
            .flat_map(|c| if c.is_ascii() { vec![c] } else { c.escape_unicode().collect() })
            .collect(),
    };
    let room = COLUMNS.saturating_sub(layout::width(&start) + layout::width(&end));
    format!("{start}{}{end}", layout::fit(&name, room, glyphs.cut))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lineage::Relation;
    use crate::lineage::graph::tests::{graph, of};

    fn sample() -> Graph {
        graph(&[
            ("base", "corpus", Relation::TrainedOn, true),
            ("chat", "base", Relation::FineTune, true),
            (
                "a model with a name so long that it would never fit into a line of eighty columns",
                "base",
                Relation::Merge,
                false,
            ),
            ("chat-q4", "chat", Relation::Quantisation, true),
            (
                "模型模型模型模型模型模型模型模型模型模型模型模型模型模型模型模型模型",
                "chat",
                Relation::Adapter,
                true,
            ),
            ("corpus", "chat-q4", Relation::TrainedOn, true),
        ])
    }

    #[test]
    fn a_tree_is_drawn_in_both_charsets() {
        let marks = BTreeMap::from([(of("corpus"), Mark::Revoked), (of("base"), Mark::Affected)]);
        let short = |name: &str| of(name).short();
        let drawn = tree(&sample(), of("corpus"), Direction::Descendants, &marks, Charset::Unicode);
        let lines: Vec<_> = drawn.lines().collect();
        assert_eq!(lines[0], format!("corpus  {}  REVOKED", short("corpus")));
        assert_eq!(lines[1], format!("└─ trained-on  base  {}  claim  AFFECTED", short("base")));
        assert!(lines[2].starts_with("   ├─ merge  a model with a name so long that "), "{drawn}");
        assert!(lines[2].ends_with("claim, unverified") && lines[2].contains('…'), "{drawn}");
        assert_eq!(lines[3], format!("   └─ fine-tune  chat  {}  claim", short("chat")));
        assert!(
            drawn.contains(&format!("trained-on  corpus  {}  claim  (above)  REVOKED", short("corpus"))),
            "{drawn}"
        );
        let ascii = tree(&sample(), of("corpus"), Direction::Descendants, &marks, Charset::Ascii);
        assert!(ascii.is_ascii());
        for line in drawn.lines().chain(ascii.lines()) {
            assert!(layout::width(line) <= 80, "{line}");
        }
        assert_eq!(drawn.lines().count(), ascii.lines().count());
    }

    #[test]
    fn ancestors_and_strangers() {
        let drawn = tree(&sample(), of("chat"), Direction::Ancestors, &BTreeMap::new(), Charset::Ascii);
        assert!(drawn.lines().nth(1).unwrap().starts_with("`- fine-tune  base"), "{drawn}");
        let alone = tree(&sample(), of("x"), Direction::Ancestors, &BTreeMap::new(), Charset::Ascii);
        assert_eq!(alone, format!("(no name)  {}\n", of("x").short()));
    }

    #[test]
    fn chains_of_any_length_stay_within_the_line() {
        let names: Vec<String> = (0..60).map(|i| format!("generation-{i}")).collect();
        let edges: Vec<_> = names
            .windows(2)
            .map(|pair| (pair[1].as_str(), pair[0].as_str(), Relation::FineTune, true))
            .collect();
        let drawn = tree(
            &graph(&edges),
            of("generation-0"),
            Direction::Descendants,
            &BTreeMap::new(),
            Charset::Unicode,
        );
        assert_eq!(drawn.lines().count(), 60);
        assert!(drawn.lines().all(|line| layout::width(line) <= 80), "{drawn}");
        assert!(drawn.contains("…[level 59] └─ fine-tune  generation-59"));
    }
}
