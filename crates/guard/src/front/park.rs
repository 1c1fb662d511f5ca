//! Calls that wait for a client's answers to their questions, which come with a request of their own.
//!
//! What the client holds is a `requestState`: 128 random bits and nothing else. All that it stands for is here: the call, who
//! may go on with it, and until when.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;

use super::Limits;
use super::call::Call;
use crate::wire::RpcError;

/// What a parked call is bound to: only the same request of the same principal goes on with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binding {
    principal: Arc<str>,
    run: Option<Arc<str>>,
    method: &'static str,
    digest: [u8; 32],
}

impl Binding {
    /// `params` without `inputResponses` and `requestState`. `_meta` does not count: what is in there (a progress token, a log
    /// level) is about one attempt, and the call was started with the first.
    pub(super) fn new(
        principal: &Arc<str>,
        run: Option<&Arc<str>>,
        method: &'static str,
        params: &Map<String, Value>,
    ) -> Self {
        let mut hasher = Sha256::new();
        hash_members(&mut hasher, params.iter().filter(|(name, _)| *name != "_meta"));
        Self { principal: Arc::clone(principal), run: run.cloned(), method, digest: hasher.finalize().into() }
    }
}

/// Hashes members whatever their order. Every part says its kind and length first, so no two values hash alike.
fn hash_members<'a>(hasher: &mut Sha256, members: impl Iterator<Item = (&'a String, &'a Value)>) {
    let mut members: Vec<_> = members.collect();
    members.sort_unstable_by_key(|(name, _)| *name);
    hash_part(hasher, b'o', members.len().to_string().as_bytes());
    for (name, value) in members {
        hash_part(hasher, b'n', name.as_bytes());
        hash(hasher, value);
    }
}

fn hash_part(hasher: &mut Sha256, kind: u8, bytes: &[u8]) {
    hasher.update([kind]);
    hasher.update((bytes.len() as u64).to_be_bytes());
    hasher.update(bytes);
}

/// The depth of values is bounded by their parser.
fn hash(hasher: &mut Sha256, value: &Value) {
    match value {
        Value::Null => hash_part(hasher, b'0', b""),
        Value::Bool(value) => hash_part(hasher, b'b', &[u8::from(*value)]),
        Value::Number(number) => hash_part(hasher, b'd', number.to_string().as_bytes()),
        Value::String(text) => hash_part(hasher, b's', text.as_bytes()),
        Value::Array(values) => {
            hash_part(hasher, b'a', values.len().to_string().as_bytes());
            for value in values {
                hash(hasher, value);
            }
        }
        Value::Object(members) => hash_members(hasher, members.iter()),
    }
}

/// The parked calls. When it goes, they are cancelled.
pub(super) struct Parking {
    entries: Mutex<HashMap<[u8; 16], Entry>>,
    limit: usize,
    per_principal: usize,
    stay: Duration,
}

struct Entry {
    binding: Binding,
    /// Asks the task that holds the call to give it back.
    resume: oneshot::Sender<oneshot::Sender<Call>>,
}

impl Parking {
    pub(super) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            entries: Mutex::default(),
            limit: limits.parked,
            per_principal: limits.parked_per_principal,
            stay: Duration::from_secs(limits.parked_seconds),
        })
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<[u8; 16], Entry>> {
        // Nothing that holds the lock can panic half-way.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Parks a call and gives the `requestState` with which it goes on.
    ///
    /// # Errors
    /// If too many are parked, or the operating system has no randomness. The call is cancelled then.
    pub(super) fn park(self: &Arc<Self>, binding: Binding, call: Call) -> Result<String, RpcError> {
        let mut key = [0; 16];
        getrandom::fill(&mut key).map_err(|error| {
            RpcError::new(RpcError::INTERNAL, format!("the operating system gives no randomness: {error}"))
        })?;
        let (resume, asked_for) = oneshot::channel();
        {
            let mut entries = self.entries();
            let own = entries.values().filter(|entry| entry.binding.principal == binding.principal).count();
            if entries.len() >= self.limit || own >= self.per_principal {
                return Err(RpcError::new(
                    RpcError::INTERNAL,
                    "too many calls wait for answers, so this one was cancelled but may have run; answer some first",
                ));
            }
            entries.insert(key, Entry { binding, resume });
        }
        tokio::spawn(hold(Arc::downgrade(self), key, call, asked_for, self.stay));
        Ok(URL_SAFE_NO_PAD.encode(key))
    }

    /// The call that `state` stands for. It can be asked for once.
    ///
    /// # Errors
    /// If there is none (any more), or it belongs to another principal or request.
    pub(super) async fn resume(&self, state: &str, binding: &Binding) -> Result<Call, RpcError> {
        let refused = || {
            RpcError::new(
                RpcError::INVALID_PARAMS,
                "this requestState is unknown, used up, expired, or of another request; send the request without it",
            )
        };
        let key = URL_SAFE_NO_PAD.decode(state).ok().and_then(|key| <[u8; 16]>::try_from(key).ok());
        let key = key.ok_or_else(refused)?;
        let entry = {
            let mut entries = self.entries();
            if entries.get(&key).is_none_or(|entry| entry.binding != *binding) {
                return Err(refused());
            }
            entries.remove(&key).ok_or_else(refused)?
        };
        let (give, given) = oneshot::channel();
        entry.resume.send(give).map_err(|_| refused())?;
        given.await.map_err(|_| refused())
    }
}

/// Holds a call until it is asked for or its time is over. It is worked on meanwhile, so that a server that gives up is noticed.
async fn hold(
    parking: Weak<Parking>,
    key: [u8; 16],
    mut call: Call,
    mut asked_for: oneshot::Receiver<oneshot::Sender<Call>>,
    stay: Duration,
) {
    let end = tokio::time::sleep(stay);
    tokio::pin!(end);
    loop {
        tokio::select! {
            biased;
            give = &mut asked_for => {
                if let Ok(give) = give {
                    // If nobody takes it, the client has gone, and the call with it.
                    let _gone = give.send(call);
                }
                return;
            }
            () = &mut end => {
                if let Some(parking) = parking.upgrade() {
                    parking.entries().remove(&key);
                }
                return;
            }
            () = call.finish(), if !call.is_finished() => {}
        }
    }
}
