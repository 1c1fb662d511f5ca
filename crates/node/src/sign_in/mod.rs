//! How people and machines show who they are.

pub mod secret;
pub mod session;
