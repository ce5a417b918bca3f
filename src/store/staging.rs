//! The directory in which uploads grow, and what lies there. It is the server's own: clients can
//! neither name nor see it.
//!
//! | name | content |
//! |---|---|
//! | `ID.up` | an upload under way |
//! | `ID.part` | an interrupted upload |
//! | `ID.json` | whose it is: its record; it stays while the upload is under way again |
//! | `ID.tmp` | a record being written |
//! | `elsewhere.json` | in the home's own: which directories have others |
//! | `count.json` | in the home's own: what the home holds, while nothing changes it |
//! | `shared.json` | in the home's own: a second server has the home open, too |

use std::sync::Arc;
use std::time::Duration;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, FlockOperation, Mode, OFlags, RenameFlags, fchmod, flock, fsync, mkdirat, openat, renameat, renameat_with,
    unlinkat,
};
use rustix::io::Errno;
use rustix::process::geteuid;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::entry::Status;
use super::fault::{Fault, uninterrupted};

/// The directory's name; it begins with [`crate::proto::path::RESERVED_PREFIX`].
pub(super) const STAGING_NAME: &str = ".portcullis-staging";
/// Mode of the directory.
const STAGING_MODE: Mode = Mode::RWXU;
/// Mode of uploaded files, less the process's umask.
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR).union(Mode::RGRP);
/// Longest record read, in bytes.
const RECORD_BYTES_MAX: usize = 64 << 10;
/// How often, and how far apart, a lock is asked for that another server has while it sweeps.
const LOCK_ATTEMPTS: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// An open staging directory. Its descriptor carries a shared lock for as long as it lives, so
/// that no other server sweeps what is under way here.
#[derive(Debug)]
pub(super) struct Staging {
    directory: OwnedFd,
}

/// A file growing in a staging directory; dropping it removes it unless it went elsewhere, or has
/// a record: then the next start finds it as an interrupted upload.
#[derive(Debug)]
pub(super) struct Staged {
    staging: Arc<Staging>,
    id: String,
    /// Whether it was an interrupted upload before, whose record is still there.
    recorded: bool,
    gone: bool,
}

impl Staging {
    /// Opens the staging directory in `parent`; none where there is none. The second value says
    /// whether nobody else uses it: then it is locked against others until [`Self::share`].
    pub(super) fn open(parent: impl AsFd) -> Result<Option<(Self, bool)>, Fault> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = match openat(parent, STAGING_NAME, flags, Mode::empty()) {
            Ok(directory) => directory,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        let status = Status::of(&directory)?;
        if status.owner != geteuid().as_raw() {
            return Err(Fault::Denied);
        }
        if status.mode != STAGING_MODE.as_raw_mode() {
            fchmod(&directory, STAGING_MODE)?;
        }
        let staging = Self { directory };
        let alone = flock(&staging.directory, FlockOperation::NonBlockingLockExclusive).is_ok();
        if !alone {
            staging.share()?;
        }
        Ok(Some((staging, alone)))
    }

    /// Opens the staging directory in `parent`, made if need be, for uploads.
    pub(super) fn open_or_make(parent: impl AsFd) -> Result<Self, Fault> {
        match mkdirat(parent.as_fd(), STAGING_NAME, STAGING_MODE) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        let (staging, alone) = Self::open(parent)?.ok_or(Fault::Busy)?;
        if alone {
            staging.share()?;
        }
        Ok(staging)
    }

    /// Lets other servers in, but for sweeping.
    pub(super) fn share(&self) -> Result<(), Fault> {
        for _ in 0..LOCK_ATTEMPTS {
            match flock(&self.directory, FlockOperation::NonBlockingLockShared) {
                Err(Errno::AGAIN | Errno::INTR) => std::thread::sleep(LOCK_PAUSE),
                done => return done.map_err(Fault::from),
            }
        }
        Err(Fault::Busy)
    }

    /// The directory itself.
    pub(super) fn directory(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    /// A new empty file for an upload, open for reading and writing.
    pub(super) fn stage(self: &Arc<Self>) -> Result<(OwnedFd, Staged), Fault> {
        let id = new_id();
        let file = openat(&self.directory, upload_name(&id), new_file(), FILE_MODE)?;
        Ok((file, Staged { staging: Arc::clone(self), id, recorded: false, gone: false }))
    }

    /// Takes an interrupted upload up again. Only one can: whoever renames it. Its record stays, so
    /// that neither a full disk nor the end of the server costs what was kept.
    pub(super) fn restage(self: &Arc<Self>, part: &str) -> Result<(OwnedFd, Staged), Fault> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.directory, part_name(part), flags, Mode::empty())?;
        renameat(&self.directory, part_name(part), &self.directory, upload_name(part))?;
        let staged = Staged { staging: Arc::clone(self), id: part.to_owned(), recorded: true, gone: false };
        Ok((file, staged))
    }

    /// Makes an upload with a record, under way when the server ended, an interrupted one again.
    pub(super) fn restore(&self, id: &str) {
        // It may as well be an interrupted one already.
        let _ = renameat_with(&self.directory, upload_name(id), &self.directory, part_name(id), RenameFlags::NOREPLACE);
    }

    /// Removes an interrupted upload and its record; whether it was there to be removed.
    pub(super) fn discard_part(&self, id: &str) -> bool {
        let removed = self.remove(&part_name(id));
        self.remove(&record_name(id));
        removed
    }

    /// Removes a file; whether it was there.
    pub(super) fn remove(&self, name: &str) -> bool {
        unlinkat(&self.directory, name, AtFlags::empty()).is_ok()
    }

    /// Writes a record so that after a crash it is there whole or not at all.
    pub(super) fn write_record(&self, name: &str, record: &impl Serialize) -> Result<(), Fault> {
        let text = serde_json::to_vec(record).map_err(|_| Fault::Io(Errno::INVAL))?;
        let temporary = format!("{}.tmp", new_id());
        let written = (|| {
            let file = openat(&self.directory, &temporary, new_file(), Mode::RUSR | Mode::WUSR)?;
            write_all(&file, &text, 0)?;
            fsync(&file)?;
            renameat(&self.directory, &temporary, &self.directory, name)?;
            fsync(&self.directory)?;
            Ok(())
        })();
        if written.is_err() {
            self.remove(&temporary);
        }
        written
    }

    /// Reads a record; none where it is missing or makes no sense.
    pub(super) fn read_record<R: DeserializeOwned>(&self, name: &str) -> Option<R> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(&self.directory, name, flags, Mode::empty()).ok()?;
        let mut text = vec![0; RECORD_BYTES_MAX];
        let mut length = 0;
        while let Some(rest) = text.get_mut(length..).filter(|rest| !rest.is_empty()) {
            match uninterrupted(|| rustix::io::read(&file, &mut *rest)).ok()? {
                0 => break,
                count => length = length.saturating_add(count),
            }
        }
        serde_json::from_slice(text.get(..length)?).ok()
    }
}

impl Staged {
    /// Where it lies.
    pub(super) fn staging(&self) -> &Arc<Staging> {
        &self.staging
    }

    /// Its name there.
    pub(super) fn name(&self) -> String {
        upload_name(&self.id)
    }

    /// Says that it was renamed to its final place.
    pub(super) fn left(&mut self) {
        self.gone = true;
        if self.recorded {
            self.staging.remove(&record_name(&self.id));
        }
    }

    /// Removes it, and its record where it has one.
    pub(super) fn discard(&mut self) {
        self.staging.remove(&self.name());
        self.left();
    }

    /// Keeps it as an interrupted upload with its record; returns the id of both.
    pub(super) fn keep(&mut self, record: &impl Serialize) -> Result<String, Fault> {
        match self.staging.write_record(&record_name(&self.id), record) {
            // The one that it has tells whose it is, too.
            Err(_) if self.recorded => {}
            written => written?,
        }
        let kept = renameat(&self.staging.directory, self.name(), &self.staging.directory, part_name(&self.id));
        if let Err(errno) = kept {
            if !self.recorded {
                self.staging.remove(&record_name(&self.id));
            }
            return Err(errno.into());
        }
        self.gone = true;
        fsync(&self.staging.directory)?;
        Ok(self.id.clone())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.gone && !self.recorded {
            self.staging.remove(&self.name());
        }
    }
}

/// The name of an upload under way.
fn upload_name(id: &str) -> String {
    format!("{id}.up")
}

/// The name of an interrupted upload.
pub(super) fn part_name(id: &str) -> String {
    format!("{id}.part")
}

/// The name of an interrupted upload's record.
pub(super) fn record_name(id: &str) -> String {
    format!("{id}.json")
}

/// Writes all of the bytes at an offset.
pub(super) fn write_all(file: impl AsFd, bytes: &[u8], offset: u64) -> Result<(), Fault> {
    let mut written: usize = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        let at = u64::try_from(written).ok().and_then(|done| offset.checked_add(done)).ok_or(Fault::NoSpace)?;
        match uninterrupted(|| rustix::io::pwrite(file.as_fd(), rest, at))? {
            0 => return Err(Fault::NoSpace),
            count => written = written.saturating_add(count),
        }
    }
    Ok(())
}

/// How files are made here: new, and through no link.
fn new_file() -> OFlags {
    OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

/// A name that nobody guesses and nothing else has.
fn new_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}
