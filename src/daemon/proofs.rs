//! What users show to log in: password, code and client certificate, checked together, and counted.

use std::sync::Arc;

use jiff::Timestamp;

use super::codes::Codes;
use super::driver::Driver;
use crate::auth::certificate::{self, Held};
use crate::auth::throttle::Attempt;
use crate::identity::{Secret, Username, is_anonymous};
use crate::session::effect::PasswordCheck;

impl Driver {
    /// Checks a password with the code behind it and the certificate of the connection. Each attempt
    /// counts as a failed one until its outcome is known.
    pub(super) async fn check_password(&mut self, claimed: &str, secret: Secret, codes: Codes) -> PasswordCheck {
        let (shared, address) = (Arc::clone(&self.shared), self.client.ip());
        let throttle = shared.throttle();
        self.pause(throttle.not_before(address, claimed)).await;
        let pending = match throttle.attempt(address, claimed).await {
            Attempt::Check(pending) => pending,
            Attempt::Limited { scope, .. } => return PasswordCheck::Limited { scope: scope.word() },
            Attempt::Busy => return PasswordCheck::Busy,
        };
        let policy = shared.policy();
        let name = Username::parse(claimed).ok().filter(|_| !is_anonymous(claimed));
        let account = name.as_ref().and_then(|name| policy.users.get(name));
        let known = account.is_some();
        let hash = account.map(|account| (&account.name, account.password.as_str()));
        // The code is looked at first, so that neither says anything about the other.
        let (secret, code) = codes.taken_from(account, secret);
        let kept = account.and_then(|account| shared.kept_for_rehash(account, &secret, codes));
        let certificate = self.tls.as_ref().and_then(|tls| tls.client());
        let held = certificate::held(&policy, certificate, claimed);
        let verified = match shared.verifier().verify(hash, secret).await {
            Ok(_) if held == Held::Others => Err(PasswordCheck::OtherCertificate),
            Ok(Some(verified)) if codes == Codes::NotAsked => Ok(verified),
            Ok(Some(verified)) => {
                shared.admit(&policy, verified.with_certificate(held == Held::Own), code, address).await
            }
            Ok(None) => Err(PasswordCheck::Wrong { known }),
            Err(_) => Err(PasswordCheck::Busy),
        };
        let verified = match verified {
            Ok(verified) => verified,
            Err(PasswordCheck::Busy) => return PasswordCheck::Busy,
            Err(wrong) => {
                pending.wrong();
                return wrong;
            }
        };
        if let Err(scope) = pending.right() {
            return PasswordCheck::Limited { scope: scope.word() };
        }
        if let Some(kept) = kept {
            self.rehash(verified.name(), kept).await;
        }
        PasswordCheck::Right(verified)
    }

    /// Vouches for a user by the certificate of the connection. Where the source has used up its
    /// attempts, that is said once the password is there.
    pub(super) async fn check_certificate(&mut self, claimed: &str) -> PasswordCheck {
        let (shared, address) = (Arc::clone(&self.shared), self.client.ip());
        let throttle = shared.throttle();
        let pending = match throttle.attempt(address, claimed).await {
            Attempt::Check(pending) => pending,
            Attempt::Limited { scope, .. } => return PasswordCheck::Limited { scope: scope.word() },
            Attempt::Busy => return PasswordCheck::Busy,
        };
        let (policy, certificate) = (shared.policy(), self.tls.as_ref().and_then(|tls| tls.client()));
        let vouched = certificate.and_then(|certificate| certificate::vouch(&policy, certificate, claimed));
        // Who has to show more may still guess it: what was counted is not forgiven for this much.
        match vouched.filter(|verified| policy.enter(verified, address, Timestamp::now()).is_ok()) {
            Some(verified) => match pending.right() {
                Ok(()) => PasswordCheck::Right(verified),
                Err(scope) => PasswordCheck::Limited { scope: scope.word() },
            },
            None => PasswordCheck::Wrong { known: true },
        }
    }
}
