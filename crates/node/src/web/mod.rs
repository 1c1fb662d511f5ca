//! HTTP as such: connections, limits, headers, bodies. Nothing here knows what is asked.

mod body;
mod caller;
mod cookie;
mod csrf;
mod doors;
mod floods;
mod headers;
pub mod json;
mod listen;
mod query;

pub use body::{Json, Payload};
pub use caller::Caller;
pub use cookie::{Cookie, cookie};
pub use csrf::{Checked, Csrf};
pub use floods::{Floods, Key as FloodKey};
pub use headers::CONTENT_SECURITY_POLICY;
pub use listen::listen;
pub use query::{Named, Named2, Query};

pub(crate) use csrf::visit;
pub(crate) use doors::doors;
pub(crate) use headers::{secure, single};
