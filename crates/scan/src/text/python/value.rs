//! What is known of a value without running anything.

use std::rc::Rc;

/// Where a value that is not known comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// Put together from constants in a way that hides what it is.
    Built,
    /// Read from a file.
    File,
    /// A secret from the environment.
    Secret,
    /// The whole environment.
    Environment,
    /// Decoded, unpacked or decrypted.
    Decoded,
    /// Got over the network.
    Network,
}

impl Origin {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Built => "put together from pieces",
            Self::File => "read from a file",
            Self::Secret => "a secret from the environment",
            Self::Environment => "the environment variables",
            Self::Decoded => "decoded or unpacked",
            Self::Network => "from the network",
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Unknown,
    /// A module, or what is reached from one by attributes: `os.system`.
    Path(Rc<str>),
    Text(Rc<str>),
    Number(i64),
    List(Rc<Vec<Value>>),
    /// A method of a known string.
    Method(Rc<str>, Rc<str>),
    /// `operator.attrgetter("name")`.
    Getter(Rc<str>),
    /// The dictionary of the module's names.
    Names,
    Made(Origin),
}

/// The most characters that are put together; what is longer is only known to be built.
const MOST: usize = 4096;

impl Value {
    pub(crate) fn text(text: &str) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn path(path: &str) -> Self {
        Self::Path(path.into())
    }

    /// A list. Lists in lists are kept only where they are short and flat, so that all work on values is bounded.
    pub(crate) fn list(items: Vec<Self>) -> Self {
        let flat = |item: Self| match &item {
            Self::List(inner)
                if inner.len() > 8 || inner.iter().any(|item| matches!(item, Self::List(_))) =>
            {
                item.origin().map_or(Self::Unknown, Self::Made)
            }
            _ => item,
        };
        Self::List(Rc::new(items.into_iter().map(flat).collect()))
    }

    /// How much it says about what code can do; what says more is kept where a name is bound twice.
    pub(crate) fn rank(&self, sensitive: impl Fn(&str) -> bool) -> u8 {
        match self {
            Self::Path(path) if sensitive(path) => 4,
            Self::Made(_) | Self::Names | Self::Getter(_) => 3,
            Self::Path(_) => 2,
            Self::Unknown => 0,
            _ => 1,
        }
    }

    /// Whether it follows from constants alone.
    pub(crate) fn is_constant(&self) -> bool {
        match self {
            Self::Text(_) | Self::Number(_) | Self::Method(..) | Self::Made(Origin::Built) => true,
            Self::List(items) => items.iter().all(Self::is_constant),
            _ => false,
        }
    }

    /// Where it, or what is in it, comes from.
    pub(crate) fn origin(&self) -> Option<Origin> {
        match self {
            Self::Made(origin) => Some(*origin),
            Self::Path(path) if &**path == "os.environ" => Some(Origin::Environment),
            Self::List(items) => items.iter().filter_map(Self::origin).max(),
            _ => None,
        }
    }

    /// What becomes of two in an operation that is not followed.
    pub(crate) fn mix(&self, other: &Self) -> Self {
        match (self.origin(), other.origin()) {
            (None, None) if self.is_constant() && other.is_constant() => match (self, other) {
                (Self::Number(_), Self::Number(_)) => Self::Unknown,
                _ => Self::Made(Origin::Built),
            },
            (None, None) => Self::Unknown,
            (a, b) => a.max(b).filter(|origin| *origin > Origin::Built).map_or(Self::Unknown, Self::Made),
        }
    }

    pub(crate) fn add(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) if a.len() + b.len() <= MOST => Self::text(&format!("{a}{b}")),
            (Self::Number(a), Self::Number(b)) => a.checked_add(*b).map_or(Self::Unknown, Self::Number),
            _ => self.mix(other),
        }
    }

    /// `self % other` for a string with plain `%s` only.
    pub(crate) fn percent(&self, other: &Self) -> Self {
        if let Self::Text(pattern) = self
            && pattern.len() <= MOST
        {
            let arguments: Vec<&Self> = match other {
                Self::List(items) => items.iter().collect(),
                one => vec![one],
            };
            let mut parts = pattern.split("%s");
            let mut out = parts.next().unwrap_or("").to_owned();
            let mut arguments = arguments.into_iter();
            for part in parts {
                let Some(Self::Text(text)) = arguments.next() else { return self.mix(other) };
                if out.len() + text.len() + part.len() > MOST {
                    return Self::Made(Origin::Built);
                }
                out.push_str(text);
                out.push_str(part);
            }
            if !out.contains('%') {
                return Self::text(&out);
            }
        }
        match (self, other) {
            (Self::Number(_), Self::Number(_)) => Self::Unknown,
            _ => self.mix(other),
        }
    }

    /// `separator.join(items)`.
    pub(crate) fn join(separator: &str, items: &[Self]) -> Self {
        let texts: Option<Vec<&str>> = items
            .iter()
            .map(|item| match item {
                Self::Text(text) => Some(&**text),
                _ => None,
            })
            .collect();
        match texts {
            Some(texts) if texts.iter().map(|text| text.len() + separator.len()).sum::<usize>() <= MOST => {
                Self::text(&texts.join(separator))
            }
            _ => {
                let origin = items.iter().filter_map(Self::origin).max();
                match origin {
                    Some(origin) => Self::Made(origin),
                    None if items.iter().all(Self::is_constant) => Self::Made(Origin::Built),
                    None => Self::Unknown,
                }
            }
        }
    }
}
