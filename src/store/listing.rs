//! Reading a directory: one buffer, one look at each entry, nothing held for those passed.

use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::sync::Arc;

use rustix::fd::OwnedFd;
use rustix::fs::{FileType, RawDir, SeekFrom, seek};
use rustix::io::Errno;

use super::entry::{EntryRef, Status};
use super::fault::Fault;
use super::partial::Partial;
use crate::proto::path::is_presentable;

/// Bytes of directory entries read at a time.
const BUFFER_BYTES: usize = 32 << 10;

/// An open directory.
#[derive(Debug)]
pub struct Listing {
    directory: OwnedFd,
    buffer: Vec<MaybeUninit<u8>>,
    /// The viewer's interrupted uploads here that were not shown yet.
    partials: HashMap<String, Arc<Partial>>,
    at_end: bool,
}

impl Listing {
    pub(super) fn new(directory: OwnedFd, partials: HashMap<String, Arc<Partial>>) -> Self {
        Self { directory, buffer: vec![MaybeUninit::uninit(); BUFFER_BYTES], partials, at_end: false }
    }

    /// Visits up to `entries_max` further entries in the order in which the file system has them;
    /// false when the end is reached. Symbolic links, FIFOs, sockets, devices and names that
    /// cannot be shown are passed over.
    ///
    /// # Errors
    /// What the system reports.
    pub fn visit(&mut self, entries_max: usize, visit: &mut dyn FnMut(&EntryRef<'_>)) -> Result<bool, Fault> {
        let mut left = entries_max;
        if !self.at_end {
            left = self.visit_on_disk(left, visit)?;
        }
        while self.at_end && left > 0 {
            let Some(name) = self.partials.keys().next().cloned() else { return Ok(false) };
            if let Some(partial) = self.partials.remove(&name) {
                visit(&partial.entry()?);
                left = left.saturating_sub(1);
            }
        }
        Ok(!self.at_end || !self.partials.is_empty())
    }

    /// Visits entries that are in the directory; returns how many more may be visited.
    fn visit_on_disk(&mut self, entries_max: usize, visit: &mut dyn FnMut(&EntryRef<'_>)) -> Result<usize, Fault> {
        let mut left = entries_max;
        let mut entries = RawDir::new(&self.directory, &mut self.buffer);
        while left > 0 {
            let entry = match entries.next() {
                Some(Ok(entry)) => entry,
                // A directory removed meanwhile has no more entries.
                None | Some(Err(Errno::NOENT)) => {
                    self.at_end = true;
                    break;
                }
                Some(Err(errno)) => return Err(errno.into()),
            };
            let resume_at = entry.next_entry_cookie();
            if show(&self.directory, &entry, &mut self.partials, visit)? {
                left = left.saturating_sub(1);
            }
            if left == 0 && !entries.is_buffer_empty() {
                seek(&self.directory, SeekFrom::Start(resume_at))?;
            }
        }
        Ok(left)
    }
}

/// Visits one entry, if clients see it; whether they do.
fn show(
    directory: &OwnedFd,
    entry: &rustix::fs::RawDirEntry<'_>,
    partials: &mut HashMap<String, Arc<Partial>>,
    visit: &mut dyn FnMut(&EntryRef<'_>),
) -> Result<bool, Fault> {
    if !matches!(entry.file_type(), FileType::RegularFile | FileType::Directory | FileType::Unknown) {
        return Ok(false);
    }
    let Ok(name) = entry.file_name().to_str() else { return Ok(false) };
    if matches!(name, "." | "..") || !is_presentable(name) {
        return Ok(false);
    }
    if let Some(partial) = partials.remove(name) {
        visit(&partial.entry()?);
        return Ok(true);
    }
    let status = match Status::at(directory, entry.file_name()) {
        Ok(status) => status,
        // Removed since, or not the server's to look at.
        Err(Errno::NOENT | Errno::ACCESS) => return Ok(false),
        Err(errno) => return Err(errno.into()),
    };
    match status.named(name) {
        Ok(entry) => {
            visit(&entry);
            Ok(true)
        }
        Err(_) => Ok(false),
    }
}
