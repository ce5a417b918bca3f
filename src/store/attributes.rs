//! Attributes of files and directories: when the content last changed, and the permission bits.
//! Both are set on a descriptor of the very object that was found beneath the root.

use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, chmodat, fchmod, futimens, utimensat};
use rustix::io::Errno;

use super::entry::{Entry, EntryKind, Status};
use super::fault::Fault;
use super::resolve::{self, Lookup};
use super::root::{Root, require};
use crate::identity::Username;
use crate::policy::grant::Grant;
use crate::policy::permission::Permission;

/// The bits that may be set.
const SETTABLE: u32 = 0o777;
/// The bits of a file that stay whatever is asked for: without them, the server could not read it.
const KEPT_FILE: u32 = 0o400;
/// Those of a directory: without them, the server could neither look nor work in it.
const KEPT_DIRECTORY: u32 = 0o700;
/// What the operator may have set on a directory stays as it is: setgid and sticky.
const OPERATORS: u32 = 0o3000;

/// A file or directory whose attributes are to be set.
struct Object {
    /// Names it without having opened it.
    place: OwnedFd,
    /// The same, open; none where the server may not read it.
    open: Option<OwnedFd>,
    status: Status,
}

impl Root {
    /// Sets what is given: the time of the last change of content, in seconds since 1970 (UTC),
    /// and the permission bits, of which those above `0o777` are ignored. All of it or nothing.
    /// The facts returned are what came of it: the owner keeps reading a file and everything in a
    /// directory, a file loses its setuid, setgid and sticky bits, a directory keeps its own.
    ///
    /// # Errors
    /// [`Fault::NotFound`]; [`Fault::Busy`] where the user's own interrupted upload stands under
    /// the name; [`Fault::Denied`] for the root, without [`Permission::SetTime`] for the time or
    /// [`Permission::SetMode`] for the bits, and where the object belongs to another account.
    pub fn set_attributes(
        &self,
        grant: &Grant,
        user: &Username,
        modified_seconds: Option<i64>,
        mode: Option<u32>,
    ) -> Result<Entry, Fault> {
        if modified_seconds.is_some() {
            require(grant, Permission::SetTime)?;
        }
        if mode.is_some() {
            require(grant, Permission::SetMode)?;
        }
        let name = grant.stored().name().ok_or(Fault::Denied)?;
        if self.partials.find(user, grant.stored()).is_some() {
            return Err(Fault::Busy);
        }
        let object = Object::find(self, grant)?;
        let kind = object.status.kind()?;
        if let Some(mode) = mode {
            object.set_mode(kept(kind, object.status.mode, mode))?;
        }
        if let Some(seconds) = modified_seconds
            && let Err(fault) = object.set_modified(seconds)
        {
            if mode.is_some() {
                // The bits could be set a moment ago, so they can be set back.
                let _ = object.set_mode(object.status.mode);
            }
            return Err(fault);
        }
        Status::of(&object.place)?.named(name).map(|entry| entry.to_entry())
    }
}

/// The bits that an object gets where so many were asked for.
fn kept(kind: EntryKind, present: u32, asked: u32) -> u32 {
    let asked = asked & SETTABLE;
    match kind {
        EntryKind::File => asked | KEPT_FILE,
        EntryKind::Directory => asked | KEPT_DIRECTORY | (present & OPERATORS),
    }
}

impl Object {
    fn find(root: &Root, grant: &Grant) -> Result<Self, Fault> {
        let (place, status) = resolve::find(root, grant.stored(), Lookup::Full)?;
        status.kind()?;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let open = match resolve::open(root, grant.stored(), flags, Lookup::Full) {
            Ok(open) => Some(open),
            Err(Fault::Denied) => None,
            Err(fault) => return Err(fault),
        };
        match &open {
            // Something else took the name meanwhile.
            Some(open) if Status::of(open)?.unique != status.unique => Err(Fault::Busy),
            _ => Ok(Self { place, open, status }),
        }
    }

    fn set_mode(&self, mode: u32) -> Result<(), Fault> {
        let mode = Mode::from_raw_mode(mode);
        match &self.open {
            Some(open) => Ok(fchmod(open, mode)?),
            None => chmodat(CWD, self.magic_link(), mode, AtFlags::empty()).map_err(without_proc),
        }
    }

    fn set_modified(&self, seconds: i64) -> Result<(), Fault> {
        let times = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            last_modification: Timespec { tv_sec: seconds, tv_nsec: 0 },
        };
        match &self.open {
            Some(open) => Ok(futimens(open, &times)?),
            None => utimensat(CWD, self.magic_link(), &times, AtFlags::empty()).map_err(without_proc),
        }
    }

    /// The kernel's own name for the descriptor: what is not open for reading can be changed by
    /// nothing else that every kernel we run on has.
    fn magic_link(&self) -> String {
        format!("/proc/self/fd/{}", self.place.as_raw_fd())
    }
}

/// Without `/proc`, what the server cannot read it cannot change either.
fn without_proc(errno: Errno) -> Fault {
    if errno == Errno::NOENT { Fault::Denied } else { errno.into() }
}
