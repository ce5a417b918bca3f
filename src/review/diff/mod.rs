//! Two policies compared by what they come to: for each user the account, the networks, the hours,
//! the bounds and the paths; for the server its keys. What both decide alike is no difference,
//! however it is written.

mod names;
mod paths;
mod settings;
mod users;
mod witnesses;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

pub use paths::PathChange;
pub use settings::Change;
pub use users::{Fate, UserChange};

use crate::config::load::read_texts;
use crate::config::{Config, Problems};
use crate::identity::Username;
use crate::policy::Policy;

/// Everything that differs between two policies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Keys of `server.toml`.
    pub server: Vec<Change>,
    /// Users, in the order of their names.
    pub users: Vec<UserChange>,
}

impl Difference {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.server.is_empty() && self.users.is_empty()
    }
}

/// Compares the policies in two directories, from now on: by their texts alone. Where addresses are
/// given, for users who come from these.
///
/// # Errors
/// Every problem of the first of them that cannot be used.
pub fn diff(old: &Path, new: &Path, from: &[IpAddr], now: Timestamp) -> Result<Difference, Problems> {
    let read = |directory: &Path| -> Result<_, Problems> {
        let config = Config::load_text(directory, &[])?.config;
        Ok((config, read_texts(directory)?.server))
    };
    let ((old, old_server), (new, new_server)) = (read(old)?, read(new)?);
    let server = settings::compare(&old_server, &new_server);
    Ok(Difference { server, users: users(&old.policy, &new.policy, from, now) })
}

/// What changes for each user.
pub fn users(old: &Policy, new: &Policy, from: &[IpAddr], now: Timestamp) -> Vec<UserChange> {
    let names: BTreeSet<&Username> = old.users.keys().chain(new.users.keys()).collect();
    let mut found = users::Found::new();
    let compare = |name: &Username| {
        let (before, after) = ((old, old.users.get(name)), (new, new.users.get(name)));
        users::compare(name.as_str(), before, after, from, now, &mut found)
    };
    names.into_iter().filter_map(compare).collect()
}
