//! Passwords that users changed themselves. They stand in `passwords.toml`, in a directory that is
//! the server's own: `users.toml` stays what the administrator wrote.
//!
//! An entry names the hash of `users.toml` that it replaces, by its fingerprint, and counts only
//! while that hash stands there. So a password that the administrator sets always wins, and entries
//! of users who are gone mean nothing; the next write leaves both out.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use toml_edit::{Array, DocumentMut, Item, Table, value};

use super::state::StateDirectory;
use crate::identity::Username;
use crate::settings::{PasswordChange, PasswordChanges};

/// The file in the directory that `[passwords] changes` names.
pub const FILE_NAME: &str = "passwords.toml";
/// Largest file that is read, in bytes: more than all users of the largest `users.toml` fill.
pub const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// What stands at its beginning, for people.
const HEADER: &str = "# Passwords that users changed themselves, with SITE PSWD, or that the server hashed anew. The server writes this file.\n\
                      # An entry counts while users.toml has the hash that it replaces; `portcullis user passwd` ends it.\n";
/// Attempts to change a password that one user has at once, and the time in which one comes back:
/// each may cost two hashes.
const ATTEMPTS: std::num::NonZeroU32 = std::num::NonZeroU32::new(10).unwrap();
const ATTEMPT_RETURNS: Duration = Duration::from_mins(6);

/// The fingerprint of a hash of `users.toml`: BLAKE3, in hexadecimal. It tells nothing of the
/// password, since the salt of the hash is in it.
pub fn fingerprint(hash: &str) -> String {
    blake3::hash(hash.as_bytes()).to_hex().to_string()
}

/// Keeps the changed passwords of a running server, and nobody else's at the same time.
pub struct Changes {
    directory: Arc<StateDirectory>,
    counting: Mutex<BTreeMap<Username, PasswordChange>>,
    attempts: RateLimiter<Username, HashMapStateStore<Username>, DefaultClock>,
}

/// Why the changed passwords cannot be kept.
#[derive(Debug)]
pub enum OpenError {
    /// The directory or the file, and what the system says.
    Io(PathBuf, io::Error),
    /// Another server writes there.
    InUse(PathBuf),
    /// The file is another than the one that was read.
    Changed(PathBuf),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
            Self::InUse(path) => {
                write!(f, "another server keeps its changed passwords in {}: stop it, or name another", path.display())
            }
            Self::Changed(path) => write!(f, "{} was changed since it was read: start again", path.display()),
        }
    }
}

impl std::error::Error for OpenError {}

impl Changes {
    /// Takes the directory over that was read, for as long as this lives. What is opened here stays
    /// in use, whatever happens to the path.
    ///
    /// # Errors
    /// [`OpenError`]; among others where a server that was about to end has written meanwhile.
    pub fn open(read: &PasswordChanges) -> Result<Self, OpenError> {
        let path = &read.directory;
        let directory = StateDirectory::take(path).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => OpenError::InUse(path.clone()),
            _ => OpenError::Io(path.clone(), error),
        })?;
        let file = path.join(FILE_NAME);
        let text = directory.read(FILE_NAME, FILE_BYTES_MAX);
        if text.map_err(|error| OpenError::Io(file.clone(), error))? != read.text {
            return Err(OpenError::Changed(file));
        }
        let quota = Quota::with_period(ATTEMPT_RETURNS).unwrap_or(Quota::per_hour(ATTEMPTS)).allow_burst(ATTEMPTS);
        Ok(Self {
            directory: Arc::new(directory),
            counting: Mutex::new(read.counting.clone()),
            attempts: RateLimiter::hashmap(quota),
        })
    }

    /// The directory, for messages.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The directory, for what else is remembered there.
    pub fn directory(&self) -> &Arc<StateDirectory> {
        &self.directory
    }

    /// Counts an attempt of a user to change the password.
    ///
    /// # Errors
    /// The time to wait, where there were too many.
    pub fn attempt(&self, user: &Username) -> Result<(), Duration> {
        self.attempts.check_key(user).map_err(|early| early.wait_time_from(DefaultClock::default().now()))
    }

    /// The right to write: one at a time, others wait.
    pub fn writing(&self) -> Writing<'_> {
        let counting = self.counting.lock().unwrap_or_else(PoisonError::into_inner);
        Writing { directory: &self.directory, counting }
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes").field("path", &self.path()).finish_non_exhaustive()
    }
}

/// The right to write the changed passwords.
pub struct Writing<'a> {
    directory: &'a StateDirectory,
    counting: MutexGuard<'a, BTreeMap<Username, PasswordChange>>,
}

impl Writing<'_> {
    /// The fingerprint of the hash of `users.toml` that the user's present password replaced, if it
    /// was changed already.
    pub fn replaces(&self, user: &Username) -> Option<&str> {
        self.counting.get(user).map(|change| change.replaces.as_str())
    }

    /// Has those count that were read from the file; false where the file was written since.
    ///
    /// # Errors
    /// What keeps the file from being read.
    pub fn take_over(&mut self, read: &PasswordChanges) -> io::Result<bool> {
        let unchanged = self.directory.read(FILE_NAME, FILE_BYTES_MAX)? == read.text;
        if unchanged {
            self.counting.clone_from(&read.counting);
        }
        Ok(unchanged)
    }

    /// Puts a change in, through to the disk.
    ///
    /// # Errors
    /// What the system says; what was there before stays.
    pub fn put(&mut self, user: &Username, change: PasswordChange) -> io::Result<()> {
        let mut after = self.counting.clone();
        after.insert(user.clone(), change);
        self.directory.replace(FILE_NAME, &written(&after)?)?;
        if let Err(error) = self.directory.sync() {
            // Nobody knows whether it would last: a refusal has to leave what was there before.
            let _ = written(&self.counting).and_then(|before| self.directory.replace(FILE_NAME, &before));
            return Err(error);
        }
        *self.counting = after;
        Ok(())
    }
}

/// The text of the file with these changes.
fn written(changes: &BTreeMap<Username, PasswordChange>) -> io::Result<String> {
    let mut all = Table::new();
    all.set_implicit(true);
    for (user, change) in changes {
        let mut one = Table::new();
        one.insert("password", value(&change.new.hash));
        let set: toml_edit::Datetime = change.new.set.to_string().parse().map_err(io::Error::other)?;
        one.insert("password-set", value(set));
        one.insert("replaces", value(&change.replaces));
        if !change.new.history.is_empty() {
            one.insert("history", value(change.new.history.iter().collect::<Array>()));
        }
        if change.new.rehashed {
            one.insert("rehashed", value(true));
        }
        one.decor_mut().set_prefix("\n");
        all.insert(user.as_str(), Item::Table(one));
    }
    let mut document = DocumentMut::new();
    document.insert("changed", Item::Table(all));
    Ok(format!("{HEADER}{document}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::policy::account::NewPassword;

    const UNFINISHED_NAME: &str = "passwords.toml.new";

    fn user(name: &str) -> Username {
        Username::parse(name).unwrap()
    }

    fn change(hash: &str) -> PasswordChange {
        let (hash, set, history) = (hash.into(), "2026-11-22".parse().unwrap(), vec![]);
        PasswordChange { new: NewPassword { hash, set, history, rehashed: false }, replaces: fingerprint("old") }
    }

    fn none_yet(directory: &Path) -> PasswordChanges {
        PasswordChanges { directory: directory.to_owned(), text: String::new(), counting: BTreeMap::new() }
    }

    #[test]
    fn what_is_put_in_is_on_the_disk_for_the_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let changes = Changes::open(&none_yet(directory.path())).unwrap();
        assert_eq!(changes.writing().replaces(&user("alice")), None);
        changes.writing().put(&user("carol@x"), change("$c")).unwrap();
        changes.writing().put(&user("alice"), change("$a")).unwrap();
        assert_eq!(changes.writing().replaces(&user("alice")), Some(fingerprint("old").as_str()));
        let path = directory.path().join(FILE_NAME);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
        let text = std::fs::read_to_string(&path).unwrap();
        let entry = |name: &str, hash: &str| {
            let replaces = fingerprint("old");
            format!("\n[changed.{name}]\npassword = \"{hash}\"\npassword-set = 2026-11-22\nreplaces = \"{replaces}\"\n")
        };
        assert_eq!(text, format!("{HEADER}{}{}", entry("alice", "$a"), entry("\"carol@x\"", "$c")));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "nothing unfinished is left");
    }

    #[test]
    fn an_entry_has_the_passwords_before_it_and_says_where_it_is_the_same_password() {
        let directory = tempfile::tempdir().unwrap();
        let changes = Changes::open(&none_yet(directory.path())).unwrap();
        let mut again = change("$a");
        again.new = NewPassword { history: vec!["$b".into(), "$c".into()], rehashed: true, ..again.new };
        changes.writing().put(&user("alice"), again).unwrap();
        let text = std::fs::read_to_string(directory.path().join(FILE_NAME)).unwrap();
        assert!(text.ends_with("history = [\"$b\", \"$c\"]\nrehashed = true\n"), "{text}");
    }

    #[test]
    fn what_a_crash_left_unfinished_is_in_nobodys_way() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(UNFINISHED_NAME), "half").unwrap();
        let changes = Changes::open(&none_yet(directory.path())).unwrap();
        changes.writing().put(&user("alice"), change("$a")).unwrap();
        assert!(!directory.path().join(UNFINISHED_NAME).exists());
    }

    #[test]
    fn a_write_that_fails_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let changes = Changes::open(&none_yet(directory.path())).unwrap();
        changes.writing().put(&user("alice"), change("$a")).unwrap();
        let before = std::fs::read(directory.path().join(FILE_NAME)).unwrap();
        // Something that cannot be removed as a file is.
        std::fs::create_dir(directory.path().join(UNFINISHED_NAME)).unwrap();
        changes.writing().put(&user("alice"), change("$b")).unwrap_err();
        changes.writing().put(&user("bob"), change("$b")).unwrap_err();
        assert_eq!(std::fs::read(directory.path().join(FILE_NAME)).unwrap(), before);
        assert_eq!(changes.writing().replaces(&user("bob")), None);
    }

    #[test]
    fn one_server_at_a_time_keeps_them_and_none_that_read_something_else() {
        let directory = tempfile::tempdir().unwrap();
        let first = Changes::open(&none_yet(directory.path())).unwrap();
        assert!(matches!(Changes::open(&none_yet(directory.path())), Err(OpenError::InUse(_))));
        first.writing().put(&user("alice"), change("$a")).unwrap();
        drop(first);
        assert!(matches!(Changes::open(&none_yet(directory.path())), Err(OpenError::Changed(_))));
        let text = std::fs::read_to_string(directory.path().join(FILE_NAME)).unwrap();
        Changes::open(&PasswordChanges { text, ..none_yet(directory.path()) }).unwrap();
    }

    #[test]
    fn a_user_has_so_many_attempts_and_no_other_pays_for_them() {
        let directory = tempfile::tempdir().unwrap();
        let changes = Changes::open(&none_yet(directory.path())).unwrap();
        for _ in 0..ATTEMPTS.get() {
            changes.attempt(&user("alice")).unwrap();
        }
        let wait = changes.attempt(&user("alice")).unwrap_err();
        assert!(wait > Duration::from_mins(5) && wait <= ATTEMPT_RETURNS, "{wait:?}");
        changes.attempt(&user("bob")).unwrap();
    }
}
