//! The element types of ggml: how many elements a block has, and how many bytes it takes.
//!
//! Source: the type table of the ggml project.

/// A type.
pub(super) struct Type {
    /// Elements of a block; rows are whole blocks.
    pub(super) elements: u64,
    /// Bytes of a block.
    pub(super) bytes: u64,
}

/// The type of this number, if it has been given out and not been taken back.
pub(super) fn get(id: u32) -> Option<Type> {
    let (elements, bytes) = match id {
        // F32, F16, BF16, F64
        0 => (1, 4),
        1 | 30 => (1, 2),
        28 => (1, 8),
        // I8, I16, I32, I64
        24 => (1, 1),
        25 => (1, 2),
        26 => (1, 4),
        27 => (1, 8),
        // Q4_0 and its three interleaved kinds, IQ4_NL and its three
        2 | 31..=33 | 20 | 36..=38 => (32, 18),
        // Q4_1, Q5_0, Q5_1, Q8_0, Q8_1
        3 => (32, 20),
        6 => (32, 22),
        7 => (32, 24),
        8 => (32, 34),
        9 => (32, 36),
        // Q2_K to Q8_K
        10 => (256, 84),
        11 => (256, 110),
        12 => (256, 144),
        13 => (256, 176),
        14 => (256, 210),
        15 => (256, 292),
        // IQ2_XXS, IQ2_XS, IQ3_XXS, IQ1_S, IQ3_S, IQ2_S, IQ4_XS, IQ1_M
        16 => (256, 66),
        17 => (256, 74),
        18 => (256, 98),
        19 => (256, 50),
        21 => (256, 110),
        22 => (256, 82),
        23 => (256, 136),
        29 => (256, 56),
        // TQ1_0, TQ2_0
        34 => (256, 54),
        35 => (256, 66),
        // MXFP4, NVFP4, Q1_0
        39 => (32, 17),
        40 => (64, 36),
        41 => (128, 18),
        _ => return None,
    };
    Some(Type { elements, bytes })
}
