//! Sign-ins under way: good once, for ten minutes, for the browser that began.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use ostrom_core::Timestamp;
use zeroize::Zeroizing;

/// How many are under way at the same time.
const WAITING: usize = 1024;

/// One.
pub(super) struct Flow {
    pub(super) cookie: [u8; 32],
    pub(super) nonce: Zeroizing<String>,
    pub(super) verifier: Zeroizing<String>,
    pub(super) next: String,
    pub(super) until: Timestamp,
}

#[derive(Default)]
pub(super) struct Flows(Mutex<HashMap<[u8; 32], Flow>>);

impl Flows {
    pub(super) fn put(&self, state: [u8; 32], flow: Flow) {
        // Nothing that holds this lock can panic half-way.
        let mut flows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if flows.len() >= WAITING
            && let Some(oldest) = flows.iter().min_by_key(|(_, flow)| flow.until).map(|(state, _)| *state)
        {
            flows.remove(&oldest);
        }
        flows.insert(state, flow);
    }

    pub(super) fn take(&self, state: &[u8; 32], now: Timestamp) -> Option<Flow> {
        let flow = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(state)?;
        (now < flow.until).then_some(flow)
    }
}
