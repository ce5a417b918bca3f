//! The roots that sessions work in: the home, and the folders that are mounted in its tree. They are
//! opened at start, so that what an earlier run left behind is cleared before anybody comes, and
//! by each session the first time it needs them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::{info, warn};

use super::driver::Driver;
use super::mover::blocking;
use super::plan;
use crate::policy::Principal;
use crate::policy::folder::Folder;
use crate::policy::grant::Grant;
use crate::policy::viewer::Viewer;
use crate::proto::path::VirtualPath;
use crate::session::effect::StoreFault;
use crate::settings::Config;
use crate::store::{Fault, Floor, Homes, Root, StoreSettings};

/// A folder that is shown in a listing of the directory that holds its place.
pub(super) struct Mounted {
    /// Its name there.
    pub(super) name: String,
    pub(super) root: Arc<Root>,
    /// Leave to look at it.
    pub(super) grant: Grant,
}

/// What the settings say of homes and folders.
pub(super) fn settings(config: &Config) -> StoreSettings {
    let storage = &config.storage;
    StoreSettings {
        floor: Floor { bytes: storage.free_space_floor_bytes, inodes: storage.free_inodes_floor },
        partial_uploads: storage.partial_uploads,
    }
}

/// Opens every home and folder; where there were settings `before`, those alone that they do not
/// name. One that cannot be opened concerns its users, or the paths in it, alone.
pub(super) fn open(homes: &Homes, config: &Config, before: Option<&Config>) {
    let known: BTreeSet<PathBuf> = before.into_iter().flat_map(plan::stores).collect();
    for account in config.policy.users.values().filter(|account| !known.contains(&account.home)) {
        match homes.root(&account.home) {
            Ok(root) => {
                for warning in root.warnings() {
                    warn!(user = %account.name, "{warning}");
                }
                tell_cleared(&account.home, &root);
            }
            Err(fault) => warn!(
                user = %account.name, home = %account.home.display(), %fault,
                "a home cannot be opened, so its users cannot log in; it must be there and belong to the account that the server runs as",
            ),
        }
    }
    for folder in config.policy.folders.values().filter(|folder| !known.contains(&folder.directory)) {
        match homes.root(&folder.directory) {
            Ok(root) => {
                for warning in root.warnings() {
                    warn!(folder = %folder.name, "{warning}");
                }
                tell_cleared(&folder.directory, &root);
            }
            Err(fault) => warn_of(folder, fault),
        }
    }
}

fn tell_cleared(directory: &Path, root: &Root) {
    let swept = root.swept();
    let cleared = swept.expired.saturating_add(swept.abandoned).saturating_add(swept.orphaned);
    if cleared > 0 {
        info!(directory = %directory.display(), files = cleared, kept = swept.kept, "cleared unfinished uploads of an earlier run");
    }
}

fn warn_of(folder: &Folder, fault: Fault) {
    warn!(
        folder = %folder.name, directory = %folder.directory.display(), %fault,
        "a folder cannot be opened, so nothing in it can be used; it must be there, belong to the account that the server runs as, and be within reach of the sandbox, which is set up at the start",
    );
}

impl Driver {
    pub(super) async fn open_home(&mut self, home: &Path) -> bool {
        let homes = Arc::clone(&self.shared.homes);
        let path = home.to_owned();
        match blocking(move || homes.root(&path)).await {
            Ok(Ok(root)) => {
                self.root = Some(root);
                true
            }
            Ok(Err(fault)) => {
                warn!(home = %home.display(), %fault, "a user's home cannot be opened, so the login is refused; `portcullis policy check` says what it needs");
                false
            }
            Err(_) => false,
        }
    }

    /// Who is logged in.
    pub(super) fn logged_in(&self) -> Result<Principal, StoreFault> {
        self.principal.clone().ok_or(StoreFault::Local)
    }

    /// The root in which a path lies.
    pub(super) async fn root_of(&mut self, grant: &Grant) -> Result<Arc<Root>, StoreFault> {
        let Some(folder) = grant.folder() else { return self.root.clone().ok_or(StoreFault::Local) };
        if let Some(root) = self.folders.get(&folder.directory) {
            return Ok(Arc::clone(root));
        }
        let (homes, directory) = (Arc::clone(&self.shared.homes), folder.directory.clone());
        let root = blocking(move || homes.root(&directory)).await?.map_err(|fault| {
            warn_of(folder, fault);
            StoreFault::Local
        })?;
        self.folders.insert(folder.directory.clone(), Arc::clone(&root));
        Ok(root)
    }

    /// The folders that a listing of a directory shows; one that cannot be opened is left out.
    pub(super) async fn mounted_in(&mut self, viewer: &Viewer, directory: &VirtualPath) -> Vec<Mounted> {
        let mut mounted = Vec::new();
        for point in viewer.mount_points(directory) {
            let Some(grant) = point.grant else { continue };
            if let Ok(root) = self.root_of(&grant).await {
                mounted.push(Mounted { name: point.name, root, grant });
            }
        }
        mounted
    }
}
