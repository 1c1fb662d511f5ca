//! The index of a TensorFlow checkpoint: a table of LevelDB.
#![no_main]

ostrom_fuzz::target!("variables.index", ["tensorflow-checkpoint-index"]);
