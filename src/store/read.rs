//! Reading a file: its size is taken when it is opened, and reading stops there.

use std::io::IoSliceMut;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fd::OwnedFd;
use rustix::io::{Errno, ReadWriteFlags, pread, preadv2};

use super::entry::Status;
use super::fault::{Fault, uninterrupted};

/// An open regular file.
#[derive(Debug)]
pub struct ReadFile {
    file: OwnedFd,
    size: u64,
    /// Whether the file system can say that a read would wait.
    says_when_waiting: AtomicBool,
}

impl ReadFile {
    pub(super) fn new(file: OwnedFd, status: &Status) -> Self {
        Self { file, size: status.size, says_when_waiting: AtomicBool::new(true) }
    }

    /// Its size in bytes when it was opened.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Reads what the kernel has in memory at an offset: the bytes read, 0 at the end, none where
    /// the read would wait or the file system cannot tell. A 0 before [`Self::size`] means that
    /// the file has been cut.
    ///
    /// # Errors
    /// What the system reports.
    pub fn read_cached(&self, buffer: &mut [u8], offset: u64) -> Result<Option<usize>, Fault> {
        if !self.says_when_waiting.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let buffer = self.within(buffer, offset);
        if buffer.is_empty() {
            return Ok(Some(0));
        }
        let mut buffers = [IoSliceMut::new(buffer)];
        match uninterrupted(|| preadv2(&self.file, &mut buffers, offset, ReadWriteFlags::NOWAIT)) {
            Ok(count) => Ok(Some(count)),
            Err(Errno::AGAIN) => Ok(None),
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                self.says_when_waiting.store(false, Ordering::Relaxed);
                Ok(None)
            }
            Err(errno) => Err(errno.into()),
        }
    }

    /// Reads at an offset, waiting for the disk: the bytes read, 0 at the end. A 0 before
    /// [`Self::size`] means that the file has been cut.
    ///
    /// # Errors
    /// What the system reports.
    pub fn read(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Fault> {
        let buffer = self.within(buffer, offset);
        if buffer.is_empty() {
            return Ok(0);
        }
        Ok(uninterrupted(|| pread(&self.file, &mut *buffer, offset))?)
    }

    /// As much of the buffer as the file has bytes from the offset on.
    fn within<'b>(&self, buffer: &'b mut [u8], offset: u64) -> &'b mut [u8] {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let length = left.min(buffer.len());
        buffer.get_mut(..length).unwrap_or_default()
    }
}
