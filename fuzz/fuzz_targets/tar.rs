//! Tar archives. The checksums of headers are made to fit, or no changed header would be read.
#![no_main]

use ostrom_fuzz::{Corpus, Format, fuzz_target};

const FORMAT: Format = Format { name: "model.tar", formats: &["tar"], mark: Some((257, b"ustar")) };

fuzz_target!(|data: &[u8]| -> Corpus {
    let mut bytes = data.to_vec();
    for (at, block) in bytes.chunks_exact_mut(512).enumerate() {
        if at == 0 || &block[257..262] == b"ustar" {
            block[257..262].copy_from_slice(b"ustar");
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
    FORMAT.run_bytes(bytes)
});
