//! `[passwords] changes`: the passwords that users changed themselves, and which of them count.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use jiff::civil::Date;

use super::files::{self, Kind, Links};
use super::findings::{Findings, shown};
use super::load::Sections;
use super::section::Section;
use super::{PasswordChange, PasswordChanges, server, tree, users};
use crate::auth::changes::{FILE_BYTES_MAX, FILE_NAME, fingerprint};
use crate::auth::hash;
use crate::identity::Username;

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
        account.password.clone_from(&change.hash);
        account.password_set = change.set;
        account.password_by_user = true;
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
    Some(PasswordChange { hash: hash.text.to_owned(), set: set?, replaces: replaces.text.to_owned() })
}
