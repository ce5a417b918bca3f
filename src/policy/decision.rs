//! The decision about one path: which rules speak of it, which of them decides, and where the path
//! lies.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;

use super::account::Account;
use super::folder::Mount;
use super::freeze::Freeze;
use super::grant::{Denial, DenialReason, Grant, Judgement, Place, RuleSource};
use super::path_pattern::Specificity;
use super::permission::{Permission, PermissionSet};
use super::rule::{PathRule, UploadTerms};
use super::{Policy, Principal, date_of};
use crate::proto::path::VirtualPath;

/// Actions that give a name to a file.
pub(super) const NAMING: PermissionSet =
    PermissionSet::of(&[Permission::Create, Permission::Overwrite, Permission::Append]);
/// What a file's name must be fit for.
pub(crate) const NAMED: PermissionSet = NAMING.union(PermissionSet::of(&[Permission::Rename]));
/// What would take a mount point away.
pub(super) const UNMOUNTING: PermissionSet = PermissionSet::of(&[Permission::Rename, Permission::RemoveDirectory]);

/// One thing that the policy says of a permission on a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consideration {
    /// Whether it allows or denies.
    pub allows: bool,
    /// What says so, for people: such as `rule /in/** of group partners`.
    pub what: String,
    /// Where it stands.
    pub source: RuleSource,
    rank: Rank,
}

/// The greater decides: an exception before rules, rules before what holds for every path; among
/// rules the more specific one; and among those a deny.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    EveryPath,
    Rule(Specificity, bool),
    Exception,
}

/// What speaks of a permission on a path, before anybody wants to read it.
#[derive(Clone, Copy)]
pub(super) enum Speaker<'a> {
    Everywhere(&'a RuleSource),
    Mount(&'a Mount, bool),
    Rule(&'a PathRule, bool),
    Exception(&'a str, &'a RuleSource),
}

impl<'a> Speaker<'a> {
    /// What a rule says of a permission, if anything; one that does both denies.
    pub(super) fn of_rule(rule: &'a PathRule, permission: Permission) -> Option<Self> {
        let allows = !rule.deny.contains(permission);
        (!allows || rule.allow.contains(permission)).then_some(Self::Rule(rule, allows))
    }

    pub(super) fn rank(&self) -> Rank {
        match self {
            Self::Everywhere(_) => Rank::EveryPath,
            Self::Mount(mount, allows) => Rank::Rule(Specificity::of_tree(&mount.path), !allows),
            Self::Rule(rule, allows) => Rank::Rule(rule.pattern.specificity(), !allows),
            Self::Exception(..) => Rank::Exception,
        }
    }

    pub(super) fn allows(&self) -> bool {
        match self {
            Self::Everywhere(_) | Self::Exception(..) => true,
            Self::Mount(_, allows) | Self::Rule(_, allows) => *allows,
        }
    }

    pub(super) fn source(&self) -> &'a RuleSource {
        match self {
            Self::Everywhere(source) | Self::Exception(_, source) => source,
            Self::Mount(mount, _) => &mount.source,
            Self::Rule(rule, _) => &rule.source,
        }
    }

    pub(super) fn considered(&self) -> Consideration {
        let what = match self {
            Self::Everywhere(_) => "permissions".to_owned(),
            Self::Mount(mount, _) => format!("mount {} of {}", mount.path, mount.holder),
            Self::Rule(rule, _) => format!("rule {} of {}", rule.pattern, rule.holder),
            Self::Exception(reason, _) => format!("exception: {reason}"),
        };
        Consideration { allows: self.allows(), what, source: self.source().clone(), rank: self.rank() }
    }
}

impl Policy {
    /// Decides whether the user may do any of `wanted` on the path now. The grant covers those of
    /// them that are permitted; where none is, the denial names the rule.
    pub fn judge(&self, principal: &Principal, wanted: PermissionSet, path: &VirtualPath, now: Timestamp) -> Judgement {
        let Some(account) = self.users.get(principal.name()).filter(|account| account.enabled) else {
            return Judgement::Deny(Denial { rule: None, reason: DenialReason::NotPermitted });
        };
        let mut granted = permitted(account, principal.address(), wanted, path, date_of(now));
        if granted.is_empty() {
            let first = wanted.iter().next().unwrap_or(Permission::List);
            let rule = deciding(account, principal.address(), first, path, date_of(now));
            let rule = rule.map_or_else(|| silence(account), |speaker| speaker.source().clone());
            return Judgement::Deny(Denial { rule: Some(rule), reason: DenialReason::NotPermitted });
        }
        let (thawed, freeze) = self.thawed(account, path, granted, now);
        granted = thawed;
        if granted.is_empty() {
            return Judgement::Deny(Denial { rule: freeze.map(Freeze::source), reason: DenialReason::Frozen });
        }
        if holds_mount(account, path) {
            granted = granted.without(UNMOUNTING);
            if granted.is_empty() {
                let mount = account.terms.mounts.iter().find(|mount| mount.path.is_within(path));
                let rule = mount.map(|mount| mount.source.clone());
                return Judgement::Deny(Denial { rule, reason: DenialReason::MountPoint });
            }
        }
        // Who asks for anything at all gives nothing a name.
        if wanted != PermissionSet::ALL
            && !wanted.intersection(NAMING).is_empty()
            && let Err(rule) = name_is_taken(account, path)
        {
            granted = granted.without(NAMED);
            if granted.is_empty() {
                return Judgement::Deny(Denial { rule: Some(rule), reason: DenialReason::Name });
            }
        }
        let grant = Grant::new(path.clone(), place(account, path), granted)
            .of_files_up_to(file_bytes_max(account, path).map(|(bytes, _)| bytes))
            .asking_below(asked_below(account, path))
            .for_whole_tree(is_uniform_below(account, path) && !self.freezes_below(&account.name, path, now));
        Judgement::Allow(grant)
    }

    /// Decides whether the user may go through a directory: where anything at all is permitted in
    /// it, or may be somewhere below it.
    pub fn pass(&self, principal: &Principal, path: &VirtualPath, now: Timestamp) -> Judgement {
        let judged = self.judge(principal, PermissionSet::ALL, path, now);
        let Some(account) = self.users.get(principal.name()).filter(|account| account.enabled) else { return judged };
        match judged {
            Judgement::Deny(_) if leads_somewhere(account, principal.address(), path, date_of(now)) => {
                Judgement::Allow(Grant::new(path.clone(), place(account, path), PermissionSet::NONE))
            }
            judged => judged,
        }
    }

    /// What is permitted on a path, of what is wanted, by rules and freezes alone: the part of
    /// [`Self::judge`] that listings need of every entry.
    pub fn permissions_at(&self, principal: &Principal, path: &VirtualPath, now: Timestamp) -> PermissionSet {
        let account = self.users.get(principal.name()).filter(|account| account.enabled);
        account.map_or(PermissionSet::NONE, |account| {
            let permitted = permitted(account, principal.address(), PermissionSet::ALL, path, date_of(now));
            self.thawed(account, path, permitted, now).0
        })
    }

    /// Whether the same is permitted on all paths below a path, so that a look at one of them does for
    /// the others. On the path itself something else may be.
    pub fn is_uniform_below(&self, principal: &Principal, path: &VirtualPath) -> bool {
        self.users.get(principal.name()).is_none_or(|account| is_uniform_below(account, path))
    }

    /// Everything that the policy says of one permission on a path, the deciding thing first. Where
    /// there is nothing, silence denies.
    pub fn considerations(
        &self,
        account: &Account,
        address: IpAddr,
        permission: Permission,
        path: &VirtualPath,
        now: Timestamp,
    ) -> Vec<Consideration> {
        let mut all: Vec<Consideration> =
            speakers(account, address, permission, path, date_of(now)).map(|speaker| speaker.considered()).collect();
        // As `max_by_key` does, which takes the last of several that are equal.
        all.reverse();
        all.sort_by_key(|one| std::cmp::Reverse(one.rank));
        all
    }
}

/// What is permitted on a path, of what is wanted.
pub(super) fn permitted(
    account: &Account,
    address: IpAddr,
    wanted: PermissionSet,
    path: &VirtualPath,
    today: Date,
) -> PermissionSet {
    let allowed = |permission: &Permission| {
        deciding(account, address, *permission, path, today).is_some_and(|speaker| speaker.allows())
    };
    wanted.iter().filter(allowed).collect()
}

/// What decides about a permission on a path; none where nothing speaks of it.
pub(super) fn deciding<'a>(
    account: &'a Account,
    address: IpAddr,
    permission: Permission,
    path: &'a VirtualPath,
    today: Date,
) -> Option<Speaker<'a>> {
    speakers(account, address, permission, path, today).max_by_key(Speaker::rank)
}

/// Everything that speaks of a permission on a path.
fn speakers<'a>(
    account: &'a Account,
    address: IpAddr,
    permission: Permission,
    path: &'a VirtualPath,
    today: Date,
) -> impl Iterator<Item = Speaker<'a>> {
    let terms = &account.terms;
    let mount = mount_of(account, path);
    let everywhere = terms.permissions.iter().filter(move |_| mount.is_none());
    let everywhere =
        everywhere.filter(move |own| own.set.contains(permission)).map(|own| Speaker::Everywhere(&own.source));
    let mounted = mount.map(|mount| Speaker::Mount(mount, mount.permissions.set.contains(permission)));
    let rules = terms
        .rules
        .iter()
        .filter_map(move |rule| Speaker::of_rule(rule, permission).filter(|_| rule.pattern.matches(path)));
    let exceptions = terms.path_exceptions.iter().filter(move |exception| {
        let granted = &exception.granted;
        granted.allow.contains(permission) && granted.pattern.matches(path) && exception.holds(address, today)
    });
    let exceptions = exceptions.map(|exception| Speaker::Exception(&exception.reason, &exception.source));
    everywhere.chain(mounted).chain(rules).chain(exceptions)
}

/// What is to be named where nothing speaks of a path.
pub(super) fn silence(account: &Account) -> RuleSource {
    account.terms.permissions.as_ref().map_or_else(|| account.source.clone(), |own| own.source.clone())
}

/// The mount in which a path lies.
pub(super) fn mount_of<'a>(account: &'a Account, path: &VirtualPath) -> Option<&'a Mount> {
    account.terms.mounts.iter().find(|mount| path.is_within(&mount.path))
}

fn place(account: &Account, path: &VirtualPath) -> Place {
    let Some(mount) = mount_of(account, path) else { return Place { folder: None, path: path.clone() } };
    let rest = path.as_str().strip_prefix(mount.path.as_str()).unwrap_or_default();
    // What lies below a path that could be named can be named itself.
    let below = VirtualPath::root().join(rest.as_bytes()).unwrap_or_else(|_| path.clone());
    Place { folder: Some(Arc::clone(&mount.folder)), path: below }
}

/// Whether something is mounted at a path or below it.
pub(super) fn holds_mount(account: &Account, path: &VirtualPath) -> bool {
    account.terms.mounts.iter().any(|mount| mount.path.is_within(path))
}

/// Whether files of the path's name are taken there; else the rule against it.
pub(super) fn name_is_taken(account: &Account, path: &VirtualPath) -> Result<(), RuleSource> {
    let Some(name) = path.name() else { return Ok(()) };
    let rules = || account.terms.rules.iter();
    let forbids = |rule: &&PathRule| rule.upload.names_forbidden.iter().any(|pattern| pattern.matches(name));
    if let Some(rule) = rules().filter(forbids).find(|rule| rule.pattern.matches(path)) {
        return Err(rule.source.clone());
    }
    let stating = || rules().filter(|rule| !rule.upload.names_allowed.is_empty() && rule.pattern.matches(path));
    let Some(deciding) = stating().map(|rule| rule.pattern.specificity()).max() else { return Ok(()) };
    let lacks = |rule: &&PathRule| !rule.upload.names_allowed.iter().any(|pattern| pattern.matches(name));
    match stating().filter(|rule| rule.pattern.specificity() == deciding).find(lacks) {
        Some(rule) => Err(rule.source.clone()),
        None => Ok(()),
    }
}

/// Most bytes of a file at a path, and the rule that says so: the most specific one, and of several
/// the least.
pub(super) fn file_bytes_max<'a>(account: &'a Account, path: &VirtualPath) -> Option<(u64, &'a RuleSource)> {
    let matching = account.terms.rules.iter().filter(|rule| rule.pattern.matches(path));
    let stating = matching.filter_map(|rule| Some((rule, rule.upload.file_bytes_max?)));
    let deciding = stating.max_by_key(|(rule, bytes)| (rule.pattern.specificity(), std::cmp::Reverse(*bytes)));
    deciding.map(|(rule, bytes)| (bytes, &rule.source))
}

/// The rules that ask something of files below a path.
fn asked_below(account: &Account, path: &VirtualPath) -> Vec<RuleSource> {
    let rules = account.terms.rules.iter().filter(|rule| rule.upload != UploadTerms::default());
    rules.filter(|rule| rule.pattern.reaches_below(path)).map(|rule| rule.source.clone()).collect()
}

/// Whether whatever speaks of something below a path speaks of all below it.
fn is_uniform_below(account: &Account, path: &VirtualPath) -> bool {
    let terms = &account.terms;
    let rules = terms.rules.iter().map(|rule| &rule.pattern);
    let exceptions = terms.path_exceptions.iter().map(|exception| &exception.granted.pattern);
    let mut patterns = rules.chain(exceptions);
    patterns.all(|pattern| pattern.covers(path) || !pattern.reaches_below(path))
        && !terms.mounts.iter().any(|mount| mount.path != *path && mount.path.is_within(path))
}

/// Whether something below a path may be permitted.
fn leads_somewhere(account: &Account, address: IpAddr, path: &VirtualPath, today: Date) -> bool {
    let terms = &account.terms;
    let mounts = terms.mounts.iter().any(|mount| mount.path.is_within(path) && !mount.permissions.set.is_empty());
    let rules = terms.rules.iter().any(|rule| !rule.allow.is_empty() && rule.pattern.reaches_below(path));
    let exceptions = terms.path_exceptions.iter().filter(|exception| exception.holds(address, today));
    let widely = || !held_below(account, path).is_empty();
    mounts || rules || exceptions.into_iter().any(|exception| exception.granted.pattern.reaches_below(path)) || widely()
}

/// What the mount that a path lies in, or else `permissions`, permits somewhere below the path: what
/// no rule denies for all of it.
fn held_below(account: &Account, path: &VirtualPath) -> PermissionSet {
    let terms = &account.terms;
    let (held, rank) = match mount_of(account, path) {
        Some(mount) => (mount.permissions.set, Some(Specificity::of_tree(&mount.path))),
        None => (terms.permissions.as_ref().map_or(PermissionSet::NONE, |own| own.set), None),
    };
    let denying = terms
        .rules
        .iter()
        .filter(|rule| rank.is_none_or(|rank| rule.pattern.specificity() >= rank) && rule.pattern.covers(path));
    denying.fold(held, |held, rule| held.without(rule.deny))
}
