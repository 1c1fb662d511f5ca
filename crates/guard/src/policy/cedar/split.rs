//! Cuts a text into single policies before Cedar sees it, so that each is bounded and errors have lines.
//!
//! Cedar's parser and evaluator are recursive, so what nests too deep or is too long does not get there. A text that is cut
//! otherwise than Cedar would cut it does not parse, as each piece must be exactly one policy.

/// Bytes of a file.
pub(super) const MAX_TEXT: usize = 1 << 20;
/// Policies in all.
pub(super) const MAX_POLICIES: usize = 5_000;
/// Bytes of one policy, comments counted.
const MAX_POLICY: usize = 32 << 10;
/// Brackets inside brackets.
const MAX_NESTING: usize = 32;
/// Operators and words in one policy: each can be a level of nesting.
const MAX_OPERATORS: usize = 600;

/// A policy in its file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    pub(super) text: &'a str,
    /// Where it begins in the file, in bytes.
    pub(super) at: usize,
}

/// What cannot be cut, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Uncut {
    pub(super) at: usize,
    pub(super) message: String,
}

/// The policies of `text`.
pub(super) fn split(text: &str) -> Result<Vec<Piece<'_>>, Uncut> {
    let fail = |at: usize, message: String| Err(Uncut { at, message });
    if text.len() > MAX_TEXT {
        return fail(0, format!("more than {MAX_TEXT} bytes; write several files"));
    }
    let mut pieces = Vec::new();
    let mut state = Lexer::default();
    for (at, character) in text.char_indices() {
        match state.step(at, character) {
            Step::Inside => {}
            Step::End => {
                let end = at.saturating_add(character.len_utf8());
                let start = state.start.unwrap_or(at);
                pieces.push(Piece { text: text.get(start..end).unwrap_or_default(), at: start });
                if pieces.len() > MAX_POLICIES {
                    return fail(start, format!("more than {MAX_POLICIES} policies"));
                }
                state = Lexer::default();
            }
        }
        if let Some(start) = state.start {
            if at.saturating_sub(start) > MAX_POLICY {
                return fail(
                    start,
                    format!("a policy of more than {MAX_POLICY} bytes; write several policies"),
                );
            }
            if state.depth > MAX_NESTING {
                return fail(
                    start,
                    format!("more than {MAX_NESTING} brackets inside each other; write several policies"),
                );
            }
            if state.operators > MAX_OPERATORS {
                return fail(
                    start,
                    format!(
                        "more than {MAX_OPERATORS} operators and words in a policy; write several policies"
                    ),
                );
            }
        }
    }
    match state.start {
        Some(start) => fail(start, "a policy without its `;` at the end".to_owned()),
        None => Ok(pieces),
    }
}

enum Step {
    Inside,
    End,
}

#[derive(Default)]
struct Lexer {
    /// The first byte of the policy that is not a space or in a comment.
    start: Option<usize>,
    depth: usize,
    operators: usize,
    in_word: bool,
    in_text: bool,
    in_comment: bool,
    /// After a backslash in a text.
    escaped: bool,
    /// After one slash.
    slash: Option<usize>,
}

impl Lexer {
    fn step(&mut self, at: usize, character: char) -> Step {
        if self.in_comment {
            self.in_comment = !matches!(character, '\n' | '\r');
            return Step::Inside;
        }
        if self.in_text {
            match character {
                _ if self.escaped => self.escaped = false,
                '\\' => self.escaped = true,
                '"' => self.in_text = false,
                _ => {}
            }
            return Step::Inside;
        }
        if let Some(before) = self.slash.take() {
            if character == '/' {
                self.in_comment = true;
                return Step::Inside;
            }
            self.start.get_or_insert(before);
        }
        if character == '/' {
            self.slash = Some(at);
            return Step::Inside;
        }
        if character.is_whitespace() {
            self.in_word = false;
            return Step::Inside;
        }
        self.start.get_or_insert(at);
        let in_word = character.is_alphanumeric() || character == '_';
        match character {
            '"' => self.in_text = true,
            '(' | '[' | '{' => {
                self.depth = self.depth.saturating_add(1);
                // `a[…][…]` nests too, to the left.
                self.operators = self.operators.saturating_add(1);
            }
            ')' | ']' | '}' => self.depth = self.depth.saturating_sub(1),
            ';' => return Step::End,
            // Lists nest no deeper for being long.
            ',' => {}
            _ if in_word && self.in_word => {}
            _ => self.operators = self.operators.saturating_add(1),
        }
        self.in_word = in_word;
        Step::Inside
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        split(text).unwrap().into_iter().map(|piece| piece.text).collect()
    }

    #[test]
    fn semicolons_in_texts_and_comments_do_not_end_a_policy() {
        let text = "// one; two\n@id(\"a;\\\";\") permit (principal, action, resource); // end;\n forbid(x);\n// rest";
        assert_eq!(texts(text), ["@id(\"a;\\\";\") permit (principal, action, resource);", "forbid(x);"]);
        assert_eq!(split(text).unwrap()[1].at, text.find("forbid").unwrap());
        assert_eq!(texts("  \n// nothing"), Vec::<&str>::new());
    }

    #[test]
    fn a_policy_that_has_no_end_or_is_too_much_is_refused() {
        assert!(split("permit (principal, action, resource)").is_err());
        assert!(split("@id(\"open) permit (principal, action, resource);").is_err());
        assert!(split(&format!("permit{};", "(".repeat(100))).is_err());
        assert!(split(&format!("permit{};", "||a".repeat(1000))).is_err());
        assert!(split(&format!("permit {};", "a".repeat(MAX_POLICY + 1))).is_err());
        assert!(split(&"p;".repeat(MAX_POLICIES + 1)).is_err());
    }
}
