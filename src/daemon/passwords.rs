//! A user's change of the own password: judged, checked, hashed, and stored before it counts.
//!
//! What takes long (two hashes) ends where the server stops; what is being stored by then is stored
//! to its end, so that the client's answer is true. Nobody waits for the hashes of others: between
//! two changes of one password, the first that stores wins.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use jiff::Timestamp;
use tracing::error;

use super::driver::Driver;
use super::server::Shared;
use super::stopping::Stop;
use crate::auth::changes::{Changes, fingerprint};
use crate::auth::strength::weaknesses;
use crate::config::directory::{self, Found};
use crate::identity::{Secret, Username};
use crate::session::effect::{PasswordCheck, PasswordFault};
use crate::settings::{Config, PasswordChange};

/// Takes over the directory of changed passwords, which is made where it is missing; none where the
/// policy names none. To be called before the sandbox.
pub(super) fn open(config: &Config) -> io::Result<Option<Changes>> {
    let Some(read) = &config.password_changes else { return Ok(None) };
    if directory::look(&read.directory)? == Found::Nothing {
        directory::make(&read.directory, config.process.run_as.as_ref())?;
    }
    Changes::open(read).map(Some).map_err(io::Error::other)
}

/// A change that only has to be stored.
struct Ready {
    user: Username,
    /// The hash against which the old password was checked.
    before: String,
    /// The hash of the new one.
    after: String,
}

impl Driver {
    /// Changes the password of who is logged in.
    pub(super) async fn change_password(&mut self, old: Secret, new: Secret) -> Result<(), PasswordFault> {
        let mut stop = self.stop.clone();
        let ready = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop > Stop::No) => Err(PasswordFault::Stopping),
            ready = self.prepare_password(old, new) => ready,
        }?;
        let shared = Arc::clone(&self.shared);
        let stored = tokio::task::spawn_blocking(move || store(&shared, &ready)).await;
        stored.unwrap_or(Err(PasswordFault::NotStored))
    }

    async fn prepare_password(&mut self, old: Secret, new: Secret) -> Result<Ready, PasswordFault> {
        let shared = Arc::clone(&self.shared);
        let (Some(changes), Some(user)) = (&shared.changes, self.principal.as_ref().map(|who| who.name().clone()))
        else {
            return Err(PasswordFault::NotStored);
        };
        changes.attempt(&user).map_err(PasswordFault::TooOften)?;
        let (old, new) = strong(&shared, &user, old, new).await?;
        let before = shared.policy().users.get(&user).map(|account| account.password.clone()).unwrap_or_default();
        match self.check_password(user.as_str(), old).await {
            PasswordCheck::Right(_) => {}
            PasswordCheck::Wrong { .. } => return Err(PasswordFault::Wrong("bad_password")),
            PasswordCheck::Limited { scope: "address" } => return Err(PasswordFault::Wrong("address_limit")),
            PasswordCheck::Limited { .. } => return Err(PasswordFault::Wrong("user_limit")),
            PasswordCheck::Busy => return Err(PasswordFault::Busy),
        }
        let hashed = shared.verifier().hash(new, shared.config().passwords.argon2).await;
        let after = hashed.map_err(|_| PasswordFault::Busy)?.ok_or_else(|| {
            error!(%user, "a new password could not be hashed: no randomness");
            PasswordFault::NotStored
        })?;
        Ok(Ready { user, before, after })
    }
}

/// Judges the new password as `user passwd` does; every reason at once. Gives both back.
async fn strong(
    shared: &Arc<Shared>,
    user: &Username,
    old: Secret,
    new: Secret,
) -> Result<(Secret, Secret), PasswordFault> {
    let (shared, user) = (Arc::clone(shared), user.clone());
    let judged = tokio::task::spawn_blocking(move || {
        let mut reasons = Vec::new();
        match std::str::from_utf8(new.expose()) {
            Ok(text) => {
                let found = weaknesses(text, user.as_str(), &shared.config().passwords);
                reasons.extend(found.iter().map(ToString::to_string));
            }
            Err(_) => reasons.push("it is no UTF-8 text: have the client send UTF-8, or use plain letters".to_owned()),
        }
        if old.expose() == new.expose() {
            reasons.push("it is the old one: choose another".to_owned());
        }
        if reasons.is_empty() { Ok((old, new)) } else { Err(PasswordFault::Weak(reasons)) }
    });
    judged.await.unwrap_or(Err(PasswordFault::Busy))
}

/// Writes the change, then lets it count. Blocks.
fn store(shared: &Shared, ready: &Ready) -> Result<(), PasswordFault> {
    let Ready { user, before, after } = ready;
    let changes = shared.changes.as_ref().ok_or(PasswordFault::NotStored)?;
    let mut writing = changes.writing();
    // Nobody else changes a password from here on.
    let policy = shared.policy();
    if policy.users.get(user).is_none_or(|account| account.password != *before) {
        return Err(PasswordFault::ChangedMeanwhile);
    }
    let replaces = writing.replaces(user).map_or_else(|| fingerprint(before), str::to_owned);
    let set = jiff::tz::Offset::UTC.to_datetime(Timestamp::now()).date();
    let change = PasswordChange { hash: after.clone(), set, replaces };
    if let Err(failure) = writing.put(user, change) {
        error!(%failure, %user, directory = %changes.path().display(), "a changed password could not be stored");
        let full = matches!(failure.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
        return Err(if full { PasswordFault::NoSpace } else { PasswordFault::NotStored });
    }
    shared.current.change_policy(|policy| policy.with_password(user, after, set));
    Ok(())
}
