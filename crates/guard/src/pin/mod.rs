//! Pins of definitions.
