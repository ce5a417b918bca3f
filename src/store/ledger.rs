//! How much a home holds, and reservations against quotas. The count begins with a scan the first
//! time somebody with a quota uploads, and is kept from then on; what other programs change in the
//! home meanwhile is seen at the next start.

use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard};

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags, RawDir, SeekFrom, openat, seek};
use rustix::io::Errno;

use super::entry::Status;
use super::fault::Fault;
use crate::proto::path::{DEPTH_MAX, RESERVED_PREFIX};

/// Bytes of directory entries read at a time in a scan.
const SCAN_BUFFER_BYTES: usize = 32 << 10;

/// An amount of storage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
    used: OnceLock<Used>,
    /// Read while something changes what the home holds, written during the scan: so that the scan
    /// counts every change once.
    changing: RwLock<()>,
}

#[derive(Debug)]
struct Used {
    bytes: AtomicU64,
    files: AtomicU64,
}

/// Leave to change what the home holds, and to write it down in the same breath.
#[derive(Debug)]
pub(super) struct Change<'a> {
    used: Option<&'a Used>,
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

impl Ledger {
    /// Counts the home unless that was done. `kept` says what interrupted uploads hold; it is
    /// asked while nothing changes.
    pub(super) fn ensure_counted(&self, home: impl AsFd, kept: impl FnOnce() -> Amount) -> Result<(), Fault> {
        if self.used.get().is_some() {
            return Ok(());
        }
        let _exclusive = self.changing.write().unwrap_or_else(PoisonError::into_inner);
        if self.used.get().is_some() {
            return Ok(());
        }
        let found = scan(home)?;
        let kept = kept();
        let total =
            Amount { bytes: found.bytes.saturating_add(kept.bytes), files: found.files.saturating_add(kept.files) };
        self.used.get_or_init(|| Used { bytes: AtomicU64::new(total.bytes), files: AtomicU64::new(total.files) });
        Ok(())
    }

    /// Begins a change of what the home holds.
    pub(super) fn change(&self) -> Change<'_> {
        let no_scan = self.changing.read().unwrap_or_else(PoisonError::into_inner);
        Change { used: self.used.get(), _no_scan: no_scan }
    }

    /// What the home holds; none before the first count.
    pub(super) fn used(&self) -> Option<Amount> {
        let load = |used: &Used| Amount {
            bytes: used.bytes.load(Ordering::Relaxed),
            files: used.files.load(Ordering::Relaxed),
        };
        self.used.get().map(load)
    }
}

impl Change<'_> {
    /// Writes down that `more` came and `less` went.
    pub(super) fn record(&self, more: Amount, less: Amount) {
        if let Some(used) = self.used {
            adjust(&used.bytes, more.bytes, less.bytes);
            adjust(&used.files, more.files, less.files);
        }
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
        if let Some(used) = self.ledger.used.get() {
            let more = self.excess(held).saturating_sub(self.excess(self.held));
            reserve(&used.bytes, more, self.quota.bytes)?;
            self.reserved.bytes = self.reserved.bytes.saturating_add(more);
        }
        self.held = held;
        Ok(())
    }

    /// Gives back bytes that were reserved and not used.
    pub(super) fn return_bytes(&mut self, bytes: u64) {
        let held = self.held.saturating_sub(bytes);
        let returned = self.excess(self.held).saturating_sub(self.excess(held)).min(self.reserved.bytes);
        if let Some(used) = self.ledger.used.get() {
            adjust(&used.bytes, 0, returned);
        }
        self.reserved.bytes = self.reserved.bytes.saturating_sub(returned);
        self.held = held;
    }

    /// What needs room where the upload has so many bytes.
    fn excess(&self, held: u64) -> u64 {
        held.saturating_sub(self.credit)
    }

    /// Reserves one file.
    pub(super) fn reserve_file(&mut self) -> Result<(), Fault> {
        if let Some(used) = self.ledger.used.get() {
            reserve(&used.files, 1, self.quota.files)?;
            self.reserved.files = self.reserved.files.saturating_add(1);
        }
        Ok(())
    }

    /// Takes over what is written down already for an interrupted upload that goes on.
    pub(super) fn take_over(&mut self, held: Amount, change: &Change<'_>) {
        self.held = self.held.saturating_add(held.bytes);
        if let Some(used) = change.used {
            let counted = self.excess(held.bytes);
            adjust(&used.bytes, 0, held.bytes.saturating_sub(counted));
            self.reserved.bytes = self.reserved.bytes.saturating_add(counted);
            self.reserved.files = self.reserved.files.saturating_add(held.files);
        }
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

    /// Ends the reservation: from now on the home holds `more`, and no longer `less`.
    pub(super) fn settle(&mut self, change: &Change<'_>, more: Amount, less: Amount) {
        let reserved = std::mem::take(&mut self.reserved);
        self.held = 0;
        let less = Amount {
            bytes: less.bytes.saturating_add(reserved.bytes),
            files: less.files.saturating_add(reserved.files),
        };
        change.record(more, less);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if let Some(used) = self.ledger.used.get() {
            adjust(&used.bytes, 0, self.reserved.bytes);
            adjust(&used.files, 0, self.reserved.files);
        }
    }
}

/// Adds and subtracts in one step, never below zero.
fn adjust(counter: &AtomicU64, more: u64, less: u64) {
    counter.update(Ordering::AcqRel, Ordering::Acquire, |used| used.saturating_add(more).saturating_sub(less));
}

/// Adds unless that would pass the limit.
fn reserve(counter: &AtomicU64, more: u64, limit: Option<u64>) -> Result<(), Fault> {
    let add = |used: u64| used.checked_add(more).filter(|sum| more == 0 || limit.is_none_or(|limit| *sum <= limit));
    counter.try_update(Ordering::AcqRel, Ordering::Acquire, add).map(|_| ()).map_err(|_| Fault::QuotaExceeded)
}

/// Counts a tree, one directory handle for each level: memory does not grow with the tree. What
/// lies deeper than clients can reach is left out.
fn scan(home: impl AsFd) -> Result<Amount, Fault> {
    let open = |parent: &dyn AsFd, name: &std::ffi::CStr| {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        openat(parent.as_fd(), name, flags, Mode::empty())
    };
    let mut buffer = vec![MaybeUninit::<u8>::uninit(); SCAN_BUFFER_BYTES];
    let mut total = Amount::default();
    let mut levels: Vec<OwnedFd> = vec![open(&home, c".")?];
    while let Some(directory) = levels.last() {
        match scan_level(directory, &mut buffer, &mut total, &open, levels.len() <= DEPTH_MAX)? {
            Some(below) => levels.push(below),
            None => drop(levels.pop()),
        }
    }
    Ok(total)
}

/// Counts on in one directory up to the next directory in it, which is returned open, or to the end.
fn scan_level(
    directory: &OwnedFd,
    buffer: &mut [MaybeUninit<u8>],
    total: &mut Amount,
    open: &dyn Fn(&dyn AsFd, &std::ffi::CStr) -> Result<OwnedFd, Errno>,
    descend: bool,
) -> Result<Option<OwnedFd>, Fault> {
    let mut entries = RawDir::new(directory, buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." || name.to_bytes().starts_with(RESERVED_PREFIX.as_bytes()) {
            continue;
        }
        let Ok(status) = Status::at(directory, name) else { continue };
        total.files = total.files.saturating_add(1);
        match status.file_type {
            FileType::RegularFile => total.bytes = total.bytes.saturating_add(status.size),
            FileType::Directory if descend => {
                if let Ok(below) = open(directory, name) {
                    seek(directory, SeekFrom::Start(entry.next_entry_cookie()))?;
                    return Ok(Some(below));
                }
            }
            _ => {}
        }
    }
    Ok(None)
}
