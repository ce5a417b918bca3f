//! Virtual folders: directories that are mounted into the trees of several users.

use std::path::PathBuf;
use std::sync::Arc;

use super::account::Permissions;
use super::grant::RuleSource;
use crate::proto::path::VirtualPath;

/// A directory of this machine that users may be given besides their homes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// Its name in the policy.
    pub name: String,
    /// The directory: absolute, on this machine.
    pub directory: PathBuf,
    /// Most bytes it may hold, whoever uploads.
    pub quota_bytes: Option<u64>,
    /// Most files and directories it may hold, whoever uploads.
    pub quota_files: Option<u64>,
    /// Where its table begins.
    pub source: RuleSource,
}

/// A folder at a place in a user's tree. What lies in the home under that path is not reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Where the user sees it; never the root, and never within another mount.
    pub path: VirtualPath,
    /// What is there.
    pub folder: Arc<Folder>,
    /// What the user may do in it; all else is denied there.
    pub permissions: Permissions,
    /// Whose mount it is, such as `user alice` or `group partners`.
    pub holder: Arc<str>,
    /// Where it stands.
    pub source: RuleSource,
}
