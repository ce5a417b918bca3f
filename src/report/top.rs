//! Figures by name, for as many names as memory is given to. An attacker decides how many names there
//! are: those that matter least go into one row for all others, so that the sums stay exact.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// Figures that are kept by name.
pub trait Figures: Default {
    /// Adds those of another name.
    fn absorb(&mut self, other: Self);

    /// How much they matter: the names with the least are given up first.
    fn weight(&self) -> u64;
}

/// The figures of names, of the others together.
#[derive(Debug)]
pub struct Top<K, F> {
    named: HashMap<K, F>,
    /// This many names are left where names are given up; twice as many are held at most.
    kept: usize,
    others: F,
    /// How often a name was given up; one that comes again and again counts each time.
    given_up: u64,
}

/// The figures that are shown.
#[derive(Debug)]
pub struct Ranking<'a, K, F> {
    /// By weight, the most first.
    pub named: Vec<(&'a K, &'a F)>,
    /// How many more names there are; each may be one of those above where [`Ranking::exact`] is false.
    pub more: u64,
    /// Whether the figures of each name are all that there was of it.
    pub exact: bool,
}

impl<K: Hash + Eq + Ord, F: Figures> Top<K, F> {
    /// No names yet; at least this many of those that matter most will be kept.
    pub fn keeping(kept: usize) -> Self {
        Self { named: HashMap::new(), kept: kept.max(1), others: F::default(), given_up: 0 }
    }

    /// The figures of a name.
    pub fn of<Q>(&mut self, name: &Q) -> &mut F
    where
        K: Borrow<Q>,
        Q: ToOwned<Owned = K> + Hash + Eq + ?Sized,
    {
        if !self.named.contains_key(name) {
            if self.named.len() >= self.kept.saturating_mul(2) {
                self.give_up();
            }
            self.named.insert(name.to_owned(), F::default());
        }
        match self.named.get_mut(name) {
            Some(figures) => figures,
            None => &mut self.others,
        }
    }

    /// How many names are held.
    pub fn len(&self) -> usize {
        self.named.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty()
    }

    /// The names that are held, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &F)> {
        self.named.iter()
    }

    /// How many names there are, or at most, where some were given up and came again.
    pub fn names(&self) -> u64 {
        self.given_up.saturating_add(u64::try_from(self.named.len()).unwrap_or(u64::MAX))
    }

    /// The figures of all names that were given up.
    pub fn others(&self) -> &F {
        &self.others
    }

    /// The names that `wanted` is not zero for, the most first, `most` of them.
    pub fn ranked(&self, most: usize, wanted: impl Fn(&F) -> u64) -> Ranking<'_, K, F> {
        let mut named: Vec<(&K, &F)> = self.named.iter().filter(|(_, figures)| wanted(figures) > 0).collect();
        named.sort_by(|a, b| wanted(b.1).cmp(&wanted(a.1)).then_with(|| a.0.cmp(b.0)));
        let beyond = named.len().saturating_sub(most);
        named.truncate(most);
        let more = u64::try_from(beyond).unwrap_or(u64::MAX).saturating_add(self.given_up);
        Ranking { named, more, exact: self.given_up == 0 }
    }

    fn give_up(&mut self) {
        let mut all: Vec<(K, F)> = self.named.drain().collect();
        all.sort_by(|a, b| b.1.weight().cmp(&a.1.weight()).then_with(|| a.0.cmp(&b.0)));
        for (_, figures) in all.split_off(self.kept.min(all.len())) {
            self.others.absorb(figures);
            self.given_up = self.given_up.saturating_add(1);
        }
        self.named.extend(all);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Default)]
    struct Count(u64);

    impl Figures for Count {
        fn absorb(&mut self, other: Self) {
            self.0 += other.0;
        }

        fn weight(&self) -> u64 {
            self.0
        }
    }

    proptest! {
        #[test]
        fn the_sum_is_exact_and_memory_bounded_whatever_names_come(names in prop::collection::vec(0u16..400, 0..2000)) {
            let mut top: Top<String, Count> = Top::keeping(8);
            for name in &names {
                top.of(name.to_string().as_str()).0 += 1;
                prop_assert!(top.len() <= 16);
            }
            let named: u64 = top.iter().map(|(_, count)| count.0).sum();
            prop_assert_eq!(named + top.others().0, names.len() as u64);
        }
    }

    #[test]
    fn a_name_that_matters_stays_among_many_that_do_not() {
        let mut top: Top<String, Count> = Top::keeping(4);
        for round in 0..1000 {
            top.of("alice").0 += 2;
            top.of(format!("made up {round}").as_str()).0 += 1;
        }
        let ranking = top.ranked(1, |count| count.0);
        assert_eq!((ranking.named[0].0.as_str(), ranking.named[0].1.0), ("alice", 2000));
        assert!(!ranking.exact);
        assert_eq!(ranking.more, 1000);
    }
}
