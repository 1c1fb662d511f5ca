//! Intent and outcome records in the transparency log; replay, explain, verify.
