//! Graphs of TensorFlow in protobuf's text form.
#![no_main]

ostrom_fuzz::target!("graph.pbtxt", ["tensorflow-text-graph"]);
