//! What is frozen: kept in `freezes.toml` in the directory of changed passwords, put in force in the
//! policy, and asked once more by whatever changes something, at the moment it does.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use jiff::Timestamp;
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, value};

use super::bans::tables;
use super::server::Shared;
use crate::auth::state::StateDirectory;
use crate::identity::Username;
use crate::policy::freeze::{Freeze, Scope};
use crate::policy::grant::Grant;
use crate::proto::path::VirtualPath;
use crate::session::effect::StoreFault;

/// The file in the directory of changed passwords.
const FILE_NAME: &str = "freezes.toml";
/// Largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// What stands at its beginning, for people.
const HEADER: &str = "# What is read-only. The server writes this file; `portcullis thaw` takes from it.\n";
/// Freezes at the same time: each is asked at each decision.
pub(super) const FREEZES_MAX: usize = 100;

/// The freezes that hold, and what waits for changes under way.
#[derive(Debug)]
pub(super) struct Freezes {
    directory: Option<Arc<StateDirectory>>,
    known: Mutex<Known>,
    /// Held by whoever changes something, until it is done; who freezes waits for them.
    changes: RwLock<()>,
}

#[derive(Clone, Debug, Default)]
struct Known {
    freezes: Vec<Freeze>,
    /// The greatest number that was given.
    last: u32,
}

/// Why something was not frozen or thawed.
#[derive(Debug)]
pub(super) enum Unchanged {
    /// There are as many as may be.
    Full,
    /// It cannot be remembered; nothing was changed.
    Unwritten(io::Error),
}

impl Freezes {
    /// Goes on with what the directory remembers.
    ///
    /// # Errors
    /// Where that cannot be read: whatever was frozen must not thaw by that.
    pub(super) fn open(directory: Option<Arc<StateDirectory>>) -> io::Result<Self> {
        let known = match &directory {
            Some(directory) => {
                let text = directory.read(FILE_NAME, FILE_BYTES_MAX)?;
                parse(&text).map_err(|fault| {
                    let path = directory.path().join(FILE_NAME);
                    io::Error::other(format!(
                        "{}: {fault}: mend or remove the file; without it nothing is frozen",
                        path.display()
                    ))
                })?
            }
            None => Known::default(),
        };
        Ok(Self { directory, known: Mutex::new(known), changes: RwLock::default() })
    }

    /// Whether a restart goes on with them.
    pub(super) fn are_kept(&self) -> bool {
        self.directory.is_some()
    }

    /// Those that hold now.
    pub(super) fn list(&self, now: Timestamp) -> Vec<Freeze> {
        self.known().freezes.iter().filter(|freeze| !freeze.is_over(now)).cloned().collect()
    }

    /// Every one, for the policy.
    pub(super) fn all(&self) -> Vec<Freeze> {
        self.known().freezes.clone()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, known: &Known) -> Result<(), Unchanged> {
        let Some(directory) = &self.directory else { return Ok(()) };
        let written = directory.replace(FILE_NAME, &written(known)).and_then(|()| directory.sync());
        written.map_err(Unchanged::Unwritten)
    }
}

impl Shared {
    /// Makes something read-only, and returns once nothing there changes any more. Blocks.
    pub(super) fn freeze(&self, make: impl FnOnce(u32) -> Freeze, now: Timestamp) -> Result<Freeze, Unchanged> {
        let mut known = self.freezes.known();
        let mut after = known.clone();
        after.freezes.retain(|freeze| !freeze.is_over(now));
        if after.freezes.len() >= FREEZES_MAX {
            return Err(Unchanged::Full);
        }
        after.last = after.last.saturating_add(1);
        let freeze = make(after.last);
        after.freezes.push(freeze.clone());
        self.freezes.write(&after)?;
        self.current.change_policy(|policy| policy.with_freezes(after.freezes.clone()));
        *known = after;
        drop(known);
        self.rejudge();
        // Who was permitted to change something before has done so by now, or is refused.
        drop(self.freezes.changes.write().unwrap_or_else(PoisonError::into_inner));
        Ok(freeze)
    }

    /// Lets the freezes go that `goes` means, and gives them. Blocks.
    pub(super) fn thaw(&self, goes: impl Fn(&Freeze) -> bool, now: Timestamp) -> Result<Vec<Freeze>, Unchanged> {
        let mut known = self.freezes.known();
        let mut after = known.clone();
        after.freezes.retain(|freeze| !freeze.is_over(now));
        let (gone, stay) = after.freezes.into_iter().partition(goes);
        after.freezes = stay;
        self.freezes.write(&after)?;
        self.current.change_policy(|policy| policy.with_freezes(after.freezes.clone()));
        *known = after;
        drop(known);
        self.rejudge();
        Ok(gone)
    }
}

/// What a grant was given for, to ask again whether that is frozen.
#[derive(Clone)]
pub(super) struct Leave {
    shared: Arc<Shared>,
    user: Username,
    folder: Option<String>,
    path: VirtualPath,
}

/// Held while something changes.
pub(super) struct Changing<'a>(#[expect(dead_code, reason = "it is held, not read")] RwLockReadGuard<'a, ()>);

impl Leave {
    /// Remembers what a grant is for.
    pub(super) fn to_use(shared: &Arc<Shared>, user: &Username, grant: &Grant) -> Self {
        Self {
            shared: Arc::clone(shared),
            user: user.clone(),
            folder: grant.folder().map(|folder| folder.name.clone()),
            path: grant.path().clone(),
        }
    }

    /// Leave to change what the grant is for, at once: nothing is frozen as long as this is held. For a
    /// thread that may block.
    ///
    /// # Errors
    /// [`StoreFault::Frozen`] where it is frozen by now.
    pub(super) fn take(&self) -> Result<Changing<'_>, StoreFault> {
        self.take_with(None)
    }

    /// The same for a rename, of what this is for to what the other is for.
    pub(super) fn take_with(&self, other: Option<&Self>) -> Result<Changing<'_>, StoreFault> {
        let changing = self.shared.freezes.changes.read().unwrap_or_else(PoisonError::into_inner);
        let (policy, now) = (self.shared.policy(), Timestamp::now());
        let frozen = |leave: &Self| policy.frozen_at(&leave.user, leave.folder.as_deref(), &leave.path, now).is_some();
        // What is moved takes all with it that lies in it.
        let holds = |leave: &Self| policy.holds_frozen(&leave.user, leave.folder.as_deref(), &leave.path, now);
        if frozen(self) || other.is_some_and(|to| frozen(to) || holds(self)) {
            Err(StoreFault::Frozen)
        } else {
            Ok(Changing(changing))
        }
    }
}

fn parse(text: &str) -> Result<Known, String> {
    let document: DocumentMut = text.parse().map_err(|fault: toml_edit::TomlError| fault.to_string())?;
    let last = document.get("last").and_then(Item::as_integer).unwrap_or(0);
    let mut known = Known { freezes: Vec::new(), last: u32::try_from(last).map_err(|fault| fault.to_string())? };
    for table in tables(&document, "freeze", &["last"])? {
        let freeze = freeze_of(table).ok_or_else(|| format!("no freeze that can be understood:\n{table}"))?;
        known.last = known.last.max(freeze.number);
        known.freezes.push(freeze);
    }
    Ok(known)
}

/// None where a part of it is not understood: it would hold something else then.
fn freeze_of(table: &Table) -> Option<Freeze> {
    let text = |key: &str| match table.get(key) {
        Some(item) => item.as_str().map(|text| Some(text.to_owned())),
        None => Some(None),
    };
    let time = |text: Option<String>| match text {
        Some(text) => text.parse::<Timestamp>().ok().map(Some),
        None => Some(None),
    };
    let user = match text("user")? {
        Some(name) => Some(Username::parse(&name).ok()?),
        None => None,
    };
    let scope = match (text("path")?, text("folder")?) {
        (Some(path), None) => Scope::Path(VirtualPath::root().join(path.as_bytes()).ok()?),
        (None, Some(folder)) => Scope::Folder(folder),
        (None, None) => Scope::Everything,
        (Some(_), Some(_)) => return None,
    };
    Some(Freeze {
        number: u32::try_from(table.get("number")?.as_integer()?).ok()?,
        user,
        scope,
        since: time(text("since")?)??,
        until: time(text("until")?)?,
        reason: text("reason")?,
    })
}

fn written(known: &Known) -> String {
    let mut all = ArrayOfTables::new();
    for freeze in &known.freezes {
        let mut table = Table::new();
        table.insert("number", value(i64::from(freeze.number)));
        if let Some(user) = &freeze.user {
            table.insert("user", value(user.as_str()));
        }
        match &freeze.scope {
            Scope::Everything => {}
            Scope::Path(path) => drop(table.insert("path", value(path.as_str()))),
            Scope::Folder(name) => drop(table.insert("folder", value(name.as_str()))),
        }
        table.insert("since", value(freeze.since.to_string()));
        if let Some(until) = freeze.until {
            table.insert("until", value(until.to_string()));
        }
        if let Some(reason) = &freeze.reason {
            table.insert("reason", value(reason.as_str()));
        }
        all.push(table);
    }
    let mut document = DocumentMut::new();
    document.insert("last", value(i64::from(known.last)));
    document.insert("freeze", Item::ArrayOfTables(all));
    format!("{HEADER}{document}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_nothing_is_read_by_half() {
        let since = "2026-11-22T12:00:00Z".parse().unwrap();
        let freeze = |number, scope| Freeze { number, user: None, scope, since, until: None, reason: None };
        let path = VirtualPath::root().join("in/\"odd\" name".as_bytes()).unwrap();
        let known = Known {
            freezes: vec![
                freeze(1, Scope::Everything),
                Freeze { user: Some(Username::parse("alice").unwrap()), ..freeze(3, Scope::Path(path)) },
                Freeze { until: Some(since), reason: Some("a\n\"b\"".into()), ..freeze(4, Scope::Folder("f".into())) },
            ],
            last: 7,
        };
        let text = written(&known);
        let read = parse(&text).unwrap();
        assert_eq!((read.freezes, read.last), (known.freezes, 7), "{text}");
        assert!(parse("").unwrap().freezes.is_empty());
        for damaged in [
            "freeze = [",
            "last = -1",
            "[freeze]\nnumber = 1\n",
            "freeze = []",
            "[[freezes]]\nnumber = 1\n",
            "[[freeze]]\nnumber = 1\n",
            &text.replace("alice", "a/b"),
        ] {
            assert!(parse(damaged).is_err(), "{damaged}");
        }
        let numbered = "[[freeze]]\nnumber = 9\nsince = \"2026-11-22T12:00:00Z\"\nuser = 5\n";
        assert!(parse(numbered).is_err(), "a user that is none must not freeze everybody");
    }
}
