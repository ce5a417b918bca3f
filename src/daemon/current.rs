//! The policy in force. Whoever decides something asks for it then, and keeps it for that decision
//! only.

use std::sync::{Arc, PoisonError, RwLock};

use crate::policy::Policy;

/// The one place that hands out the policy, so that it can be replaced while the server runs.
#[derive(Debug)]
pub(super) struct CurrentPolicy(RwLock<Arc<Policy>>);

impl CurrentPolicy {
    /// This one, until it is replaced.
    pub(super) fn new(policy: Arc<Policy>) -> Self {
        Self(RwLock::new(policy))
    }

    /// The policy at this moment.
    pub(super) fn get(&self) -> Arc<Policy> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces it by what `change` makes of it; changes come one after the other, so none is lost.
    pub(super) fn change(&self, change: impl FnOnce(&Policy) -> Policy) {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(change(&current));
    }
}
