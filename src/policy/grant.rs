//! The proof of a decision: a value that only [`Policy::judge`](super::Policy::judge) makes and
//! that every operation of the store asks for.

use std::fmt;
use std::sync::Arc;

use super::folder::Folder;
use super::permission::{Permission, PermissionSet};
use crate::proto::path::VirtualPath;

/// Where a rule stands, so that a decision can name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleSource {
    /// The file, as the operator named it.
    pub file: Arc<str>,
    /// The line, counted from 1.
    pub line: u32,
}

impl fmt::Display for RuleSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Leave to act on one path. It cannot be copied or made anywhere else, and says for which path
/// and which actions it was given.
#[derive(Debug)]
#[must_use = "a grant that is not used was asked for in vain"]
pub struct Grant {
    path: VirtualPath,
    place: Place,
    permissions: PermissionSet,
    file_bytes_max: Option<u64>,
    asked_below: Vec<RuleSource>,
    whole_tree: bool,
}

/// Where a path of a user's tree lies: in the home or in a folder that is mounted there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The folder; none is the home.
    pub folder: Option<Arc<Folder>>,
    /// The path beneath the folder or home.
    pub path: VirtualPath,
}

impl Grant {
    pub(super) fn new(path: VirtualPath, place: Place, permissions: PermissionSet) -> Self {
        Self { path, place, permissions, file_bytes_max: None, asked_below: Vec::new(), whole_tree: true }
    }

    /// The same, for files of so many bytes at most.
    pub(super) fn of_files_up_to(mut self, bytes: Option<u64>) -> Self {
        self.file_bytes_max = bytes;
        self
    }

    /// The same, where these rules ask something of the files that are uploaded below the path.
    pub(super) fn asking_below(mut self, rules: Vec<RuleSource>) -> Self {
        self.asked_below = rules;
        self
    }

    /// The same, for the path alone where other rules hold for something below it.
    pub(super) fn for_whole_tree(mut self, whole_tree: bool) -> Self {
        self.whole_tree = whole_tree;
        self
    }

    /// The path it was given for, as the user sees it.
    pub fn path(&self) -> &VirtualPath {
        &self.path
    }

    /// The same path beneath the root that the grant is for: the home or [`Self::folder`].
    pub fn stored(&self) -> &VirtualPath {
        &self.place.path
    }

    /// The folder in which the path lies; none where it lies in the home.
    pub fn folder(&self) -> Option<&Arc<Folder>> {
        self.place.folder.as_ref()
    }

    /// Whether it covers this action.
    pub fn allows(&self, permission: Permission) -> bool {
        self.permissions.contains(permission)
    }

    /// Most bytes of a file uploaded with it; none is no limit.
    pub fn file_bytes_max(&self) -> Option<u64> {
        self.file_bytes_max
    }

    /// Whether what lies below a directory may go below the path of another grant: where rules ask
    /// something of the files there, the same have asked it of them here.
    pub fn fits_below(&self, to: &Self) -> bool {
        to.asked_below.is_empty() || to.asked_below == self.asked_below
    }

    /// Whether no other rules hold for anything below the path, so that a directory may be given
    /// another name without taking what is below it out of their reach.
    pub fn is_for_whole_tree(&self) -> bool {
        self.whole_tree
    }

    /// A grant for tests of the code that consumes grants.
    #[cfg(test)]
    pub(crate) fn for_test(path: &str, permissions: PermissionSet) -> Self {
        let path = VirtualPath::root().join(path.as_bytes()).unwrap();
        Self::new(path.clone(), Place { folder: None, path }, permissions)
    }

    /// The same for everything, where files have so many bytes at most.
    #[cfg(test)]
    pub(crate) fn for_test_of_files_up_to(path: &str, bytes: u64) -> Self {
        Self::for_test(path, PermissionSet::ALL).of_files_up_to(Some(bytes))
    }

    /// The same for everything, where a rule asks something of the files below.
    #[cfg(test)]
    pub(crate) fn for_test_asking_below(path: &str, line: u32) -> Self {
        Self::for_test(path, PermissionSet::ALL).asking_below(vec![RuleSource { file: "users.toml".into(), line }])
    }

    /// The same for everything, but where other rules hold for something below the path.
    #[cfg(test)]
    pub(crate) fn for_test_of_itself(path: &str) -> Self {
        Self::for_test(path, PermissionSet::ALL).for_whole_tree(false)
    }
}

/// A decision of the policy, with the rule that decided.
#[derive(Debug)]
#[must_use]
pub enum Judgement {
    /// Allowed, as far as the grant goes.
    Allow(Grant),
    /// Refused.
    Deny(Denial),
}

/// Why the policy refused an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The rule that decided; none where silence did.
    pub rule: Option<RuleSource>,
    /// What kind of rule it is.
    pub reason: DenialReason,
}

/// What kind of rule refused an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DenialReason {
    /// The action is not permitted on the path.
    NotPermitted,
    /// Files of that name are not taken there.
    Name,
    /// A folder is mounted at the path or below it, so it stays where it is.
    MountPoint,
    /// It is read-only for a time.
    Frozen,
}
