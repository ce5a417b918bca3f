//! What is in force: the policy, the settings, and what was made of them. Whoever decides something
//! asks for it then, and keeps it for that decision only.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use tokio::sync::Semaphore;

use crate::auth::throttle::Throttle;
use crate::auth::verifier::Verifier;
use crate::net::advertised::Advertised;
use crate::net::route::Proxies;
use crate::policy::Policy;
use crate::proto::host::ServerName;
use crate::settings::Config;
use crate::tls::ServerTls;

/// The one place that hands out what is in force, so that it can be replaced while the server runs.
#[derive(Debug)]
pub(super) struct Current(RwLock<InForce>);

/// The settings and what was made of them. It is replaced as a whole, so nobody meets half of it.
#[derive(Clone, Debug)]
pub(super) struct InForce {
    pub(super) config: Arc<Config>,
    /// Ahead of the policy of `config` where users changed their passwords.
    pub(super) policy: Arc<Policy>,
    /// For connections that begin from here on.
    pub(super) tls: Arc<ServerTls>,
    /// Every name of the server.
    pub(super) names: Arc<[ServerName]>,
    pub(super) throttle: Arc<Throttle>,
    pub(super) verifier: Arc<Verifier>,
    pub(super) advertised: Arc<Advertised>,
    pub(super) proxies: Arc<Proxies>,
    /// The places for hashes that clients ask for.
    pub(super) hashes: Arc<Semaphore>,
}

impl InForce {
    /// What a start has in force.
    pub(super) fn new(config: Config, tls: ServerTls, verifier: Verifier) -> Self {
        Self {
            policy: policy_read(&config),
            tls: Arc::new(tls),
            names: names(&config),
            throttle: Arc::new(Throttle::new(&config.login)),
            verifier: Arc::new(verifier),
            advertised: Advertised::new(&config.passive),
            proxies: Arc::new(Proxies::new(&config.listen.proxies)),
            hashes: Arc::new(Semaphore::new(config.limits.hashes_parallel)),
            config: Arc::new(config),
        }
    }
}

/// The policy as it was read with the settings: what comes into force with them.
pub(super) fn policy_read(config: &Config) -> Arc<Policy> {
    Arc::clone(&config.policy)
}

/// Every name of the server.
pub(super) fn names(config: &Config) -> Arc<[ServerName]> {
    config.tls.identities.iter().flat_map(|identity| identity.names.iter().cloned()).collect()
}

impl Current {
    /// This, until it is replaced.
    pub(super) fn new(in_force: InForce) -> Self {
        Self(RwLock::new(in_force))
    }

    /// What one thing is at this moment.
    pub(super) fn get<T>(&self, part: impl FnOnce(&InForce) -> T) -> T {
        part(&self.read())
    }

    /// The policy at this moment.
    pub(super) fn policy(&self) -> Arc<Policy> {
        self.get(|in_force| Arc::clone(&in_force.policy))
    }

    /// The policy at this moment, with the fingerprint of the files that it comes from.
    pub(super) fn deciding(&self) -> (Arc<Policy>, Arc<str>) {
        self.get(|in_force| (Arc::clone(&in_force.policy), Arc::clone(&in_force.config.fingerprint)))
    }

    /// The settings at this moment. Who decides about access asks for [`Self::policy`].
    pub(super) fn config(&self) -> Arc<Config> {
        self.get(|in_force| Arc::clone(&in_force.config))
    }

    /// Replaces the policy by what `change` makes of it; changes come one after the other, so none
    /// is lost.
    pub(super) fn change_policy(&self, change: impl FnOnce(&Policy) -> Policy) {
        self.change(|in_force| in_force.policy = Arc::new(change(&in_force.policy)));
    }

    /// Puts something else in force, or a part of it; changes come one after the other.
    pub(super) fn change(&self, change: impl FnOnce(&mut InForce)) {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }

    fn read(&self) -> RwLockReadGuard<'_, InForce> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}
