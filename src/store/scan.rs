//! Counting a home while it is in use. A few entries at a time are taken in while nobody changes
//! anything; in between, and while the disk is asked, everything goes on.

use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, RawDir, SeekFrom, seek};
use rustix::io::Errno;

use super::entry::Status;
use super::fault::Fault;
use super::ledger::{Amount, Ledger};
use super::progress::{Progress, open_directory};
use crate::proto::path::{DEPTH_MAX, RESERVED_PREFIX};

/// Bytes of directory entries read at a time.
const BUFFER_BYTES: usize = 32 << 10;
/// Entries taken in at a time, while nobody changes anything.
const BATCH_ENTRIES: usize = 256;
/// Longest pause after a batch.
const PAUSE_MAX: Duration = Duration::from_millis(50);
/// How often a scan begins anew that too many renames disturbed.
const ATTEMPTS: u32 = 3;

/// How a scan goes about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// Somebody waits for the number.
    Hurried,
    /// The disk is there for others at least half of the time.
    Gentle,
}

/// What a scan found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// What the books said; none where nothing was counted before.
    pub(super) before: Option<Amount>,
    /// What is there.
    pub(super) now: Amount,
}

/// One scan.
struct Scan<'a> {
    ledger: &'a Ledger,
    pace: Pace,
    stop: &'a AtomicBool,
    buffer: Vec<MaybeUninit<u8>>,
}

/// An entry of a directory: its name, and what it counts as.
type Entry = (CString, Amount);

/// Leaves nothing of a scan behind, however it ends.
struct Running<'a>(&'a Ledger);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        *self.0.progress() = None;
    }
}

/// Counts a home and puts the books right. Only one scan may run: see [`Ledger::scanning`]. `kept`
/// says what interrupted uploads hold; it is asked while nothing changes.
///
/// # Errors
/// [`Fault::Busy`] where it was stopped, or directories are moved faster than they are counted.
pub(super) fn run(
    ledger: &Ledger,
    home: impl AsFd,
    pace: Pace,
    stop: &AtomicBool,
    kept: impl Fn() -> Amount,
) -> Result<Found, Fault> {
    let mut scan = Scan { ledger, pace, stop, buffer: vec![MaybeUninit::uninit(); BUFFER_BYTES] };
    for _ in 0..ATTEMPTS {
        let _running = Running(ledger);
        {
            let _still = ledger.hold_still();
            *ledger.progress() = Some(Progress::default());
        }
        scan.tree(open_directory(&home, c".")?)?;
        loop {
            let still = ledger.hold_still();
            let mut progress = ledger.progress();
            let Some(running) = progress.as_mut() else { break };
            if let Some(moved) = running.take_moved() {
                drop((progress, still));
                scan.tree(moved)?;
            } else if let Some(found) = running.total() {
                let now = found.plus(kept());
                return Ok(Found { before: ledger.correct(now), now });
            } else {
                break;
            }
        }
    }
    Err(Fault::Busy)
}

impl Scan<'_> {
    /// Counts a tree, one directory handle for each level: memory does not grow with its files. What
    /// lies deeper than clients can reach is left out.
    fn tree(&mut self, top: OwnedFd) -> Result<(), Fault> {
        let mut levels = Vec::new();
        if self.directory(&top)? {
            levels.push(top);
        }
        while let Some(directory) = levels.last() {
            let below = if levels.len() <= DEPTH_MAX { self.next_below(directory)? } else { None };
            match below {
                Some(below) if self.directory(&below)? => levels.push(below),
                Some(_) => {}
                None => drop(levels.pop()),
            }
        }
        Ok(())
    }

    /// Counts the entries of one directory; false where that was done. Afterwards it is at its
    /// beginning again.
    fn directory(&mut self, directory: &OwnedFd) -> Result<bool, Fault> {
        let unique = Status::of(directory)?.unique;
        {
            let _still = self.ledger.hold_still();
            if !self.ledger.progress().as_mut().is_some_and(|progress| progress.enter(unique)) {
                return Ok(false);
            }
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let counted = self.entries(directory, &mut buffer);
        self.buffer = buffer;
        counted?;
        seek(directory, SeekFrom::Start(0))?;
        Ok(true)
    }

    fn entries(&self, directory: &OwnedFd, buffer: &mut [MaybeUninit<u8>]) -> Result<(), Fault> {
        let mut entries = RawDir::new(directory, buffer);
        let mut more = true;
        while more {
            let began = Instant::now();
            let mut batch: Vec<Entry> = Vec::with_capacity(BATCH_ENTRIES);
            while more && batch.len() < BATCH_ENTRIES {
                match entries.next() {
                    // A directory that was removed has come to its end.
                    None | Some(Err(Errno::NOENT)) => more = false,
                    Some(entry) => {
                        let entry = entry?;
                        if is_counted(entry.file_name()) {
                            let amount = amount(directory, entry.file_name(), entry.file_type());
                            batch.extend(amount.map(|amount| (entry.file_name().to_owned(), amount)));
                        }
                    }
                }
            }
            self.take_in(batch, !more);
            self.pause(began)?;
        }
        Ok(())
    }

    /// Takes in a few entries that were looked at. What changed under their names meanwhile was noted,
    /// and what is about to be has to wait: nothing is counted twice.
    fn take_in(&self, batch: Vec<Entry>, last: bool) {
        let _still = self.ledger.hold_still();
        let mut progress = self.ledger.progress();
        let Some(progress) = progress.as_mut() else { return };
        for (name, amount) in batch {
            progress.count(name.to_bytes(), amount);
        }
        if last {
            progress.leave();
        }
    }

    /// The next directory in one, opened.
    fn next_below(&mut self, directory: &OwnedFd) -> Result<Option<OwnedFd>, Fault> {
        let mut entries = RawDir::new(directory, &mut self.buffer);
        while let Some(entry) = entries.next() {
            let entry = match entry {
                Err(Errno::NOENT) => break,
                entry => entry?,
            };
            let may_be = matches!(entry.file_type(), FileType::Directory | FileType::Unknown);
            if may_be
                && is_counted(entry.file_name())
                && let Ok(below) = open_directory(directory, entry.file_name())
            {
                seek(directory, SeekFrom::Start(entry.next_entry_cookie()))?;
                return Ok(Some(below));
            }
        }
        Ok(None)
    }

    /// Lets others have the disk for as long as the scan had it.
    fn pause(&self, began: Instant) -> Result<(), Fault> {
        if self.stop.load(Ordering::Acquire) {
            return Err(Fault::Busy);
        }
        if self.pace == Pace::Gentle && !self.ledger.is_waited_for() {
            std::thread::sleep(began.elapsed().min(PAUSE_MAX));
        }
        Ok(())
    }
}

fn is_counted(name: &CStr) -> bool {
    name != c"." && name != c".." && !name.to_bytes().starts_with(RESERVED_PREFIX.as_bytes())
}

/// What an entry counts as; none where it is gone.
fn amount(directory: &OwnedFd, name: &CStr, known: FileType) -> Option<Amount> {
    match known {
        FileType::RegularFile | FileType::Unknown => Status::at(directory, name).ok().map(|status| status.amount()),
        _ => Some(Amount { bytes: 0, files: 1 }),
    }
}
