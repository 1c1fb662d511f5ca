//! config.json and what else is in JSON.
#![no_main]

ostrom_fuzz::target!("config.json", ["json"]);
