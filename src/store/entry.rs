//! The facts of a file or directory.

use rustix::fd::AsFd;
use rustix::fs::{AtFlags, FileType, Statx, StatxFlags, makedev, statx};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::fault::Fault;
use super::ledger::Amount;

/// What an entry is; nothing else exists for clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
}

/// The facts of a file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<Name = String> {
    /// Its name; `/` for the root.
    pub name: Name,
    /// What it is.
    pub kind: EntryKind,
    /// Its size in bytes.
    pub size: u64,
    /// When its content last changed, in seconds since 1970 (UTC).
    pub modified_seconds: i64,
    /// Its permission bits (`0o7777` at most).
    pub mode: u32,
    /// Device and inode, which name it whatever it is called.
    pub unique: (u64, u64),
    /// When it was made, in seconds since 1970 (UTC), where the file system knows.
    pub created_seconds: Option<i64>,
    /// The numbers of its owner and its group.
    pub owner: (u32, u32),
    /// Whether this is the viewer's own interrupted upload.
    pub partial: bool,
}

/// An [`Entry`] whose name is borrowed, as [`Listing::visit`](super::Listing::visit) shows it.
pub type EntryRef<'a> = Entry<&'a str>;

impl<Name> Entry<Name> {
    fn renamed<Other>(&self, name: Other) -> Entry<Other> {
        let &Self { name: _, kind, size, modified_seconds, mode, unique, created_seconds, owner, partial } = self;
        Entry { name, kind, size, modified_seconds, mode, unique, created_seconds, owner, partial }
    }
}

impl Entry {
    /// The same with the name borrowed.
    pub fn as_ref(&self) -> EntryRef<'_> {
        self.renamed(&self.name)
    }
}

impl EntryRef<'_> {
    /// The same with a name of its own.
    pub fn to_entry(&self) -> Entry {
        self.renamed(self.name.to_owned())
    }
}

/// What a name stands for on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Status {
    /// Its type.
    pub(super) file_type: FileType,
    /// Its size in bytes.
    pub(super) size: u64,
    /// Seconds and nanoseconds of its last change of content.
    pub(super) modified: (i64, u32),
    /// Permission bits.
    pub(super) mode: u32,
    /// Device and inode.
    pub(super) unique: (u64, u64),
    /// The mount it lies on; 0 where the kernel does not say.
    pub(super) mount: u64,
    /// The owner's user id.
    pub(super) owner: u32,
    /// The group's id.
    pub(super) group: u32,
    /// When it was made, in seconds since 1970, where the file system knows.
    pub(super) created_seconds: Option<i64>,
}

/// Which content a file had: the file itself, its size and the time of its last change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    /// Device and inode.
    pub(super) unique: (u64, u64),
    /// Size in bytes.
    pub(super) size: u64,
    /// Seconds and nanoseconds of its last change.
    pub(super) modified: (i64, u32),
}

impl Status {
    /// What a descriptor stands for.
    pub(super) fn of(fd: impl AsFd) -> Result<Self, Errno> {
        let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME | StatxFlags::MNT_ID;
        statx(fd, c"", AtFlags::EMPTY_PATH, wanted).map(|found| Self::from(&found))
    }

    /// What a single name in a directory stands for; a symbolic link stands for itself.
    pub(super) fn at(directory: impl AsFd, name: impl rustix::path::Arg) -> Result<Self, Errno> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        statx(directory, name, flags, StatxFlags::BASIC_STATS | StatxFlags::BTIME).map(|found| Self::from(&found))
    }

    /// [`Self::at`], with nothing where there is nothing.
    pub(super) fn find(directory: impl AsFd, name: &str) -> Result<Option<Self>, Errno> {
        match Self::at(directory, name) {
            Ok(status) => Ok(Some(status)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// What clients know it as.
    pub(super) fn kind(&self) -> Result<EntryKind, Fault> {
        match self.file_type {
            FileType::RegularFile => Ok(EntryKind::File),
            FileType::Directory => Ok(EntryKind::Directory),
            FileType::Symlink => Err(Fault::NotFound),
            _ => Err(Fault::NotAFile),
        }
    }

    /// Fails unless a regular file may be put in its place.
    pub(super) fn replaceable(&self) -> Result<(), Fault> {
        match self.file_type {
            FileType::RegularFile => Ok(()),
            FileType::Directory => Err(Fault::IsADirectory),
            _ => Err(Fault::NotAFile),
        }
    }

    /// What it counts against quotas.
    pub(super) fn amount(&self) -> Amount {
        let bytes = if self.file_type == FileType::RegularFile { self.size } else { 0 };
        Amount { bytes, files: 1 }
    }

    /// Which content it is, as far as the file system tells.
    pub(super) fn identity(&self) -> Identity {
        Identity { unique: self.unique, size: self.size, modified: self.modified }
    }

    /// The facts under a name.
    pub(super) fn named<'a>(&self, name: &'a str) -> Result<EntryRef<'a>, Fault> {
        Ok(EntryRef {
            name,
            kind: self.kind()?,
            size: self.size,
            modified_seconds: self.modified.0,
            mode: self.mode,
            unique: self.unique,
            created_seconds: self.created_seconds,
            owner: (self.owner, self.group),
            partial: false,
        })
    }
}

impl From<&Statx> for Status {
    fn from(found: &Statx) -> Self {
        Self {
            file_type: FileType::from_raw_mode(found.stx_mode.into()),
            size: found.stx_size,
            modified: (found.stx_mtime.tv_sec, found.stx_mtime.tv_nsec),
            mode: u32::from(found.stx_mode) & 0o7777,
            unique: (makedev(found.stx_dev_major, found.stx_dev_minor), found.stx_ino),
            mount: found.stx_mnt_id,
            owner: found.stx_uid,
            group: found.stx_gid,
            created_seconds: (found.stx_mask & StatxFlags::BTIME.bits() != 0).then_some(found.stx_btime.tv_sec),
        }
    }
}
