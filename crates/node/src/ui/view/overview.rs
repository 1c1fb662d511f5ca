//! The first page: what is new, what waits, which clocks run out.

use super::{Chrome, ListRow, Page, rows_table};
use crate::ui::part::{Block, Cell, Clock, Empty, Head, Link, Section, Table, Tile, When};

/// Something that waits for the viewer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// What to do, and where.
    pub what: Link,
    /// Why.
    pub why: String,
    /// Since when.
    pub since: When,
}

/// The overview.
#[derive(Debug, Clone, PartialEq)]
pub struct OverviewView {
    /// Numbers.
    pub tiles: Vec<Tile>,
    /// What waits for the viewer.
    pub waiting: Vec<Waiting>,
    /// Clocks, the next to run out first.
    pub clocks: Vec<Clock>,
    /// What came last.
    pub news: Vec<ListRow>,
    /// What may be reported.
    pub begin: Vec<Link>,
}

impl OverviewView {
    /// The page.
    pub fn page(self, mut chrome: Chrome) -> Page {
        chrome.place = "/";
        let signed_in = chrome.viewer.is_some();
        let lead = match &chrome.viewer {
            Some(viewer) => format!("What {} may see on this node.", viewer.organisation),
            None => "What this node shares with everybody. Members see more after signing in.".to_owned(),
        };
        let mut head = Head::new("Overview", lead);
        for (index, link) in self.begin.into_iter().enumerate() {
            head.actions.push(crate::ui::part::Action::Go(link, index == 0));
        }
        let mut main = Vec::new();
        if !self.tiles.is_empty() {
            main.push(Section::bare(vec![Block::Tiles(self.tiles)]));
        }
        if signed_in {
            let waiting = Table::new("What waits for you", &["What", "Why", "Since"])
                .rows(
                    self.waiting
                        .into_iter()
                        .map(|row| vec![Cell::Link(row.what), Cell::Muted(row.why), Cell::When(row.since)]),
                )
                .or_else(Empty::new(
                    "Nothing waits for you",
                    "Messages, invitations and cases that need you appear here.",
                ));
            main.push(Section::new("waiting", "Waits for you", vec![Block::Table(waiting)]));
            let clocks = if self.clocks.is_empty() {
                Block::Empty(Empty::new(
                    "No clock is running",
                    "Embargoes and reporting deadlines appear here.",
                ))
            } else {
                Block::Clocks(self.clocks)
            };
            main.push(
                Section::new("clocks", "Clocks that run out", vec![clocks])
                    .linked(Link::to("All cases", "/cases")),
            );
        }
        let news = rows_table("What is new", &self.news, true)
            .or_else(Empty::new("Nothing to see yet", "What is shared with you appears here."));
        main.push(
            Section::new("new", "New", vec![Block::Table(news)]).linked(Link::to("Everything", "/search")),
        );
        Page::new(chrome, head, main)
    }
}
