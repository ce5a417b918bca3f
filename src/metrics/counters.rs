//! Counters told apart by words of closed vocabularies, such as an event and its reason.

use std::array;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::OnceLock;

use super::Counter;

/// Combinations told apart at most: all there are, and as many again.
const SLOTS: usize = 512;
/// What stands for all combinations beyond that.
const BEYOND: &str = "other";

/// Counters by as many words as there are labels. Its memory is bounded, and counting takes no lock:
/// a combination has its place from its first count on.
#[derive(Debug)]
pub struct Counters<const LABELS: usize> {
    slots: Box<[Slot<LABELS>]>,
    beyond: Counter,
}

#[derive(Debug)]
struct Slot<const LABELS: usize> {
    words: OnceLock<[&'static str; LABELS]>,
    count: Counter,
}

impl<const LABELS: usize> Default for Counters<LABELS> {
    fn default() -> Self {
        let slot = || Slot { words: OnceLock::new(), count: Counter::default() };
        Self { slots: (0..SLOTS).map(|_| slot()).collect(), beyond: Counter::default() }
    }
}

impl<const LABELS: usize> Counters<LABELS> {
    /// Adds to the count of a combination.
    pub fn add(&self, words: [&'static str; LABELS], count: u64) {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(words);
        let first = usize::try_from(hash).unwrap_or(usize::MAX).checked_rem(self.slots.len()).unwrap_or(0);
        let (before, from) = self.slots.split_at_checked(first).unwrap_or((&[], &self.slots));
        let place = from.iter().chain(before).find(|slot| *slot.words.get_or_init(|| words) == words);
        place.map_or(&self.beyond, |slot| &slot.count).add(count);
    }

    /// Every combination that was counted, in the order of its words.
    pub fn all(&self) -> Vec<([&'static str; LABELS], u64)> {
        let counted = self.slots.iter().filter_map(|slot| Some((*slot.words.get()?, slot.count.get())));
        let mut all: Vec<_> = counted.collect();
        all.sort_unstable();
        if self.beyond.get() > 0 {
            all.push((array::from_fn(|_| BEYOND), self.beyond.get()));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn combinations_are_counted_apart_from_many_threads() {
        let counters = Counters::<2>::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        counters.add(["a", "x"], 1);
                        counters.add(["a", ""], 2);
                    }
                });
            }
        });
        assert_eq!(counters.all(), [(["a", ""], 8000), (["a", "x"], 4000)]);
    }

    #[test]
    fn what_is_beyond_its_memory_is_counted_as_one() {
        let words: Vec<&'static str> = (0..SLOTS + 3).map(|n| &*Box::leak(n.to_string().into_boxed_str())).collect();
        let counters = Counters::<1>::default();
        for word in &words {
            counters.add([word], 1);
        }
        let all = counters.all();
        assert_eq!((all.len(), all.last()), (SLOTS + 1, Some(&([BEYOND], 3))));
    }
}
