//! What every server of Ostrom is careful about, whatever it serves: connections ([`Connections`]) and the signed tokens
//! of authorization servers and identity providers ([`KeySet`]).

mod connections;
mod lanes;
mod token;

pub use connections::{Bounds, Connections, Peer};
pub use lanes::Lanes;
pub use token::{ASYMMETRIC, KeySet, NoKeys, validation};
