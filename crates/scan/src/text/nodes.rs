//! Where YAML has the values of a key, in whatever style: what [`super::yaml`] goes by. Work is linear in the text.

use std::cell::{Cell, OnceCell};
use std::collections::{HashMap, HashSet};

use super::lines::ends_yaml;
use super::scalars;

/// The longest tag, and the longest text that is taken for a name.
const LONG: usize = 400;

/// The most characters of a name that only ruamel takes for one, and of a path in front of a key.
const ODD: usize = 64;

/// The most marks in front of a node: its tag, its anchor, that of a block, and one more for what has several.
const PROPERTIES: usize = 8;

/// The most nodes with one anchor that are looked at.
const ANCHORS: usize = 16;

/// A text without comments in lines of their own.
pub(super) struct Nodes<'t> {
    text: &'t str,
    anchors: HashMap<&'t str, Anchored<'t>>,
    /// The comment that was skipped last: where it begins and ends, and where what follows begins.
    comment: Cell<(usize, usize, usize)>,
}

/// The nodes with one anchor: where they begin, behind its name, and what with, once somebody asks for it.
#[derive(Default)]
struct Anchored<'t> {
    places: Vec<usize>,
    values: OnceCell<Vec<Value<'t>>>,
}

/// What a node begins with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Value<'t> {
    /// After its quote, if it has one.
    pub(super) rest: &'t str,
    pub(super) quote: Option<char>,
    /// Where the mark of a block stands that it has in front: its lines begin in the next.
    pub(super) block: Option<usize>,
}

impl<'t> Nodes<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let mut anchors: HashMap<&'t str, Anchored<'t>> = HashMap::new();
        for (at, _) in text.match_indices('&') {
            let name = anchor_name(text.get(at + 1..).unwrap_or(""));
            // `R & D` has no anchor.
            if name.is_empty() {
                continue;
            }
            let known = &mut anchors.entry(name).or_default().places;
            if known.len() <= ANCHORS {
                known.push(at + 1 + name.len());
            }
        }
        Self { text, anchors, comment: Cell::default() }
    }

    pub(super) fn text(&self) -> &'t str {
        self.text
    }

    /// The values of `key`, wherever and in whatever style it stands: in a block or between braces, in quotes, in the line after.
    pub(super) fn values(&self, key: &str) -> impl Iterator<Item = (usize, Value<'t>)> {
        self.text.match_indices(key).filter_map(|(at, _)| {
            // Behind a dot it is the last part of a key: `model.class_path`, as LightningCLI takes it.
            let longer = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '/');
            if self.text.get(..at).is_some_and(|before| before.ends_with(longer)) {
                return None;
            }
            // After `?`, the colon stands in a line of its own, maybe after a comment.
            let rest = self.text.get(at + key.len()..).unwrap_or("");
            let colon = self.skip(self.text.len() - rest.trim_start_matches(['"', '\'']).len());
            self.text.get(colon..)?.starts_with(':').then(|| (at, self.node(colon + 1)))
        })
    }

    /// Whether a key may begin where the last part of one stands.
    pub(super) fn may_begin(&self, at: usize) -> bool {
        let before = self.text.get(..at).unwrap_or("");
        let near = before.get(before.floor_char_boundary(at.saturating_sub(ODD))..).unwrap_or("");
        let rest =
            near.trim_end_matches(|c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | ':' | '#' | '+'));
        // What goes on for longer is no prose.
        rest.is_empty() || before.get(..before.len() - (near.len() - rest.len())).is_some_and(begins)
    }

    /// Where `=` is a key. YAML 1.1 calls it the value of a mapping, and PyYAML takes such a mapping for the value itself wherever a
    /// text is asked for, which a tag does: `!!str {=: os.system}`.
    pub(super) fn value_key(&self) -> Option<usize> {
        if !self.text.match_indices('!').any(|(at, _)| self.text.get(..at).is_some_and(begins)) {
            return None;
        }
        self.text.match_indices('=').map(|(at, _)| at).find(|at| {
            let before = self.text.get(..*at).unwrap_or("");
            let colon = || self.text.get(self.skip(at + 1)..).is_some_and(|rest| rest.starts_with(':'));
            // In quotes it is a text like any other.
            begins(before) && !before.ends_with(['"', '\'']) && colon()
        })
    }

    /// The nodes that an alias may stand for; `None` if that cannot be told.
    pub(super) fn anchored(&self, name: &str) -> Option<&[Value<'t>]> {
        let known = self.anchors.get(name).filter(|known| known.places.len() <= ANCHORS)?;
        // Many aliases may stand for one node, and much that is blank in front of it.
        Some(known.values.get_or_init(|| known.places.iter().map(|at| self.node(*at)).collect()))
    }

    /// Whether what stands at `at` lies in a text in double quotes, maybe behind other parts of a key.
    pub(super) fn in_quotes(&self, at: usize) -> bool {
        let before = self.text.get(..at).unwrap_or("");
        let near = before.get(before.floor_char_boundary(at.saturating_sub(ODD))..).unwrap_or("");
        let rest = near.trim_end_matches(|c: char| c.is_alphanumeric() || matches!(c, '_' | '.'));
        rest.ends_with('"') || rest.is_empty() && !before.is_empty()
    }

    /// Where a key is said by an alias, and the alias: one that stands where keys do, or whose own text is a key.
    pub(super) fn aliased_key(&self, is_key: impl Fn(&str) -> bool) -> Option<(usize, &'t str)> {
        let explicit = self.text.contains('?');
        let says_key = |name: &&&str| match self.anchored(name) {
            Some(nodes) => nodes.iter().any(|value| value.scalar().is_some_and(&is_key)),
            // Too many to be looked at.
            None => explicit,
        };
        let keys: HashSet<&str> = self.anchors.keys().filter(says_key).copied().collect();
        self.text.match_indices('*').find_map(|(at, _)| {
            let name = anchor_name(self.text.get(at + 1..)?);
            let before = self.text.get(..at)?;
            let inside = |c: char| !(c.is_whitespace() || matches!(c, '{' | '[' | ',' | '?' | '\u{feff}'));
            if before.ends_with(inside) || !self.anchors.contains_key(name) {
                return None;
            }
            let rest = self.text.get(at + 1 + name.len()..)?.trim_start_matches([' ', '\t']);
            let in_place = rest.starts_with(':') || before.trim_end().ends_with('?');
            (in_place || keys.contains(name)).then_some((at, name))
        })
    }

    /// What a node begins with, without what may stand in front of it: its tag and anchor, the mark of a block.
    fn node(&self, at: usize) -> Value<'t> {
        let mut at = at;
        let mut block = None;
        for _ in 0..PROPERTIES {
            at = self.skip(at);
            let rest = self.text.get(at..).unwrap_or("");
            let first = rest.chars().next();
            if !matches!(first, Some('&' | '!' | '|' | '>')) {
                let quote = first.filter(|c| matches!(c, '"' | '\''));
                return Value {
                    rest: rest.get(quote.map_or(0, char::len_utf8)..).unwrap_or(""),
                    quote,
                    block,
                };
            }
            block = block.or_else(|| matches!(first, Some('|' | '>')).then_some(at));
            // Other blanks than YAML's own are characters of a name.
            match rest.char_indices().take(LONG).find(|(_, c)| matches!(c, ' ' | '\t') || ends_yaml(*c)) {
                Some((end, _)) => at += end,
                // What goes on for so long could hide anything: an alias of nothing.
                None if rest.len() > LONG => return Value { rest: "*", quote: None, block },
                None => return Value { rest: "", quote: None, block },
            }
        }
        Value { rest: "*", quote: None, block }
    }

    /// Where something follows that is neither blank nor a comment.
    fn skip(&self, at: usize) -> usize {
        let here = |at: usize| self.text.get(at..).unwrap_or("");
        let blank = |at: usize| self.text.len() - here(at).trim_start().len();
        let start = blank(at);
        if !here(start).starts_with('#') {
            return start;
        }
        let (from, until, after) = self.comment.get();
        if (from..until).contains(&start) {
            return after;
        }
        let line = |at: usize| here(at).find(ends_yaml).map_or(self.text.len(), |end| at + end);
        let end = line(start);
        let mut after = blank(end);
        while here(after).starts_with('#') {
            after = blank(line(after));
        }
        self.comment.set((start, end, after));
        after
    }
}

impl<'t> Value<'t> {
    /// The name of the node that it stands for.
    pub(super) fn alias(self) -> Option<&'t str> {
        self.rest.strip_prefix('*').filter(|_| self.quote.is_none()).map(anchor_name)
    }

    /// Whether it is a text in quotes with blanks among its first characters, as no name has them.
    pub(super) fn is_prose(self) -> bool {
        self.quote.is_some() && self.rest.chars().take(LONG).any(char::is_whitespace)
    }

    /// Whether it is a list with anything in it.
    pub(super) fn begins_list(self) -> bool {
        let rest = self.rest;
        let flow = rest.strip_prefix('[').is_some_and(|rest| !rest.trim_start().starts_with(']'));
        self.quote.is_none() && (flow || rest.starts_with("- ") || rest.starts_with("-\n"))
    }

    /// The beginning of a text in double quotes with its escapes undone, if it has any.
    pub(super) fn unescaped(self) -> Option<String> {
        let near = self.rest.get(..self.rest.floor_char_boundary(LONG)).unwrap_or("");
        (self.quote == Some('"') && near.contains('\\')).then(|| scalars::undone(near))
    }

    /// The text that it has, up to what can be in no name. What stands in `${…}` is part of it. `None` if it is very long.
    pub(super) fn scalar(self) -> Option<&'t str> {
        let mut depth = 0_usize;
        for (at, c) in self.rest.char_indices() {
            if at > LONG {
                return None;
            }
            let outside = depth == 0 && (c.is_whitespace() || matches!(c, ',' | '}' | ']'));
            if ends_yaml(c) || self.quote.map_or(outside, |quote| c == quote) {
                return Some(self.rest.get(..at).unwrap_or("").trim_end());
            }
            match c {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        Some(self.rest.trim_end())
    }
}

/// Whether a text of its own may begin behind `before`.
pub(super) fn begins(before: &str) -> bool {
    let trimmed = before.trim_end_matches([' ', '\t']);
    let Some(last) = trimmed.chars().next_back().filter(|c| !ends_yaml(*c)) else { return true };
    let blank = trimmed.len() < before.len();
    // Behind a tag, an anchor or the mark of a block.
    let marked = || {
        let word = trimmed.rsplit(|c| matches!(c, ' ' | '\t') || ends_yaml(c)).next();
        word.is_some_and(|word| word.starts_with(['!', '&', '|', '>']))
    };
    // Behind a text in quotes or what is in brackets, a colon needs no blank, nor does a question mark between brackets.
    let inside = |ends: &[char]| {
        let rest = trimmed.get(..trimmed.len() - 1).unwrap_or("").trim_end_matches([' ', '\t']);
        rest.ends_with(ends)
    };
    match last {
        '"' | '\'' | '[' | '{' | ',' => true,
        ':' => blank || inside(&['"', '\'', ']', '}']),
        '?' => blank || inside(&['[', '{', ',']),
        _ => blank && (last == '-' || marked()),
    }
}

/// The name at the beginning of `rest`, as PyYAML and libyaml end those of aliases and anchors; ruamel takes nearly everything for
/// one, which counts where they see none.
fn anchor_name(rest: &str) -> &str {
    let until = |ends: fn(char) -> bool| rest.get(..rest.find(ends).unwrap_or(rest.len())).unwrap_or("");
    match until(|c| !(c.is_alphanumeric() || matches!(c, '-' | '_'))) {
        "" => {
            let short = rest.char_indices().nth(ODD).map_or(rest, |(end, _)| rest.get(..end).unwrap_or(""));
            let ends = |c: char| c.is_whitespace() || matches!(c, ',' | '[' | ']' | '{' | '}');
            short.get(..short.find(ends).unwrap_or(short.len())).unwrap_or("")
        }
        name => name,
    }
}
