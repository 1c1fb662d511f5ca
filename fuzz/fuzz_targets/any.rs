//! Any bytes under a name that says nothing: how all formats are told from one another, and whatever is in them.
#![no_main]

ostrom_fuzz::target!("model.bin", []);
