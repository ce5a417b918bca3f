//! `users.toml`: the users.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::civil::Date;

use super::findings::{Findings, shown};
use super::groups::member_of;
use super::keys;
use super::networks::Networks;
use super::section::Section;
use super::server::absolute;
use super::terms;
use super::tree::{Entry, Value};
use crate::auth::hash;
use crate::identity::{TotpSecret, Username, UsernameError};
use crate::policy::account::{Account, Group, Terms};
use crate::policy::factor::CertificateName;
use crate::policy::folder::Folder;
use crate::policy::network::AddressRules;

/// What users and groups are read against.
pub(super) struct Context<'a> {
    /// The named networks of `server.toml`.
    pub(super) networks: &'a Networks,
    /// Who gets past `[networks]`; none where that is unknown.
    pub(super) server: Option<&'a AddressRules>,
    /// The folders of the file.
    pub(super) folders: &'a BTreeMap<String, Arc<Folder>>,
    /// The current day, UTC.
    pub(super) today: Date,
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
    let names: Vec<&str> = groups.keys().map(String::as_str).collect();
    let member_of = member_of(section, &names, findings);
    let holder = section.name().replacen('.', " ", 1);
    let own = terms::read(section, &holder, context, findings);
    let of_groups: Vec<&Terms> = member_of.iter().filter_map(|name| Some(&groups.get(name)?.terms)).collect();
    let terms = own.over(&of_groups);
    let says_nothing =
        terms.permissions.is_none() && terms.rules.iter().all(|rule| rule.allow.is_empty()) && terms.mounts.is_empty();
    if says_nothing && section.get("permissions").is_none() {
        let message = format!("[{}] states no `permissions`, and no group of it does", shown(section.name()));
        let help = "write permissions = \"full\", \"read-only\" or a list such as [\"list\", \"read\"]";
        findings.error(section.place(), message, help);
    }
    check_mounts(section, &terms, findings);
    let account = Account {
        home: home.unwrap_or_default(),
        password: password.unwrap_or_default(),
        password_set: password_set.unwrap_or(context.today),
        password_by_user: false,
        password_temporary: section.boolean("password-temporary", false, findings),
        password_history: password_history(section, "password-history", findings),
        expires: section.date("expires", findings),
        enabled: section.boolean("enabled", true, findings),
        certificates: certificates(section, findings),
        certificate_alone: section.boolean("certificate-alone", false, findings),
        totp_secret: totp_secret(section, findings),
        groups: member_of,
        terms,
        source: findings.rule_source(section.place()),
        name: name?,
    };
    Some(account)
}

/// No two folders are mounted at one place or one in the other.
fn check_mounts(section: &Section<'_>, terms: &Terms, findings: &mut Findings) {
    for (index, mount) in terms.mounts.iter().enumerate() {
        let mut others = terms.mounts.iter().take(index);
        let clash = others.find(|other| other.path.is_within(&mount.path) || mount.path.is_within(&other.path));
        if let Some(other) = clash {
            let message = format!(
                "[{}] has a folder at {} ({}) and one at {} ({})",
                shown(section.name()),
                other.path,
                other.source,
                mount.path,
                mount.source
            );
            findings.error(section.place(), message, "mount them beside each other, or only one of them");
        }
    }
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
    match hash::kind(text.text) {
        Ok(_) => Some(text.text.to_owned()),
        Err(error) => {
            findings.error(text.place, error.to_string(), set);
            None
        }
    }
}

/// Hashes of former passwords, the last first.
pub(super) fn password_history(section: &Section<'_>, key: &str, findings: &mut Findings) -> Vec<String> {
    let texts = section.texts(key, findings).unwrap_or_default();
    let most = usize::try_from(keys::HISTORY.most).unwrap_or(usize::MAX);
    if texts.len() > most {
        findings.error(section.place_of(key), format!("more than {most} former passwords"), "remove the last ones");
    }
    for text in &texts {
        if let Err(error) = hash::kind(text.text) {
            findings.error(text.place, error.to_string(), "remove it from the list");
        }
    }
    texts.into_iter().take(most).map(|text| text.text.to_owned()).collect()
}

/// The text is never shown: it is a secret.
fn totp_secret(section: &Section<'_>, findings: &mut Findings) -> Option<TotpSecret> {
    let text = section.text("totp-secret", findings)?;
    let secret = TotpSecret::from_base32(text.text);
    if secret.is_none() {
        let (least, most) = (TotpSecret::BYTES_MIN, TotpSecret::BYTES_MAX);
        let message = format!("this is no secret of {least} to {most} bytes in base32 (letters A to Z, digits 2 to 7)");
        let name = section.name().trim_start_matches("user.");
        findings.error(text.place, message, format!("have one made: portcullis user totp enable {name}"));
    }
    secret
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

fn certificates(section: &Section<'_>, findings: &mut Findings) -> Vec<CertificateName> {
    let mut names = Vec::new();
    for text in section.texts("certificates", findings).unwrap_or_default() {
        match CertificateName::parse(text.text) {
            Some(name) => names.push(name),
            None => findings.error(
                text.place,
                format!("`{}` names no certificate", shown(text.text)),
                "write \"sha256:…\" with 64 digits, \"email:…\", \"dns:…\", \"uri:…\" or \"subject:CN=…\"",
            ),
        }
    }
    names
}
