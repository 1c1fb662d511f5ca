//! Parquet: the footer, and the schema in it. Both marks are written over the input.
#![no_main]

use ostrom_fuzz::{Corpus, Format, fuzz_target};

const FORMAT: Format = Format { name: "rows.parquet", formats: &["parquet"], mark: Some((0, b"PAR1")) };

fuzz_target!(|data: &[u8]| -> Corpus {
    let mut bytes = data.to_vec();
    if let Some(end) = bytes.last_chunk_mut::<4>() {
        *end = *b"PAR1";
    }
    FORMAT.run_bytes(bytes)
});
