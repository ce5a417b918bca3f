//! Durations, counted by how long they were.

use std::time::Duration;

use super::Counter;

/// Durations in buckets. An observation is two additions.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [Duration],
    /// One for each bound, not summed up, and one for what is longer than all.
    buckets: Box<[Counter]>,
    sum_micros: Counter,
}

/// What a histogram has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The bounds, and how many were not longer than each.
    pub buckets: Vec<(Duration, u64)>,
    /// All of them together.
    pub sum: Duration,
    /// How many there were.
    pub count: u64,
}

impl Histogram {
    /// One with these bounds, least first.
    pub fn new(bounds: &'static [Duration]) -> Self {
        let buckets = bounds.iter().map(|_| Counter::default()).chain([Counter::default()]).collect();
        Self { bounds, buckets, sum_micros: Counter::default() }
    }

    /// Counts one.
    pub fn observe(&self, time: Duration) {
        let place = self.bounds.partition_point(|bound| *bound < time);
        if let Some(bucket) = self.buckets.get(place) {
            bucket.add(1);
            self.sum_micros.add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
        }
    }

    /// What it has come to.
    pub fn seen(&self) -> Seen {
        let mut count: u64 = 0;
        let mut buckets = Vec::new();
        let mut bounds = self.bounds.iter();
        for bucket in &self.buckets {
            count = count.saturating_add(bucket.get());
            buckets.extend(bounds.next().map(|bound| (*bound, count)));
        }
        Seen { buckets, sum: Duration::from_micros(self.sum_micros.get()), count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_duration_is_in_the_first_bucket_that_holds_it_and_in_all_above() {
        const BOUNDS: &[Duration] = &[Duration::from_millis(1), Duration::from_millis(10)];
        let histogram = Histogram::new(BOUNDS);
        for millis in [0, 1, 2, 10, 11, 5000] {
            histogram.observe(Duration::from_millis(millis));
        }
        let seen = histogram.seen();
        assert_eq!(seen.buckets, [(BOUNDS[0], 2), (BOUNDS[1], 4)]);
        assert_eq!((seen.count, seen.sum), (6, Duration::from_millis(5024)));
    }
}
