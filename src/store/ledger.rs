//! How much a home holds, and reservations against quotas. The number comes from what the last run
//! wrote down, or else from a scan before the first upload of somebody with a quota; it is kept from
//! then on, and a scan from time to time puts right what other programs changed.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rustix::fd::AsFd;
use serde::{Deserialize, Serialize};

use super::fault::Fault;
use super::progress::Progress;
use super::usage::StoredCount;

/// An amount of storage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Amount {
    /// Bytes of content.
    pub(super) bytes: u64,
    /// Files and directories.
    pub(super) files: u64,
}

/// How much an uploader's home may hold.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Quota {
    /// Bytes; none is no limit.
    pub(super) bytes: Option<u64>,
    /// Files and directories; none is no limit.
    pub(super) files: Option<u64>,
}

/// The books of one home.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    books: Mutex<Books>,
    /// Read while something changes what the home holds, written while a scan takes a few entries
    /// in: so that the scan counts every change once.
    changing: RwLock<()>,
    /// How many changes there were.
    changes: AtomicU64,
    /// How far a scan is, while one runs.
    progress: Mutex<Option<Progress>>,
    /// Held by whoever scans.
    scanning: Mutex<()>,
    /// How many wait for the first count.
    waiting: AtomicUsize,
    /// The number on disk.
    pub(super) stored: StoredCount,
}

#[derive(Debug, Default)]
struct Books {
    /// What is in its place, and interrupted uploads; none before the first count.
    held: Option<Amount>,
    /// What uploads under way have reserved.
    reserved: Amount,
}

/// Leave to change what the home holds, and to write it down in the same breath.
#[derive(Debug)]
pub(super) struct Change<'a> {
    ledger: &'a Ledger,
    _no_scan: RwLockReadGuard<'a, ()>,
}

/// What an upload has reserved so far; dropping it gives everything back.
///
/// Content that takes the place of other content needs room only beyond that: the credit. Only
/// that excess goes into the books before the end, so whichever of several uploads in parallel are
/// put in place, and whichever are dropped, the home never holds more than the quota afterwards.
/// Until then the disk may hold both contents; an interrupted upload is counted in full.
#[derive(Debug)]
pub(super) struct Charge {
    ledger: Arc<Ledger>,
    quota: Quota,
    /// Bytes that the home will no longer hold once the upload is in place.
    credit: u64,
    /// Bytes of the upload so far.
    held: u64,
    /// What of them, and of files, is in the books.
    reserved: Amount,
}

impl Amount {
    /// Both together.
    pub(super) fn plus(self, other: Self) -> Self {
        Self { bytes: self.bytes.saturating_add(other.bytes), files: self.files.saturating_add(other.files) }
    }

    /// What is left without the other, never below zero.
    pub(super) fn minus(self, other: Self) -> Self {
        Self { bytes: self.bytes.saturating_sub(other.bytes), files: self.files.saturating_sub(other.files) }
    }
}

impl Quota {
    fn allows(self, used: Amount) -> Result<(), Fault> {
        let within = |used: u64, limit: Option<u64>| limit.is_none_or(|limit| used <= limit);
        if within(used.bytes, self.bytes) && within(used.files, self.files) {
            Ok(())
        } else {
            Err(Fault::QuotaExceeded)
        }
    }
}

impl Books {
    fn used(&self) -> Option<Amount> {
        self.held.map(|held| held.plus(self.reserved))
    }
}

impl Ledger {
    /// Begins with what the last run wrote down, and with what interrupted uploads hold.
    pub(super) fn begin_with(&self, counted: Option<Amount>, kept: Amount) {
        self.books().held = counted.map(|counted| counted.plus(kept));
    }

    /// Begins a change of what the home holds. What is on disk about it does not hold any more.
    pub(super) fn change(&self) -> Change<'_> {
        let no_scan = self.changing.read().unwrap_or_else(PoisonError::into_inner);
        self.stored.invalidate();
        Change { ledger: self, _no_scan: no_scan }
    }

    /// What the home holds, uploads under way included; none before the first count.
    pub(super) fn used(&self) -> Option<Amount> {
        self.books().used()
    }

    /// How many changes there were so far.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Keeps everybody from changing what the home holds.
    pub(super) fn hold_still(&self) -> RwLockWriteGuard<'_, ()> {
        self.changing.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for its turn to scan. Who is waited for goes on without pauses.
    pub(super) fn scanning(&self, hurry: bool) -> MutexGuard<'_, ()> {
        let more = usize::from(hurry);
        self.waiting.fetch_add(more, Ordering::AcqRel);
        let guard = self.scanning.lock().unwrap_or_else(PoisonError::into_inner);
        self.waiting.fetch_sub(more, Ordering::AcqRel);
        guard
    }

    /// Whether somebody waits for the scan that runs.
    pub(super) fn is_waited_for(&self) -> bool {
        self.waiting.load(Ordering::Acquire) > 0
    }

    /// How far the scan is that runs.
    pub(super) fn progress(&self) -> MutexGuard<'_, Option<Progress>> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what a scan found, while nothing changes; returns what the books said before.
    pub(super) fn correct(&self, found: Amount) -> Option<Amount> {
        self.books().held.replace(found)
    }

    /// What the home holds without what is under way; none before the first count.
    pub(super) fn held(&self) -> Option<Amount> {
        self.books().held
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts `more` in and takes `less` out.
    fn write_down(&self, more: Amount, less: Amount) {
        let mut books = self.books();
        books.held = books.held.map(|held| held.plus(more).minus(less));
    }

    fn give_back(&self, reserved: Amount) {
        let mut books = self.books();
        books.reserved = books.reserved.minus(reserved);
    }
}

impl Change<'_> {
    /// Writes down that `more` came and `less` went.
    pub(super) fn record(&self, more: Amount, less: Amount) {
        self.ledger.write_down(more, less);
    }

    /// Tells a scan that runs what a name stood for, and what it stands for now. For each change of
    /// a name once; what is not under a name, such as an interrupted upload, no scan comes across.
    pub(super) fn note(&self, directory: impl AsFd, name: &str, before: Amount, after: Amount) {
        if let Some(progress) = self.ledger.progress().as_mut() {
            progress.note(directory, name, before, after);
        }
    }

    /// Tells a scan that runs of a directory that was just made.
    pub(super) fn note_made(&self, parent: impl AsFd, name: &str) {
        if let Some(progress) = self.ledger.progress().as_mut() {
            progress.note_made(parent, name);
        }
    }

    /// Tells a scan that runs of a directory, given by device and inode, that is gone.
    pub(super) fn note_removed(&self, unique: (u64, u64)) {
        if let Some(progress) = self.ledger.progress().as_mut() {
            progress.note_removed(unique);
        }
    }

    /// Tells a scan that runs of a directory that has another place now.
    pub(super) fn note_moved(&self, parent: impl AsFd, name: &str) {
        if let Some(progress) = self.ledger.progress().as_mut() {
            progress.note_moved(parent, name);
        }
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        // Before the lock is let go: a scan that comes next sees that something happened.
        self.ledger.changes.fetch_add(1, Ordering::AcqRel);
    }
}

impl Charge {
    /// Begins with nothing reserved.
    pub(super) fn new(ledger: &Arc<Ledger>, quota: Quota) -> Self {
        Self { ledger: Arc::clone(ledger), quota, credit: 0, held: 0, reserved: Amount::default() }
    }

    /// The same for an upload that takes the place of content of so many bytes.
    pub(super) fn replacing(mut self, bytes: u64) -> Self {
        self.credit = bytes;
        self
    }

    /// Reserves bytes: all of them or, where the quota has no room, none.
    pub(super) fn reserve_bytes(&mut self, bytes: u64) -> Result<(), Fault> {
        let held = self.held.saturating_add(bytes);
        let more = self.excess(held).saturating_sub(self.excess(self.held));
        self.reserve(Amount { bytes: more, files: 0 }, Quota { files: None, ..self.quota })?;
        self.held = held;
        Ok(())
    }

    /// Gives back bytes that were reserved and not used.
    pub(super) fn return_bytes(&mut self, bytes: u64) {
        let held = self.held.saturating_sub(bytes);
        let returned = self.excess(self.held).saturating_sub(self.excess(held)).min(self.reserved.bytes);
        let returned = Amount { bytes: returned, files: 0 };
        self.ledger.give_back(returned);
        self.reserved = self.reserved.minus(returned);
        self.held = held;
    }

    /// What needs room where the upload has so many bytes.
    fn excess(&self, held: u64) -> u64 {
        held.saturating_sub(self.credit)
    }

    /// Reserves one file.
    pub(super) fn reserve_file(&mut self) -> Result<(), Fault> {
        self.reserve(Amount { bytes: 0, files: 1 }, Quota { bytes: None, ..self.quota })
    }

    /// Reserves unless that would pass the limits.
    fn reserve(&mut self, more: Amount, limits: Quota) -> Result<(), Fault> {
        let mut books = self.ledger.books();
        if let Some(used) = books.used().filter(|_| more != Amount::default()) {
            limits.allows(used.plus(more))?;
        }
        books.reserved = books.reserved.plus(more);
        drop(books);
        self.reserved = self.reserved.plus(more);
        Ok(())
    }

    /// Takes over what is written down already for an interrupted upload that goes on.
    pub(super) fn take_over(&mut self, held: Amount) {
        self.held = self.held.saturating_add(held.bytes);
        let counted = Amount { bytes: self.excess(held.bytes), files: held.files };
        let mut books = self.ledger.books();
        books.held = books.held.map(|all| all.minus(held));
        books.reserved = books.reserved.plus(counted);
        drop(books);
        self.reserved = self.reserved.plus(counted);
    }

    /// Whether an upload of so many bytes in all has room, without reserving them. `kept` of them
    /// are in the books already. A home that is over its quota has room for nothing.
    pub(super) fn has_room_for(&self, bytes: u64, kept: u64) -> bool {
        match (self.ledger.used(), self.quota.bytes) {
            (Some(used), Some(limit)) => {
                limit.checked_sub(used.bytes.saturating_sub(kept)).is_some_and(|room| self.excess(bytes) <= room)
            }
            _ => true,
        }
    }

    /// Ends the reservation: from now on the home holds `more`, and no longer `less`. The change
    /// shows that no scan looks meanwhile.
    pub(super) fn settle(&mut self, _change: &Change<'_>, more: Amount, less: Amount) {
        let reserved = std::mem::take(&mut self.reserved);
        self.held = 0;
        let mut books = self.ledger.books();
        books.reserved = books.reserved.minus(reserved);
        books.held = books.held.map(|held| held.plus(more).minus(less));
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.ledger.give_back(self.reserved);
    }
}
