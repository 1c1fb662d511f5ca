//! The exchange: what is shared (STIX 2.1 and Ostrom's types in it), and the services that share it. No HTTP.

pub mod clock;
pub mod commitment;
pub mod disclosure;
pub mod export;
pub mod federation;
pub mod import;
pub mod incident;
#[cfg(any(test, feature = "leak"))]
pub mod leak;
pub mod seal;
pub mod sealed;
pub mod service;
pub mod stix;
pub mod taxii;
pub mod types;
