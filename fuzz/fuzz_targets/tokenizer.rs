//! tokenizer.json.
#![no_main]

ostrom_fuzz::target!("tokenizer.json", ["tokenizer"]);
