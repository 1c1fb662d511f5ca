//! Where the YAML at the top of a model card ends. What it claims is for the lineage to read.

/// The most lines that are read.
const LINES: usize = 2000;

/// The front matter of a card with its lines of dashes, if it has one.
pub(crate) fn front_matter(text: &str) -> Option<&str> {
    let start = text.len() - text.trim_start_matches('\u{feff}').len();
    let mut lines = text.get(start..)?.split_inclusive('\n');
    let first = lines.next()?;
    if first.trim_end() != "---" {
        return None;
    }
    let mut len = start + first.len();
    for line in lines.take(LINES) {
        len += line.len();
        if matches!(line.trim_end(), "---" | "...") {
            return text.get(..len);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::front_matter;

    #[test]
    fn it_ends_with_its_dashes_or_is_none() {
        assert_eq!(front_matter("\u{feff}---\na: b\n---\n# Card\n"), Some("\u{feff}---\na: b\n---\n"));
        assert_eq!(front_matter("---\r\na: b\r\n...\r\ntext"), Some("---\r\na: b\r\n...\r\n"));
        assert_eq!(front_matter("# Card\n---\na: b\n---\n"), None);
        assert_eq!(front_matter("---\na: b\n"), None);
        assert_eq!(front_matter(&format!("---\n{}---\n", "a: b\n".repeat(5000))), None);
        assert_eq!(front_matter(""), None);
    }
}
