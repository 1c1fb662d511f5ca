//! PEM files: the blocks in them, whatever text stands between.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// Key and certificate files are small; a bigger one is something else.
pub(super) const MAX_PEM: u64 = 4 << 20;

/// One `-----BEGIN LABEL-----` block.
pub(super) struct Block {
    pub(super) label: String,
    /// The decoded bytes. They may be secret.
    pub(super) der: Zeroizing<Vec<u8>>,
    /// It has `Proc-Type` headers: the traditional encryption of OpenSSL.
    pub(super) legacy_encryption: bool,
}

/// All blocks of a text, in order. Text outside of blocks is passed over, as RFC 7468 says.
///
/// # Errors
/// What is wrong with a block.
pub(super) fn blocks(text: &str) -> Result<Vec<Block>, String> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        let Some(label) = line.strip_prefix("-----BEGIN ").and_then(|rest| rest.strip_suffix("-----")) else {
            continue;
        };
        let end = format!("-----END {label}-----");
        let mut body = Zeroizing::new(String::new());
        let mut legacy_encryption = false;
        loop {
            match lines.next() {
                None => return Err(format!("the {label} block has no end")),
                Some(line) if line == end => break,
                Some(line) if line.contains(':') => legacy_encryption = true,
                Some(line) => body.push_str(line),
            }
        }
        let der = STANDARD.decode(body.as_bytes());
        let der = der.map_err(|_| format!("the {label} block is not base64"))?;
        blocks.push(Block { label: label.to_owned(), der: Zeroizing::new(der), legacy_encryption });
    }
    Ok(blocks)
}

/// The certificates of a text.
///
/// # Errors
/// If there is none, or a block is broken.
pub(super) fn certificates(text: &str) -> Result<Vec<Vec<u8>>, String> {
    let found: Vec<Vec<u8>> = blocks(text)?
        .into_iter()
        .filter(|block| block.label == "CERTIFICATE")
        .map(|block| block.der.to_vec())
        .collect();
    if found.is_empty() { Err("no certificate in PEM form".to_owned()) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_between_text() {
        let text = "subject=/CN=x\n-----BEGIN A-----\nAQ\nID\n-----END A-----\nfoo\r\n-----BEGIN B C-----\r\nBA==\r\n-----END B C-----\r\n";
        let found = blocks(text).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].label.as_str(), found[0].der.as_slice()), ("A", [1, 2, 3].as_slice()));
        assert_eq!((found[1].label.as_str(), found[1].der.as_slice()), ("B C", [4].as_slice()));
    }

    #[test]
    fn broken_blocks_are_refused() {
        assert!(blocks("-----BEGIN A-----\nAQID\n").is_err());
        assert!(blocks("-----BEGIN A-----\n!\n-----END A-----").is_err());
        assert!(certificates("-----BEGIN A-----\nAQID\n-----END A-----").is_err());
    }
}
