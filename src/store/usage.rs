//! The count of a home on disk, so that a restart need not begin with a scan. It is there only while
//! it holds: before the first change it is removed, and written again once the home is quiet.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::fsync;
use serde::{Deserialize, Serialize};

use super::entry::Status;
use super::fault::Fault;
use super::ledger::{Amount, Ledger};
use super::staging::Staging;

/// Name of the count in the staging directory of the home.
pub(super) const COUNT_NAME: &str = "count.json";
/// Name of what says that two servers had the home at the same time: then neither knows what the
/// other did.
pub(super) const SHARED_NAME: &str = "shared.json";

/// The count as it is written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Count {
    /// Inode of the home: in a copy of it the count means nothing.
    inode: u64,
    /// What is in its place, without interrupted uploads.
    in_place: Amount,
}

/// Whether a count is on disk, and where.
#[derive(Debug, Default)]
pub(super) struct StoredCount {
    holds: AtomicBool,
    place: Mutex<Option<Arc<Staging>>>,
}

impl StoredCount {
    /// The count that the last run left, if it can be trusted. `alone` says whether no other server
    /// uses the home.
    pub(super) fn load(&self, staging: &Arc<Staging>, inode: u64, alone: bool) -> Option<Amount> {
        let mut place = self.place();
        if !alone {
            // Where even this fails, the next start trusts a number that the scan puts right.
            let _ = staging.write_record(SHARED_NAME, &true);
            staging.remove(COUNT_NAME);
            return None;
        }
        let shared = staging.remove(SHARED_NAME);
        let count: Option<Count> = staging.read_record(COUNT_NAME);
        let Some(count) = count.filter(|count| !shared && count.inode == inode) else {
            staging.remove(COUNT_NAME);
            return None;
        };
        *place = Some(Arc::clone(staging));
        self.holds.store(true, Ordering::Release);
        Some(count.in_place)
    }

    /// Says that the count on disk will not hold any more. Costs nothing where there is none.
    pub(super) fn invalidate(&self) {
        if !self.holds() {
            return;
        }
        if let Some(staging) = self.place().take() {
            staging.remove(COUNT_NAME);
            // Gone for good before anything changes; where this fails, the change will, too.
            let _ = fsync(staging.directory());
        }
        self.holds.store(false, Ordering::Release);
    }

    /// Whether a count is on disk.
    pub(super) fn holds(&self) -> bool {
        self.holds.load(Ordering::Acquire)
    }

    fn place(&self) -> MutexGuard<'_, Option<Arc<Staging>>> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes what a home holds, if that is known. `kept` says what interrupted uploads hold of it; it is
/// asked while nothing changes. Whatever changes from then on invalidates what is written.
pub(super) fn save(
    ledger: &Ledger,
    kept: impl FnOnce() -> Amount,
    staging: Arc<Staging>,
    inode: u64,
) -> Result<(), Fault> {
    if Status::find(staging.directory(), SHARED_NAME)?.is_some() {
        return Ok(());
    }
    let still = ledger.hold_still();
    let Some(held) = ledger.held() else { return Ok(()) };
    let count = Count { inode, in_place: held.minus(kept()) };
    let mut place = ledger.stored.place();
    ledger.stored.holds.store(true, Ordering::Release);
    drop(still);
    let written = staging.write_record(COUNT_NAME, &count);
    if written.is_ok() {
        *place = Some(staging);
    } else {
        staging.remove(COUNT_NAME);
        ledger.stored.holds.store(false, Ordering::Release);
    }
    written
}
