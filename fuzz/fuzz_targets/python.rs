//! Python beside weights.
#![no_main]

ostrom_fuzz::target!("modeling.py", ["python"]);
