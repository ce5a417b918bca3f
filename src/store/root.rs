//! The homes of the running server, and the root of one.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

use super::count::LastLook;
use super::entry::{Entry, Status};
use super::fault::Fault;
use super::floor::{FileSystems, Promise};
use super::held::HeldNames;
use super::ledger::{Amount, Change, Ledger};
use super::listing::Listing;
use super::partial::{Partial, Partials};
use super::places::StagingPlaces;
use super::read::ReadFile;
use super::resolve::{self, Lookup};
use super::settings::{SharedSettings, StoreSettings};
use super::staging::STAGING_NAME;
use super::sweep::Swept;
use crate::identity::Username;
use crate::policy::grant::Grant;
use crate::policy::permission::Permission;

/// Directories looked at above a home.
const ABOVE_MAX: usize = 256;

/// All homes of the running server: one [`Root`] for each distinct directory, because two users
/// may share a home.
#[derive(Debug)]
pub struct Homes {
    settings: SharedSettings,
    /// By device and inode; a root holds its directory open, so these are not given out again.
    roots: Mutex<HashMap<(u64, u64), Arc<Root>>>,
    file_systems: Arc<FileSystems>,
    /// Whether the server stops, and scans with it.
    stopping: Arc<AtomicBool>,
}

/// The files of one home.
#[derive(Debug)]
pub struct Root {
    directory: OwnedFd,
    pub(super) settings: SharedSettings,
    pub(super) held: Arc<HeldNames>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) partials: Partials,
    pub(super) places: StagingPlaces,
    pub(super) file_systems: Arc<FileSystems>,
    pub(super) stopping: Arc<AtomicBool>,
    pub(super) last_look: LastLook,
    swept: Swept,
    /// The directory's path, as it was asked for first.
    path: PathBuf,
    /// Device and inode of the directories above it, from the lowest up.
    above: Vec<(u64, u64)>,
    /// Another home that lies in this one, or in which this one lies.
    nested: Option<PathBuf>,
}

impl Homes {
    /// No home yet.
    pub fn new(settings: StoreSettings) -> Self {
        let settings = SharedSettings::new(settings);
        Self { settings, roots: Mutex::default(), file_systems: Arc::default(), stopping: Arc::default() }
    }

    /// Has other settings hold in every home from here on.
    pub fn change(&self, settings: StoreSettings) {
        self.settings.change(settings);
        let roots = self.roots.lock().unwrap_or_else(PoisonError::into_inner);
        roots.values().for_each(|root| root.partials.look_again());
    }

    /// The root for this home, opened (and what an earlier run left there swept) the first time it
    /// is asked for. Called at start for each home, and at login.
    ///
    /// # Errors
    /// The [`Fault`] that keeps the directory from being opened.
    pub fn root(&self, home: &Path) -> Result<Arc<Root>, Fault> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = openat(CWD, home, flags, Mode::empty())?;
        let unique = Status::of(&directory)?.unique;
        let mut roots = self.roots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(root) = roots.get(&unique) {
            return Ok(Arc::clone(root));
        }
        let above = directories_above(&directory)?;
        let contains = |other: &Root| other.above.contains(&unique);
        let nested = roots.iter().find(|(other, root)| above.contains(other) || contains(root));
        let nested = nested.map(|(_, root)| root.path.clone());
        let (file_systems, stopping) = (Arc::clone(&self.file_systems), Arc::clone(&self.stopping));
        let opened = Root::open(home, directory, self.settings.clone());
        let root = Arc::new(Root { file_systems, stopping, above, nested, ..opened });
        roots.insert(unique, Arc::clone(&root));
        Ok(root)
    }

    /// Removes the interrupted uploads whose time is over, in every home; for a thread that may
    /// block. Where none is over, no disk is asked.
    pub fn expire(&self) {
        for root in self.open() {
            root.discard_expired();
        }
    }

    /// Every home that was opened.
    pub fn open(&self) -> Vec<Arc<Root>> {
        self.roots.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Ends the scans that run, and lets none begin any more: the server stops.
    pub fn end_scans(&self) {
        self.stopping.store(true, Ordering::Release);
    }
}

impl Root {
    fn open(path: &Path, directory: OwnedFd, settings: SharedSettings) -> Self {
        let partials = Partials::new(settings.clone());
        let (places, swept) = StagingPlaces::open(directory.as_fd(), &partials);
        let ledger = Arc::new(Ledger::default());
        if let (Some(staging), Ok(status)) = (places.at_root(directory.as_fd()), Status::of(&directory)) {
            ledger.begin_with(ledger.stored.load(&staging, status.unique.1, !swept.shared), partials.amount());
        }
        Self {
            directory,
            settings,
            held: Arc::default(),
            ledger,
            partials,
            places,
            file_systems: Arc::default(),
            stopping: Arc::default(),
            last_look: LastLook::default(),
            swept,
            path: path.to_owned(),
            above: Vec::new(),
            nested: None,
        }
    }

    /// What is wrong with the home though it can be used: each says where, and what to do, for the
    /// operational log.
    pub fn warnings(&self) -> Vec<String> {
        let blocked = self.places.blocked().map(|fault| {
            let staging = self.path.join(STAGING_NAME);
            format!(
                "nothing can be uploaded to {}: {} cannot be used ({fault}); it must be a directory that belongs to \
                 the account that the server runs as, or not be there: move it away or change its owner",
                self.path.display(),
                staging.display()
            )
        });
        let nested = self.nested.as_ref().map(|other| {
            format!(
                "one of the directories {} and {} lies in the other: uploads through one do not wait for those through the \
                 other, and count against each quota on their own; give users the same directory, or separate ones",
                self.path.display(),
                other.display()
            )
        });
        blocked.into_iter().chain(nested).collect()
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
        let path = grant.stored();
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
        self.open_content(grant, viewer, lookup)
    }

    /// Opens a regular file to tell its hash, and nothing else of its content.
    ///
    /// # Errors
    /// As [`Self::open_read`]; [`Fault::Denied`] without [`Permission::Hash`] or [`Permission::Read`].
    pub fn open_to_hash(&self, grant: &Grant, viewer: &Username, lookup: Lookup) -> Result<ReadFile, Fault> {
        require(grant, Permission::Hash).or_else(|_| require(grant, Permission::Read))?;
        self.open_content(grant, viewer, lookup)
    }

    fn open_content(&self, grant: &Grant, viewer: &Username, lookup: Lookup) -> Result<ReadFile, Fault> {
        if self.partials.find(viewer, grant.stored()).is_some() {
            return Err(Fault::Busy);
        }
        let (file, status) = resolve::open_file(self, grant.stored(), lookup)?;
        Ok(ReadFile::new(file, &status))
    }

    /// Opens a directory for listing.
    ///
    /// # Errors
    /// [`Fault::NotADirectory`], [`Fault::NotFound`]; [`Fault::Denied`] without [`Permission::List`].
    pub fn list(&self, grant: &Grant, viewer: &Username) -> Result<Listing, Fault> {
        require(grant, Permission::List)?;
        let directory = resolve::open_directory(self, grant.stored())?;
        Ok(Listing::new(directory, self.partials.in_directory(viewer, grant.stored())))
    }

    /// Promises room in the file system of a place, for so many bytes and inodes; [`Fault::NoSpace`]
    /// where less than the floor would be free.
    pub(super) fn promise(&self, place: impl AsFd, bytes: u64, inodes: u64) -> Result<Promise, Fault> {
        Promise::new(self.file_systems.of(&place)?, place, self.settings.now().floor, (bytes, inodes))
    }

    /// Where it is, as it was asked for first.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes interrupted uploads whose time is over.
    pub(super) fn discard_expired(&self) {
        if !self.partials.any_expired() {
            return;
        }
        let change = self.ledger.change();
        discard(&self.partials.take_expired(), &change);
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

/// Device and inode of the directories above one, as far as they can be seen.
fn directories_above(directory: &OwnedFd) -> Result<Vec<(u64, u64)>, Fault> {
    let mut above = Vec::new();
    let mut at = Status::of(directory)?.unique;
    let mut parent = directory.try_clone().map_err(|_| Fault::Io(Errno::MFILE))?;
    while let Ok(next) = openat(&parent, c"..", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
        let unique = Status::of(&next)?.unique;
        if unique == at || above.len() >= ABOVE_MAX {
            break;
        }
        above.push(unique);
        (at, parent) = (unique, next);
    }
    Ok(above)
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
