//! The bounds that hold for a user besides the permissions: sizes, quotas, numbers.

use serde::Serialize;

use super::explanation::{Question, address};
use crate::policy::Policy;
use crate::policy::account::Account;
use crate::policy::permission::{Permission, PermissionSet};
use crate::policy::rule::NamePattern;

/// A bound, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Limit {
    /// The key that states it.
    pub key: &'static str,
    /// Its value.
    pub value: String,
    /// The file and line; none where only the user's effective terms are known.
    pub source: Option<String>,
}

/// The numbers that are stated of an account, each under its key.
pub(super) fn numbers(account: &Account) -> Vec<(&'static str, Option<u64>)> {
    let (terms, limits) = (&account.terms, &account.terms.limits);
    vec![
        ("sessions", limits.sessions),
        ("sessions-per-address", limits.sessions_per_address),
        ("transfers", limits.transfers),
        ("upload-bytes-per-second", limits.upload_bytes_per_second),
        ("download-bytes-per-second", limits.download_bytes_per_second),
        ("quota-bytes", terms.quota_bytes),
        ("quota-files", terms.quota_files),
    ]
}

/// Every bound that holds for what is asked.
pub(super) fn limits(policy: &Policy, question: &Question<'_>) -> Vec<Limit> {
    let account = question.account;
    let stated = numbers(account).into_iter().filter_map(|(key, number)| Some((key, number?)));
    let mut limits: Vec<Limit> =
        stated.map(|(key, number)| Limit { key, value: number.to_string(), source: None }).collect();
    let naming = PermissionSet::of(&[Permission::Create, Permission::Overwrite, Permission::Append]);
    let path = question.renamed_to.as_ref().or(question.path.as_ref());
    let path = path.map(|path| question.action.judged_path(path));
    let Some(path) = path.as_ref().filter(|_| !question.action.wanted().intersection(naming).is_empty()) else {
        return limits;
    };
    let supposed = policy.suppose(account, address(question), question.action.wanted(), path, question.at);
    if let Some(bytes) = supposed.ok().and_then(|supposed| supposed.file_bytes_max) {
        limits.push(Limit { key: "file-bytes-max", value: bytes.to_string(), source: None });
    }
    for rule in account.terms.rules.iter().filter(|rule| rule.pattern.matches(path)) {
        let lists = [("names-allowed", &rule.upload.names_allowed), ("names-forbidden", &rule.upload.names_forbidden)];
        for (key, names) in lists.into_iter().filter(|(_, names)| !names.is_empty()) {
            let names: Vec<&str> = names.iter().map(NamePattern::as_str).collect();
            limits.push(Limit { key, value: names.join(", "), source: Some(rule.source.to_string()) });
        }
    }
    if let Some(mount) = account.terms.mounts.iter().find(|mount| path.is_within(&mount.path)) {
        let folder = &mount.folder;
        let numbers = [("quota-bytes", folder.quota_bytes), ("quota-files", folder.quota_files)];
        // The home's quotas do not count what lies in a folder.
        limits.retain(|limit| !limit.key.starts_with("quota-"));
        for (key, number) in numbers.into_iter().filter_map(|(key, number)| Some((key, number?))) {
            limits.push(Limit { key, value: number.to_string(), source: Some(folder.source.to_string()) });
        }
    }
    limits
}
