//! Markdown that strangers wrote, as HTML that can do nothing.
//!
//! *Invariant:* the output holds only the elements and attributes that this module writes by name. Nothing of the input reaches it but as
//! escaped text, or as the address of a link that [`harmless_url`] took. Images, raw HTML, and links to anything else become text.

use pulldown_cmark::{Alignment, CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::Html;
use super::html::{escape, harmless_url};

/// The longest text that is rendered, in bytes; what is beyond is left out, with a note.
pub const LONGEST: usize = 100_000;
/// The deepest nesting that is rendered; what is deeper stays text in its parent.
const DEEPEST: usize = 16;
/// The most events: bounds the work and the size of the output.
const MOST_EVENTS: usize = 100_000;
/// The most bytes of output, since a short reference can stand for a long address many times.
const MOST_OUTPUT: usize = 4 * LONGEST;

/// Renders `text`. Headings begin at the third level, under the page's own.
pub fn render(text: &str) -> Html {
    let (text, cut) = shorten(text);
    let mut out = String::with_capacity(text.len().saturating_add(text.len() / 4));
    let mut open: Vec<Option<&'static str>> = Vec::new();
    let mut state = State::default();
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    let mut cut = cut;
    for (count, event) in Parser::new_ext(text, options).enumerate() {
        if count > MOST_EVENTS || out.len() > MOST_OUTPUT {
            cut = true;
            break;
        }
        match event {
            Event::Start(tag) => {
                let deep = open.iter().filter(|end| end.is_some()).count() >= DEEPEST;
                open.push(if deep { None } else { state.start(&mut out, &tag) });
            }
            Event::End(end) => {
                if let Some(Some(close)) = open.pop() {
                    out.push_str(close);
                }
                state.end(&mut out, end);
            }
            Event::Text(text) | Event::Html(text) | Event::InlineHtml(text) => escape(&mut out, &text),
            Event::Code(text) | Event::InlineMath(text) | Event::DisplayMath(text) => {
                out.push_str("<code>");
                escape(&mut out, &text);
                out.push_str("</code>");
            }
            Event::SoftBreak => out.push('\n'),
            Event::HardBreak => out.push_str("<br>"),
            Event::Rule => out.push_str("<hr>"),
            Event::TaskListMarker(done) => out.push_str(if done { "[x] " } else { "[ ] " }),
            Event::FootnoteReference(name) => escape(&mut out, &name),
        }
    }
    while let Some(end) = open.pop() {
        out.push_str(end.unwrap_or_default());
    }
    if cut {
        out.push_str(
            "<p class=\"muted\">The rest is too long to be shown here; exports carry all of it.</p>",
        );
    }
    Html::trusted(out)
}

/// Plain text: paragraphs where there are empty lines, and nothing else.
pub fn plain(text: &str) -> Html {
    let (text, _) = shorten(text);
    let mut out = String::with_capacity(text.len());
    for paragraph in text.split("\n\n").map(str::trim).filter(|paragraph| !paragraph.is_empty()) {
        out.push_str("<p>");
        escape(&mut out, paragraph);
        out.push_str("</p>");
    }
    Html::trusted(out)
}

/// The first `most` characters of the text without its markup, for lists.
pub fn summary(text: &str, most: usize) -> String {
    let (text, _) = shorten(text);
    let mut out = String::new();
    let mut length = 0_usize;
    for event in Parser::new_ext(text, Options::empty()).take(2_000) {
        match event {
            Event::Text(text) | Event::Code(text) => {
                for c in text.chars() {
                    if length >= most {
                        out.push('…');
                        return out;
                    }
                    out.push(c);
                    length = length.saturating_add(1);
                }
            }
            Event::SoftBreak
            | Event::HardBreak
            | Event::End(TagEnd::Paragraph | TagEnd::Heading(_) | TagEnd::Item)
                if !out.is_empty() && !out.ends_with(' ') =>
            {
                out.push(' ');
                length = length.saturating_add(1);
            }
            _ => {}
        }
    }
    out.trim_end().to_owned()
}

fn shorten(text: &str) -> (&str, bool) {
    if text.len() <= LONGEST {
        return (text, false);
    }
    let at = (0..=LONGEST).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    (text.get(..at).unwrap_or_default(), true)
}

#[derive(Default)]
struct State {
    in_head: bool,
    columns: Vec<Alignment>,
}

impl State {
    /// Writes what opens a tag, and gives what closes it; `None`: neither.
    fn start(&mut self, out: &mut String, tag: &Tag<'_>) -> Option<&'static str> {
        let (open, close) = match tag {
            Tag::Paragraph => ("<p>", "</p>"),
            Tag::Heading { level, .. } => match level {
                HeadingLevel::H1 | HeadingLevel::H2 => ("<h3>", "</h3>"),
                HeadingLevel::H3 => ("<h4>", "</h4>"),
                _ => ("<h5>", "</h5>"),
            },
            Tag::BlockQuote(_) => ("<blockquote>", "</blockquote>"),
            Tag::CodeBlock(CodeBlockKind::Fenced(_) | CodeBlockKind::Indented) => {
                ("<pre tabindex=\"0\"><code>", "</code></pre>")
            }
            Tag::List(None) => ("<ul>", "</ul>"),
            Tag::List(Some(_)) => ("<ol>", "</ol>"),
            Tag::Item => ("<li>", "</li>"),
            Tag::Emphasis => ("<em>", "</em>"),
            Tag::Strong => ("<strong>", "</strong>"),
            Tag::Strikethrough => ("<del>", "</del>"),
            Tag::Table(columns) => {
                self.columns.clone_from(columns);
                (
                    "<div class=\"table-wrap\" role=\"group\" aria-label=\"Table in the text\" tabindex=\"0\"><table>",
                    "</table></div>",
                )
            }
            Tag::TableHead => {
                self.in_head = true;
                ("<thead><tr>", "</tr></thead>")
            }
            Tag::TableRow => ("<tr>", "</tr>"),
            Tag::TableCell if self.in_head => ("<th scope=\"col\">", "</th>"),
            Tag::TableCell => ("<td>", "</td>"),
            Tag::Link { dest_url, .. } => {
                let url = harmless_url(dest_url)?;
                out.push_str("<a href=\"");
                escape(out, url);
                out.push_str("\" rel=\"nofollow noopener noreferrer\">");
                return Some("</a>");
            }
            // The text that stands for the image is all that is shown of it: a picture from elsewhere would tell its
            // server who reads this.
            Tag::Image { .. } => ("<span class=\"muted\">[image: ", "]</span>"),
            _ => return None,
        };
        out.push_str(open);
        Some(close)
    }

    fn end(&mut self, _out: &mut String, end: TagEnd) {
        if end == TagEnd::TableHead {
            self.in_head = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Walks the output as a strict reader: every tag must be one that this module writes, with the attributes that it writes.
    fn assert_harmless(html: &str) {
        const OPEN: &[&str] = &[
            "p",
            "h3",
            "h4",
            "h5",
            "blockquote",
            "pre tabindex=\"0\"",
            "code",
            "ul",
            "ol",
            "li",
            "em",
            "strong",
            "del",
            "table",
            "thead",
            "tr",
            "th scope=\"col\"",
            "td",
            "br",
            "hr",
            "span class=\"muted\"",
            "p class=\"muted\"",
            "div class=\"table-wrap\" role=\"group\" aria-label=\"Table in the text\" tabindex=\"0\"",
        ];
        const CLOSE: &[&str] = &[
            "p",
            "h3",
            "h4",
            "h5",
            "blockquote",
            "pre",
            "code",
            "ul",
            "ol",
            "li",
            "em",
            "strong",
            "del",
            "table",
            "thead",
            "tr",
            "th",
            "td",
            "span",
            "div",
            "a",
        ];
        let mut rest = html;
        let mut depth = Vec::new();
        while let Some(at) = rest.find('<') {
            let after = rest.get(at + 1..).expect(html);
            let end = after.find('>').unwrap_or_else(|| panic!("unclosed tag in {html}"));
            let tag = after.get(..end).expect(html);
            if let Some(name) = tag.strip_prefix('/') {
                assert!(CLOSE.contains(&name), "</{name}> in {html}");
                assert_eq!(depth.pop(), Some(name.to_owned()), "{html}");
            } else if let Some(href) = tag.strip_prefix("a href=\"") {
                let url = href.strip_suffix("\" rel=\"nofollow noopener noreferrer\"").expect(html);
                assert!(!url.contains('"') && !url.contains(char::is_whitespace), "{html}");
                let lower = url.to_ascii_lowercase();
                assert!(
                    ["http://", "https://", "mailto:"].iter().any(|s| lower.starts_with(s)),
                    "{url} in {html}"
                );
                depth.push("a".to_owned());
            } else {
                assert!(OPEN.contains(&tag), "<{tag}> in {html}");
                if tag != "br" && tag != "hr" {
                    depth.push(tag.split(' ').next().unwrap_or_default().to_owned());
                }
            }
            rest = after.get(end + 1..).expect(html);
        }
        assert!(depth.is_empty(), "{depth:?} stays open in {html}");
    }

    #[test]
    fn what_could_run_stays_text() {
        for vector in [
            "<script>alert(1)</script>",
            "<img src=x onerror=alert(1)>",
            "[x](javascript:alert(1))",
            "[x](JaVaScRiPt:alert(1))",
            "[x](java\nscript:alert(1))",
            "[x](&#106;avascript:alert(1))",
            "[x](data:text/html;base64,PHNjcmlwdD4=)",
            "[x](vbscript:x)",
            "<javascript:alert(1)>",
            "![x](https://evil.example/pixel.png)",
            "![x](\"onerror=alert(1))",
            "[x](https://a.example/\"onmouseover=alert(1))",
            "[x](https://a.example 'a\"onmouseover=alert(1) b')",
            "<svg/onload=alert(1)>",
            "<iframe srcdoc='<script>1</script>'>",
            "```\"><script>alert(1)</script>\ncode\n```",
            "<!--><script>alert(1)</script-->",
            "<style>@import 'https://evil.example'</style>",
            "| <img src=x onerror=1> |\n|---|\n| <b onclick=1> |",
            "<a href=\"javascript:alert(1)\">x</a>",
            "</div></main><script>alert(1)</script>",
            "[a]: javascript:alert(1)\n[a]",
            "\u{202e}gnp.exe",
        ] {
            let html = render(vector).to_string();
            assert_harmless(&html);
            assert!(
                !html.contains("<script") && !html.contains("<img") && !html.contains('\u{202e}'),
                "{html}"
            );
            assert_harmless(plain(vector).as_str());
        }
    }

    #[test]
    fn what_people_write_looks_as_they_mean_it() {
        let html = render(
            "# Title\n\nSome *weight* and `code` and [a link](https://a.example/x?y=1&z=2).\n\n- one\n- two",
        )
        .to_string();
        assert_eq!(
            html,
            "<h3>Title</h3><p>Some <em>weight</em> and <code>code</code> and <a href=\"https://a.example/x?y=1&amp;z=2\" \
             rel=\"nofollow noopener noreferrer\">a link</a>.</p><ul><li>one</li><li>two</li></ul>"
        );
        assert!(render("a | b\n--|--\n1 | 2").to_string().contains("<th scope=\"col\">a</th>"));
        assert_eq!(summary("# One\n\nTwo *three* four", 11), "One Two thr…");
    }

    #[test]
    fn depth_and_length_are_bounded() {
        let deep = render(&"> ".repeat(5_000)).to_string();
        assert_harmless(&deep);
        let long = render(&"word ".repeat(LONGEST)).to_string();
        assert!(long.len() < LONGEST * 2 && long.contains("too long"));
        let address = format!("[a]: https://a.example/{}\n\n{}", "x".repeat(1_500), "[a] ".repeat(20_000));
        assert!(render(&address).as_str().len() < MOST_OUTPUT + 10_000);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        #[test]
        fn no_text_becomes_anything_that_runs(text in "\\PC{0,300}") {
            assert_harmless(render(&text).as_str());
            assert_harmless(plain(&text).as_str());
            prop_assert!(!summary(&text, 80).contains('\n'));
        }

        #[test]
        fn no_markup_becomes_anything_that_runs(
            parts in proptest::collection::vec(proptest::sample::select(vec![
                "<", ">", "\"", "'", "&", "[", "]", "(", ")", "!", "`", "```", "\n", "\n\n", "> ", "- ", "1. ", "# ", "|", "---", "*",
                "javascript:", "data:", "https://a.example/", "mailto:", "script", "img", " onerror=", "&#x6a;", "\\", "\t", "a", "<!--",
                "-->", "<![CDATA[", "]]>", "<?", "[x]: ", "~~", "    ",
            ]), 0..60)
        ) {
            assert_harmless(render(&parts.concat()).as_str());
        }
    }
}
