//! ONNX models.
#![no_main]

ostrom_fuzz::target!("model.onnx", ["onnx"]);
