//! Headers of safetensors files.
#![no_main]

ostrom_fuzz::target!("model.safetensors", ["safetensors"]);
