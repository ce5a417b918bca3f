//! `users.toml`: groups and users.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::civil::Date;

use super::exceptions::{self, Holder};
use super::findings::{Findings, shown};
use super::keys;
use super::networks::Networks;
use super::section::{Section, Text};
use super::server::{absolute, did_you_mean};
use super::tree::{Entry, Value};
use crate::auth::hash;
use crate::identity::{Username, UsernameError};
use crate::policy::Policy;
use crate::policy::account::{Account, Group, Permissions};
use crate::policy::network::AddressRules;
use crate::policy::permission::{Permission, PermissionSet};

/// What users and groups are read against.
pub(super) struct Context<'a> {
    /// The named networks of `server.toml`.
    pub(super) networks: &'a Networks,
    /// Who gets past `[networks]`; none where that is unknown.
    pub(super) server: Option<&'a AddressRules>,
    /// The current day, UTC.
    pub(super) today: Date,
}

/// The groups of the file.
pub(super) fn groups(root: &Section<'_>, context: &Context<'_>, findings: &mut Findings) -> BTreeMap<String, Group> {
    let mut groups = BTreeMap::new();
    for entry in root.open("group", findings).entries() {
        if Username::parse(&entry.key).is_err() {
            let message = format!("`{}` cannot name a group", shown(&entry.key));
            findings.error(entry.place, message, "letters, digits and . _ - @ +, beginning with a letter or digit");
        }
        let name = format!("group.{}", entry.key);
        let section = Section::of(&entry.node, name, entry.place, "group.NAME", findings);
        let group = Group {
            may_change_password: section.boolean("password-change", true, findings),
            permissions: permissions(&section, findings),
            addresses: addresses(&section, context, findings),
            exceptions: exceptions::read(&section, Holder::Account, context.networks, context.today, findings).bindings,
            source: findings.rule_source(entry.place),
        };
        groups.insert(entry.key.clone(), group);
    }
    groups
}

/// The users of the file. Those with errors are left out; the errors keep the file from being used.
pub(super) fn users(
    root: &Section<'_>,
    groups: &BTreeMap<String, Group>,
    context: &Context<'_>,
    findings: &mut Findings,
) -> BTreeMap<Username, Account> {
    let mut users = BTreeMap::new();
    let mut spelled: BTreeMap<String, String> = BTreeMap::new();
    for entry in root.open("user", findings).entries() {
        let name = name(entry, &mut spelled, findings);
        let section = Section::of(&entry.node, format!("user.{}", entry.key), entry.place, "user.NAME", findings);
        if !matches!(entry.node.value, Value::Table(_)) {
            continue;
        }
        let account = user(&section, name.clone(), groups, context, findings);
        if let (Some(name), Some(account)) = (name, account) {
            users.insert(name, account);
        }
    }
    users
}

fn name(entry: &Entry, spelled: &mut BTreeMap<String, String>, findings: &mut Findings) -> Option<Username> {
    if let Some(other) = spelled.insert(entry.key.to_lowercase(), entry.key.clone()) {
        let message = format!("`{}` and `{}` differ only by case", shown(&other), shown(&entry.key));
        findings.error(entry.place, message, "clients and people confuse such names: rename or remove one");
    }
    match Username::parse(&entry.key) {
        Ok(name) => Some(name),
        Err(error) => {
            let help = match error {
                UsernameError::Anonymous => "there is no anonymous access: give everyone an account",
                _ => "choose another name",
            };
            findings.error(entry.place, error.to_string(), help);
            None
        }
    }
}

fn user(
    section: &Section<'_>,
    name: Option<Username>,
    groups: &BTreeMap<String, Group>,
    context: &Context<'_>,
    findings: &mut Findings,
) -> Option<Account> {
    let home = home(section, findings);
    let password = password(section, findings);
    let password_set = password_set(section, context.today, findings);
    let member_of = member_of(section, groups, findings);
    let own = permissions(section, findings);
    let permissions = own.or_else(|| Policy::inherited(groups, &member_of));
    if permissions.is_none() && section.get("permissions").is_none() {
        let message = format!("[{}] states no `permissions`, and no group of it does", shown(section.name()));
        let help = "write permissions = \"full\", \"read-only\" or a list such as [\"list\", \"read\"]";
        findings.error(section.place(), message, help);
    }
    let group_says = |name: &String| groups.get(name).is_none_or(|group| group.may_change_password);
    let may_change_password = section.boolean("password-change", member_of.iter().all(group_says), findings);
    let account = Account {
        home: home.unwrap_or_default(),
        password: password.unwrap_or_default(),
        password_set: password_set.unwrap_or(context.today),
        password_by_user: false,
        may_change_password,
        expires: section.date("expires", findings),
        enabled: section.boolean("enabled", true, findings),
        addresses: addresses(section, context, findings),
        groups: member_of,
        quota_bytes: section.number_given(&keys::QUOTA_BYTES, findings),
        quota_files: section.number_given(&keys::QUOTA_FILES, findings),
        exceptions: exceptions::read(section, Holder::Account, context.networks, context.today, findings).bindings,
        source: findings.rule_source(section.place()),
        permissions: permissions?,
        name: name?,
    };
    Some(account)
}

fn home(section: &Section<'_>, findings: &mut Findings) -> Option<PathBuf> {
    if section.get("home").is_none() {
        section.missing("home", "home = \"/srv/files/alice\"", findings);
    }
    let text = section.text("home", findings)?;
    match absolute(text.text) {
        Ok(path) => Some(path),
        Err(message) => {
            findings.error(text.place, message, "write the whole path of the home, from / on");
            None
        }
    }
}

fn password(section: &Section<'_>, findings: &mut Findings) -> Option<String> {
    let set = format!("set one: portcullis user passwd {}", section.name().trim_start_matches("user."));
    if section.get("password").is_none() {
        findings.error(section.place(), format!("[{}] has no `password`", shown(section.name())), set.as_str());
    }
    let text = section.text("password", findings)?;
    match hash::cost(text.text) {
        Ok(_) => Some(text.text.to_owned()),
        Err(error) => {
            findings.error(text.place, error.to_string(), set);
            None
        }
    }
}

pub(super) fn password_set(section: &Section<'_>, today: Date, findings: &mut Findings) -> Option<Date> {
    if section.get("password-set").is_none() {
        section.missing("password-set", &format!("password-set = {today}"), findings);
    }
    let date = section.date("password-set", findings)?;
    // A day of grace: the file may have been written east of here.
    if today.tomorrow().is_ok_and(|tomorrow| date > tomorrow) {
        let help = format!("write the day on which the password was set, today at the latest ({today})");
        findings.error(section.place_of("password-set"), "this day has not come yet", help);
    }
    Some(date)
}

fn member_of(section: &Section<'_>, groups: &BTreeMap<String, Group>, findings: &mut Findings) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for text in section.texts("groups", findings).unwrap_or_default() {
        if !groups.contains_key(text.text) {
            let otherwise = format!("define it: [group.{}]", shown(text.text));
            let help = did_you_mean(text.text, groups.keys().map(String::as_str), &otherwise);
            findings.error(text.place, format!("there is no group `{}`", shown(text.text)), help);
        } else if !names.iter().any(|name| name == text.text) {
            names.push(text.text.to_owned());
        }
    }
    names
}

/// A list of words, or one of the two words that stand for a list.
fn permissions(section: &Section<'_>, findings: &mut Findings) -> Option<Permissions> {
    let entry = section.get("permissions")?;
    let texts = match &entry.node.value {
        Value::Text(text) => vec![Text { text, place: entry.node.place }],
        _ => section.texts("permissions", findings)?,
    };
    let mut set = PermissionSet::NONE;
    for text in texts {
        if let Some(found) = permission(text.text) {
            set = set.union(found);
        } else {
            let known = || Permission::ALL.into_iter().map(Permission::word).chain(["read-only", "full"]);
            let otherwise = format!("known are: {}", known().collect::<Vec<_>>().join(", "));
            let help = did_you_mean(text.text, known(), &otherwise);
            findings.error(text.place, format!("`{}` is no permission", shown(text.text)), help);
        }
    }
    Some(Permissions { set, source: findings.rule_source(entry.node.place) })
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
