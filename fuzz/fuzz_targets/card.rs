//! Model cards with their front matter.
#![no_main]

ostrom_fuzz::target!("README.md", ["card"]);
