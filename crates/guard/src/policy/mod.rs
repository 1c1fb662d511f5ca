//! `guard.toml`, profiles of common servers, Cedar.
