//! Notebooks.
#![no_main]

ostrom_fuzz::target!("train.ipynb", ["notebook"]);
