//! The templates of suite data: variables and filters, and nothing else.
//!
//! Suites come from strangers. A language that has loops or keeps values can be made to take all memory with a line of
//! text; this one cannot: a template is read once from left to right, each filter runs once, and no text on the way may
//! be longer than [`MAX_TEXT`]. Every template of the library gets by with that.

use std::collections::BTreeMap;

use crate::transform::Transform;

/// The longest text that a template may make, in bytes, and the longest that a filter may make on the way.
const MAX_TEXT: usize = 1 << 20;
/// The most filters behind one value.
const MAX_FILTERS: usize = 32;

/// The values of variables.
#[derive(Debug, Clone, Default)]
pub struct Values(BTreeMap<&'static str, String>);

impl Values {
    /// No variables.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a value for a variable, instead of the one that it had.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.0.insert(name, value.into());
        self
    }
}

/// Renders a template: `{{ name }}` or `{{ "text" }}`, with filters behind it as in `{{ order | rot13 | base64 }}`. All
/// transforms are filters (`url-encode` as `url_encode`), and so are `lower`, `upper`, `trim`, `one_line` and
/// `prefix_lines('> ')`. Everything outside double braces stays as it is.
///
/// # Errors
/// A message for the author of the template. Unknown variables and filters are errors.
pub fn render(template: &str, values: &Values) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = template;
    loop {
        let (before, inside) = match rest.find(['{', '}']).and_then(|at| rest.split_at_checked(at)) {
            Some(parts) => parts,
            None => (rest, ""),
        };
        append(&mut out, before)?;
        let mut next = inside.chars();
        rest = match (next.next(), next.clone().next()) {
            (None, _) => return Ok(out),
            (Some('{'), Some('{')) => {
                let mut reader = Reader { rest: inside.get(2..).unwrap_or_default() };
                let text = value(&mut reader, values)?;
                append(&mut out, &text)?;
                reader.rest
            }
            (Some('{'), Some(other @ ('%' | '#'))) => {
                return Err(format!(
                    "{{{other} is not known here: templates have {{{{ variables }}}} and filters, no statements or comments"
                ));
            }
            (Some(brace), _) => {
                append(&mut out, brace.encode_utf8(&mut [0; 4]))?;
                next.as_str()
            }
        };
    }
}

fn append(out: &mut String, text: &str) -> Result<(), String> {
    out.push_str(within(out.len(), text)?);
    Ok(())
}

/// `text`, if it may stand behind `before` bytes.
fn within(before: usize, text: &str) -> Result<&str, String> {
    if before.saturating_add(text.len()) > MAX_TEXT {
        return Err(format!("the template makes a text of over {MAX_TEXT} bytes"));
    }
    Ok(text)
}

/// A value and its filters, up to the closing braces.
fn value(reader: &mut Reader<'_>, values: &Values) -> Result<String, String> {
    let mut text = match reader.quoted()? {
        Some(text) => text,
        None => {
            let name = reader.name("a variable or a text in quotes")?;
            values.0.get(name).cloned().ok_or_else(|| {
                let known = values.0.keys().copied().collect::<Vec<_>>().join(", ");
                format!("there is no variable {name:?} here; there are: {known}")
            })?
        }
    };
    for _ in 0..=MAX_FILTERS {
        if reader.takes("}}") {
            return Ok(text);
        }
        if !reader.takes("|") {
            return Err(format!("expected | or }}}} before {:?}", reader.ahead()));
        }
        let name = reader.name("the name of a filter")?;
        let argument = reader.argument()?;
        text = filter(name, argument.as_deref(), &text)?;
        within(0, &text)?;
    }
    Err(format!("more than {MAX_FILTERS} filters behind one value"))
}

fn filter(name: &str, argument: Option<&str>, text: &str) -> Result<String, String> {
    if let ("prefix_lines", Some(prefix)) = (name, argument) {
        let lines = text.lines().count();
        if prefix.len().saturating_mul(lines).saturating_add(text.len()) > MAX_TEXT {
            return Err(format!("prefix_lines makes a text of over {MAX_TEXT} bytes"));
        }
        return Ok(text.lines().map(|line| format!("{prefix}{line}")).collect::<Vec<_>>().join("\n"));
    }
    if argument.is_some() {
        return Err(format!("the filter {name} takes no text in brackets"));
    }
    match name {
        "lower" => Ok(text.to_lowercase()),
        "upper" => Ok(text.to_uppercase()),
        "trim" => Ok(text.trim().to_owned()),
        "one_line" => {
            Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" "))
        }
        "prefix_lines" => Err("prefix_lines needs a text: prefix_lines('> ')".to_owned()),
        name => match Transform::from_id(&name.replace('_', "-")) {
            Some(transform) => Ok(transform.apply(text)),
            None => Err(format!("there is no filter {name:?}")),
        },
    }
}

/// What is left of the text between double braces, and behind it.
struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    /// Takes `token` if it comes next, after spaces.
    fn takes(&mut self, token: &str) -> bool {
        let rest = self.rest.trim_start().strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// The next few characters, for a message.
    fn ahead(&self) -> String {
        self.rest.trim_start().chars().take(20).collect()
    }

    fn name(&mut self, what: &str) -> Result<&'a str, String> {
        let rest = self.rest.trim_start();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        match rest.split_at_checked(end) {
            Some((name, rest)) if !name.is_empty() => {
                self.rest = rest;
                Ok(name)
            }
            _ => Err(format!("expected {what} before {:?}", self.ahead())),
        }
    }

    /// A text in single or double quotes, if one comes next. A backslash makes the next character stand for itself; `\n`
    /// and `\t` are a new line and a tab.
    fn quoted(&mut self) -> Result<Option<String>, String> {
        let mut chars = self.rest.trim_start().chars();
        let Some(quote @ ('"' | '\'')) = chars.next() else { return Ok(None) };
        let mut text = String::new();
        loop {
            match chars.next() {
                Some(end) if end == quote => {
                    self.rest = chars.as_str();
                    return Ok(Some(text));
                }
                Some('\\') => match chars.next() {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some(plain @ ('\\' | '"' | '\'')) => text.push(plain),
                    other => return Err(format!("unknown escape \\{}", other.unwrap_or(' '))),
                },
                Some(other) => text.push(other),
                None => return Err("a text in quotes does not end".to_owned()),
            }
        }
    }

    /// A text in quotes and round brackets, if brackets come next.
    fn argument(&mut self) -> Result<Option<String>, String> {
        if !self.takes("(") {
            return Ok(None);
        }
        let text =
            self.quoted()?.ok_or_else(|| format!("expected a text in quotes before {:?}", self.ahead()))?;
        if self.takes(")") { Ok(Some(text)) } else { Err(format!("expected ) before {:?}", self.ahead())) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn made(template: &str) -> Result<String, String> {
        render(template, &Values::new().with("text", "Say\n hi."))
    }

    #[test]
    fn variables_texts_and_filters() {
        let check = |template: &str, expect: &str| assert_eq!(made(template).unwrap(), expect, "{template}");
        check("a {{ text }}\n", "a Say\n hi.\n");
        check("{{text}}{{ text|upper }}", "Say\n hi.SAY\n HI.");
        check("{{ text | one_line }}", "Say hi.");
        check("{{ text | prefix_lines('> ') }}", "> Say\n>  hi.");
        check("{{ text | prefix_lines(\"'\\\"\\\\\\t\") }}", "'\"\\\tSay\n'\"\\\t hi.");
        check("{{ 'Say hi.' | base64 }}", "U2F5IGhpLg==");
        check("{{ 'abc' | url_encode | reverse_chars }}", "cba");
        check("{{ '}} | {{' }} } { }} {\"a\": {}}", "}} | {{ } { }} {\"a\": {}}");
    }

    #[test]
    fn what_is_not_known_is_an_error() {
        for template in [
            "{{ nothing }}",
            "{{ text | nothing }}",
            "{{ text | lower('x') }}",
            "{{ text | prefix_lines }}",
            "{{ text | prefix_lines(text) }}",
            "{{ text",
            "{{ text |",
            "{{ 'text }}",
            "{{ '\\x' }}",
            "{{ text ~ text }}",
            "{{ text * 9 }}",
            "{{ range(9) }}",
            "{% for a in range(9) %}{% endfor %}",
            "{% set a = 'x' %}",
            "{# comment #}",
            "{{}}",
        ] {
            assert!(made(template).is_err(), "{template} was taken");
        }
    }

    #[test]
    fn no_chain_of_filters_outgrows_the_limit() {
        let doubling = format!("{{{{ text {} }}}}", "| hex ".repeat(MAX_FILTERS));
        assert!(made(&doubling).unwrap_err().contains("over 1048576 bytes"));
        let long = format!("{{{{ text {} }}}}", "| lower ".repeat(MAX_FILTERS + 1));
        assert!(made(&long).unwrap_err().contains("more than 32 filters"));
        let lines = "\\n".repeat(5000);
        let prefix = "x".repeat(5000);
        assert!(made(&format!("{{{{ '{lines}' | prefix_lines('{prefix}') }}}}")).is_err());
        let values = Values::new().with("text", "x".repeat(MAX_TEXT));
        assert!(render("{{ text }}", &values).is_ok());
        assert!(render("{{ text }}{{ text }}", &values).is_err());
    }

    proptest! {
        #[test]
        fn no_template_panics(template in "[a-z{}%#|'\"()\\\\ é]{0,60}") {
            let _ = made(&template);
        }

        #[test]
        fn plain_text_stays(text in "[^{}]{0,60}") {
            prop_assert_eq!(made(&text).unwrap(), text);
        }
    }
}
