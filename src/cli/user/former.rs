//! The passwords that a user had: a new one is none of them.

use toml_edit::{Array, DocumentMut};

use super::super::Failure;
use super::edit;
use crate::config::load::Judged;
use crate::identity::Username;

/// What a user has and had.
pub(super) struct Former {
    /// The present hash, and those that new passwords are compared with.
    pub(super) hashes: Vec<String>,
    /// Whether the user may change the password.
    pub(super) may_change: bool,
}

impl Former {
    /// As the server knows it, with what the user changed; as `users.toml` has it where the policy has
    /// errors.
    pub(super) fn of(judged: &Judged, document: &mut DocumentMut, name: &Username) -> Result<Self, Failure> {
        let most = judged.passwords.history;
        let known = judged.config.as_ref().and_then(|config| config.policy.users.get(name));
        let user = edit::user(document, name)?;
        let hashes = known.map_or_else(
            || {
                let text = |value: &toml_edit::Value| value.as_str().map(str::to_owned);
                let present = user.get("password").and_then(|item| item.as_value()).and_then(text);
                let history = user.get("password-history").and_then(|item| item.as_array());
                let history = history.into_iter().flatten().filter_map(text);
                present.into_iter().chain(history.take(most)).collect()
            },
            |account| account.last_passwords(most),
        );
        Ok(Self { hashes, may_change: known.is_none_or(crate::policy::account::Account::may_change_password) })
    }

    /// What is written once there is another password: so many hashes, one a line.
    pub(super) fn kept(&self, most: usize) -> Array {
        let mut kept: Array = self.hashes.iter().take(most).collect();
        for hash in kept.iter_mut() {
            hash.decor_mut().set_prefix("\n    ");
        }
        if !kept.is_empty() {
            kept.set_trailing("\n");
            kept.set_trailing_comma(true);
        }
        kept
    }
}
