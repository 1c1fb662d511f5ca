//! Single ONNX tensors, and whatever else a `.pb` file can be.
#![no_main]

ostrom_fuzz::target!("input_0.pb", ["onnx-tensor", "tensorflow-graph", "tensorflow-meta-graph"]);
