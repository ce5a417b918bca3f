//! Mounts and rules against what is on the disk: whether mounts have a directory to be listed in, and
//! whether the paths that the rules speak of are what they seem.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::super::account::Serving;
use super::super::findings::Findings;
use super::Matter;
use crate::policy::account::Account;
use crate::policy::decision::NAMED;
use crate::policy::permission::{Permission, PermissionSet};
use crate::proto::path::VirtualPath;

/// What is done with files rather than with the directory that holds them.
const OF_FILES: PermissionSet = NAMED.union(PermissionSet::of(&[Permission::Read, Permission::Delete]));

/// Warns of mounts that nobody finds, and of rules about a directory that were meant for what lies in
/// it.
pub(super) fn advise(matter: &Matter<'_>, findings: &mut Findings) {
    let policy = &matter.read.policy;
    let serving = Serving::of(matter.read.process.run_as.as_ref());
    let mut told = BTreeSet::new();
    for account in policy.users.values().filter(|account| account.enabled) {
        advise_of_parents(account, &serving, findings);
        advise_of_directories(account, &mut told, findings);
    }
}

/// A mount is listed in the directory that holds its place, which nobody makes by itself.
fn advise_of_parents(account: &Account, serving: &Serving, findings: &mut Findings) {
    for mount in &account.terms.mounts {
        let parent = mount.path.parent();
        let directory = account.home.join(parent.as_str().trim_start_matches('/'));
        if parent.is_root() || !account.home.is_dir() || !is_missing(&directory) {
            continue;
        }
        let message =
            format!("{} has no directory {parent} for the mount {} to be listed in", account.name, mount.path);
        let help = format!("make it: {}", serving.make(&directory));
        findings.warning(findings.place_of_rule(&mount.source), message, help);
    }
}

fn is_missing(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound)
}

/// A rule about files whose path is a directory speaks of the directory and of nothing in it.
fn advise_of_directories(account: &Account, told: &mut BTreeSet<u32>, findings: &mut Findings) {
    for rule in &account.terms.rules {
        let stem = rule.pattern.stem();
        let alone = stem.as_str() == rule.pattern.as_str() && !stem.is_root();
        if !alone || rule.allow.union(rule.deny).intersection(OF_FILES).is_empty() {
            continue;
        }
        let mount = account.terms.mounts.iter().find(|mount| stem.is_within(&mount.path));
        let directory = match mount {
            Some(mount) => below(&mount.folder.directory, &stem, mount.path.as_str()),
            None => below(&account.home, &stem, "/"),
        };
        if directory.is_dir() && told.insert(rule.source.line) {
            let message = format!("this rule speaks of the directory {stem} alone, not of the files in it");
            findings.warning(
                findings.place_of_rule(&rule.source),
                message,
                format!("write path = \"{stem}/**\" for the directory and everything below it"),
            );
        }
    }
}

/// Where a path of a user's tree lies below a directory that stands at `at` in the tree.
fn below(directory: &Path, path: &VirtualPath, at: &str) -> PathBuf {
    let rest = path.as_str().strip_prefix(at).unwrap_or_default();
    directory.join(rest.trim_start_matches('/'))
}
