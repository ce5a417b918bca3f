//! The homes of the running server, and the root of one.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, fstatvfs, openat};

use super::entry::{Entry, Status};
use super::fault::Fault;
use super::held::HeldNames;
use super::ledger::{Amount, Change, Ledger};
use super::listing::Listing;
use super::partial::{Partial, Partials};
use super::places::StagingPlaces;
use super::read::ReadFile;
use super::resolve::{self, Lookup};
use super::sweep::Swept;
use crate::identity::Username;
use crate::policy::grant::Grant;
use crate::policy::permission::Permission;

/// What holds for every home.
#[derive(Clone, Copy, Debug)]
pub struct StoreSettings {
    /// Bytes that uploads leave free in a file system.
    pub free_space_floor_bytes: u64,
    /// How long an interrupted upload is kept for its uploader to resume.
    pub partial_uploads: Duration,
}

/// All homes of the running server: one [`Root`] for each distinct directory, because two users
/// may share a home.
#[derive(Debug)]
pub struct Homes {
    settings: StoreSettings,
    /// By device and inode; a root holds its directory open, so these are not given out again.
    roots: Mutex<HashMap<(u64, u64), Arc<Root>>>,
}

/// The files of one home.
#[derive(Debug)]
pub struct Root {
    directory: OwnedFd,
    pub(super) settings: StoreSettings,
    pub(super) held: Arc<HeldNames>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) partials: Partials,
    pub(super) places: StagingPlaces,
    swept: Swept,
}

impl Homes {
    /// No home yet.
    pub fn new(settings: StoreSettings) -> Self {
        Self { settings, roots: Mutex::default() }
    }

    /// The root for this home, opened (and what an earlier run left there swept) the first time it
    /// is asked for. Called at start for each home, and at login.
    ///
    /// # Errors
    /// The [`Fault`] that keeps the directory from being opened or swept.
    pub fn root(&self, home: &Path) -> Result<Arc<Root>, Fault> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = openat(CWD, home, flags, Mode::empty())?;
        let unique = Status::of(&directory)?.unique;
        let mut roots = self.roots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(root) = roots.get(&unique) {
            return Ok(Arc::clone(root));
        }
        let root = Arc::new(Root::open(directory, self.settings)?);
        roots.insert(unique, Arc::clone(&root));
        Ok(root)
    }
}

impl Root {
    fn open(directory: OwnedFd, settings: StoreSettings) -> Result<Self, Fault> {
        let partials = Partials::new(settings.partial_uploads);
        let (places, swept) = StagingPlaces::open(directory.as_fd(), &partials)?;
        Ok(Self { directory, settings, held: Arc::default(), ledger: Arc::default(), partials, places, swept })
    }

    /// What was found when the home was first opened, for the operational log.
    pub fn swept(&self) -> Swept {
        self.swept
    }

    /// The facts of a file or directory. Whatever the grant covers is enough.
    ///
    /// # Errors
    /// [`Fault::NotFound`], [`Fault::NotAFile`]; [`Fault::WouldBlock`] for a cached look-up.
    pub fn facts(&self, grant: &Grant, viewer: &Username, lookup: Lookup) -> Result<Entry, Fault> {
        let path = grant.path();
        if let Some(partial) = self.partials.find(viewer, path) {
            resolve::open(self, &path.parent(), OFlags::PATH | OFlags::DIRECTORY, lookup)?;
            return partial.entry().map(|entry| entry.to_entry());
        }
        let (_, status) = resolve::find(self, path, lookup)?;
        status.named(path.name().unwrap_or("/")).map(|entry| entry.to_entry())
    }

    /// Opens a regular file for reading.
    ///
    /// # Errors
    /// [`Fault::Busy`] where the viewer's own interrupted upload stands under that name;
    /// [`Fault::IsADirectory`], [`Fault::NotAFile`]; [`Fault::Denied`] without [`Permission::Read`].
    pub fn open_read(&self, grant: &Grant, viewer: &Username, lookup: Lookup) -> Result<ReadFile, Fault> {
        require(grant, Permission::Read)?;
        if self.partials.find(viewer, grant.path()).is_some() {
            return Err(Fault::Busy);
        }
        let (file, status) = resolve::open_file(self, grant.path(), lookup)?;
        Ok(ReadFile::new(file, &status))
    }

    /// Opens a directory for listing.
    ///
    /// # Errors
    /// [`Fault::NotADirectory`], [`Fault::NotFound`]; [`Fault::Denied`] without [`Permission::List`].
    pub fn list(&self, grant: &Grant, viewer: &Username) -> Result<Listing, Fault> {
        require(grant, Permission::List)?;
        let directory = resolve::open_directory(self, grant.path())?;
        Ok(Listing::new(directory, self.partials.in_directory(viewer, grant.path())))
    }

    /// Bytes that the home's file system has left for this process.
    pub fn free_bytes(&self) -> Result<u64, Fault> {
        free_bytes(self)
    }

    /// Fails where a further `bytes` would leave less than the floor free.
    pub(super) fn leave_floor(&self, place: impl AsFd, bytes: u64) -> Result<(), Fault> {
        let needed = self.settings.free_space_floor_bytes.saturating_add(bytes);
        if free_bytes(place)? < needed { Err(Fault::NoSpace) } else { Ok(()) }
    }

    /// Removes interrupted uploads whose time is over.
    pub(super) fn discard_expired(&self) {
        let change = self.ledger.change();
        discard(&self.partials.take_expired(), &change);
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

/// Refuses an operation that the grant does not cover.
pub(super) fn require(grant: &Grant, permission: Permission) -> Result<(), Fault> {
    if grant.allows(permission) { Ok(()) } else { Err(Fault::Denied) }
}

/// Removes interrupted uploads that were taken out of the index, and writes that down.
pub(super) fn discard<'a>(partials: impl IntoIterator<Item = &'a Arc<Partial>>, change: &Change<'_>) {
    for partial in partials {
        if partial.staging.discard_part(&partial.id) {
            change.record(Amount::default(), partial.amount());
        }
    }
}

/// Bytes that a file system has left for this process.
fn free_bytes(place: impl AsFd) -> Result<u64, Fault> {
    let figures = fstatvfs(place)?;
    Ok(figures.f_bavail.saturating_mul(figures.f_frsize))
}
