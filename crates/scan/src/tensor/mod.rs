//! Files of tensors: safetensors, GGUF, numpy.

mod ggml;
mod gguf;
pub(crate) mod hidden;
mod input;
mod layout;
mod metadata;
mod npy;
mod npy_header;
mod safetensors;
mod watch;

use crate::detect::Format;

/// The formats that are examined here.
pub(crate) const FORMATS: &[Format] = &[
    Format { name: "safetensors", detect: safetensors::detect, examine: safetensors::examine },
    Format { name: "gguf", detect: gguf::detect, examine: gguf::examine },
    Format { name: "numpy", detect: npy::detect, examine: npy::examine },
];

crate::rules::declare! {
    /// A name occurs twice.
    DUPLICATE = "tensor-duplicate-name",
    /// Tensors share bytes.
    OVERLAP = "tensor-overlap",
    /// Bytes between tensors that belong to none.
    HOLE = "tensor-hole",
    /// Bytes after the last tensor.
    TRAILING = "tensor-trailing-data",
    /// A tensor that reaches beyond the end.
    OUTSIDE = "tensor-out-of-bounds",
    /// Shape and type do not give the length, or give none.
    SIZE = "tensor-size-mismatch",
    /// An element type that no list has.
    TYPE = "tensor-unknown-type",
    /// A header that no writer makes, which loaders read differently.
    NONSTANDARD = "tensor-nonstandard-header",
    /// Invisible characters in names or metadata.
    HIDDEN_TEXT = "tensor-hidden-text",
    /// Metadata that looks like a program.
    METADATA_CODE = "tensor-metadata-code",
    /// Metadata larger than descriptions are.
    METADATA_LARGE = "tensor-metadata-large",
    /// `general.alignment` of no use.
    ALIGNMENT = "gguf-alignment",
    /// Text that is not UTF-8.
    GGUF_TEXT = "gguf-text-encoding",
    /// A header that is more than the literal that numpy writes.
    NUMPY_HEADER = "numpy-header",
    /// Objects, which numpy keeps as a pickle.
    NUMPY_OBJECTS = "numpy-object-array",
    /// More than one array in a file.
    NUMPY_SEVERAL = "numpy-several-arrays",
}

#[cfg(test)]
pub(crate) mod testing {
    //! Examining bytes in tests.

    use crate::Limits;
    use crate::examination::Examination;
    use crate::source::View;

    /// The rules that are broken by `bytes` under this file name, each once, in order.
    pub(crate) fn rules(name: &str, bytes: &[u8]) -> Vec<String> {
        let mut rules: Vec<_> =
            findings(name, bytes).into_iter().map(|finding| finding.rule.to_string()).collect();
        rules.sort();
        rules.dedup();
        rules
    }

    /// What is found in `bytes` under this file name.
    pub(crate) fn findings(name: &str, bytes: &[u8]) -> Vec<ostrom_core::Finding> {
        Examination::run(&Limits::default(), name, &View::new(bytes.to_vec())).findings
    }
}
