//! Lists: of one kind, of search results, of cases.

use super::{Chrome, Kind, Page};
use crate::ui::part::{
    Action, Badge, Block, Cell, Choice, Control, Empty, Field, Filters, Head, Link, Pager, Section, Table,
    When,
};

/// A row of a list of shared things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListRow {
    /// Its permanent link.
    pub href: String,
    /// Its title.
    pub title: String,
    /// The beginning of its text.
    pub sub: String,
    /// Its kind; shown where kinds are mixed.
    pub kind: Option<Kind>,
    /// Its TLP mark.
    pub tlp: Badge,
    /// Severity, state: whatever its kind has.
    pub badges: Vec<Badge>,
    /// Who owns it.
    pub owner: String,
    /// When this node took it.
    pub when: When,
}

/// The filters of a list, as they stand in its address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListFilters {
    /// Words to search for.
    pub words: String,
    /// A kind's segment.
    pub kind: String,
    /// A TLP mark's name.
    pub tlp: String,
    /// `YYYY-MM-DD`.
    pub since: String,
    /// `YYYY-MM-DD`.
    pub until: String,
    /// What cannot be understood about one of these dates.
    pub wrong: Option<String>,
}

impl ListFilters {
    /// Whether any is on.
    pub fn any(&self) -> bool {
        [&self.words, &self.kind, &self.tlp, &self.since, &self.until]
            .into_iter()
            .any(|text| !text.is_empty())
    }

    fn fields(&self, kinds: bool) -> Vec<Field> {
        let mut fields = vec![Field::kind("q", "Words", "search", &self.words, "off")];
        if kinds {
            let mut choices = vec![Choice::new("", "All kinds")];
            choices.extend(Kind::ALL.into_iter().map(|kind| {
                let value = kind.path().trim_start_matches('/');
                Choice::new(value, kind.many()).chosen(self.kind == value)
            }));
            fields.push(Field::new("kind", "Kind", Control::Select(choices)));
        }
        let mut marks = vec![Choice::new("", "Any")];
        marks.extend(
            ostrom_core::handling::Tlp::ALL
                .into_iter()
                .map(|tlp| Choice::new(tlp.name(), tlp.label()).chosen(self.tlp == tlp.name())),
        );
        fields.push(Field::new("tlp", "TLP", Control::Select(marks)));
        fields.push(Field::kind("since", "Since", "date", &self.since, "off").wrong(self.wrong.clone()));
        fields.push(Field::kind("until", "Before", "date", &self.until, "off"));
        fields
    }

    /// As a query string without the question mark.
    pub fn query(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in [
            ("q", &self.words),
            ("kind", &self.kind),
            ("tlp", &self.tlp),
            ("since", &self.since),
            ("until", &self.until),
        ] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        query.finish()
    }
}

/// A list.
#[derive(Debug, Clone, PartialEq)]
pub struct ListView {
    /// The kind; `None`: search.
    pub kind: Option<Kind>,
    /// The filters.
    pub filters: ListFilters,
    /// The rows.
    pub rows: Vec<ListRow>,
    /// To other pages.
    pub pager: Pager,
    /// Whether the viewer may write a new one.
    pub may_begin: bool,
    /// Whether the viewer may save this as a view.
    pub may_save: bool,
}

impl ListView {
    /// The page.
    pub fn page(self, mut chrome: Chrome) -> Page {
        let (path, title, lead) = match self.kind {
            Some(kind) => (kind.path(), kind.many(), kind.lead()),
            None => ("/search", "Search", "Everything on this node that you may see."),
        };
        chrome.place = path;
        let query = self.filters.query();
        if chrome.feed.is_none() {
            let href = if query.is_empty() { format!("{path}.atom") } else { format!("{path}.atom?{query}") };
            chrome.feed = Some((format!("{title} · {}", chrome.node), href));
        }
        let mut head = Head::new(title, lead);
        if self.may_save {
            let back =
                form_urlencoded::byte_serialize(format!("{path}?{query}").as_bytes()).collect::<String>();
            head = head.link("Save this view", format!("/views/new?of={back}"));
        }
        if let Some(begin) = self.kind.and_then(Kind::begin).filter(|_| self.may_begin) {
            head.actions.push(Action::Go(Link::to(begin, format!("{path}/new")), true));
        }
        // Nobody writes a result: it is what a bundle says.
        if self.kind == Some(Kind::Evaluation) && self.may_begin {
            head.actions.push(Action::Go(Link::to("Publish a bundle", format!("{path}/new")), true));
        }
        let filters = Filters {
            action: path.to_owned(),
            fields: self.filters.fields(self.kind.is_none()),
            clear: self.filters.any().then(|| path.to_owned()),
            label: format!("Filter {}", title.to_lowercase()),
        };
        let empty = if self.filters.any() {
            Empty {
                what: "Nothing that you may see matches".to_owned(),
                why: "Try fewer words, or another mark or time.".to_owned(),
                link: Some(Link::to("Clear filters", path)),
            }
        } else {
            Empty::new("Nothing to see yet", "What others share with you appears here.")
        };
        let table = rows_table(title, &self.rows, self.kind.is_none()).or_else(empty);
        let section =
            Section::bare(vec![Block::Filters(filters), Block::Table(table), Block::Pager(self.pager)]);
        Page::new(chrome, head, vec![section])
    }
}

/// Rows of shared things as a table.
pub fn rows_table(caption: &str, rows: &[ListRow], kinds: bool) -> Table {
    let mut columns = vec!["Title"];
    if kinds {
        columns.push("Kind");
    }
    columns.extend(["Marks", "Standing", "From", "Received"]);
    Table::new(caption, &columns).rows(rows.iter().map(|row| {
        let mut cells = vec![Cell::Title(Link::to(&row.title, &row.href), row.sub.clone())];
        if kinds {
            cells.push(row.kind.map_or(Cell::None, |kind| Cell::text(kind.one())));
        }
        cells.push(Cell::Badges(vec![row.tlp.clone()]));
        cells.push(if row.badges.is_empty() { Cell::None } else { Cell::Badges(row.badges.clone()) });
        cells.push(Cell::text(&row.owner));
        cells.push(Cell::When(row.when.clone()));
        cells
    }))
}
