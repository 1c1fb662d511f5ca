//! The servers behind the guard: child processes and HTTP upstreams.
