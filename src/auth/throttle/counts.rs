//! Maps with a most number of entries, and governor's state in them.

use std::collections::HashMap;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::ShrinkableKeyedStateStore;
use governor::{InsufficientCapacity, NotUntil, Quota, RateLimiter};

/// A map that makes room by dropping what is over, or else the entries of least value: the values
/// here are times at which an entry ends.
#[derive(Clone)]
pub(super) struct Bounded<K, V> {
    map: HashMap<K, V>,
    entries_max: usize,
}

impl<K: Hash + Eq + Clone, V: Ord + Copy> Bounded<K, V> {
    pub(super) fn new(entries_max: usize) -> Self {
        Self { map: HashMap::new(), entries_max }
    }

    pub(super) fn get(&self, key: &K) -> Option<V> {
        self.map.get(key).copied()
    }

    /// Sets an entry; `over` tells the entries that mean nothing any more.
    pub(super) fn set(&mut self, key: K, value: V, over: impl Fn(&V) -> bool) {
        if self.map.len() >= self.entries_max && !self.map.contains_key(&key) {
            self.map.retain(|_, held| !over(held));
            // An eighth goes at once, so that the next ones need no search.
            if self.map.len() >= self.entries_max {
                let mut values: Vec<V> = self.map.values().copied().collect();
                values.sort_unstable();
                let least = values.get(self.entries_max.div_ceil(8).saturating_sub(1)).copied();
                let mut excess = self.entries_max.div_ceil(8);
                self.map.retain(|_, held| {
                    let goes = excess > 0 && least.is_some_and(|least| *held <= least);
                    excess = excess.saturating_sub(usize::from(goes));
                    !goes
                });
            }
        }
        self.map.insert(key, value);
    }

    pub(super) fn remove(&mut self, key: &K) {
        self.map.remove(key);
    }

    pub(super) fn drop_where(&mut self, over: impl Fn(&V) -> bool) {
        self.map.retain(|_, held| !over(held));
        self.map.shrink_to_fit();
    }

    /// The entries that are wanted.
    pub(super) fn entries(&self, wanted: impl Fn(&V) -> bool) -> Vec<(K, V)> {
        let held = self.map.iter().filter(|(_, value)| wanted(value));
        held.map(|(key, value)| (key.clone(), *value)).collect()
    }

    pub(super) fn count(&self, wanted: impl Fn(&V) -> bool) -> usize {
        self.map.values().filter(|value| wanted(value)).count()
    }
}

/// The state of a keyed limiter: when each key's failures will all be forgiven. Clones share it.
#[derive(Clone)]
pub(super) struct Counts<K>(Arc<Mutex<Bounded<K, Nanos>>>);

/// The same state, looked at without charging anything to it.
pub(super) struct Glance<K>(pub(super) Counts<K>);

impl<K: Hash + Eq + Clone> Counts<K> {
    pub(super) fn new(entries_max: usize) -> Self {
        Self(Arc::new(Mutex::new(Bounded::new(entries_max))))
    }

    /// Forgives everything charged to the key.
    pub(super) fn forget(&self, key: &K) {
        self.lock().remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, Bounded<K, Nanos>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq + Clone> StateStore for Counts<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut held = self.lock();
        let (outcome, forgiven) = f(held.get(key))?;
        // What is over is not known here; the sweep drops it.
        held.set(key.clone(), forgiven, |_| false);
        Ok(outcome)
    }
}

impl<K: Hash + Eq + Clone> ShrinkableKeyedStateStore<K> for Counts<K> {
    fn retain_recent(&self, drop_below: Nanos) {
        self.lock().drop_where(|forgiven| *forgiven <= drop_below);
    }

    fn len(&self) -> usize {
        self.lock().map.len()
    }

    fn is_empty(&self) -> bool {
        self.lock().map.is_empty()
    }
}

impl<K: Hash + Eq + Clone> StateStore for Glance<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        f(self.0.lock().get(key)).map(|(outcome, _)| outcome)
    }
}

/// Failures by a key, in a state of the given kind.
pub(super) type By<K, S, C> = RateLimiter<K, S, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// Failures counted by a key.
pub(super) struct Charges<K: Hash + Eq + Clone, C: Clock> {
    pub(super) charged: By<K, Counts<K>, C>,
    /// The same counts, looked at only.
    glance: By<K, Glance<K>, C>,
    pub(super) store: Counts<K>,
}

impl<K: Hash + Eq + Clone, C: Clock + Clone> Charges<K, C> {
    pub(super) fn new(quota: Quota, entries_max: usize, clock: &C) -> Self {
        let store = Counts::new(entries_max);
        Self {
            charged: RateLimiter::new(quota, store.clone(), clock.clone()),
            glance: RateLimiter::new(quota, Glance(store.clone()), clock.clone()),
            store,
        }
    }

    pub(super) fn is_used_up(&self, key: &K) -> bool {
        self.glance.check_key(key).is_err()
    }

    /// Whether one failure more would be free if those under way were failures; until when none
    /// would be free whatever becomes of those.
    pub(super) fn room(&self, key: &K, under_way: u32) -> Result<bool, NotUntil<C::Instant>> {
        self.glance.check_key(key)?;
        let all = NonZeroU32::MIN.saturating_add(under_way);
        Ok(fits(&self.glance.check_key_n(key, all)))
    }

    pub(super) fn sweep(&self) {
        self.charged.retain_recent();
        self.charged.shrink_to_fit();
    }
}

/// Whether a number of failures would be free.
pub(super) fn fits<T, N>(outcome: &Result<Result<T, N>, InsufficientCapacity>) -> bool {
    matches!(outcome, &Ok(Ok(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn room_is_made_by_what_is_over_and_then_by_what_ends_first() {
        let mut map = Bounded::new(16);
        for key in 0..16_u32 {
            map.set(key, u64::from(key), |_| false);
        }
        map.set(99, 99, |value| *value == 15);
        assert_eq!((map.map.len(), map.get(&15), map.get(&0)), (16, None, Some(0)));
        map.set(100, 100, |_| false);
        assert_eq!((map.map.len(), map.get(&0), map.get(&1), map.get(&2)), (15, None, None, Some(2)));
        assert_eq!((map.get(&99), map.get(&100)), (Some(99), Some(100)));
    }

    proptest! {
        #[test]
        fn never_more_than_the_most(most in 1_usize..20, entries in prop::collection::vec((0_u8..60, 0_u8..4), 0..200)) {
            let mut map = Bounded::new(most);
            for (key, value) in entries {
                map.set(key, value, |_| false);
                prop_assert!(map.map.len() <= most);
                prop_assert_eq!(map.get(&key), Some(value));
            }
        }
    }
}
