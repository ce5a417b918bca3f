//! What is read-only for a time, on top of whatever the policy files permit: a user, a path, a
//! folder, or everything. Decided in [`Policy::judge`] like all else.

use jiff::Timestamp;

use super::account::Account;
use super::decision::{UNMOUNTING, mount_of};
use super::grant::{Grant, RuleSource};
use super::permission::{Permission, PermissionSet};
use super::{Policy, Principal};
use crate::identity::Username;
use crate::proto::path::VirtualPath;

/// What changes something: every permission but those to look and to read.
pub const MODIFYING: PermissionSet =
    PermissionSet::ALL.without(PermissionSet::READ_ONLY).without(PermissionSet::of(&[Permission::Hash]));
/// What stands for the file in the name of a freeze: `freeze:3`.
const NAMED: &str = "freeze";

/// Something that is read-only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freeze {
    /// Its number; no other freeze of the server has had it.
    pub number: u32,
    /// Whose changes it stops; none is everybody's.
    pub user: Option<Username>,
    /// What it holds.
    pub scope: Scope,
    /// When it was made.
    pub since: Timestamp,
    /// When it ends by itself; none where it does not.
    pub until: Option<Timestamp>,
    /// Why, for people.
    pub reason: Option<String>,
}

/// What a freeze holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every path.
    Everything,
    /// A path as users see it, and all below it.
    Path(VirtualPath),
    /// A virtual folder by its name, wherever it is mounted.
    Folder(String),
}

impl Freeze {
    /// Whether it has ended.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// How a denial names it.
    pub fn source(&self) -> RuleSource {
        RuleSource { file: NAMED.into(), line: self.number }
    }

    fn concerns(&self, user: &Username, now: Timestamp) -> bool {
        !self.is_over(now) && self.user.as_ref().is_none_or(|own| own == user)
    }

    /// What it stops at a path that lies in this folder. What would take a frozen path away is
    /// stopped above it, too.
    fn stops(&self, folder: Option<&str>, path: &VirtualPath) -> PermissionSet {
        match &self.scope {
            Scope::Everything => MODIFYING,
            Scope::Path(frozen) if path.is_within(frozen) => MODIFYING,
            Scope::Path(frozen) if frozen.is_within(path) => UNMOUNTING,
            Scope::Folder(name) if folder == Some(name) => MODIFYING,
            Scope::Path(_) | Scope::Folder(_) => PermissionSet::NONE,
        }
    }
}

impl Policy {
    /// The same policy with these freezes in place of its own.
    #[must_use]
    pub fn with_freezes(&self, freezes: Vec<Freeze>) -> Self {
        Self { freezes: freezes.into(), ..self.clone() }
    }

    /// The freeze that stops a user from using a grant to change something now, whatever was decided
    /// when the grant was made.
    pub fn frozen(&self, user: &Username, grant: &Grant, now: Timestamp) -> Option<&Freeze> {
        self.frozen_at(user, grant.folder().map(|folder| folder.name.as_str()), grant.path(), now)
    }

    /// The same for a path, and the name of the folder in which it lies.
    pub fn frozen_at(
        &self,
        user: &Username,
        folder: Option<&str>,
        path: &VirtualPath,
        now: Timestamp,
    ) -> Option<&Freeze> {
        self.freezing(user, now).find(|freeze| freeze.stops(folder, path) == MODIFYING)
    }

    /// Whether a user may not move what lies at a path now, as something in it is frozen.
    pub fn holds_frozen(&self, user: &Username, folder: Option<&str>, path: &VirtualPath, now: Timestamp) -> bool {
        self.freezing(user, now).any(|freeze| !freeze.stops(folder, path).is_empty())
    }

    /// Whether a user may change nothing at a path now.
    pub fn is_frozen(&self, principal: &Principal, path: &VirtualPath, now: Timestamp) -> bool {
        let account = self.users.get(principal.name());
        let folder = account.and_then(|account| folder_of(account, path));
        self.frozen_at(principal.name(), folder, path, now).is_some()
    }

    /// What freezes stop of this at a path; and the first of them that stops something.
    pub(super) fn thawed(
        &self,
        account: &Account,
        path: &VirtualPath,
        permitted: PermissionSet,
        now: Timestamp,
    ) -> (PermissionSet, Option<&Freeze>) {
        let folder = folder_of(account, path);
        let mut left = permitted;
        let mut first = None;
        for freeze in self.freezing(&account.name, now) {
            let stopped = freeze.stops(folder, path).intersection(left);
            if !stopped.is_empty() {
                left = left.without(stopped);
                first = first.or(Some(freeze));
            }
        }
        (left, first)
    }

    /// Whether something strictly below a path is frozen that the path itself is not.
    pub(super) fn freezes_below(&self, user: &Username, path: &VirtualPath, now: Timestamp) -> bool {
        self.freezing(user, now)
            .any(|freeze| matches!(&freeze.scope, Scope::Path(frozen) if frozen != path && frozen.is_within(path)))
    }

    fn freezing(&self, user: &Username, now: Timestamp) -> impl Iterator<Item = &Freeze> {
        self.freezes.iter().filter(move |freeze| freeze.concerns(user, now))
    }
}

fn folder_of<'a>(account: &'a Account, path: &VirtualPath) -> Option<&'a str> {
    mount_of(account, path).map(|mount| mount.folder.name.as_str())
}
