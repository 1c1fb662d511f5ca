//! How untrusted names are printed.

/// `name` with control characters and everything that could forge a line of output escaped.
pub(super) fn show(name: &str) -> String {
    name.chars().flat_map(|c| if is_plain(c) { vec![c] } else { c.escape_default().collect() }).collect()
}

/// Neither a control character nor one that reorders or hides what stands around it.
fn is_plain(c: char) -> bool {
    !(c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'))
}

/// Bytes as lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_forge_a_line() {
        assert_eq!(show("a\n  changed: b\u{202e}"), "a\\n  changed: b\\u{202e}");
        assert_eq!(show("größe/模型.bin"), "größe/模型.bin");
    }
}
