//! API keys.

use std::fmt;

/// A key that prints masked.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// Why there is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// What was given is no name of a variable. It is not quoted: it may be the key itself.
    #[error(
        "what was given is no name of an environment variable (letters, digits and _): put the key into a variable, and \
         give the variable's name, as in --key-env OPENAI_API_KEY"
    )]
    NoName,
    /// The variable is not there.
    #[error(
        "the environment variable {name} is not set: export {name}=… (the key itself is never written down)"
    )]
    NotSet {
        /// The variable.
        name: String,
    },
    /// The variable holds something that cannot go into a header.
    #[error(
        "the environment variable {name} holds characters that no key has (line breaks, control characters)"
    )]
    Malformed {
        /// The variable.
        name: String,
    },
}

impl Secret {
    /// Reads a key from the environment.
    ///
    /// # Errors
    /// If `name` is no name, or the variable is missing, empty, or not printable ASCII.
    pub fn from_env(name: &str) -> Result<Self, SecretError> {
        let first_fits = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !first_fits || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(SecretError::NoName);
        }
        match std::env::var(name) {
            Ok(key) if !key.trim().is_empty() => {
                Self::new(key.trim()).ok_or_else(|| SecretError::Malformed { name: name.to_owned() })
            }
            _ => Err(SecretError::NotSet { name: name.to_owned() }),
        }
    }

    /// A key; `None` if it is empty or not printable ASCII.
    pub fn new(key: &str) -> Option<Self> {
        (!key.is_empty() && key.bytes().all(|b| b.is_ascii_graphic())).then(|| Self(key.to_owned()))
    }

    /// The key, for the request header and nothing else.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// `text` with every occurrence of the key masked: endpoints like to quote the key in their errors.
    pub(crate) fn mask_in(&self, text: &str) -> String {
        text.replace(&self.0, "***")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_print_masked() {
        let key = Secret::new("sk-very-secret").unwrap();
        assert_eq!(format!("{key:?} {key:#?}"), "*** ***");
        assert_eq!(key.mask_in("bad key sk-very-secret!"), "bad key ***!");
        assert_eq!(Secret::new("a\nb"), None);
    }

    #[test]
    fn a_key_given_for_a_name_is_not_quoted() {
        for given in ["sk-very-secret", "", "1KEY", "a b", "a\u{e9}"] {
            assert_eq!(Secret::from_env(given), Err(SecretError::NoName), "{given}");
        }
        assert!(!SecretError::NoName.to_string().contains("sk-"));
        let name = "OSTROM_TEST_NO_SUCH_KEY";
        assert_eq!(Secret::from_env(name), Err(SecretError::NotSet { name: name.to_owned() }));
    }
}
