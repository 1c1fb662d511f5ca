//! A model file's header, which strangers wrote: bounded, and never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostrom_models::local::gguf::Header;

fuzz_target!(|data: &[u8]| {
    let _ = Header::read(data, data.len() as u64);
});
