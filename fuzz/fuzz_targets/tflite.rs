//! TFLite: flatbuffers.
#![no_main]

ostrom_fuzz::target!("model.tflite", ["tflite"], Some((4, b"TFL3")));
