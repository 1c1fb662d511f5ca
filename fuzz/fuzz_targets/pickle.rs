//! Pickles of all protocols, joblib files and PyTorch's legacy storages.
#![no_main]

ostrom_fuzz::target!("model.pkl", ["pickle"]);
