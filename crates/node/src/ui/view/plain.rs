//! Pages that are little more than a form or a few sentences.

use super::{Chrome, Page};
use crate::ui::Html;
use crate::ui::part::{Badge, Block, Form, Head, Link, Notice, Section, Tone};

/// A page around a form.
pub fn form_page(chrome: Chrome, head: Head, form: Form, help: Vec<Section>) -> Page {
    let mut head = head;
    // Screen readers read the title first: it says that the form came back.
    if form.has_errors() {
        head.title = format!("Error: {}", head.title);
    }
    Page::new(chrome, head, vec![Section::bare(vec![Block::Form(form)])]).beside(help)
}

/// What somebody is about to share, before it is saved: who will be able to read it, and what it will say.
#[derive(Debug, Clone, PartialEq)]
pub struct ReviewView {
    /// What is about to happen: `Report a flaw`.
    pub title: String,
    /// The list that it belongs to.
    pub under: Link,
    /// The thing's title.
    pub name: String,
    /// Its mark.
    pub tlp: Badge,
    /// Who will be able to read it.
    pub readers: String,
    /// What else to know: embargo, recipients who cannot read yet.
    pub notes: Vec<String>,
    /// The texts, as they will look.
    pub texts: Vec<(String, Html)>,
    /// Carries every field, hidden, with buttons to save and to go back.
    pub form: Form,
}

impl ReviewView {
    /// The page.
    pub fn page(self, mut chrome: Chrome, place: &'static str) -> Page {
        chrome.place = place;
        let mut head = Head::new(format!("{}: check before saving", self.title), "");
        head.crumbs.push(self.under);
        let mut blocks = vec![
            Block::Badges(vec![self.tlp]),
            Block::Notice(Notice::new(Tone::Info, "Who will be able to read it:", self.readers)),
        ];
        if !self.notes.is_empty() {
            blocks.push(Block::Bullets(self.notes));
        }
        blocks.push(Block::Form(self.form));
        let mut main = vec![Section::new("readers", "Readers", blocks)];
        main.push(Section::new("name", self.name, Vec::new()));
        for (index, (heading, text)) in self.texts.into_iter().enumerate() {
            if !text.is_empty() {
                main.push(Section::new(format!("text-{index}"), heading, vec![Block::Prose(text)]));
            }
        }
        Page::new(chrome, head, main)
    }
}

/// How people can sign in here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SignInView {
    /// The name that was given, if it did not fit.
    pub account: String,
    /// What went wrong.
    pub error: Option<String>,
    /// The button of the OpenID provider.
    pub oidc: Option<String>,
    /// The page to come back to.
    pub back: String,
}

/// The page of an error. For hidden and missing things it is the same, byte for byte.
pub fn error_page(chrome: Chrome, title: &str, what: &str) -> Page {
    let head = Head::new(title, what);
    Page::new(
        chrome,
        head,
        vec![Section::bare(vec![Block::Links(vec![
            Link::to("Overview", "/"),
            Link::to("Search", "/search"),
        ])])],
    )
}
