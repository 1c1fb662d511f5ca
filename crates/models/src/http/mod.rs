//! HTTP providers.
