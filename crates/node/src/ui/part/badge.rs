//! Small marks: TLP, severity, state.

use askama::Template;
use askama::filters::HtmlSafe;
use ostrom_core::handling::Tlp;

/// How a badge looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Says what something is.
    Plain,
    /// Something to know.
    Info,
    /// All is well.
    Good,
    /// Wants attention soon.
    Warn,
    /// Wants attention now.
    Bad,
}

impl Tone {
    /// The class in the style sheet.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Info => "info",
            Self::Good => "good",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }
}

/// A small mark with a word in it.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(
    ext = "html",
    source = r#"<span class="badge {{ class }}"{% if let Some(title) = title %} title="{{ title }}"{% endif %}>{% if bars > 0 %}<svg class="bars" width="14" height="10" viewBox="0 0 14 10" aria-hidden="true">{% for bar in 0..4 %}<rect x="{{ bar * 4 }}" y="{{ 6 - bar * 2 }}" width="2" height="{{ 4 + bar * 2 }}" class="{% if bar < bars %}on{% else %}off{% endif %}"/>{% endfor %}</svg>{% endif %}{{ text }}</span>"#
)]
pub struct Badge {
    class: &'static str,
    text: String,
    title: Option<String>,
    bars: u8,
}

impl HtmlSafe for Badge {}

impl Badge {
    /// A word in a tone.
    pub fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self { class: tone.class(), text: text.into(), title: None, bars: 0 }
    }

    /// A mark of the Traffic Light Protocol, in the colours that FIRST prescribes: coloured text on black.
    pub fn tlp(tlp: Tlp) -> Self {
        let class = match tlp {
            Tlp::Clear => "tlp tlp-clear",
            Tlp::Green => "tlp tlp-green",
            Tlp::Amber | Tlp::AmberStrict => "tlp tlp-amber",
            Tlp::Red => "tlp tlp-red",
        };
        Self { class, text: tlp.label().to_owned(), title: Some(tlp_meaning(tlp).to_owned()), bars: 0 }
    }

    /// A step on a scale of four, with bars beside the word so that colour is not all there is.
    pub fn level(text: impl Into<String>, bars: u8) -> Self {
        let bars = bars.min(4);
        let class = match bars {
            0 => "level level-0",
            1 => "level level-1",
            2 => "level level-2",
            3 => "level level-3",
            _ => "level level-4",
        };
        Self { class, text: text.into(), title: None, bars }
    }

    /// With an explanation.
    #[must_use]
    pub fn titled(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// The word.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// What a mark means, in one sentence.
pub const fn tlp_meaning(tlp: Tlp) -> &'static str {
    match tlp {
        Tlp::Clear => "For everybody: recipients may spread it to the world.",
        Tlp::Green => "For the community: every member of this node.",
        Tlp::Amber => "For the recipients' organisations and their clients.",
        Tlp::AmberStrict => "For the recipients' organisations only.",
        Tlp::Red => "For the named persons only, and nobody else.",
    }
}
