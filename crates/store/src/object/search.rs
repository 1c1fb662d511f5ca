//! Search: words, in an index of our own that both databases keep as a plain table.

use std::collections::BTreeSet;

use sqlx::AssertSqlSafe;

use super::read::{cut, head, head_of, last};
use super::{Filter, Head, Key, MAX_WORDS, Page};
use crate::db::{args, pad, padded, places};
use crate::policy::seen;
use crate::{Error, Reading};

/// The most letters of a word; longer ones are cut.
const LONGEST: usize = 40;
/// The most words of a query.
const MAX_QUERY: usize = 8;
/// How many of its objects are counted to find the rarest word.
const SAMPLE: i64 = 2000;

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
        if kinds.len() > Filter::MAX {
            return Err(Error::Refused(format!("at most {} types", Filter::MAX)));
        }
        let words = self.rarest_first(words(&[query], MAX_QUERY)).await?;
        let Some((first, others)) = words.split_first() else { return Ok(Page::empty()) };
        let end = match after {
            Some(after) => self.upper(after).await?,
            None => i64::MAX,
        };
        let most = self.limit(limit).saturating_add(1);
        let mut args = args![first, end, self.viewer(), most];
        let mut sql = format!(
            "SELECT {} FROM word w CROSS JOIN object o WHERE w.word = $1 AND w.seq < $2 AND o.seq = w.seq AND {} AND {}",
            head!(),
            seen!("o.policy", "$3"),
            last!("$3")
        );
        for word in others {
            args.push(word.into());
            sql.push_str(&format!(
                " AND EXISTS (SELECT 1 FROM word x WHERE x.word = ${} AND x.seq = w.seq)",
                args.len()
            ));
        }
        if !kinds.is_empty() {
            let size = padded(kinds.len());
            sql.push_str(&format!(" AND o.kind IN ({})", places(args.len().saturating_add(1), size)));
            pad(&mut args, kinds.iter().copied(), size);
        }
        sql.push_str(" ORDER BY w.seq DESC LIMIT $4 + 0");
        let rows = self.fetch(AssertSqlSafe(sql), args).await?;
        let rows = rows.iter().map(|row| head_of(self.store(), row)).collect::<Result<_, _>>()?;
        Ok(cut(rows, self.most(limit), |head: &Head| &head.key))
    }

    /// The rarest word first: the search goes through its objects. What is found does not depend on it.
    async fn rarest_first(&self, words: Vec<String>) -> Result<Vec<String>, Error> {
        if words.len() < 2 {
            return Ok(words);
        }
        let mut counted = Vec::new();
        for word in words {
            let sql = "SELECT count(*) FROM (SELECT 1 FROM word WHERE word = $1 LIMIT $2 + 0) AS sample";
            let rows = self.fetch(sql, args![&word, SAMPLE]).await?;
            counted.push((rows.first().map_or(Ok(0), |row| row.int(0))?, word));
        }
        counted.sort();
        Ok(counted.into_iter().map(|(_, word)| word).collect())
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
