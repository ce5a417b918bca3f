//! Where the staging directories of a home are: one at its root, and one for each other file
//! system in it, because a rename does not reach across.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{Access, AtFlags, accessat};

use super::entry::Status;
use super::fault::Fault;
use super::partial::Partials;
use super::resolve;
use super::staging::{STAGING_NAME, Staging};
use super::sweep::{Swept, read_elsewhere, sweep, write_elsewhere};
use crate::proto::path::VirtualPath;

/// What tells file systems apart as far as renames go: device and mount.
type FileSystem = (u64, u64);

/// The staging directories of a home.
#[derive(Debug, Default)]
pub(super) struct StagingPlaces(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    open: HashMap<FileSystem, Arc<Staging>>,
    /// The topmost directories of other file systems that have one; written down at the root.
    elsewhere: BTreeSet<VirtualPath>,
    /// What kept the one at the root from being opened; then nothing can be uploaded.
    blocked: Option<Fault>,
}

impl StagingPlaces {
    /// Opens those that are there and goes through them. One that cannot be used concerns uploads
    /// alone.
    pub(super) fn open(root: BorrowedFd<'_>, partials: &Partials) -> (Self, Swept) {
        let mut known = Known::default();
        let mut swept = Swept::default();
        let opened = Staging::open(root).and_then(|found| {
            let Some((home, alone)) = found else { return Ok(()) };
            known.elsewhere = read_elsewhere(&home);
            let home = Arc::new(home);
            sweep(&home, alone, partials, &mut swept)?;
            known.open.insert(file_system(&Status::of(root)?), home);
            Ok(())
        });
        known.blocked = opened.err();
        for path in &known.elsewhere {
            // What was unmounted or removed meanwhile has nothing to sweep.
            let Ok(directory) = resolve::open_directory(root, path) else { continue };
            let Ok(Some((staging, alone))) = Staging::open(&directory) else { continue };
            let staging = Arc::new(staging);
            let Ok(status) = Status::of(&directory) else { continue };
            if sweep(&staging, alone, partials, &mut swept).is_ok() {
                known.open.insert(file_system(&status), staging);
            }
        }
        (Self(Mutex::new(known)), swept)
    }

    /// What keeps the one at the root from being used.
    pub(super) fn blocked(&self) -> Option<Fault> {
        self.lock().blocked
    }

    /// The one at the root, if it is there.
    pub(super) fn at_root(&self, root: BorrowedFd<'_>) -> Option<Arc<Staging>> {
        let status = Status::of(root).ok()?;
        self.lock().open.get(&file_system(&status)).cloned()
    }

    /// Fails where uploads into a directory could not be staged, as far as that can be told without
    /// making anything: [`Fault::Denied`].
    pub(super) fn are_usable(&self, root: BorrowedFd<'_>, directory: &Status) -> Result<(), Fault> {
        let mut known = self.lock();
        if known.open.contains_key(&file_system(directory)) {
            return Ok(());
        }
        if known.blocked.is_some() {
            // Whoever was told may have put it right meanwhile.
            Staging::open(root).map_err(|_| Fault::Denied)?;
            known.blocked = None;
        }
        let at_root = file_system(directory) == file_system(&Status::of(root)?);
        if at_root && Status::find(root, STAGING_NAME)?.is_none() { is_writable(root) } else { Ok(()) }
    }

    /// The one for uploads into a directory, made if need be.
    pub(super) fn for_directory(
        &self,
        root: BorrowedFd<'_>,
        path: &VirtualPath,
        directory: &Status,
    ) -> Result<Arc<Staging>, Fault> {
        let mut known = self.lock();
        if let Some(staging) = known.open.get(&file_system(directory)) {
            return Ok(Arc::clone(staging));
        }
        let top = topmost(root, path, directory)?;
        if !top.is_root() {
            let root_status = Status::of(root)?;
            let home = known.open_at(root, file_system(&root_status))?;
            known.elsewhere.insert(top.clone());
            write_elsewhere(&home, &known.elsewhere)?;
        }
        let parent = resolve::open_directory(root, &top)?;
        known.open_at(parent, file_system(directory))
    }

    /// Lets those below a directory follow it to its new name.
    pub(super) fn follow(&self, root: BorrowedFd<'_>, from: &VirtualPath, to: &VirtualPath) -> Result<(), Fault> {
        let mut known = self.lock();
        if !known.elsewhere.iter().any(|place| place.is_within(from)) {
            return Ok(());
        }
        let moved = |place: &VirtualPath| match place.as_str().strip_prefix(from.as_str()) {
            Some(rest) if place.is_within(from) => to.join(rest.trim_start_matches('/').as_bytes()).ok(),
            _ => Some(place.clone()),
        };
        known.elsewhere = known.elsewhere.iter().filter_map(moved).collect();
        let root_status = Status::of(root)?;
        let home = known.open_at(root, file_system(&root_status))?;
        write_elsewhere(&home, &known.elsewhere)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn open_at(&mut self, parent: impl AsFd, key: FileSystem) -> Result<Arc<Staging>, Fault> {
        if let Some(staging) = self.open.get(&key) {
            return Ok(Arc::clone(staging));
        }
        let staging = Arc::new(Staging::open_or_make(parent)?);
        self.open.insert(key, Arc::clone(&staging));
        Ok(staging)
    }
}

/// Fails where the server may not make anything in a directory, or its file system is read-only:
/// [`Fault::Denied`].
pub(super) fn is_writable(directory: impl AsFd) -> Result<(), Fault> {
    Ok(accessat(directory, c".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)?)
}

fn file_system(directory: &Status) -> FileSystem {
    (directory.unique.0, directory.mount)
}

/// The highest directory on the way to the root that lies on the same file system.
fn topmost(root: BorrowedFd<'_>, path: &VirtualPath, directory: &Status) -> Result<VirtualPath, Fault> {
    let mut top = path.clone();
    while !top.is_root() {
        let above = top.parent();
        let (_, status) = resolve::find(root, &above, resolve::Lookup::Full)?;
        if file_system(&status) != file_system(directory) {
            break;
        }
        top = above;
    }
    Ok(top)
}
