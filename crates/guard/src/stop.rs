//! Interventions: stop a run, a principal, a tool, or everything.
