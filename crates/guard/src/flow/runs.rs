//! The runs that are open, and the digests of the tokens that open them.

use std::collections::{HashMap, HashSet, VecDeque};

use ostrom_core::Digest;

use super::engine::ContextKey;

/// Open runs, in the order in which they were minted.
#[derive(Debug, Clone, Default)]
pub(super) struct Runs {
    tokens: HashMap<Digest, ContextKey>,
    open: HashSet<ContextKey>,
    order: VecDeque<(Option<Digest>, ContextKey)>,
}

impl Runs {
    pub(super) fn open(&mut self, token: Option<Digest>, context: &ContextKey) {
        if let Some(token) = token {
            self.tokens.insert(token, context.clone());
        }
        self.open.insert(context.clone());
        self.order.push_back((token, context.clone()));
    }

    pub(super) fn close(&mut self, context: &ContextKey) {
        self.open.remove(context);
        let tokens = &mut self.tokens;
        self.order.retain(|(token, of)| {
            let stays = of != context;
            if let (false, Some(token)) = (stays, token) {
                tokens.remove(token);
            }
            stays
        });
    }

    pub(super) fn of(&self, token: &Digest) -> Option<&ContextKey> {
        self.tokens.get(token)
    }

    pub(super) fn is_open(&self, context: &ContextKey) -> bool {
        self.open.contains(context)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.open.iter().filter_map(|context| context.run.as_deref())
    }

    pub(super) fn oldest(&self) -> Option<&ContextKey> {
        self.order.front().map(|(_, context)| context)
    }

    pub(super) fn len(&self) -> usize {
        self.order.len()
    }
}
