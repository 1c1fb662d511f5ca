//! GGUF: metadata, tensors, the chat template.
#![no_main]

ostrom_fuzz::target!("model.gguf", ["gguf"], Some((0, b"GGUF")));
