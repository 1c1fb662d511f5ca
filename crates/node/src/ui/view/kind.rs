//! The kinds of things that are shared, as pages name them.

use super::{NavGroup, NavItem};

/// A kind of shared thing with pages of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Something that makes a model or a system do what it should not.
    Flaw,
    /// Something that happened, or nearly did.
    Incident,
    /// A way to attack.
    Technique,
    /// What helps.
    Mitigation,
    /// What was learned.
    Lesson,
    /// What is told to those affected.
    Advisory,
    /// Measured results.
    Evaluation,
}

impl Kind {
    /// All, in the order of the navigation.
    pub const ALL: [Self; 7] = [
        Self::Flaw,
        Self::Incident,
        Self::Technique,
        Self::Mitigation,
        Self::Lesson,
        Self::Advisory,
        Self::Evaluation,
    ];

    /// One of them.
    pub const fn one(self) -> &'static str {
        match self {
            Self::Flaw => "Flaw",
            Self::Incident => "Incident",
            Self::Technique => "Technique",
            Self::Mitigation => "Mitigation",
            Self::Lesson => "Lesson",
            Self::Advisory => "Advisory",
            Self::Evaluation => "Evaluation",
        }
    }

    /// Several.
    pub const fn many(self) -> &'static str {
        match self {
            Self::Flaw => "Flaws",
            Self::Incident => "Incidents",
            Self::Technique => "Techniques",
            Self::Mitigation => "Mitigations",
            Self::Lesson => "Lessons",
            Self::Advisory => "Advisories",
            Self::Evaluation => "Evaluations",
        }
    }

    /// The list's address.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Flaw => "/flaws",
            Self::Incident => "/incidents",
            Self::Technique => "/techniques",
            Self::Mitigation => "/mitigations",
            Self::Lesson => "/lessons",
            Self::Advisory => "/advisories",
            Self::Evaluation => "/evaluations",
        }
    }

    /// What they are, in a sentence.
    pub const fn lead(self) -> &'static str {
        match self {
            Self::Flaw => {
                "Ways in which a model or a system built on one can be made to do what it should not: what is affected, how often it works, and whether it transfers."
            }
            Self::Incident => {
                "What happened or nearly did, how serious it was, and who has to be told by when."
            }
            Self::Technique => {
                "How attacks work, named by the mechanism that they use and not by the words of a prompt."
            }
            Self::Mitigation => "What prevents, detects or limits an attack, and how well that was measured.",
            Self::Lesson => "What organisations learned from flaws and incidents, for others to use.",
            Self::Advisory => "What those affected need to know and do.",
            Self::Evaluation => {
                "Signed results of tests: attack success rates and benign utility, with their intervals."
            }
        }
    }

    /// What begins a new one, if people write them by hand: `Report a flaw`.
    pub const fn begin(self) -> Option<&'static str> {
        match self {
            Self::Flaw => Some("Report a flaw"),
            Self::Incident => Some("Report an incident"),
            Self::Technique => Some("Describe a technique"),
            Self::Mitigation => Some("Describe a mitigation"),
            Self::Lesson => Some("Share a lesson"),
            Self::Advisory => Some("Draft an advisory"),
            Self::Evaluation => None,
        }
    }

    /// The kind whose list has this address.
    pub fn at(segment: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.path().trim_start_matches('/') == segment)
    }
}

/// The navigation. `audits`: whether the viewer may look at the audit log; `waiting` is how many things wait for the viewer, and how many cases do.
pub fn navigation(
    signed_in: bool,
    administrator: bool,
    audits: bool,
    waiting: u32,
    cases: u32,
) -> Vec<NavGroup> {
    let item = |text, href| NavItem { text, href, waiting: 0 };
    let mut groups = vec![
        NavGroup { name: "", items: vec![NavItem { text: "Overview", href: "/", waiting }] },
        NavGroup {
            name: "Share",
            items: Kind::ALL.into_iter().map(|kind| item(kind.many(), kind.path())).collect(),
        },
    ];
    if signed_in {
        groups.push(NavGroup {
            name: "Disclose",
            items: vec![NavItem { text: "Cases", href: "/cases", waiting: cases }],
        });
        let mut items = vec![item("Members", "/members"), item("Collections", "/collections")];
        if administrator {
            items.push(item("Peers", "/peers"));
        }
        if audits {
            items.push(item("Audit", "/audit"));
        }
        if administrator {
            items.push(item("Settings", "/settings"));
        }
        groups.push(NavGroup { name: "Organise", items });
        groups.push(NavGroup {
            name: "Yours",
            items: vec![item("Saved views", "/views"), item("Account", "/account")],
        });
    } else {
        groups.push(NavGroup { name: "Members", items: vec![item("Sign in", "/sign-in")] });
    }
    groups
}
