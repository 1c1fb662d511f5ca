//! Pickles: abstract interpretation of their opcodes.

use crate::detect::Format;

/// The formats that are examined here.
pub(crate) const FORMATS: &[Format] = &[];

crate::rules::declare! {}
