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
mod multipart;
mod query;

pub use body::{Json, Payload};
pub use caller::Caller;
pub use cookie::{Cookie, cookie};
pub use csrf::{Checked, Csrf};
pub use floods::{Floods, Key as FloodKey};
pub use headers::CONTENT_SECURITY_POLICY;
pub use listen::listen;
pub use multipart::Multipart;
pub use query::{Named, Named2, Named3, Query};

pub(crate) use csrf::{has_form_cookie, visit};
pub(crate) use doors::doors;
pub(crate) use headers::{secure, single};
