//! Forms, fields, buttons.

use askama::Template;
use askama::filters::HtmlSafe;

use super::{Badge, Link};

/// A choice in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// What is sent.
    pub value: String,
    /// What is shown.
    pub label: String,
    /// What it means.
    pub hint: Option<String>,
    /// Whether it is chosen.
    pub chosen: bool,
    /// A mark beside it.
    pub badge: Option<Badge>,
}

impl Choice {
    /// A choice.
    pub fn new(value: impl Into<String>, label: impl Into<String>) -> Self {
        Self { value: value.into(), label: label.into(), hint: None, chosen: false, badge: None }
    }

    /// Chosen, if so.
    #[must_use]
    pub fn chosen(mut self, chosen: bool) -> Self {
        self.chosen = chosen;
        self
    }

    /// With a meaning.
    #[must_use]
    pub fn hinted(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With a mark in the place of the label.
    #[must_use]
    pub fn badged(mut self, badge: Badge) -> Self {
        self.badge = Some(badge);
        self
    }
}

/// What a field is filled in with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// One line. `kind` is the `type` attribute.
    Line {
        /// The `type` attribute.
        kind: &'static str,
        /// What is in it. Never set for passwords.
        value: String,
        /// The `autocomplete` attribute; empty: none.
        autocomplete: &'static str,
        /// The most characters.
        max: u32,
    },
    /// Several lines.
    Area {
        /// What is in it.
        value: String,
        /// Height in lines.
        rows: u8,
        /// The most characters.
        max: u32,
    },
    /// One of a list, folded.
    Select(Vec<Choice>),
    /// One of a list, all visible.
    Radio(Vec<Choice>),
    /// Any of a list.
    Checks(Vec<Choice>),
    /// Yes or no.
    Check(bool),
    /// A file of the kinds that the `accept` attribute names.
    File(&'static str),
    /// Not shown.
    Hidden(String),
}

/// A field.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "part/field.html")]
pub struct Field {
    name: String,
    label: String,
    hint: Option<String>,
    error: Option<String>,
    required: bool,
    half: bool,
    control: Control,
}

impl HtmlSafe for Field {}

impl Field {
    /// A field.
    pub fn new(name: impl Into<String>, label: impl Into<String>, control: Control) -> Self {
        Self {
            name: name.into(),
            label: label.into(),
            hint: None,
            error: None,
            required: false,
            half: false,
            control,
        }
    }

    /// One line of text.
    pub fn line(name: impl Into<String>, label: impl Into<String>, value: impl Into<String>) -> Self {
        Self::new(
            name,
            label,
            Control::Line { kind: "text", value: value.into(), autocomplete: "off", max: 300 },
        )
    }

    /// One line of another kind: `email`, `password`, `number`, `datetime-local`, `url`, `search`.
    pub fn kind(
        name: impl Into<String>,
        label: impl Into<String>,
        kind: &'static str,
        value: impl Into<String>,
        autocomplete: &'static str,
    ) -> Self {
        // A password is not sent back to the browser, whatever the caller passes.
        let value = if kind == "password" { String::new() } else { value.into() };
        Self::new(name, label, Control::Line { kind, value, autocomplete, max: 300 })
    }

    /// Several lines of Markdown.
    pub fn area(
        name: impl Into<String>,
        label: impl Into<String>,
        value: impl Into<String>,
        rows: u8,
    ) -> Self {
        Self::new(name, label, Control::Area { value: value.into(), rows, max: 20_000 })
    }

    /// Not shown.
    pub fn hidden(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self::new(name, "", Control::Hidden(value.into()))
    }

    /// With a hint.
    #[must_use]
    pub fn hinted(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Must be filled in.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// Half a line wide.
    #[must_use]
    pub fn half(mut self) -> Self {
        self.half = true;
        self
    }

    /// What is wrong with it.
    #[must_use]
    pub fn wrong(mut self, error: Option<String>) -> Self {
        self.error = error;
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn id(&self) -> String {
        self.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
    }

    fn described(&self) -> String {
        let id = self.id();
        let hint = self.hint.as_ref().map(|_| format!("hint-{id}"));
        let error = self.error.as_ref().map(|_| format!("error-{id}"));
        [error, hint].into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}

/// Fields that belong together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldGroup {
    /// The legend; empty: none.
    pub legend: String,
    /// A sentence under it.
    pub note: String,
    /// The fields.
    pub fields: Vec<Field>,
}

impl FieldGroup {
    /// A group.
    pub fn new(legend: impl Into<String>, note: impl Into<String>, fields: Vec<Field>) -> Self {
        Self { legend: legend.into(), note: note.into(), fields }
    }
}

/// How a button looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// What the page is for.
    Primary,
    /// One among others.
    Secondary,
    /// Cannot be taken back.
    Danger,
}

/// A button of a form: what it says, and the `step` that it sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submit {
    /// What it says.
    pub text: String,
    /// The value of `step`; empty: none is sent.
    pub step: &'static str,
    /// How it looks.
    pub weight: Weight,
}

/// A form.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "part/form.html")]
pub struct Form {
    /// Where it goes.
    pub action: String,
    /// `true`: `GET`, without the session's token.
    pub get: bool,
    /// Whether files go with it.
    pub upload: bool,
    /// The session's token against forged requests.
    pub csrf: String,
    /// The fields.
    pub groups: Vec<FieldGroup>,
    /// The buttons, the first of which Enter presses.
    pub submits: Vec<Submit>,
    /// Back, without doing anything.
    pub cancel: Option<Link>,
    /// What is wrong with the whole.
    pub error: Option<String>,
}

impl HtmlSafe for Form {}

impl Form {
    /// A form that posts.
    pub fn post(action: impl Into<String>, csrf: impl Into<String>, submit: impl Into<String>) -> Self {
        Self {
            action: action.into(),
            get: false,
            upload: false,
            csrf: csrf.into(),
            groups: Vec::new(),
            submits: vec![Submit { text: submit.into(), step: "", weight: Weight::Primary }],
            cancel: None,
            error: None,
        }
    }

    /// With a group of fields.
    #[must_use]
    pub fn group(mut self, legend: &str, note: &str, fields: Vec<Field>) -> Self {
        self.groups.push(FieldGroup::new(legend, note, fields));
        self
    }

    /// With fields that have no legend.
    #[must_use]
    pub fn fields(self, fields: Vec<Field>) -> Self {
        self.group("", "", fields)
    }

    /// With a way back.
    #[must_use]
    pub fn cancel(mut self, href: impl Into<String>) -> Self {
        self.cancel = Some(Link::to("Cancel", href));
        self
    }

    /// With an error about the whole.
    #[must_use]
    pub fn wrong(mut self, error: Option<String>) -> Self {
        self.error = error;
        self
    }

    /// With these buttons in the place of the one.
    #[must_use]
    pub fn submits(mut self, submits: Vec<Submit>) -> Self {
        self.submits = submits;
        self
    }

    /// With a button that warns.
    #[must_use]
    pub fn danger(mut self) -> Self {
        for submit in &mut self.submits {
            submit.weight = Weight::Danger;
        }
        self
    }

    /// Whether anything is wrong, for the page's title.
    pub fn has_errors(&self) -> bool {
        self.error.is_some() || self.wrong_fields().next().is_some()
    }

    fn wrong_fields(&self) -> impl Iterator<Item = &Field> {
        self.groups.iter().flat_map(|group| &group.fields).filter(|field| field.error.is_some())
    }
}

/// A button that posts by itself.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(
    ext = "html",
    source = r#"<form class="inline" method="post" action="{{ action }}"><input type="hidden" name="csrf" value="{{ csrf }}">{% for (name, value) in hidden %}<input type="hidden" name="{{ name }}" value="{{ value }}">{% endfor %}<button class="{{ self.class() }}"{% if let Some(label) = label %} aria-label="{{ label }}"{% endif %}>{{ text }}</button></form>"#
)]
pub struct Button {
    text: String,
    label: Option<String>,
    action: String,
    csrf: String,
    hidden: Vec<(String, String)>,
    weight: Weight,
}

impl HtmlSafe for Button {}

impl Button {
    /// A button that posts to `action`.
    pub fn new(text: impl Into<String>, action: impl Into<String>, csrf: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            label: None,
            action: action.into(),
            csrf: csrf.into(),
            hidden: Vec::new(),
            weight: Weight::Secondary,
        }
    }

    /// With a longer name for screen readers, where many buttons say the same.
    #[must_use]
    pub fn labelled(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// With a value that is sent along.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.hidden.push((name.into(), value.into()));
        self
    }

    /// Looks like this.
    #[must_use]
    pub fn weight(mut self, weight: Weight) -> Self {
        self.weight = weight;
        self
    }

    const fn class(&self) -> &'static str {
        self.weight.class()
    }
}

impl Weight {
    /// The class in the style sheet.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Primary => "button primary",
            Self::Secondary => "button",
            Self::Danger => "button danger",
        }
    }
}

/// Filters above a list: a form that only asks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Template)]
#[template(path = "part/filters.html")]
pub struct Filters {
    /// The list's address.
    pub action: String,
    /// The fields.
    pub fields: Vec<Field>,
    /// Where all filters are off; `None`: none is on.
    pub clear: Option<String>,
    /// What they are for, for screen readers.
    pub label: String,
}

impl HtmlSafe for Filters {}
