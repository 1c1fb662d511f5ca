//! The YAML at the top of a model card, as far as it is flat: what the card claims.

use std::collections::BTreeMap;

/// The most lines and values that are read.
const LINES: usize = 2000;

/// What the card says of the model. Claims, not evidence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FrontMatter {
    values: BTreeMap<String, Vec<String>>,
    /// Bytes that it takes, with its lines of dashes.
    pub(crate) len: usize,
}

impl FrontMatter {
    /// The values of a key of the top level: one, those of a list, or none.
    pub(crate) fn get(&self, key: &str) -> &[String] {
        self.values.get(key).map_or(&[], Vec::as_slice)
    }
}

/// Reads the front matter of a card, if it has one: `base_model`, `license`, `datasets` and whatever else is flat.
pub(crate) fn front_matter(text: &str) -> Option<FrontMatter> {
    let start = text.len() - text.trim_start_matches('\u{feff}').len();
    let mut lines = text.get(start..)?.split_inclusive('\n');
    let first = lines.next()?;
    if first.trim_end() != "---" {
        return None;
    }
    let mut matter = FrontMatter { len: start + first.len(), ..FrontMatter::default() };
    let mut open: Option<String> = None;
    for line in lines.take(LINES) {
        matter.len += line.len();
        let bare = line.trim_end();
        if bare == "---" || bare == "..." {
            return Some(matter);
        }
        let inner = bare.trim_start();
        if inner.is_empty() || inner.starts_with('#') {
            continue;
        }
        if let Some(item) = inner.strip_prefix("- ").or_else(|| (inner == "-").then_some("")) {
            // An item of a list; a mapping as an item is not flat.
            if let (Some(key), Some(value)) = (&open, scalar(item))
                && !value.is_empty()
                && !is_mapping(item)
            {
                matter.values.entry(key.clone()).or_default().push(value);
            }
            continue;
        }
        if inner.len() < bare.len() {
            // Deeper: belongs to a key that is not flat, or goes on with a text.
            continue;
        }
        let Some((key, value)) = bare.split_once(':') else {
            open = None;
            continue;
        };
        let key = key.trim().trim_matches(['"', '\'']).to_owned();
        let value = value.trim();
        let values = matter.values.entry(key.clone()).or_default();
        match flow(value) {
            Some(items) => values.extend(items),
            None if !matches!(value, "" | "|" | ">" | "|-" | ">-") => values.extend(scalar(value)),
            None => {}
        }
        open = Some(key);
    }
    None
}

fn is_mapping(item: &str) -> bool {
    !item.starts_with(['"', '\'']) && (item.contains(": ") || item.ends_with(':'))
}

/// `[a, "b"]`
fn flow(value: &str) -> Option<Vec<String>> {
    let inside = value.strip_prefix('[')?;
    let inside = inside.get(..inside.find(']')?)?;
    Some(inside.split(',').filter_map(scalar).filter(|item| !item.is_empty()).take(LINES).collect())
}

/// A plain or quoted value without its comment; `None` for null.
fn scalar(value: &str) -> Option<String> {
    let value = value.trim();
    for quote in ['"', '\''] {
        if let Some(rest) = value.strip_prefix(quote) {
            return Some(rest.split(quote).next().unwrap_or(rest).to_owned());
        }
    }
    let value = value.split(" #").next().unwrap_or(value).trim();
    (!matches!(value, "null" | "~")).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn claims_are_read() {
        let card = "---\nlicense: apache-2.0 # free\nbase_model:\n- org/parent\n  # one more\n- \"org/other\"\ndatasets: [a/b, 'c']\nmodel-index:\n- name: x\n  results: []\nlanguage:\n  - en\nempty:\n---\n# Card\nlicense: mit\n";
        let matter = front_matter(card).unwrap();
        assert_eq!(matter.get("license"), ["apache-2.0"]);
        assert_eq!(matter.get("base_model"), ["org/parent", "org/other"]);
        assert_eq!(matter.get("datasets"), ["a/b", "c"]);
        assert_eq!(matter.get("language"), ["en"]);
        assert!(matter.get("model-index").is_empty() && matter.get("empty").is_empty());
        assert!(card.get(matter.len..).unwrap().starts_with("# Card"));
        assert_eq!(front_matter("# Card\n---\na: b\n---\n"), None);
        assert_eq!(front_matter("---\na: b\n"), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "---\n[-a: \\[\\],\"'#\n\u{e9}|>]{0,80}(---\n)?") {
            front_matter(&text);
        }
    }
}
