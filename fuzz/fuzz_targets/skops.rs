//! The schema of a skops file.
#![no_main]

ostrom_fuzz::target!("schema.json", ["skops"]);
