//! `portcullis user show`.

use std::path::Path;

use super::super::{Failure, say};
use super::list::{as_json, password_age, permissions, quota};
use super::username;
use crate::config::Config;
use crate::identity::Username;
use crate::policy::Policy;
use crate::policy::account::Account;
use crate::policy::binding::DataBinding;
use crate::policy::exception::Exception;
use crate::policy::network::NetworkRule;

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

fn lines(account: &Account, policy: &Policy) -> String {
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
        ("quota", quota(account).unwrap_or_else(none)),
        ("expires", account.expires.map_or_else(none, |date| date.to_string())),
        ("password", format!("{set} {} ({}){temporary}{expiry}", account.password_set, password_age(account, policy))),
        ("codes", if account.totp_secret.is_some() { "enrolled (TOTP)" } else { "not enrolled" }.to_owned()),
        ("second factor", account.second_factor().to_string()),
        ("SITE PSWD", if account.may_change_password() { "permitted" } else { "refused" }.to_owned()),
    ];
    lines.extend(account.terms.exceptions.iter().map(|exception| ("exception", exception_line(exception))));
    lines.push(("stands at", account.source.to_string()));
    lines.iter().map(|(label, text)| format!("{label:14}{text}")).collect::<Vec<_>>().join("\n")
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

fn exception_line(exception: &Exception<DataBinding>) -> String {
    let clients = exception.clients.map(|network| format!(" from {network}")).unwrap_or_default();
    format!("data-binding {}{clients} until {}: {}", exception.granted, exception.until, exception.reason)
}
