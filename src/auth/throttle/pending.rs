//! Attempts whose outcome is not known yet. Each counts as a failure until it is, so that trying
//! many passwords at once gains nothing.

use std::collections::HashMap;
use std::hash::Hash;

use governor::clock::Clock;

use super::{Scope, Throttle, Who};

/// How many attempts are under way, by everything that failures are counted by. As small as the
/// number of sessions, since each has one attempt at most.
#[derive(Default)]
pub(super) struct UnderWay {
    pub(super) sources: Tally<ipnet::IpNet>,
    pub(super) users: Tally<super::UserNetwork>,
    pub(super) pairs: Tally<super::UserSource>,
}

impl UnderWay {
    pub(super) fn begin(&mut self, who: &Who) {
        self.sources.add(who.source);
        self.users.add(who.user);
        self.pairs.add(who.pair);
    }

    pub(super) fn end(&mut self, who: &Who) {
        self.sources.take(&who.source);
        self.users.take(&who.user);
        self.pairs.take(&who.pair);
    }
}

/// How many there are of each kind.
pub(super) struct Tally<K>(HashMap<K, u32>);

impl<K> Default for Tally<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Hash + Eq> Tally<K> {
    pub(super) fn count(&self, key: &K) -> u32 {
        self.0.get(key).copied().unwrap_or(0)
    }

    fn add(&mut self, key: K) {
        let count = self.0.entry(key).or_default();
        *count = count.saturating_add(1);
    }

    fn take(&mut self, key: &K) {
        match self.0.get_mut(key) {
            Some(count) if *count > 1 => *count = count.saturating_sub(1),
            _ => drop(self.0.remove(key)),
        }
    }
}

/// The right to check one password. Until its outcome is told, it counts as a failure; dropped
/// untold (nothing was checked), it counts as nothing.
#[must_use]
pub struct Pending<'a, C: Clock + Clone> {
    pub(super) throttle: &'a Throttle<C>,
    pub(super) who: Who,
    pub(super) proven: bool,
    pub(super) told: bool,
}

impl<C: Clock + Clone> Pending<'_, C> {
    /// The password was right. Forgets the failures of the user from this network, and nothing else:
    /// the address is charged for those in other names all the same.
    ///
    /// # Errors
    /// The address was banned while the password was checked: the login is to be refused, and
    /// counted by [`Throttle::failed`], as if it had not been.
    pub fn right(mut self) -> Result<(), Scope> {
        if self.throttle.vouch(&self.who, self.proven) {
            return Ok(());
        }
        self.told = true;
        Err(Scope::Address)
    }

    /// The password was wrong. It counts as being under way until [`Throttle::failed`] is called
    /// for it, so that there is no moment at which it counts as nothing.
    pub fn wrong(mut self) {
        self.told = true;
    }
}

impl<C: Clock + Clone> Drop for Pending<'_, C> {
    fn drop(&mut self) {
        if !self.told {
            self.throttle.withdraw(&self.who);
        }
    }
}
