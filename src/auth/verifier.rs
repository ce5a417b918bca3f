//! Checking passwords without letting anybody exhaust the machine or learn who exists.
//!
//! Argon2id runs on a few blocking threads behind a queue that is bounded in time; in number it is
//! bounded by the sessions, each of which has one check at most, and by what
//! [`Throttle`](super::throttle::Throttle) lets one source try at a time. A name without an account
//! is checked against a hash that nothing matches, and every check takes as long as the dearest.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::rand;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::hash::{self, HashError, Workspace};
use super::legacy::Dearest;
use crate::identity::{Secret, Shown, Username, Verified};
use crate::settings::Argon2Cost;

/// Longest password looked at, in bytes.
pub const SECRET_BYTES_MAX: usize = 1024;
/// How long a check may wait: a morning's logins are served one after the other.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// Checks passwords, a bounded number at a time.
pub struct Verifier {
    /// A hash of random bytes, as expensive as the dearest in use.
    unknown: Arc<str>,
    dearest: Argon2Cost,
    /// What hashes of other kinds cost, where there are any.
    others: Dearest,
    running: Arc<Semaphore>,
    wait_max: Duration,
    /// As many as checks run at a time, at most.
    workspaces: Arc<Mutex<Vec<Workspace>>>,
    checks_parallel: usize,
    /// Checks that wait for their turn.
    waiting: AtomicUsize,
}

/// Checks of passwords at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Those that are computed.
    pub running: usize,
    /// Those that wait for their turn.
    pub waiting: usize,
    /// How many can be computed at a time.
    pub running_max: usize,
}

/// The password was not checked, since too many are being checked. It is no failed login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

/// Counts one that waits until it is dropped, also where nobody waits for it any more.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Why a new password was not hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotHashed {
    /// It is one of the former ones.
    Used,
    /// Hashing it failed.
    Failed(HashError),
}

impl Verifier {
    /// Makes the hash for unknown users with `cost_for_unknown`, which should be the highest cost
    /// among the stored hashes, and lets `checks_parallel` checks (at least one) run at a time.
    ///
    /// # Errors
    /// Parameters that Argon2 does not take, or no randomness.
    pub fn new(cost_for_unknown: Argon2Cost, checks_parallel: usize) -> Result<Self, HashError> {
        let mut nobodys = vec![0; 32];
        rand::fill(&mut nobodys).map_err(|_| HashError::Cost)?;
        let checks_parallel = checks_parallel.clamp(1, Semaphore::MAX_PERMITS);
        let workspaces = (0..checks_parallel).map(|_| Workspace::for_cost(cost_for_unknown)).collect();
        Ok(Self {
            unknown: hash::make(&Secret::new(nobodys), cost_for_unknown)?.into(),
            dearest: cost_for_unknown,
            others: Dearest::default(),
            running: Arc::new(Semaphore::new(checks_parallel)),
            wait_max: WAIT_MAX,
            workspaces: Arc::new(Mutex::new(workspaces)),
            checks_parallel,
            waiting: AtomicUsize::new(0),
        })
    }

    /// Has every check cost what the dearest of other kinds of hashes do besides.
    #[must_use]
    pub fn with_others(self, others: Dearest) -> Self {
        Self { others, ..self }
    }

    /// Checks a password against the account's hash, or at the same expense against none; a hash
    /// cheaper than the dearest is made as dear, whether it matches or not. A secret
    /// that no account can have (too long, or with a NUL) is checked against none, so it costs no
    /// more and no less than any other wrong one.
    ///
    /// # Errors
    /// [`Busy`] where the check could not begin in time.
    pub async fn verify(&self, account: Option<(&Username, &str)>, secret: Secret) -> Result<Option<Verified>, Busy> {
        let possible = secret.expose().len() <= SECRET_BYTES_MAX && !secret.expose().contains(&0);
        let (account, secret) = if possible { (account, secret) } else { (None, Secret::new(Vec::new())) };
        let phc: Arc<str> = account.map_or_else(|| Arc::clone(&self.unknown), |(_, phc)| phc.into());

        let running = self.turn().await?;
        let (workspaces, dearest, others) = (Arc::clone(&self.workspaces), self.dearest, self.others);
        let check = tokio::task::spawn_blocking(move || {
            let free = || workspaces.lock().unwrap_or_else(PoisonError::into_inner);
            let mut workspace = free().pop().unwrap_or_default();
            let matches = workspace.matches_at_cost(&phc, &secret, dearest, others);
            free().push(workspace);
            // The place is given back when the work is done, also where nobody waits for it now.
            drop(running);
            matches
        });
        let matches = check.await.map_err(|_| Busy)?;
        Ok(account.filter(|_| matches).map(|(name, _)| Verified::assertion(name.clone(), Shown::PASSWORD)))
    }

    /// Hashes a new password, in the same queue as the checks; none where there is no randomness.
    ///
    /// # Errors
    /// [`Busy`] where it could not begin in time.
    pub async fn hash(&self, secret: Secret, cost: Argon2Cost) -> Result<Option<String>, Busy> {
        let running = self.turn().await?;
        let hashing = tokio::task::spawn_blocking(move || {
            let hash = hash::make(&secret, cost).ok();
            drop(running);
            hash
        });
        hashing.await.map_err(|_| Busy)
    }

    /// Hashes a new password that is none of the former ones, in the same queue as the checks.
    ///
    /// # Errors
    /// [`Busy`] where it could not begin in time.
    pub async fn hash_unless_used(
        &self,
        secret: Secret,
        former: Vec<String>,
        cost: Argon2Cost,
    ) -> Result<Result<String, NotHashed>, Busy> {
        let running = self.turn().await?;
        let workspaces = Arc::clone(&self.workspaces);
        let hashing = tokio::task::spawn_blocking(move || {
            let free = || workspaces.lock().unwrap_or_else(PoisonError::into_inner);
            let mut workspace = free().pop().unwrap_or_default();
            let used = former.iter().any(|hash| workspace.matches(hash, &secret));
            free().push(workspace);
            let hashed = if used { Err(NotHashed::Used) } else { hash::make(&secret, cost).map_err(NotHashed::Failed) };
            drop(running);
            hashed
        });
        hashing.await.map_err(|_| Busy)
    }

    /// A place among those that run, which is given back when it is dropped.
    async fn turn(&self) -> Result<OwnedSemaphorePermit, Busy> {
        let _waiting = Waiting::new(&self.waiting);
        let turn = timeout(self.wait_max, Arc::clone(&self.running).acquire_owned());
        turn.await.map_err(|_| Busy)?.map_err(|_| Busy)
    }

    /// How many checks there are at this moment.
    pub fn load(&self) -> Load {
        Load {
            running: self.checks_parallel.saturating_sub(self.running.available_permits()),
            waiting: self.waiting.load(Ordering::Relaxed),
            running_max: self.checks_parallel,
        }
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const CHEAP: Argon2Cost = Argon2Cost { memory_kib: 64, iterations: 1, parallelism: 1 };
    const DEAR: Argon2Cost = Argon2Cost { memory_kib: 32 * 1024, iterations: 2, parallelism: 1 };

    fn secret(text: &str) -> Secret {
        Secret::new(text.as_bytes().to_vec())
    }

    #[tokio::test]
    async fn only_the_right_secret_of_a_known_account_is_vouched_for() {
        let verifier = Verifier::new(CHEAP, 2).unwrap();
        let alice = Username::parse("alice").unwrap();
        let phc = hash::make(&secret("correct horse"), CHEAP).unwrap();
        let account = Some((&alice, phc.as_str()));
        let proof = verifier.verify(account, secret("correct horse")).await.unwrap().unwrap();
        assert_eq!(proof.name(), &alice);
        assert!(verifier.verify(account, secret("wrong")).await.unwrap().is_none());
        assert!(verifier.verify(None, secret("correct horse")).await.unwrap().is_none());
        assert!(verifier.verify(Some((&alice, "no hash")), secret("correct horse")).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn impossible_secrets_fail_even_where_a_hash_matches() {
        let verifier = Verifier::new(CHEAP, 1).unwrap();
        let alice = Username::parse("alice").unwrap();
        for impossible in ["correct\0horse".to_owned(), "x".repeat(SECRET_BYTES_MAX + 1)] {
            let phc = hash::make(&secret(&impossible), CHEAP).unwrap();
            assert!(verifier.verify(Some((&alice, &phc)), secret(&impossible)).await.unwrap().is_none());
        }
        let longest = "x".repeat(SECRET_BYTES_MAX);
        let phc = hash::make(&secret(&longest), CHEAP).unwrap();
        assert!(verifier.verify(Some((&alice, &phc)), secret(&longest)).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn unknown_users_and_impossible_secrets_cost_as_much_as_known_ones() {
        let verifier = Verifier::new(DEAR, 1).unwrap();
        let alice = Username::parse("alice").unwrap();
        let phc = hash::make(&secret("right"), DEAR).unwrap();
        let cheap = hash::make(&secret("right"), CHEAP).unwrap();
        let (dear, cheap) = (Some((&alice, phc.as_str())), Some((&alice, cheap.as_str())));
        let kinds =
            [(dear, "wrong"), (None, "wrong"), (dear, "a\0b"), (cheap, "wrong"), (cheap, "right"), (dear, "right")];
        let mut quickest = [Duration::MAX; 6];
        // In turns, so that a moment in which the machine is busy concerns all of them.
        for _ in 0..8 {
            for ((account, tried), quickest) in kinds.iter().zip(&mut quickest) {
                let began = Instant::now();
                let _ = verifier.verify(*account, secret(tried)).await.unwrap();
                *quickest = began.elapsed().min(*quickest);
            }
        }
        let (least, most) = (quickest.iter().min().unwrap(), quickest.iter().max().unwrap());
        assert!(*most < *least * 4, "without the work they would be hundreds of times apart: {quickest:?}");
    }

    #[tokio::test]
    async fn hashes_of_other_servers_cost_everybody_the_same() {
        let bcrypt = "$2y$08$c2FsdHNhbHRzYWx0c2FsdO9aVgyWBsWkVZ4dyiIzYRBxMt9jJNxPq";
        let verifier = Verifier::new(CHEAP, 1).unwrap().with_others(Dearest::of([bcrypt].into_iter()));
        let alice = Username::parse("alice").unwrap();
        let modern = hash::make(&secret("right"), CHEAP).unwrap();
        let kinds = [Some((&alice, bcrypt)), Some((&alice, modern.as_str())), None];
        let mut quickest = [Duration::MAX; 3];
        for _ in 0..8 {
            for (account, quickest) in kinds.iter().zip(&mut quickest) {
                let began = Instant::now();
                let _ = verifier.verify(*account, secret("wrong")).await.unwrap();
                *quickest = began.elapsed().min(*quickest);
            }
        }
        let (least, most) = (quickest.iter().min().unwrap(), quickest.iter().max().unwrap());
        assert!(*most < *least * 3, "without the work they would be hundreds of times apart: {quickest:?}");
    }

    #[tokio::test]
    async fn a_former_password_is_not_hashed_again() {
        let verifier = Verifier::new(CHEAP, 1).unwrap();
        let former = vec![hash::make(&secret("older"), CHEAP).unwrap(), hash::make(&secret("old"), CHEAP).unwrap()];
        let hash = |text: &'static str| verifier.hash_unless_used(secret(text), former.clone(), CHEAP);
        assert_eq!(hash("old").await.unwrap(), Err(NotHashed::Used));
        assert!(Workspace::default().matches(&hash("new").await.unwrap().unwrap(), &secret("new")));
    }

    #[tokio::test]
    async fn a_wait_too_long_is_busy_and_no_failure() {
        let mut verifier = Verifier::new(CHEAP, 1).unwrap();
        verifier.wait_max = Duration::from_millis(20);
        let held = Arc::clone(&verifier.running).acquire_owned().await.unwrap();
        assert_eq!(verifier.verify(None, secret("x")).await.map(|v| v.is_some()), Err(Busy));
        drop(held);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_hundred_honest_logins_at_once_are_all_served() {
        let verifier = Arc::new(Verifier::new(CHEAP, 1).unwrap());
        let held = Arc::clone(&verifier.running).acquire_owned().await.unwrap();
        let mut logins = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let verifier = Arc::clone(&verifier);
            logins.spawn(async move { verifier.verify(None, secret("x")).await.is_ok() });
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        drop(held);
        assert!(logins.join_all().await.into_iter().all(|served| served));
    }
}
