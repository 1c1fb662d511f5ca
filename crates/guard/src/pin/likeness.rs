//! Names that can be taken for one another, by people or by models.

use unicode_normalization::UnicodeNormalization as _;
use unicode_security::confusable_detection::skeleton;

use ostrom_core::Hidden;

use super::Kind;

/// What a name looks like. Names with a likeness in common can be taken for one another.
///
/// Characters that do not show count for nothing, nor do separators in names (in URIs they do); what is left is folded
/// by case and compatibility (NFKC) and by the shapes of letters (the skeleton of UTS #39), in both orders, since a
/// capital and its small letter have different doubles.
pub(super) fn likenesses(kind: Kind, name: &str) -> [String; 2] {
    let separators = if matches!(kind, Kind::Tool | Kind::Prompt) { "_-. " } else { "" };
    let bare: String = name.nfkc().filter(|c| Hidden::of(*c).is_none() && !separators.contains(*c)).collect();
    let folded = skeleton(&bare.to_uppercase().to_lowercase()).collect::<String>().to_lowercase();
    let drawn = skeleton(&bare).collect::<String>().to_lowercase();
    [folded, drawn]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alike(kind: Kind, a: &str, b: &str) -> bool {
        let (a, b) = (likenesses(kind, a), likenesses(kind, b));
        a.iter().zip(&b).any(|(a, b)| a == b)
    }

    #[test]
    fn names_that_can_be_taken_for_one_another() {
        for (a, b) in [
            ("send_email", "send_email"),
            ("send_email", "Send-Email"),
            ("send_email", "sendEmail"),
            ("send_email", "send_em\u{200b}ail"),
            ("send_email", "ѕеnd_еmаіl"),
            ("send_email", "ｓｅｎｄ_email"),
            ("Id", "ld"),
            ("list", "1ist"),
            ("pay", "𝐩𝐚𝐲"),
            ("strasse", "Straße"),
        ] {
            assert!(alike(Kind::Tool, a, b), "{a} {b}");
        }
        for (a, b) in [("send_email", "read_email"), ("get", "set"), ("漢", "字")] {
            assert!(!alike(Kind::Tool, a, b), "{a} {b}");
        }
        assert!(!alike(Kind::Resource, "file:///a/b", "file:///ab"));
        assert!(alike(Kind::Resource, "file:///a/b", "file:///а/B"));
    }
}
