//! Zip archives as PyTorch and Keras write them, with whatever lies in them.
#![no_main]

ostrom_fuzz::target!("model.pt", ["zip"], Some((0, b"PK\x03\x04")));
