//! Changes of users.toml: one at a time, atomic, with comments and order kept, and never to
//! something that the server would refuse.

use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, Item, Table, Value};

use super::super::{Failure, warn};
use crate::config::load::{self, Judged, Reach, Texts};
use crate::config::{Problem, Problems, Severity, USERS_FILE};
use crate::identity::Username;

/// Judges the policy as it stands, without asking that it be good.
pub(super) fn look(policy: &Path) -> Result<(Judged, DocumentMut), Failure> {
    let texts = load::read_texts(policy)?;
    let document = texts.users.parse::<DocumentMut>();
    let judged = load::judge(policy, &texts, &[], Reach::Disk);
    match document {
        Ok(document) => Ok((judged, document)),
        Err(_) => Err(Problems::new(judged.problems).into()),
    }
}

/// Applies a change to users.toml. Where the change would add an error, the file stays as it is.
/// Others who change it at the same time wait.
pub(super) fn edit(policy: &Path, change: impl FnOnce(&mut DocumentMut) -> Result<(), Failure>) -> Result<(), Failure> {
    let io = |error: io::Error| Failure::io(policy.join(USERS_FILE).display(), &error);
    let directory = File::open(policy).map_err(|error| Failure::io(policy.display(), &error))?;
    directory.lock().map_err(io)?;
    clear_abandoned(policy).map_err(io)?;
    let after = changed(policy, Reach::Disk, change)?;
    let metadata = after.metadata.as_ref().map(|[_, users]| users);
    let metadata = metadata.ok_or_else(|| Failure::Failed(format!("{USERS_FILE} was not read from a file")))?;
    replace(policy, metadata, &after.users).map_err(io)
}

/// Tells what [`edit`] would, as far as the texts say it, and writes nothing.
pub(super) fn rehearse(
    policy: &Path,
    change: impl FnOnce(&mut DocumentMut) -> Result<(), Failure>,
) -> Result<(), Failure> {
    changed(policy, Reach::Text, change).map(drop)
}

/// The texts behind a change, which adds no error.
fn changed(
    policy: &Path,
    reach: Reach,
    change: impl FnOnce(&mut DocumentMut) -> Result<(), Failure>,
) -> Result<Texts, Failure> {
    let before = load::read_texts(policy)?;
    let known = load::judge(policy, &before, &[], reach).problems;
    let mut document: DocumentMut = before.users.parse().map_err(|_| Failure::Policy(Problems::new(known.clone())))?;
    change(&mut document)?;
    let after = Texts { users: with_line_ends_of(&before.users, &document.to_string()), ..before };
    let problems = load::judge(policy, &after, &[], reach).problems;
    let (errors, warnings): (Vec<Problem>, Vec<Problem>) =
        added(problems, &known).into_iter().partition(|problem| problem.severity == Severity::Error);
    if !errors.is_empty() {
        return Err(Problems::new(errors).into());
    }
    warn(&warnings);
    Ok(after)
}

/// Removes what commands left here that were killed while they wrote. The lock is ours, so nobody
/// writes now.
fn clear_abandoned(policy: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(policy)? {
        let entry = entry?;
        let name = entry.file_name();
        let random = name.to_str().and_then(|name| name.strip_prefix(&temporary_prefix()));
        if random.is_some_and(|text| text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit())) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// What the names of unfinished files begin with.
fn temporary_prefix() -> String {
    format!(".{USERS_FILE}.")
}

/// The new text with the line ends that most lines of the old one have; the TOML library writes
/// line feeds alone.
fn with_line_ends_of(old: &str, new: &str) -> String {
    let (all, windows) = (old.matches('\n').count(), old.matches("\r\n").count());
    let plain = new.replace("\r\n", "\n");
    if windows.saturating_mul(2) > all { plain.replace('\n', "\r\n") } else { plain }
}

/// The problems that were not there before; their lines may have moved.
fn added(problems: Vec<Problem>, known: &[Problem]) -> Vec<Problem> {
    let mut known: Vec<&str> = known.iter().map(|problem| problem.message.as_str()).collect();
    let is_new = |problem: &Problem| match known.iter().position(|message| *message == problem.message) {
        Some(at) => {
            known.swap_remove(at);
            false
        }
        None => true,
    };
    problems.into_iter().filter(is_new).collect()
}

/// Puts a new text in the place of the file, whole or not at all, with the owner and mode it had.
fn replace(policy: &Path, old: &Metadata, text: &str) -> io::Result<()> {
    let temporary = Temporary(policy.join(format!("{}{:016x}", temporary_prefix(), rand::random::<u64>())));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary.0)?;
    let new = file.metadata()?;
    if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
        std::os::unix::fs::fchown(&file, Some(old.uid()), Some(old.gid()))?;
    }
    file.set_permissions(Permissions::from_mode(old.mode() & 0o7777))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&temporary.0, policy.join(USERS_FILE))?;
    File::open(policy)?.sync_all()
}

/// A file that is removed unless it was renamed.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The table of a user.
pub(super) fn user<'a>(document: &'a mut DocumentMut, name: &Username) -> Result<&'a mut Table, Failure> {
    let user = users(document)?.get_mut(name.as_str());
    let user = user.ok_or_else(|| Failure::Failed(format!("there is no user {name}; see portcullis user list")))?;
    user.as_table_mut().ok_or_else(|| inline(&format!("user.{name}")))
}

/// Sets a key of a user; a comment behind the old value stays.
pub(super) fn set(user: &mut Table, key: &str, value: Value) {
    match user.get_mut(key).and_then(Item::as_value_mut) {
        Some(known) => {
            let decor = known.decor().clone();
            *known = value;
            *known.decor_mut() = decor;
        }
        None => {
            user.insert(key, Item::Value(value));
        }
    }
}

/// Takes a key of a user away, if it is there.
pub(super) fn unset(user: &mut Table, key: &str) {
    user.remove(key);
}

/// Whether the user is there.
pub(super) fn has_user(document: &DocumentMut, name: &Username) -> bool {
    document.get("user").and_then(|users| users.get(name.as_str())).is_some()
}

fn users(document: &mut DocumentMut) -> Result<&mut Table, Failure> {
    let implicit = || {
        let mut table = Table::new();
        table.set_implicit(true);
        Item::Table(table)
    };
    document.entry("user").or_insert_with(implicit).as_table_mut().ok_or_else(|| inline("user"))
}

fn inline(name: &str) -> Failure {
    Failure::Failed(format!(
        "{USERS_FILE} writes {name} in braces; write [{name}] as a table of its own to change it here"
    ))
}

/// Adds a user at the end, behind the comments that are there.
pub(super) fn insert(document: &mut DocumentMut, name: &Username, mut table: Table) -> Result<(), Failure> {
    if has_user(document, name) {
        return Err(Failure::Failed(format!("there is a user {name} already; see portcullis user show {name}")));
    }
    let trailing = document.trailing().as_str().unwrap_or_default().to_owned();
    let last = positions(document.as_table()).into_iter().max().unwrap_or(0);
    let gap = if document.is_empty() && trailing.is_empty() { "" } else { "\n" };
    table.decor_mut().set_prefix(format!("{trailing}{gap}"));
    table.set_position(Some(last.saturating_add(1)));
    document.set_trailing("");
    users(document)?.insert(name.as_str(), Item::Table(table));
    Ok(())
}

/// Removes a user with the comment right above it. Comments further up stay where they are.
pub(super) fn remove(document: &mut DocumentMut, name: &Username) -> Result<(), Failure> {
    let table = user(document, name)?;
    let prefix = table.decor().prefix().and_then(|prefix| prefix.as_str()).unwrap_or_default().to_owned();
    let position = table.position().unwrap_or(0);
    users(document)?.remove(name.as_str());
    let Some(end) = prefix.rfind("\n\n").map(|at| at.saturating_add(2)) else { return Ok(()) };
    let kept = prefix.get(..end).unwrap_or_default();
    if kept.trim().is_empty() {
        return Ok(());
    }
    let next = positions(document.as_table()).into_iter().filter(|other| *other > position).min();
    if let Some(next) = next.and_then(|next| table_at(document.as_table_mut(), next)) {
        let own = next.decor().prefix().and_then(|prefix| prefix.as_str()).unwrap_or_default();
        let joined = format!("{kept}{}", own.trim_start_matches('\n'));
        next.decor_mut().set_prefix(joined);
    } else {
        let joined = format!("{kept}{}", document.trailing().as_str().unwrap_or_default());
        document.set_trailing(joined.trim_end_matches('\n').to_owned() + "\n");
    }
    Ok(())
}

/// The places of all table headers in the text.
fn positions(table: &Table) -> Vec<isize> {
    let below = table.iter().flat_map(|(_, item)| match item {
        Item::Table(table) => positions(table),
        Item::ArrayOfTables(tables) => tables.iter().flat_map(positions).collect(),
        _ => Vec::new(),
    });
    below.chain(table.position().filter(|_| !table.is_implicit())).collect()
}

/// The table whose header is at a place in the text.
fn table_at(table: &mut Table, position: isize) -> Option<&mut Table> {
    if table.position() == Some(position) && !table.is_implicit() {
        return Some(table);
    }
    table.iter_mut().find_map(|(_, item)| match item {
        Item::Table(table) => table_at(table, position),
        Item::ArrayOfTables(tables) => tables.iter_mut().find_map(|table| table_at(table, position)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Username {
        Username::parse(text).unwrap()
    }

    fn table(home: &str) -> Table {
        let mut table = Table::new();
        table.insert("home", toml_edit::value(home));
        table
    }

    const TEXT: &str = "# The users of this site.\n\n# partners come through the VPN\n[group.partners]\n\
                        permissions = [\"list\"] # no more\n\n# Alice, until June\n[user.alice]\nhome = \"/a\"\n\
                        [[user.alice.exception]]\nreason = \"r\"\n\n# the auditors\n[user.bob]\nhome = \"/b\"\n\n# the end\n";

    #[test]
    fn a_new_user_comes_last_and_every_comment_stays() {
        let mut document: DocumentMut = TEXT.parse().unwrap();
        insert(&mut document, &name("carol@x"), table("/c")).unwrap();
        assert_eq!(document.to_string(), format!("{TEXT}\n[user.\"carol@x\"]\nhome = \"/c\"\n"));
        assert!(insert(&mut document, &name("bob"), table("/x")).is_err());
    }

    #[test]
    fn the_comments_of_an_empty_file_stay_in_front() {
        let mut document: DocumentMut = "# Who may log in.\n".parse().unwrap();
        insert(&mut document, &name("a"), table("/a")).unwrap();
        insert(&mut document, &name("b"), table("/b")).unwrap();
        let text = "# Who may log in.\n\n[user.a]\nhome = \"/a\"\n\n[user.b]\nhome = \"/b\"\n";
        assert_eq!(document.to_string(), text);
        let mut document = text.parse().unwrap();
        remove(&mut document, &name("a")).unwrap();
        assert_eq!(document.to_string(), "# Who may log in.\n\n[user.b]\nhome = \"/b\"\n");
        remove(&mut document, &name("b")).unwrap();
        assert_eq!(document.to_string(), "# Who may log in.\n");
    }

    #[test]
    fn a_removed_user_takes_its_own_comment_along_and_no_other() {
        let mut document: DocumentMut = TEXT.parse().unwrap();
        remove(&mut document, &name("alice")).unwrap();
        let text = document.to_string();
        assert!(!text.contains("alice") && !text.contains("Alice") && !text.contains("reason"), "{text}");
        for kept in ["# The users", "# partners come", "# no more", "# the auditors\n[user.bob]", "# the end"] {
            assert!(text.contains(kept), "{kept:?} is gone from {text}");
        }
        assert!(remove(&mut document, &name("alice")).is_err());
    }
}
