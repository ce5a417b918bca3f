//! The open log as it grows: never left with half a line by a write that fails, and never written
//! on unseen where somebody renamed, removed or cut it while the server runs.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::file::open_alone;

/// What the log needs of a file; a fake one tests what a full disk does.
pub(super) trait RawFile: Send + 'static {
    /// Writes some of the bytes at the end.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Makes what was written outlive a power cut.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the file to a length in bytes.
    fn set_len(&mut self, length: u64) -> io::Result<()>;
    /// Its length in bytes.
    fn length(&self) -> io::Result<u64>;
    /// Whether it is empty or ends with a whole line.
    fn ends_a_line(&self) -> io::Result<bool>;
    /// Whether the log's name still stands for it.
    fn is_in_place(&self) -> io::Result<bool>;
    /// Whether this name in the same directory stands for it.
    fn is_named(&self, name: &str) -> io::Result<bool>;
    /// Opens or makes what the log's name stands for now, and goes on there.
    fn begin_anew(&mut self) -> io::Result<()>;
}

/// The log on disk.
#[derive(Debug)]
pub(super) struct DiskFile {
    file: File,
    path: PathBuf,
    directory: File,
}

impl DiskFile {
    /// An open log, its path, and the directory that it lies in.
    pub(super) fn new(file: File, path: PathBuf, directory: File) -> Self {
        Self { file, path, directory }
    }

    fn is_at(&self, path: &Path) -> io::Result<bool> {
        let own = self.file.metadata()?;
        match path.symlink_metadata() {
            Ok(named) => Ok((named.dev(), named.ino()) == (own.dev(), own.ino())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl AsFd for DiskFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl RawFile for DiskFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn set_len(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn ends_a_line(&self) -> io::Result<bool> {
        let Some(last) = self.length()?.checked_sub(1) else { return Ok(true) };
        let mut byte = [0];
        self.file.read_exact_at(&mut byte, last)?;
        Ok(byte == *b"\n")
    }

    fn is_in_place(&self) -> io::Result<bool> {
        match self.is_at(&self.path) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                // The file is open and is written all the same; only nobody can look after its name.
                static TOLD: AtomicBool = AtomicBool::new(false);
                if !TOLD.swap(true, Ordering::Relaxed) {
                    let path = self.path.display();
                    tracing::warn!(%path, "the server may not look into the directory of the audit log, so it cannot tell whether the log is renamed or removed");
                }
                Ok(true)
            }
            found => found,
        }
    }

    fn is_named(&self, name: &str) -> io::Result<bool> {
        self.is_at(&self.path.with_file_name(name))
    }

    fn begin_anew(&mut self) -> io::Result<()> {
        let file = open_alone(&self.path).map_err(io::Error::other)?;
        // So that the new name survives a power cut as its content does.
        self.directory.sync_all()?;
        // Not before: where this is tried again, the file is still the one that was left.
        self.file = file;
        Ok(())
    }
}

/// What became of the log since it was written last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It is where and as it was left.
    InPlace,
    /// It has the name that it was to get.
    Renamed,
    /// Somebody did something else to it.
    Tampered(Tampering),
}

/// What somebody else did to the log while the server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tampering {
    /// It was renamed or removed; a new one was begun under its name.
    Replaced,
    /// It was cut: from so many bytes, to so many.
    Cut(u64, u64),
}

/// A file of whole lines.
#[derive(Debug)]
pub(super) struct LogFile<F> {
    raw: F,
    /// Up to here the file is whole.
    length: u64,
    /// Whether remains of a failed write may stand behind `length`.
    dirty: bool,
    /// Whether half a line of somebody else stands at the end.
    half_line: bool,
    /// What is still to be written of lines whose beginning cannot be cut off.
    owed: Vec<u8>,
}

/// Lines that were not appended.
#[derive(Debug)]
pub(super) struct NotAppended {
    pub(super) error: io::Error,
    /// Whether a part of them is in the file for good: they are completed before anything else, and
    /// are not to be appended again.
    pub(super) stays: bool,
}

impl From<io::Error> for NotAppended {
    fn from(error: io::Error) -> Self {
        Self { error, stays: false }
    }
}

impl<F: RawFile> LogFile<F> {
    pub(super) fn new(raw: F, length: u64) -> Self {
        Self { raw, length, dirty: false, half_line: false, owed: Vec::new() }
    }

    /// The file itself.
    pub(super) fn raw(&self) -> &F {
        &self.raw
    }

    /// Looks whether the file is still the log, or has the name that it was to get, and is as long as
    /// it was left. Where somebody replaced or cut it, the next append goes to the end of what is there.
    pub(super) fn inspect(&mut self, awaited: Option<&str>) -> io::Result<Found> {
        let in_place = self.raw.is_in_place()?;
        let renamed = match awaited.filter(|_| !in_place) {
            Some(name) => self.raw.is_named(name)?,
            None => false,
        };
        if !in_place && !renamed {
            // Wherever it is now, what it has was confirmed to somebody.
            if let Err(error) = self.raw.sync() {
                tracing::error!(%error, "the end of the audit log that was renamed or removed may be lost");
            }
            self.begin_anew()?;
            return Ok(Found::Tampered(Tampering::Replaced));
        }
        let (left, found) = (self.length, self.raw.length()?);
        if found < left {
            self.go_on_at_end()?;
            return Ok(Found::Tampered(Tampering::Cut(left, found)));
        }
        Ok(if renamed { Found::Renamed } else { Found::InPlace })
    }

    /// Goes on in the file that the log's name stands for now.
    pub(super) fn begin_anew(&mut self) -> io::Result<()> {
        self.raw.begin_anew()?;
        self.go_on_at_end()
    }

    /// Its length in bytes, as far as it is whole.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    fn go_on_at_end(&mut self) -> io::Result<()> {
        self.length = self.raw.length()?;
        self.half_line = !self.raw.ends_a_line()?;
        self.dirty = false;
        self.owed.clear();
        Ok(())
    }

    /// Appends all of the lines, and syncs them if asked to, or leaves the file as it was. A file that
    /// was made inside the sandbox only grows: there, what was begun is completed by the next append.
    pub(super) fn append(&mut self, lines: &[u8], sync: bool) -> Result<(), NotAppended> {
        match self.clean() {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => self.go_on_at_end()?,
            cleaned => cleaned?,
        }
        self.complete()?;
        let separator: &[u8] = if self.half_line { b"\n" } else { b"" };
        let written = self
            .write_all(separator)
            .and_then(|()| self.write_all(lines))
            .and_then(|()| if sync { self.raw.sync() } else { Ok(()) });
        if written.is_ok() {
            let length = separator.len().saturating_add(lines.len());
            self.length = self.length.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
            self.half_line = false;
        }
        let Err(error) = written else { return Ok(()) };
        self.dirty = true;
        // Where this fails too, the next append tries again before it writes.
        let stays = match self.clean() {
            Err(denied) if denied.kind() == ErrorKind::PermissionDenied => self.owe(separator, lines),
            _ => false,
        };
        Err(NotAppended { error, stays })
    }

    /// Remembers the rest of these lines, if a part of them is in the file.
    fn owe(&mut self, separator: &[u8], lines: &[u8]) -> bool {
        let Ok(found) = self.raw.length() else { return false };
        let there = usize::try_from(found.saturating_sub(self.length)).unwrap_or(usize::MAX);
        let all = [separator, lines].concat();
        let Some(rest) = all.get(there..).filter(|_| there > 0) else { return false };
        self.owed = rest.to_vec();
        self.length = found;
        (self.dirty, self.half_line) = (false, false);
        true
    }

    /// Writes what is owed.
    fn complete(&mut self) -> io::Result<()> {
        while !self.owed.is_empty() {
            match self.raw.write(&self.owed) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.owed.drain(..count.min(self.owed.len()));
                    self.length = self.length.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.raw.sync()
    }

    fn clean(&mut self) -> io::Result<()> {
        // Somebody may have cut it meanwhile: a file made longer would have a hole.
        if self.dirty && self.raw.length()? > self.length {
            self.raw.set_len(self.length)?;
        }
        self.dirty = false;
        Ok(())
    }

    fn write_all(&mut self, mut rest: &[u8]) -> io::Result<()> {
        while !rest.is_empty() {
            match self.raw.write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
