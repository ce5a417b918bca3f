//! When each user logged in last, and from where: for `user audit`. It stands in `logins.toml` in
//! the directory of changed passwords, which is written each minute at most and when the server
//! stops; a crash loses what is newer.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use toml_edit::{DocumentMut, Item, Table, value};
use tracing::warn;

use super::state::StateDirectory;
use crate::identity::Username;

/// The file in the directory of changed passwords.
pub const FILE_NAME: &str = "logins.toml";
/// Largest file that is read, in bytes.
pub const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// What stands at its beginning, for people.
const HEADER: &str = "# The last login of each user. The server writes this file each minute at most.\n";

/// The last login of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastLogin {
    /// When.
    pub at: Timestamp,
    /// From where.
    pub address: IpAddr,
}

/// The last logins, kept up to date.
#[derive(Debug)]
pub struct Logins {
    directory: Option<Arc<StateDirectory>>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    last: BTreeMap<Username, LastLogin>,
    /// Whether the file lacks some of it.
    unwritten: bool,
}

impl Logins {
    /// Goes on with what the directory remembers; without one, nothing is remembered.
    pub fn open(directory: Option<Arc<StateDirectory>>) -> Self {
        let read =
            directory.as_ref().map(|directory| directory.read(FILE_NAME, FILE_BYTES_MAX).and_then(|text| parse(&text)));
        let last = read.unwrap_or_else(|| Ok(BTreeMap::new())).unwrap_or_else(|failure| {
            warn!(%failure, "{FILE_NAME} cannot be read; the last logins are remembered anew");
            BTreeMap::new()
        });
        Self { directory, known: Mutex::new(Known { last, unwritten: false }) }
    }

    /// Notes a login.
    pub fn note(&self, user: &Username, login: LastLogin) {
        if self.directory.is_none() {
            return;
        }
        let mut known = self.known();
        known.last.insert(user.clone(), login);
        known.unwritten = true;
    }

    /// Writes what the file lacks, and leaves out users that `is_user` does not know. Blocks.
    pub fn write(&self, is_user: impl Fn(&Username) -> bool) {
        let Some(directory) = &self.directory else { return };
        // Nobody who logs in waits for the disk.
        let last = {
            let mut known = self.known();
            if !std::mem::take(&mut known.unwritten) {
                return;
            }
            known.last.retain(|user, _| is_user(user));
            known.last.clone()
        };
        if let Err(failure) = directory.replace(FILE_NAME, &written(&last)) {
            warn!(%failure, "the last logins cannot be written");
            self.known().unwritten = true;
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The last logins in the text of a file.
///
/// # Errors
/// Where the text is no TOML; entries that make no sense are left out.
pub fn parse(text: &str) -> io::Result<BTreeMap<Username, LastLogin>> {
    let document: DocumentMut = text.parse().map_err(io::Error::other)?;
    let users = document.get("login").and_then(Item::as_table).into_iter().flat_map(Table::iter);
    let users = users.filter_map(|(name, login)| {
        let at = login.get("at")?.as_datetime()?.to_string().parse().ok()?;
        let address = login.get("address")?.as_str()?.parse().ok()?;
        Some((Username::parse(name).ok()?, LastLogin { at, address }))
    });
    Ok(users.collect())
}

fn written(last: &BTreeMap<Username, LastLogin>) -> String {
    let mut users = Table::new();
    users.set_implicit(true);
    for (user, login) in last {
        let mut one = Table::new();
        let seconds = Timestamp::from_second(login.at.as_second()).unwrap_or(login.at);
        if let Ok(at) = seconds.to_string().parse::<toml_edit::Datetime>() {
            one.insert("at", value(at));
        }
        one.insert("address", value(login.address.to_string()));
        one.decor_mut().set_prefix("\n");
        users.insert(user.as_str(), Item::Table(one));
    }
    let mut document = DocumentMut::new();
    document.insert("login", Item::Table(users));
    format!("{HEADER}{document}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_there_again_and_users_that_are_gone_are_not() {
        let path = tempfile::tempdir().unwrap();
        let user = |name: &str| Username::parse(name).unwrap();
        let login = LastLogin { at: "2026-11-22T12:00:00Z".parse().unwrap(), address: [192, 0, 2, 1].into() };
        let logins = Logins::open(Some(Arc::new(StateDirectory::take(path.path()).unwrap())));
        logins.write(|_| true);
        assert!(!path.path().join(FILE_NAME).exists(), "nothing is written for nothing");
        for name in ["alice", "carol@x", "gone"] {
            logins.note(&user(name), login);
        }
        logins.write(|user| user.as_str() != "gone");
        let text = std::fs::read_to_string(path.path().join(FILE_NAME)).unwrap();
        let read = parse(&text).unwrap();
        assert_eq!(read, BTreeMap::from([(user("alice"), login), (user("carol@x"), login)]), "{text}");
        drop(logins);
        let again = Logins::open(Some(Arc::new(StateDirectory::take(path.path()).unwrap())));
        assert_eq!(again.known.lock().unwrap().last, read);
    }

    #[test]
    fn a_file_that_is_damaged_is_begun_anew() {
        let path = tempfile::tempdir().unwrap();
        std::fs::write(path.path().join(FILE_NAME), "[login").unwrap();
        let logins = Logins::open(Some(Arc::new(StateDirectory::take(path.path()).unwrap())));
        assert!(logins.known.lock().unwrap().last.is_empty());
        assert!(parse("[login.alice]\nat = 1\n[login.\"a/b\"]\n").unwrap().is_empty());
    }
}
