//! Expressions that do nothing but reckon: whatever is more than numbers, names and the calls of a list is found, and nothing has to be
//! known about it.

use super::lexer::{self, Kind};

/// What an expression may have beside numbers, names and operators.
pub(crate) struct Arithmetic {
    /// The functions that may be called.
    pub(crate) functions: &'static [&'static str],
    /// The names of their named arguments.
    pub(crate) keywords: &'static [&'static str],
    /// The attributes that may be read, and called.
    pub(crate) attributes: &'static [&'static str],
    /// The functions whose first argument is a text. It is a name or a number, nothing else.
    pub(crate) named: &'static [&'static str],
    /// Whether items of something may be asked for, by their number or their name.
    pub(crate) items: bool,
}

/// The longest expression. The sum of a thousand sizes is shorter.
const LONGEST: usize = 64 << 10;

/// Words that are operators or values.
const WORDS: [&str; 7] = ["and", "or", "not", "is", "None", "True", "False"];

/// Words that begin something else.
const STATEMENTS: [&str; 10] =
    ["lambda", "for", "async", "await", "yield", "import", "from", "if", "else", "del"];

const OPERATORS: [&str; 19] =
    ["+", "-", "*", "/", "//", "%", "**", "==", "!=", "<", ">", "<=", ">=", "&", "|", "^", "~", "<<", ">>"];

/// The first part of `source` that is more than `may` lets stand.
pub(crate) fn beyond(source: &str, may: &Arithmetic) -> Option<String> {
    let source = source.trim();
    if source.len() > LONGEST {
        return Some(format!("{} bytes", source.len()));
    }
    // Where lines end and what is left out is what the rest hangs on, and no number has need of it.
    if let Some(odd) = source.chars().find(|c| !matches!(c, ' '..='~') || matches!(c, '\\' | '#' | '`')) {
        return Some(format!("the character {odd:?}"));
    }
    let tokens = lexer::lex(source);
    let word = |at: Option<usize>| {
        at.and_then(|at| tokens.get(at)).map_or("", |token| match token.kind {
            Kind::Line => "",
            _ => token.text(source),
        })
    };
    let kind = |at: Option<usize>| at.and_then(|at| tokens.get(at)).map(|token| token.kind);
    let mut open = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let (text, before, next) = (word(Some(at)), at.checked_sub(1), at.checked_add(1));
        // Whether what stands before has a value, which a bracket would call and a dot look into.
        let value = match kind(before) {
            Some(Kind::Name) => {
                !WORDS.contains(&word(before)) || matches!(word(before), "None" | "True" | "False")
            }
            Some(Kind::Number | Kind::Text | Kind::Format | Kind::Bad) => true,
            Some(Kind::Operator) => matches!(word(before), ")" | "]" | "}"),
            Some(Kind::Line) | None => false,
        };
        let attribute = word(before) == ".";
        let fine = match token.kind {
            Kind::Line => at == 0,
            Kind::Number => !value && !attribute,
            Kind::Name if attribute => may.attributes.contains(&text),
            Kind::Name if WORDS.contains(&text) => true,
            Kind::Name => {
                let called = word(next) == "(";
                !value && !STATEMENTS.contains(&text) && (!called || may.functions.contains(&text))
            }
            Kind::Text => {
                let of = word(before.and_then(|at| at.checked_sub(1)));
                let asked = may.items && word(before) == "[" && word(next) == "]";
                let named = word(before) == "(" && may.named.contains(&of) && matches!(word(next), ")" | ",");
                (asked || named) && is_plain(text)
            }
            Kind::Operator => match text {
                "(" => {
                    open.push(")");
                    // Names were looked at.
                    !value || kind(before) == Some(Kind::Name)
                }
                "[" => {
                    open.push("]");
                    may.items
                }
                ")" | "]" => open.pop() == Some(text),
                "," => !open.is_empty(),
                "." => value && kind(before) != Some(Kind::Number) && kind(next) == Some(Kind::Name),
                "=" => may.keywords.contains(&word(before)),
                _ => OPERATORS.contains(&text),
            },
            Kind::Format | Kind::Bad => false,
        };
        if !fine {
            let shown = if token.kind == Kind::Operator { source } else { text };
            let call = if token.kind == Kind::Name && word(next) == "(" { "the call of " } else { "" };
            return Some(format!("{call}{}", crate::examination::escape(shown, 60)));
        }
    }
    (!open.is_empty()).then(|| "brackets that do not close".to_owned())
}

/// Whether a literal is a name or a number as it stands.
fn is_plain(literal: &str) -> bool {
    let text = ["'", "\""].iter().find_map(|quote| literal.strip_prefix(quote)?.strip_suffix(quote));
    text.is_some_and(|text| {
        text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '+'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAY: Arithmetic = Arithmetic {
        functions: &["Symbol", "Max"],
        keywords: &["integer"],
        attributes: &["size"],
        named: &["Symbol"],
        items: true,
    };

    #[test]
    fn what_reckons_is_let_pass() {
        for text in [
            "Symbol('s77', positive=True, integer=True)".replace("positive=True, ", "").as_str(),
            "Max(1, -s0 // 2) + 2**3 % (u1 - 1.5e-3)",
            "L['x'].size()[0] <= 8 and not L[\"args\"][0].size()[1] == 3",
            "  1 < 2  ",
            "-oo",
            "not (a or (b & ~c))",
        ] {
            assert_eq!(beyond(text, &MAY), None, "{text}");
        }
    }

    #[test]
    fn whatever_else_is_found() {
        for text in [
            "__import__('os').system('x')",
            "__import__('os').system('x') or Symbol('s0')",
            "Symbol('s0', positive=True)",
            "Symbol('a b')",
            "Symbol(\"a'b\")",
            "Symbol('a' 'b')",
            "Symbol(f'{x}')",
            "Max('x')",
            "x.mro",
            "x.size.mro()",
            "1 .real",
            "1..real",
            "(exec)('x')",
            "L['x']('y')",
            "L['x'].size()('y')",
            "not(exec)('x')",
            "None('x')",
            "[x for x in y]",
            "lambda: x",
            "(x := 1)",
            "{x: 1}",
            "x; y",
            "x\ny",
            "x # y",
            "x \\ y",
            "1), x(2",
            "(1",
            "x, y",
            "L[f'{exec(1)}']",
            "L['a\"b']",
            "\u{ff45}xec(1)",
            "x if y else z",
            "@x",
        ] {
            assert!(beyond(text, &MAY).is_some(), "{text}");
        }
        assert!(beyond(&"1+".repeat(LONGEST), &MAY).is_some());
    }
}
