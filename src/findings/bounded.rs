//! Maps that forget: at most so many keys, of which those go first that were not touched for longest.

use std::collections::HashMap;
use std::hash::Hash;

/// A map of bounded size.
#[derive(Debug)]
pub(super) struct Bounded<K, V> {
    map: HashMap<K, Slot<V>>,
    most: usize,
    touches: u64,
    forgotten: u64,
}

#[derive(Debug)]
struct Slot<V> {
    value: V,
    touched: u64,
}

impl<K: Eq + Hash + Clone, V> Bounded<K, V> {
    /// An empty one for this many keys.
    pub(super) fn new(most: usize) -> Self {
        Self { map: HashMap::new(), most: most.max(4), touches: 0, forgotten: 0 }
    }

    /// The value of a key, made where there is none. Where there is no room, the quarter of the keys
    /// that was not touched for longest is handed to `forget` first: this costs little for each key
    /// that comes, since it makes room for many.
    pub(super) fn entry(&mut self, key: &K, make: impl FnOnce() -> V, mut forget: impl FnMut(&K, V)) -> &mut V {
        self.touches = self.touches.saturating_add(1);
        if self.map.len() >= self.most && !self.map.contains_key(key) {
            let mut ages: Vec<u64> = self.map.values().map(|slot| slot.touched).collect();
            let quarter = self.most.div_euclid(4);
            let (_, oldest, _) = ages.select_nth_unstable(quarter);
            let oldest = *oldest;
            for (key, slot) in self.map.extract_if(|_, slot| slot.touched <= oldest) {
                self.forgotten = self.forgotten.saturating_add(1);
                forget(&key, slot.value);
            }
        }
        let slot = self.map.entry(key.clone()).or_insert_with(|| Slot { value: make(), touched: 0 });
        slot.touched = self.touches;
        &mut slot.value
    }

    /// The value of a key, where there is one.
    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.map.get(key).map(|slot| &slot.value)
    }

    /// The same, to be changed; the key counts as touched.
    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.touches = self.touches.saturating_add(1);
        let slot = self.map.get_mut(key)?;
        slot.touched = self.touches;
        Some(&mut slot.value)
    }

    /// How many keys were forgotten.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Does this with all keys and values, in no order.
    pub(super) fn for_each(&mut self, mut with: impl FnMut(&K, &mut V)) {
        for (key, slot) in &mut self.map {
            with(key, &mut slot.value);
        }
    }

    /// All keys and values, in no order.
    pub(super) fn into_iter(self) -> impl Iterator<Item = (K, V)> {
        self.map.into_iter().map(|(key, slot)| (key, slot.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_grows_beyond_its_bound_and_forgets_the_oldest() {
        let mut map = Bounded::new(100);
        let mut gone = 0_u64;
        for key in 0..10_000_u32 {
            *map.entry(&key, || 0, |_, _| gone += 1) += 1;
            // The first one is touched all the time, and stays.
            *map.entry(&0, || 0, |_, _| ()) += 1;
            assert!(map.map.len() <= 100);
        }
        assert_eq!(map.get(&0), Some(&10_001));
        assert_eq!((map.get(&5), map.get(&9_999)), (None, Some(&1)));
        assert_eq!(map.forgotten(), gone);
        assert_eq!(map.into_iter().count() as u64 + gone, 10_000);
    }
}
