//! The store on real directories.

mod attributes;
mod changes;
mod confinement;
mod counts;
mod faults;
mod floor;
mod homes;
mod listing;
mod model;
mod places;
mod quota;
mod restart;
mod room;
mod scan;
mod upload_rules;
mod uploads;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::identity::Username;
use crate::policy::grant::Grant;
use crate::policy::permission::{Permission, PermissionSet};

const SETTINGS: StoreSettings =
    StoreSettings { floor: Floor { bytes: 0, inodes: 0 }, partial_uploads: Duration::from_hours(1) };

/// Bytes to be left free, and nothing else.
fn floor(bytes: u64) -> StoreSettings {
    StoreSettings { floor: Floor { bytes, inodes: 0 }, ..SETTINGS }
}

/// A home in a temporary directory, open.
struct Home {
    directory: TempDir,
    root: Arc<Root>,
}

impl Home {
    fn new() -> Self {
        Self::with(SETTINGS)
    }

    fn with(settings: StoreSettings) -> Self {
        let directory = TempDir::new().unwrap();
        let root = Homes::new(settings).root(directory.path()).unwrap();
        Self { directory, root }
    }

    /// The same home, opened by a server that starts after this one ended.
    fn restarted(self, settings: StoreSettings) -> Self {
        drop(self.root);
        let root = Homes::new(settings).root(self.directory.path()).unwrap();
        Self { directory: self.directory, root }
    }

    /// The same after a server that ended as it should.
    fn stopped_and_restarted(self, settings: StoreSettings) -> Self {
        self.root.save_count().unwrap();
        self.restarted(settings)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn read(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.path(name)).ok()
    }

    /// Uploads a whole file as alice.
    fn store(&self, path: &str, content: &[u8]) -> Result<Stored, Fault> {
        self.begin(path, "alice", UploadMode::Replace)?.finish(content)
    }

    fn begin(&self, path: &str, user: &str, mode: UploadMode) -> Result<Upload, Fault> {
        self.root.claim_upload(all(path), &uploader(user), mode, None)?.begin()
    }

    /// Begins an upload and cuts it off after the content.
    fn interrupted(&self, path: &str, user: &str, content: &[u8]) -> Kept {
        let mut upload = self.begin(path, user, UploadMode::Replace).unwrap();
        upload.write(content).unwrap();
        upload.interrupt().unwrap()
    }

    fn facts(&self, path: &str, user: &str) -> Result<Entry, Fault> {
        self.root.facts(&all(path), &name(user), Lookup::Full)
    }

    /// Names that a user sees, sorted.
    fn names(&self, path: &str, user: &str) -> Vec<String> {
        let mut names: Vec<String> = self.entries(path, user).into_iter().map(|entry| entry.name).collect();
        names.sort();
        names
    }

    fn entries(&self, path: &str, user: &str) -> Vec<Entry> {
        let mut entries = Vec::new();
        let mut listing = self.root.list(&all(path), &name(user)).unwrap();
        while listing.visit(100, &mut |entry| entries.push(entry.to_entry())).unwrap() {}
        entries
    }

    /// Files in the staging directory, but for what concerns the home as a whole.
    fn staged(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path(".portcullis-staging")) else { return Vec::new() };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| !["count.json", "shared.json"].contains(&name.as_str())).collect()
    }
}

trait Finish {
    fn finish(self, content: &[u8]) -> Result<Stored, Fault>;
}

impl Finish for Upload {
    fn finish(mut self, content: &[u8]) -> Result<Stored, Fault> {
        self.write(content)?;
        Ok(self.commit()?)
    }
}

fn name(user: &str) -> Username {
    Username::parse(user).unwrap()
}

fn uploader(user: &str) -> Uploader {
    Uploader { name: name(user), quota_bytes: None, quota_files: None }
}

fn all(path: &str) -> Grant {
    Grant::for_test(path, PermissionSet::ALL)
}

fn only(path: &str, permissions: &[Permission]) -> Grant {
    Grant::for_test(path, PermissionSet::of(permissions))
}

#[test]
fn everything_can_go_to_another_thread() {
    fn sendable<T: Send + 'static>() {}
    sendable::<Homes>();
    sendable::<Arc<Root>>();
    sendable::<ReadFile>();
    sendable::<Listing>();
    sendable::<UploadClaim>();
    sendable::<Upload>();
}

fn contents(directory: &Path) -> usize {
    fs::read_dir(directory).unwrap().count()
}
