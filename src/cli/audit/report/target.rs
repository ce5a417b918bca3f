//! Where the report is written: whole, or not at all.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, OFlags, linkat};

use crate::cli::Failure;

/// Where the report goes.
pub(super) enum Target {
    /// Standard output.
    Output,
    /// A file, made anew or in the place of another one.
    File {
        /// Its name.
        path: PathBuf,
        /// What is written.
        file: Unnamed,
    },
}

/// A file that goes away with this process unless it is given a name, however the process ends.
pub(super) struct Unnamed {
    file: File,
    /// Its name for now, on file systems that know no files without one.
    name: Option<Beside>,
}

/// A file that is removed unless it was renamed.
struct Beside(PathBuf);

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Target {
    /// Opened before the log is read, so that a long reading is not in vain.
    pub(super) fn of(path: &Path) -> Result<Self, Failure> {
        if path == Path::new("-") {
            return Ok(Self::Output);
        }
        if path.symlink_metadata().is_ok_and(|metadata| !metadata.is_file()) {
            let message =
                format!("{} is no file that could be replaced; --out - writes to standard output", path.display());
            return Err(Failure::Failed(message));
        }
        let Some(name) = path.file_name() else {
            return Err(Failure::Failed(format!("{} names no file", path.display())));
        };
        let file = Unnamed::beside(path, name).map_err(|error| Failure::io(path.display(), &error))?;
        Ok(Self::File { path: path.to_owned(), file })
    }

    /// Writes all of it, or leaves what was there before.
    pub(super) fn fill(self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Failure> {
        match self {
            Self::Output => {
                let mut out = BufWriter::new(io::stdout().lock());
                match write(&mut out).and_then(|()| out.flush()) {
                    Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                        Err(Failure::io("standard output", &error))
                    }
                    _ => Ok(()),
                }
            }
            Self::File { path, mut file } => {
                let mut out = BufWriter::new(&mut file.file);
                let written = write(&mut out).and_then(|()| out.flush());
                drop(out);
                let named = written.and_then(|()| file.file.sync_all()).and_then(|()| file.take_name(&path));
                named.map_err(|error| Failure::io(path.display(), &error))
            }
        }
    }
}

impl Unnamed {
    /// In the directory in which the file is to be.
    fn beside(path: &Path, name: &OsStr) -> io::Result<Self> {
        let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let flags = i32::try_from(OFlags::TMPFILE.bits()).unwrap_or_default();
        if let Ok(file) = OpenOptions::new().write(true).custom_flags(flags).mode(0o600).open(directory) {
            return Ok(Self { file, name: None });
        }
        let beside = hidden(path, name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        Ok(Self { file, name: Some(Beside(beside)) })
    }

    /// Puts it in the place of what has the name.
    fn take_name(mut self, path: &Path) -> io::Result<()> {
        let beside = if let Some(beside) = self.name.take() {
            beside
        } else {
            let beside = Beside(hidden(path, path.file_name().unwrap_or_default()));
            let unnamed = format!("/proc/self/fd/{}", self.file.as_raw_fd());
            linkat(CWD, unnamed, CWD, &beside.0, AtFlags::SYMLINK_FOLLOW)?;
            beside
        };
        std::fs::rename(&beside.0, path)
    }
}

/// A name beside the file that nobody else takes.
fn hidden(path: &Path, name: &OsStr) -> PathBuf {
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{:016x}", rand::random::<u64>()));
    path.with_file_name(hidden)
}
