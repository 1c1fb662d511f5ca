//! The exchange: what shared things mean. No HTTP, and no rule of its own about who may read what.

pub mod clock;
pub mod commitment;
pub mod disclosure;
pub mod incident;
pub mod seal;
