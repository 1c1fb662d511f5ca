//! Blocks and sections: how parts make a page.

use std::fmt;

use askama::Template;
use askama::filters::HtmlSafe;

use super::{Badge, Button, Clock, Empty, Facts, Filters, Form, Link, Table, Tone, When};
use crate::ui::{Chart, Html};

/// Something to know about the page.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(
    ext = "html",
    source = r#"<div class="notice {{ tone.class() }}"{% if tone == Tone::Bad %} role="alert"{% endif %}><p><strong>{{ what }}</strong>{% if !why.is_empty() %} {{ why }}{% endif %}</p></div>"#
)]
pub struct Notice {
    /// How urgent it is.
    pub tone: Tone,
    /// In a few words.
    pub what: String,
    /// The rest.
    pub why: String,
}

impl HtmlSafe for Notice {}

impl Notice {
    /// A notice.
    pub fn new(tone: Tone, what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { tone, what: what.into(), why: why.into() }
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelineItem {
    /// When.
    pub when: When,
    /// Who.
    pub who: String,
    /// What.
    pub what: String,
    /// More about it.
    pub more: Option<Html>,
    /// A small mark.
    pub badge: Option<Badge>,
}

/// What happened, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Template)]
#[template(
    ext = "html",
    source = r#"<ol class="timeline">{% for item in items %}<li><p class="timeline-when">{{ item.when }}</p><div class="timeline-what"><p>{% if let Some(badge) = item.badge %}{{ badge }} {% endif %}{{ item.what }}{% if !item.who.is_empty() %} <span class="muted">· {{ item.who }}</span>{% endif %}</p>{% if let Some(more) = item.more %}<div class="prose">{{ more }}</div>{% endif %}</div></li>{% endfor %}</ol>"#
)]
pub struct Timeline {
    /// The items.
    pub items: Vec<TimelineItem>,
}

impl HtmlSafe for Timeline {}

/// A message inside a case.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(
    ext = "html",
    source = r#"<article class="message{% if mine %} mine{% endif %}"><header><span class="who">{{ who }}</span> <span class="muted">{{ role }}</span> {{ when }}</header><div class="prose">{{ body }}</div></article>"#
)]
pub struct Message {
    /// Who wrote it.
    pub who: String,
    /// As what.
    pub role: String,
    /// When.
    pub when: When,
    /// What.
    pub body: Html,
    /// Whether the reader's organisation wrote it.
    pub mine: bool,
}

impl HtmlSafe for Message {}

/// Where a step of a process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepState {
    /// Behind.
    Done,
    /// Here.
    Now,
    /// Ahead.
    Ahead,
}

/// One step of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// When it was reached.
    pub when: Option<When>,
    /// Where it stands.
    pub state: StepState,
}

/// The steps of a process, and where it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Template)]
#[template(
    ext = "html",
    source = r#"<ol class="steps">{% for step in steps %}<li class="{{ step.state.class() }}"{% if step.state == StepState::Now %} aria-current="step"{% endif %}><span class="step-name">{{ step.name }}</span><span class="unseen"> ({{ step.state.word() }})</span>{% if let Some(when) = step.when %}<span class="step-when">{{ when }}</span>{% endif %}</li>{% endfor %}</ol>"#
)]
pub struct Steps {
    /// The steps, in order.
    pub steps: Vec<Step>,
}

impl HtmlSafe for Steps {}

impl StepState {
    const fn class(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Now => "now",
            Self::Ahead => "ahead",
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Now => "current",
            Self::Ahead => "not yet",
        }
    }
}

/// A number with a name, leading to what was counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tile {
    /// The number.
    pub number: String,
    /// What was counted.
    pub label: String,
    /// Where it leads.
    pub href: Option<String>,
    /// How urgent it is.
    pub tone: Tone,
}

/// Something that is shown once: a token, a link of invitation.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(
    ext = "html",
    source = r#"<div class="secret"><p><strong>{{ what }}</strong> {{ why }}</p><p class="secret-value"><code>{{ value }}</code></p></div>"#
)]
pub struct Secret {
    /// What it is.
    pub what: String,
    /// What to do with it.
    pub why: String,
    /// The secret itself.
    pub value: String,
}

impl HtmlSafe for Secret {}

/// Older, newer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Template)]
#[template(
    ext = "html",
    source = r#"{% if newer.is_some() || older.is_some() %}<nav class="pager" aria-label="Pages">{% if let Some(href) = newer %}<a href="{{ href }}" rel="prev">← First page</a>{% endif %}{% if let Some(href) = older %}<a href="{{ href }}" rel="next">More →</a>{% endif %}</nav>{% endif %}"#
)]
pub struct Pager {
    /// The first page, unless this is it.
    pub newer: Option<String>,
    /// The next page.
    pub older: Option<String>,
}

impl HtmlSafe for Pager {}

/// A share of a whole with its interval, beside its name.
#[derive(Debug, Clone, PartialEq)]
pub struct Proportion {
    /// What it is the share of.
    pub name: String,
    /// How many.
    pub hits: u64,
    /// Of how many.
    pub of: u64,
    /// The lower end of the 95 % interval, 0 to 1.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// A form that only the script can send: signing in with a passkey, or adding one.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "part/passkey.html")]
pub struct Passkey {
    /// A new one is added.
    pub register: bool,
    /// The session's token against forged requests.
    pub csrf: String,
    /// Where to go on.
    pub next: String,
}

impl HtmlSafe for Passkey {}

/// One block of a section.
#[derive(Debug, Clone, PartialEq)]
pub enum Block {
    /// Markdown, made harmless.
    Prose(Html),
    /// A paragraph.
    Text(String),
    /// Quoted as it is.
    Code(String),
    /// Names and values.
    Facts(Facts),
    /// A table.
    Table(Table),
    /// Filters.
    Filters(Filters),
    /// To other pages of a list.
    Pager(Pager),
    /// A form.
    Form(Form),
    /// A chart, with its table.
    Chart(Chart),
    /// What happened.
    Timeline(Timeline),
    /// Clocks.
    Clocks(Vec<Clock>),
    /// A notice.
    Notice(Notice),
    /// Nothing, said kindly.
    Empty(Empty),
    /// Shown once.
    Secret(Secret),
    /// A list of links.
    Links(Vec<Link>),
    /// Messages.
    Messages(Vec<Message>),
    /// Steps of a process.
    Steps(Steps),
    /// Numbers.
    Tiles(Vec<Tile>),
    /// Marks.
    Badges(Vec<Badge>),
    /// A list of sentences.
    Bullets(Vec<String>),
    /// Links and buttons side by side.
    Actions(Vec<Action>),
    /// Signing in with a passkey, or adding one.
    Passkey(Passkey),
    /// Between two ways of doing the same.
    Or(&'static str),
}

#[derive(Template)]
#[template(path = "part/block.html")]
struct BlockPart<'a> {
    block: &'a Block,
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        BlockPart { block: self }.fmt(f)
    }
}

impl HtmlSafe for Block {}

/// A part of a page with a heading.
#[derive(Debug, Clone, Default, PartialEq, Template)]
#[template(path = "part/section.html")]
pub struct Section {
    /// For links to it; empty: none.
    pub id: String,
    /// The heading; empty: none.
    pub heading: String,
    /// A sentence under the heading.
    pub note: String,
    /// A link beside the heading.
    pub link: Option<Link>,
    /// What is in it.
    pub blocks: Vec<Block>,
    /// In a frame.
    pub framed: bool,
}

impl HtmlSafe for Section {}

impl Section {
    /// A section.
    pub fn new(id: impl Into<String>, heading: impl Into<String>, blocks: Vec<Block>) -> Self {
        Self { id: id.into(), heading: heading.into(), blocks, ..Self::default() }
    }

    /// Without a heading.
    pub fn bare(blocks: Vec<Block>) -> Self {
        Self { blocks, ..Self::default() }
    }

    /// With a sentence under the heading.
    #[must_use]
    pub fn noted(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// With a link beside the heading.
    #[must_use]
    pub fn linked(mut self, link: Link) -> Self {
        self.link = Some(link);
        self
    }

    /// In a frame.
    #[must_use]
    pub fn framed(mut self) -> Self {
        self.framed = true;
        self
    }
}

/// Something to do: a link or a button.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Leads somewhere; `true`: what the page is for.
    Go(Link, bool),
    /// Does something.
    Do(Button),
}

/// The head of a page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Template)]
#[template(path = "part/head.html")]
pub struct Head {
    /// Where this page stands.
    pub crumbs: Vec<Link>,
    /// The title, which is the page's one first-level heading.
    pub title: String,
    /// Marks.
    pub badges: Vec<Badge>,
    /// A sentence.
    pub lead: String,
    /// What can be done.
    pub actions: Vec<Action>,
}

impl HtmlSafe for Head {}

impl Head {
    /// A title and a sentence.
    pub fn new(title: impl Into<String>, lead: impl Into<String>) -> Self {
        Self { title: title.into(), lead: lead.into(), ..Self::default() }
    }

    /// Under this page.
    #[must_use]
    pub fn under(mut self, text: impl Into<String>, href: impl Into<String>) -> Self {
        self.crumbs.push(Link::to(text, href));
        self
    }

    /// With a mark.
    #[must_use]
    pub fn badge(mut self, badge: Badge) -> Self {
        self.badges.push(badge);
        self
    }

    /// With a link.
    #[must_use]
    pub fn link(mut self, text: impl Into<String>, href: impl Into<String>) -> Self {
        self.actions.push(Action::Go(Link::to(text, href), false));
        self
    }

    /// With a link to what the page is for.
    #[must_use]
    pub fn primary(mut self, text: impl Into<String>, href: impl Into<String>) -> Self {
        self.actions.push(Action::Go(Link::to(text, href), true));
        self
    }
}
