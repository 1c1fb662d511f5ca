//! A graph as a picture: self-contained, for light and dark, readable without seeing it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ostrom_core::Digest;

use super::graph::{Direction, Graph};
use super::layout::{self, Layout, Mark, Row};
use crate::examination::escape;

const ROW: usize = 46;
const BOX: usize = 36;
const INDENT: usize = 28;
const BOX_WIDTH: usize = 560;
const MARGIN: usize = 16;
/// Deeper levels are drawn at this one, and told by number.
const MAX_LEVEL: usize = 24;
/// Columns of a name that surely fit into a box.
const NAME: usize = 40;

const STYLE: &str = "\
svg{color-scheme:light dark}\
.page{fill:#fff}.box{fill:#f6f8fa;stroke:#57606a}.edge{fill:none;stroke:#57606a}\
.unverified{stroke-dasharray:4 3}.bad{stroke:#a40e26;stroke-width:2}\
text{font-family:system-ui,sans-serif;font-size:13px;fill:#1f2328}\
.small{font-size:11px;fill:#4d555d}.mark{font-weight:bold;fill:#a40e26}\
@media(prefers-color-scheme:dark){.page{fill:#0d1117}.box{fill:#161b22;stroke:#8b949e}.edge{stroke:#8b949e}\
.bad{stroke:#ff7b72}text{fill:#e6edf3}.small{fill:#b1bac4}.mark{fill:#ff7b72}}";

fn text(raw: &str) -> String {
    let mut out = String::new();
    for c in raw.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Not allowed in XML at all.
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

fn name(graph: &Graph, digest: Digest) -> String {
    text(&layout::fit(&escape(graph.name(digest).unwrap_or("(no name)"), 200), NAME, "…"))
}

/// What hangs from `root`, as an SVG document. The same graph gives the same bytes.
pub fn svg(graph: &Graph, root: Digest, direction: Direction, marks: &BTreeMap<Digest, Mark>) -> String {
    let Layout { rows, cut } = layout::rows(graph, root, direction);
    let deepest = rows.iter().map(|row| row.level.min(MAX_LEVEL)).max().unwrap_or(0);
    let width = 2 * MARGIN + deepest * INDENT + BOX_WIDTH;
    let height = 2 * MARGIN + (rows.len() + usize::from(cut)) * ROW;
    let what = match direction {
        Direction::Descendants => "What comes from",
        Direction::Ancestors => "What went into",
    };
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         role=\"img\" aria-labelledby=\"title desc\">\n<title id=\"title\">{what} {}</title>\n<desc id=\"desc\">{}</desc>\n\
         <style>{STYLE}</style>\n<rect class=\"page\" width=\"{width}\" height=\"{height}\"/>\n",
        name(graph, root),
        description(graph, &rows, marks),
    );
    for (index, row) in rows.iter().enumerate() {
        edge(&mut out, &rows, index, row);
    }
    for (index, row) in rows.iter().enumerate() {
        node(&mut out, graph, index, row, marks.get(&row.digest).copied());
    }
    if cut {
        let y = MARGIN + rows.len() * ROW + 22;
        let _ = writeln!(out, "<text x=\"{MARGIN}\" y=\"{y}\">More is not drawn.</text>");
    }
    out.push_str("</svg>\n");
    out
}

/// The picture in words: how much there is, and what is marked.
fn description(graph: &Graph, rows: &[Row<'_>], marks: &BTreeMap<Digest, Mark>) -> String {
    let artifacts: std::collections::BTreeSet<Digest> = rows.iter().map(|row| row.digest).collect();
    let mut out = format!("A tree of {} artifacts, from top to bottom.", artifacts.len());
    for digest in &artifacts {
        if let Some(mark) = marks.get(digest) {
            let _ = write!(out, " {} is {}.", name(graph, *digest), mark.name().to_lowercase());
        }
    }
    out
}

fn left(row: &Row<'_>) -> usize {
    MARGIN + row.level.min(MAX_LEVEL) * INDENT
}

fn edge(out: &mut String, rows: &[Row<'_>], index: usize, row: &Row<'_>) {
    let (Some(edge), Some((above, parent))) = (row.edge, row.above.and_then(|at| Some((at, rows.get(at)?))))
    else {
        return;
    };
    let x = left(parent) + 12;
    let from = MARGIN + above * ROW + BOX;
    let to = MARGIN + index * ROW + BOX / 2;
    let class = if edge.trusted { "edge" } else { "edge unverified" };
    let _ = writeln!(out, "<path class=\"{class}\" d=\"M{x} {from}V{to}H{}\"/>", left(row).max(x));
}

fn node(out: &mut String, graph: &Graph, index: usize, row: &Row<'_>, mark: Option<Mark>) {
    let (x, y) = (left(row), MARGIN + index * ROW);
    let class = match mark {
        Some(Mark::Revoked | Mark::Affected) => "box bad",
        Some(Mark::Suspected) => "box bad unverified",
        None => "box",
    };
    let mut small = row.digest.short();
    if let Some(edge) = row.edge {
        let _ = write!(small, " · {} · {}", edge.relation.name(), edge.basis.name());
        if !edge.trusted {
            small.push_str(" · unverified");
        }
    }
    if row.repeated {
        small.push_str(" · drawn above");
    }
    if row.level > MAX_LEVEL {
        let _ = write!(small, " · level {}", row.level);
    }
    let _ = write!(
        out,
        "<g><rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{BOX_WIDTH}\" height=\"{BOX}\" rx=\"5\"/>\
         <text x=\"{}\" y=\"{}\">{}</text><text class=\"small\" x=\"{}\" y=\"{}\">{small}</text>",
        x + 10,
        y + 15,
        name(graph, row.digest),
        x + 10,
        y + 30,
    );
    if let Some(mark) = mark {
        let (x, y) = (x + BOX_WIDTH - 10, y + 23);
        let _ = write!(
            out,
            "<text class=\"mark\" x=\"{x}\" y=\"{y}\" text-anchor=\"end\">{}</text>",
            mark.name()
        );
    }
    out.push_str("</g>\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lineage::Relation;
    use crate::lineage::graph::tests::{graph, of};

    #[test]
    fn a_picture_is_labelled_and_the_same_each_time() {
        let graph = graph(&[
            ("base", "corpus", Relation::TrainedOn, true),
            ("chat", "base", Relation::FineTune, false),
        ]);
        let marks = BTreeMap::from([(of("corpus"), Mark::Revoked)]);
        let drawn = svg(&graph, of("corpus"), Direction::Descendants, &marks);
        assert_eq!(drawn, svg(&graph, of("corpus"), Direction::Descendants, &marks));
        for part in [
            "role=\"img\"",
            "<title id=\"title\">What comes from corpus</title>",
            "A tree of 3 artifacts, from top to bottom. corpus is revoked.",
            "prefers-color-scheme:dark",
            ">REVOKED</text>",
            "fine-tune · claim · unverified",
        ] {
            assert!(drawn.contains(part), "{part}\n{drawn}");
        }
        assert_eq!(drawn.matches("<path").count(), 2);
    }

    #[test]
    fn names_stay_text() {
        let graph = graph(&[("<script>alert('x')</script>&\"", "\u{202e}a\u{0}b", Relation::Copy, true)]);
        let drawn = svg(&graph, of("\u{202e}a\u{0}b"), Direction::Descendants, &BTreeMap::new());
        assert!(!drawn.contains("<script") && drawn.contains("&lt;script&gt;alert(&#39;x&#39;)"));
        assert!(drawn.contains("\\u{202e}a\\u{0}b"));
        assert_eq!(drawn.matches('<').count(), drawn.matches('>').count());
    }
}
