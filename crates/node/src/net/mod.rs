//! Asking other machines: bounded in time and bytes, without redirects and proxies, and only where that is allowed.

mod fetch;
mod guard;

pub use fetch::{Fetch, FetchError, Reply};
pub use guard::{Reach, may_reach};
