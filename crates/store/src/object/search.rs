//! Search: words, in an index of our own that both databases keep as a plain table.

use std::collections::BTreeSet;

use super::read::From;
use super::{Head, Key, MAX_WORDS, Page};
use crate::db::args;
use crate::{Error, Reading};

/// The most letters of a word; longer ones are cut.
const LONGEST: usize = 40;
/// The most words of a query.
const MAX_QUERY: usize = 8;
/// How many of its objects are counted to find the rarest word.
pub(super) const SAMPLE: i64 = 2000;

/// The words of a text in lower case, each once, in the order of their first appearance: at most `most`.
pub(crate) fn words(texts: &[&str], most: usize) -> Vec<String> {
    let mut known = BTreeSet::new();
    let mut found = Vec::new();
    for text in texts {
        for run in text.split(|letter: char| !letter.is_alphanumeric()).filter(|run| !run.is_empty()) {
            if found.len() >= most {
                return found;
            }
            let word: String = run.chars().flat_map(char::to_lowercase).take(LONGEST).collect();
            if known.insert(word.clone()) {
                found.push(word);
            }
        }
    }
    found
}

/// The words that search knows of an object.
pub(super) fn words_of(title: &str, text: &str) -> Vec<String> {
    words(&[title, text], MAX_WORDS)
}

impl Reading {
    /// Objects whose last visible version has all words of the query in its title or text, the one that was added last first: at most `limit` after the place
    /// `after`; only these types, if any is named. Nothing for a query without words; words past the eighth do not count.
    ///
    /// # Errors
    /// As for [`page`](Self::page).
    pub async fn search(
        &self,
        query: &str,
        kinds: &[&str],
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Page<Head>, Error> {
        let (words, common) = self.rarest_first(words(&[query], MAX_QUERY)).await?;
        let Some((first, others)) = words.split_first() else { return Ok(Page::empty()) };
        let mut condition = " AND w.word = $4 AND o.seq = w.seq".to_owned();
        let mut args = args![first];
        for word in others {
            args.push(word.into());
            let place = args.len().saturating_add(3);
            condition.push_str(&format!(
                " AND EXISTS (SELECT 1 FROM word x WHERE x.word = ${place} AND x.seq = w.seq)"
            ));
        }
        let from = From { tables: "word w CROSS JOIN object o", place: "w.seq", condition, args, common };
        self.newest_first(from, kinds, after, limit).await
    }

    /// The rarest word first: the search goes through its objects; and whether it is common even so. What is found does not depend on it.
    async fn rarest_first(&self, words: Vec<String>) -> Result<(Vec<String>, bool), Error> {
        let mut counted = Vec::new();
        for word in words {
            let sql = "SELECT count(*) FROM (SELECT 1 FROM word WHERE word = $1 LIMIT $2 + 0) AS sample";
            let rows = self.fetch(sql, args![&word, SAMPLE]).await?;
            counted.push((rows.first().map_or(Ok(0), |row| row.int(0))?, word));
        }
        counted.sort();
        let common = counted.first().is_some_and(|(count, _)| *count >= SAMPLE);
        Ok((counted.into_iter().map(|(_, word)| word).collect(), common))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_lower_case_and_each_once() {
        let found = words(&["Prompt-Injection in GPT-4o: prompt", "Über CVE-2024-1 ﬁn İ"], 100);
        let expected =
            ["prompt", "injection", "in", "gpt", "4o", "über", "cve", "2024", "1", "ﬁn", "i\u{307}"];
        assert_eq!(found, expected);
        assert_eq!(words(&["a b c"], 2), ["a", "b"]);
        assert_eq!(words(&["-- ,"], 2), [""; 0]);
        assert_eq!(words(&[&"x".repeat(1000)], 2), ["x".repeat(40)]);
    }
}
