//! Tables, facts, links.

use askama::Template;
use askama::filters::HtmlSafe;

use super::{Badge, When};

/// A link inside this node, or out of it if [`Link::external`] found the address harmless.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(
    ext = "html",
    source = r#"{% if let Some(href) = href %}<a href="{{ href }}"{% if outside %} rel="nofollow noopener noreferrer"{% endif %}{% if current %} aria-current="page"{% endif %}>{{ text }}</a>{% else %}{{ text }}{% endif %}"#
)]
pub struct Link {
    /// What it says.
    pub text: String,
    /// Where it leads; `None`: only text.
    pub href: Option<String>,
    outside: bool,
    /// It leads to this page.
    pub current: bool,
}

impl HtmlSafe for Link {}

impl Link {
    /// To a page of this node.
    pub fn to(text: impl Into<String>, href: impl Into<String>) -> Self {
        Self { text: text.into(), href: Some(href.into()), outside: false, current: false }
    }

    /// To somewhere else. An address that is not harmless stays text.
    pub fn external(text: impl Into<String>, url: &str) -> Self {
        let href = crate::ui::harmless_url(url).map(str::to_owned);
        Self { text: text.into(), href, outside: true, current: false }
    }

    /// Only text.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), href: None, outside: false, current: false }
    }

    /// This page itself, if so.
    #[must_use]
    pub fn current(mut self, current: bool) -> Self {
        self.current = current;
        self
    }
}

/// The longest word, in characters, that is not broken in a column: names may be longer, what the node says is not.
const WORD: usize = 15;

/// What stands in a cell, or beside a fact's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// Text.
    Text(String),
    /// Muted text.
    Muted(String),
    /// A number, to the right.
    Number(String),
    /// Something to compare letter by letter: ids, digests.
    Code(String),
    /// A link.
    Link(Link),
    /// A title with a line under it.
    Title(Link, String),
    /// Marks.
    Badges(Vec<Badge>),
    /// A time.
    When(When),
    /// Several links.
    Links(Vec<Link>),
    /// A button that posts.
    Button(super::Button),
    /// Several buttons.
    Buttons(Vec<super::Button>),
    /// Nothing.
    None,
}

impl Cell {
    /// Text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A link inside this node.
    pub fn link(text: impl Into<String>, href: impl Into<String>) -> Self {
        Self::Link(Link::to(text, href))
    }

    fn class(&self) -> &'static str {
        match self {
            Self::Text(text) if text.split_whitespace().all(|word| word.chars().count() <= WORD) => "words",
            Self::Number(_) => "number",
            Self::Muted(_) => "muted",
            Self::Code(_) => "code",
            Self::Badges(_) => "badges",
            Self::When(_) => "when",
            Self::Title(..) => "title",
            Self::Button(_) | Self::Buttons(_) => "buttons",
            _ => "",
        }
    }
}

#[derive(Template)]
#[template(path = "part/cell.html")]
struct CellPart<'a> {
    cell: &'a Cell,
}

impl std::fmt::Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        CellPart { cell: self }.fmt(f)
    }
}

impl HtmlSafe for Cell {}

/// A table. The first cell of every row heads it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Template)]
#[template(path = "part/table.html")]
pub struct Table {
    /// What it shows; for screen readers only, unless `caption_shown`.
    pub caption: String,
    /// Whether the caption is visible.
    pub caption_shown: bool,
    /// The columns' names.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<Cell>>,
    /// What stands there if there are no rows.
    pub empty: Empty,
}

impl HtmlSafe for Table {}

impl Table {
    /// A table with these columns.
    pub fn new(caption: impl Into<String>, columns: &[&str]) -> Self {
        Self {
            caption: caption.into(),
            columns: columns.iter().map(|&name| name.to_owned()).collect(),
            empty: Empty::new("Nothing here yet", ""),
            ..Self::default()
        }
    }

    /// With one more row.
    #[must_use]
    pub fn row(mut self, cells: Vec<Cell>) -> Self {
        self.rows.push(cells);
        self
    }

    /// With these rows.
    #[must_use]
    pub fn rows(mut self, rows: impl IntoIterator<Item = Vec<Cell>>) -> Self {
        self.rows.extend(rows);
        self
    }

    /// The name of a column, for narrow screens.
    fn column(&self, at: impl std::borrow::Borrow<usize>) -> Option<&str> {
        self.columns.get(*at.borrow()).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// With this to say if there are no rows.
    #[must_use]
    pub fn or_else(mut self, empty: Empty) -> Self {
        self.empty = empty;
        self
    }
}

/// What stands where there is nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Template)]
#[template(
    ext = "html",
    source = r#"<div class="empty"><p class="empty-what">{{ what }}</p>{% if !why.is_empty() %}<p>{{ why }}</p>{% endif %}{% if let Some(link) = link %}<p>{{ link }}</p>{% endif %}</div>"#
)]
pub struct Empty {
    /// In a few words.
    pub what: String,
    /// Why, or what to do.
    pub why: String,
    /// Where to go on.
    pub link: Option<Link>,
}

impl HtmlSafe for Empty {}

impl Empty {
    /// What, and why.
    pub fn new(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { what: what.into(), why: why.into(), link: None }
    }
}

/// Names and values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Template)]
#[template(
    ext = "html",
    source = r#"<dl class="facts">{% for (name, cell) in rows %}<div><dt>{{ name }}</dt><dd class="{{ cell.class() }}">{{ cell }}</dd></div>{% endfor %}</dl>"#
)]
pub struct Facts {
    rows: Vec<(String, Cell)>,
}

impl HtmlSafe for Facts {}

impl Facts {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more.
    #[must_use]
    pub fn fact(mut self, name: impl Into<String>, cell: Cell) -> Self {
        self.rows.push((name.into(), cell));
        self
    }

    /// With one more, if there is a text.
    #[must_use]
    pub fn maybe(self, name: impl Into<String>, text: Option<&str>) -> Self {
        match text.filter(|text| !text.trim().is_empty()) {
            Some(text) => self.fact(name, Cell::text(text)),
            None => self,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}
