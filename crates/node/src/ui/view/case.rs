//! Cases of coordinated disclosure.

use super::{Chrome, Page};
use crate::ui::part::{
    Action, Badge, Block, Cell, Choice, Clock, Control, Empty, Facts, Field, Filters, Form, Head, Link,
    Message, Notice, Pager, Section, Steps, Table, Timeline, When,
};

/// A row of the list of cases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseRow {
    /// Its page.
    pub href: String,
    /// Its number or short name, and its title.
    pub title: String,
    /// One line.
    pub sub: String,
    /// Its state.
    pub state: Badge,
    /// The viewer's part in it.
    pub part: String,
    /// What runs out next.
    pub next: Option<(String, When)>,
    /// When something last happened.
    pub changed: When,
}

/// The list of cases.
#[derive(Debug, Clone, PartialEq)]
pub struct CasesView {
    /// The rows.
    pub rows: Vec<CaseRow>,
    /// The states to filter by: value, name.
    pub states: Vec<(String, String)>,
    /// The one that is chosen.
    pub state: String,
    /// To other pages.
    pub pager: Pager,
    /// Whether the viewer may open one.
    pub may_open: bool,
}

impl CasesView {
    /// The page.
    pub fn page(self, mut chrome: Chrome) -> Page {
        chrome.place = "/cases";
        let mut head = Head::new(
            "Cases",
            "Coordinated disclosure: who was told what, when, and until when everybody keeps it to themselves.",
        );
        if self.may_open {
            head = head.primary("Open a case", "/cases/new");
        }
        let mut choices = vec![Choice::new("", "All states")];
        choices.extend(
            self.states.iter().map(|(value, name)| Choice::new(value, name).chosen(*value == self.state)),
        );
        let filters = Filters {
            action: "/cases".to_owned(),
            fields: vec![Field::new("state", "State", Control::Select(choices))],
            clear: (!self.state.is_empty()).then(|| "/cases".to_owned()),
            label: "Filter cases".to_owned(),
        };
        let table = Table::new("Cases", &["Case", "State", "Your part", "Next", "Changed"])
            .rows(self.rows.into_iter().map(|row| {
                vec![
                    Cell::Title(Link::to(row.title, row.href), row.sub),
                    Cell::Badges(vec![row.state]),
                    Cell::text(row.part),
                    row.next
                        .map_or(Cell::None, |(what, when)| Cell::text(format!("{what} {}", when.shown()))),
                    Cell::When(row.changed),
                ]
            }))
            .or_else(Empty::new(
                "No case that you are a party to",
                "A case begins with a report to a vendor, or with one that you receive.",
            ));
        let section =
            Section::bare(vec![Block::Filters(filters), Block::Table(table), Block::Pager(self.pager)]);
        Page::new(chrome, head, vec![section])
    }
}

/// A party to a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartyRow {
    /// Its name.
    pub who: String,
    /// Reporter, coordinator, vendor, other vendor.
    pub part: String,
    /// When it was told.
    pub notified: Option<When>,
    /// When it said that it had received it.
    pub acknowledged: Option<When>,
    /// Until when it keeps quiet.
    pub embargo: Option<When>,
}

/// A case.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseView {
    /// Its title.
    pub title: String,
    /// Its page.
    pub href: String,
    /// Its state.
    pub state: Badge,
    /// What somebody should know first.
    pub notice: Option<Notice>,
    /// Where it stands.
    pub steps: Steps,
    /// What it is about.
    pub about: Vec<Link>,
    /// A few facts.
    pub facts: Facts,
    /// The parties.
    pub parties: Vec<PartyRow>,
    /// The clocks.
    pub clocks: Vec<Clock>,
    /// The messages, oldest first.
    pub messages: Vec<Message>,
    /// A form for a message.
    pub reply: Option<Form>,
    /// What happened.
    pub timeline: Timeline,
    /// What the viewer may do: short forms, each with a heading.
    pub steps_allowed: Vec<(String, Form)>,
    /// Buttons.
    pub actions: Vec<Action>,
    /// The commitment at intake, and its proof.
    pub commitment: Facts,
    /// Where the proof is.
    pub proof: Option<Link>,
}

impl CaseView {
    /// The page.
    pub fn page(self, mut chrome: Chrome) -> Page {
        chrome.place = "/cases";
        let mut head = Head::new(self.title, "").under("Cases", "/cases").badge(self.state);
        head.actions = self.actions;
        let mut first: Vec<Block> = self.notice.map(Block::Notice).into_iter().collect();
        first.push(Block::Steps(self.steps));
        let parties = Table::new("Parties", &["Party", "Part", "Told", "Acknowledged", "Embargo until"])
            .rows(self.parties.into_iter().map(|row| {
                let when = |when: Option<When>| when.map_or(Cell::None, Cell::When);
                vec![
                    Cell::text(row.who),
                    Cell::text(row.part),
                    when(row.notified),
                    when(row.acknowledged),
                    when(row.embargo),
                ]
            }));
        let messages = if self.messages.is_empty() {
            Block::Empty(Empty::new("No messages yet", "Everything written here stays inside the case."))
        } else {
            Block::Messages(self.messages)
        };
        let mut talk = vec![messages];
        talk.extend(self.reply.map(Block::Form));
        let mut main = vec![
            Section::bare(first),
            Section::new(
                "about",
                "What it is about",
                vec![Block::Links(self.about), Block::Facts(self.facts)],
            ),
            Section::new("parties", "Parties", vec![Block::Table(parties)]),
            Section::new("messages", "Messages", talk)
                .noted("Every party to the case reads these, and nobody else."),
        ];
        for (index, (heading, form)) in self.steps_allowed.into_iter().enumerate() {
            main.push(Section::new(format!("step-{index}"), heading, vec![Block::Form(form)]));
        }
        main.push(Section::new("timeline", "Timeline", vec![Block::Timeline(self.timeline)]));
        let mut side = Vec::new();
        if !self.clocks.is_empty() {
            side.push(Section::new("clocks", "Clocks", vec![Block::Clocks(self.clocks)]));
        }
        let mut proof = vec![
            Block::Text(
                "At intake the node wrote a commitment into its transparency log. It proves who knew what when, without telling what."
                    .to_owned(),
            ),
            Block::Facts(self.commitment),
        ];
        proof.extend(self.proof.map(|link| Block::Links(vec![link])));
        side.push(Section::new("commitment", "Commitment", proof));
        Page::new(chrome, head, main).beside(side)
    }
}
