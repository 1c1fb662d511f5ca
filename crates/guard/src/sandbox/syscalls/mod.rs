//! System calls: a seccomp filter that forbids what programs do not need and escapes do.
//!
//! It names what is forbidden rather than what is allowed, because servers are written in anything; calls newer than
//! those that were looked at are answered as a kernel without them would.

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod filter;
#[cfg(test)]
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod tests;

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(super) use self::filter::restrict;

/// Says that the filters are not written for this processor.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) fn restrict(_: &super::Spec, _: &super::Network) -> Result<(), String> {
    Err("filters are written for x86_64 and aarch64 only".into())
}
