//! What stays free in each file system. An upload is promised room before it writes: what it
//! announced, or else a little ahead. What was promised to one is not there for another, so
//! several at once do not together go below the floor.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fd::AsFd;
use rustix::fs::fstatvfs;

use super::entry::Status;
use super::fault::Fault;

/// Bytes promised ahead, and written between two looks at the free space.
const AHEAD_BYTES: u64 = 4 << 20;

/// What uploads leave free in a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Floor {
    /// Bytes.
    pub bytes: u64,
    /// Inodes; a file system that does not tell how many it has is not held to it.
    pub inodes: u64,
}

/// What a file system has left for this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Free {
    /// Bytes.
    pub bytes: u64,
    /// Inodes; none where the file system does not tell.
    pub inodes: Option<u64>,
    /// Bytes that it has in all.
    pub bytes_in_all: u64,
    /// Inodes that it has in all, where it tells.
    pub inodes_in_all: Option<u64>,
}

/// The file systems that homes lie on, by device.
#[derive(Debug, Default)]
pub(super) struct FileSystems(Mutex<HashMap<u64, Arc<FileSystem>>>);

/// One of them.
#[derive(Debug, Default)]
pub(super) struct FileSystem(Mutex<Promised>);

/// What uploads may still write in all.
#[derive(Debug, Default)]
struct Promised {
    bytes: u64,
    inodes: u64,
}

/// Room promised to one upload; dropping it gives back what was not used.
#[derive(Debug)]
pub(super) struct Promise {
    system: Arc<FileSystem>,
    floor: Floor,
    bytes: u64,
    inodes: u64,
    /// Bytes that may be written before the free space is looked at again: other programs write too.
    unchecked: u64,
}

impl Free {
    /// Asks the file system of a place.
    pub(super) fn at(place: impl AsFd) -> Result<Self, Fault> {
        let figures = fstatvfs(place)?;
        let known = figures.f_files > 0;
        Ok(Self {
            bytes: figures.f_bavail.saturating_mul(figures.f_frsize),
            inodes: known.then_some(figures.f_favail),
            bytes_in_all: figures.f_blocks.saturating_mul(figures.f_frsize),
            inodes_in_all: known.then_some(figures.f_files),
        })
    }

    fn leaves(self, floor: Floor, bytes: u64, inodes: u64) -> bool {
        let inodes_needed = floor.inodes.saturating_add(inodes);
        self.bytes >= floor.bytes.saturating_add(bytes)
            && (inodes == 0 || self.inodes.is_none_or(|free| free >= inodes_needed))
    }
}

impl FileSystems {
    /// The file system of a place.
    pub(super) fn of(&self, place: impl AsFd) -> Result<Arc<FileSystem>, Fault> {
        let device = Status::of(place)?.unique.0;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::clone(known.entry(device).or_default()))
    }
}

impl FileSystem {
    /// Bytes that a new upload could have; 0 where it needs an inode and there is none for it.
    pub(super) fn room(&self, place: impl AsFd, floor: Floor, inodes: u64) -> Result<u64, Fault> {
        let promised = self.promised();
        let free = Free::at(place)?;
        let inodes_needed = if inodes == 0 { 0 } else { promised.inodes.saturating_add(inodes) };
        let enough = free.leaves(floor, promised.bytes, inodes_needed);
        Ok(if enough { free.bytes.saturating_sub(floor.bytes).saturating_sub(promised.bytes) } else { 0 })
    }

    fn promised(&self) -> MutexGuard<'_, Promised> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Promise {
    /// Promises room for so many bytes and inodes, above the floor and what others were promised.
    ///
    /// # Errors
    /// [`Fault::NoSpace`].
    pub(super) fn new(
        system: Arc<FileSystem>,
        place: impl AsFd,
        floor: Floor,
        (bytes, inodes): (u64, u64),
    ) -> Result<Self, Fault> {
        let mut promise = Self { system, floor, bytes: 0, inodes: 0, unchecked: 0 };
        promise.ask(place, bytes, inodes)?;
        Ok(promise)
    }

    /// Promises more.
    ///
    /// # Errors
    /// [`Fault::NoSpace`].
    pub(super) fn ask(&mut self, place: impl AsFd, bytes: u64, inodes: u64) -> Result<(), Fault> {
        let mut promised = self.system.promised();
        let more = (promised.bytes.saturating_add(bytes), promised.inodes.saturating_add(inodes));
        // What others were promised of inodes matters only to who needs one.
        let inodes_needed = if inodes == 0 { 0 } else { more.1 };
        if !Free::at(place)?.leaves(self.floor, more.0, inodes_needed) {
            return Err(Fault::NoSpace);
        }
        (promised.bytes, promised.inodes) = more;
        drop(promised);
        self.bytes = self.bytes.saturating_add(bytes);
        self.inodes = self.inodes.saturating_add(inodes);
        self.unchecked = AHEAD_BYTES;
        Ok(())
    }

    /// Sees to it that so many bytes may be written now.
    ///
    /// # Errors
    /// [`Fault::NoSpace`].
    pub(super) fn cover(&mut self, place: impl AsFd, bytes: u64) -> Result<(), Fault> {
        let missing = bytes.saturating_sub(self.bytes);
        if missing > 0 {
            // Near the floor the look ahead is as short as it can be.
            return self.ask(&place, missing.max(AHEAD_BYTES), 0).or_else(|_| self.ask(&place, missing, 0));
        }
        if bytes > self.unchecked {
            if !Free::at(place)?.leaves(self.floor, bytes, 0) {
                return Err(Fault::NoSpace);
            }
            self.unchecked = AHEAD_BYTES.max(bytes);
        }
        Ok(())
    }

    /// So many bytes are in the file system now.
    pub(super) fn written(&mut self, bytes: u64) {
        let used = self.bytes.min(bytes);
        self.give_back(used, 0);
        self.unchecked = self.unchecked.saturating_sub(bytes);
    }

    /// A file was made.
    pub(super) fn made(&mut self) {
        self.give_back(0, self.inodes.min(1));
    }

    fn give_back(&mut self, bytes: u64, inodes: u64) {
        self.bytes = self.bytes.saturating_sub(bytes);
        self.inodes = self.inodes.saturating_sub(inodes);
        let mut promised = self.system.promised();
        promised.bytes = promised.bytes.saturating_sub(bytes);
        promised.inodes = promised.inodes.saturating_sub(inodes);
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.give_back(self.bytes, self.inodes);
    }
}
