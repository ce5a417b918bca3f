//! `portcullis user show`.

use std::path::Path;

use super::super::{Failure, say};
use super::list::{as_json, password_age, permissions, quota};
use super::{limits, username};
use crate::config::Config;
use crate::identity::Username;
use crate::policy::Policy;
use crate::policy::account::Account;
use crate::policy::binding::DataBinding;
use crate::policy::exception::Exception;
use crate::policy::factor::SecondFactor;
use crate::policy::folder::Mount;
use crate::policy::network::NetworkRule;
use crate::policy::rule::{NamePattern, PathRule};

/// Show everything that is set for a user.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  portcullis user show alice\n  portcullis user show alice --json")]
pub(super) struct Arguments {
    /// The user.
    #[arg(value_name = "NAME", value_parser = username)]
    name: Username,
    /// Print a JSON object.
    #[arg(long)]
    json: bool,
}

/// Prints the user line by line, or as JSON.
pub(super) fn run(arguments: &Arguments, policy: &Path) -> Result<(), Failure> {
    let config = Config::load(policy, &[])?.config;
    let name = &arguments.name;
    let account = config.policy.users.get(name);
    let account =
        account.ok_or_else(|| Failure::Failed(format!("there is no user {name}; see portcullis user list")))?;
    if arguments.json { say(as_json(account, &config.policy)) } else { say(lines(account, &config.policy)) }
}

pub(super) fn lines(account: &Account, policy: &Policy) -> String {
    let none = || "none".to_owned();
    let expiry = policy.password_expiry(account).map(|date| format!(", ends after {date}")).unwrap_or_default();
    let temporary = if account.password_temporary { ", to be changed at the first login" } else { "" };
    let set = if account.password_by_user { "changed by the user on" } else { "set" };
    let mut lines = vec![
        ("name", account.name.to_string()),
        ("state", if account.enabled { "enabled" } else { "disabled" }.to_owned()),
        ("home", account.home.display().to_string().escape_debug().to_string()),
        ("permissions", permissions_line(account)),
        ("groups", if account.groups.is_empty() { none() } else { account.groups.join(", ") }),
        ("allow-from", networks(&account.terms.addresses.allow, "what groups and server allow")),
        ("deny-from", networks(&account.terms.addresses.deny, "none")),
        ("hours", limits::hours(account).map_or_else(|| "always".to_owned(), |windows| windows.join("; "))),
        ("limits", limits::lines(&account.terms.limits).unwrap_or_else(none)),
        ("quota", quota(account).unwrap_or_else(none)),
        ("expires", account.expires.map_or_else(none, |date| date.to_string())),
        ("password", format!("{set} {} ({}){temporary}{expiry}", account.password_set, password_age(account, policy))),
        ("codes", if account.totp_secret.is_some() { "enrolled (TOTP)" } else { "not enrolled" }.to_owned()),
        ("second factor", account.second_factor().to_string()),
        ("SITE PSWD", if account.may_change_password() { "permitted" } else { "refused" }.to_owned()),
    ];
    lines.extend(second_factor(account).map(|text| ("second factor", text)));
    lines.extend(account.terms.rules.iter().map(|rule| ("rule", rule_line(rule))));
    lines.extend(account.terms.mounts.iter().map(|mount| ("mount", mount_line(mount))));
    lines.extend(account.terms.exceptions.iter().map(|exception| ("exception", exception_line(exception))));
    lines.push(("stands at", account.source.to_string()));
    lines.iter().map(|(label, text)| format!("{label:15}{text}")).collect::<Vec<_>>().join("\n")
}

fn permissions_line(account: &Account) -> String {
    match &account.terms.permissions {
        Some(stated) => format!("{} ({})", permissions(stated.set), stated.source),
        None => "none but by rules and mounts".to_owned(),
    }
}

fn networks(rules: &[NetworkRule], otherwise: &str) -> String {
    if rules.is_empty() {
        return otherwise.to_owned();
    }
    rules.iter().map(|rule| rule.network.to_string()).collect::<Vec<_>>().join(", ")
}

/// What has to be shown besides the password, and what there is of it; nothing where there is neither.
fn second_factor(account: &Account) -> Option<String> {
    let factor = account.second_factor();
    let code = account.totp_secret.as_ref().map(|_| "a secret for codes".to_owned());
    let certificates = Some(account.certificates.len()).filter(|count| *count > 0);
    let certificates =
        certificates.map(|count| format!("{count} client certificate{}", if count > 1 { "s" } else { "" }));
    let has: Vec<String> = code.into_iter().chain(certificates).collect();
    match (factor, has.as_slice()) {
        (SecondFactor::None, []) => None,
        (factor, []) => Some(format!("{factor}; the user has nothing to show")),
        (factor, has) => Some(format!("{factor}; the user has {}", has.join(" and "))),
    }
}

fn rule_line(rule: &PathRule) -> String {
    let mut parts = vec![rule.pattern.to_string()];
    for (word, set) in [("allow", rule.allow), ("deny", rule.deny)] {
        if !set.is_empty() {
            parts.push(format!("{word} {}", permissions(set)));
        }
    }
    let upload = &rule.upload;
    parts.extend(upload.file_bytes_max.map(|bytes| format!("files of {bytes} bytes at most")));
    for (word, names) in [("names", &upload.names_allowed), ("no names", &upload.names_forbidden)] {
        if !names.is_empty() {
            let names: Vec<&str> = names.iter().map(NamePattern::as_str).collect();
            parts.push(format!("{word} {}", names.join(" ")));
        }
    }
    format!("{} ({})", parts.join("; "), rule.source)
}

fn mount_line(mount: &Mount) -> String {
    format!("{}: {}; {} ({})", mount.path, mount.folder.name, permissions(mount.permissions.set), mount.source)
}

fn exception_line(exception: &Exception<DataBinding>) -> String {
    let clients = exception.clients.map(|network| format!(" from {network}")).unwrap_or_default();
    format!("data-binding {}{clients} until {}: {}", exception.granted, exception.until, exception.reason)
}
