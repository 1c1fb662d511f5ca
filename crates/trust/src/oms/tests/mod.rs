//! Tests of signing and verifying as callers do it.

mod chains;
mod folders;
pub(super) mod pki;
