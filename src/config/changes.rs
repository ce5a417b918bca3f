//! `[passwords] changes`: the passwords that users changed themselves, and which of them count.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use jiff::civil::Date;

use super::files::{self, Kind, Links};
use super::findings::{Findings, Place, shown};
use super::load::Sections;
use super::section::Section;
use super::tree::Table;
use super::{PasswordChange, PasswordChanges, server, tree, users};
use crate::auth::changes::{FILE_BYTES_MAX, FILE_NAME, fingerprint};
use crate::auth::hash;
use crate::identity::Username;
use crate::policy::account::{Account, NewPassword};

/// What to do about an entry that nobody can use.
const REMOVE: &str = "remove the entry, and the user's password of users.toml counts again";

/// The directory, where the key is there.
pub(super) fn directory(section: &Section<'_>, base: &Path, findings: &mut Findings) -> Option<PasswordChanges> {
    let text = section.text("changes", findings)?;
    let directory = server::path(text, base, findings)?;
    Some(PasswordChanges { directory, text: String::new(), counting: BTreeMap::new() })
}

/// Reads the file and gives the accounts the passwords that count. Nobody changes one where the key
/// is not there.
pub(super) fn apply(read: &mut Sections, today: Date, findings: &mut Findings) {
    let Some(changes) = &mut read.changes else {
        for account in read.policy.users.values_mut() {
            account.terms.may_change_password = Some(false);
        }
        return;
    };
    let path = changes.directory.join(FILE_NAME);
    let content = match files::read(&path, FILE_BYTES_MAX, Links::Refuse) {
        Ok(content) => content,
        Err(error) if error.kind() == ErrorKind::NotFound => return,
        Err(error) => {
            let place = findings.source(&path.display().to_string(), "");
            let help = "it holds the passwords that users changed; without it, those of users.toml count";
            return findings.error(place, format!("cannot be read: {error}"), help);
        }
    };
    let text = String::from_utf8_lossy(&content.bytes);
    let file = findings.source(&path.display().to_string(), &text);
    if std::str::from_utf8(&content.bytes).is_err() {
        return findings.error(
            file,
            "this is no UTF-8 text",
            "put back a copy, or remove the file: then users.toml counts",
        );
    }
    files::judge(&path, &content.metadata, Kind::Passwords, read.process.run_as.as_ref(), file, findings);
    let Some(table) = tree::parse(&text, file, findings) else { return };
    let root = Section::root(&table, file, "changes", findings);
    for entry in root.open("changed", findings).entries() {
        let section = Section::of(&entry.node, format!("changed.{}", entry.key), entry.place, "changed.NAME", findings);
        let Some(change) = change(&section, today, findings) else { continue };
        let Ok(name) = Username::parse(&entry.key) else {
            findings.error(entry.place, format!("`{}` is no user name", shown(&entry.key)), REMOVE);
            continue;
        };
        let account = read.policy.users.get_mut(&name);
        let Some(account) = account.filter(|account| fingerprint(&account.password) == change.replaces) else {
            continue;
        };
        account.replace_password(&change.new);
        changes.counting.insert(name, change);
    }
    changes.text = text.into_owned();
}

/// One entry; what is wrong with it is an error also where it would not count.
fn change(section: &Section<'_>, today: Date, findings: &mut Findings) -> Option<PasswordChange> {
    for key in ["password", "replaces"] {
        if section.get(key).is_none() {
            findings.error(section.place(), format!("[{}] has no `{key}`", shown(section.name())), REMOVE);
        }
    }
    let set = users::password_set(section, today, findings);
    let (hash, replaces) = (section.text("password", findings)?, section.text("replaces", findings)?);
    if let Err(error) = hash::cost(hash.text) {
        findings.error(hash.place, error.to_string(), REMOVE);
    }
    if blake3::Hash::from_hex(replaces.text).is_err() {
        findings.error(replaces.place, "this is no fingerprint, which has 64 hexadecimal digits", REMOVE);
    }
    let history = users::password_history(section, "history", findings);
    let rehashed = section.boolean("rehashed", false, findings);
    let new = NewPassword { hash: hash.text.to_owned(), set: set?, history, rehashed };
    Some(PasswordChange { new, replaces: replaces.text.to_owned() })
}

/// Users with a hash of another server that are named one by one.
const FOREIGN_NAMED_MAX: usize = 5;

/// Warns of hashes that another server made, and of passwords that are to be changed by users who may
/// not.
pub(super) fn warn(read: &Sections, users: &Table, file: Place, findings: &mut Findings) {
    let kept = read.changes.is_some();
    let foreign: Vec<(&Account, hash::Kind)> = read.policy.users.values().filter_map(foreign).collect();
    let mend = if kept {
        "it becomes one of Argon2id when the user logs in"
    } else {
        "set a new one with portcullis user passwd"
    };
    for (account, kind) in foreign.iter().take(FOREIGN_NAMED_MAX) {
        let place = users.place_at(&["user", account.name.as_str(), "password"]).unwrap_or(file);
        let message =
            format!("the password of {} is a hash of {}, which another server made", account.name, kind.name());
        findings.warning(place, message, mend);
    }
    if let Some(more) = foreign.len().checked_sub(FOREIGN_NAMED_MAX).filter(|more| *more > 0) {
        let message = format!("so are the passwords of {more} more; `portcullis user audit` names them");
        findings.warning(file, message, mend);
    }
    for account in read.policy.users.values() {
        let place = |key: &str| users.place_at(&["user", account.name.as_str(), key]).unwrap_or(file);
        if account.password_temporary && !account.may_change_password() {
            let name = &account.name;
            let message = format!("{name} has to change the password and may not, so nobody logs in as {name}");
            let help = if kept {
                "write password-change = true there, or remove password-temporary"
            } else {
                "write changes = \"../state\" in [passwords] of server.toml, or remove password-temporary"
            };
            findings.warning(place("password-temporary"), message, help);
        }
    }
}

/// The kind of an account's hash, where another server made it.
fn foreign(account: &Account) -> Option<(&Account, hash::Kind)> {
    match hash::kind(&account.password) {
        Ok(kind @ (hash::Kind::Crypt(_) | hash::Kind::Argon2i(_))) => Some((account, kind)),
        _ => None,
    }
}
