//! The policy and the settings in force. Whoever decides something asks for them then, and keeps
//! them for that decision only.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::policy::Policy;
use crate::settings::Config;

/// The one place that hands out the policy and the settings, so that they can be replaced while the
/// server runs.
#[derive(Debug)]
pub(super) struct Current(RwLock<InForce>);

#[derive(Debug)]
struct InForce {
    config: Arc<Config>,
    /// Ahead of the policy of `config` where users changed their passwords.
    policy: Arc<Policy>,
}

impl Current {
    /// These, until they are replaced.
    pub(super) fn new(config: Config) -> Self {
        let policy = Arc::clone(&config.policy);
        Self(RwLock::new(InForce { config: Arc::new(config), policy }))
    }

    /// The policy at this moment.
    pub(super) fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.read().policy)
    }

    /// The settings at this moment. Who decides about access asks for [`Self::policy`].
    pub(super) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.read().config)
    }

    /// Replaces the policy by what `change` makes of it; changes come one after the other, so none
    /// is lost.
    pub(super) fn change_policy(&self, change: impl FnOnce(&Policy) -> Policy) {
        let mut in_force = self.write();
        in_force.policy = Arc::new(change(&in_force.policy));
    }

    fn read(&self) -> RwLockReadGuard<'_, InForce> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, InForce> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
