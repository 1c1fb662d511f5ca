//! The typed plan language of `run_plan`.
