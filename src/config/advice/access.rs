//! Users who can do nothing, and permissions that come to more than they look.

use std::collections::BTreeSet;

use super::super::findings::Findings;
use super::alike::Alike;
use crate::policy::account::Account;
use crate::policy::permission::{Permission, PermissionSet};
use crate::proto::path::VirtualPath;

/// Paths of one account beyond which none are tried out.
const SAMPLES_MAX: usize = 200;

/// Warns of accounts that are permitted nothing, and of permissions that lead past others.
pub(super) fn advise(alike: &[Alike<'_>], findings: &mut Findings) {
    let mut told = BTreeSet::new();
    for one in alike.iter().filter(|one| one.judged) {
        let Some(account) = one.accounts.iter().find(|account| account.enabled) else { continue };
        if account.permits_nothing() {
            for account in one.accounts.iter().filter(|account| account.enabled) {
                let place = findings.place_of_rule(&account.source);
                let message = format!("{} is permitted nothing, on any path", account.name);
                let help = "give `permissions`, or write enabled = false to keep the account out";
                findings.warning(place, message, help);
            }
            continue;
        }
        let samples: Vec<(VirtualPath, PermissionSet)> = account
            .sample_paths()
            .into_iter()
            .take(SAMPLES_MAX)
            .map(|path| (path.clone(), account.standing_permissions(&path)))
            .collect();
        advise_of_renaming(account, &samples, &mut told, findings);
        advise_of_overwriting(account, &samples, &mut told, findings);
    }
}

/// What has been told of a line of the file, once for all who have it.
type Told = BTreeSet<(u32, &'static str)>;

/// What may not be read where it is, and may be given a name where it may.
fn advise_of_renaming(
    account: &Account,
    samples: &[(VirtualPath, PermissionSet)],
    told: &mut Told,
    findings: &mut Findings,
) {
    let both = PermissionSet::of(&[Permission::Read, Permission::Rename]);
    let Some((open, _)) = samples.iter().find(|(_, set)| set.intersection(both) == both) else { return };
    for (path, set) in samples {
        if !set.contains(Permission::Rename) || set.contains(Permission::Read) {
            continue;
        }
        let Some(source) = account.standing_source(Permission::Rename, path) else { continue };
        if told.insert((source.line, Permission::Rename.word())) {
            let message = format!(
                "{} may rename files that it may not read, such as {path}, to where reading is allowed, such as {open}",
                account.name
            );
            let help = "take `rename` away where `read` is not allowed";
            findings.warning(findings.place_of_rule(&source), message, help);
        }
    }
}

/// A drop-box in which one may replace what one may not read.
fn advise_of_overwriting(
    account: &Account,
    samples: &[(VirtualPath, PermissionSet)],
    told: &mut Told,
    findings: &mut Findings,
) {
    for (path, set) in samples {
        let blind = set.contains(Permission::Overwrite) && !set.contains(Permission::Read);
        let Some(source) = account.standing_source(Permission::Overwrite, path).filter(|_| blind) else { continue };
        if told.insert((source.line, Permission::Overwrite.word())) {
            let message = format!(
                "{} may replace files that it may not read, such as {path}: what others left there can be lost unseen",
                account.name
            );
            let help = "take `overwrite` away: new names still work, and an interrupted upload can go on without it";
            findings.warning(findings.place_of_rule(&source), message, help);
        }
    }
}
