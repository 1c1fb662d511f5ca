//! Python's path configuration files.
#![no_main]

ostrom_fuzz::target!("site.pth", ["path-configuration"]);
