//! `portcullis user list`, and how one user is put into words for it and for `show`.

use std::path::Path;

use serde_json::{Value, json};

use super::super::{Failure, say, today};
use super::limits;
use crate::config::Config;
use crate::policy::Policy;
use crate::policy::account::Account;
use crate::policy::binding::DataBinding;
use crate::policy::exception::Exception;
use crate::policy::folder::Mount;
use crate::policy::network::NetworkRule;
use crate::policy::permission::{Permission, PermissionSet};

/// List the users.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  portcullis user list\n  portcullis user list --json")]
pub(super) struct Arguments {
    /// Print a JSON array.
    #[arg(long)]
    json: bool,
}

/// Prints a table, or a JSON array.
pub(super) fn run(arguments: &Arguments, policy: &Path) -> Result<(), Failure> {
    let config = Config::load(policy, &[])?.config;
    let users = config.policy.users.values();
    if arguments.json {
        return say(users.map(|account| as_json(account, &config.policy)).collect::<Value>());
    }
    let header = ["NAME", "STATE", "PERMISSIONS", "QUOTA", "EXPIRES", "PASSWORD AGE", "EXCEPTIONS", "HOME"];
    let mut rows = vec![header.map(str::to_owned)];
    rows.extend(users.map(|account| row(account, &config.policy)));
    if rows.len() == 1 {
        return say("There are no users: portcullis user add NAME --home DIR");
    }
    say(aligned(&rows))
}

fn row(account: &Account, policy: &Policy) -> [String; 8] {
    let none = || "-".to_owned();
    [
        account.name.to_string(),
        if account.enabled { "enabled" } else { "disabled" }.to_owned(),
        permissions(account.permissions()),
        quota(account).unwrap_or_else(none),
        account.expires.map_or_else(none, |date| date.to_string()),
        password_age(account, policy) + if account.password_by_user { ", by the user" } else { "" },
        match exceptions(account) {
            0 => none(),
            count => count.to_string(),
        },
        account.home.display().to_string().escape_debug().to_string(),
    ]
}

/// Columns as wide as their widest cell.
fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..N).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The permissions in as few words as possible.
pub(super) fn permissions(set: PermissionSet) -> String {
    match set {
        PermissionSet::ALL => "full".to_owned(),
        PermissionSet::READ_ONLY => "read-only".to_owned(),
        PermissionSet::NONE => "none".to_owned(),
        set => set.iter().map(Permission::word).collect::<Vec<_>>().join(","),
    }
}

/// The quotas, where there are any.
pub(super) fn quota(account: &Account) -> Option<String> {
    let bytes = account.terms.quota_bytes.map(|bytes| format!("{bytes} bytes"));
    let files = account.terms.quota_files.map(|files| format!("{files} files"));
    let parts: Vec<String> = bytes.into_iter().chain(files).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// How old the password is, and whether it still logs in.
pub(super) fn password_age(account: &Account, policy: &Policy) -> String {
    let days = account.password_set.until(today()).map_or(0, |span| span.get_days().max(0));
    let expired = policy.password_expiry(account).is_some_and(|last| today() > last);
    format!("{days} days{}", if expired { ", expired" } else { "" })
}

/// Exceptions of the user and its groups that still count.
fn exceptions(account: &Account) -> usize {
    let bindings = account.terms.exceptions.iter().map(|exception| exception.until);
    let paths = account.terms.path_exceptions.iter().map(|exception| exception.until);
    bindings.chain(paths).filter(|until| *until >= today()).count()
}

/// One user as JSON, without the hash.
pub(super) fn as_json(account: &Account, policy: &Policy) -> Value {
    let networks = |rules: &[NetworkRule]| rules.iter().map(|rule| rule.network.to_string()).collect::<Vec<_>>();
    let exception = |exception: &Exception<DataBinding>| {
        json!({
            "data_binding": exception.granted.word(),
            "clients": exception.clients.map(|network| network.to_string()),
            "reason": exception.reason,
            "until": exception.until.to_string(),
        })
    };
    let mount = |mount: &Mount| {
        json!({
            "path": mount.path.as_str(),
            "folder": mount.folder.name,
            "permissions": mount.permissions.set.iter().map(Permission::word).collect::<Vec<_>>(),
        })
    };
    json!({
        "name": account.name.as_str(),
        "home": account.home.display().to_string(),
        "enabled": account.enabled,
        "permissions": account.permissions().iter().map(Permission::word).collect::<Vec<_>>(),
        "groups": account.groups,
        "allow_from": networks(&account.terms.addresses.allow),
        "deny_from": networks(&account.terms.addresses.deny),
        "hours": limits::hours(account),
        "limits": limits::as_json(&account.terms.limits),
        "rules": account.terms.rules.len(),
        "mounts": account.terms.mounts.iter().map(mount).collect::<Vec<_>>(),
        "second_factor": account.second_factor().word(),
        "totp": account.totp_secret.is_some(),
        "certificates": account.certificates.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "quota_bytes": account.terms.quota_bytes,
        "quota_files": account.terms.quota_files,
        "expires": account.expires.map(|date| date.to_string()),
        "password_set": account.password_set.to_string(),
        "password_by_user": account.password_by_user,
        "password_temporary": account.password_temporary,
        "totp": account.totp_secret.is_some(),
        "second_factor": account.second_factor().word(),
        "may_change_password": account.may_change_password(),
        "password_expires": policy.password_expiry(account).map(|date| date.to_string()),
        "exceptions": account.terms.exceptions.iter().map(exception).collect::<Vec<_>>(),
        "source": account.source.to_string(),
    })
}
