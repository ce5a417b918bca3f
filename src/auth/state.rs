//! The directory in which the server keeps what it has to remember of accounts. It is one server's
//! at a time, and its files are written whole or not at all.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, flock, open, openat, renameat, unlinkat};

/// The directory, held open: what is read and written stays in it, whatever happens to its path.
#[derive(Debug)]
pub struct StateDirectory {
    handle: OwnedFd,
    path: PathBuf,
}

impl StateDirectory {
    /// Takes the directory over for as long as this lives.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] where another server has it; else what the system says.
    pub fn take(path: &Path) -> io::Result<Self> {
        let handle = open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        flock(&handle, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self { handle, path: path.to_owned() })
    }

    /// Its path, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The text of a file, as far as these bytes; empty where there is no file.
    ///
    /// # Errors
    /// What the system says; also where the file is no UTF-8 text.
    pub fn read(&self, name: &str, bytes_max: u64) -> io::Result<String> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(&self.handle, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::NOENT) => return Ok(String::new()),
            Err(error) => return Err(error.into()),
        };
        let mut text = String::new();
        file.take(bytes_max).read_to_string(&mut text)?;
        Ok(text)
    }

    /// Puts a whole file in the place of the one that is there. It may take until [`Self::sync`] to
    /// be there after a crash of the machine.
    ///
    /// # Errors
    /// What the system says; what was there before stays.
    pub fn replace(&self, name: &str, text: &str) -> io::Result<()> {
        let unfinished = format!("{name}.new");
        let remove = || unlinkat(&self.handle, &unfinished, AtFlags::empty());
        match remove() {
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(&self.handle, &unfinished, flags, Mode::RUSR | Mode::WUSR)?);
        let whole = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
        let placed = whole.and_then(|()| Ok(renameat(&self.handle, &unfinished, &self.handle, name)?));
        if placed.is_err() {
            let _ = remove();
        }
        placed
    }

    /// Has the disk know of every file that was put in its place.
    ///
    /// # Errors
    /// What the system says.
    pub fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.handle)?)
    }
}
