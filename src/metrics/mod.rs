//! Figures that are counted while the server runs, without a lock, and their text for Prometheus.
//!
//! What is counted where is the business of the modules that use this; what it is called stands in
//! `daemon::metrics`.

mod counters;
mod histogram;
pub mod text;

pub use counters::Counters;
pub use histogram::{Histogram, Seen};

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// What it has come to.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
