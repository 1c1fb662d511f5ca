//! Interpolations of OmegaConf (`${…}`) that make parts of a configuration while it is read: nothing in the file shows what they make.

use ostrom_core::Severity;

use super::CONFIG_OBJECT;
use super::yaml::Found;
use crate::examination::escape;

/// The longest name of a resolver that is looked at, without its blanks and with them.
const LONG: usize = 200;
const BLANK: usize = 1 << 14;

/// The most characters that a resolver is given which are looked at.
const GIVEN: usize = 1000;

/// Reports the first interpolation of each kind that makes what is called, in a file of YAML or in a text of JSON.
pub(super) fn examine(text: &str, found: &mut Found<'_>) {
    let mut said: Vec<&str> = Vec::new();
    for (at, mark) in text.match_indices("${") {
        let rest = text.get(at + mark.len()..).unwrap_or("");
        let Some(what) = makes(rest).filter(|what| !said.contains(what)) else { continue };
        let shown: String = rest.chars().take(100).collect();
        found(Some(Severity::High), CONFIG_OBJECT, at, format!("${{{} {what}", escape(&shown, 100)));
        said.push(what);
    }
}

/// What the interpolation that goes on with `rest` makes, if that cannot be told from the file.
fn makes(rest: &str) -> Option<&'static str> {
    let (name, given) = resolver(rest)?;
    match name.as_str() {
        "oc.create" => Some("makes a part of the configuration while it is read"),
        "oc.decode" if !is_static(given) && !is_variable(given) => {
            Some("makes a value from others while it is read")
        }
        _ if name.contains('$') => Some("is made by what only the reading of the file tells"),
        _ => None,
    }
}

/// The name of a resolver, without blanks, and the beginning of what it is given: what stands before and behind the first colon that
/// lies in no interpolation within. Of a name that is longer than any, its beginning, and one with so many blanks that it is not looked
/// at is as if it was made of others.
fn resolver(rest: &str) -> Option<(String, &str)> {
    let (mut name, mut depth) = (String::new(), 0_usize);
    for (at, c) in rest.char_indices().filter(|(at, c)| *at > BLANK || !c.is_whitespace()) {
        match c {
            '{' if depth > 0 || name.ends_with('$') => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ':' if depth == 0 => {
                let given = rest.get(at + 1..).unwrap_or("").trim_start();
                let end = given.char_indices().nth(GIVEN).map_or(given.len(), |(end, _)| end);
                return Some((name, given.get(..end).unwrap_or("")));
            }
            // Nothing else is in a name.
            _ if depth == 0 && !(c.is_alphanumeric() || matches!(c, '_' | '.' | '$' | '-')) => return None,
            _ => {}
        }
        if at > BLANK {
            // Nobody writes a name so but to hide it.
            name.push('$');
        }
        if at > BLANK || name.len() >= LONG {
            return Some((name, ""));
        }
        name.push(c);
    }
    None
}

/// Whether what `oc.decode` is given is no other value: a text in quotes, or whatever has none, to the brace at the end.
fn is_static(given: &str) -> bool {
    let whole = ["\\\"", "''", "\"", "'"].iter().find_map(|quote| {
        let (text, rest) = given.strip_prefix(quote)?.split_once(quote)?;
        rest.trim_start().starts_with('}').then_some(text)
    });
    let whole = whole.or_else(|| {
        let (text, _) = given.split_once('}')?;
        (!text.contains(['"', '\''])).then_some(text)
    });
    whole.is_some_and(|text| !text.contains(['$', '\\']))
}

/// Whether all that is given is one variable of the environment, as OmegaConf documents it: `${oc.decode:${oc.env:PORT,80}}`.
fn is_variable(given: &str) -> bool {
    let inside = given.strip_prefix("${oc.env:").and_then(|rest| rest.split_once('}'));
    inside.is_some_and(|(variable, rest)| !variable.contains('$') && rest.trim_start().starts_with('}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, makes_something: bool) {
        let mut count = 0;
        examine(text, &mut |_, _, _, _| count += 1);
        assert_eq!(count > 0, makes_something, "{text}");
    }

    #[test]
    fn what_makes_a_part_of_the_file_is_found() {
        for text in [
            "z: ${oc.create:${oc.decode:\"{${x}${y}:${t}}\"}}",
            "z: ${ oc.create :x}",
            "z: ${oc.decode:\"{${x}get_: a}\"}",
            "z: ${oc.decode:${oc.env:NO,_tar}${oc.env:NO,get_}}",
            "z: ${oc.decode:${oc.env:NO,${x}}}",
            "z: ${oc.${x}:y}",
            "z: ${oc.decode:\"}${x}\"}",
            "z: '${oc.decode:''a''''}${x}''}'",
            "z: ${oc.decode:[\"a\",\"}${x}\"]}",
            "z: ${oc.decode:\"\\x24{x}\"}",
        ] {
            check(text, true);
            // Blanks may stand in front of a name and behind it, as many as there are.
            let blanks = " ".repeat(3000);
            let text =
                text.replace("oc.", &format!("{blanks}oc.")).replace("e:", &format!("e{blanks}:{blanks}"));
            check(&text, true);
        }
        check(&format!("${{oc.${{{}}}:y}}", "x".repeat(300)), true);
    }

    #[test]
    fn values_of_others_make_nothing() {
        for text in [
            "lr: ${optimizer.lr}",
            "dim: ${model.${size}.dim}",
            "port: ${oc.decode:${oc.env:PORT,80}}",
            "dir: ${now:%Y}/${hydra.job.name}",
            "home: ${oc.env:HOME,${root}}",
            "run: echo ${A:-b} ${{ matrix.x }} ${{ format('${x}:') }}",
            "a: ${",
            "sizes: ${oc.decode:\"[1,2]\"}\nlr: 0.1\nx: ${lr}",
            "sizes: '${oc.decode:''[1,2]''}'\nx: ${lr}",
            "size: ${oc.decode: 12 }\nx: ${lr}",
            "x: the curve ${\\frac{$a$}{b}: c}",
        ] {
            check(text, false);
        }
    }
}
