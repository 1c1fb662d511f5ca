//! TensorFlow's SavedModel.
#![no_main]

ostrom_fuzz::target!("saved_model.pb", ["tensorflow-saved-model"]);
