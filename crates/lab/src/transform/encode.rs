//! Encodings that a decoder turns back into the text.

use data_encoding::{BASE32, BASE64, HEXLOWER};

pub(super) fn base64(text: &str) -> String {
    BASE64.encode(text.as_bytes())
}

pub(super) fn base32(text: &str) -> String {
    BASE32.encode(text.as_bytes())
}

pub(super) fn hex(text: &str) -> String {
    HEXLOWER.encode(text.as_bytes())
}

pub(super) fn binary(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:08b}")).collect::<Vec<_>>().join(" ")
}

pub(super) fn ascii85(text: &str) -> String {
    let mut out = String::new();
    for group in text.as_bytes().chunks(4) {
        let value =
            group.iter().copied().chain([0; 4]).take(4).fold(0, |value, byte| value << 8 | u32::from(byte));
        // Only a full group has the shortcut: `z` does not tell how many bytes it stands for.
        if value == 0 && group.len() == 4 {
            out.push('z');
            continue;
        }
        let places = [85_u32.pow(4), 85_u32.pow(3), 85_u32.pow(2), 85, 1];
        out.extend(
            places
                .into_iter()
                .take(group.len() + 1)
                .filter_map(|place| char::from_u32(0x21 + value / place % 85)),
        );
    }
    out
}

pub(super) fn url_encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

pub(super) fn html_entities(text: &str) -> String {
    text.chars().map(|c| format!("&#{};", u32::from(c))).collect()
}

pub(super) fn unicode_escape(text: &str) -> String {
    text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect()
}

pub(super) fn morse(text: &str) -> String {
    text.split_whitespace()
        .map(|word| word.chars().filter_map(morse_code).collect::<Vec<_>>().join(" "))
        // A word without a single code would leave two slashes in a row.
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" / ")
}

/// Recommendation ITU-R M.1677-1, part I, section 1. It has no code for the exclamation mark or the
/// semicolon.
fn morse_code(c: char) -> Option<&'static str> {
    Some(match c.to_ascii_lowercase() {
        'a' => ".-",
        'b' => "-...",
        'c' => "-.-.",
        'd' => "-..",
        'e' => ".",
        'é' | 'É' => "..-..",
        'f' => "..-.",
        'g' => "--.",
        'h' => "....",
        'i' => "..",
        'j' => ".---",
        'k' => "-.-",
        'l' => ".-..",
        'm' => "--",
        'n' => "-.",
        'o' => "---",
        'p' => ".--.",
        'q' => "--.-",
        'r' => ".-.",
        's' => "...",
        't' => "-",
        'u' => "..-",
        'v' => "...-",
        'w' => ".--",
        'x' | '×' => "-..-",
        'y' => "-.--",
        'z' => "--..",
        '0' => "-----",
        '1' => ".----",
        '2' => "..---",
        '3' => "...--",
        '4' => "....-",
        '5' => ".....",
        '6' => "-....",
        '7' => "--...",
        '8' => "---..",
        '9' => "----.",
        '.' => ".-.-.-",
        ',' => "--..--",
        ':' => "---...",
        '?' => "..--..",
        '\'' | '’' => ".----.",
        '-' => "-....-",
        '/' => "-..-.",
        '(' => "-.--.",
        ')' => "-.--.-",
        '"' | '“' | '”' => ".-..-.",
        '=' => "-...-",
        '+' => ".-.-.",
        '@' => ".--.-.",
        _ => return None,
    })
}
