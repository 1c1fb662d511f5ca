//! YAML.
#![no_main]

ostrom_fuzz::target!("config.yaml", ["yaml"]);
