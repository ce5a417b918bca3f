//! What a table of a user or a group says of either: permissions, rules, networks, hours, limits.

use super::exceptions::{self, Granted, Holder};
use super::findings::{Findings, shown};
use super::keys;
use super::section::{Section, Text, as_list};
use super::server::did_you_mean;
use super::tree::Value;
use super::users::Context;
use super::{folders, hours, rules};
use crate::policy::account::{AccountLimits, Permissions, Terms};
use crate::policy::factor::SecondFactor;
use crate::policy::network::AddressRules;
use crate::policy::permission::{Permission, PermissionSet};

/// Reads the terms of one table; `holder` names it, as `user alice` or `group partners`.
pub(super) fn read(section: &Section<'_>, holder: &str, context: &Context<'_>, findings: &mut Findings) -> Terms {
    let Granted { bindings, paths, .. } =
        exceptions::read(section, Holder::Account, context.networks, context.today, findings);
    let number = |key, findings: &mut Findings| section.number_given(key, findings);
    Terms {
        permissions: permissions(section, findings),
        rules: rules::read(section, holder, findings),
        mounts: folders::mounts(section, holder, context.folders, findings),
        addresses: addresses(section, context, findings),
        hours: hours::read(section, findings),
        limits: AccountLimits {
            sessions: number(&keys::USER_SESSIONS, findings),
            sessions_per_address: number(&keys::USER_SESSIONS_PER_ADDRESS, findings),
            transfers: number(&keys::USER_TRANSFERS, findings),
            upload_bytes_per_second: number(&keys::USER_UPLOAD_BYTES_PER_SECOND, findings),
            download_bytes_per_second: number(&keys::USER_DOWNLOAD_BYTES_PER_SECOND, findings),
        },
        quota_bytes: number(&keys::QUOTA_BYTES, findings),
        quota_files: number(&keys::QUOTA_FILES, findings),
        may_change_password: section.get("password-change").map(|_| section.boolean("password-change", true, findings)),
        second_factor: section
            .get("second-factor")
            .map(|_| section.word("second-factor", &SecondFactor::WORDS, SecondFactor::None, findings)),
        exceptions: bindings,
        path_exceptions: paths,
    }
}

/// A list of words, or one of the two words that stand for a list.
fn permissions(section: &Section<'_>, findings: &mut Findings) -> Option<Permissions> {
    let place = section.get("permissions")?.node.place;
    let set = permission_set(section, "permissions", findings)?;
    Some(Permissions { set, source: findings.rule_source(place) })
}

/// The permissions under a key that takes a list of words, or one of the two that stand for a list.
pub(super) fn permission_set(section: &Section<'_>, key: &str, findings: &mut Findings) -> Option<PermissionSet> {
    let entry = section.get(key)?;
    let texts = match &entry.node.value {
        Value::Text(text) => vec![Text { text, place: entry.node.place }],
        _ => section.texts(key, findings)?,
    };
    let mut set = PermissionSet::NONE;
    for text in texts {
        if let Some(found) = permission(text.text) {
            set = set.union(found);
        } else {
            findings.error(text.place, format!("`{}` is no permission", shown(text.text)), remedy(key, text.text));
        }
    }
    Some(set)
}

/// What to write in place of a word that is no permission.
fn remedy(key: &str, written: &str) -> String {
    if written.split([',', ' ', '|']).filter(|word| !word.is_empty()).count() > 1 {
        let words = written.replace(['|', ' '], ",");
        return format!("write a list of words: {key} = [{}]", as_list(&words));
    }
    let known = || Permission::ALL.into_iter().map(Permission::word).chain(["read-only", "full"]);
    // What people call them elsewhere.
    let meant = match written.to_ascii_lowercase().as_str() {
        "write" | "upload" | "put" => Some("`create` is for new files, `overwrite` for files that are there"),
        "download" | "get" => Some("`read` is for fetching files"),
        "none" => Some("an empty list permits nothing: []"),
        "all" | "rw" | "*" => Some("`full` stands for every permission"),
        "r" | "ro" => Some("`read-only` stands for `list` and `read`"),
        _ => None,
    };
    let otherwise = format!("known are: {}", known().collect::<Vec<_>>().join(", "));
    meant.map_or_else(|| did_you_mean(written, known(), &otherwise), str::to_owned)
}

/// The permissions that one word means.
pub(crate) fn permission(word: &str) -> Option<PermissionSet> {
    match word {
        "full" => Some(PermissionSet::ALL),
        "read-only" => Some(PermissionSet::READ_ONLY),
        word => Permission::from_word(word).map(|permission| PermissionSet::of(&[permission])),
    }
}

fn addresses(section: &Section<'_>, context: &Context<'_>, findings: &mut Findings) -> AddressRules {
    let rules = context.networks.rules(section, ["allow-from", "deny-from"], findings);
    let Some(server) = context.server else { return rules };
    for rule in &rules.allow {
        let overlaps = |allowed: &ipnet::IpNet| allowed.contains(&rule.network) || rule.network.contains(allowed);
        if !server.allow.iter().any(|allowed| overlaps(&allowed.network)) {
            let message = format!("nobody in {} gets past `allow` of [networks]", rule.network);
            findings.warning(section.place_of("allow-from"), message, "add the network to [networks] in server.toml");
        }
    }
    rules
}
