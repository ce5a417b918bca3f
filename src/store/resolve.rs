//! The only way from a virtual path to a descriptor: `openat2` beneath the root's descriptor,
//! through no link of any kind.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

use super::entry::{EntryKind, Status};
use super::fault::{Fault, uninterrupted};
use crate::proto::path::VirtualPath;

/// How often a look-up is tried again that a concurrent rename disturbed.
const ATTEMPTS: u32 = 8;

/// Whether the kernel knows cached look-ups, as far as it has told (Linux 5.12).
static KNOWS_CACHED: AtomicBool = AtomicBool::new(true);

/// Whether a look-up may wait for a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Never: [`Fault::WouldBlock`] where the kernel does not hold every name in memory.
    Cached,
    /// As long as it takes; for a thread that may block.
    Full,
}

/// Opens a path beneath a directory.
///
/// # Errors
/// [`Fault::NotFound`] also where a symbolic link stands anywhere on the path, or the path would
/// leave the directory; [`Fault::Busy`] where renames keep disturbing the look-up.
pub(super) fn open(root: impl AsFd, path: &VirtualPath, flags: OFlags, lookup: Lookup) -> Result<OwnedFd, Fault> {
    let relative = path.as_str().strip_prefix('/').filter(|rest| !rest.is_empty()).unwrap_or(".");
    let flags = flags | OFlags::CLOEXEC;
    attempt(lookup, &KNOWS_CACHED, |how| openat2(root.as_fd(), relative, flags, Mode::empty(), how))
}

/// Makes a look-up, and judges what the kernel answers.
fn attempt(
    lookup: Lookup,
    knows_cached: &AtomicBool,
    mut call: impl FnMut(ResolveFlags) -> Result<OwnedFd, Errno>,
) -> Result<OwnedFd, Fault> {
    if lookup == Lookup::Cached && !knows_cached.load(Ordering::Relaxed) {
        return Err(Fault::WouldBlock);
    }
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_SYMLINKS;
    let how = match lookup {
        Lookup::Cached => beneath | ResolveFlags::CACHED,
        Lookup::Full => beneath,
    };
    for _ in 0..ATTEMPTS {
        match uninterrupted(|| call(how)) {
            Ok(fd) => return Ok(fd),
            // An older kernel refuses the flag it does not know.
            Err(Errno::INVAL) if lookup == Lookup::Cached => {
                knows_cached.store(false, Ordering::Relaxed);
                return Err(Fault::WouldBlock);
            }
            Err(Errno::AGAIN) if lookup == Lookup::Cached => return Err(Fault::WouldBlock),
            Err(Errno::AGAIN) => {}
            // No file has so long a name, so none is found under it.
            Err(Errno::NAMETOOLONG) => return Err(Fault::NotFound),
            Err(errno) => return Err(errno.into()),
        }
    }
    Err(Fault::Busy)
}

/// Finds what a path stands for. The descriptor names it without having opened it, so a FIFO or
/// device takes no notice.
pub(super) fn find(root: impl AsFd, path: &VirtualPath, lookup: Lookup) -> Result<(OwnedFd, Status), Fault> {
    let fd = open(root, path, OFlags::PATH, lookup)?;
    let status = Status::of(&fd)?;
    Ok((fd, status))
}

/// Opens a regular file for reading.
pub(super) fn open_file(root: impl AsFd, path: &VirtualPath, lookup: Lookup) -> Result<(OwnedFd, Status), Fault> {
    let regular = |status: &Status| match status.kind()? {
        EntryKind::File => Ok(()),
        EntryKind::Directory => Err(Fault::IsADirectory),
    };
    regular(&find(root.as_fd(), path, lookup)?.1)?;
    // Something else may have taken the name since, hence without blocking and looked at again.
    let fd = open(root, path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY, lookup)?;
    let status = Status::of(&fd)?;
    regular(&status)?;
    Ok((fd, status))
}

/// Opens a directory so that its entries can be read and synced.
pub(super) fn open_directory(root: impl AsFd, path: &VirtualPath) -> Result<OwnedFd, Fault> {
    open(root, path, OFlags::RDONLY | OFlags::DIRECTORY, Lookup::Full)
}

/// The directory that holds a path, as a place for changes, and the path's last name.
///
/// # Errors
/// [`Fault::Denied`] for the root, which no operation changes.
pub(super) fn parent(root: impl AsFd, path: &VirtualPath) -> Result<(OwnedFd, &str), Fault> {
    let name = path.name().ok_or(Fault::Denied)?;
    let directory = open(root, &path.parent(), OFlags::PATH | OFlags::DIRECTORY, Lookup::Full)?;
    Ok((directory, name))
}

/// Refuses names that no file is given here: a backslash is a separator to some clients.
pub(super) fn acceptable_new_name(name: &str) -> Result<(), Fault> {
    if name.contains('\\') { Err(Fault::NameRefused) } else { Ok(()) }
}

/// Whether the system lets homes be opened at all: to be asked where the server is confined as it will be.
///
/// # Errors
/// What is in the way, and what to do about it.
pub fn probe() -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    match openat2(CWD, "/", flags, Mode::empty(), ResolveFlags::NO_MAGICLINKS) {
        Err(errno @ (Errno::NOSYS | Errno::PERM)) => Err(io::Error::other(format!(
            "openat2(2), with which homes are opened, is not permitted here ({errno}): it needs Linux 5.6; under \
             systemd, set RestrictSUIDSGID=no; in a container, let the seccomp profile permit it"
        ))),
        // Landlock may forbid this place; the call is there.
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_kernel_is_asked_for_cached_look_ups_once() {
        let knows_cached = AtomicBool::new(true);
        let mut asked = Vec::new();
        let mut old_kernel = |how: ResolveFlags| {
            asked.push(how);
            if how.contains(ResolveFlags::CACHED) {
                Err(Errno::INVAL)
            } else {
                rustix::fs::open("/", OFlags::PATH, Mode::empty())
            }
        };
        for _ in 0..3 {
            let cached = attempt(Lookup::Cached, &knows_cached, &mut old_kernel);
            assert_eq!(cached.err(), Some(Fault::WouldBlock));
            assert!(attempt(Lookup::Full, &knows_cached, &mut old_kernel).is_ok());
        }
        assert_eq!(asked.len(), 4);
    }
}
