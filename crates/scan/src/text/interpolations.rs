//! Interpolations of OmegaConf (`${…}`) that make parts of a configuration while it is read: nothing in the file shows what they make.

use ostrom_core::Severity;

use super::CONFIG_OBJECT;
use super::yaml::Found;
use crate::examination::escape;

/// The longest name of a resolver that is looked at.
const LONG: usize = 200;

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
        "oc.decode" if given.contains('$') && !is_variable(given) => {
            Some("makes a value from others while it is read")
        }
        _ if name.contains('$') => Some("is made by what only the reading of the file tells"),
        _ => None,
    }
}

/// The name of a resolver, without blanks, and what it is given: what stands before and behind the first colon that lies in no
/// interpolation within.
fn resolver(rest: &str) -> Option<(String, &str)> {
    let (mut name, mut depth) = (String::new(), 0_usize);
    for (at, c) in rest.char_indices().take(LONG) {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return None,
            '}' => depth -= 1,
            ':' if depth == 0 => return Some((name, rest.get(at + 1..).unwrap_or(""))),
            _ => {}
        }
        if !c.is_whitespace() {
            name.push(c);
        }
    }
    None
}

/// Whether all that is given is one variable of the environment, as OmegaConf documents it: `${oc.decode:${oc.env:PORT,80}}`.
fn is_variable(given: &str) -> bool {
    let inside = given.trim_start().strip_prefix("${oc.env:").and_then(|rest| rest.split_once('}'));
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
        ] {
            check(text, true);
        }
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
        ] {
            check(text, false);
        }
    }
}
