//! What an account's rules come to as a whole, whatever the path: rules that decide nothing, and
//! whether anything is permitted at all. Dated exceptions are left out: they end.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};

use jiff::civil::Date;

use super::account::Account;
use super::decision::{NAMED, Speaker, deciding, permitted};
use super::grant::RuleSource;
use super::path_pattern::PathPattern;
use super::permission::{Permission, PermissionSet};
use super::rule::PathRule;
use crate::proto::path::VirtualPath;

/// Why a rule decides nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Idle {
    /// Something decides before it on all its paths.
    Overruled {
        /// The permission that the rule speaks of in vain.
        permission: Permission,
        /// What decides, such as `rule /in/** of group partners (users.toml:7)`.
        by: String,
        /// Whether what decides is a mount.
        by_mount: bool,
    },
    /// Without it, the same would hold.
    Repeats {
        /// What says the same; none where silence does.
        of: Option<String>,
    },
    /// It asks something of uploads where no file can be given a name.
    NoUploads,
}

impl Account {
    /// Why a rule of the account decides nothing; none where it may decide something. The rule is one
    /// of the account's own list.
    pub fn idle(&self, rule: &PathRule) -> Option<Idle> {
        let uploads = &rule.upload;
        let asks = uploads.file_bytes_max.is_some()
            || !uploads.names_allowed.is_empty()
            || !uploads.names_forbidden.is_empty();
        if asks && NAMED.iter().any(|permission| self.may_permit(permission, &rule.pattern)) {
            return None;
        }
        let mut found = asks.then_some(Idle::NoUploads);
        for permission in rule.allow.union(rule.deny).iter() {
            let idle = self.idle_for(rule, permission)?;
            // What is overruled was meant to do something, so it is what is to be told.
            if found.is_none() || matches!(idle, Idle::Overruled { .. }) {
                found = Some(idle);
            }
        }
        found
    }

    fn idle_for(&self, rule: &PathRule, permission: Permission) -> Option<Idle> {
        let own = Speaker::Rule(rule, !rule.deny.contains(permission));
        let said = |speaker: &Speaker<'_>| format!("{} ({})", speaker.considered().what, speaker.source());
        let others = self.voices(permission);
        // Of two that are the same, the later one is idle.
        let position = |speaker: &Speaker<'_>| match speaker {
            Speaker::Rule(one, _) => self.terms.rules.iter().position(|known| std::ptr::eq(known, *one)),
            _ => None,
        };
        let mut agreeing = None;
        let mut agree = true;
        for other in others.iter().filter(|other| !matches!(other, Speaker::Rule(one, _) if std::ptr::eq(*one, rule))) {
            let pattern = pattern_of(other);
            if !pattern.may_meet(&rule.pattern) {
                continue;
            }
            let covers = pattern.includes(&rule.pattern);
            if other.rank() > own.rank() {
                if covers {
                    let by_mount = matches!(other, Speaker::Mount(..));
                    return Some(Idle::Overruled { permission, by: said(other), by_mount });
                }
                continue;
            }
            agree &= other.allows() == own.allows();
            let before = other.rank() < own.rank() || position(other) < position(&own);
            if covers && before {
                agreeing = Some(said(other));
            } else if other.rank() == own.rank() && !before && rule.pattern.includes(&pattern) {
                // The later one is idle, not this one.
                return None;
            }
        }
        let held = agreeing.is_some() || !own.allows();
        (agree && held).then_some(Idle::Repeats { of: agreeing })
    }

    /// Whether nothing at all is permitted, on any path.
    pub fn permits_nothing(&self) -> bool {
        !Permission::ALL
            .into_iter()
            .any(|permission| self.may_permit(permission, &PathPattern::tree(&VirtualPath::root())))
    }

    /// Whether a permission may be given on some path that a pattern means: something allows it there
    /// and nothing that decides before it denies it on all of its paths.
    fn may_permit(&self, permission: Permission, pattern: &PathPattern) -> bool {
        let voices = self.voices(permission);
        let overruled = |one: &Speaker<'_>| {
            let own = pattern_of(one);
            voices.iter().any(|other| !other.allows() && other.rank() > one.rank() && pattern_of(other).includes(&own))
        };
        let mut allowing = voices.iter().filter(|voice| voice.allows() && pattern_of(voice).may_meet(pattern));
        allowing.any(|voice| !overruled(voice))
    }

    /// What is permitted on a path when no exception holds.
    pub fn standing_permissions(&self, path: &VirtualPath) -> PermissionSet {
        // The last day of all: every exception has ended by then.
        permitted(self, IpAddr::V4(Ipv4Addr::UNSPECIFIED), PermissionSet::ALL, path, Date::MAX)
    }

    /// Where it stands what is said of a permission on a path when no exception holds.
    pub fn standing_source(&self, permission: Permission, path: &VirtualPath) -> Option<RuleSource> {
        deciding(self, IpAddr::V4(Ipv4Addr::UNSPECIFIED), permission, path, Date::MAX)
            .map(|speaker| speaker.source().clone())
    }

    /// A path for each thing that speaks of paths, for questions about the account as a whole.
    pub fn sample_paths(&self) -> Vec<VirtualPath> {
        let everywhere = PathPattern::tree(&VirtualPath::root());
        let mounts = self.terms.mounts.iter().map(|mount| PathPattern::tree(&mount.path));
        let rules = self.terms.rules.iter().map(|rule| rule.pattern.clone());
        let patterns = std::iter::once(everywhere).chain(mounts).chain(rules);
        patterns.filter_map(|pattern| pattern.sample()).filter(|path| !path.is_root()).collect()
    }

    /// Everything that speaks of a permission on any path, but for exceptions.
    fn voices(&self, permission: Permission) -> Vec<Speaker<'_>> {
        let terms = &self.terms;
        let everywhere = terms.permissions.iter().filter(|own| own.set.contains(permission));
        let everywhere = everywhere.map(|own| Speaker::Everywhere(&own.source));
        let mounts = terms.mounts.iter().map(|mount| Speaker::Mount(mount, mount.permissions.set.contains(permission)));
        let rules = terms.rules.iter().filter_map(|rule| Speaker::of_rule(rule, permission));
        everywhere.chain(mounts).chain(rules).collect()
    }
}

/// The paths that something speaks of.
fn pattern_of<'a>(speaker: &Speaker<'a>) -> Cow<'a, PathPattern> {
    match speaker {
        Speaker::Everywhere(_) | Speaker::Exception(..) => Cow::Owned(PathPattern::tree(&VirtualPath::root())),
        Speaker::Mount(mount, _) => Cow::Owned(PathPattern::tree(&mount.path)),
        Speaker::Rule(rule, _) => Cow::Borrowed(&rule.pattern),
    }
}
