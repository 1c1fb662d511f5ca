//! Model cards and pages: text that people do not see, what speaks to models, what browsers run.

use ostrom_core::Severity;

use super::hidden::Sort;
use super::instructions::addressed;
use super::{ACTIVE_CONTENT, HIDDEN_INSTRUCTIONS, HIDDEN_STYLE, PROSE, hidden, stream, text_of, yaml};
use crate::examination::{Examination, escape};
use crate::source::View;
use crate::trouble::Trouble;

/// The most of one hidden text that is looked at.
const HIDDEN: usize = 16 << 10;

/// The longest tag that is read.
const TAG: usize = 4096;

/// How much of what follows tags is looked at in full; after that only a little of each.
const WORK: usize = 8 << 20;

/// Styles that hide text, without spaces.
const STYLES: [&str; 11] = [
    "display:none",
    "visibility:hidden",
    "font-size:0",
    "font-size:1px",
    "opacity:0;",
    "opacity:0\"",
    "opacity:0.0",
    "left:-9999",
    "text-indent:-9999",
    "max-height:0",
    "color:transparent",
];

/// Styles that hide text only on a page of the same colour.
const WHITE: [&str; 4] = ["color:white", "color:#fff", "color:#ffffff", "color:rgb(255,255,255)"];

pub(super) fn examine(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    let text = text_of(view, scan)?;
    if let Some(matter) = super::front_matter(&text) {
        yaml::examine_text(matter, scan);
    }
    prose(&text, scan);
    Ok(())
}

/// How much of a page is looked at at once, and how much of that once more with what follows, for what lies on the border.
const PAGE: u64 = PROSE * 16;
const BORDER: u64 = 64 << 10;

pub(super) fn examine_html(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    if view.len() <= PAGE {
        let text = text_of(view, scan)?;
        hidden::examine(&text, 0, Sort::Prose, scan);
        markup(&text, 0, true, scan);
        return Ok(());
    }
    // A page of figures, say.
    stream::watch(view, Sort::Prose, scan)?;
    let mut at = 0;
    while at < view.len() {
        let len = PAGE.min(view.len() - at);
        let part = view.part(at, len).ok_or(Trouble::Changed)?;
        markup(&text_of(&part, scan)?, at, true, scan);
        if at + len == view.len() {
            break;
        }
        at += len - BORDER;
    }
    Ok(())
}

/// Markdown.
pub(super) fn prose(text: &str, scan: &mut Examination<'_>) {
    hidden::examine(text, 0, Sort::Prose, scan);
    let outside = without_fences(text);
    markup(&outside, 0, false, scan);
    for line in outside.lines() {
        let bare = line.trim_start();
        // `[//]: # (text)` and its kin are comments.
        if let Some(rest) = bare.strip_prefix('[')
            && let Some((_, comment)) = rest.split_once("]: ")
            && (rest.starts_with("//]")
                || rest.starts_with("comment]")
                || comment.starts_with("# ")
                || comment.starts_with("<> "))
        {
            speaks(comment, 0, "a comment", scan);
        }
    }
}

/// The text with its blocks of code made blank, so that offsets stay.
fn without_fences(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut fence: Option<&str> = None;
    for line in text.split_inclusive('\n') {
        let bare = line.trim_start();
        let mark = ["```", "~~~"].into_iter().find(|mark| bare.starts_with(mark));
        match (fence, mark) {
            (None, None) => {
                out.push_str(line);
                continue;
            }
            (None, Some(mark)) => fence = Some(mark),
            (Some(open), Some(mark)) if open == mark => fence = None,
            _ => {}
        }
        out.extend(std::iter::repeat_n(' ', line.len().saturating_sub(1)));
        out.push('\n');
    }
    out
}

fn speaks(text: &str, at: u64, where_: &str, scan: &mut Examination<'_>) {
    let mut rest = text;
    loop {
        let end = rest.char_indices().nth(HIDDEN).map_or(rest.len(), |(end, _)| end);
        let part = rest.get(..end).unwrap_or(rest);
        if let Some(phrase) = addressed(part) {
            let what = format!("{where_} speaks to a model ({phrase:?}): {}", escape(part.trim(), 300));
            scan.report(HIDDEN_INSTRUCTIONS, Some(at), what);
            return;
        }
        // What is said where one part ends begins again in the next.
        let next =
            part.char_indices().rev().nth(HIDDEN / 8).map(|(next, _)| next).filter(|_| end < rest.len());
        match next.and_then(|next| rest.get(next..)) {
            Some(after) => rest = after,
            None => return,
        }
    }
}

/// Comments, hidden elements and scripts of HTML that begins at `base`.
fn markup(text: &str, base: u64, page: bool, scan: &mut Examination<'_>) {
    let mut at = 0;
    let mut scripts = 0u32;
    // Where the next tag ends, found once for all that begin before.
    let mut close = 0;
    let mut shared = 0;
    // How much of what follows tags may still be looked at.
    let mut left = WORK;
    while let Some(found) = text.get(at..).and_then(|rest| rest.find('<')) {
        let start = at + found;
        let rest = text.get(start..).unwrap_or("");
        if let Some(comment) = rest.strip_prefix("<!--") {
            let len = comment.find("-->").unwrap_or(comment.len());
            speaks(comment.get(..len).unwrap_or(""), base + start as u64, "a comment", scan);
            at = start + 4 + len;
            continue;
        }
        let is_tag = rest.as_bytes().get(1).is_some_and(u8::is_ascii_alphabetic);
        if close <= start {
            close = rest.find('>').map_or(text.len(), |len| start + len);
            shared = 0;
        }
        let len = close - start;
        shared += 1;
        // More tags than this do not share an end, save in a text made to be slow.
        if !is_tag || len > TAG || close == text.len() || shared > 16 {
            at = start + 1;
            continue;
        }
        let tag = rest.get(..=len).unwrap_or("");
        let lower: String =
            tag.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_lowercase();
        let after = rest.get(len + 1..).unwrap_or("");
        let runs = lower.starts_with("<script") && !lower.contains("json") || runs_on_event(&lower);
        if runs {
            let body = ahead(after, &mut left);
            let end = body.find("</script").unwrap_or(0);
            let steals = steals(&lower) || steals(body.get(..end).unwrap_or(""));
            scripts += 1;
            if steals || scripts == 1 {
                let severity = match (steals, page) {
                    (true, _) => Severity::High,
                    (false, false) => Severity::Low,
                    (false, true) => Severity::Info,
                };
                let what = format!("a browser runs {}", escape(tag, 120));
                scan.report_as(severity, ACTIVE_CONTENT, Some(base + start as u64), what);
            }
        }
        hidden_element(&lower, tag, after, base + start as u64, page, &mut left, scan);
        at = start + len + 1;
    }
}

/// What follows a tag, as far as there is work left.
fn ahead(after: &str, left: &mut usize) -> String {
    let most = HIDDEN.min((*left).max(256));
    let body: String = after.chars().take(most).collect();
    *left = left.saturating_sub(body.len());
    body
}

/// Whether a tag, in lower case and without spaces, has a script of its own. Braces mark the code of a program that is quoted.
fn runs_on_event(tag: &str) -> bool {
    let events = ["onerror=", "onload=", "onclick=", "onmouseover=", "onfocus=", "ontoggle="];
    tag.contains("javascript:")
        || events
            .iter()
            .any(|event| tag.split_once(event).is_some_and(|(_, value)| !value.starts_with(['{', '>', '/'])))
}

/// An element that does not show.
fn hidden_element(
    lower: &str,
    tag: &str,
    after: &str,
    start: u64,
    page: bool,
    left: &mut usize,
    scan: &mut Examination<'_>,
) {
    let hides = STYLES.iter().any(|style| lower.contains(style))
        || lower.contains("hidden>") && tag.contains(" hidden");
    let white = WHITE.iter().any(|style| lower.contains(style));
    if !(hides || white) {
        return;
    }
    let name: String = lower.chars().skip(1).take_while(char::is_ascii_alphanumeric).collect();
    let body = ahead(after, left);
    let inner =
        body.to_ascii_lowercase().find(&format!("</{name}")).and_then(|end| body.get(..end)).unwrap_or(&body);
    let words = without_tags(inner);
    if addressed(&words).is_some() {
        speaks(&words, start, "an element that does not show", scan);
    } else if hides && !page && words.chars().filter(|c| c.is_alphabetic()).count() >= 20 {
        let what = format!("text that does not show: {}", escape(words.trim(), 200));
        scan.report(HIDDEN_STYLE, Some(start), what);
    }
}

fn without_tags(html: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for c in html.chars() {
        match c {
            '<' => inside = true,
            '>' if inside => {
                inside = false;
                out.push(' ');
            }
            c if !inside => out.push(c),
            _ => {}
        }
    }
    out
}

/// Whether a script takes what a browser keeps, or hides what it runs.
pub(super) fn steals(script: &str) -> bool {
    let plain: String =
        script.chars().filter(|c| !c.is_whitespace()).take(1 << 20).collect::<String>().to_ascii_lowercase();
    let sends = ["fetch(", "xmlhttprequest", "sendbeacon", "newimage", ".src="]
        .iter()
        .any(|word| plain.contains(word));
    let takes = ["document.cookie", "localstorage", "jupyter.notebook.kernel.execute", "kernel.execute("]
        .iter()
        .any(|word| plain.contains(word));
    plain.contains("eval(atob(")
        || plain.contains("kernel.execute(")
        || (sends && takes && plain.contains("document.cookie"))
}
