//! Characters and words moved, spaced, cut or left out.

use super::map_words;
use super::substitute::is_vowel;

pub(super) fn reverse_chars(text: &str) -> String {
    text.chars().rev().collect()
}

pub(super) fn reverse_words(text: &str) -> String {
    text.split_whitespace().rev().collect::<Vec<_>>().join(" ")
}

pub(super) fn spaced_letters(text: &str) -> String {
    let spaced = |word: &str| word.chars().map(String::from).collect::<Vec<_>>().join(" ");
    text.split_whitespace().map(spaced).collect::<Vec<_>>().join("   ")
}

pub(super) fn vertical_lines(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join("\n")
}

pub(super) fn vowel_drop(text: &str) -> String {
    map_words(text, |word| {
        // An opening quote or bracket is not yet the start of the word.
        let mut started = false;
        let mut keep = |c: char| {
            let kept = !started || !is_vowel(c);
            started |= c.is_alphanumeric();
            kept
        };
        word.chars().filter(|&c| keep(c)).collect()
    })
}

pub(super) fn typo_noise(text: &str) -> String {
    map_words(text, |word| {
        let mut characters: Vec<char> = word.chars().collect();
        if characters.len() >= 5 {
            characters.swap(1, 2);
        }
        characters.into_iter().collect()
    })
}

pub(super) fn split_quotes(text: &str) -> String {
    map_words(text, |word| {
        let length = word.chars().count();
        if length < 4 {
            return word.to_owned();
        }
        let first: String = word.chars().take(length / 2).collect();
        let second: String = word.chars().skip(length / 2).collect();
        format!("\"{first}\" + \"{second}\"")
    })
}

pub(super) fn numbered_words(text: &str) -> String {
    let mut number = 0_usize;
    map_words(text, |word| {
        number += 1;
        format!("{number}:{word}")
    })
}
