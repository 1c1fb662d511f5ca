//! Facts about tools, and the pure decision about a call.
