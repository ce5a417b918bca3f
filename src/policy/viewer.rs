//! What one user sees of the tree at one moment: which entries of a directory are shown, and what
//! may be done with each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::account::Account;
use super::decision::{NAMING, UNMOUNTING, holds_mount, name_is_taken};
use super::grant::{Grant, Judgement};
use super::path_pattern::PathPattern;
use super::permission::{Permission, PermissionSet};
use super::{Policy, Principal};
use crate::proto::path::VirtualPath;

/// A user who looks, with the policy and the moment by which that is decided.
#[derive(Clone, Debug)]
pub struct Viewer {
    policy: Arc<Policy>,
    principal: Principal,
    now: Timestamp,
}

/// A folder that is mounted in a directory.
#[derive(Debug)]
pub struct MountPoint {
    /// Its name in the directory.
    pub name: String,
    /// Leave to look at it; none where it is not shown.
    pub grant: Option<Grant>,
}

/// One directory as a user sees it.
#[derive(Debug)]
pub struct DirectoryView {
    viewer: Viewer,
    path: VirtualPath,
    /// Names at which folders are mounted: what the directory itself has there is not seen.
    mounted: BTreeSet<String>,
    /// Whether folders are mounted further below.
    mounts_below: bool,
    /// Whether names of files decide, too.
    by_name: bool,
    /// The patterns of rules and exceptions that mean some of the entries, or something below them,
    /// and not all: entries that the same ones mean are permitted the same.
    varying: Vec<PathPattern>,
    /// Whether something below is frozen, so that each entry has to be looked at.
    frozen_below: bool,
    /// What was found for entries, by which of those mean them.
    found: BTreeMap<Vec<bool>, PermissionSet>,
}

/// Most results that are kept for one directory.
const FOUND_MAX: usize = 64;

impl Policy {
    /// What a user sees of the tree now, and goes on seeing while a listing lasts.
    pub fn viewer(self: &Arc<Self>, principal: &Principal, now: Timestamp) -> Viewer {
        Viewer { policy: Arc::clone(self), principal: principal.clone(), now }
    }
}

impl Viewer {
    /// What may be done with the file or directory at a path: each permission that
    /// [`Policy::judge`] grants where it is asked for by itself.
    pub fn permissions(&self, path: &VirtualPath, directory: bool) -> PermissionSet {
        self.narrowed(self.policy.permissions_at(&self.principal, path, self.now), path, directory)
    }

    /// The folders mounted directly in a directory.
    pub fn mount_points(&self, directory: &VirtualPath) -> Vec<MountPoint> {
        let mounts = self.account().into_iter().flat_map(|account| &account.terms.mounts);
        let here = mounts.filter(|mount| !mount.path.is_root() && mount.path.parent() == *directory);
        here.filter_map(|mount| {
            let shown = match self.policy.pass(&self.principal, &mount.path, self.now) {
                Judgement::Allow(grant) => Some(grant),
                Judgement::Deny(_) => None,
            };
            Some(MountPoint { name: mount.path.name()?.to_owned(), grant: shown })
        })
        .collect()
    }

    /// A directory whose entries are to be looked at.
    pub fn directory(self, path: &VirtualPath) -> DirectoryView {
        let mounted = self.mount_points(path).into_iter().map(|mount| mount.name).collect();
        let terms = self.account().map(|account| &account.terms);
        let mut mounts = terms.into_iter().flat_map(|terms| &terms.mounts);
        let mounts_below = mounts.any(|mount| mount.path != *path && mount.path.is_within(path));
        let by_name = terms.is_some_and(|terms| terms.rules.iter().any(|rule| !rule.upload.takes_every_name()));
        let rules = terms.into_iter().flat_map(|terms| &terms.rules).map(|rule| &rule.pattern);
        let exceptions = terms.into_iter().flat_map(|terms| &terms.path_exceptions);
        let patterns = rules.chain(exceptions.map(|exception| &exception.granted.pattern));
        let varying =
            patterns.filter(|pattern| !pattern.covers(path) && pattern.reaches_below(path)).cloned().collect();
        let user = self.principal.name();
        let frozen_below = self.policy.freezes_below(user, path, self.now);
        DirectoryView {
            viewer: self,
            path: path.clone(),
            mounted,
            mounts_below,
            by_name,
            varying,
            frozen_below,
            found: BTreeMap::new(),
        }
    }

    fn account(&self) -> Option<&Account> {
        self.policy.users.get(self.principal.name())
    }

    /// Without what is refused whatever the rules permit: names that files do not get, and changes
    /// that would take a mount point away.
    fn narrowed(&self, permissions: PermissionSet, path: &VirtualPath, directory: bool) -> PermissionSet {
        match self.account() {
            Some(account) if directory && holds_mount(account, path) => permissions.without(UNMOUNTING),
            Some(account) if !directory && name_is_taken(account, path).is_err() => permissions.without(NAMING),
            _ => permissions,
        }
    }

    /// Whether a directory leads to something.
    fn passes(&self, path: &VirtualPath) -> bool {
        matches!(self.policy.pass(&self.principal, path, self.now), Judgement::Allow(_))
    }
}

impl DirectoryView {
    /// What may be done with an entry of the directory; none where the entry is not shown. Shown
    /// is what may be listed, and a directory that leads to something.
    pub fn entry(&mut self, name: &str, directory: bool) -> Option<PermissionSet> {
        if self.mounted.contains(name) {
            return None;
        }
        let by_path = if directory { self.mounts_below } else { self.by_name };
        if self.varying.is_empty()
            && !by_path
            && !self.frozen_below
            && let Some(permissions) = self.found.values().next()
            && (permissions.contains(Permission::List) || !directory)
        {
            return Some(*permissions).filter(|permissions| permissions.contains(Permission::List));
        }
        let path = self.path.join(name.as_bytes()).ok()?;
        let permissions = self.permitted(&path);
        let shown = permissions.contains(Permission::List) || directory && self.viewer.passes(&path);
        shown.then(|| if by_path { self.viewer.narrowed(permissions, &path, directory) } else { permissions })
    }

    /// The same of a folder that is mounted under the name.
    pub fn mount_point(&self, name: &str) -> Option<PermissionSet> {
        let path = self.path.join(name.as_bytes()).ok()?;
        self.viewer.passes(&path).then(|| self.viewer.permissions(&path, true))
    }

    /// What the rules permit on an entry's path.
    fn permitted(&mut self, path: &VirtualPath) -> PermissionSet {
        if self.frozen_below {
            return self.viewer.policy.permissions_at(&self.viewer.principal, path, self.viewer.now);
        }
        let meant: Vec<bool> = self.varying.iter().map(|pattern| pattern.matches(path)).collect();
        if let Some(found) = self.found.get(&meant) {
            return *found;
        }
        if self.found.len() >= FOUND_MAX {
            self.found.clear();
        }
        let Viewer { policy, principal, now } = &self.viewer;
        let permissions = policy.permissions_at(principal, path, *now);
        self.found.insert(meant, permissions);
        permissions
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::account::Permissions;
    use crate::policy::folder::{Folder, Mount};
    use crate::policy::rule::{NamePattern, PathRule, UploadTerms};
    use crate::policy::tests::{account, enter, noon, policy, source};

    const DAY: &str = "2026-11-22";

    fn path(text: &str) -> VirtualPath {
        VirtualPath::root().join(text.as_bytes()).unwrap()
    }

    fn rule(pattern: &str, allow: &[Permission], deny: &[Permission]) -> PathRule {
        PathRule {
            pattern: PathPattern::parse(pattern).unwrap(),
            allow: PermissionSet::of(allow),
            deny: PermissionSet::of(deny),
            upload: UploadTerms::default(),
            holder: "user alice".into(),
            source: source(5),
        }
    }

    fn mount(at: &str, set: PermissionSet) -> Mount {
        let folder = Folder {
            name: "shared".into(),
            directory: "/srv/shared".into(),
            quota_bytes: None,
            quota_files: None,
            source: source(1),
        };
        let permissions = Permissions { set, source: source(6) };
        Mount { path: path(at), folder: Arc::new(folder), permissions, holder: "user alice".into(), source: source(6) }
    }

    /// Alice, who may list and read, with these rules and mounts.
    fn viewer(rules: Vec<PathRule>, mounts: Vec<Mount>) -> Viewer {
        let mut alice = account("alice");
        (alice.terms.rules, alice.terms.mounts) = (rules, mounts);
        let policy = Arc::new(policy(vec![alice]));
        let principal = enter(&policy, "::1", DAY).unwrap();
        policy.viewer(&principal, noon(DAY))
    }

    #[test]
    fn an_entry_is_shown_where_it_may_be_listed_and_a_directory_where_it_leads_to_something() {
        use Permission::{Create, List, Read};
        let rules = vec![
            rule("/secret/**", &[], &[List, Read]),
            rule("/way/**", &[], &[List, Read]),
            rule("/way/in", &[Create], &[]),
        ];
        let viewer = viewer(rules, vec![]);
        let mut root = viewer.clone().directory(&path("/"));
        assert_eq!(root.entry("open", false), Some(PermissionSet::READ_ONLY));
        assert_eq!((root.entry("secret", true), root.entry("secret", false)), (None, None));
        assert_eq!((root.entry("way", true), root.entry("way", false)), (Some(PermissionSet::NONE), None));
        let mut way = viewer.directory(&path("/way"));
        assert_eq!((way.entry("in", true), way.entry("out", true)), (Some(PermissionSet::of(&[Create])), None));
    }

    #[test]
    fn a_mount_hides_what_the_home_has_under_its_name() {
        let mounts = vec![mount("/shared", PermissionSet::ALL), mount("/a/b", PermissionSet::READ_ONLY)];
        let viewer = viewer(vec![], mounts);
        let shown = |at: &str| -> Vec<(String, bool)> {
            let points = viewer.mount_points(&path(at));
            points.into_iter().map(|point| (point.name, point.grant.is_some())).collect()
        };
        assert_eq!(shown("/"), [("shared".to_owned(), true)]);
        assert_eq!(shown("/a"), [("b".to_owned(), true)]);
        assert_eq!(shown("/a/b"), []);
        let mut root = viewer.clone().directory(&path("/"));
        assert_eq!(root.entry("shared", false), None);
        let all = root.mount_point("shared").unwrap();
        assert!(all.contains(Permission::Create) && !all.contains(Permission::Rename), "a mount stays: {all}");
        assert!(root.entry("a", true).is_some());
    }

    #[test]
    fn names_that_files_do_not_get_are_told_for_each() {
        let mut named = rule("/**", &[Permission::Overwrite], &[]);
        named.upload.names_forbidden = vec![NamePattern::parse("*.exe").unwrap()];
        let mut root = viewer(vec![named], vec![]).directory(&path("/"));
        for name in ["a.txt", "b.exe", "c.txt"] {
            let permissions = root.entry(name, false).unwrap();
            assert_eq!(permissions.contains(Permission::Overwrite), name.ends_with("txt"), "{name}");
        }
    }

    proptest! {
        /// What is remembered from one entry to the next is what each would have been told by itself.
        #[test]
        fn an_entry_in_a_row_is_seen_as_if_it_stood_alone(
            patterns in prop::collection::vec(("(/(a|b|\\*|\\*\\*|a\\*)){1,3}", any::<bool>(), any::<bool>()), 0..5),
            at in "(/(a|b)){0,2}",
            entries in prop::collection::vec(("(a|b|ab|aa|c)", any::<bool>()), 1..8),
        ) {
            let all = [Permission::List, Permission::Read, Permission::Create];
            let rules = patterns.iter().map(|(pattern, allow, deny)| {
                rule(pattern, if *allow { &all } else { &all[2..] }, if *deny { &all[..1] } else { &[] })
            });
            let viewer = viewer(rules.collect(), vec![mount("/b/c", PermissionSet::READ_ONLY)]);
            let mut view = viewer.clone().directory(&path(&at));
            for (name, directory) in entries {
                let path = path(&format!("{at}/{name}"));
                let alone = viewer.permissions(&path, directory);
                let shown = alone.contains(Permission::List) || directory && viewer.passes(&path);
                let expected = shown.then_some(alone).filter(|_| path.as_str() != "/b/c");
                prop_assert_eq!(view.entry(&name, directory), expected, "{}", path);
            }
        }
    }
}
