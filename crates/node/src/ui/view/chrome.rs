//! What is around every page.

use askama::Template;

use crate::ui::asset;
use crate::ui::part::{Head, Notice, Section};

/// Which colours the reader chose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Theme {
    /// What the system says.
    #[default]
    System,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

impl Theme {
    /// All.
    pub const ALL: [Self; 3] = [Self::System, Self::Light, Self::Dark];

    /// The word in the cookie and in forms.
    pub const fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// The word for people.
    pub const fn label(self) -> &'static str {
        match self {
            Self::System => "System",
            Self::Light => "Light",
            Self::Dark => "Dark",
        }
    }

    /// Reads the word; anything else is the system's.
    pub fn read(name: &str) -> Self {
        Self::ALL.into_iter().find(|theme| theme.name() == name).unwrap_or_default()
    }
}

/// Who looks at the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Viewer {
    /// The person's name.
    pub name: String,
    /// The organisation's name.
    pub organisation: String,
}

/// A place in the navigation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NavItem {
    /// What it says.
    pub text: &'static str,
    /// Where it leads.
    pub href: &'static str,
    /// How many things wait there; 0: none.
    pub waiting: u32,
}

/// Places that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NavGroup {
    /// What they are.
    pub name: &'static str,
    /// The places.
    pub items: Vec<NavItem>,
}

/// What is around every page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chrome {
    /// The node's name.
    pub node: String,
    /// The colours.
    pub theme: Theme,
    /// Who looks; `None`: nobody signed in.
    pub viewer: Option<Viewer>,
    /// The session's token against forged requests.
    pub csrf: String,
    /// The navigation.
    pub nav: Vec<NavGroup>,
    /// The address of the place in the navigation where this page belongs.
    pub place: &'static str,
    /// This page's address, so that a change of colours comes back to it.
    pub here: String,
    /// What just happened.
    pub notice: Option<Notice>,
    /// The list's feed, with its title.
    pub feed: Option<(String, String)>,
    /// Nothing around it: sign-in, set-up.
    pub bare: bool,
    /// The version of the software.
    pub version: &'static str,
}

/// A page.
#[derive(Debug, Clone, PartialEq, Template)]
#[template(path = "page.html")]
pub struct Page {
    /// What is around it.
    pub chrome: Chrome,
    /// Its head.
    pub head: Head,
    /// What it is about.
    pub main: Vec<Section>,
    /// What stands beside it.
    pub side: Vec<Section>,
}

impl Page {
    /// A page of one column.
    pub fn new(chrome: Chrome, head: Head, main: Vec<Section>) -> Self {
        Self { chrome, head, main, side: Vec::new() }
    }

    /// With something beside it.
    #[must_use]
    pub fn beside(mut self, side: Vec<Section>) -> Self {
        self.side = side;
        self
    }

    fn style(&self) -> &'static str {
        &asset::STYLE.path
    }

    fn script(&self) -> &'static str {
        &asset::SCRIPT.path
    }

    fn icon(&self) -> &'static str {
        &asset::ICON.path
    }
}
