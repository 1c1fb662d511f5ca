//! The extra fields of zip entries that change how an entry is read.

use crate::archive::fields::{u16_at, u64_at};

/// What an entry's extra fields say.
#[derive(Default)]
pub(super) struct Extra {
    /// Sizes and places of 64 bits, in the order of the header's fields that have no room for them.
    pub(super) zip64: Option<Vec<u8>>,
    /// Another name for the entry (Info-ZIP's Unicode path).
    pub(super) unicode: Option<Vec<u8>>,
    /// Encrypted, says a field of an encryption method.
    pub(super) encrypted: bool,
    /// What is wrong with the fields, if something is.
    pub(super) wrong: Option<&'static str>,
}

impl Extra {
    pub(super) fn parse(mut bytes: &[u8]) -> Self {
        let mut extra = Self::default();
        while bytes.len() >= 4 {
            let (id, len) = (u16_at(bytes, 0), usize::from(u16_at(bytes, 2)));
            let Some(data) = bytes.get(4..4 + len) else { break };
            match id {
                0x0001 if extra.zip64.is_some() => extra.wrong = Some("two fields with 64-bit sizes"),
                0x0001 => extra.zip64 = Some(data.to_vec()),
                0x7075 if extra.unicode.is_some() => extra.wrong = Some("two fields with another name"),
                // Its version and a checksum of the name come first. Not all readers check the checksum.
                0x7075 => extra.unicode = Some(data.get(5..).unwrap_or_default().to_vec()),
                0x0017 | 0x9901 => extra.encrypted = true,
                _ => {}
            }
            bytes = bytes.get(4 + len..).unwrap_or_default();
        }
        // Tools that align content leave zeros behind the fields.
        if bytes.iter().any(|byte| *byte != 0) {
            extra.wrong = Some("extra fields that run past their end");
        }
        extra
    }

    /// Replaces fields that have all bits set by what stands in the zip64 field.
    pub(super) fn widen<const N: usize>(&mut self, fields: [&mut u64; N]) {
        let Some(zip64) = &self.zip64 else { return };
        let mut at = 0;
        for field in fields.into_iter().filter(|field| **field == u64::from(u32::MAX)) {
            if zip64.len() < at + 8 {
                self.wrong = Some("a field with 64-bit sizes that is too short");
                return;
            }
            *field = u64_at(zip64, at);
            at += 8;
        }
    }
}
