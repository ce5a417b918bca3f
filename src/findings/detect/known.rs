//! Who logged in from where before.

use ipnet::IpNet;

use super::super::bounded::Bounded;
use super::super::seen::{Name, Source};

/// Sources, and pairs of source and user, that are remembered. Only logins that succeed make one, so
/// that no stranger can push others out.
const SOURCES_MAX: usize = 20_000;
const PAIRS_MAX: usize = 50_000;

/// Since when users log in from where.
#[derive(Debug)]
pub(super) struct Known {
    sources: Bounded<Source, i64>,
    pairs: Bounded<(Source, Name), i64>,
    neighbours: Bounded<(IpNet, Name), i64>,
}

impl Known {
    pub(super) fn new() -> Self {
        Self { sources: Bounded::new(SOURCES_MAX), pairs: Bounded::new(PAIRS_MAX), neighbours: Bounded::new(PAIRS_MAX) }
    }

    /// Notes a login.
    pub(super) fn note(&mut self, source: Source, user: &Name, time: i64) {
        self.sources.entry(&source, || time, |_, _| ());
        self.pairs.entry(&(source, user.clone()), || time, |_, _| ());
        self.neighbours.entry(&(source.neighbourhood(), user.clone()), || time, |_, _| ());
    }

    /// Whether anybody logged in from there before this time.
    pub(super) fn source_before(&self, source: Source, time: i64) -> bool {
        self.sources.get(&source).is_some_and(|since| *since < time)
    }

    /// Whether this user logged in from there before this time.
    pub(super) fn pair_before(&self, source: Source, user: &Name, time: i64) -> bool {
        self.pairs.get(&(source, user.clone())).is_some_and(|since| *since < time)
    }

    /// Whether this user logged in from around there before this time.
    pub(super) fn neighbour_before(&self, source: Source, user: &Name, time: i64) -> bool {
        self.neighbours.get(&(source.neighbourhood(), user.clone())).is_some_and(|since| *since < time)
    }

    pub(super) fn forgotten(&self) -> u64 {
        self.sources.forgotten().saturating_add(self.pairs.forgotten()).saturating_add(self.neighbours.forgotten())
    }
}

/// Whether a login failed because what was shown is wrong: a guess, or a slip.
pub(super) fn is_guess(reason: &str) -> bool {
    matches!(
        reason,
        "bad_password"
            | "unknown_user"
            | "anonymous"
            | "bad_code"
            | "code_replayed"
            | "second_factor_missing"
            | "no_password"
            | "certificate_of_another_user"
    )
}
