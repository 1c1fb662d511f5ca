//! Everything that a node keeps.
