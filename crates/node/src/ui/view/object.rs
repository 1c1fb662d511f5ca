//! The page of one shared thing, and who can see it.

use super::{Chrome, Kind, Page};
use crate::ui::Html;
use crate::ui::part::{
    Action, Badge, Block, Cell, Clock, Empty, Facts, Form, Head, Link, Notice, Section, Steps, Table,
    Timeline, Tone, When,
};

/// Something that a shared thing is related to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// How, as in `mitigates` or `is exploited by`.
    pub how: String,
    /// Its kind, for people.
    pub kind: String,
    /// Its title and permanent link.
    pub to: Link,
    /// Its marks.
    pub badges: Vec<Badge>,
}

/// Where the commitment to a thing lies in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// The leaf's number.
    pub leaf: u64,
    /// The digest of the bytes.
    pub digest: String,
    /// What opens the commitment.
    pub salt: String,
}

/// One shared thing.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectView {
    /// Its kind.
    pub kind: Kind,
    /// Its id.
    pub id: String,
    /// Its permanent link.
    pub href: String,
    /// Its title.
    pub title: String,
    /// Its TLP mark.
    pub tlp: Badge,
    /// Severity, state.
    pub badges: Vec<Badge>,
    /// What somebody should know before reading on.
    pub notice: Option<Notice>,
    /// Texts with their headings; an empty heading is allowed for the first.
    pub texts: Vec<(String, Html)>,
    /// Names and values.
    pub facts: Facts,
    /// What its kind adds: affected versions, charts, forms to be filled in.
    pub sections: Vec<Section>,
    /// Where it stands in its disclosure.
    pub steps: Option<Steps>,
    /// Clocks.
    pub clocks: Vec<Clock>,
    /// What it is related to, as far as the viewer may see that.
    pub relations: Vec<Relation>,
    /// Sightings and opinions of members.
    pub voices: Table,
    /// What happened to it.
    pub history: Timeline,
    /// Links to elsewhere.
    pub references: Vec<Link>,
    /// Who can read it, in a sentence.
    pub readers: String,
    /// Why the viewer can.
    pub why_me: Vec<String>,
    /// What the provider asks of readers (FIRST IEP).
    pub obligations: Vec<String>,
    /// Where it comes from.
    pub provenance: Facts,
    /// Its place in the log.
    pub opening: Option<Opening>,
    /// What the viewer may do.
    pub actions: Vec<Action>,
    /// A form for a sighting or an opinion.
    pub voice_form: Option<Form>,
}

impl ObjectView {
    /// The page.
    pub fn page(self, mut chrome: Chrome) -> Page {
        chrome.place = self.kind.path();
        let mut head = Head::new(&self.title, "").under(self.kind.many(), self.kind.path());
        head.badges = std::iter::once(self.tlp).chain(self.badges).collect();
        head.actions = self.actions;

        let mut main = Vec::new();
        let mut first = Vec::new();
        first.extend(self.notice.map(Block::Notice));
        first.extend(self.steps.map(Block::Steps));
        if !first.is_empty() {
            main.push(Section::bare(first));
        }
        for (index, (heading, text)) in self.texts.into_iter().enumerate() {
            if !text.is_empty() {
                main.push(Section::new(format!("text-{index}"), heading, vec![Block::Prose(text)]));
            }
        }
        if !self.facts.is_empty() {
            main.push(Section::new("facts", "Facts", vec![Block::Facts(self.facts)]));
        }
        main.extend(self.sections);
        if !self.relations.is_empty() {
            main.push(
                Section::new("related", "Related", vec![Block::Table(related(self.relations))])
                    .noted("A relationship is shown only to those who may see both of its ends."),
            );
        }
        let voices = self.voices.or_else(Empty::new(
            "Nobody has spoken yet",
            "A sighting says that you have seen this too; an opinion says whether you agree.",
        ));
        let mut blocks = vec![Block::Table(voices)];
        blocks.extend(self.voice_form.map(Block::Form));
        main.push(Section::new("voices", "Sightings and opinions", blocks));
        if !self.history.items.is_empty() {
            main.push(Section::new("history", "History", vec![Block::Timeline(self.history)]));
        }

        let mut side = Vec::new();
        if !self.clocks.is_empty() {
            side.push(Section::new("clocks", "Clocks", vec![Block::Clocks(self.clocks)]));
        }
        let mut readers = vec![Block::Text(self.readers)];
        if !self.why_me.is_empty() {
            readers.push(Block::Facts(
                Facts::new().fact("Why can I see this?", Cell::text(self.why_me.join("; "))),
            ));
        }
        if !self.obligations.is_empty() {
            readers.push(Block::Bullets(self.obligations));
        }
        readers
            .push(Block::Links(vec![Link::to("Who can see this, and why", format!("{}/access", self.href))]));
        side.push(Section::new("readers", "Who can see this", readers));
        if !self.references.is_empty() {
            side.push(Section::new("references", "References", vec![Block::Links(self.references)]));
        }
        let mut origin = self.provenance.fact("Id", Cell::Code(self.id));
        if let Some(opening) = self.opening {
            origin = origin
                .fact("SHA-256", Cell::Code(opening.digest))
                .fact("Leaf in the log", Cell::Number(opening.leaf.to_string()))
                .fact("Salt of the commitment", Cell::Code(opening.salt));
        }
        side.push(Section::new("origin", "Provenance", vec![Block::Facts(origin)]));
        Page::new(chrome, head, main).beside(side)
    }
}

fn related(relations: Vec<Relation>) -> Table {
    Table::new("Related things", &["What", "Kind", "How", "Marks"]).rows(relations.into_iter().map(
        |relation| {
            vec![
                Cell::Link(relation.to),
                Cell::text(relation.kind),
                Cell::Muted(relation.how),
                if relation.badges.is_empty() { Cell::None } else { Cell::Badges(relation.badges) },
            ]
        },
    ))
}

/// One party that can or cannot read something, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRow {
    /// The party's name.
    pub who: String,
    /// Whether they can read it now.
    pub can: bool,
    /// Why, or why not.
    pub why: String,
    /// When that changes by itself.
    pub changes: Option<When>,
}

/// One handling that counts, and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandlingRow {
    /// Whose it is: this thing's own, or that of one it refers to.
    pub of: String,
    /// The mark.
    pub tlp: Badge,
    /// Recipients, embargo, policy: in words.
    pub says: String,
}

/// Who can see something, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct AccessView {
    /// Its kind.
    pub kind: Kind,
    /// Its title.
    pub title: String,
    /// Its permanent link.
    pub href: String,
    /// Its mark.
    pub tlp: Badge,
    /// In a sentence.
    pub readers: String,
    /// Why the viewer can.
    pub why_me: Vec<String>,
    /// The handlings that count together.
    pub handlings: Vec<HandlingRow>,
    /// Every party that the viewer may know of; only for the owner.
    pub parties: Option<Vec<AccessRow>>,
    /// Changes the marks; only for the owner.
    pub marks: Option<Link>,
}

impl AccessView {
    /// The page.
    pub fn page(self, mut chrome: Chrome) -> Page {
        chrome.place = self.kind.path();
        let mut head = Head::new("Who can see this, and why", self.title.as_str())
            .under(self.kind.many(), self.kind.path())
            .under(self.title.as_str(), self.href.as_str())
            .badge(self.tlp);
        if let Some(link) = self.marks {
            head.actions.push(Action::Go(link, false));
        }
        let handlings = Table::new("Handlings", &["Where it stands", "Mark", "What it says"]).rows(
            self.handlings
                .into_iter()
                .map(|row| vec![Cell::text(row.of), Cell::Badges(vec![row.tlp]), Cell::text(row.says)]),
        );
        let mut main = vec![
            Section::new("sentence", "In a sentence", vec![Block::Text(self.readers)]),
            Section::new("me", "Why can I see this?", vec![Block::Bullets(self.why_me)]),
            Section::new("handlings", "Handlings that count", vec![Block::Table(handlings)]).noted(
                "Whoever reads this must be let by every one of them: its own marks, and those of everything that it refers to.",
            ),
        ];
        main.push(match self.parties {
            Some(rows) => {
                let table = Table::new("Readers", &["Party", "Can read", "Why", "Changes"]).rows(
                    rows.into_iter().map(|row| {
                        let badge = if row.can {
                            Badge::new("✓ yes", Tone::Good)
                        } else {
                            Badge::new("✕ no", Tone::Plain)
                        };
                        vec![
                            Cell::text(row.who),
                            Cell::Badges(vec![badge]),
                            Cell::Muted(row.why),
                            row.changes.map_or(Cell::None, Cell::When),
                        ]
                    }),
                );
                Section::new("parties", "Members of this node", vec![Block::Table(table)])
            }
            None => Section::new(
                "parties",
                "Members of this node",
                vec![Block::Text("Only the owner sees the list of who can read it.".to_owned())],
            ),
        });
        Page::new(chrome, head, main)
    }
}

/// One format that something can be exported in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportRow {
    /// The format's name.
    pub name: String,
    /// What it is good for.
    pub what: String,
    /// Where it is; `None`: this kind does not fit.
    pub href: Option<String>,
    /// What it cannot carry.
    pub lost: Vec<String>,
}

/// The menu of exports.
#[derive(Debug, Clone, PartialEq)]
pub struct ExportView {
    /// Its kind.
    pub kind: Kind,
    /// Its title.
    pub title: String,
    /// Its permanent link.
    pub href: String,
    /// Its mark.
    pub tlp: Badge,
    /// The formats.
    pub rows: Vec<ExportRow>,
}

impl ExportView {
    /// The page.
    pub fn page(self, mut chrome: Chrome) -> Page {
        chrome.place = self.kind.path();
        let head = Head::new("Export", "Marks travel with the export where the format has a place for them; whoever takes it out of this node answers for it from then on.")
            .under(self.kind.many(), self.kind.path())
            .under(self.title.as_str(), self.href.as_str())
            .badge(self.tlp);
        let sections =
            self.rows
                .into_iter()
                .enumerate()
                .map(|(index, row)| {
                    let mut blocks = vec![Block::Text(row.what)];
                    if row.lost.is_empty() {
                        if row.href.is_some() {
                            blocks.push(Block::Badges(vec![Badge::new("Carries everything", Tone::Good)]));
                        }
                    } else {
                        blocks.push(Block::Text("It cannot carry:".to_owned()));
                        blocks.push(Block::Bullets(row.lost));
                    }
                    match row.href {
                        Some(href) => blocks.push(Block::Actions(vec![Action::Go(
                            Link::to(format!("Download {}", row.name), href),
                            false,
                        )])),
                        None => blocks
                            .push(Block::Badges(vec![Badge::new("Does not fit this kind", Tone::Plain)])),
                    }
                    Section::new(format!("format-{index}"), row.name, blocks).framed()
                })
                .collect();
        Page::new(chrome, head, sections)
    }
}
