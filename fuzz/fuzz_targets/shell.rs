//! Shell scripts.
#![no_main]

ostrom_fuzz::target!("setup.sh", ["shell-script"]);
