//! When homes are counted, and when their counts are written to disk.

use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fd::AsFd;

use super::entry::Status;
use super::fault::Fault;
use super::floor::Free;
use super::room::Usage;
use super::root::{Homes, Root};
use super::scan::{self, Found, Pace};
use super::usage;
use crate::proto::path::VirtualPath;

/// What a scan put right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repaired {
    /// What was believed.
    pub before: Usage,
    /// What is there.
    pub after: Usage,
}

/// How many changes of a home there were when it was looked at last.
#[derive(Debug)]
pub(super) struct LastLook(AtomicU64);

impl Default for LastLook {
    fn default() -> Self {
        Self(AtomicU64::new(u64::MAX))
    }
}

impl Homes {
    /// Writes the counts of homes in which nothing changed since the last time, so that even a crash
    /// does not cost them; for a thread that may block. `all` writes the others, too: the server
    /// stops.
    pub fn save_counts(&self, all: bool) {
        for root in self.open() {
            if root.is_quiet() || all {
                // Without it, the next start begins with a scan.
                let _ = root.save_count();
            }
        }
    }
}

impl Root {
    /// Counts the home, gently, while it is in use, and corrects what was believed; returns the
    /// difference where there was one. For a thread that may block, and for a long time.
    ///
    /// # Errors
    /// The [`Fault`] that keeps the home from being counted; [`Fault::Busy`] where the server stops.
    pub fn recount(&self) -> Result<Option<Repaired>, Fault> {
        let scanning = self.ledger.scanning(false);
        let Found { before, now } = self.scan(Pace::Gentle)?;
        drop(scanning);
        Ok(before.filter(|before| *before != now).map(|before| Repaired { before: before.into(), after: now.into() }))
    }

    /// Sees to it that the home was counted.
    pub(super) fn ensure_counted(&self) -> Result<(), Fault> {
        if self.ledger.used().is_some() {
            return Ok(());
        }
        let _scanning = self.ledger.scanning(true);
        // Whoever was before may have done it.
        if self.ledger.used().is_none() {
            self.scan(Pace::Hurried)?;
        }
        Ok(())
    }

    /// What is free in the file system of the home, and the device that tells it from others.
    ///
    /// # Errors
    /// As the system reports them.
    pub fn free(&self) -> Result<(u64, Free), Fault> {
        Ok((Status::of(self.as_fd())?.unique.0, Free::at(self.as_fd())?))
    }

    /// What the home holds, if that is known; asks no disk.
    pub fn used(&self) -> Option<Usage> {
        self.ledger.used().map(Usage::from)
    }

    fn scan(&self, pace: Pace) -> Result<Found, Fault> {
        scan::run(&self.ledger, self, pace, &self.stopping, || self.partials.amount())
    }

    /// Whether nothing changed since the last time this was asked.
    fn is_quiet(&self) -> bool {
        let now = self.ledger.changes();
        self.last_look.0.swap(now, Ordering::AcqRel) == now
    }

    /// Writes the count to disk, unless it is there.
    pub(super) fn save_count(&self) -> Result<(), Fault> {
        if self.ledger.stored.holds() || self.ledger.held().is_none() {
            return Ok(());
        }
        let status = Status::of(self)?;
        let staging = match self.places.at_root(self.as_fd()) {
            Some(staging) => staging,
            None => self.places.for_directory(self.as_fd(), &VirtualPath::root(), &status)?,
        };
        usage::save(&self.ledger, || self.partials.amount(), staging, status.unique.1)
    }
}
