//! Jinja in the values of configurations: prompts and tasks that their loaders render, most of them without a sandbox. Unlike a chat
//! template, such a text is judged by nothing but whether it reaches into the interpreter: what it says is up to who wrote it.

use ostrom_core::Severity;

use super::yaml::Found;
use crate::examination::escape;
use crate::template;

/// How far the end of a part in braces is looked for.
const PART: usize = 1 << 14;

/// Reports what the templates in `text` reach for.
pub(super) fn examine(text: &str, found: &mut Found<'_>) {
    if !text.contains("{{") && !text.contains("{%") {
        return;
    }
    let mut report = |at: usize, reach: template::Reach| {
        let what = format!("a template in a configuration: {}", reach.what);
        found(reach.severity, reach.rule, at.saturating_add(reach.at), what);
    };
    // What is no template as a whole may have some in it: each part is read by itself then.
    match template::reaches(text) {
        Some(reaches) => reaches.into_iter().for_each(|reach| report(0, reach)),
        None => {
            for (at, part) in parts(text) {
                match template::reaches(part) {
                    Some(reaches) => reaches.into_iter().for_each(|reach| report(at, reach)),
                    None => template::internal_name(part).into_iter().for_each(|(place, name)| {
                        let what = format!("the name {:?}, in what cannot be read", escape(name, 100));
                        let severity = Some(Severity::High);
                        report(at, template::Reach { rule: template::INTERNALS, at: place, severity, what });
                    }),
                }
            }
        }
    }
}

/// What stands in braces, with them, and where.
fn parts(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = text.get(at..)?;
        let start = rest.as_bytes().windows(2).position(|pair| matches!(pair, b"{{" | b"{%"))?;
        let rest = rest.get(start..)?;
        let near = rest.get(..rest.floor_char_boundary(PART))?;
        let close = if rest.starts_with("{{") { "}}" } else { "%}" };
        let len = near.find(close).map_or(near.len(), |end| end.saturating_add(close.len()));
        let place = at.saturating_add(start);
        at = place.saturating_add(len);
        Some((place, near.get(..len)?))
    })
}
