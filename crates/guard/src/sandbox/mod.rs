//! What a child process may touch.
