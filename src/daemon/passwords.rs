//! A user's change of the own password: judged, checked, hashed, and stored before it counts. And a
//! password that is hashed anew at the login, where its hash is worse than those made now.
//!
//! What takes long (two hashes) ends where the server stops; what is being stored by then is stored
//! to its end, so that the client's answer is true. Nobody waits for the hashes of others: between
//! two changes of one password, the first that stores wins.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use jiff::Timestamp;
use tracing::error;

use super::codes::Codes;
use super::driver::Driver;
use super::server::Shared;
use super::stopping::Stop;
use crate::audit::event::Event;
use crate::audit::record::{Detail, Record};
use crate::auth::changes::{Changes, fingerprint};
use crate::auth::hash;
use crate::auth::strength::weaknesses;
use crate::auth::verifier::NotHashed;
use crate::config::directory::{self, Found};
use crate::identity::{Secret, Username};
use crate::policy::account::{Account, NewPassword};
use crate::policy::date_of;
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
    /// What is to count.
    after: NewPassword,
}

/// A right password that is to be hashed anew, and the hash that it was checked against.
pub(super) struct Kept {
    secret: Secret,
    before: String,
    kind: hash::Kind,
}

impl Shared {
    /// Keeps a copy of what may be the password of an account whose hash is worse than those made now,
    /// where a better one can be stored.
    pub(super) fn kept_for_rehash(&self, account: &Account, secret: &Secret, codes: Codes) -> Option<Kept> {
        let kind = hash::kind(&account.password).ok()?;
        let better = kind.is_below(self.config().passwords.argon2) && kind.tells_all_of(secret);
        let wanted = better && codes == Codes::Asked && self.changes.is_some();
        let secret = || Secret::new(secret.expose().to_vec());
        wanted.then(|| Kept { secret: secret(), before: account.password.clone(), kind })
    }
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
        let policy = shared.policy();
        let Some(account) = policy.users.get(&user) else { return Err(PasswordFault::ChangedMeanwhile) };
        let before = account.password.clone();
        match self.check_password(user.as_str(), old, Codes::NotAsked).await {
            PasswordCheck::Right(_) => {}
            PasswordCheck::OtherCertificate => return Err(PasswordFault::Wrong("certificate_of_another_user")),
            PasswordCheck::Wrong { .. } | PasswordCheck::WrongCode { .. } | PasswordCheck::Refused(_) => {
                return Err(PasswordFault::Wrong("bad_password"));
            }
            PasswordCheck::Limited { scope: "address" } => return Err(PasswordFault::Wrong("address_limit")),
            PasswordCheck::Limited { .. } => return Err(PasswordFault::Wrong("user_limit")),
            PasswordCheck::Busy => return Err(PasswordFault::Busy),
        }
        let passwords = &shared.config().passwords;
        let former = account.last_passwords(passwords.history);
        let checked = if passwords.history == 0 { Vec::new() } else { former.clone() };
        let hashed = shared.verifier().hash_unless_used(new, checked, passwords.argon2).await;
        let hash = hashed.map_err(|_| PasswordFault::Busy)?.map_err(|fault| match fault {
            NotHashed::Used => PasswordFault::Used(passwords.history),
            NotHashed::Failed(fault) => {
                error!(%user, %fault, "a new password could not be hashed");
                PasswordFault::NotStored
            }
        })?;
        let history = former.into_iter().take(passwords.history).collect();
        let after = NewPassword { hash, set: date_of(Timestamp::now()), history, rehashed: false };
        Ok(Ready { user, before, after })
    }

    /// Hashes a password anew that was just right, so that its hash is as good as those made now. The
    /// login goes on whatever comes of it.
    pub(super) async fn rehash(&mut self, user: &Username, kept: Kept) {
        let shared = Arc::clone(&self.shared);
        let Kept { secret, before, kind } = kept;
        let Ok(Some(hash)) = shared.verifier().hash(secret, shared.config().passwords.argon2).await else { return };
        let policy = shared.policy();
        let Some(account) = policy.users.get(user).filter(|account| account.password == before) else { return };
        let (set, history) = (account.password_set, account.password_history.clone());
        let after = NewPassword { hash, set, history, rehashed: !account.password_by_user };
        let (to, ready) = (Arc::clone(&shared), Ready { user: user.clone(), before, after });
        let stored = tokio::task::spawn_blocking(move || store(&to, &ready)).await;
        if !matches!(stored, Ok(Ok(()))) {
            return;
        }
        let mut record = Record::new(Event::PasswordRehashed).with("from", Detail::Text(kind.name().to_owned()));
        record.session = Some(Arc::clone(self.session.facts()));
        record.user = Some(user.as_str().into());
        if let Err(fault) = shared.audit.record(record).await {
            error!(%fault, %user, "that a password was hashed anew is not recorded");
        }
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
    let change = PasswordChange { new: after.clone(), replaces };
    if let Err(failure) = writing.put(user, change) {
        error!(%failure, %user, directory = %changes.path().display(), "a changed password could not be stored");
        let full = matches!(failure.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
        return Err(if full { PasswordFault::NoSpace } else { PasswordFault::NotStored });
    }
    shared.current.change_policy(|policy| policy.with_password(user, after));
    Ok(())
}
