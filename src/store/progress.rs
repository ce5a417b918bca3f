//! How far a scan of a home is, and what that makes of the changes meanwhile.
//!
//! A scan takes one directory after the other, and in each one entry after the other. A change of
//! a name in a directory
//! - that the scan has done is added to what it has found,
//! - that it has not come to is left to it,
//! - that it is at is added where it has come by the name, and otherwise counted once and for all:
//!   the scan then passes the name by.
//!
//! Directories are known by device and inode, so it does not matter where they are moved. Each is
//! counted once; one that was moved is handed to the scan, which might not come by it any more.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;

use super::entry::Status;
use super::ledger::Amount;

/// Directories remembered as done. In further ones, the changes while the scan runs are missing or
/// counted twice until the next scan.
const DIRECTORIES_MAX: usize = 1 << 20;
/// Names remembered of the directory that the scan is at; beyond that the same holds.
const NAMES_MAX: usize = 1 << 20;
/// Directories that were moved and wait for the scan.
const MOVED_MAX: usize = 256;

/// How far a scan is.
#[derive(Debug, Default)]
pub(super) struct Progress {
    total: Amount,
    done: HashSet<(u64, u64)>,
    at: Option<At>,
    moved: Vec<OwnedFd>,
    /// Whether more was moved than could be remembered: what is found is of no use then.
    lost: bool,
    hasher: RandomState,
}

/// The directory that the scan is at.
#[derive(Debug)]
struct At {
    unique: (u64, u64),
    /// Hashes of the names that are counted.
    names: HashSet<u64>,
}

impl Progress {
    /// Begins with a directory; whether it has to be counted.
    pub(super) fn enter(&mut self, unique: (u64, u64)) -> bool {
        let new = !self.done.contains(&unique);
        if new {
            self.at = Some(At { unique, names: HashSet::new() });
        }
        new
    }

    /// Ends the directory that the scan is at.
    pub(super) fn leave(&mut self) {
        if let Some(at) = self.at.take() {
            self.remember(at.unique);
        }
    }

    /// Counts an entry of the directory that the scan is at, unless that was done.
    pub(super) fn count(&mut self, name: &[u8], amount: Amount) {
        if self.pass(name) {
            self.total = self.total.plus(amount);
        }
    }

    /// What was found, once nothing is left to be scanned; none where too much was moved meanwhile.
    pub(super) fn total(&self) -> Option<Amount> {
        (!self.lost).then_some(self.total)
    }

    /// The next of the directories that were moved.
    pub(super) fn take_moved(&mut self) -> Option<OwnedFd> {
        self.moved.pop()
    }

    /// A name in a directory stood for something else before.
    pub(super) fn note(&mut self, directory: impl AsFd, name: &str, before: Amount, after: Amount) {
        let Ok(Status { unique, .. }) = Status::of(directory) else { return };
        if self.at.as_ref().is_some_and(|at| at.unique == unique) {
            let before = if self.pass(name.as_bytes()) { Amount::default() } else { before };
            self.total = self.total.plus(after).minus(before);
        } else if self.done.contains(&unique) {
            self.total = self.total.plus(after).minus(before);
        }
    }

    /// A directory was made: there is nothing in it to be counted.
    pub(super) fn note_made(&mut self, parent: impl AsFd, name: &str) {
        if let Ok(status) = Status::at(parent, name) {
            self.remember(status.unique);
        }
    }

    /// A directory is gone, and another may have its inode.
    pub(super) fn note_removed(&mut self, unique: (u64, u64)) {
        self.done.remove(&unique);
    }

    /// A directory has another place now.
    pub(super) fn note_moved(&mut self, parent: impl AsFd, name: &str) {
        let parent = parent.as_fd();
        if Status::at(parent, name).is_ok_and(|status| self.done.contains(&status.unique)) {
            return;
        }
        match open_directory(parent, name) {
            Ok(directory) if self.moved.len() < MOVED_MAX => self.moved.push(directory),
            // Out of reach for a scan wherever it is.
            Err(Errno::ACCESS | Errno::PERM) => {}
            _ => self.lost = true,
        }
    }

    /// Whether the scan had not come by the name; from now on it has.
    fn pass(&mut self, name: &[u8]) -> bool {
        let Some(at) = &mut self.at else { return true };
        let hash = self.hasher.hash_one(name);
        if at.names.len() < NAMES_MAX { at.names.insert(hash) } else { !at.names.contains(&hash) }
    }

    fn remember(&mut self, unique: (u64, u64)) {
        if self.done.len() < DIRECTORIES_MAX {
            self.done.insert(unique);
        }
    }
}

/// Opens a directory to read it, through no link.
pub(super) fn open_directory(parent: impl AsFd, name: impl rustix::path::Arg) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    openat(parent, name, flags, Mode::empty())
}
