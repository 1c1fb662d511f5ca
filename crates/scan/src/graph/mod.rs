//! Files of graphs: ONNX, TensorFlow SavedModel, TFLite, CoreML.

mod coreml;
pub(crate) mod location;
mod onnx;
mod ops;
mod payload;
mod tensorflow;
#[cfg(test)]
mod testing;
mod tflite;
mod wire;

use crate::detect::Format;

/// The formats that are examined here.
pub(crate) const FORMATS: &[Format] = &[
    Format { name: "onnx", detect: onnx::detect, examine: onnx::examine },
    Format { name: "onnx-tensor", detect: onnx::detect_tensor, examine: onnx::examine_tensor },
    Format {
        name: "tensorflow-saved-model",
        detect: tensorflow::detect_saved,
        examine: tensorflow::examine_saved,
    },
    Format {
        name: "tensorflow-meta-graph",
        detect: tensorflow::detect_meta,
        examine: tensorflow::examine_meta,
    },
    Format { name: "tensorflow-graph", detect: tensorflow::detect_graph, examine: tensorflow::examine_graph },
    Format {
        name: "tensorflow-text-graph",
        detect: tensorflow::detect_text,
        examine: tensorflow::examine_text,
    },
    Format { name: "keras-metadata", detect: tensorflow::detect_keras, examine: tensorflow::examine_keras },
    Format {
        name: "tensorflow-fingerprint",
        detect: tensorflow::detect_fingerprint,
        examine: tensorflow::examine_nothing,
    },
    Format {
        name: "tensorflow-checkpoint-index",
        detect: tensorflow::detect_index,
        examine: tensorflow::examine_index,
    },
    Format {
        name: "tensorflow-checkpoint-data",
        detect: tensorflow::detect_data,
        examine: tensorflow::examine_nothing,
    },
    Format { name: "tflite", detect: tflite::detect, examine: tflite::examine },
    Format { name: "coreml", detect: coreml::detect, examine: coreml::examine },
    Format { name: "coreml-weights", detect: coreml::detect_weights, examine: |_, _| Ok(()) },
];

crate::rules::declare! {
    EMBEDDED = "graph-embedded-program",
    HIDDEN_TEXT = "graph-hidden-text",
    ONNX_EXTERNAL_PATH = "onnx-external-path",
    ONNX_EXTERNAL_KEY = "onnx-external-key",
    ONNX_EXTERNAL_DATA = "onnx-external-data",
    ONNX_PYTHON_OP = "onnx-python-op",
    ONNX_CUSTOM_OP = "onnx-custom-op",
    ONNX_EXTENSIONS_OP = "onnx-extensions-op",
    ONNX_UNKNOWN_OP = "onnx-unknown-op",
    ONNX_COMPILED = "onnx-compiled-op",
    ONNX_SHADOW = "onnx-function-shadows",
    ONNX_DUPLICATE = "onnx-duplicate",
    ONNX_TENSOR_SIZE = "onnx-tensor-size",
    ONNX_TRAINING = "onnx-training",
    TF_WRITE = "tensorflow-write-op",
    TF_READ = "tensorflow-read-op",
    TF_PYTHON = "tensorflow-python-op",
    TF_REMOTE = "tensorflow-remote-op",
    TF_NATIVE = "tensorflow-native-op",
    TF_UNKNOWN = "tensorflow-unknown-op",
    TF_ASSET = "tensorflow-asset-path",
    TF_SAVE = "tensorflow-save-path",
    TF_TABLE = "tensorflow-table-path",
    TF_LAMBDA = "tensorflow-keras-lambda",
    TFLITE_CUSTOM = "tflite-custom-op",
    TFLITE_FLEX = "tflite-flex-op",
    TFLITE_UNKNOWN = "tflite-unknown-op",
    COREML_CUSTOM = "coreml-custom-layer",
    COREML_LINKED = "coreml-linked-model",
    COREML_PATH = "coreml-weights-path",
}
