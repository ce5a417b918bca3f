//! Codes of the moment at the login: taken off the password, and used up.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use tracing::error;

use super::server::Shared;
use crate::auth::codes::Spent;
use crate::auth::totp;
use crate::identity::{Secret, Username, Verified};
use crate::policy::Policy;
use crate::policy::account::Account;
use crate::session::effect::PasswordCheck;

/// Whether a code is expected behind the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codes {
    /// It is, where the user has a secret: at the login.
    Asked,
    /// It is not: who is logged in has shown one already.
    NotAsked,
}

/// What came behind a password.
#[derive(Clone, Copy, Debug)]
pub(super) enum Brought {
    /// No code; the policy decides whether that will do.
    Nothing,
    /// A code that is none of this moment.
    Wrong,
    /// The code of a step.
    Step(u64),
}

impl Codes {
    /// Takes the code off the password of an account that has a secret.
    pub(super) fn taken_from(self, account: Option<&Account>, secret: Secret) -> (Secret, Brought) {
        let totp = account.and_then(|account| account.totp_secret.as_ref()).filter(|_| self == Self::Asked);
        let Some(totp) = totp else { return (secret, Brought::Nothing) };
        let (password, code) = totp::split(secret);
        let brought = match code.map(|code| totp::step_of(totp, code, Timestamp::now())) {
            Some(Some(step)) => Brought::Step(step),
            Some(None) => Brought::Wrong,
            None => Brought::Nothing,
        };
        (password, brought)
    }
}

impl Shared {
    /// Lets somebody in whose password was right, and uses up the code. Nothing is used up where the
    /// policy refuses: the time that takes would tell that all else was right.
    pub(super) async fn admit(
        self: &Arc<Self>,
        policy: &Policy,
        verified: Verified,
        brought: Brought,
        address: IpAddr,
    ) -> Result<Verified, PasswordCheck> {
        let step = match brought {
            Brought::Nothing => None,
            Brought::Wrong => return Err(PasswordCheck::WrongCode { replayed: false }),
            Brought::Step(step) => Some(step),
        };
        let verified = verified.with_code(step.is_some());
        policy.enter(&verified, address, Timestamp::now()).map_err(PasswordCheck::Refused)?;
        if let Some(step) = step {
            self.spend_code(verified.name().clone(), step, address).await?;
        }
        Ok(verified)
    }

    async fn spend_code(self: &Arc<Self>, name: Username, step: u64, address: IpAddr) -> Result<(), PasswordCheck> {
        let shared = Arc::clone(self);
        let spending = tokio::task::spawn_blocking(move || {
            let reuse = shared.config().login.code_reuse;
            (shared.codes.spend(&name, step, address.to_canonical(), Timestamp::now(), reuse), name)
        });
        match spending.await {
            Ok((Ok(Spent::Now), _)) => Ok(()),
            Ok((Ok(Spent::Before), _)) => Err(PasswordCheck::WrongCode { replayed: true }),
            Ok((Err(failure), user)) => {
                error!(%failure, %user, "a code cannot be remembered as used, so it lets nobody in");
                Err(PasswordCheck::Busy)
            }
            Err(_) => Err(PasswordCheck::Busy),
        }
    }
}
