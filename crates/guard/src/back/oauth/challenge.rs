//! `WWW-Authenticate` (RFC 9110 section 11.6.1), as far as bearer tokens need it.

/// The longest header that is read.
const LENGTH: usize = 8 << 10;

/// What a server wants of a bearer token.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Challenge {
    /// Where its metadata are (RFC 9728).
    pub(super) resource_metadata: Option<String>,
    /// The scopes that it needs.
    pub(super) scope: Option<String>,
    /// What is wrong with the token that it got.
    pub(super) error: Option<String>,
}

impl Challenge {
    /// Reads the `Bearer` challenge of a header; `None` if there is none.
    pub(super) fn parse(header: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(header.get(..header.len().min(LENGTH))?).ok()?;
        let mut rest = text;
        let mut bearer: Option<Self> = None;
        let mut in_bearer = false;
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            if rest.is_empty() {
                return bearer;
            }
            let (token, after) = split_token(rest);
            if token.is_empty() {
                return bearer;
            }
            let spaced = after.trim_start_matches([' ', '\t']);
            if let Some(value) = spaced.strip_prefix('=') {
                let (value, after) = value_of(value.trim_start_matches([' ', '\t']))?;
                if in_bearer && let Some(challenge) = &mut bearer {
                    challenge.set(token, value);
                }
                rest = after;
            } else {
                // A token without a value begins the next challenge.
                if bearer.is_some() {
                    return bearer;
                }
                in_bearer = token.eq_ignore_ascii_case("bearer");
                if in_bearer {
                    bearer = Some(Self::default());
                }
                rest = after;
            }
        }
    }

    fn set(&mut self, name: &str, value: String) {
        let field = match name.to_ascii_lowercase().as_str() {
            "resource_metadata" => &mut self.resource_metadata,
            "scope" => &mut self.scope,
            "error" => &mut self.error,
            _ => return,
        };
        // The first one counts; a second one is not allowed.
        field.get_or_insert(value);
    }

    /// Whether the token is good, but not for this.
    pub(super) fn wants_more_scopes(&self) -> bool {
        self.error.as_deref() == Some("insufficient_scope")
    }
}

fn split_token(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~/".contains(c)))
        .unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// A quoted string or a token, and what follows.
fn value_of(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        let (value, rest) = text.split_at_checked(end)?;
        return Some((value.to_owned(), rest));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, quoted.get(at.saturating_add(1)..)?)),
            '\\' => value.push(chars.next()?.1),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(header: &str, expect: Option<[Option<&str>; 3]>) {
        let found = Challenge::parse(header.as_bytes());
        let found = found.as_ref().map(|found| {
            [found.resource_metadata.as_deref(), found.scope.as_deref(), found.error.as_deref()]
        });
        assert_eq!(found, expect, "{header}");
    }

    #[test]
    fn bearer_challenges_are_read() {
        check("Bearer", Some([None, None, None]));
        check(
            "Bearer resource_metadata=\"https://a.example/.well-known/x\", scope=\"a b\"",
            Some([Some("https://a.example/.well-known/x"), Some("a b"), None]),
        );
        check(
            "bearer error = insufficient_scope,scope=\"say \\\"x\\\"\"",
            Some([None, Some("say \"x\""), Some("insufficient_scope")]),
        );
        check("Basic realm=\"x, Bearer\", Bearer scope=a, Digest scope=b", Some([None, Some("a"), None]));
        check("Bearer scope=a, scope=b", Some([None, Some("a"), None]));
        check("Negotiate abc123==, Bearer scope=a", Some([None, Some("a"), None]));
        check("Basic realm=x", None);
        check("Bearer scope=\"unfinished", None);
        check("", None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _either = Challenge::parse(&bytes);
        }

        #[test]
        fn no_near_challenge_makes_it_panic(text in "(Bearer |scope|=|\"|\\\\|,| |a|é){0,30}") {
            let _either = Challenge::parse(text.as_bytes());
        }
    }
}
