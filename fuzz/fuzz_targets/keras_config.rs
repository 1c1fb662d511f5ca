//! Configurations of Keras models.
#![no_main]

ostrom_fuzz::target!("config.json", ["keras-config"]);
