//! A node.

pub mod ui;
