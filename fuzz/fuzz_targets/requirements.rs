//! Lists of packages.
#![no_main]

ostrom_fuzz::target!("requirements.txt", ["requirements"]);
